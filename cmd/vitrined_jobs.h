/* cmd/vitrined_jobs.h: the node's long work: the queue of core/jobs.h on state.db, and what each
 * kind of job needs to know of the node.
 *
 * vitrined opens it behind the archive, starts it when everything else stands, stops it before the
 * archive closes. A kind of job is one row in the table of vitrined_jobs.c: a function that calls
 * vt_jobs_kind(world->jobs, ...). The world is fixed once the jobs run. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/jobs.h"
#include "scu/client.h"

struct json_t;
struct vt_archive;
struct vt_audit;
struct vt_conf;
struct vt_err;
struct vt_events;
struct vt_peer_failures;
struct vt_peers;

struct vt_job_world {
    const struct vt_conf *conf; /* all borrowed */
    struct vt_archive *archive;
    const struct vt_peers *peers;
    struct vt_events *events;
    struct vt_audit *audit; /* NULL: no trail */
    struct vt_peer_failures *failures;
    const char *ae_title;
    const char *shs_ae_title; /* cmd/shs.h: of what is asked and printed */
    struct ssl_ctx_st *tls; /* of associations that we ask for; NULL: plain */
    uint32_t max_pdu;
    /* Wake and wait (scp/server.h): before something is sent to a title. NULL: none. */
    bool (*wake)(void *context, const char *ae_title, struct vt_err *err);
    void *wake_context;
    struct vt_jobs *jobs;               /* owned from vt_world_open on */
    struct vt_job_routes *routes;        /* cmd/vitrined_routes.c's */
    struct vt_commits *commits;         /* cmd/vitrined_commit.c's */
};

/* Reads [jobs], opens state.db, registers every kind. world->conf to world->wake_context are set. */
bool vt_world_open(struct vt_job_world *world, struct vt_err *err);
bool vt_world_start(struct vt_job_world *world, struct vt_err *err);
void vt_world_stop(struct vt_job_world *world); /* also of a world that was never opened */
void vt_world_close(struct vt_job_world *world);

/* ---- for kinds of jobs ---- */

/* A peer of the configuration, or AET@HOST:PORT. store keeps the text that is not the table's. */
struct vt_job_peer {
    struct vt_peer peer;
    char store[512];
    struct vt_client client; /* points to peer: do not move it */
};
bool vt_world_peer(const struct vt_job_world *world, const char *text, struct vt_job_peer *out,
                   struct vt_err *err);
/* The same for a run: when it is to stop, nothing is waited for any more (VT_E_CANCELLED). */
bool vt_world_peer_of(const struct vt_job_world *world, const struct vt_job_run *run, const char *text,
                      struct vt_job_peer *out, struct vt_err *err);
/* What is asked of others is asked by the SHS: queries, fetching. */
void vt_world_ask_as_shs(const struct vt_job_world *world, struct vt_job_peer *peer);
/* Of a run that failed for the time being: stopped, when it was told to. */
enum vt_job_end vt_world_end(const struct vt_job_run *run);
/* The key of jobs that load a peer: its name, cut to VT_JOB_NAME_MAX. */
void vt_world_key(const char *peer, char out[static VT_JOB_NAME_MAX + 1]);
/* The arguments of a job: an object, the caller's. */
struct json_t *vt_world_arguments(const struct vt_job_run *run, struct vt_err *err);
