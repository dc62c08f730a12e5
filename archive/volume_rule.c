/* Rules and drains: many studies, one after the other, and of a drain what the index does not name. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "archive/admin_rows.h"
#include "archive/copies.h"
#include "archive/inside.h"
#include "archive/last_access.h"
#include "archive/volume_copy.h"
#include "archive/volume_inside.h"
#include "core/err.h"

/* ---- many studies ---- */

enum { STUDIES_AT_ONCE = 256 };

struct studies {
    const struct vt_volume_rule *rule;
    char behind[VT_UID_MAX + 1]; /* in order of UID: those up to here were tried */
    char young[VT_UID_MAX + 1];  /* the study at hand still grows */
    char list[STUDIES_AT_ONCE][VT_UID_MAX + 1];
    size_t count;
};

/* Where the study is, or would be. */
static size_t place_of(const struct studies *studies, const char *uid, bool *out_there)
{
    size_t at = studies->count;

    while (at > 0 && strcmp(studies->list[at - 1], uid) > 0)
        at--;
    *out_there = at > 0 && strcmp(studies->list[at - 1], uid) == 0;
    return *out_there ? at - 1 : at;
}

static void take_out(struct studies *studies, const char *uid)
{
    bool there;
    size_t at = place_of(studies, uid, &there);

    if (!there)
        return;
    studies->count--;
    memmove(studies->list[at], studies->list[at + 1],
            (studies->count - at) * sizeof *studies->list);
}

/* Keeps the first ones behind `behind`. The instances of a study come one after another. */
static bool collect(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct studies *studies = context;
    const struct vt_volume_rule *rule = studies->rule;
    char name[VT_VOLUME_NAME_MAX + 1];
    bool there;

    (void)err;
    if (rule->arrived_before > 0 && entry->arrived >= rule->arrived_before) {
        take_out(studies, entry->study_uid);
        memcpy(studies->young, entry->study_uid, sizeof studies->young);
    }
    vt_volume_of(entry->file, name);
    if (strcmp(name, rule->from) != 0 || strcmp(entry->study_uid, studies->behind) <= 0 ||
        strcmp(entry->study_uid, studies->young) == 0)
        return true;
    size_t at = place_of(studies, entry->study_uid, &there);
    if (there || at == STUDIES_AT_ONCE)
        return true;
    size_t kept = studies->count < STUDIES_AT_ONCE ? studies->count : STUDIES_AT_ONCE - 1;
    memmove(studies->list[at + 1], studies->list[at], (kept - at) * sizeof *studies->list);
    memcpy(studies->list[at], entry->study_uid, sizeof *studies->list);
    studies->count = kept + 1;
    return true;
}

static bool both_ready(struct vt_archive *archive, const struct vt_volume_rule *rule,
                       struct vt_err *err)
{
    return vt_volume_is_ready(archive, rule->from, err) &&
           (!rule->to || vt_volume_is_ready(archive, rule->to, err));
}

static bool is_looked_at(struct vt_archive *archive, const struct vt_volume_rule *rule,
                         const char *study, bool *out_is, struct vt_err *err)
{
    int64_t accessed = 0;

    if (rule->accessed_before > 0 && !vt_accesses_of(archive, study, &accessed, err))
        return false;
    *out_is = accessed > 0 && accessed >= rule->accessed_before;
    return true;
}

static bool turn_study(const struct vt_admin *admin, const struct vt_volume_rule *rule,
                       const char *study, struct vt_volume_moved *out, struct vt_err *err)
{
    const struct vt_volume_turn turn = { .way = rule->way,
                                         /* A drain of what lies there only moves that. */
                                         .from = rule->way == VT_VOLUME_MOVE ? NULL : rule->from,
                                         .to = rule->to };
    bool looked_at = false;

    if (!is_looked_at(admin->archive, rule, study, &looked_at, err))
        return false;
    if (looked_at)
        return true;
    if (rule->study)
        return rule->study(rule->context, study, err);
    return vt_admin_volume_turn_study(admin, study, &turn, out, err);
}

static bool move_studies(const struct vt_admin *admin, struct studies *studies,
                         struct vt_volume_moved *out, struct vt_err *err)
{
    const struct vt_volume_rule *rule = studies->rule;

    do {
        studies->count = 0;
        studies->young[0] = '\0';
        if (!vt_admin_each(admin->archive, rule->query, collect, studies, err))
            return false;
        for (size_t i = 0; i < studies->count; i++) {
            const char *study = studies->list[i];
            if (!turn_study(admin, rule, study, out, err)) {
                /* Deleted meanwhile: nothing is left to be moved. */
                if (err->code != VT_E_NOTFOUND || !both_ready(admin->archive, rule, err))
                    return false;
                vt_err_clear(err);
            }
            memcpy(studies->behind, study, sizeof studies->behind);
        }
    } while (studies->count == STUDIES_AT_ONCE);
    return true;
}

bool vt_admin_volume_migrate(const struct vt_admin *admin, const struct vt_volume_rule *rule,
                             struct vt_volume_moved *out, struct vt_err *err)
{
    if (rule->to && strcmp(rule->from, rule->to) == 0)
        return vt_fail(err, VT_E_INVALID, "volume %s is both source and target", rule->from);
    if (rule->accessed_before > 0 && !vt_accesses_flush(admin->archive, err))
        return false;
    if (!both_ready(admin->archive, rule, err))
        return false;
    vt_autofree struct studies *studies = calloc(1, sizeof *studies);
    if (!studies)
        return vt_fail(err, VT_E_NOMEM, "no memory to move files");
    studies->rule = rule;
    *out = (struct vt_volume_moved){ 0 };
    return move_studies(admin, studies, out, err);
}

/* ---- what a drain takes along ---- */

struct version {
    char sop_uid[VT_UID_MAX + 1], file[VT_FILE_MAX];
};

/* Of a version that is not served. */
static bool next_version(struct vt_archive *archive, const char *volume, const char *after,
                         struct version *out, bool *out_more, struct vt_err *err)
{
    char prefix[VT_FILE_MAX];
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db,
                                              "SELECT sop_uid, file FROM version WHERE file > ?1 AND"
                                              " substr(file, 1, length(?2)) = ?2"
                                              " ORDER BY file LIMIT 1",
                                              err);
    bool main_one = strcmp(volume, VT_VOLUME_MAIN) == 0;

    snprintf(prefix, sizeof prefix, main_one ? "objects/" : "volumes/%s/", volume);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "tt", after, prefix) &&
              vt_stmt_step(db, stmt, out_more, err);
    if (ok && *out_more) {
        snprintf(out->sop_uid, sizeof out->sop_uid, "%s",
                 (const char *)sqlite3_column_text(stmt, 0));
        snprintf(out->file, sizeof out->file, "%s", (const char *)sqlite3_column_text(stmt, 1));
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* The note lets the next start remove the one that no row names. */
static bool note_version(struct vt_archive *archive, const struct version *version, const char *to,
                         const char *sql, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "ttt", to, version->file, version->sop_uid) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* By the exclusive holder: nobody resolves versions meanwhile. What is served was moved before, or could
 * not be. */
static bool carry_version(struct vt_archive *archive, const struct version *version, const char *to,
                          int root, bool *out_carried, struct vt_err *err)
{
    vt_autoclose from = openat(archive->root, version->file, O_RDONLY | O_CLOEXEC);
    struct vt_index_entry entry;
    bool found = false;

    *out_carried = false;
    if (from < 0)
        return errno == ENOENT || vt_fail_errno(err, "%s", version->file);
    if (!vt_index_lookup(atomic_load(&archive->index), version->sop_uid, &entry, &found, err))
        return false;
    if (found && strcmp(entry.file, version->file) == 0)
        return true;
    *out_carried =
        note_version(archive, version, to, VT_VOLUME_NOTE, err) &&
        vt_volume_carry_file(from, version->file, root, vt_volume_below(to), err) &&
        note_version(archive, version, to, VT_VOLUME_RENAME, err);
    return *out_carried;
}

static bool move_version(const struct vt_admin *admin, const struct version *version,
                         const char *volume, struct vt_volume_moved *out, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    char to[VT_FILE_MAX];
    bool main_one = strcmp(volume, VT_VOLUME_MAIN) == 0;
    int length = main_one
                     ? snprintf(to, sizeof to, "%s", vt_volume_below(version->file))
                     : snprintf(to, sizeof to, "volumes/%s/%s", volume,
                                vt_volume_below(version->file));

    if (length >= (int)sizeof to)
        return vt_fail(err, VT_E_LIMIT, "path is too long: %s", version->file);
    vt_autoclose root = vt_volume_root(archive, volume, err);
    if (root < 0 || !vt_volumes_hold(archive, false, err))
        return false;
    bool carried = false, ok = vt_exclusive_begin(archive, err);
    if (ok) {
        ok = vt_archive_cut_all(archive, err) &&
             carry_version(archive, version, to, root, &carried, err);
        vt_exclusive_end(archive);
    }
    if (carried && unlinkat(archive->root, version->file, 0) == 0)
        vt_volume_prune(archive->root, version->file);
    struct vt_err later = { 0 };
    if (vt_volume_sync(archive, version->file, &later))
        note_version(archive, version, to, VT_VOLUME_FORGET, &later);
    vt_volumes_release(archive);
    out->instances += carried;
    if (ok || err->code != VT_E_CORRUPT)
        return ok;
    struct vt_err wrong = *err;
    vt_err_clear(err);
    out->faults++;
    return vt_admin_send(admin,
                         json_pack("{s:s, s:s, s:s, s:s}", "fault", "not moved", "file",
                                   version->file, "SOPInstanceUID", version->sop_uid, "reason",
                                   wrong.text),
                         err);
}

static bool move_versions(const struct vt_admin *admin, const char *from, const char *to,
                          struct vt_volume_moved *out, struct vt_err *err)
{
    struct version version = { .file = "" };
    bool more = true;

    for (;;) {
        if (!next_version(admin->archive, from, version.file, &version, &more, err))
            return false;
        if (!more)
            return true;
        if (!move_version(admin, &version, to, out, err) ||
            !vt_admin_tell_progress(admin, out->instances, 0, "instances", err))
            return false;
    }
}

/* Who has a copy on `from` gets one on `to`, where the first one does not lie there already. */
static bool copy_again(const struct vt_admin *admin, const char *from, const char *to,
                       struct vt_volume_moved *out, struct vt_err *err)
{
    const struct vt_volume_turn turn = { .way = VT_VOLUME_KEEP, .to = to };
    char study[VT_UID_MAX + 1] = "";
    bool more = true;

    for (;;) {
        if (!vt_copies_next_study(admin->archive, from, study, &more, err))
            return false;
        if (!more)
            return true;
        if (!vt_admin_volume_turn_study(admin, study, &turn, out, err)) {
            if (err->code != VT_E_NOTFOUND || !vt_volume_is_ready(admin->archive, to, err))
                return false;
            vt_err_clear(err);
        }
    }
}

bool vt_admin_volume_drain(const struct vt_admin *admin, const char *name, const char *to,
                           struct vt_volume_moved *out, struct vt_err *err)
{
    const struct vt_volume_rule rule = { .from = name, .to = to };

    return vt_admin_volume_migrate(admin, &rule, out, err) &&
           move_versions(admin, name, to, out, err) &&
           (strcmp(to, VT_VOLUME_MAIN) == 0 || copy_again(admin, name, to, out, err)) &&
           vt_copies_give_up(admin, name, &out->faults, err) &&
           vt_state_log(admin->archive->state, admin->who, "volume.drain", name, to, err);
}
