/* What kinds of imports have in common: counting, rows, one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "core/err.h"
#include "media/import.h"

bool vt_import_studies_add(struct vt_import_studies *studies, const char *study_uid, struct vt_err *err)
{
    for (size_t i = studies->count; i-- > 0;)
        if (strcmp(studies->uids[i], study_uid) == 0)
            return true;
    if (studies->count == VT_IMPORT_STUDIES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d studies in one import", VT_IMPORT_STUDIES_MAX);
    if (studies->count == studies->room) {
        size_t room = studies->room ? 2 * studies->room : 16;
        void *grown = reallocarray(studies->uids, room, sizeof *studies->uids);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of studies");
        studies->uids = grown;
        studies->room = room;
    }
    snprintf(studies->uids[studies->count++], VT_UID_MAX + 1, "%s", study_uid);
    return true;
}

static bool send_row(const struct vt_import_call *call, json_t *row, struct vt_err *err)
{
    bool more = !row || call->row(call->context, row);

    json_decref(row);
    return more || vt_fail(err, VT_E_CANCELLED, "stopped");
}

bool vt_import_say(const struct vt_import_call *call, const char *path, const char *result, bool quiet,
                   const char *text, struct vt_err *err)
{
    if (quiet && !json_object_get(call->options, "report"))
        return true;
    return send_row(call, json_pack("{s:s%, s:s, s:s}", "file", path, strlen(path), "result", result, "text", text), err);
}

static bool row_of(const struct vt_import_call *call, const char *path, const char *became,
                   const struct vt_receive_result *result, const char *text, bool quiet, struct vt_err *err)
{
    if (quiet && !json_object_get(call->options, "report"))
        return true;
    return send_row(call,
                    json_pack("{s:s%, s:s, s:s, s:i, s:s}", "file", path, strlen(path), "result", became, "sop_instance_uid",
                              result->sop_uid, "status", result->status, "text", text),
                    err);
}

bool vt_import_note(const struct vt_import_call *call, const char *path, const struct vt_receive_result *result,
                    struct vt_err *err)
{
    bool fresh = result->decision == VT_DECISION_STORED || result->decision == VT_DECISION_VERSION;

    if (fresh && call->studies && !vt_import_studies_add(call->studies, result->study_uid, err))
        return false;
    switch (result->decision) {
    case VT_DECISION_STORED:
        call->counts->stored++;
        return row_of(call, path, "stored", result, "", true, err);
    case VT_DECISION_DUPLICATE:
        call->counts->duplicates++;
        return row_of(call, path, "known", result, "", true, err);
    case VT_DECISION_VERSION:
        call->counts->versions++;
        return row_of(call, path, "version", result, "other attributes than the one kept so far", false, err);
    case VT_DECISION_QUARANTINED:
        call->counts->quarantined++;
        return row_of(call, path, "quarantined", result, result->comment, false, err);
    default:
        call->counts->failed++;
        return row_of(call, path, "failed", result, result->comment, false, err);
    }
}

bool vt_import_descriptor(const struct vt_import_call *call, int fd, const char *path, struct vt_err *err)
{
    struct vt_receive_result result = { 0 };
    struct vt_err why = { 0 };
    char name[40];

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (vt_archive_import_file(call->archive, call->receive, name, &result, &why))
        return vt_import_note(call, path, &result, err);
    if (why.dimse_status == 0 && (why.code == VT_E_INVALID || why.code == VT_E_CORRUPT)) {
        call->counts->skipped++;
        return vt_import_say(call, path, "skipped", true, "no DICOM file", err);
    }
    call->counts->failed++;
    return vt_import_say(call, path, "failed", false, why.text, err);
}
