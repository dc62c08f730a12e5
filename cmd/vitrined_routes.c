#include "cmd/vitrined_routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "cmd/arrivals.h"
#include "cmd/route_rules.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_notify.h"
#include "cmd/vitrined_prefetch.h"
#include "cmd/vitrined_send.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "scu/peers.h"

#define WHO "route"

struct route {
    char who[VT_JOB_TEXT_MAX];
    struct vt_rule rule;
    struct vt_rule_words to;
    int priority;
};

struct vt_job_routes {
    struct vt_job_world *world;
    struct route *routes;
    size_t count, targets; /* of all routes together */
    struct vt_prefetches *prefetches;
    struct vt_notifications *notifications;
    struct vt_arrivals *arrivals, *complete; /* NULL: nobody asks */
};

/* ---- the rules ---- */

static bool read_route(const struct vt_job_world *world, const char *name, struct route *out,
                       struct vt_err *err)
{
    int64_t priority;

    snprintf(out->who, sizeof out->who, WHO " %.100s", name);
    if (!vt_rule_read(world->conf, "route", name, &out->rule, err) ||
        !vt_rule_words_read(world->conf, "route", name, "to", " ,\t", &out->to, err) ||
        !vt_conf_int(world->conf, "route", name, "priority", -100, 100, 0, &priority, err))
        return false;
    out->priority = (int)priority;
    if (out->to.count == 0)
        return vt_fail(err, VT_E_INVALID, "route.%s.to names no peer", name);
    for (size_t i = 0; i < out->to.count; i++) {
        const struct vt_peer *peer = vt_peers_by_name(world->peers, out->to.list[i]);
        if (!peer || !peer->host)
            return vt_fail(err, VT_E_INVALID, "route.%s.to: there is no peer '%s' with a host",
                           name, out->to.list[i]);
    }
    return true;
}

static bool read_routes(struct vt_job_routes *all, struct vt_err *err)
{
    const struct vt_conf *conf = all->world->conf;
    size_t count = 0;

    while (vt_conf_name(conf, "route", count))
        if (++count > VT_ROUTES_MAX)
            return vt_fail(err, VT_E_LIMIT, "more than %d routes", VT_ROUTES_MAX);
    all->routes = calloc(count + 1, sizeof *all->routes);
    if (!all->routes)
        return vt_fail(err, VT_E_NOMEM, "no memory for the routes");
    for (; all->count < count; all->count++)
        if (!read_route(all->world, vt_conf_name(conf, "route", all->count),
                        &all->routes[all->count], err)) {
            all->count++;
            return false;
        } else {
            all->targets += all->routes[all->count].to.count;
        }
    return true;
}

/* ---- a batch ---- */

/* A sender does not get back what it sent. */
static bool came_from(const struct vt_job_world *world, const char *peer, const char *ae_title)
{
    const struct vt_peer *known = vt_peers_by_name(world->peers, peer);

    return known && strcmp(known->ae_title, ae_title) == 0;
}

/* What becomes of one batch: all of it in one transaction, so that a batch is routed whole or not
 * at all. */
struct outbox {
    struct vt_send_new *jobs;
    size_t count;
    const char **lists; /* of each route, one behind the other */
    size_t used;
};

static bool route_batch(const struct vt_job_routes *all, const struct route *route,
                        const struct vt_arrivals_batch *batch, const char **uids, bool *chosen,
                        struct outbox *out, struct vt_err *err)
{
    const char **list = out->lists + out->used;
    size_t count = 0;

    if (!vt_rule_admits(&route->rule, batch->ae_title, batch->first))
        return true;
    if (!vt_rule_select(&route->rule, all->world->archive, batch->study_uid, uids, batch->count,
                        chosen, err))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        if (chosen[i])
            list[count++] = uids[i];
    out->used += count;
    for (size_t i = 0; i < route->to.count && count > 0; i++)
        if (!came_from(all->world, route->to.list[i], batch->ae_title))
            out->jobs[out->count++] = (struct vt_send_new){ .peer = route->to.list[i],
                                                            .subject = batch->study_uid,
                                                            .who = route->who,
                                                            .instances = list,
                                                            .count = count,
                                                            .priority = route->priority };
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool on_batch(void *context, const struct vt_arrivals_batch *batch, struct vt_err *err)
{
    struct vt_job_routes *all = context;
    vt_autofree const char **uids = calloc(batch->count + 1, sizeof *uids);
    vt_autofree bool *chosen = calloc(batch->count + 1, sizeof *chosen);
    vt_autofree struct vt_send_new *jobs = calloc(all->targets + 1, sizeof *jobs);
    vt_autofree const char **lists = calloc(batch->count * all->count + 1, sizeof *lists);
    struct outbox out = { .jobs = jobs, .lists = lists };

    if (!uids || !chosen || !jobs || !lists)
        return vt_fail(err, VT_E_NOMEM, "no memory for a route");
    memcpy(uids, batch->sop_uids, batch->count * sizeof *uids);
    qsort(uids, batch->count, sizeof *uids, compare);
    for (size_t i = 0; i < all->count; i++)
        if (!route_batch(all, &all->routes[i], batch, uids, chosen, &out, err))
            return false;
    return out.count == 0 || vt_send_enqueue(all->world, jobs, out.count, NULL, err);
}

static void on_began(void *context, const char *study_uid, const char *ae_title)
{
    struct vt_job_routes *all = context;

    vt_prefetches_began(all->prefetches, study_uid, ae_title);
}

static bool on_complete(void *context, const struct vt_arrivals_batch *batch, struct vt_err *err)
{
    struct vt_job_routes *all = context;

    return vt_notifications_complete(all->notifications, batch, err);
}

void vt_routes_scheduled(struct vt_job_world *world, const struct vt_worklist_entry *entry)
{
    if (world->routes && world->routes->prefetches)
        vt_prefetches_scheduled(world->routes->prefetches, entry);
}

/* ---- life ---- */

static bool gather(struct vt_job_routes *all, struct vt_err *err)
{
    const struct vt_job_world *world = all->world;
    struct vt_arrivals_options options = {
        .archive = world->archive, .events = world->events, .jobs = world->jobs, .context = all
    };
    int64_t quiet, study_idle;

    if (!vt_conf_duration(world->conf, "jobs", NULL, "quiet", 0, 3600 * VT_NS_PER_S,
                          5 * VT_NS_PER_S, &quiet, err) ||
        !vt_conf_duration(world->conf, "jobs", NULL, "study_idle", 0, 24 * 3600 * VT_NS_PER_S,
                          60 * VT_NS_PER_S, &study_idle, err))
        return false;
    if (all->count > 0 || all->prefetches) {
        options.name = WHO;
        options.batch = on_batch;
        options.began = all->prefetches ? on_began : NULL;
        options.quiet = quiet;
        if (!(all->arrivals = vt_arrivals_new(&options, err)))
            return false;
    }
    if (all->notifications) {
        options.name = "notify";
        options.batch = on_complete;
        options.began = NULL;
        options.quiet = study_idle;
        if (!(all->complete = vt_arrivals_new(&options, err)))
            return false;
    }
    return true;
}

bool vt_routes_open(struct vt_job_world *world, struct vt_err *err)
{
    struct vt_job_routes *all = world->routes = calloc(1, sizeof *all);

    if (!all)
        return vt_fail(err, VT_E_NOMEM, "no memory for the routes");
    all->world = world;
    return read_routes(all, err) && vt_prefetches_open(world, &all->prefetches, err) &&
           vt_notifications_open(world, &all->notifications, err) && gather(all, err);
}

bool vt_routes_start(struct vt_job_world *world, struct vt_err *err)
{
    struct vt_job_routes *all = world->routes;

    return (!all->arrivals || vt_arrivals_start(all->arrivals, err)) &&
           (!all->complete || vt_arrivals_start(all->complete, err));
}

void vt_routes_close(struct vt_job_world *world)
{
    struct vt_job_routes *all = world->routes;

    if (!all)
        return;
    vt_arrivals_free(all->arrivals);
    vt_arrivals_free(all->complete);
    vt_prefetches_free(all->prefetches);
    vt_notifications_free(all->notifications);
    for (size_t i = 0; i < all->count; i++) {
        vt_rule_fini(&all->routes[i].rule);
        vt_rule_words_fini(&all->routes[i].to);
    }
    free(all->routes);
    free(all);
    world->routes = NULL;
}
