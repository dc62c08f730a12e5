#include "archive/peer_days.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/inside.h"
#include "core/clock.h"
#include "core/err.h"

#define DAY (24 * 3600 * VT_NS_PER_S)

/* ---- writing ---- */

static bool write_one(struct vt_db *db, const struct vt_peer_day *day, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "INSERT OR REPLACE INTO peer_day (day, peer, instances, bytes) VALUES (?, ?, ?, ?)",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "itii", day->day, day->ae_title,
                           (int64_t)day->instances, (int64_t)day->bytes) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

static bool prune(struct vt_db *db, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(db, "DELETE FROM peer_day WHERE day < ?", err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "i", vt_clock_wall() / DAY - VT_PEER_DAYS_KEPT) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

bool vt_peer_days_write(struct vt_archive *archive, const struct vt_peer_day *list, size_t count,
                        struct vt_err *err)
{
    if (count == 0)
        return true;
    struct vt_db *db = vt_state_lock(archive->state);
    struct vt_err ignored = { 0 };
    bool begun = vt_db_exec(db, "BEGIN IMMEDIATE", err), ok = begun && prune(db, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = write_one(db, &list[i], err);
    ok = ok && vt_db_exec(db, "COMMIT", err);
    if (!ok && begun)
        vt_db_exec(db, "ROLLBACK", &ignored);
    vt_state_unlock(archive->state);
    return ok;
}

/* ---- reading ---- */

bool vt_peer_days_each(struct vt_archive *archive, int64_t since,
                       bool (*each)(void *context, const struct vt_peer_day *day), void *context,
                       struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT day, peer, instances, bytes FROM peer_day WHERE day >= ? ORDER BY peer, day",
        err);
    bool row = true, go_on = true, ok = stmt && vt_stmt_bind(db, stmt, err, "i", since);

    while (ok && go_on && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        struct vt_peer_day day = { .day = sqlite3_column_int64(stmt, 0),
                                   .instances = (uint64_t)sqlite3_column_int64(stmt, 2),
                                   .bytes = (uint64_t)sqlite3_column_int64(stmt, 3) };
        snprintf(day.ae_title, sizeof day.ae_title, "%s",
                 (const char *)sqlite3_column_text(stmt, 1));
        go_on = each(context, &day);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* ---- rates ---- */

enum { RATES_MAX = 256 };

struct rates {
    struct vt_peer_day list[RATES_MAX]; /* sums; `day` is the first one */
    size_t count;
};

static bool add_day(void *context, const struct vt_peer_day *day)
{
    struct rates *rates = context;
    struct vt_peer_day *last = rates->count > 0 ? &rates->list[rates->count - 1] : NULL;

    if (last && strcmp(last->ae_title, day->ae_title) == 0) {
        last->instances += day->instances;
        last->bytes += day->bytes;
        return true;
    }
    if (rates->count == RATES_MAX)
        return false;
    rates->list[rates->count++] = *day;
    return true;
}

static int largest_first(const void *a, const void *b)
{
    const struct vt_peer_day *one = a, *other = b;

    return one->bytes < other->bytes ? 1 : one->bytes > other->bytes ? -1 : 0;
}

static json_t *rate_of(const struct vt_peer_day *sum, int64_t today, uint64_t room)
{
    uint64_t days = (uint64_t)(today - sum->day + 1);
    uint64_t bytes = sum->bytes / days;

    return json_pack("{s:s, s:I, s:f, s:o}", "peer", sum->ae_title, "bytes_per_day",
                     (json_int_t)bytes, "instances_per_day",
                     (double)sum->instances / (double)days, "days_until_full",
                     bytes > 0 ? json_integer((json_int_t)(room / bytes)) : json_null());
}

json_t *vt_peer_days_rates(struct vt_archive *archive, uint64_t room, struct vt_err *err)
{
    int64_t today = vt_clock_wall() / DAY;
    vt_autofree struct rates *rates = calloc(1, sizeof *rates);
    json_t *array = json_array();

    if (!rates || !array) {
        vt_fail(err, VT_E_NOMEM, "no memory for a forecast");
        json_decref(array);
        return NULL;
    }
    if (!vt_peer_days_each(archive, today - VT_PEER_DAYS_RATE + 1, add_day, rates, err)) {
        json_decref(array);
        return NULL;
    }
    qsort(rates->list, rates->count, sizeof *rates->list, largest_first);
    for (size_t i = 0; i < rates->count; i++)
        json_array_append_new(array, rate_of(&rates->list[i], today, room));
    return array;
}
