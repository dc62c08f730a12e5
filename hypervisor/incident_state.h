/* hypervisor/incident_state.h: what incident.c, incident_shots.c and incident_json.c share; nobody
 * else includes it. */
#pragma once

#include <pthread.h>

#include "core/db.h"
#include "core/err.h"
#include "hypervisor/incident.h"

struct vt_incidents {
    char owner[VT_INCIDENT_UUID_MAX]; /* fixed */

    pthread_mutex_t lock; /* recursive; guards what follows */
    struct vt_db *db;
};

/* A statement with its values, run to its end. */
bool vt_incidents_run(struct vt_incidents *incidents, struct vt_err *err, const char *sql,
                      const char *letters, ...);

/* Locks, prepares, binds; each vt_rows_next gives a row. Always ends with vt_rows_end. */
struct vt_rows {
    struct vt_incidents *incidents;
    struct sqlite3_stmt *stmt;
};
bool vt_rows_begin(struct vt_rows *rows, struct vt_incidents *incidents, struct vt_err *err,
                   const char *sql, const char *letters, ...);
/* false: no row; failed when err says so. */
bool vt_rows_next(struct vt_rows *rows, struct vt_err *err);
void vt_rows_end(struct vt_rows *rows);
int64_t vt_rows_int(const struct vt_rows *rows, int column);
const char *vt_rows_text(const struct vt_rows *rows, int column); /* "" for null; until next */
void vt_rows_copy(const struct vt_rows *rows, int column, char *out, size_t room);
