#include "archive/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/inside.h"
#include "archive/patient.h"
#include "archive/reindex.h"
#include "core/err.h"
#include "core/event.h"
#include "core/io.h"

enum { OBJECT_MODE = 0640, COMPARE_BLOCK = 16 << 10, ASIDE_MAX = 9 };

void vt_staging_name(uint64_t id, char out[static VT_STAGING_NAME])
{
    snprintf(out, VT_STAGING_NAME, "%016" PRIx64, id);
}

/* A small object and where it goes. */
struct small {
    const char *file;
    const uint8_t *bytes;
    size_t size;
};

static struct small small_of(const struct vt_record_body *body)
{
    return (struct small){ body->instance->file, body->bytes, body->size };
}

static bool write_object(int folder, const struct small *object, int flags, struct vt_err *err)
{
    const char *name = vt_folders_name(object->file);
    vt_autoclose fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, OBJECT_MODE);

    if (fd < 0)
        return vt_fail_errno(err, "making %s", object->file);
    if (vt_io_pwrite(fd, object->bytes, object->size, 0, object->file, err))
        return true;
    unlinkat(folder, name, 0);
    return false;
}

bool vt_apply_file(struct vt_archive *archive, const struct vt_record_body *body,
                   struct vt_err *err)
{
    const char *file = body->instance->file;
    int folder = vt_folders_of(archive->folders, file, true, err);
    char staged[VT_STAGING_NAME];

    if (folder < 0)
        return false;
    if (body->staging == 0) {
        const struct small object = small_of(body);
        return write_object(folder, &object, O_EXCL, err);
    }
    vt_staging_name(body->staging, staged);
    int result =
        renameat2(archive->staging, staged, folder, vt_folders_name(file), RENAME_NOREPLACE);
    if (result < 0 && errno == EINVAL) /* a file system without the flag */
        result = renameat(archive->staging, staged, folder, vt_folders_name(file));
    return result == 0 || vt_fail_errno(err, "moving an arrival to %s", file);
}

bool vt_apply_undo_state(struct vt_archive *archive, const struct vt_record_body *body,
                         struct vt_err *err)
{
    const struct vt_instance *instance = body->instance;
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "DELETE FROM version WHERE sop_uid = ? AND file = ? AND arrived = ?", err);
    bool ok =
        stmt &&
        vt_stmt_bind(db, stmt, err, "tti", instance->sop_uid, instance->file, instance->arrived) &&
        vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

void vt_apply_undo_file(struct vt_archive *archive, const struct vt_record_body *body)
{
    struct vt_err ignored = { 0 };
    char staged[VT_STAGING_NAME];

    if (body->has_previous)
        vt_apply_undo_state(archive, body, &ignored);
    if (body->staging != 0) {
        vt_staging_name(body->staging, staged);
        unlinkat(archive->staging, staged, 0);
    }
    int folder = vt_folders_of(archive->folders, body->instance->file, false, &ignored);
    if (folder >= 0)
        unlinkat(folder, vt_folders_name(body->instance->file), 0);
    vt_reindex_note_undone(archive, body->instance->sop_uid);
}

static bool same_bytes(int fd, const struct small *object)
{
    uint8_t block[COMPARE_BLOCK];
    struct stat info;

    if (fstat(fd, &info) < 0 || (uint64_t)info.st_size != object->size)
        return false;
    for (size_t at = 0; at < object->size;) {
        size_t size = object->size - at < sizeof block ? object->size - at : sizeof block;
        ssize_t got = pread(fd, block, size, (off_t)at);
        if (got <= 0 || memcmp(block, object->bytes + at, (size_t)got) != 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool small_again(int folder, const struct small *object, struct vt_err *err)
{
    vt_autoclose fd = openat(folder, vt_folders_name(object->file), O_RDONLY | O_CLOEXEC);

    return (fd >= 0 && same_bytes(fd, object)) || write_object(folder, object, O_TRUNC, err);
}

/* A file that is not ours stays beside, under a name of its own. */
static bool put_aside(struct vt_archive *archive, int folder, const struct small *object,
                      struct vt_err *err)
{
    const char *name = vt_folders_name(object->file);
    vt_autoclose fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    char aside[VT_FILE_MAX];

    vt_err_clear(err);
    if (fd >= 0 && same_bytes(fd, object))
        return true;
    for (unsigned i = 1; i <= ASIDE_MAX; i++) {
        snprintf(aside, sizeof aside, "%s" VT_FOREIGN "%u", name, i);
        if (renameat2(folder, name, folder, aside, RENAME_NOREPLACE) == 0) {
            vt_events_publish(archive->options.events, "volume.foreign", object->file, NULL);
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    return vt_fail_errno(err, "putting aside what lies at %s", object->file);
}

bool vt_apply_late_file(struct vt_archive *archive, const char *file, const uint8_t *bytes,
                        size_t size, struct vt_err *err)
{
    const struct small object = { file, bytes, size };
    int folder = vt_folders_of(archive->folders, file, true, err);

    if (folder < 0)
        return false;
    if (write_object(folder, &object, O_EXCL, err))
        return true;
    return err->code == VT_E_EXISTS && put_aside(archive, folder, &object, err) &&
           small_again(folder, &object, err);
}

bool vt_apply_file_again(struct vt_archive *archive, const struct vt_record_body *body,
                         bool *out_there, struct vt_err *err)
{
    const char *file = body->instance->file, *name = vt_folders_name(file);
    int folder = vt_folders_of(archive->folders, file, true, err);
    char staged[VT_STAGING_NAME];
    struct stat info;

    if (folder < 0)
        return false;
    *out_there = true;
    if (body->staging == 0) {
        const struct small object = small_of(body);
        return small_again(folder, &object, err);
    }
    vt_staging_name(body->staging, staged);
    if (renameat(archive->staging, staged, folder, name) == 0)
        return true;
    if (errno != ENOENT)
        return vt_fail_errno(err, "moving an arrival to %s", file);
    *out_there = fstatat(folder, name, &info, 0) == 0;
    return true;
}

/* ---- state.db ---- */

/* Of a place whose first arrival failed, the row is the second one's. */
#define INSERT_VERSION                                                                             \
    "INSERT OR REPLACE INTO version (sop_uid, version, file, study_uid, size, digest, "            \
    "pixel_digest,"                                                                                \
    " transfer_syntax, arrived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define BIND_VERSION(db, stmt, x, err)                                                             \
    vt_stmt_bind(db, stmt, err, "tittibbti", (x)->sop_uid, (int64_t)(x)->version, (x)->file,       \
                 (x)->study_uid, (int64_t)(x)->file_size, (x)->data_set_digest.bytes,              \
                 sizeof(struct vt_digest), (x)->pixel_digest.bytes, sizeof(struct vt_digest),      \
                 (x)->transfer_syntax, (x)->arrived)

/* The one that was served until now may have been deleted between the decision and its commit. */
static bool add_versions(struct vt_archive *archive, struct vt_db *db,
                         const struct vt_record_body *body, struct vt_err *err)
{
    bool previous =
        body->has_previous && faccessat(archive->root, body->previous.file, F_OK, 0) == 0;
    struct sqlite3_stmt *stmt = vt_db_prepare(db, INSERT_VERSION, err);
    bool ok = stmt &&
              (!previous ||
               (BIND_VERSION(db, stmt, &body->previous, err) && vt_stmt_run(db, stmt, err))) &&
              BIND_VERSION(db, stmt, body->instance, err) && vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

static bool add_quarantine(struct vt_db *db, const struct vt_record_body *body, struct vt_err *err)
{
    const struct vt_instance *instance = body->instance;
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT OR IGNORE INTO quarantine (sop_uid, study_uid, series_uid, sop_class, file, size, "
        "digest, status, reason,"
        " arrived, calling_ae_title, host) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "tttttibititt", instance->sop_uid, instance->study_uid,
                           instance->series_uid, instance->sop_class, instance->file,
                           (int64_t)instance->file_size, instance->data_set_digest.bytes,
                           sizeof(struct vt_digest), (int64_t)body->status, body->reason,
                           instance->arrived, instance->calling_ae_title, instance->host) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

bool vt_apply_state(struct vt_archive *archive, enum vt_record kind,
                    const struct vt_record_body *body, struct vt_err *err)
{
    if (kind != VT_RECORD_VERSION && kind != VT_RECORD_QUARANTINE)
        return true;

    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err);
    if (ok) {
        ok = (kind == VT_RECORD_VERSION ? add_versions(archive, db, body, err)
                                        : add_quarantine(db, body, err)) &&
             vt_db_exec(db, "COMMIT", err);
        struct vt_err ignored = { 0 };
        if (!ok)
            vt_db_exec(db, "ROLLBACK", &ignored);
    }
    vt_state_unlock(archive->state);
    return ok;
}

#define NAMED                                                                                      \
    "SELECT 1 FROM version WHERE file = ?1 AND (arrived = ?2) = ?3 UNION ALL"                      \
    " SELECT 1 FROM quarantine WHERE file = ?1 AND resolved IS NULL AND (arrived = ?2) = ?3"

bool vt_apply_is_named(struct vt_archive *archive, const struct vt_instance *instance,
                       enum vt_named_by by, bool *out_named, struct vt_err *err)
{
    int64_t own = by == VT_NAMED_BY_ITS_ROW;
    struct vt_index_entry entry;
    bool found = false, row = false;

    if (!vt_index_lookup(atomic_load(&archive->index), instance->sop_uid, &entry, &found, err))
        return false;
    *out_named = found && strcmp(entry.file, instance->file) == 0 &&
                 (entry.arrived == instance->arrived) == own;
    if (*out_named)
        return true;
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, NAMED, err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "tii", instance->file, instance->arrived, own) &&
              vt_stmt_step(db, stmt, &row, err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    *out_named = row;
    return ok;
}

bool vt_apply_index(struct vt_archive *archive, enum vt_record kind,
                    const struct vt_record_body *body, unsigned *out_flags, struct vt_err *err)
{
    if (kind != VT_RECORD_STORE && kind != VT_RECORD_VERSION)
        return true;
    if (!vt_index_put(atomic_load(&archive->index), body->instance, out_flags, err))
        return false;
    vt_reindex_note_put(archive, body->instance);
    return !(*out_flags & (VT_PUT_PATIENT_CONFLICT | VT_PUT_PATIENT_MISMATCH)) ||
           vt_patient_note_conflict(archive, body->instance, *out_flags, err);
}
