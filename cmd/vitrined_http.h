/* cmd/vitrined_http.h: the console of vitrined: [http] of the configuration, started behind everything else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/query.h"

struct vt_archive;
struct vt_audit;
struct vt_conf;
struct vt_console;
struct vt_control_options;
struct vt_err;
struct vt_events;
struct vt_jobs;
struct vt_peers;
struct vt_users;

struct vt_web {
    const struct vt_conf *conf;
    struct vt_archive *archive;
    struct vt_query_rules rules;
    const char *ae_title;
    struct vt_events *events;
    struct vt_audit *audit; /* NULL: no trail */
    struct vt_jobs *jobs;
    const struct vt_peers *peers;
    struct vt_control_options *inside; /* what its verbs work on */

    struct vt_users *users;
    struct vt_console *console; /* NULL: http.port = none */
    bool enabled, port_named;
    char listen[64];
    uint16_t port;              /* asked for; when started: taken */
    size_t name_count;
    char *certificate, *key;
    const char *names[16];      /* of http.hosts */
    char *name_text;
    const char *origins[16];    /* of http.origins */
    size_t origin_count;
    char *origin_text;
    int64_t session_idle;       /* ns */
    const char *exports;        /* http.exports; NULL: the archive's own */
    const char *burners[16];
    size_t burner_count;
};

/* Beyond loopback it wants TLS. conf is set. */
bool vt_web_read(struct vt_web *web, struct vt_err *err);
/* What was read, and archive to jobs, are set. Nothing is served when http.enabled = no, nor when the usual port is taken
 * and no other was configured: that is logged. */
bool vt_web_start(struct vt_web *web, struct vt_err *err);
void vt_web_stop(struct vt_web *web);
