#include "cmd/verbs_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/vitrined_media.h"
#include "cmd/walk.h"
#include "core/err.h"

struct importing {
    const struct vt_import_walk *walk;
    struct vt_import_call import;
    uint64_t done;
    bool passing; /* over what was handled before */
    bool away;
};

static bool is_away(struct importing *importing, const char *path)
{
    const struct vt_import_walk *walk = importing->walk;

    importing->away = importing->away || (walk->away && walk->away(walk->context, path));
    return importing->away;
}

static void import_trouble(void *context, const char *path, const char *why)
{
    struct importing *importing = context;
    struct vt_err ignored = { 0 };

    if (is_away(importing, path))
        return;
    importing->import.counts->failed++;
    vt_import_say(&importing->import, path, "failed", false, why, &ignored);
}

static bool import_dicom(struct importing *importing, const char *path, bool named, struct vt_err *err)
{
    struct vt_import_call *import = &importing->import;
    struct vt_receive_result result = { 0 };
    struct vt_err why = { 0 };

    if (vt_archive_import_file(import->archive, import->receive, path, &result, &why))
        return vt_import_note(import, path, &result, err);
    if (!named && why.dimse_status == 0 && (why.code == VT_E_INVALID || why.code == VT_E_CORRUPT)) {
        import->counts->skipped++; /* in a folder, and no DICOM */
        return vt_import_say(import, path, "skipped", true, "no DICOM file", err);
    }
    *err = why;
    return false;
}

static bool told_away(const char *path, struct vt_err *err)
{
    return vt_fail(err, VT_E_NOTFOUND, "the medium is away: %s cannot be read", path);
}

static bool import_one(struct importing *importing, const char *path, bool named, struct vt_err *err)
{
    struct vt_import_call *import = &importing->import;
    struct vt_err why = { 0 };
    const struct vt_import_kind *kind = vt_import_kind_of(path, &why);

    import->named = named;
    vt_err_clear(&why);
    if (kind ? kind->import(import, path, &why) : import_dicom(importing, path, named, &why))
        return true;
    if (why.code == VT_E_CANCELLED)
        return vt_fail(err, VT_E_CANCELLED, "stopped");
    if (is_away(importing, path))
        return told_away(path, err);
    import->counts->failed++;
    return vt_import_say(import, path, "failed", false, why.text, err);
}

static bool import_file(void *context, const char *path, uint64_t size, bool named, struct vt_err *err)
{
    struct importing *importing = context;
    const struct vt_import_walk *walk = importing->walk;
    struct vt_import_call *import = &importing->import;

    if (importing->away)
        return told_away(path, err);
    importing->done++;
    if (importing->passing) {
        importing->passing = strcmp(path, walk->after) != 0;
        return true;
    }
    bool more = import_one(importing, path, named, err);
    if (!more && err->code != VT_E_CANCELLED)
        return false;
    if (more && walk->handled && !walk->handled(walk->context, path, size, err))
        return false;
    if (more && import->progress)
        more = import->progress(import->context, importing->done, 0, "files");
    return more || vt_fail(err, VT_E_CANCELLED, "the import was stopped after %llu files",
                           (unsigned long long)importing->done);
}

bool vt_import_walk(const struct vt_import_walk *walk, struct vt_import_counts *counts, struct vt_import_studies *studies,
                    struct vt_err *err)
{
    VT_AUTO(vt_receive) receive = vt_receive_new(walk->admin->archive, err);
    struct importing importing = { .walk = walk, .passing = walk->after != NULL };

    if (!receive)
        return false;
    importing.import = (struct vt_import_call){
        .archive = walk->admin->archive,
        .receive = receive,
        .options = walk->options,
        .counts = counts,
        .studies = studies,
        .row = walk->admin->row,
        .progress = walk->admin->progress,
        .context = walk->admin->context,
    };
    if (!vt_walk_files(walk->paths, walk->path_count, import_file, import_trouble, &importing, err))
        return false;
    return !importing.away || told_away(walk->paths[0], err);
}

/* ---- under another patient ---- */

bool vt_import_coerce(const struct vt_admin *admin, const json_t *options, const struct vt_import_studies *studies,
                      const char *patient, struct vt_err *err)
{
    const struct vt_import_call telling = { .options = options, .row = admin->row, .context = admin->context };
    char text[96];
    int64_t action;

    for (size_t i = 0; i < studies->count; i++) {
        const char *study = studies->uids[i];
        if (!vt_admin_study_move(admin, study, patient, "import", &action, err))
            return false;
        snprintf(text, sizeof text, "'vitrine patient undo %lld' takes it back", (long long)action);
        if (!vt_import_say(&telling, study, "moved", false, text, err))
            return false;
    }
    return true;
}

/* ---- the verb ---- */

static void put_counts(json_t *result, const struct vt_import_counts *counts)
{
    char text[240];
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
    snprintf(text, sizeof text,
             "%llu stored, %llu were there already, %llu new versions, %llu quarantined, %llu other files passed over, %llu failed",
             (unsigned long long)counts->stored, (unsigned long long)counts->duplicates, (unsigned long long)counts->versions,
             (unsigned long long)counts->quarantined, (unsigned long long)counts->skipped, (unsigned long long)counts->failed);
    json_object_set_new(result, "text", json_string(text));
}

static bool import_now(struct vt_admin_call *call, const char *patient, json_t *result, struct vt_err *err)
{
    const struct vt_import_walk walk = { .admin = &call->admin,
                                         .paths = call->args,
                                         .path_count = call->arg_count,
                                         .options = call->options };
    struct vt_import_counts counts = { 0 };
    struct vt_import_studies studies = { 0 };
    struct vt_err why = { 0 };
    bool ok = vt_import_walk(&walk, &counts, patient ? &studies : NULL, err);

    put_counts(result, &counts);
    /* What came before it was stopped goes where it was told to go. */
    if (patient && !vt_import_coerce(&call->admin, call->options, &studies, patient, &why) && ok) {
        *err = why;
        ok = false;
    }
    if (patient)
        json_object_set_new(result, "moved", json_integer((json_int_t)studies.count));
    free(studies.uids);
    return ok;
}

bool vt_verb_import(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *patient = json_string_value(json_object_get(call->options, "patient-id"));
    int64_t none;

    for (size_t i = 0; i < call->arg_count; i++)
        if (call->args[i][0] != '/')
            return vt_fail(err, VT_E_INVALID, "'%.80s' must be an absolute path", call->args[i]);
    if (patient && !vt_admin_study_move(&call->admin, NULL, patient, "", &none, err))
        return false;
    return json_is_true(json_object_get(call->options, "background")) ? vt_media_import_later(call, result, err)
                                                                      : import_now(call, patient, result, err);
}
