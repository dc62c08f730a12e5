/* Receipts: what was promised to whom, and whether it still holds. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "archive/admin_rows.h"
#include "archive/commitment_inside.h"
#include "archive/inside.h"
#include "core/clock.h"
#include "core/err.h"

#define STATE_WORD                                                                                 \
    "CASE state WHEN 0 THEN 'queued' WHEN 1 THEN 'decided' WHEN 2 THEN 'reported'"                 \
    " ELSE 'undelivered' END AS state"
#define REASON_WORD                                                                                \
    "CASE reason WHEN -1 THEN 'open' WHEN 0 THEN 'committed' ELSE printf('%04X', reason) END"

/* ---- one receipt ---- */

/* "17" or a Transaction UID (the newest with it). */
static bool find(struct vt_archive *archive, const char *which, int64_t *out_id, struct vt_err *err)
{
    char *rest;

    errno = 0;
    long long number = strtoll(which, &rest, 10);
    if (*rest || errno || rest == which)
        number = 0;
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT max(id) FROM commitment WHERE id = ?1 OR transaction_uid = ?2", err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "it", (int64_t)number, which) &&
                           vt_stmt_step(db, stmt, &row, err);
    if (ok)
        *out_id = row ? sqlite3_column_int64(stmt, 0) : 0;
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok && (*out_id > 0 ||
                  vt_fail(err, VT_E_NOTFOUND,
                          "there is no commitment %.70s: 'vitrine commitment list' shows all",
                          which));
}

/* All rows of a query, as an array. */
static bool keep_row(void *context, json_t *row)
{
    return json_array_append(context, row) == 0;
}

static json_t *rows_of(const struct vt_admin *admin, const char *sql, int64_t id,
                       struct vt_err *err)
{
    json_t *rows = json_array();
    struct vt_admin collect = { .archive = admin->archive, .row = keep_row, .context = rows };

    if (!rows) {
        vt_fail(err, VT_E_NOMEM, "no memory for a receipt");
        return NULL;
    }
    if (vt_admin_rows_of(&collect, sql, "i", NULL, id, NULL, err))
        return rows;
    json_decref(rows);
    return NULL;
}

#define ITEMS                                                                                      \
    "SELECT sop_class AS SOPClassUID, sop_uid AS SOPInstanceUID, " REASON_WORD " AS result, size," \
    " sha256, checked, held = 1 AS held FROM commitment_item WHERE commitment = ? ORDER BY n"
#define HEADS                                                                                      \
    "SELECT id, transaction_uid, peer, host, called, asked, decided, reported, " STATE_WORD        \
    ", instances, failed, attempts, text, receipt AS receipt_sha256 FROM commitment"

static void add_line(EVP_MD_CTX *sha, bool *ok, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_line(EVP_MD_CTX *sha, bool *ok, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    *ok = *ok && size > 0 && (size_t)size < sizeof line &&
          EVP_DigestUpdate(sha, line, (size_t)size) == 1;
}

static void hex(const void *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    out[2 * size] = '\0';
}

/* transaction, peer and time asked in one line; then class, instance, reason, size and SHA-256 of
 * each item. docs/operator.md tells how to do it by hand. */
static bool digest_lines(struct vt_db *db, int64_t id, EVP_MD_CTX *sha, struct vt_err *err)
{
    struct sqlite3_stmt *head = vt_db_prepare(
        db, "SELECT transaction_uid, peer, asked FROM commitment WHERE id = ?", err);
    struct sqlite3_stmt *items =
        head ? vt_db_prepare(db,
                             "SELECT sop_class, sop_uid, reason, size, sha256 FROM commitment_item"
                             " WHERE commitment = ? ORDER BY n",
                             err)
             : NULL;
    char digits[2 * VT_COMMITMENT_SHA256 + 1], asked[VT_CLOCK_TEXT_MAX];
    bool row = false, hashed = true;
    bool ok = items && vt_stmt_bind(db, head, err, "i", id) && vt_stmt_step(db, head, &row, err);

    if (ok && row) {
        vt_clock_text(sqlite3_column_int64(head, 2), asked);
        add_line(sha, &hashed, "%s %s %s\n", (const char *)sqlite3_column_text(head, 0),
                 (const char *)sqlite3_column_text(head, 1), asked);
    }
    ok = ok && vt_stmt_bind(db, items, err, "i", id);
    while (ok && (ok = vt_stmt_step(db, items, &row, err)) && row) {
        size_t size = (size_t)sqlite3_column_bytes(items, 4);
        hex(sqlite3_column_blob(items, 4), size <= VT_COMMITMENT_SHA256 ? size : 0, digits);
        add_line(sha, &hashed, "%s %s %04X %lld %s\n", (const char *)sqlite3_column_text(items, 0),
                 (const char *)sqlite3_column_text(items, 1),
                 (unsigned)sqlite3_column_int(items, 2),
                 (long long)sqlite3_column_int64(items, 3), digits);
    }
    vt_stmt_free(head);
    vt_stmt_free(items);
    return ok && (hashed || vt_fail(err, VT_E_INTERNAL, "the digest of a receipt"));
}

bool vt_commitment_digest(struct vt_archive *archive, int64_t id,
                          uint8_t out[static VT_COMMITMENT_SHA256], struct vt_err *err)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();

    if (!sha || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(sha);
        return vt_fail(err, VT_E_NOMEM, "no memory for a digest");
    }
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = digest_lines(db, id, sha, err);
    vt_state_unlock(archive->state);
    ok = ok && (EVP_DigestFinal_ex(sha, out, NULL) == 1 ||
                vt_fail(err, VT_E_INTERNAL, "the digest of a receipt"));
    EVP_MD_CTX_free(sha);
    return ok;
}

/* ---- for others ---- */

bool vt_commitment_each(struct vt_archive *archive, int64_t id, vt_commitment_each_fn each,
                        void *context, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT sop_class, sop_uid, reason FROM commitment_item WHERE commitment = ? ORDER BY n",
        err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "i", id);

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        const struct vt_commitment_item item = { (const char *)sqlite3_column_text(stmt, 0),
                                                 (const char *)sqlite3_column_text(stmt, 1) };
        ok = each(context, &item, sqlite3_column_int(stmt, 2), err);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_commitment_list(const struct vt_admin *admin, struct vt_err *err)
{
    return vt_admin_rows_of(admin, HEADS " ORDER BY id", "", NULL, 0, NULL, err);
}

bool vt_commitment_show(const struct vt_admin *admin, const char *which, struct vt_err *err)
{
    int64_t id = 0;

    return find(admin->archive, which, &id, err) &&
           vt_admin_rows_of(admin, ITEMS, "i", NULL, id, NULL, err);
}

bool vt_commitment_export(const struct vt_admin *admin, const char *which, struct vt_err *err)
{
    int64_t id = 0;

    if (!find(admin->archive, which, &id, err))
        return false;
    json_t *heads = rows_of(admin, HEADS " WHERE id = ?", id, err);
    json_t *items = heads ? rows_of(admin, ITEMS, id, err) : NULL;
    json_t *head = json_array_get(heads, 0);
    bool ok = items && head && json_object_set(head, "items", items) == 0;

    json_incref(head);
    json_decref(items);
    json_decref(heads);
    if (ok)
        return vt_admin_send(admin, head, err);
    json_decref(head);
    return vt_failed(err) ? false : vt_fail(err, VT_E_NOMEM, "no memory for a receipt");
}

/* ---- check ---- */

struct checking {
    const struct vt_admin *admin;
    uint8_t *block;
    uint64_t checked, faults;
};

static bool tell(struct checking *checking, const char *fault, const char *sop_uid,
                 struct vt_err *err)
{
    checking->faults++;
    return vt_admin_send(
        checking->admin,
        json_pack("{s:s, s:s*}", "fault", fault, "SOPInstanceUID", sop_uid), err);
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text ? text : "";
}

static bool check_item(struct checking *checking, const json_t *item, struct vt_err *err)
{
    const char *sop_uid = text_of(item, "SOPInstanceUID");
    char digits[2 * VT_COMMITMENT_SHA256 + 1];
    struct vt_commitment_look look;

    if (strcmp(text_of(item, "result"), "committed") != 0)
        return true;
    checking->checked++;
    if (!vt_commitment_look(checking->admin->archive, text_of(item, "SOPClassUID"), sop_uid,
                            checking->block, &look, err))
        return false;
    hex(look.sha256, sizeof look.sha256, digits);
    switch (look.reason) {
    case VT_COMMITMENT_DONE:
        return strcmp(digits, text_of(item, "sha256")) == 0 || tell(checking, "sha256", sop_uid, err);
    case VT_COMMITMENT_NO_INSTANCE:
    case VT_COMMITMENT_NO_CLASS:
        return tell(checking, "missing", sop_uid, err);
    default:
        return tell(checking, "altered", sop_uid, err);
    }
}

static bool check_receipt(struct checking *checking, int64_t id, const json_t *head,
                          struct vt_err *err)
{
    uint8_t digest[VT_COMMITMENT_SHA256];
    char digits[2 * VT_COMMITMENT_SHA256 + 1];

    if (!json_is_string(json_object_get(head, "receipt_sha256")))
        return true; /* not decided, or a transaction UID used twice */
    if (!vt_commitment_digest(checking->admin->archive, id, digest, err))
        return false;
    hex(digest, sizeof digest, digits);
    return strcmp(digits, text_of(head, "receipt_sha256")) == 0 ||
           tell(checking, "receipt", NULL, err);
}

bool vt_commitment_check(const struct vt_admin *admin, const char *which, uint64_t *out_checked,
                         uint64_t *out_faults, struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(VT_COMMITMENT_BLOCK);
    struct checking checking = { .admin = admin, .block = block };
    int64_t id = 0;

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to check a receipt");
    if (!find(admin->archive, which, &id, err))
        return false;
    json_t *heads = rows_of(admin, HEADS " WHERE id = ?", id, err);
    json_t *items = heads ? rows_of(admin, ITEMS, id, err) : NULL;
    size_t count = json_array_size(items);
    bool ok = items && check_receipt(&checking, id, json_array_get(heads, 0), err);

    for (size_t i = 0; ok && i < count; i++)
        ok = check_item(&checking, json_array_get(items, i), err) &&
             ((i + 1) % 100 != 0 || vt_admin_tell_progress(admin, i + 1, count, "instances", err));
    json_decref(items);
    json_decref(heads);
    *out_checked = checking.checked;
    *out_faults = checking.faults;
    return ok;
}

bool vt_commitment_resend(const struct vt_admin *admin, const char *which, int64_t *out_id,
                          struct vt_err *err)
{
    int64_t id = 0;

    if (!find(admin->archive, which, &id, err))
        return false;
    struct vt_db *db = vt_state_lock(admin->archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "UPDATE commitment SET state = 1, reported = NULL, text = '', attempts = 0"
            " WHERE id = ? AND state > 0",
        err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_run(db, stmt, err);
    bool changed = ok && sqlite3_changes(vt_db_handle(db)) > 0;

    vt_stmt_free(stmt);
    vt_state_unlock(admin->archive->state);
    if (ok)
        *out_id = id;
    return ok && (changed || vt_fail(err, VT_E_BUSY, "commitment %" PRId64 " is not decided yet", id));
}
