#include "cmd/verbs_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/walk.h"
#include "core/err.h"
#include "media/import.h"

struct importing {
    struct vt_admin_call *call;
    struct vt_import_call import;
    struct vt_import_counts counts;
    struct vt_import_studies studies;
    uint64_t done;
};

static void import_trouble(void *context, const char *path, const char *why)
{
    struct importing *importing = context;
    struct vt_err ignored = { 0 };

    importing->counts.failed++;
    vt_import_say(&importing->import, path, "failed", false, why, &ignored);
}

static bool import_dicom(struct importing *importing, const char *path, bool named, struct vt_err *err)
{
    struct vt_receive_result result = { 0 };
    struct vt_err why = { 0 };

    if (vt_archive_import_file(importing->call->admin.archive, importing->import.receive, path, &result, &why))
        return vt_import_note(&importing->import, path, &result, err);
    if (!named && why.dimse_status == 0 && (why.code == VT_E_INVALID || why.code == VT_E_CORRUPT)) {
        importing->counts.skipped++; /* in a folder, and no DICOM */
        return vt_import_say(&importing->import, path, "skipped", true, "no DICOM file", err);
    }
    *err = why;
    return false;
}

static bool import_file(void *context, const char *path, uint64_t size, bool named, struct vt_err *err)
{
    struct importing *importing = context;
    struct vt_import_call *import = &importing->import;
    struct vt_err why = { 0 };
    const struct vt_import_kind *kind = vt_import_kind_of(path, &why);

    (void)size;
    import->named = named;
    vt_err_clear(&why);
    bool more = kind ? kind->import(import, path, &why) : import_dicom(importing, path, named, &why);
    if (!more && why.code != VT_E_CANCELLED) {
        importing->counts.failed++;
        more = vt_import_say(import, path, "failed", false, why.text, &why);
    }
    importing->done++;
    if (more && import->progress)
        more = import->progress(import->context, importing->done, 0, "files");
    return more || vt_fail(err, VT_E_CANCELLED, "the import was stopped after %llu files",
                           (unsigned long long)importing->done);
}

/* ---- under another patient ---- */

static bool coerce(struct importing *importing, const char *patient, json_t *result, struct vt_err *err)
{
    const struct vt_admin *admin = &importing->call->admin;
    char text[96];
    int64_t action;

    for (size_t i = 0; i < importing->studies.count; i++) {
        const char *study = importing->studies.uids[i];
        if (!vt_admin_study_move(admin, study, patient, "import", &action, err))
            return false;
        snprintf(text, sizeof text, "'vitrine patient undo %lld' takes it back", (long long)action);
        if (!vt_import_say(&importing->import, study, "moved", false, text, err))
            return false;
    }
    json_object_set_new(result, "moved", json_integer((json_int_t)importing->studies.count));
    return true;
}

static void put_counts(json_t *result, const struct vt_import_counts *counts)
{
    const struct {
        const char *key;
        uint64_t count;
    } list[] = {
        { "stored", counts->stored },           { "duplicates", counts->duplicates },
        { "versions", counts->versions },       { "quarantined", counts->quarantined },
        { "skipped", counts->skipped },         { "failed", counts->failed },
    };

    for (size_t i = 0; i < VT_COUNT(list); i++)
        json_object_set_new(result, list[i].key, json_integer((json_int_t)list[i].count));
}

bool vt_verb_import(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *patient = json_string_value(json_object_get(call->options, "patient-id"));
    VT_AUTO(vt_receive) receive = vt_receive_new(call->admin.archive, err);
    struct importing importing = { .call = call };
    int64_t none;

    if (!receive)
        return false;
    for (size_t i = 0; i < call->arg_count; i++)
        if (call->args[i][0] != '/')
            return vt_fail(err, VT_E_INVALID, "'%.80s' must be an absolute path", call->args[i]);
    if (patient && !vt_admin_study_move(&call->admin, NULL, patient, "", &none, err))
        return false;
    importing.import = (struct vt_import_call){
        .archive = call->admin.archive,
        .receive = receive,
        .options = call->options,
        .counts = &importing.counts,
        .studies = patient ? &importing.studies : NULL,
        .row = call->admin.row,
        .progress = call->admin.progress,
        .context = call->admin.context,
    };
    bool ok = vt_walk_files(call->args, call->arg_count, import_file, import_trouble, &importing, err);
    if (ok)
        put_counts(result, &importing.counts);
    /* What came before it was stopped goes where it was told to go. */
    struct vt_err why = { 0 };
    if (patient && !coerce(&importing, patient, result, &why) && ok) {
        *err = why;
        ok = false;
    }
    free(importing.studies.uids);
    return ok;
}
