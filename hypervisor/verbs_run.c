/* Doing verbs: one as a task that is followed; many with a few threads, so many of a host at a
 * time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "hypervisor/driver.h"
#include "hypervisor/picture.h"
#include "hypervisor/verbs.h"

enum { TICK_MS = 100, DISKS_MAX = 64, SETTLE_S = 60, SETTLE_LOOK_MS = 200 };

/* One job on its way. */
struct doing {
    struct vt_xapi *xapi;
    struct vt_line *line;
    struct vt_verb_job *job;
    vt_xapi_progress_fn progress;
    void *context;
};

static bool ask(struct doing *d, struct vt_xapi_reply *reply, const char *method, const char *ref)
{
    return vt_xapi_call(d->xapi, d->line, reply, &d->job->err, method, "s", ref);
}

/* ---- looking, when the answer was lost ---- */

static bool has_snapshot(struct doing *d)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!vt_xapi_call(d->xapi, d->line, &reply, &d->job->err, "VM.get_by_name_label", "s",
                      d->job->name))
        return false;
    const struct vt_xmlrpc_value *first = vt_xmlrpc_first(reply.value);
    if (!first || first->next) /* none, or not ours alone */
        return false;
    snprintf(d->job->result, sizeof d->job->result, "%s", vt_xmlrpc_text(first, ""));
    return true;
}

enum sight { SIGHT_NO, SIGHT_YES, SIGHT_BUSY };

/* Does the VM say that the verb was carried out? */
static enum sight look_once(struct doing *d)
{
    VT_AUTO_REPLY reply = { 0 };
    const struct vt_verb *verb = d->job->verb;
    bool done = false;

    if (!ask(d, &reply, "VM.get_record", d->job->vm))
        return verb->args == VT_ARGS_DESTROY && strcmp(d->job->err.xapi_code, "HANDLE_INVALID") == 0
                   ? SIGHT_YES
                   : SIGHT_NO;
    if (vt_xmlrpc_first(vt_xmlrpc_member(reply.value, "current_operations")))
        return SIGHT_BUSY;
    const char *power = vt_xmlrpc_text(vt_xmlrpc_member(reply.value, "power_state"), "");
    if (verb->args == VT_ARGS_VM_NAME)
        done = has_snapshot(d);
    else if (verb->args == VT_ARGS_HOST_OPTIONS)
        done = strcmp(vt_xmlrpc_text(vt_xmlrpc_member(reply.value, "resident_on"), ""),
                      d->job->host) == 0;
    else
        done = verb->after && vt_power_from(power) == verb->after;
    return done ? SIGHT_YES : SIGHT_NO;
}

/* While the VM is busy, with ours or with another's operation, there is nothing to see yet. */
static bool looks_done(struct doing *d)
{
    int64_t deadline = vt_clock_mono() + SETTLE_S * VT_NS_PER_S;

    for (;;) {
        enum sight sight = look_once(d);
        if (sight != SIGHT_BUSY || vt_clock_mono() >= deadline)
            return sight == SIGHT_YES;
        if (d->progress && !d->progress(d->context, d->job->progress))
            return false;
        vt_clock_sleep(SETTLE_LOOK_MS * VT_NS_PER_MS);
    }
}

static void settle(struct doing *d)
{
    struct vt_err lost = d->job->err;

    vt_err_clear(&d->job->err);
    if (looks_done(d)) {
        d->job->end = VT_VERB_DONE;
        d->job->looked = true;
        vt_err_clear(&d->job->err);
        return;
    }
    d->job->end = VT_VERB_UNKNOWN;
    d->job->err = lost;
}

/* ---- one call ---- */

static bool was_lost(const struct vt_err *err)
{
    return err->code == VT_E_CLOSED || err->code == VT_E_TIMEOUT || err->code == VT_E_PROTOCOL;
}

/* Sends the call as a task. */
static bool begin(struct doing *d, struct vt_xapi_reply *reply)
{
    static const char *const live[] = { "live", "true" };
    const struct vt_verb_job *job = d->job;
    struct vt_err *err = &d->job->err;
    char method[64];

    snprintf(method, sizeof method, "Async.%s", job->verb->call);
    switch (job->verb->args) {
    case VT_ARGS_VM:
        return vt_xapi_call(d->xapi, d->line, reply, err, method, "s", job->vm);
    case VT_ARGS_VM_FLAGS:
        return vt_xapi_call(d->xapi, d->line, reply, err, method, "sbb", job->vm, false, false);
    case VT_ARGS_HOST_FLAGS:
        return vt_xapi_call(d->xapi, d->line, reply, err, method, "ssbb", job->vm, job->host, false,
                            false);
    case VT_ARGS_HOST_OPTIONS:
        return vt_xapi_call(d->xapi, d->line, reply, err, method, "ssm", job->vm, job->host, live,
                            VT_COUNT(live));
    case VT_ARGS_VM_NAME:
        return vt_xapi_call(d->xapi, d->line, reply, err, method, "ss", job->vm, job->name);
    default:
        return vt_fail(err, VT_E_INTERNAL, "%s is no single call", job->verb->name);
    }
}

static bool follow(struct doing *d, const char *task)
{
    struct vt_xapi_task done = { 0 };
    int64_t deadline = vt_clock_mono() + VT_VERB_WAIT_S * VT_NS_PER_S;

    bool ok = vt_xapi_task_wait(d->xapi, d->line, task, deadline, d->progress, d->context, &done,
                                &d->job->err);
    if (ok)
        snprintf(d->job->result, sizeof d->job->result, "%s", done.result);
    else
        d->job->end = done.end == VT_XAPI_TASK_CANCELLED ? VT_VERB_CANCELLED
                      : done.end == VT_XAPI_TASK_UNKNOWN ? VT_VERB_UNKNOWN
                                                         : VT_VERB_FAILED;
    return ok;
}

static bool run_task(struct doing *d)
{
    VT_AUTO_REPLY reply = { 0 };

    if (begin(d, &reply))
        return follow(d, vt_xmlrpc_text(reply.value, ""));
    d->job->end = was_lost(&d->job->err) ? VT_VERB_UNKNOWN : VT_VERB_FAILED;
    return false;
}

/* A template's copy becomes a VM of its own. */
static bool provision(struct doing *d)
{
    VT_AUTO_REPLY reply = { 0 };
    char copy[VT_XAPI_REF_MAX];

    snprintf(copy, sizeof copy, "%s", d->job->result);
    if (!ask(d, &reply, "Async.VM.provision", copy) ||
        !follow(d, vt_xmlrpc_text(reply.value, ""))) {
        vt_fail_context(&d->job->err, "the copy %s was made, making its disks failed",
                        d->job->name);
        d->job->end = VT_VERB_FAILED;
        return false;
    }
    snprintf(d->job->result, sizeof d->job->result, "%s", copy);
    return true;
}

/* ---- destroying: the disks that nobody else uses, then the VM ---- */

struct disks {
    char refs[DISKS_MAX][VT_XAPI_REF_MAX];
    size_t count;
};

static bool add_disk(struct doing *d, struct disks *disks, const char *vdi)
{
    VT_AUTO_REPLY users = { 0 };

    if (vt_xapi_ref_is_null(vdi) || !ask(d, &users, "VDI.get_VBDs", vdi))
        return vt_xapi_ref_is_null(vdi);
    const struct vt_xmlrpc_value *first = vt_xmlrpc_first(users.value);
    if (first && first->next)
        return true; /* shared with another VM: stays */
    if (disks->count == DISKS_MAX)
        return vt_fail(&d->job->err, VT_E_LIMIT,
                       "the VM has more than %d disks: destroy it with --keep-disks", DISKS_MAX);
    snprintf(disks->refs[disks->count++], VT_XAPI_REF_MAX, "%s", vdi);
    return true;
}

static bool find_disks(struct doing *d, struct disks *disks)
{
    VT_AUTO_REPLY vm = { 0 };

    if (!ask(d, &vm, "VM.get_record", d->job->vm))
        return false;
    const struct vt_xmlrpc_value *vbd = vt_xmlrpc_first(vt_xmlrpc_member(vm.value, "VBDs"));
    for (; vbd; vbd = vbd->next) {
        VT_AUTO_REPLY record = { 0 };
        if (!ask(d, &record, "VBD.get_record", vt_xmlrpc_text(vbd, "")))
            return false;
        if (strcmp(vt_xmlrpc_text(vt_xmlrpc_member(record.value, "type"), ""), "Disk") == 0 &&
            !add_disk(d, disks, vt_xmlrpc_text(vt_xmlrpc_member(record.value, "VDI"), "")))
            return false;
    }
    const char *image = vt_xmlrpc_text(vt_xmlrpc_member(vm.value, "suspend_VDI"), "");
    return vt_xapi_ref_is_null(image) || add_disk(d, disks, image);
}

static bool destroy(struct doing *d)
{
    struct disks disks = { .count = 0 };
    VT_AUTO_REPLY vm = { 0 };

    d->job->end = VT_VERB_FAILED;
    if (!d->job->keep_disks && !find_disks(d, &disks))
        return false;
    for (size_t i = 0; i < disks.count; i++) {
        VT_AUTO_REPLY vdi = { 0 };
        if (!ask(d, &vdi, "VDI.destroy", disks.refs[i]) &&
            strcmp(d->job->err.xapi_code, "HANDLE_INVALID") != 0)
            return false;
        vt_err_clear(&d->job->err);
    }
    if (ask(d, &vm, "VM.destroy", d->job->vm))
        return true;
    d->job->end = was_lost(&d->job->err) ? VT_VERB_UNKNOWN : VT_VERB_FAILED;
    return false;
}

void vt_verb_do(struct vt_xapi *xapi, struct vt_line *line, struct vt_verb_job *job,
                vt_xapi_progress_fn progress, void *context)
{
    struct doing d = { xapi, line, job, progress, context };
    int64_t begun = vt_clock_mono();

    vt_err_clear(&job->err);
    bool ok = job->verb->args == VT_ARGS_DESTROY ? destroy(&d) : run_task(&d);
    if (ok && job->provision)
        ok = provision(&d);
    if (ok)
        job->end = VT_VERB_DONE;
    else if (job->end == VT_VERB_UNKNOWN)
        settle(&d);
    job->ns = vt_clock_mono() - begun;
}

/* ---- many ---- */

/* Who runs in that lane? Only so many run at all, so their indexes are gathered once. */
static unsigned busy_in(const struct vt_verb_job *jobs, const size_t *running, size_t running_count,
                        const char *lane)
{
    unsigned busy = 0;

    for (size_t i = 0; i < running_count; i++)
        busy += strcmp(jobs[running[i]].lane, lane) == 0;
    return busy;
}

size_t vt_verbs_next(const struct vt_verb_job *jobs, size_t count, unsigned per_host)
{
    size_t running[VT_VERB_THREADS_MAX], running_count = 0;

    for (size_t i = 0; i < count && running_count < VT_COUNT(running); i++)
        if (jobs[i].end == VT_VERB_RUNNING)
            running[running_count++] = i;
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].end != VT_VERB_WAITING)
            continue;
        if (jobs[i].lane[0] == '\0' ||
            busy_in(jobs, running, running_count, jobs[i].lane) < per_host)
            return i;
    }
    return count;
}

struct crew {
    struct vt_xapi *xapi; /* fixed */
    const struct vt_verbs_run *run;
    size_t count;
    unsigned per_host;

    pthread_mutex_t lock; /* guards what follows, and the jobs' end and progress */
    pthread_cond_t changed;
    struct vt_verb_job *jobs;
    size_t *ended, ended_count; /* in the order in which they ended */
    size_t workers;             /* threads that are still there */
    bool stop;
};

struct worker {
    struct crew *crew;
    pthread_t thread;
    size_t job;
};

static bool on_progress(void *context, double progress)
{
    struct worker *worker = context;
    struct crew *crew = worker->crew;

    pthread_mutex_lock(&crew->lock);
    crew->jobs[worker->job].progress = progress;
    bool go_on = !crew->stop;
    pthread_mutex_unlock(&crew->lock);
    return go_on;
}

/* The next job, waiting for a lane; false when there is none left. Holds the lock. */
static bool take_job(struct worker *worker)
{
    struct crew *crew = worker->crew;

    for (;;) {
        bool waiting = false;
        size_t next =
            crew->stop ? crew->count : vt_verbs_next(crew->jobs, crew->count, crew->per_host);
        if (next < crew->count) {
            worker->job = next;
            crew->jobs[next].end = VT_VERB_RUNNING;
            return true;
        }
        for (size_t i = 0; i < crew->count && !crew->stop; i++)
            waiting |= crew->jobs[i].end == VT_VERB_WAITING;
        if (!waiting)
            return false;
        pthread_cond_wait(&crew->changed, &crew->lock);
    }
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct crew *crew = worker->crew;
    struct vt_err err = { 0 };
    VT_AUTO(vt_line) line = vt_line_new(&err);

    pthread_mutex_lock(&crew->lock);
    while (line && take_job(worker)) {
        struct vt_verb_job job = crew->jobs[worker->job];
        const struct vt_driver *driver = crew->run->driver;
        pthread_mutex_unlock(&crew->lock);
        if (driver && driver->act)
            driver->act(crew->run->session, &job);
        else
            vt_verb_do(crew->xapi, line, &job, on_progress, worker);
        pthread_mutex_lock(&crew->lock);
        crew->jobs[worker->job] = job;
        crew->ended[crew->ended_count++] = worker->job;
        pthread_cond_broadcast(&crew->changed);
    }
    crew->workers--;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* What ended since the last look is reported without the lock. */
static void report_ended(struct crew *crew, const struct vt_verbs_run *run, size_t *reported,
                         double *out_progress)
{
    struct timespec until;
    int64_t end = vt_clock_wall() + TICK_MS * VT_NS_PER_MS;

    until.tv_sec = (time_t)(end / VT_NS_PER_S);
    until.tv_nsec = (long)(end % VT_NS_PER_S);
    pthread_mutex_lock(&crew->lock);
    if (crew->ended_count == *reported && crew->workers > 0)
        pthread_cond_timedwait(&crew->changed, &crew->lock, &until);
    while (*reported < crew->ended_count) {
        const struct vt_verb_job *job = &crew->jobs[crew->ended[(*reported)++]];
        pthread_mutex_unlock(&crew->lock); /* an ended job does not change */
        if (run->report)
            run->report(run->context, job);
        pthread_mutex_lock(&crew->lock);
    }
    *out_progress = 0;
    for (size_t i = 0; i < crew->count; i++)
        *out_progress += crew->jobs[i].end == VT_VERB_RUNNING ? crew->jobs[i].progress
                                                             : crew->jobs[i].end != VT_VERB_WAITING;
    *out_progress /= (double)crew->count;
    pthread_mutex_unlock(&crew->lock);
}

static bool all_over(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    bool over = crew->workers == 0;
    pthread_mutex_unlock(&crew->lock);
    return over;
}

static void watch(struct crew *crew, const struct vt_verbs_run *run)
{
    size_t reported = 0;
    double progress = 0;

    while (!all_over(crew)) {
        report_ended(crew, run, &reported, &progress);
        if (run->tick && !run->tick(run->context, progress, reported, crew->count)) {
            pthread_mutex_lock(&crew->lock);
            crew->stop = true;
            pthread_cond_broadcast(&crew->changed);
            pthread_mutex_unlock(&crew->lock);
        }
    }
    report_ended(crew, run, &reported, &progress);
}

/* As many threads as jobs, up to the bound; one at least, or nothing can be done. */
static bool run_crew(struct crew *crew, const struct vt_verbs_run *run, struct vt_err *err)
{
    struct worker workers[VT_VERB_THREADS_MAX];
    size_t wanted = crew->count < VT_VERB_THREADS_MAX ? crew->count : VT_VERB_THREADS_MAX,
           started = 0;

    for (; started < wanted; started++) {
        workers[started] = (struct worker){ .crew = crew };
        pthread_mutex_lock(&crew->lock);
        crew->workers++;
        pthread_mutex_unlock(&crew->lock);
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
            continue;
        pthread_mutex_lock(&crew->lock);
        crew->workers--;
        pthread_mutex_unlock(&crew->lock);
        break;
    }
    watch(crew, run);
    for (size_t i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return started || vt_fail(err, VT_E_NOMEM, "no memory for a thread");
}

bool vt_verbs_run(struct vt_xapi *xapi, struct vt_verb_job *jobs, size_t count,
                  const struct vt_verbs_run *run, struct vt_err *err)
{
    struct crew crew = { .xapi = xapi,
                         .run = run,
                         .jobs = jobs,
                         .count = count,
                         .per_host = run->per_host ? run->per_host : VT_VERB_PER_HOST };
    bool ok = true;

    if (count == 0)
        return true;
    crew.ended = calloc(count, sizeof *crew.ended);
    if (!crew.ended)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu VMs", count);
    for (size_t i = 0; i < count; i++)
        jobs[i].end = VT_VERB_WAITING;
    pthread_mutex_init(&crew.lock, NULL);
    pthread_cond_init(&crew.changed, NULL);
    ok = run_crew(&crew, run, err);
    pthread_cond_destroy(&crew.changed);
    pthread_mutex_destroy(&crew.lock);
    free(crew.ended);
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].end == VT_VERB_WAITING)
            jobs[i].end = VT_VERB_CANCELLED;
        ok = ok && jobs[i].end == VT_VERB_DONE;
    }
    return ok;
}
