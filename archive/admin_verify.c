/* verify: every row against its file, every file against its row. */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "archive/admin_rows.h"
#include "archive/inside.h"
#include "archive/late.h"
#include "archive/rebuild.h"
#include "archive/volume.h"
#include "core/err.h"
#include "core/event.h"

enum { VERIFY_BLOCK = 1 << 20, SHA256_BYTES = 32, PROGRESS_EVERY = 100 };

struct verify {
    const struct vt_admin *admin;
    struct vt_archive *archive;
    bool sha256;
    uint8_t *block;
    uint64_t total, checked, faults;
    const char *only; /* the volume that is looked at; NULL: all */
    char away[VT_VOLUMES_MAX][VT_VOLUME_NAME_MAX + 1]; /* those that were told already */
    size_t away_count;
};

static bool tell(struct verify *verify, const char *fault, const char *file, const char *sop_uid,
                 const char *reason, struct vt_err *err)
{
    verify->faults++;
    if (sop_uid)
        vt_events_publish(verify->archive->options.events, "instance.corrupt", sop_uid, NULL);
    return vt_admin_send(verify->admin,
                         json_pack("{s:s, s:s, s:s*, s:s*}", "fault", fault, "file", file,
                                   "SOPInstanceUID", sop_uid, "reason", reason),
                         err);
}

/* Why a file cannot be read: a fault of the file, unless it is ours. */
static bool tell_unreadable(struct verify *verify, const char *file, const char *sop_uid,
                            const struct vt_err *why, struct vt_err *err)
{
    if (why->code != VT_E_NOMEM)
        return tell(verify, "unreadable", file, sop_uid, why->text, err);
    *err = *why;
    return false;
}

struct expected {
    const char *file, *sop_uid;
    uint64_t size, offset;
    struct vt_digest digest;
};

/* Reads the whole file; the digest is over the data set, SHA-256 over all of it. */
static bool read_digests(const struct verify *verify, int fd, const struct expected *expected,
                         struct vt_digest *out, uint8_t sha[static SHA256_BYTES])
{
    XXH3_state_t state;
    EVP_MD_CTX *context = verify->sha256 ? EVP_MD_CTX_new() : NULL;
    bool ok = !verify->sha256 || (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    ssize_t got = 0;

    XXH3_128bits_reset(&state);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (uint64_t at = 0; ok && (got = pread(fd, verify->block, VERIFY_BLOCK, (off_t)at)) > 0;
         at += (uint64_t)got) {
        uint64_t skip = at < expected->offset ? expected->offset - at : 0;
        if (skip < (uint64_t)got)
            XXH3_128bits_update(&state, verify->block + skip, (size_t)((uint64_t)got - skip));
        ok = !context || EVP_DigestUpdate(context, verify->block, (size_t)got) == 1;
    }
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(out, canonical.digest, sizeof *out);
    ok = ok && got == 0 && (!context || EVP_DigestFinal_ex(context, sha, NULL) == 1);
    EVP_MD_CTX_free(context);
    return ok;
}

static bool tell_sha256(struct verify *verify, const struct expected *expected,
                        const uint8_t sha[static SHA256_BYTES], struct vt_err *err)
{
    char text[2 * SHA256_BYTES + 1];

    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", sha[i]);
    return vt_admin_send(verify->admin,
                         json_pack("{s:s, s:s, s:s}", "file", expected->file, "SOPInstanceUID",
                                   expected->sop_uid, "sha256", text),
                         err);
}

static bool check_file(struct verify *verify, const struct expected *expected, struct vt_err *err)
{
    vt_autoclose fd = openat(verify->archive->root, expected->file, O_RDONLY | O_CLOEXEC);
    struct vt_digest digest;
    uint8_t sha[SHA256_BYTES];
    struct stat info;

    if (++verify->checked % PROGRESS_EVERY == 0 &&
        !vt_admin_tell_progress(verify->admin, verify->checked, verify->total, "instances", err))
        return false;
    if (fd < 0 || fstat(fd, &info) < 0)
        return tell(verify, "missing", expected->file, expected->sop_uid, NULL, err);
    if ((uint64_t)info.st_size != expected->size)
        return tell(verify, "size", expected->file, expected->sop_uid, NULL, err);
    if (!read_digests(verify, fd, expected, &digest, sha))
        return tell(verify, "unreadable", expected->file, expected->sop_uid, NULL, err);
    if (memcmp(&digest, &expected->digest, sizeof digest) != 0)
        return tell(verify, "digest", expected->file, expected->sop_uid, NULL, err);
    return !verify->sha256 || tell_sha256(verify, expected, sha, err);
}

/* One row for a volume, not one for each of its instances: nothing is known of them. */
static bool tell_away(void *context, const char *name, struct vt_err *err)
{
    struct verify *verify = context;

    for (size_t i = 0; i < verify->away_count; i++)
        if (strcmp(verify->away[i], name) == 0)
            return true;
    if (verify->away_count < VT_VOLUMES_MAX)
        snprintf(verify->away[verify->away_count++], sizeof *verify->away, "%s", name);
    verify->faults++;
    return vt_admin_send(verify->admin,
                         json_pack("{s:s, s:s, s:s}", "fault", "away", "file", name, "reason",
                                   "the volume is not there: its instances were not checked"),
                         err);
}

/* A row that went while we looked is no fault. */
static bool check_row(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct verify *verify = context;
    char volume[VT_VOLUME_NAME_MAX + 1];
    struct vt_index_entry now;
    struct vt_err away = { 0 };
    struct stat info;
    bool found = false;

    vt_volume_of(entry->file, volume);
    if (verify->only && strcmp(verify->only, volume) != 0)
        return true;
    if (!vt_volume_is_ready(verify->archive, volume, &away))
        return tell_away(verify, volume, err);
    bool whole = fstatat(verify->archive->root, entry->file, &info, 0) == 0 &&
                 (uint64_t)info.st_size == entry->file_size;
    if (!whole && !vt_late_wait(verify->archive, entry->file, &away))
        return tell(verify, "late", entry->file, NULL, away.text, err);
    if (!whole && fstatat(verify->archive->root, entry->file, &info, 0) < 0) {
        if (!vt_index_lookup(vt_archive_index(verify->archive), entry->sop_uid, &now, &found, err))
            return false;
        if (!found || strcmp(now.file, entry->file) != 0)
            return true;
    }
    struct expected expected = { entry->file, entry->sop_uid, entry->file_size,
                                 entry->data_set_offset, entry->data_set_digest };
    return check_file(verify, &expected, err);
}

/* ---- files ---- */

/* Is it the file of a version that is not served, or a second copy? Then it is checked. */
static bool check_version(struct verify *verify, const char *file, bool *out_known,
                          struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(verify->archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT sop_uid, size, digest FROM version WHERE file = ?1 UNION ALL"
                      " SELECT sop_uid, size, digest FROM volume_second WHERE file = ?1",
                      err);
    struct expected expected = { .file = file };
    char sop_uid[VT_UID_MAX + 1] = "";
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "t", file) && vt_stmt_step(db, stmt, &row, err);

    if (ok && row) {
        snprintf(sop_uid, sizeof sop_uid, "%s", (const char *)sqlite3_column_text(stmt, 0));
        expected.size = (uint64_t)sqlite3_column_int64(stmt, 1);
        if (sqlite3_column_bytes(stmt, 2) == (int)sizeof expected.digest)
            memcpy(&expected.digest, sqlite3_column_blob(stmt, 2), sizeof expected.digest);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(verify->archive->state);
    *out_known = row;
    if (!ok || !row)
        return ok;
    expected.sop_uid = sop_uid;
    vt_autoclose fd = openat(verify->archive->root, file, O_RDONLY | O_CLOEXEC);
    struct vt_part10 meta;
    struct vt_err wrong = { 0 };
    if (fd < 0 || !vt_part10_read_file(fd, file, &meta, &wrong))
        return tell_unreadable(verify, file, sop_uid, &wrong, err);
    expected.offset = meta.data_set_offset;
    return check_file(verify, &expected, err);
}

static bool has_row(struct verify *verify, const char *sop_uid, const char *file, bool *out_has,
                    struct vt_err *err)
{
    struct vt_index_entry entry;
    bool found = false;

    if (!vt_index_lookup(vt_archive_index(verify->archive), sop_uid, &entry, &found, err))
        return false;
    *out_has = found && strcmp(entry.file, file) == 0;
    return true;
}

static bool check_object(void *context, const char *file, struct vt_err *err)
{
    struct verify *verify = context;
    vt_autoclose fd = openat(verify->archive->root, file, O_RDONLY | O_CLOEXEC);
    struct vt_err wrong = { 0 };
    struct vt_part10 meta;
    struct vt_uid_lock lock;
    bool has = false;

    if (fd < 0)
        return true; /* gone meanwhile */
    if (!vt_part10_read_file(fd, file, &meta, &wrong)) {
        struct vt_err late = { 0 };
        bool made = vt_late_wait(verify->archive, file, &late);
        vt_err_clear(&wrong);
        if (!made || !vt_part10_read_file(fd, file, &meta, &wrong))
            return tell_unreadable(verify, file, NULL, made ? &wrong : &late, err);
    }
    if (!has_row(verify, meta.sop_instance_uid, file, &has, err))
        return false;
    if (has)
        return true;
    if (!check_version(verify, file, &has, err) || has)
        return has;
    /* It may be on its way: its arrival holds the UID until the row is there. */
    vt_locks_take(verify->archive->locks, &lock, meta.sop_instance_uid);
    bool ok = has_row(verify, meta.sop_instance_uid, file, &has, err);
    vt_locks_give(verify->archive->locks, &lock);
    if (!ok || has)
        return ok;
    if (faccessat(verify->archive->root, file, F_OK, 0) < 0)
        return true;
    return tell(verify, "orphan", file, NULL, "no row in the index names this file", err);
}

/* ---- what only state.db names: versions that are not served, quarantine, trash ---- */

#define KEPT                                                                                       \
    "SELECT file, size, sop_uid AS SOPInstanceUID FROM version UNION ALL"                          \
    " SELECT file, size, sop_uid AS SOPInstanceUID FROM volume_second"
#define QUARANTINED                                                                                \
    "SELECT file, size, sop_uid AS SOPInstanceUID, digest FROM quarantine WHERE resolved IS NULL"
#define TRASHED                                                                                    \
    "SELECT to_file AS file, size, sop_uid AS SOPInstanceUID FROM operation_file"                  \
    " WHERE operation = ? AND to_file LIKE 'trash/%'"
#define STILL_KEPT                                                                                 \
    "SELECT 1 FROM version WHERE file = ?1 UNION ALL"                                              \
    " SELECT 1 FROM volume_second WHERE file = ?1 UNION ALL"                                       \
    " SELECT 1 FROM quarantine WHERE resolved IS NULL AND file = ?1 UNION ALL"                     \
    " SELECT 1 FROM operation_file JOIN operation ON id = operation"                               \
    " WHERE trash = 1 AND state = 'done' AND to_file = ?1"

struct kept {
    struct verify *verify;
    struct vt_err *err;
};

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text ? text : "";
}

/* Others may have restored or purged it since the rows were read. */
static bool is_kept(const struct verify *verify, const char *file, bool *out_kept,
                    struct vt_err *err)
{
    struct vt_admin silent = { .archive = verify->archive };
    size_t count = 0;
    bool ok = vt_admin_rows_of(&silent, STILL_KEPT, "t", file, 0, &count, err);

    *out_kept = count > 0;
    return ok;
}

/* Versions have had theirs looked at in objects/; of the trash none is known. */
static bool has_digest(struct verify *verify, const char *file, const json_t *row,
                       const char **out_fault, struct vt_err *wrong)
{
    vt_autoclose fd = openat(verify->archive->root, file, O_RDONLY | O_CLOEXEC);
    struct expected expected = { .file = file };
    struct vt_part10 meta;
    struct vt_digest digest;
    uint8_t sha[SHA256_BYTES];
    char text[33];

    if (!json_object_get(row, "digest"))
        return true;
    *out_fault = "unreadable";
    if (fd < 0 || !vt_part10_read_file(fd, file, &meta, wrong))
        return false;
    expected.offset = meta.data_set_offset;
    if (!read_digests(verify, fd, &expected, &digest, sha))
        return false;
    *out_fault = "digest";
    vt_admin_hex(&digest, text);
    return strcmp(text, text_of(row, "digest")) == 0;
}

static bool check_kept(void *context, json_t *row)
{
    struct kept *kept = context;
    struct verify *verify = kept->verify;
    const char *file = text_of(row, "file"), *sop_uid = text_of(row, "SOPInstanceUID");
    json_int_t size = json_integer_value(json_object_get(row, "size"));
    struct stat info;
    bool served = false, still = false;
    bool missing = fstatat(verify->archive->root, file, &info, 0) < 0;
    const char *fault = missing ? "missing" : "size";
    char volume[VT_VOLUME_NAME_MAX + 1];
    struct vt_err wrong = { 0 }, away = { 0 };

    vt_volume_of(file, volume);
    if (missing && !vt_volume_is_ready(verify->archive, volume, &away))
        return tell_away(verify, volume, kept->err);
    if (!missing && (json_int_t)info.st_size == size &&
        has_digest(verify, file, row, &fault, &wrong))
        return true;
    if (wrong.code == VT_E_NOMEM) {
        *kept->err = wrong;
        return false;
    }
    if (!has_row(verify, sop_uid, file, &served, kept->err) ||
        !is_kept(verify, file, &still, kept->err))
        return false;
    return served || !still || tell(verify, fault, file, sop_uid, NULL, kept->err);
}

/* One entry of the trash at a time: all of it might be more than memory is for. */
static bool check_trashed(void *context, json_t *row)
{
    struct kept *kept = context;
    struct vt_admin each = { .archive = kept->verify->archive, .row = check_kept, .context = kept };

    return vt_admin_rows_of(&each, TRASHED, "i", NULL,
                            json_integer_value(json_object_get(row, "id")), NULL, kept->err);
}

static bool check_state(struct verify *verify, struct vt_err *err)
{
    struct vt_err fault = { 0 };
    struct kept kept = { verify, &fault };
    struct vt_admin files = { .archive = verify->archive, .row = check_kept, .context = &kept };
    struct vt_admin trash = { .archive = verify->archive, .row = check_trashed, .context = &kept };

    if (vt_admin_rows_of(&files, KEPT, "", NULL, 0, NULL, err) &&
        vt_admin_rows_of(&files, QUARANTINED, "", NULL, 0, NULL, err) &&
        vt_admin_rows_of(&trash, "SELECT id FROM operation WHERE trash = 1 AND state = 'done'", "",
                         NULL, 0, NULL, err))
        return true;
    if (vt_failed(&fault))
        *err = fault;
    return false;
}

static bool check_folder(void *context, const char *folder, struct vt_err *err)
{
    struct verify *verify = context;

    return vt_rebuild_walk(verify->archive, folder, check_object, verify, err);
}

bool vt_admin_volume_verify(const struct vt_admin *admin, const char *name, uint64_t *out_checked,
                            uint64_t *out_faults, struct vt_err *err)
{
    vt_autofree struct verify *verify = calloc(1, sizeof *verify);
    vt_autofree uint8_t *block = malloc(VERIFY_BLOCK);
    char folder[VT_FILE_MAX];

    if (!block || !verify)
        return vt_fail(err, VT_E_NOMEM, "no memory to verify");
    if (!vt_volume_is_ready(admin->archive, name, err))
        return false;
    *verify = (struct verify){
        .admin = admin, .archive = admin->archive, .block = block, .only = name
    };
    snprintf(folder, sizeof folder,
             strcmp(name, VT_VOLUME_MAIN) == 0 ? "objects" : "volumes/%s/objects", name);
    if (!vt_admin_each(admin->archive, NULL, check_row, verify, err) ||
        !check_folder(verify, folder, err))
        return false;
    *out_checked = verify->checked;
    *out_faults = verify->faults;
    return vt_admin_tell_progress(admin, verify->checked, verify->checked, "instances", err);
}

bool vt_admin_verify(const struct vt_admin *admin, const struct vt_query *query, bool sha256,
                     uint64_t *out_checked, uint64_t *out_faults, struct vt_err *err)
{
    struct verify verify = { .admin = admin, .archive = admin->archive, .sha256 = sha256 };
    vt_autofree uint8_t *block = malloc(VERIFY_BLOCK);
    struct vt_index_counts counts = { 0 };

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to verify");
    verify.block = block;
    if (!query && !vt_index_counts(vt_archive_index(admin->archive), &counts, err))
        return false;
    verify.total = counts.instances;
    if (!vt_admin_each(admin->archive, query, check_row, &verify, err))
        return false;
    if (!query && !vt_volumes_each(admin->archive, check_folder, tell_away, &verify, err))
        return false;
    if (!query && !check_state(&verify, err))
        return false;
    *out_checked = verify.checked;
    *out_faults = verify.faults;
    return vt_admin_tell_progress(admin, verify.checked, verify.checked, "instances", err);
}
