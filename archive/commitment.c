#include "archive/commitment_inside.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/inside.h"
#include "archive/late.h"
#include "core/clock.h"
#include "core/err.h"

enum { BATCH = 256 /* instances between two transactions of state.db */ };

/* ---- transactions of state.db: all or nothing ---- */

static bool end(struct vt_db *db, bool ok, struct vt_err *err)
{
    struct vt_err ignored = { 0 };

    if (ok && vt_db_exec(db, "COMMIT", err))
        return true;
    vt_db_exec(db, "ROLLBACK", &ignored);
    return false;
}

/* ---- queue ---- */

static bool digest_list(const struct vt_commitment_request *request,
                        uint8_t out[static VT_COMMITMENT_SHA256], struct vt_err *err)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    bool ok = sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; ok && i < request->count; i++) {
        const struct vt_commitment_item *item = &request->items[i];
        ok = EVP_DigestUpdate(sha, item->sop_class, strlen(item->sop_class) + 1) == 1 &&
             EVP_DigestUpdate(sha, item->sop_uid, strlen(item->sop_uid) + 1) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(sha, out, NULL) == 1;
    EVP_MD_CTX_free(sha);
    return ok || vt_fail(err, VT_E_NOMEM, "no memory for a digest");
}

enum earlier { NONE, THE_SAME, ANOTHER };

static bool find_earlier(struct vt_db *db, const struct vt_commitment_request *request,
                         const uint8_t list[static VT_COMMITMENT_SHA256], enum earlier *out,
                         int64_t *out_id, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT id, state, list FROM commitment WHERE transaction_uid = ? AND peer = ?", err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "tt", request->transaction_uid,
                                                request->peer_ae_title);

    *out = NONE;
    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        bool open = sqlite3_column_int(stmt, 1) < VT_COMMITMENT_REPORTED;
        bool same = sqlite3_column_bytes(stmt, 2) == VT_COMMITMENT_SHA256 &&
                    memcmp(sqlite3_column_blob(stmt, 2), list, VT_COMMITMENT_SHA256) == 0;
        if (*out != THE_SAME)
            *out = open && same ? THE_SAME : ANOTHER;
        if (open && same)
            *out_id = sqlite3_column_int64(stmt, 0);
    }
    vt_stmt_free(stmt);
    return ok;
}

static bool insert_items(struct vt_db *db, const struct vt_commitment_request *request, int64_t id,
                         int reason, struct vt_err *err)
{
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "INSERT INTO commitment_item (commitment, n, sop_class, sop_uid, reason,"
                      " version, held, size) VALUES (?, ?, ?, ?, ?, 0, 0, 0)",
                      err);
    bool ok = stmt != NULL;

    for (size_t i = 0; ok && i < request->count; i++)
        ok = vt_stmt_bind(db, stmt, err, "iitti", id, (int64_t)i, request->items[i].sop_class,
                          request->items[i].sop_uid, (int64_t)reason) &&
             vt_stmt_run(db, stmt, err);
    vt_stmt_free(stmt);
    return ok;
}

static bool insert(struct vt_db *db, const struct vt_commitment_request *request,
                   const uint8_t list[static VT_COMMITMENT_SHA256], bool duplicate, int64_t *out_id,
                   struct vt_err *err)
{
    int64_t now = vt_clock_wall();
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT INTO commitment (transaction_uid, peer, host, called, asked, decided, state, list,"
        " instances, failed, attempts, text)"
        " VALUES (?1, ?2, ?3, ?4, ?5, iif(?6 > 0, ?5, NULL), ?6, ?7, ?8, ?9, 0, '')",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ttttiibii", request->transaction_uid,
                           request->peer_ae_title, request->host ? request->host : "",
                           request->called_ae_title, now,
                           (int64_t)(duplicate ? VT_COMMITMENT_DECIDED : VT_COMMITMENT_QUEUED),
                           list, (size_t)VT_COMMITMENT_SHA256, (int64_t)request->count,
                           (int64_t)(duplicate ? request->count : 0)) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    if (!ok)
        return false;
    *out_id = sqlite3_last_insert_rowid(vt_db_handle(db));
    return insert_items(db, request, *out_id,
                        duplicate ? VT_COMMITMENT_DUPLICATE : VT_COMMITMENT_OPEN, err);
}

bool vt_commitment_queue(struct vt_archive *archive, const struct vt_commitment_request *request,
                         int64_t *out_id, bool *out_known, struct vt_err *err)
{
    uint8_t list[VT_COMMITMENT_SHA256];
    enum earlier earlier = NONE;
    int64_t id = 0;

    if (!digest_list(request, list, err))
        return false;
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err);
    if (ok) {
        ok = find_earlier(db, request, list, &earlier, &id, err) &&
             (earlier == THE_SAME || insert(db, request, list, earlier == ANOTHER, &id, err));
        ok = end(db, ok, err);
    }
    vt_state_unlock(archive->state);
    if (!ok)
        return false;
    *out_id = id;
    *out_known = earlier == THE_SAME;
    return true;
}

/* ---- read ---- */

static void copy_column(struct sqlite3_stmt *stmt, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    snprintf(out, room, "%s", text ? text : "");
}

bool vt_commitment_read(struct vt_archive *archive, int64_t id, struct vt_commitment *out,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT state, transaction_uid, peer, called, asked, instances, failed,"
                      " attempts FROM commitment WHERE id = ?",
                      err);
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_step(db, stmt, &row, err);

    if (ok && row) {
        *out = (struct vt_commitment){
            .id = id,
            .state = (enum vt_commitment_state)sqlite3_column_int(stmt, 0),
            .asked = sqlite3_column_int64(stmt, 4),
            .instances = (uint64_t)sqlite3_column_int64(stmt, 5),
            .failed = (uint64_t)sqlite3_column_int64(stmt, 6),
            .attempts = (uint32_t)sqlite3_column_int64(stmt, 7),
        };
        copy_column(stmt, 1, out->transaction_uid, sizeof out->transaction_uid);
        copy_column(stmt, 2, out->peer_ae_title, sizeof out->peer_ae_title);
        copy_column(stmt, 3, out->called_ae_title, sizeof out->called_ae_title);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok &&
           (row || vt_fail(err, VT_E_NOTFOUND, "there is no commitment number %" PRId64, id));
}

bool vt_commitment_next_open(struct vt_archive *archive, int64_t after, int64_t *out_id,
                             struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT min(id) FROM commitment WHERE state < ? AND id > ?", err);
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "ii", (int64_t)VT_COMMITMENT_REPORTED, after) &&
              vt_stmt_step(db, stmt, &row, err);

    if (ok)
        *out_id = row ? sqlite3_column_int64(stmt, 0) : 0;
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* ---- decide ---- */

struct open_item {
    int64_t n;
    char sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1];
    uint32_t version; /* held before it is looked at */
    struct vt_commitment_look look;
};

struct deciding {
    struct vt_archive *archive;
    int64_t id;
    bool wait_for_missing;
    uint8_t *block;
    struct open_item *items;
    size_t count;
    uint64_t open;
};

static bool read_batch(struct deciding *deciding, int64_t after, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(deciding->archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT n, sop_class, sop_uid FROM commitment_item WHERE commitment = ? AND n"
                      " > ? AND reason = ? ORDER BY n LIMIT ?",
                      err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "iiii", deciding->id, after,
                                                (int64_t)VT_COMMITMENT_OPEN, (int64_t)BATCH);

    deciding->count = 0;
    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        struct open_item *item = &deciding->items[deciding->count++];
        *item = (struct open_item){ .n = sqlite3_column_int64(stmt, 0) };
        copy_column(stmt, 1, item->sop_class, sizeof item->sop_class);
        copy_column(stmt, 2, item->sop_uid, sizeof item->sop_uid);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(deciding->archive->state);
    return ok;
}

static bool find_versions(struct deciding *deciding, struct vt_err *err)
{
    struct vt_index *index = vt_archive_index(deciding->archive);

    for (size_t i = 0; i < deciding->count; i++) {
        struct vt_index_entry entry;
        bool found = false;
        if (!vt_index_lookup(index, deciding->items[i].sop_uid, &entry, &found, err))
            return false;
        deciding->items[i].version = found ? entry.version : 0;
    }
    return true;
}

/* They are held before they are looked at, so that nothing is deleted between the look and the
 * promise. */
static bool hold_batch(struct deciding *deciding, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(deciding->archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "UPDATE commitment_item SET version = ?, held = 1 WHERE commitment = ? AND n = ?", err);
    bool ok = stmt && vt_db_exec(db, "BEGIN IMMEDIATE", err);

    if (ok) {
        for (size_t i = 0; ok && i < deciding->count; i++)
            if (deciding->items[i].version > 0)
                ok = vt_stmt_bind(db, stmt, err, "iii", (int64_t)deciding->items[i].version,
                                  deciding->id, deciding->items[i].n) &&
                     vt_stmt_run(db, stmt, err);
        ok = end(db, ok, err);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(deciding->archive->state);
    return ok;
}

static bool write_batch(struct deciding *deciding, size_t looked, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(deciding->archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "UPDATE commitment_item SET reason = ?1, held = (?1 = 0), size = ?2,"
                      " sha256 = iif(?1 = 0, ?3, NULL), checked = ?4, version = ?5"
                      " WHERE commitment = ?6 AND n = ?7",
                      err);
    bool ok = stmt && vt_db_exec(db, "BEGIN IMMEDIATE", err);

    if (ok) {
        int64_t now = vt_clock_wall();
        for (size_t i = 0; ok && i < looked; i++) {
            const struct open_item *item = &deciding->items[i];
            ok = vt_stmt_bind(db, stmt, err, "iibiiii", (int64_t)item->look.reason,
                              (int64_t)item->look.size, item->look.sha256,
                              sizeof item->look.sha256, now, (int64_t)item->look.version,
                              deciding->id, item->n) &&
                 vt_stmt_run(db, stmt, err);
        }
        ok = end(db, ok, err);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(deciding->archive->state);
    return ok;
}

static bool decide_batch(struct deciding *deciding, bool (*go_on)(void *context), void *context,
                         struct vt_err *err)
{
    struct vt_err why = { 0 };
    bool cancelled = false;
    size_t looked = 0;

    if (!find_versions(deciding, err) || !hold_batch(deciding, err))
        return false;
    for (; looked < deciding->count && !vt_failed(&why); looked++) {
        struct open_item *item = &deciding->items[looked];
        cancelled = go_on && !go_on(context);
        if (cancelled || !vt_commitment_look(deciding->archive, item->sop_class, item->sop_uid,
                                             deciding->block, &item->look, &why))
            break;
        /* Another version came meanwhile: that one is not held. Next time. */
        bool moved = item->look.reason == VT_COMMITMENT_DONE && item->look.version != item->version;
        bool missing =
            item->look.reason == VT_COMMITMENT_NO_INSTANCE && deciding->wait_for_missing;
        if (moved || missing) {
            item->look.reason = VT_COMMITMENT_OPEN;
            deciding->open++;
        }
    }
    if (!write_batch(deciding, looked, err))
        return false;
    if (vt_failed(&why)) {
        *err = why;
        return false;
    }
    return !cancelled || vt_fail(err, VT_E_CANCELLED, "stopped");
}

/* What the index names survives a power cut already, by the journal; from here on it does so
 * without, and the disk has what is read again. */
static bool make_durable(struct vt_archive *archive, struct vt_err *err)
{
    if (archive->options.relaxed) {
        if (!vt_exclusive_begin(archive, err))
            return false;
        bool ok = vt_archive_cut_all(archive, err);
        vt_exclusive_end(archive);
        if (!ok)
            return false;
    }
    return vt_late_settle(archive, err) &&
           (syncfs(archive->root) == 0 || vt_archive_break(archive, err));
}

static bool conclude(struct deciding *deciding, struct vt_err *err)
{
    uint8_t receipt[VT_COMMITMENT_SHA256];

    if (!vt_commitment_digest(deciding->archive, deciding->id, receipt, err))
        return false;
    struct vt_db *db = vt_state_lock(deciding->archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "UPDATE commitment SET state = ?1, decided = ?2, receipt = ?3, failed ="
                      " (SELECT count(*) FROM commitment_item WHERE commitment = ?4 AND reason > 0)"
                      " WHERE id = ?4 AND state = ?5",
                      err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "iibii", (int64_t)VT_COMMITMENT_DECIDED, vt_clock_wall(),
                           receipt, sizeof receipt, deciding->id, (int64_t)VT_COMMITMENT_QUEUED) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(deciding->archive->state);
    return ok;
}

bool vt_commitment_decide(struct vt_archive *archive, int64_t id, bool wait_for_missing,
                          bool (*go_on)(void *context), void *context, uint64_t *out_open,
                          struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(VT_COMMITMENT_BLOCK);
    vt_autofree struct open_item *items = calloc(BATCH, sizeof *items);
    struct deciding deciding = { archive, id, wait_for_missing, block, items, 0, 0 };
    int64_t after = -1;

    if (!block || !items)
        return vt_fail(err, VT_E_NOMEM, "no memory to check a commitment");
    if (!make_durable(archive, err))
        return false;
    for (;;) {
        if (!read_batch(&deciding, after, err))
            return false;
        if (deciding.count == 0)
            break;
        after = deciding.items[deciding.count - 1].n;
        if (!decide_batch(&deciding, go_on, context, err))
            return false;
    }
    *out_open = deciding.open;
    return deciding.open > 0 || conclude(&deciding, err);
}

/* ---- what became of the report ---- */

bool vt_commitment_told(struct vt_archive *archive, int64_t id, const char *failure, bool give_up,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "UPDATE commitment SET state = iif(state = 0, 0, ?1), reported = ?2,"
                      " text = ?3, attempts = attempts + 1 WHERE id = ?4",
                      err);
    enum vt_commitment_state state = !failure   ? VT_COMMITMENT_REPORTED
                                     : give_up ? VT_COMMITMENT_UNDELIVERED
                                               : VT_COMMITMENT_DECIDED;
    char text[VT_COMMITMENT_TEXT_MAX];

    snprintf(text, sizeof text, "%s", failure ? failure : "");
    bool ok = stmt &&
              (failure ? vt_stmt_bind(db, stmt, err, "inti", (int64_t)state, text, id)
                       : vt_stmt_bind(db, stmt, err, "iiti", (int64_t)state, vt_clock_wall(), text,
                                      id)) &&
              vt_stmt_run(db, stmt, err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* ---- protection ---- */

bool vt_commitment_holds(struct vt_archive *archive, const char *sop_uid, uint32_t version,
                         bool *out_holds, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT 1 FROM commitment_item WHERE sop_uid = ? AND version = ? AND held = 1", err);
    bool row = false, ok = stmt &&
                           vt_stmt_bind(db, stmt, err, "ti", sop_uid, (int64_t)version) &&
                           vt_stmt_step(db, stmt, &row, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    if (ok)
        *out_holds = row;
    return ok;
}

bool vt_commitment_lift(struct vt_archive *archive, int64_t operation, bool lift,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "UPDATE commitment_item SET held = ?1 WHERE held = ?2 AND EXISTS (SELECT 1"
                      " FROM operation_file f WHERE f.operation = ?3 AND f.sop_uid ="
                      " commitment_item.sop_uid AND f.version = commitment_item.version)",
                      err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "iii", (int64_t)(lift ? 2 : 1), (int64_t)(lift ? 1 : 2),
                           operation) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}
