/* console/console.h: the web face of the archive node: DICOMweb under `dicom_web`, the JSON API under /api, the pages.
 *
 * Started and stopped by cmd, which hands it what it needs; it owns nothing of that. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/query.h"
#include "console/http.h"
#include "core/auto.h"

struct json_t;
struct vt_archive;
struct vt_audit;
struct vt_console;
struct vt_err;
struct vt_events;
struct vt_jobs;
struct vt_peers;
struct vt_users;

/* An archive verb of the command line, as words. */
struct vt_console_verb {
    const char *words[2];
    size_t word_count;
    const char *const *args;
    size_t arg_count;
    const struct json_t *options;    /* object or NULL */
    const char *who;
    bool (*row)(void *context, struct json_t *row);   /* borrows; NULL: nobody wants them */
    void *row_context;
};

struct vt_console_options {
    const char *listen;              /* http.listen */
    uint16_t port;                   /* http.port; 0: any free one */
    const char *certificate, *key;   /* PEM text; NULL: no TLS */
    const char *const *hosts;        /* http.hosts */
    size_t host_count;
    struct vt_archive *archive;
    struct vt_query_rules rules;     /* as for C-FIND */
    const char *ae_title;
    struct vt_events *events;
    struct vt_audit *audit;          /* NULL: no trail */
    struct vt_jobs *jobs;            /* NULL: none */
    struct vt_users *users;          /* console/users.h */
    int64_t session_idle;            /* http.session_idle, ns; 0: as console/sessions.h says */
    const char *ohif;                /* http.ohif: the folder of that viewer; NULL: there is none */
    const char *exports;             /* http.exports: a folder; NULL: the archive's own, for a day */
    const char *const *burners;      /* names of [burner] sections */
    size_t burner_count;
    const char *pool_socket;         /* pool.socket; NULL: the usual one */
    const struct vt_peers *peers;    /* NULL: none */
    /* Runs it inside the node; out_result is the caller's. NULL: there are none. */
    bool (*verb)(void *context, const struct vt_console_verb *verb, struct json_t **out_result, struct vt_err *err);
    void *verb_context;
    const char *const *origins;      /* http.origins: pages of others that may read by DICOMweb (CORS); "*" all */
    size_t origin_count;
};

struct vt_console *vt_console_start(const struct vt_console_options *options, struct vt_err *err);
uint16_t vt_console_port(const struct vt_console *console);
void vt_console_stop(struct vt_console *console);
