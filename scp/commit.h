/* scp/commit.h: storage commitment (PS3.4 Annex J) as a service: the desk between the associations
 * that ask, the jobs that look at the instances, and the ways a report can take.
 *
 *   N-ACTION ─> state.db, job "commitment" ─> 0000 ┄ job: decide ┬─> the same association, if it waits
 *                                                                └─> an association of ours, with retries
 *
 * Made by cmd, registered as a kind of the job queue before that starts. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_archive;
struct vt_commits;
struct vt_err;
struct vt_events;
struct vt_jobs;
struct vt_peers;

enum {
    VT_COMMIT_READERS_MAX = 4, /* requests whose lists are in memory at once; one more: 0213 */
    VT_COMMIT_GRACE_S = 60,    /* commit.grace: instances that are not there yet */
    VT_COMMIT_SAME_MS = 2000,  /* commit.same_association: how long an association is waited for */
    VT_COMMIT_GRACE_LOOK_S = 2,
};

struct vt_commits_options {
    struct vt_archive *archive; /* all borrowed */
    struct vt_jobs *jobs;
    const struct vt_peers *peers;
    struct vt_events *events;
    const char *ae_title;  /* (0008,0054) of reports */
    int64_t grace;         /* ns */
    int64_t same;          /* ns; 0: reports go out on associations of ours only */
    int64_t timeout;       /* ns, of a peer's answer; 0: default */
};

struct vt_commits *vt_commits_new(const struct vt_commits_options *options, struct vt_err *err);
void vt_commits_free(struct vt_commits *commits);
VT_DEFINE_AUTO(vt_commits)
/* The kind "commitment"; before vt_jobs_start. */
bool vt_commits_register(struct vt_commits *commits, struct vt_err *err);
/* Jobs for transactions that have none: after a restart, and for `resend`. */
bool vt_commits_resume(struct vt_commits *commits, struct vt_err *err);
