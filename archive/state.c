#include "archive/state.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/err.h"

enum { STATE_BUSY_MS = 5000, STATE_WAL_PAGES = 1000 };

struct vt_state {
    pthread_mutex_t lock; /* guards the connection */
    struct vt_db *db;
};

struct vt_state *vt_state_open(const char *folder, struct vt_err *err)
{
    static const struct vt_db_options options = { .sync = VT_DB_SYNC_FULL,
                                                  .busy_ms = STATE_BUSY_MS,
                                                  .cache_kib = 256,
                                                  .wal_autocheckpoint = STATE_WAL_PAGES };
    VT_AUTO(vt_state) state = calloc(1, sizeof *state);
    char path[PATH_MAX];

    if (!state) {
        vt_fail(err, VT_E_NOMEM, "no memory for state.db");
        return NULL;
    }
    pthread_mutex_init(&state->lock, NULL);
    snprintf(path, sizeof path, "%s/state.db", folder);
    state->db = vt_db_open(path, &options, err);
    if (!state->db || !vt_db_migrate(state->db, vt_state_migrations, vt_state_migration_count, err))
        return NULL;
    return vt_take(&state);
}

void vt_state_free(struct vt_state *state)
{
    if (!state)
        return;
    vt_db_free(state->db);
    pthread_mutex_destroy(&state->lock);
    free(state);
}

struct vt_db *vt_state_lock(struct vt_state *state)
{
    pthread_mutex_lock(&state->lock);
    return state->db;
}

void vt_state_unlock(struct vt_state *state)
{
    pthread_mutex_unlock(&state->lock);
}

bool vt_state_log(struct vt_state *state, const char *who, const char *action, const char *subject,
                  const char *detail, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "INSERT INTO admin_log (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)", err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "itttt", vt_clock_wall(), who ? who : "", action,
                           subject ? subject : "", detail ? detail : "") &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(state);
    return ok;
}
