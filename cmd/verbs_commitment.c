#include "cmd/verbs_commitment.h"

#include <jansson.h>
#include <stdio.h>

#include "archive/admin_rows.h"
#include "archive/commitment.h"
#include "cmd/admin_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "core/buf.h"
#include "core/err.h"
#include "scp/commit.h"
#include "scu/commit.h"

bool vt_verb_commitment_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_commitment_list(&call->admin, err);
}

bool vt_verb_commitment_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_commitment_show(&call->admin, call->args[0], err);
}

bool vt_verb_commitment_export(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_commitment_export(&call->admin, call->args[0], err);
}

bool vt_verb_commitment_check(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    uint64_t checked = 0, faults = 0;

    if (!vt_commitment_check(&call->admin, call->args[0], &checked, &faults, err))
        return false;
    json_object_set_new(result, "checked", json_integer((json_int_t)checked));
    json_object_set_new(result, "faults", json_integer((json_int_t)faults));
    return true;
}

bool vt_verb_commitment_resend(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    int64_t id = 0;

    if (!vt_commitment_resend(&call->admin, call->args[0], &id, err))
        return false;
    json_object_set_new(result, "commitment", json_integer(id));
    return !call->world || !call->world->commits || vt_commits_resume(call->world->commits, err);
}

/* ---- what we ask of others ---- */

static bool send_instance(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    return vt_admin_send(context,
                         json_pack("{s:s, s:s}", "SOPClassUID", entry->sop_class, "SOPInstanceUID",
                                   entry->sop_uid),
                         err);
}

bool vt_verb_commitment_instances(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct vt_query_rules rules = *call->rules;
    struct vt_admin admin = call->admin;

    (void)result;
    rules.max_matches = 0;
    rules.relational = true;
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_IMAGE, call->args, call->arg_count, &rules, err);
    return query && vt_admin_each(admin.archive, query, send_instance, &admin, err);
}

bool vt_verb_commitment_expect(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    char title[VT_AE_TITLE_MAX + 1];

    (void)result;
    if (!vt_uid_usable(call->args[0]))
        return vt_fail(err, VT_E_INVALID, "'%.80s' is not a UID", call->args[0]);
    if (!vt_ae_title_trim(call->args[1], title))
        return vt_fail(err, VT_E_INVALID, "'%.40s' is not an AE title", call->args[1]);
    return vt_commitment_expect(call->admin.archive, call->args[0], title, err);
}

static bool send_reference(struct vt_admin_call *call, const struct vt_commit_reference *item,
                           struct vt_err *err)
{
    char reason[8] = "";

    if (item->reason != 0)
        snprintf(reason, sizeof reason, "%04X", item->reason);
    return vt_admin_send(&call->admin,
                         json_pack("{s:s, s:s, s:s}", "SOPClassUID", item->sop_class,
                                   "SOPInstanceUID", item->sop_uid, "result",
                                   *reason ? reason : "committed"),
                         err);
}

bool vt_verb_commitment_answer(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_commit_list list = { .count = 0 };
    bool answered = false;

    bool ok = vt_commitment_answer(call->admin.archive, call->args[0], &bytes, &answered, err) &&
              (!answered || vt_commit_decode(bytes.data, bytes.size, VT_EXPLICIT_LE, &list, err));
    for (size_t i = 0; ok && i < list.count; i++)
        ok = send_reference(call, &list.items[i], err);
    vt_commit_list_fini(&list);
    if (ok)
        json_object_set_new(result, "answered", json_boolean(answered));
    return ok;
}
