#include "cmd/vitrined_prefetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "archive/worklist.h"
#include "cmd/cli_keys.h"
#include "cmd/route_rules.h"
#include "cmd/vitrined_fetch.h"
#include "cmd/vitrined_jobs.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "scu/peers.h"

enum { RULES_MAX = 100, PRIORS = 3, PRIORS_MAX = 50, FOUND_MAX = 10000, WORD_MAX = 512 };

enum when { WHEN_ARRIVAL, WHEN_SCHEDULED, WHEN_BOTH };

struct prefetch {
    enum when when;
    const char *name, *peer; /* the configuration's */
    struct vt_rule rule;
    struct vt_rule_words prior_match;
    int64_t priors;
};

struct vt_prefetches {
    struct vt_job_world *world;
    struct prefetch *rules;
    size_t count;
};

/* ---- the rules ---- */

static bool read_rule(const struct vt_job_world *world, const char *name, struct prefetch *out,
                      struct vt_err *err)
{
    static const char *const words[] = { "arrival", "scheduled", "both", NULL };
    const struct vt_conf *conf = world->conf;
    size_t when;

    out->name = name;
    out->peer = vt_conf_text(conf, "prefetch", name, "peer", "");
    if (!vt_rule_read(conf, "prefetch", name, &out->rule, err) ||
        !vt_rule_words_read(conf, "prefetch", name, "prior_match", ";", &out->prior_match, err) ||
        !vt_conf_int(conf, "prefetch", name, "priors", 1, PRIORS_MAX, PRIORS, &out->priors, err) ||
        !vt_conf_choice(conf, "prefetch", name, "when", words, WHEN_ARRIVAL, &when, err))
        return false;
    out->when = (enum when)when;
    const struct vt_peer *peer = vt_peers_by_name(world->peers, out->peer);
    return (peer && peer->host) ||
           vt_fail(err, VT_E_INVALID, "prefetch.%s.peer: there is no peer '%s' with a host", name,
                   out->peer);
}

bool vt_prefetches_open(struct vt_job_world *world, struct vt_prefetches **out, struct vt_err *err)
{
    size_t count = 0;

    while (vt_conf_name(world->conf, "prefetch", count))
        if (++count > RULES_MAX)
            return vt_fail(err, VT_E_LIMIT, "more than %d prefetch rules", RULES_MAX);
    if (count == 0)
        return true;
    struct vt_prefetches *all = calloc(1, sizeof *all);
    if (!all || !(all->rules = calloc(count, sizeof *all->rules))) {
        free(all);
        return vt_fail(err, VT_E_NOMEM, "no memory for prefetch rules");
    }
    all->world = world;
    *out = all;
    for (size_t i = 0; i < count; i++, all->count++)
        if (!read_rule(world, vt_conf_name(world->conf, "prefetch", i), &all->rules[i], err)) {
            all->count++;
            return false;
        }
    return true;
}

void vt_prefetches_free(struct vt_prefetches *prefetches)
{
    if (!prefetches)
        return;
    for (size_t i = 0; i < prefetches->count; i++) {
        vt_rule_fini(&prefetches->rules[i].rule);
        vt_rule_words_fini(&prefetches->rules[i].prior_match);
    }
    free(prefetches->rules);
    free(prefetches);
}

/* ---- when: in the thread of the arrivals ---- */

/* `patient` is known of what is only scheduled; NULL: the study is here and tells. */
static bool enqueue(struct vt_job_world *world, const struct prefetch *rule, const char *study_uid,
                    const char *patient, struct vt_err *err)
{
    char who[VT_JOB_TEXT_MAX], once[VT_JOB_TEXT_MAX], key[VT_JOB_NAME_MAX + 1];
    json_t *object =
        json_pack("{s:s, s:s, s:s*}", "rule", rule->name, "study", study_uid, "patient", patient);
    char *arguments = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (!arguments)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    snprintf(who, sizeof who, "prefetch %.100s", rule->name);
    snprintf(once, sizeof once, "%s %.100s", study_uid, rule->name);
    vt_world_key(rule->peer, key);
    const struct vt_job_new job = { .kind = "prefetch",
                                    .key = key,
                                    .subject = study_uid,
                                    .arguments = arguments,
                                    .who = who,
                                    .once = once };
    bool ok = vt_jobs_add(world->jobs, &job, NULL, err);
    free(arguments);
    return ok;
}

void vt_prefetches_began(struct vt_prefetches *prefetches, const char *study_uid,
                         const char *ae_title)
{
    for (size_t i = 0; i < prefetches->count; i++) {
        const struct prefetch *rule = &prefetches->rules[i];
        const struct vt_peer *peer = vt_peers_by_name(prefetches->world->peers, rule->peer);
        struct vt_err err = { 0 };
        /* What was fetched from there brings no priors about: they would bring their own. */
        if ((peer && strcmp(peer->ae_title, ae_title) == 0) ||
            !vt_rule_admits(&rule->rule, ae_title, vt_clock_wall()) || rule->when == WHEN_SCHEDULED)
            continue;
        if (!enqueue(prefetches->world, rule, study_uid, NULL, &err))
            vt_log(VT_LOG_ERROR, "prefetch.failed", "rule=%s text=\"%s\"", rule->name, err.text);
    }
}

static bool has_modality(const struct vt_rule *rule, const char *modality)
{
    for (size_t i = 0; i < rule->modalities.count; i++)
        if (vt_rule_like(rule->modalities.list[i], modality))
            return true;
    return rule->modalities.count == 0;
}

void vt_prefetches_scheduled(struct vt_prefetches *prefetches,
                             const struct vt_worklist_entry *entry)
{
    for (size_t i = 0; i < prefetches->count; i++) {
        const struct prefetch *rule = &prefetches->rules[i];
        struct vt_err err = { 0 };
        if (rule->when == WHEN_ARRIVAL || !has_modality(&rule->rule, entry->modality) ||
            !vt_rule_admits(&rule->rule, entry->station, vt_clock_wall()))
            continue;
        if (!enqueue(prefetches->world, rule, entry->study_uid, entry->patient_id, &err))
            vt_log(VT_LOG_ERROR, "prefetch.failed", "rule=%s text=\"%s\"", rule->name, err.text);
    }
}

/* ---- the job ---- */

struct prior {
    char study[VT_UID_MAX + 1], date[16], time[16];
};

struct looking {
    const char *study; /* that brought it about */
    char patient[256];
    bool matches;
    struct prior *list;
    size_t count, room;
};

static void text_of(const uint8_t *identifier, size_t size, uint32_t tag, char *out, size_t room)
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_element_find(identifier, size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, room);
}

/* Whose study is it, and do its attributes fulfil the rule? */
static bool look_at_study(struct vt_archive *archive, const struct prefetch *rule,
                          struct looking *looking, struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    char word[WORD_MAX];
    const char *words[] = { word };
    struct vt_row row;
    bool more = false;

    snprintf(word, sizeof word, "StudyInstanceUID=%s", looking->study);
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, words, 1, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_find(vt_archive_index(archive), plan, err) : NULL;
    if (!cursor || !vt_cursor_next(cursor, &row, &more, err))
        return false;
    if (!more || !row.patient_id)
        return true;
    const char *uid = row.sop_uid;
    snprintf(looking->patient, sizeof looking->patient, "%s", row.patient_id);
    return vt_rule_select(&rule->rule, archive, looking->study, &uid, 1, &looking->matches, err);
}

static bool on_prior(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct looking *looking = context;
    struct prior prior;

    (void)status;
    text_of(identifier, size, VT_TAG_STUDY_INSTANCE_UID, prior.study, sizeof prior.study);
    text_of(identifier, size, VT_TAG_STUDY_DATE, prior.date, sizeof prior.date);
    text_of(identifier, size, VT_TAG_STUDY_TIME, prior.time, sizeof prior.time);
    if (!vt_uid_usable(prior.study) || strcmp(prior.study, looking->study) == 0)
        return true;
    if (looking->count == FOUND_MAX)
        return true;
    if (looking->count == looking->room) {
        size_t wanted = looking->room ? looking->room * 2 : 16;
        void *grown = reallocarray(looking->list, wanted, sizeof *looking->list);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu studies", wanted);
        looking->list = grown;
        looking->room = wanted;
    }
    looking->list[looking->count++] = prior;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct prior *x = a, *y = b;
    int order = strcmp(y->date, x->date);

    return order ? order : strcmp(y->time, x->time);
}

static bool ask_for_priors(const struct vt_job_peer *peer, const struct prefetch *rule,
                           struct looking *looking, struct vt_err *err)
{
    VT_AUTO_BUF(identifier, VT_IDENTIFIER_MAX);
    char patient[WORD_MAX];
    const char *words[VT_RULE_WORDS_MAX + 1] = { patient };
    size_t count = 1;
    uint16_t status;

    snprintf(patient, sizeof patient, "PatientID=%s", looking->patient);
    for (size_t i = 0; i < rule->prior_match.count; i++)
        words[count++] = rule->prior_match.list[i];
    if (!vt_keys_identifier(VT_LEVEL_STUDY, words, count, true, peer->peer.charset, &identifier,
                            err))
        return false;
    const struct vt_find_request find = { .model = VT_MODEL_STUDY_ROOT,
                                          .identifier = identifier.data,
                                          .size = identifier.size };
    return vt_client_find(&peer->client, &find, on_prior, looking, &status, err);
}

static bool fetch_newest(struct vt_job_world *world, struct vt_job_run *run,
                         const struct prefetch *rule, struct looking *looking, struct vt_err *err)
{
    struct vt_fetch_new list[PRIORS_MAX];
    size_t count = looking->count < (size_t)rule->priors ? looking->count : (size_t)rule->priors;

    if (count == 0)
        return true;
    qsort(looking->list, looking->count, sizeof *looking->list, newest_first);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct vt_fetch_new){ .peer = rule->peer,
                                         .study_uid = looking->list[i].study,
                                         .who = vt_job_of(run)->who };
    if (!vt_fetch_enqueue(world, list, count, NULL, err))
        return false;
    vt_job_totals(run, count, 0);
    vt_job_progress(run, count, 0);
    return true;
}

static enum vt_job_end prefetch(struct vt_job_world *world, struct vt_job_run *run,
                                const char *name, const char *study, const char *patient,
                                struct vt_err *err)
{
    struct looking looking = { .study = study, .matches = patient != NULL };
    struct prefetch rule = { .name = name };
    struct vt_job_peer peer;
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (read_rule(world, name, &rule, err) && vt_world_peer_of(world, run, rule.peer, &peer, err)) {
        vt_world_ask_as_shs(world, &peer);
        snprintf(looking.patient, sizeof looking.patient, "%s", patient ? patient : "");
        bool ok = patient || look_at_study(world->archive, &rule, &looking, err);
        if (ok && looking.matches && *looking.patient && !strpbrk(looking.patient, "*?\\"))
            ok = ask_for_priors(&peer, &rule, &looking, err) &&
                 fetch_newest(world, run, &rule, &looking, err);
        end = ok ? VT_JOB_END_DONE : vt_world_end(run);
    }
    vt_rule_fini(&rule.rule);
    vt_rule_words_fini(&rule.prior_match);
    free(looking.list);
    return end;
}

static enum vt_job_end run(void *context, struct vt_job_run *run, struct vt_err *err)
{
    json_t *arguments = vt_world_arguments(run, err);
    const char *rule = json_string_value(json_object_get(arguments, "rule"));
    const char *study = json_string_value(json_object_get(arguments, "study"));
    const char *patient = json_string_value(json_object_get(arguments, "patient"));
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (arguments && rule && study)
        end = prefetch(context, run, rule, study, patient, err);
    else if (arguments)
        vt_fail(err, VT_E_CORRUPT, "the job names no rule or no study");
    json_decref(arguments);
    return end;
}

bool vt_prefetch_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "prefetch", .run = run, .context = world };

    return vt_jobs_kind(world->jobs, &kind, err);
}
