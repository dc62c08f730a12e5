#include "cmd/admin_verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/job_verbs.h"
#include "cmd/peer_failures.h"
#include "cmd/verbs_audit.h"
#include "cmd/verbs_burn.h"
#include "cmd/verbs_commitment.h"
#include "cmd/verbs_export.h"
#include "cmd/verbs_import.h"
#include "cmd/verbs_slide.h"
#include "cmd/verbs_user.h"
#include "cmd/verbs_volume.h"
#include "cmd/verbs_worklist.h"
#include "cmd/vitrined_print.h"
#include "core/err.h"
#include "dicom/command.h"

static const char *text_option(const struct vt_admin_call *call, const char *key)
{
    return json_string_value(json_object_get(call->options, key));
}

static bool flag_option(const struct vt_admin_call *call, const char *key)
{
    return json_is_true(json_object_get(call->options, key));
}

static bool read_id(const char *text, int64_t *out_id, struct vt_err *err)
{
    char *end;

    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (errno || end == text || *end || id <= 0)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is not a number of the list", text);
    *out_id = id;
    return true;
}

static void put_count(json_t *result, const char *key, uint64_t count)
{
    json_object_set_new(result, key, json_integer((json_int_t)count));
}

/* ---- studies, trash ---- */

/* An administrator's list has no limit on its matches: it streams. */
static struct vt_query *read_query(struct vt_admin_call *call, struct vt_err *err)
{
    struct vt_query_rules rules = *call->rules;

    rules.max_matches = 0;
    return vt_query_from_words(VT_LEVEL_STUDY, call->args, call->arg_count, &rules, err);
}

static bool study_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_query) query = read_query(call, err);

    (void)result;
    return query && vt_admin_study_list(&call->admin, query, err);
}

static bool study_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_study_show(&call->admin, call->args[0], err);
}

static bool study_delete(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *reason = text_option(call, "reason");
    uint64_t instances = 0;
    int64_t id = 0;

    const struct vt_admin_part part = { .study_uid = call->args[0],
                                        .series_uid = call->arg_count > 1 ? call->args[1] : NULL,
                                        .sop_uid = call->arg_count > 2 ? call->args[2] : NULL };

    call->admin.committed = flag_option(call, "committed");
    if (!vt_admin_part_delete(&call->admin, &part, reason ? reason : "", &id, &instances, err))
        return false;
    json_object_set_new(result, "trash", json_integer(id));
    put_count(result, "instances", instances);
    return true;
}

/* By the UID of what was deleted, or by the trash number that the list shows. */
static bool study_restore(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *which = call->args[0];
    uint64_t instances = 0;
    int64_t id = 0;
    bool is_uid = strchr(which, '.') != NULL;

    if ((!is_uid && !read_id(which, &id, err)) ||
        !vt_admin_study_restore(&call->admin, id, is_uid ? which : NULL, &instances, err))
        return false;
    put_count(result, "instances", instances);
    return true;
}

static bool trash_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_trash_list(&call->admin, err);
}

static bool trash_purge(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    uint64_t instances = 0;

    call->admin.committed = flag_option(call, "committed");
    if (!vt_admin_trash_purge(&call->admin, flag_option(call, "all"), &instances, err))
        return false;
    put_count(result, "instances", instances);
    return true;
}

/* ---- quarantine, versions, conflicts ---- */

static bool quarantine_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_quarantine_list(&call->admin, err);
}

static bool quarantine_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    int64_t id;

    (void)result;
    return read_id(call->args[0], &id, err) && vt_admin_quarantine_show(&call->admin, id, err);
}

static bool quarantine_resolve(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *how = call->args[1];
    int64_t id;

    (void)result;
    if (strcmp(how, "accept") != 0 && strcmp(how, "discard") != 0)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is neither accept nor discard", how);
    return read_id(call->args[0], &id, err) &&
           vt_admin_quarantine_resolve(&call->admin, id, how, err);
}

static bool version_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_version_list(&call->admin, err);
}

static bool version_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_version_show(&call->admin, call->args[0], err);
}

static bool version_resolve(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    int64_t keep;

    (void)result;
    if (!read_id(call->args[1], &keep, err))
        return false;
    if (keep > UINT32_MAX)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is not a version", call->args[1]);
    return vt_admin_version_resolve(&call->admin, call->args[0], (uint32_t)keep, err);
}

static bool conflict_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_conflict_list(&call->admin, err);
}

static bool conflict_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    int64_t id;

    (void)result;
    return read_id(call->args[0], &id, err) && vt_admin_conflict_show(&call->admin, id, err);
}

static bool conflict_resolve(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    int64_t id;

    (void)result;
    return read_id(call->args[0], &id, err) &&
           vt_admin_conflict_resolve(&call->admin, id, call->args[1], err);
}

/* ---- patients ---- */

static bool patient_merge(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *reason = text_option(call, "reason");
    int64_t id = 0;

    if (!vt_admin_patient_merge(&call->admin, call->args[0], call->args[1], reason ? reason : "",
                                &id, err))
        return false;
    json_object_set_new(result, "action", json_integer(id));
    return true;
}

static bool patient_correct(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *reason = text_option(call, "reason");
    int64_t id = 0;

    if (!vt_admin_patient_correct(&call->admin, call->args[0], call->args + 1, call->arg_count - 1,
                                  reason ? reason : "", &id, err))
        return false;
    json_object_set_new(result, "action", json_integer(id));
    return true;
}

static bool patient_undo(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    int64_t id;

    (void)result;
    return read_id(call->args[0], &id, err) && vt_admin_patient_undo(&call->admin, id, err);
}

static bool patient_log(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_patient_log(&call->admin, err);
}

/* ---- the whole archive ---- */

static bool verify(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_query) query = call->arg_count > 0 ? read_query(call, err) : NULL;
    uint64_t checked = 0, faults = 0;

    if (vt_failed(err) ||
        !vt_admin_verify(&call->admin, query, flag_option(call, "sha256"), &checked, &faults, err))
        return false;
    put_count(result, "checked", checked);
    put_count(result, "faults", faults);
    return true;
}

static bool reindex(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    uint64_t instances = 0;

    if (!vt_admin_reindex(&call->admin, &instances, err))
        return false;
    put_count(result, "instances", instances);
    return true;
}

static bool backup(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    uint64_t instances = 0;

    if (call->args[0][0] != '/')
        return vt_fail(err, VT_E_INVALID, "the folder of a backup must be an absolute path");
    if (!vt_admin_backup(&call->admin, call->args[0], &instances, err))
        return false;
    put_count(result, "instances", instances);
    return true;
}

/* The row passes through here, so that the daemon can add what it knows. */
static bool status_row(void *context, json_t *row)
{
    struct vt_admin_call *call = context;

    if (call->status)
        call->status(call->status_context, row);
    return call->admin.row(call->admin.context, row);
}

static bool status(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct vt_admin admin = call->admin;

    (void)result;
    admin.row = status_row;
    admin.context = call;
    admin.progress = NULL;
    return vt_admin_status(&admin, err);
}

/* ---- the table ---- */

static const struct vt_admin_verb verbs[] = {
    { { "study", "list" }, 0, 64, false, study_list },
    { { "study", "show" }, 1, 1, false, study_show },
    { { "study", "delete" }, 1, 3, true, study_delete },
    { { "study", "restore" }, 1, 1, true, study_restore },
    { { "study", "hold" }, 1, 1, true, vt_verb_study_hold },
    { { "study", "release" }, 1, 1, true, vt_verb_study_release },
    { { "study", "holds" }, 0, 0, false, vt_verb_study_holds },
    { { "trash", "list" }, 0, 0, false, trash_list },
    { { "trash", "purge" }, 0, 0, true, trash_purge },
    { { "quarantine", "list" }, 0, 0, false, quarantine_list },
    { { "quarantine", "show" }, 1, 1, false, quarantine_show },
    { { "quarantine", "resolve" }, 2, 2, true, quarantine_resolve },
    { { "version", "list" }, 0, 0, false, version_list },
    { { "version", "show" }, 1, 1, false, version_show },
    { { "version", "resolve" }, 2, 2, true, version_resolve },
    { { "conflict", "list" }, 0, 0, false, conflict_list },
    { { "conflict", "show" }, 1, 1, false, conflict_show },
    { { "conflict", "resolve" }, 2, 2, true, conflict_resolve },
    { { "patient", "merge" }, 2, 2, true, patient_merge },
    { { "patient", "correct" }, 2, 32, true, patient_correct },
    { { "patient", "undo" }, 1, 1, true, patient_undo },
    { { "patient", "log" }, 0, 0, false, patient_log },
    { { "peer", "failures" }, 0, 1, false, vt_verb_peer_failures },
    { { "commitment", "list" }, 0, 0, false, vt_verb_commitment_list },
    { { "commitment", "show" }, 1, 1, false, vt_verb_commitment_show },
    { { "commitment", "export" }, 1, 1, false, vt_verb_commitment_export },
    { { "commitment", "check" }, 1, 1, false, vt_verb_commitment_check },
    { { "commitment", "resend" }, 1, 1, true, vt_verb_commitment_resend },
    { { "commitment", "instances" }, 1, 64, false, vt_verb_commitment_instances },
    { { "commitment", "expect" }, 2, 2, true, vt_verb_commitment_expect },
    { { "commitment", "answer" }, 1, 1, false, vt_verb_commitment_answer },
    { { "commitment", "ask" }, 2, 64, true, vt_verb_commitment_ask },
    { { "verify", NULL }, 0, 64, false, verify },
    { { "reindex", NULL }, 0, 0, true, reindex },
    { { "backup", NULL }, 1, 1, true, backup },
    { { "status", NULL }, 0, 0, false, status },
    { { "import", NULL }, 1, 4096, true, vt_verb_import },
    { { "export", NULL }, 1, 64, true, vt_verb_export },
    { { "burn", "list" }, 0, 0, false, vt_verb_burn_list },
    { { "burn", "show" }, 1, 1, false, vt_verb_burn_show },
    { { "burn", "cancel" }, 1, 64, true, vt_verb_burn_cancel },
    { { "volume", "list" }, 0, 0, false, vt_verb_volume_list },
    { { "volume", "add" }, 1, 1, true, vt_verb_volume_add },
    { { "volume", "drain" }, 1, 1, true, vt_verb_volume_drain },
    { { "volume", "verify" }, 1, 1, false, vt_verb_volume_verify },
    { { "volume", "expire" }, 1, 1, true, vt_verb_volume_expire },
    { { "worklist", "add" }, 1, 256, true, vt_verb_worklist_add },
    { { "worklist", "list" }, 0, 0, false, vt_verb_worklist_list },
    { { "worklist", "remove" }, 1, 4096, true, vt_verb_worklist_remove },
    { { "mpps", "list" }, 0, 0, false, vt_verb_mpps_list },
    { { "mpps", "show" }, 1, 1, false, vt_verb_mpps_show },
    { { "slide", "list" }, 0, 64, false, vt_verb_slide_list },
    { { "slide", "restore" }, 1, 64, false, vt_verb_slide_restore },
    { { "user", "add" }, 1, 1, true, vt_verb_user_add },
    { { "user", "change" }, 1, 1, true, vt_verb_user_change },
    { { "user", "list" }, 0, 0, false, vt_verb_user_list },
    { { "user", "remove" }, 1, 1, true, vt_verb_user_remove },
    { { "job", "list" }, 0, 0, false, vt_verb_job_list },
    { { "job", "show" }, 1, 1, false, vt_verb_job_show },
    { { "job", "cancel" }, 0, 4096, true, vt_verb_job_cancel },
    { { "job", "pause" }, 0, 4096, true, vt_verb_job_pause },
    { { "job", "resume" }, 0, 4096, true, vt_verb_job_resume },
    { { "job", "retry" }, 0, 4096, true, vt_verb_job_retry },
    { { "fetch", NULL }, 2, 65, true, vt_verb_fetch },
    { { "send", NULL }, 2, 65, true, vt_verb_send },
    { { "print", NULL }, 2, 65, true, vt_verb_print },
};

const struct vt_admin_verb *vt_admin_verb_at(size_t i)
{
    return i < VT_COUNT(verbs) ? &verbs[i] : NULL;
}

const struct vt_admin_verb *vt_admin_verb_find(const char *const *words, size_t count)
{
    for (size_t i = 0; i < VT_COUNT(verbs); i++) {
        const struct vt_admin_verb *verb = &verbs[i];
        if (count == (verb->words[1] ? 2 : 1) && strcmp(words[0], verb->words[0]) == 0 &&
            (!verb->words[1] || strcmp(words[1], verb->words[1]) == 0))
            return verb;
    }
    return NULL;
}

bool vt_admin_verb_run(const struct vt_admin_verb *verb, struct vt_admin_call *call,
                       json_t **out_result, struct vt_err *err)
{
    if (call->arg_count < verb->min_args || call->arg_count > verb->max_args)
        return vt_fail(err, VT_E_INVALID, "'%s%s%s' has too %s words behind it", verb->words[0],
                       verb->words[1] ? " " : "", verb->words[1] ? verb->words[1] : "",
                       call->arg_count < verb->min_args ? "few" : "many");
    json_t *result = json_object();
    if (!result)
        return vt_fail(err, VT_E_NOMEM, "no memory for a result");
    bool done = verb->run(call, result, err);
    vt_verb_audit(verb, call, done);
    if (!done) {
        json_decref(result);
        return false;
    }
    *out_result = result;
    return true;
}
