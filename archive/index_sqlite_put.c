/* The writer: transactions and instance rows. */
#include "archive/index_sqlite.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/err.h"

static struct sq_index *self(struct vt_index *base)
{
    return (struct sq_index *)(void *)base;
}

/* The same letters as vt_stmt_bind. */
static int bind_letter(struct sqlite3_stmt *stmt, int at, char letter, va_list *args)
{
    switch (letter) {
    case 'i':
        return sqlite3_bind_int64(stmt, at, va_arg(*args, int64_t));
    case 't':
        return sqlite3_bind_text(stmt, at, va_arg(*args, const char *), -1, SQLITE_STATIC);
    case 'T': {
        const char *text = va_arg(*args, const char *);
        return sqlite3_bind_text64(stmt, at, text, va_arg(*args, size_t), SQLITE_STATIC,
                                   SQLITE_UTF8);
    }
    case 'b': {
        const void *bytes = va_arg(*args, const void *);
        size_t size = va_arg(*args, size_t);
        return sqlite3_bind_blob64(stmt, at, size ? bytes : "", size, SQLITE_STATIC);
    }
    default:
        return sqlite3_bind_null(stmt, at);
    }
}

bool sq_run(struct sq_index *index, enum sq_write which, struct vt_err *err, const char *letters,
            ...)
{
    struct sqlite3_stmt *stmt = index->write[which];
    int result = SQLITE_OK;
    va_list args;

    sqlite3_reset(stmt);
    va_start(args, letters);
    for (int i = 0; letters[i] && result == SQLITE_OK; i++)
        result = bind_letter(stmt, i + 1, letters[i], &args);
    va_end(args);
    if (result == SQLITE_NOMEM)
        return vt_fail(err, VT_E_NOMEM, "no memory for a row of %s", index->path);
    if (result != SQLITE_OK)
        return vt_fail(err, VT_E_INTERNAL, "%s: binding: %s", index->path, sqlite3_errstr(result));
    return vt_stmt_run(index->db, stmt, err) || sq_explain(err);
}

void sq_forget(struct sq_index *index)
{
    memset(index->recent, 0, sizeof index->recent);
    index->dirty_count = 0;
}

bool sq_begin(struct vt_index *base, struct vt_err *err)
{
    struct sq_index *index = self(base);

    if (index->read_only)
        return vt_fail(err, VT_E_DENIED, "%s is open for reading only", index->path);
    return sq_run(index, SQ_W_BEGIN, err, "");
}

/* ---- counters ---- */

struct touched {
    int64_t study, patient, added;
};

bool sq_flush(struct sq_index *index, struct vt_err *err)
{
    struct touched studies[SQ_SERIES_CACHED];
    size_t count = 0;

    for (size_t i = 0; i < index->dirty_count; i++) {
        struct sq_recent *recent = &index->recent[index->dirty[i]];
        size_t k = 0;

        if (!sq_run(index, SQ_W_SERIES_COUNT, err, "ii", recent->added, recent->series))
            return false;
        while (k < count && studies[k].study != recent->study)
            k++;
        if (k == count)
            studies[count++] = (struct touched){ recent->study, recent->patient, 0 };
        studies[k].added += recent->added;
        recent->added = 0;
        recent->dirty = false;
    }
    index->dirty_count = 0;
    for (size_t k = 0; k < count; k++)
        if (!sq_run(index, SQ_W_STUDY_COUNT, err, "iii", INT64_C(0), studies[k].added,
                    studies[k].study) ||
            !sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(0), INT64_C(0),
                    studies[k].added, studies[k].patient))
            return false;
    return true;
}

static bool relist_one(struct sq_index *index, int64_t study, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = index->write[SQ_W_STUDY_MODALITIES];
    char modalities[SQ_LIST_MODALITIES] = "", classes[SQ_LIST_CLASSES] = "";
    bool row = false;

    if (!vt_stmt_bind(index->db, stmt, err, "i", study))
        return false;
    while (vt_stmt_step(index->db, stmt, &row, err) && row)
        vt_columns_list_add(modalities, sizeof modalities,
                            (const char *)sqlite3_column_text(stmt, 0));
    stmt = index->write[SQ_W_STUDY_CLASSES];
    if (vt_failed(err) || !vt_stmt_bind(index->db, stmt, err, "i", study))
        return false;
    while (vt_stmt_step(index->db, stmt, &row, err) && row)
        vt_columns_list_add(classes, sizeof classes, sq_word_column(index, stmt, 0));
    return !vt_failed(err) &&
           sq_run(index, SQ_W_STUDY_LISTS, err, "tti", modalities, classes, study);
}

bool sq_relist(struct sq_index *index, struct vt_err *err)
{
    for (size_t i = 0; i < index->relisted_count; i++)
        if (!relist_one(index, index->relisted[i], err))
            return false;
    index->relisted_count = 0;
    return true;
}

bool sq_commit(struct vt_index *base, uint64_t sequence, struct vt_err *err)
{
    struct sq_index *index = self(base);

    if (!sq_flush(index, err) || !sq_relist(index, err) ||
        !sq_run(index, SQ_W_BYTES, err, "i", index->bytes_added) ||
        !sq_run(index, SQ_W_APPLIED, err, "i", (int64_t)sequence) ||
        !sq_run(index, SQ_W_COMMIT, err, ""))
        return false;
    index->bytes_added = 0;
    index->words.committed = index->words.count;
    return true;
}

void sq_rollback(struct vt_index *base)
{
    struct sq_index *index = self(base);
    struct vt_err ignored = { 0 };

    if (index->read_only)
        return;
    if (!sqlite3_get_autocommit(vt_db_handle(index->db)))
        sq_run(index, SQ_W_ROLLBACK, &ignored, "");
    sq_forget(index);
    sq_words_rollback(&index->words);
    index->relisted_count = 0;
    index->bytes_added = 0;
}

/* ---- instances ---- */

/* Study and series are compared by their full UIDs in the cache; this is about everything that the
 * parents take from an instance. */
static uint64_t digest_of(const struct vt_instance *instance)
{
    uint64_t digest = XXH3_64bits(instance->sop_class, strlen(instance->sop_class));

    for (int i = VT_LEVEL_PATIENT; i <= VT_LEVEL_SERIES; i++)
        digest = XXH3_64bits_withSeed(instance->attributes[i].data, instance->attributes[i].size,
                                      digest + (uint64_t)i);
    return digest;
}

/* The place of a series among the recent ones; what another series left there is written out first.
 */
static bool recent_of(struct sq_index *index, const struct vt_instance *instance,
                      struct sq_recent **out_recent, struct vt_err *err)
{
    size_t place =
        XXH3_64bits(instance->series_uid, strlen(instance->series_uid)) % SQ_SERIES_CACHED;
    struct sq_recent *recent = &index->recent[place];

    if (strcmp(recent->series_uid, instance->series_uid) != 0 ||
        strcmp(recent->study_uid, instance->study_uid) != 0) {
        if (recent->dirty && !sq_flush(index, err))
            return false;
        memset(recent, 0, sizeof *recent);
    }
    *out_recent = recent;
    return true;
}

static void count_one(struct sq_index *index, struct sq_recent *recent)
{
    recent->added++;
    if (recent->dirty)
        return;
    recent->dirty = true;
    index->dirty[index->dirty_count++] = (uint16_t)(recent - index->recent);
}

static void bind_word(struct sqlite3_stmt *stmt, int at, int64_t number, const char *text)
{
    if (number > 0)
        sqlite3_bind_int64(stmt, at, number);
    else
        sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static void bind_place(struct sqlite3_stmt *stmt, const struct vt_instance *instance,
                       const char *file)
{
    sqlite3_bind_int64(stmt, 6, instance->version);
    sqlite3_bind_text(stmt, 7, file, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 8, (int64_t)instance->file_size);
    sqlite3_bind_int64(stmt, 9, (int64_t)instance->data_set_offset);
    sqlite3_bind_int64(stmt, 10, (int64_t)instance->data_set_size);
    if (instance->has_pixels) {
        sqlite3_bind_int64(stmt, 11, (int64_t)instance->pixel_offset);
        sqlite3_bind_int64(stmt, 12, (int64_t)instance->pixel_length);
    } else {
        sqlite3_bind_null(stmt, 11);
        sqlite3_bind_null(stmt, 12);
    }
}

static bool insert_instance(struct sq_index *index, const struct vt_instance *instance,
                            int64_t series, bool *out_new, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = index->write[SQ_W_INSTANCE_INSERT];
    const struct vt_buf *attributes = &instance->attributes[VT_LEVEL_IMAGE];
    int64_t class, syntax, number;
    uint8_t digests[32];

    vt_buf_reset(&index->packed);
    if (!sq_word_number(index, instance->sop_class, &class, err) ||
        !sq_word_number(index, instance->transfer_syntax, &syntax, err) ||
        !sq_file_pack(instance->file, instance->study_uid, instance->series_uid, instance->sop_uid,
                      &index->packed, err))
        return false;
    memcpy(digests, instance->data_set_digest.bytes, 16);
    memcpy(digests + 16, instance->pixel_digest.bytes, 16);
    sqlite3_reset(stmt);
    sqlite3_bind_text(stmt, 1, instance->sop_uid, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, series);
    if (vt_columns_instance_number(attributes->data, attributes->size, &number))
        sqlite3_bind_int64(stmt, 3, number);
    else
        sqlite3_bind_null(stmt, 3);
    bind_word(stmt, 4, class, instance->sop_class);
    bind_word(stmt, 5, syntax, instance->transfer_syntax);
    bind_place(stmt, instance, (const char *)index->packed.data);
    sqlite3_bind_blob(stmt, 13, digests, instance->has_pixels ? 32 : 16, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 14, instance->arrived);
    sqlite3_bind_blob64(stmt, 15, attributes->size ? (const void *)attributes->data : "",
                        attributes->size, SQLITE_STATIC);
    if (!vt_stmt_run(index->db, stmt, err))
        return sq_explain(err);
    *out_new = sqlite3_changes(vt_db_handle(index->db)) > 0;
    return true;
}

/* The UID is there: its row goes, the parents take the new attributes, the new row comes. */
static bool replace_instance(struct sq_index *index, const struct vt_instance *instance,
                             struct sq_recent **recent, unsigned *flags, struct vt_err *err)
{
    bool removed, inserted;

    if (!sq_remove((struct vt_index *)(void *)index, instance->sop_uid, &removed, err) ||
        !recent_of(index, instance, recent, err) ||
        !sq_parents(index, instance, true, *recent, flags, err) ||
        !insert_instance(index, instance, (*recent)->series, &inserted, err))
        return false;
    *flags &= ~(unsigned)(VT_PUT_NEW_PATIENT | VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES);
    *flags |= VT_PUT_REPLACED;
    return inserted || vt_fail(err, VT_E_INTERNAL, "%s: the row of %s would not go", index->path,
                               instance->sop_uid);
}

bool sq_put(struct vt_index *base, const struct vt_instance *instance, unsigned *out_flags,
            struct vt_err *err)
{
    struct sq_index *index = self(base);
    uint64_t seen = digest_of(instance);
    struct sq_recent *recent;
    unsigned flags = 0;
    bool inserted = false;

    if (!recent_of(index, instance, &recent, err))
        return false;
    if ((!recent->series || recent->seen != seen) &&
        !sq_parents(index, instance, false, recent, &flags, err))
        return false;
    if (!insert_instance(index, instance, recent->series, &inserted, err))
        return false;
    if (!inserted && !replace_instance(index, instance, &recent, &flags, err))
        return false;
    recent->seen = seen;
    index->bytes_added += (int64_t)instance->file_size;
    count_one(index, recent);
    if (instance->frames.size > 0 && !sq_run(index, SQ_W_FRAMES_INSERT, err, "ib",
                                             sqlite3_last_insert_rowid(vt_db_handle(index->db)),
                                             instance->frames.data, instance->frames.size))
        return false;
    *out_flags = flags;
    return true;
}

bool sq_relocate(struct vt_index *base, const struct vt_index_entry *entry, bool *out_found,
                 struct vt_err *err)
{
    struct sq_index *index = self(base);

    vt_buf_reset(&index->packed);
    if (!sq_file_pack(entry->file, entry->study_uid, entry->series_uid, entry->sop_uid,
                      &index->packed, err) ||
        !sq_run(index, SQ_W_INSTANCE_FILE, err, "tt", (const char *)index->packed.data,
                entry->sop_uid))
        return false;
    *out_found = sqlite3_changes(vt_db_handle(index->db)) > 0;
    return true;
}
