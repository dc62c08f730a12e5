/* What makes instance rows short: words by number, file names by pattern. */
#include "archive/index_sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

bool sq_words_init(struct sq_words *words, struct vt_db *db, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(db, "SELECT id, text FROM word ORDER BY id", err);
    bool row = false, ok = stmt != NULL;

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        const char *text = (const char *)sqlite3_column_text(stmt, 1);
        if (words->count == SQ_WORDS_MAX || sqlite3_column_int(stmt, 0) != words->count + 1 ||
            !text)
            ok = vt_fail(err, VT_E_CORRUPT, "%s: table word is not as it was made", vt_db_path(db));
        else if (!(words->text[words->count] = strdup(text)))
            ok = vt_fail(err, VT_E_NOMEM, "no memory for words of the index");
        else
            words->count++;
    }
    words->committed = words->count;
    vt_stmt_free(stmt);
    return ok;
}

void sq_words_fini(struct sq_words *words)
{
    for (int i = 0; i < words->count; i++)
        free(words->text[i]);
    words->count = 0;
}

bool sq_word_number(struct sq_index *index, const char *text, int64_t *out_number,
                    struct vt_err *err)
{
    struct sq_words *words = &index->words;

    for (int i = 0; i < words->count; i++)
        if (strcmp(words->text[i], text) == 0) {
            *out_number = i + 1;
            return true;
        }
    if (words->count == SQ_WORDS_MAX) {
        *out_number = 0;
        return true;
    }
    if (!sq_run(index, SQ_W_WORD, err, "it", (int64_t)words->count + 1, text))
        return false;
    char *copy = strdup(text);
    if (!copy)
        return vt_fail(err, VT_E_NOMEM, "no memory for words of the index");
    pthread_rwlock_wrlock(&words->lock);
    words->text[words->count++] = copy;
    pthread_rwlock_unlock(&words->lock);
    *out_number = words->count;
    return true;
}

void sq_words_rollback(struct sq_words *words)
{
    pthread_rwlock_wrlock(&words->lock);
    while (words->count > words->committed)
        free(words->text[--words->count]);
    pthread_rwlock_unlock(&words->lock);
}

const char *sq_word_column(struct sq_index *index, struct sqlite3_stmt *stmt, int i)
{
    struct sq_words *words = &index->words;
    const char *text = "";

    if (sqlite3_column_type(stmt, i) != SQLITE_INTEGER) {
        text = (const char *)sqlite3_column_text(stmt, i);
        return text ? text : "";
    }
    int number = sqlite3_column_int(stmt, i);
    pthread_rwlock_rdlock(&words->lock);
    if (number >= 1 && number <= words->count)
        text = words->text[number - 1];
    pthread_rwlock_unlock(&words->lock);
    return text;
}

static const char objects[] = "objects/";

/* The longest piece that stands at `at`: UIDs often begin with one another. */
static size_t replaced(const char *at, const char *const pieces[4], char *out_digit)
{
    size_t longest = 0;

    for (int i = 0; i < 4; i++) {
        size_t size = strlen(pieces[i]);
        if (size > longest && strncmp(at, pieces[i], size) == 0) {
            *out_digit = (char)('0' + i);
            longest = size;
        }
    }
    return longest;
}

bool sq_file_pack(const char *file, const char *study, const char *series, const char *sop,
                  struct vt_buf *out, struct vt_err *err)
{
    const char *const pieces[4] = { objects, study, series, sop };

    while (*file) {
        char digit = 0;
        size_t size = replaced(file, pieces, &digit);
        bool ok;
        if (size > 0)
            ok = vt_buf_append_byte(out, '%', err) && vt_buf_append_byte(out, (uint8_t)digit, err);
        else if (*file == '%')
            ok = vt_buf_append(out, "%%", 2, err);
        else
            ok = vt_buf_append_byte(out, (uint8_t)*file, err);
        if (!ok)
            return false;
        file += size > 0 ? size : 1;
    }
    return vt_buf_string(out, err) != NULL;
}

void sq_file_unpack(const char *packed, const char *study, const char *series, const char *sop,
                    char *out, size_t room)
{
    const char *const pieces[4] = { objects, study, series, sop };
    size_t used = 0;

    for (; *packed && used + 1 < room; packed++) {
        const char *piece = packed;
        size_t size = 1;
        if (*packed == '%' && packed[1]) {
            packed++;
            piece = *packed >= '0' && *packed <= '3' ? pieces[*packed - '0'] : packed;
            size = piece == packed ? 1 : strlen(piece);
        }
        size = size < room - 1 - used ? size : room - 1 - used;
        memcpy(out + used, piece, size);
        used += size;
    }
    out[used] = '\0';
}
