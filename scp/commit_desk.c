/* The desk: claims of associations, and the job that decides a transaction and delivers its report. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/commitment.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/jobs.h"
#include "scp/commit_inside.h"
#include "scp/tell.h"
#include "scu/peers.h"

static const char kind_name[] = "commitment";

enum {
    CLAIM_ANSWER_S = 90, /* for the answer to a report on the peer's association */
    JOB_LOOK_MS = 200,   /* how often a waiting job asks whether it is to stop */
    REPORTS_TO_ONE_PEER = 2,
};

struct vt_commits {
    struct vt_commits_options options; /* fixed */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* by the monotonic clock */
    /* guarded by lock */
    struct vt_claim *claims;
    unsigned readers;
};

struct vt_commits *vt_commits_new(const struct vt_commits_options *options, struct vt_err *err)
{
    struct vt_commits *commits = calloc(1, sizeof *commits);
    pthread_condattr_t monotonic;

    if (!commits) {
        vt_fail(err, VT_E_NOMEM, "no memory for storage commitment");
        return NULL;
    }
    commits->options = *options;
    pthread_mutex_init(&commits->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&commits->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return commits;
}

void vt_commits_free(struct vt_commits *commits)
{
    if (!commits)
        return;
    while (commits->claims) {
        struct vt_claim *next = commits->claims->next;
        free(commits->claims);
        commits->claims = next;
    }
    pthread_cond_destroy(&commits->changed);
    pthread_mutex_destroy(&commits->lock);
    free(commits);
}

const struct vt_commits_options *vt_commits_options(const struct vt_commits *commits)
{
    return &commits->options;
}

bool vt_commits_reading_begin(struct vt_commits *commits)
{
    pthread_mutex_lock(&commits->lock);
    bool may = commits->readers < VT_COMMIT_READERS_MAX;
    commits->readers += may;
    pthread_mutex_unlock(&commits->lock);
    return may;
}

void vt_commits_reading_end(struct vt_commits *commits)
{
    pthread_mutex_lock(&commits->lock);
    commits->readers--;
    pthread_mutex_unlock(&commits->lock);
}

/* ---- claims ---- */

void vt_claim_make(struct vt_commits *commits, struct vt_session *session, int64_t transaction,
                   uint8_t context_id, int64_t until)
{
    struct vt_claim *claim = calloc(1, sizeof *claim);

    if (!claim)
        return;
    claim->transaction = transaction;
    claim->context_id = context_id;
    claim->until = until;
    claim->users = 1;
    claim->follow = session->claims;
    session->claims = claim;
    pthread_mutex_lock(&commits->lock);
    claim->next = commits->claims;
    commits->claims = claim;
    pthread_mutex_unlock(&commits->lock);
}

bool vt_claim_step(struct vt_commits *commits, struct vt_claim *claim, enum vt_claim_state from,
                   enum vt_claim_state to)
{
    pthread_mutex_lock(&commits->lock);
    bool stepped = claim->state == from;
    if (stepped) {
        claim->state = to;
        pthread_cond_broadcast(&commits->changed);
    }
    pthread_mutex_unlock(&commits->lock);
    return stepped;
}

enum vt_claim_state vt_claim_state(struct vt_commits *commits, const struct vt_claim *claim)
{
    pthread_mutex_lock(&commits->lock);
    enum vt_claim_state state = claim->state;
    pthread_mutex_unlock(&commits->lock);
    return state;
}

void vt_claim_drop(struct vt_commits *commits, struct vt_claim *claim)
{
    pthread_mutex_lock(&commits->lock);
    bool last = --claim->users == 0;
    for (struct vt_claim **at = &commits->claims; last && *at; at = &(*at)->next)
        if (*at == claim) {
            *at = claim->next;
            break;
        }
    pthread_mutex_unlock(&commits->lock);
    if (last)
        free(claim);
}

/* The job takes part in one that still waits for it; NULL: there is none. */
static struct vt_claim *take_ready(struct vt_commits *commits, int64_t transaction)
{
    struct vt_claim *claim;

    pthread_mutex_lock(&commits->lock);
    for (claim = commits->claims; claim; claim = claim->next)
        if (claim->transaction == transaction && claim->state == VT_CLAIM_WAITING)
            break;
    if (claim) {
        claim->users++;
        claim->state = VT_CLAIM_READY;
    }
    pthread_mutex_unlock(&commits->lock);
    return claim;
}

/* Until the association has the peer's answer, or ended. */
static enum vt_claim_state wait_for_session(struct vt_commits *commits, struct vt_claim *claim,
                                            const struct vt_job_run *run)
{
    int64_t deadline = vt_clock_mono() + CLAIM_ANSWER_S * VT_NS_PER_S;

    pthread_mutex_lock(&commits->lock);
    while (claim->state < VT_CLAIM_TAKEN) {
        int64_t look = vt_clock_mono() + JOB_LOOK_MS * VT_NS_PER_MS;
        struct timespec until = { .tv_sec = look / VT_NS_PER_S, .tv_nsec = look % VT_NS_PER_S };
        pthread_cond_timedwait(&commits->changed, &commits->lock, &until);
        if (claim->state < VT_CLAIM_TAKEN &&
            (vt_clock_mono() > deadline || vt_job_should_stop(run)))
            claim->state = VT_CLAIM_GONE;
    }
    enum vt_claim_state state = claim->state;
    pthread_mutex_unlock(&commits->lock);
    return state;
}

/* ---- the report ---- */

static bool add_reference(void *context, const struct vt_commitment_item *item, int reason,
                          struct vt_err *err)
{
    return vt_commit_list_add(context, item->sop_class, item->sop_uid,
                              reason < 0 ? VT_COMMITMENT_PROCESSING : (uint16_t)reason, err);
}

bool vt_commits_report(struct vt_commits *commits, int64_t transaction, struct vt_commit_list *out,
                       struct vt_err *err)
{
    struct vt_commitment commitment;

    if (!vt_commitment_read(commits->options.archive, transaction, &commitment, err))
        return false;
    memcpy(out->transaction_uid, commitment.transaction_uid, sizeof out->transaction_uid);
    return vt_commitment_each(commits->options.archive, transaction, add_reference, out, err);
}

/* ---- the job ---- */

struct work {
    struct vt_commits *commits;
    struct vt_job_run *run;
    struct vt_commitment commitment;
};

static bool go_on(void *context)
{
    const struct work *work = context;

    return !vt_job_should_stop(work->run);
}

/* 0113, 0114, 0115: trying again would not change the peer's mind. */
static bool is_final(const struct vt_err *why)
{
    return why->code == VT_E_STATUS && why->dimse_status >= 0x0113 && why->dimse_status <= 0x0115;
}

static void publish(const struct work *work, const char *way, const struct vt_err *why)
{
    const struct vt_commitment *commitment = &work->commitment;

    vt_tell(work->commits->options.events,
            why ? "commitment.undelivered" : "commitment.reported", commitment->peer_ae_title,
            "transaction", commitment->transaction_uid, "way", way, "text", why ? why->text : "",
            NULL);
}

static bool tell_outcome(const struct work *work, const struct vt_err *why, bool give_up,
                         struct vt_err *err)
{
    bool told = !vt_failed(why);

    publish(work, "association", told ? NULL : why);
    return vt_commitment_told(work->commits->options.archive, work->commitment.id,
                              told ? NULL : why->text, give_up, err);
}

/* An association of ours: we call ourselves what the peer called us (PS3.4 J.3.3.1.2). */
static enum vt_job_end deliver(struct work *work, struct vt_err *err)
{
    const struct vt_commits_options *options = &work->commits->options;
    const struct vt_peer *known =
        options->peers ? vt_peers_by_title(options->peers, work->commitment.peer_ae_title) : NULL;
    struct vt_commit_list list = { .count = 0 };
    struct vt_err why = { 0 }, ignored = { 0 };

    if (!known || !known->host) {
        vt_fail(&why, VT_E_NOTFOUND,
                "%s took no report on its association and has no host in the configuration",
                work->commitment.peer_ae_title);
    } else {
        struct vt_peer peer = *known;
        peer.local_ae_title = work->commitment.called_ae_title;
        const struct vt_client client = { .calling_ae_title = options->ae_title,
                                          .peer = &peer,
                                          .timeout = options->timeout,
                                          .stop_fd = vt_job_stop_fd(work->run) };
        if (vt_commits_report(work->commits, work->commitment.id, &list, &why))
            vt_client_commit_report(&client, &list, work->commitment.called_ae_title, &why);
    }
    vt_commit_list_fini(&list);
    if (vt_failed(&why) && vt_job_should_stop(work->run))
        return VT_JOB_END_STOPPED;
    bool final = !known || !known->host || is_final(&why);
    if (!tell_outcome(work, &why, final, vt_failed(&why) ? &ignored : err))
        return VT_JOB_END_AGAIN;
    if (!vt_failed(&why))
        return VT_JOB_END_DONE;
    *err = why;
    return final ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
}

static enum vt_job_end report(struct work *work, struct vt_err *err)
{
    struct vt_claim *claim = take_ready(work->commits, work->commitment.id);

    if (claim) {
        enum vt_claim_state state = wait_for_session(work->commits, claim, work->run);
        vt_claim_drop(work->commits, claim);
        if (state == VT_CLAIM_TAKEN) {
            publish(work, "same association", NULL);
            return VT_JOB_END_DONE;
        }
        if (vt_job_should_stop(work->run))
            return VT_JOB_END_STOPPED;
    }
    return deliver(work, err);
}

static enum vt_job_end decide(struct work *work, bool *out_decided, struct vt_err *err)
{
    const struct vt_commits_options *options = &work->commits->options;
    int64_t now = vt_clock_wall();
    uint64_t open = 0;

    *out_decided = false;
    if (!vt_commitment_decide(options->archive, work->commitment.id,
                              now < work->commitment.asked + options->grace, go_on, work, &open,
                              err))
        return err->code == VT_E_CANCELLED ? VT_JOB_END_STOPPED : VT_JOB_END_AGAIN;
    *out_decided = open == 0;
    int64_t look = now + VT_COMMIT_GRACE_LOOK_S * VT_NS_PER_S,
            last = work->commitment.asked + options->grace + 1;
    vt_job_later(work->run, look < last ? look : last > now ? last : now + 1);
    vt_job_progress(work->run, work->commitment.instances - open, 0);
    return VT_JOB_END_LATER;
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    struct work work = { .commits = context, .run = job };
    int64_t id = strtoll(vt_job_of(job)->arguments, NULL, 10);
    bool decided;

    if (!vt_commitment_read(work.commits->options.archive, id, &work.commitment, err))
        return err->code == VT_E_NOTFOUND ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
    vt_job_totals(job, work.commitment.instances, 0);
    if (work.commitment.state == VT_COMMITMENT_QUEUED) {
        enum vt_job_end end = decide(&work, &decided, err);
        if (!decided)
            return end;
    }
    if (work.commitment.state == VT_COMMITMENT_REPORTED)
        return VT_JOB_END_DONE;
    return report(&work, err);
}

struct given_up {
    int64_t transaction;
    char reason[VT_JOB_TEXT_MAX + 1];
};

static bool read_given_up(void *context, const struct vt_job *job)
{
    struct given_up *given_up = context;

    given_up->transaction = strtoll(job->arguments, NULL, 10);
    snprintf(given_up->reason, sizeof given_up->reason, "%s",
             job->state == VT_JOB_CANCELLED || !*job->reason ? vt_job_state_name(job->state)
                                                             : job->reason);
    return false;
}

/* The queue gave up, or somebody cancelled: so it stands in the receipt, and no restart begins
 * anew. */
static void ended(void *context, int64_t id, enum vt_job_state state)
{
    struct vt_commits *commits = context;
    const struct vt_jobs_filter filter = { .id = id };
    struct given_up given_up = { .transaction = 0 };
    struct vt_commitment commitment;
    struct vt_err err = { 0 };

    if (state != VT_JOB_FAILED && state != VT_JOB_CANCELLED)
        return;
    if (vt_jobs_list(commits->options.jobs, &filter, read_given_up, &given_up, &err) &&
        given_up.transaction > 0 &&
        vt_commitment_read(commits->options.archive, given_up.transaction, &commitment, &err) &&
        commitment.state == VT_COMMITMENT_DECIDED)
        vt_commitment_told(commits->options.archive, given_up.transaction, given_up.reason, true,
                           &err);
}

bool vt_commits_register(struct vt_commits *commits, struct vt_err *err)
{
    const struct vt_job_kind kind = {
        .name = kind_name,
        .per_key = REPORTS_TO_ONE_PEER,
        .run = run,
        .ended = ended,
        .context = commits,
    };

    return vt_jobs_kind(commits->options.jobs, &kind, err);
}

bool vt_commits_add_job(struct vt_commits *commits, int64_t transaction, const char *peer,
                        struct vt_err *err)
{
    char number[24];
    const struct vt_job_new job = { .kind = kind_name,
                                    .key = peer,
                                    .subject = peer,
                                    .arguments = number,
                                    .who = peer,
                                    .once = number };

    snprintf(number, sizeof number, "%" PRId64, transaction);
    return vt_jobs_add(commits->options.jobs, &job, NULL, err);
}

bool vt_commits_resume(struct vt_commits *commits, struct vt_err *err)
{
    struct vt_commitment commitment;
    int64_t id = 0;

    for (;;) {
        if (!vt_commitment_next_open(commits->options.archive, id, &id, err))
            return false;
        if (id == 0)
            return true;
        if (!vt_commitment_read(commits->options.archive, id, &commitment, err) ||
            !vt_commits_add_job(commits, id, commitment.peer_ae_title, err))
            return false;
    }
}
