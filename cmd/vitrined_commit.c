#include "cmd/vitrined_commit.h"

#include "cmd/vitrined_jobs.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "scp/commit.h"

bool vt_commit_kind(struct vt_job_world *world, struct vt_err *err)
{
    const int64_t hour = 3600 * VT_NS_PER_S;
    struct vt_commits_options options = {
        .archive = world->archive,
        .jobs = world->jobs,
        .peers = world->peers,
        .events = world->events,
        .ae_title = world->ae_title,
    };

    if (!vt_conf_duration(world->conf, "commit", NULL, "grace", 0, 24 * hour,
                          VT_COMMIT_GRACE_S * VT_NS_PER_S, &options.grace, err) ||
        !vt_conf_duration(world->conf, "commit", NULL, "same_association", 0, hour,
                          VT_COMMIT_SAME_MS * VT_NS_PER_MS, &options.same, err))
        return false;
    world->commits = vt_commits_new(&options, err);
    return world->commits && vt_commits_register(world->commits, err);
}

bool vt_commit_start(struct vt_job_world *world, struct vt_err *err)
{
    return vt_commits_resume(world->commits, err);
}

void vt_commit_close(struct vt_job_world *world)
{
    vt_commits_free(world->commits);
    world->commits = NULL;
}
