/* Quarantined arrivals and instances with several versions. */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "archive/admin_rows.h"
#include "archive/inside.h"
#include "archive/place.h"
#include "core/err.h"
#include "core/event.h"
#include "dicom/element.h"

enum { VERSIONS_MAX = 100000 };

/* ---- quarantine ---- */

#define QUARANTINE_COLUMNS                                                                         \
    "SELECT id, sop_uid AS SOPInstanceUID, study_uid AS StudyInstanceUID, series_uid AS "          \
    "SeriesInstanceUID,"                                                                           \
    " sop_class AS SOPClassUID, file, size, digest, printf('%04X', status) AS status, reason, "    \
    "arrived,"                                                                                     \
    " calling_ae_title, host FROM quarantine WHERE resolved IS NULL"

struct quarantined {
    char sop_uid[VT_UID_MAX + 1];
    char file[VT_FILE_MAX];
    uint64_t size;
};

bool vt_admin_quarantine_list(const struct vt_admin *admin, struct vt_err *err)
{
    return vt_admin_rows_of(admin, QUARANTINE_COLUMNS " ORDER BY id", "", NULL, 0, NULL, err);
}

bool vt_admin_quarantine_show(const struct vt_admin *admin, int64_t id, struct vt_err *err)
{
    size_t count = 0;

    return vt_admin_rows_of(admin, QUARANTINE_COLUMNS " AND id = ?", "i", NULL, id, &count, err) &&
           (count > 0 ||
            vt_fail(err, VT_E_NOTFOUND, "nothing with id %" PRId64 " is in quarantine", id));
}

static bool find_quarantined(struct vt_archive *archive, int64_t id, struct quarantined *out,
                             struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT sop_uid, file, size FROM quarantine WHERE id = ? AND resolved IS NULL", err);
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_step(db, stmt, &row, err);

    if (ok && row) {
        snprintf(out->sop_uid, sizeof out->sop_uid, "%s",
                 (const char *)sqlite3_column_text(stmt, 0));
        snprintf(out->file, sizeof out->file, "%s", (const char *)sqlite3_column_text(stmt, 1));
        out->size = (uint64_t)sqlite3_column_int64(stmt, 2);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok &&
           (row || vt_fail(err, VT_E_NOTFOUND, "nothing with id %" PRId64 " is in quarantine", id));
}

/* A free place in objects/ behind the version that is served. */
static bool place(struct vt_archive *archive, struct vt_instance *instance, uint32_t version,
                  struct vt_err *err)
{
    const struct vt_buf *study = &instance->attributes[VT_LEVEL_STUDY];
    struct vt_element element;
    char date[16] = "";

    if (vt_element_find(study->data, study->size, VT_EXPLICIT_LE, VT_TAG_STUDY_DATE, &element))
        vt_element_text(&element, date, sizeof date);
    for (instance->version = version; instance->version < VERSIONS_MAX; instance->version++) {
        vt_place_object(instance, date);
        if (faccessat(archive->root, instance->file, F_OK, 0) < 0)
            return true;
    }
    return vt_fail(err, VT_E_LIMIT, "more than %d versions of %s", VERSIONS_MAX, instance->sop_uid);
}

static bool collect_accept(struct vt_archive *archive, const struct quarantined *quarantined,
                           struct vt_moves *moves, struct vt_err *err)
{
    struct vt_index_entry there;
    struct vt_instance instance;
    bool found = false;

    vt_instance_init(&instance);
    bool ok =
        vt_archive_reread(archive, quarantined->file, &instance, err) &&
        vt_index_lookup(vt_archive_index(archive), quarantined->sop_uid, &there, &found, err) &&
        place(archive, &instance, found ? there.version + 1 : 1, err) &&
        (!found || vt_moves_add(moves, there.sop_uid, there.version, there.file, there.file,
                                there.file_size, VT_MOVE_FILE, err)) &&
        vt_moves_add(moves, instance.sop_uid, instance.version, quarantined->file, instance.file,
                     quarantined->size, VT_MOVE_PUT, err);
    vt_instance_fini(&instance);
    return ok;
}

static bool resolve(struct vt_archive *archive, const struct quarantined *quarantined, bool accept,
                    const struct vt_file_operation *operation, struct vt_err *err)
{
    struct vt_moves moves = { 0 };
    struct vt_uid_lock lock;
    uint64_t instances = 0;
    int64_t ignored = 0;

    /* First the UID, which arrivals hold while they wait for their commit. */
    vt_locks_take(archive->locks, &lock, quarantined->sop_uid);
    bool ok = vt_exclusive_begin(archive, err);
    if (ok) {
        ok = (accept ? collect_accept(archive, quarantined, &moves, err)
                     : vt_moves_add(&moves, quarantined->sop_uid, 1, quarantined->file, NULL,
                                    quarantined->size, VT_MOVE_FILE, err)) &&
             vt_moves_run(archive, &moves, operation, &ignored, &instances, err);
        vt_exclusive_end(archive);
    }
    vt_locks_give(archive->locks, &lock);
    vt_moves_fini(&moves);
    return ok;
}

bool vt_admin_quarantine_resolve(const struct vt_admin *admin, int64_t id, const char *how,
                                 struct vt_err *err)
{
    bool accept = strcmp(how, "accept") == 0;
    struct vt_archive *archive = admin->archive;
    struct quarantined quarantined;
    char also[128], subject[32];

    if (!accept && strcmp(how, "discard") != 0)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is neither accept nor discard", how);
    if (!find_quarantined(archive, id, &quarantined, err))
        return false;
    snprintf(subject, sizeof subject, "%" PRId64, id);
    snprintf(also, sizeof also, "UPDATE quarantine SET resolved = '%s' WHERE id = %" PRId64, how,
             id);
    struct vt_file_operation operation = { .kind =
                                               accept ? "quarantine-accept" : "quarantine-discard",
                                           .subject = subject,
                                           .who = admin->who,
                                           .trash = !accept,
                                           .also = also };
    if (!resolve(archive, &quarantined, accept, &operation, err) ||
        !vt_state_log(archive->state, admin->who, operation.kind, quarantined.sop_uid, NULL, err))
        return false;
    vt_events_publish(archive->options.events, "quarantine.resolved", quarantined.sop_uid, NULL);
    return true;
}

/* ---- versions ---- */

bool vt_admin_version_list(const struct vt_admin *admin, struct vt_err *err)
{
    return vt_admin_rows_of(
        admin,
        "SELECT sop_uid AS SOPInstanceUID, study_uid AS StudyInstanceUID, count(*) AS versions,"
        " max(arrived) AS arrived FROM version GROUP BY sop_uid HAVING count(*) > 1"
        " ORDER BY max(arrived) DESC",
        "", NULL, 0, NULL, err);
}

struct shown {
    const struct vt_admin *admin;
    struct vt_index_entry served;
};

static bool mark_served(void *context, json_t *row)
{
    struct shown *shown = context;
    bool served =
        json_integer_value(json_object_get(row, "version")) == (json_int_t)shown->served.version;

    json_object_set_new(row, "served", json_boolean(served));
    return !shown->admin->row || shown->admin->row(shown->admin->context, row);
}

static bool served_version(struct vt_archive *archive, const char *sop_uid,
                           struct vt_index_entry *out, struct vt_err *err)
{
    bool found = false;

    return vt_index_lookup(vt_archive_index(archive), sop_uid, out, &found, err) &&
           (found || vt_fail(err, VT_E_NOTFOUND, "no instance %.64s", sop_uid));
}

bool vt_admin_version_show(const struct vt_admin *admin, const char *sop_uid, struct vt_err *err)
{
    struct shown shown = { .admin = admin };
    struct vt_admin marking = *admin;
    size_t count = 0;

    marking.row = mark_served;
    marking.context = &shown;
    return served_version(admin->archive, sop_uid, &shown.served, err) &&
           vt_admin_rows_of(&marking,
                            "SELECT version, file, size, digest, pixel_digest, transfer_syntax AS "
                            "TransferSyntaxUID,"
                            " arrived FROM version WHERE sop_uid = ? ORDER BY version",
                            "t", sop_uid, 0, &count, err) &&
           (count > 0 ||
            vt_fail(err, VT_E_NOTFOUND, "instance %.64s has one version only", sop_uid));
}

/* The kept one is served (its row is put again when another was), the others go. */
static bool collect_others(struct vt_archive *archive, const struct vt_index_entry *served,
                           uint32_t keep, struct vt_moves *moves, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT version, file, size FROM version WHERE sop_uid = ? ORDER BY version", err);
    bool row = false, kept = false, ok = stmt && vt_stmt_bind(db, stmt, err, "t", served->sop_uid);

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        uint32_t version = (uint32_t)sqlite3_column_int64(stmt, 0);
        const char *file = (const char *)sqlite3_column_text(stmt, 1);
        uint64_t size = (uint64_t)sqlite3_column_int64(stmt, 2);
        if (version != keep)
            ok = vt_moves_add(moves, served->sop_uid, version, file, NULL, size, VT_MOVE_FILE, err);
        else if (version != served->version)
            ok = vt_moves_add(moves, served->sop_uid, version, file, file, size, VT_MOVE_PUT, err);
        kept = kept || version == keep;
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok && (kept || vt_fail(err, VT_E_NOTFOUND, "instance %s has no version %u",
                                  served->sop_uid, keep));
}

/* Before the others go: the version that comes to be served can be read. */
static bool can_be_served(struct vt_archive *archive, const struct vt_moves *moves,
                          struct vt_err *err)
{
    struct vt_instance instance;
    bool ok = true;

    vt_instance_init(&instance);
    for (size_t i = 0; ok && i < moves->count; i++)
        ok = moves->items[i].action != VT_MOVE_PUT ||
             vt_archive_reread(archive, moves->items[i].from_file, &instance, err);
    vt_instance_fini(&instance);
    return ok;
}

bool vt_admin_version_resolve(const struct vt_admin *admin, const char *sop_uid, uint32_t keep,
                              struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    struct vt_file_operation operation = {
        .kind = "version", .subject = sop_uid, .who = admin->who, .trash = true
    };
    struct vt_index_entry served;
    struct vt_moves moves = { 0 };
    struct vt_uid_lock lock;
    uint64_t instances = 0;
    int64_t ignored = 0;

    vt_locks_take(archive->locks, &lock, sop_uid);
    bool ok = vt_exclusive_begin(archive, err);
    if (ok) {
        ok = served_version(archive, sop_uid, &served, err) &&
             collect_others(archive, &served, keep, &moves, err) &&
             can_be_served(archive, &moves, err) &&
             (moves.count == 0 ||
              vt_moves_run(archive, &moves, &operation, &ignored, &instances, err));
        vt_exclusive_end(archive);
    }
    vt_locks_give(archive->locks, &lock);
    vt_moves_fini(&moves);
    return ok && vt_state_log(archive->state, admin->who, "version.resolve", sop_uid, NULL, err);
}
