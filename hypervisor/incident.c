/* The file, its tables, rules and incidents. */
#include "hypervisor/incident_state.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/clock.h"

enum { BUSY_MS = 5000 };

static const struct vt_db_migration steps[] = {
    { "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE rule (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,"
      " subject TEXT NOT NULL, settings TEXT NOT NULL, UNIQUE (kind, subject));"
      "CREATE TABLE seen (vm_uuid TEXT PRIMARY KEY) WITHOUT ROWID;"
      "CREATE TABLE incident (id INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL,"
      " opened INTEGER NOT NULL, closed INTEGER, cause TEXT NOT NULL, reason TEXT NOT NULL,"
      " ended TEXT, evidence TEXT, evidence_end TEXT);"
      "CREATE INDEX incident_open ON incident (closed) WHERE closed IS NULL;"
      "CREATE TABLE incident_vm (incident INTEGER NOT NULL, vm_uuid TEXT NOT NULL,"
      " vm_name TEXT NOT NULL, joined INTEGER NOT NULL, left_at INTEGER, reason TEXT NOT NULL,"
      " left_reason TEXT, PRIMARY KEY (incident, vm_uuid)) WITHOUT ROWID;"
      "CREATE INDEX incident_vm_uuid ON incident_vm (vm_uuid);"
      "CREATE TABLE note (incident INTEGER NOT NULL, time INTEGER NOT NULL, text TEXT NOT NULL);"
      "CREATE INDEX note_incident ON note (incident);"
      "CREATE TABLE shot (id INTEGER PRIMARY KEY AUTOINCREMENT, incident INTEGER NOT NULL,"
      " vm_uuid TEXT NOT NULL, vm_name TEXT NOT NULL, name TEXT NOT NULL UNIQUE,"
      " kind INTEGER NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL, uuid TEXT NOT NULL,"
      " asked INTEGER NOT NULL, ended INTEGER NOT NULL, expires INTEGER NOT NULL,"
      " tries INTEGER NOT NULL);"
      "CREATE INDEX shot_incident ON shot (incident);"
      "CREATE INDEX shot_vm ON shot (vm_uuid, asked);"
      "CREATE TABLE quarantine (sr_uuid TEXT PRIMARY KEY, until INTEGER NOT NULL,"
      " reason TEXT NOT NULL) WITHOUT ROWID;" },
};

/* ---- statements ---- */

bool vt_rows_begin(struct vt_rows *rows, struct vt_incidents *incidents, struct vt_err *err,
                   const char *sql, const char *letters, ...)
{
    va_list args;

    pthread_mutex_lock(&incidents->lock);
    rows->incidents = incidents;
    rows->stmt = vt_db_prepare(incidents->db, sql, err);
    if (!rows->stmt)
        return false;
    va_start(args, letters);
    bool ok = vt_stmt_bind_list(incidents->db, rows->stmt, err, letters, args);
    va_end(args);
    return ok;
}

bool vt_rows_next(struct vt_rows *rows, struct vt_err *err)
{
    bool row = false;

    return vt_stmt_step(rows->incidents->db, rows->stmt, &row, err) && row;
}

void vt_rows_end(struct vt_rows *rows)
{
    vt_stmt_free(rows->stmt);
    rows->stmt = NULL;
    pthread_mutex_unlock(&rows->incidents->lock);
}

int64_t vt_rows_int(const struct vt_rows *rows, int column)
{
    return sqlite3_column_int64(rows->stmt, column);
}

const char *vt_rows_text(const struct vt_rows *rows, int column)
{
    const char *text = (const char *)sqlite3_column_text(rows->stmt, column);

    return text ? text : "";
}

void vt_rows_copy(const struct vt_rows *rows, int column, char *out, size_t room)
{
    snprintf(out, room, "%s", vt_rows_text(rows, column));
}

bool vt_incidents_run(struct vt_incidents *incidents, struct vt_err *err, const char *sql,
                      const char *letters, ...)
{
    va_list args;
    bool ok = false;

    pthread_mutex_lock(&incidents->lock);
    struct sqlite3_stmt *stmt = vt_db_prepare(incidents->db, sql, err);
    if (stmt) {
        va_start(args, letters);
        ok = vt_stmt_bind_list(incidents->db, stmt, err, letters, args) &&
             vt_stmt_run(incidents->db, stmt, err);
        va_end(args);
    }
    vt_stmt_free(stmt);
    pthread_mutex_unlock(&incidents->lock);
    return ok;
}

bool vt_incidents_begin(struct vt_incidents *incidents, struct vt_err *err)
{
    pthread_mutex_lock(&incidents->lock);
    if (vt_db_exec(incidents->db, "BEGIN IMMEDIATE", err))
        return true;
    pthread_mutex_unlock(&incidents->lock);
    return false;
}

bool vt_incidents_end(struct vt_incidents *incidents, bool keep, struct vt_err *err)
{
    struct vt_err ignored = { 0 };
    bool ok = keep && vt_db_exec(incidents->db, "COMMIT", err);

    if (!ok)
        vt_db_exec(incidents->db, "ROLLBACK", &ignored);
    pthread_mutex_unlock(&incidents->lock);
    return ok || !keep;
}

/* ---- from start to end ---- */

static bool find_owner(struct vt_incidents *incidents, struct vt_err *err)
{
    unsigned char random[8] = { 0 };
    char fresh[VT_INCIDENT_UUID_MAX];
    struct vt_rows rows;

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return vt_fail_errno(err, "no random bytes");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(fresh + 2 * i, 3, "%02x", random[i]);
    if (!vt_incidents_run(incidents, err, "INSERT OR IGNORE INTO meta VALUES ('owner', ?)", "t",
                          fresh))
        return false;
    if (vt_rows_begin(&rows, incidents, err, "SELECT value FROM meta WHERE key = 'owner'", "") &&
        vt_rows_next(&rows, err))
        vt_rows_copy(&rows, 0, incidents->owner, sizeof incidents->owner);
    vt_rows_end(&rows);
    return !vt_failed(err);
}

struct vt_incidents *vt_incidents_open(const char *path, struct vt_err *err)
{
    const struct vt_db_options options = { .sync = VT_DB_SYNC_FULL,
                                           .busy_ms = BUSY_MS,
                                           .wal_autocheckpoint = 1000 };
    VT_AUTO(vt_incidents) incidents = calloc(1, sizeof *incidents);
    pthread_mutexattr_t attr;

    if (!incidents) {
        vt_fail(err, VT_E_NOMEM, "no memory for the incidents");
        return NULL;
    }
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&incidents->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    incidents->db = vt_db_open(path, &options, err);
    if (!incidents->db || !vt_db_migrate(incidents->db, steps, VT_COUNT(steps), err) ||
        !find_owner(incidents, err))
        return NULL;
    return vt_take(&incidents);
}

void vt_incidents_free(struct vt_incidents *incidents)
{
    if (!incidents)
        return;
    vt_db_free(incidents->db);
    pthread_mutex_destroy(&incidents->lock);
    free(incidents);
}

const char *vt_incidents_owner(const struct vt_incidents *incidents)
{
    return incidents->owner;
}

/* ---- rules ---- */

void vt_rules_free(struct vt_rule *rules, size_t count)
{
    for (size_t i = 0; rules && i < count; i++)
        free(rules[i].settings);
    free(rules);
}

static bool read_rule(const struct vt_rows *rows, struct vt_rule *rule)
{
    *rule = (struct vt_rule){ .id = vt_rows_int(rows, 0),
                              .kind = (enum vt_rule_kind)vt_rows_int(rows, 1) };
    vt_rows_copy(rows, 2, rule->subject, sizeof rule->subject);
    rule->settings = strdup(vt_rows_text(rows, 3));
    return rule->settings;
}

bool vt_incidents_rules(struct vt_incidents *incidents, struct vt_rule **out_rules,
                        size_t *out_count, struct vt_err *err)
{
    struct vt_rule *rules = NULL;
    struct vt_rows rows;
    size_t count = 0, room = 0;
    bool ok = vt_rows_begin(&rows, incidents, err,
                            "SELECT id, kind, subject, settings FROM rule ORDER BY id", "");

    while (ok && vt_rows_next(&rows, err)) {
        if (count == room) {
            struct vt_rule *wider = reallocarray(rules, room + 64, sizeof *rules);
            ok = wider || vt_fail(err, VT_E_NOMEM, "no memory for the watches");
            rules = wider ? wider : rules;
            room += wider ? 64 : 0;
        }
        if (ok)
            ok = read_rule(&rows, &rules[count]) ||
                 vt_fail(err, VT_E_NOMEM, "no memory for the watches");
        count += ok;
    }
    vt_rows_end(&rows);
    if (vt_failed(err)) {
        vt_rules_free(rules, count);
        return false;
    }
    *out_rules = rules;
    *out_count = count;
    return true;
}

static bool has_room_for_rule(struct vt_incidents *incidents, struct vt_err *err)
{
    struct vt_rows rows;
    int64_t count = 0;

    if (vt_rows_begin(&rows, incidents, err, "SELECT count(*) FROM rule", "") &&
        vt_rows_next(&rows, err))
        count = vt_rows_int(&rows, 0);
    vt_rows_end(&rows);
    if (vt_failed(err))
        return false;
    return count < VT_RULES_MAX ||
           vt_fail(err, VT_E_LIMIT, "there are %d watches: use --tag, --host or --all",
                   VT_RULES_MAX);
}

bool vt_incidents_rule_add(struct vt_incidents *incidents, enum vt_rule_kind kind,
                           const char *subject, const char *settings, struct vt_err *err)
{
    return has_room_for_rule(incidents, err) &&
           vt_incidents_run(incidents, err,
                            "INSERT OR REPLACE INTO rule (kind, subject, settings) VALUES (?,?,?)",
                            "itt", (int64_t)kind, subject, settings);
}

bool vt_incidents_rule_remove(struct vt_incidents *incidents, enum vt_rule_kind kind,
                              const char *subject, bool *out_was_there, struct vt_err *err)
{
    pthread_mutex_lock(&incidents->lock);
    bool ok = vt_incidents_run(incidents, err, "DELETE FROM rule WHERE kind = ? AND subject = ?",
                               "it", (int64_t)kind, subject);
    if (ok)
        *out_was_there = sqlite3_changes(vt_db_handle(incidents->db)) > 0;
    pthread_mutex_unlock(&incidents->lock);
    return ok;
}

/* ---- seen ---- */

bool vt_incidents_seen_add(struct vt_incidents *incidents, const char *vm_uuid, struct vt_err *err)
{
    return vt_incidents_run(incidents, err, "INSERT OR IGNORE INTO seen VALUES (?)", "t", vm_uuid);
}

bool vt_incidents_is_seen(struct vt_incidents *incidents, const char *vm_uuid)
{
    struct vt_rows rows;
    struct vt_err err = { 0 };
    bool seen = vt_rows_begin(&rows, incidents, &err, "SELECT 1 FROM seen WHERE vm_uuid = ?", "t",
                              vm_uuid) &&
                vt_rows_next(&rows, &err);

    vt_rows_end(&rows);
    return seen;
}

/* ---- incidents ---- */

bool vt_incident_open(struct vt_incidents *incidents, struct vt_incident *incident,
                      const char *evidence, struct vt_err *err)
{
    pthread_mutex_lock(&incidents->lock);
    bool ok = vt_incidents_run(
        incidents, err,
        "INSERT INTO incident (class, opened, cause, reason, evidence) VALUES (?,?,?,?,?)", "iittt",
        (int64_t)incident->loss, incident->opened, incident->cause, incident->reason, evidence);
    if (ok)
        incident->id = sqlite3_last_insert_rowid(vt_db_handle(incidents->db));
    pthread_mutex_unlock(&incidents->lock);
    return ok;
}

bool vt_incident_vm_joins(struct vt_incidents *incidents, int64_t id, const char *vm_uuid,
                          const char *vm_name, int64_t time, const char *reason, struct vt_err *err)
{
    return vt_incidents_run(incidents, err,
                            "INSERT INTO incident_vm (incident, vm_uuid, vm_name, joined, reason)"
                            " VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET left_at = NULL,"
                            " left_reason = NULL",
                            "ittit", id, vm_uuid, vm_name, time, reason);
}

bool vt_incident_vm_leaves(struct vt_incidents *incidents, int64_t id, const char *vm_uuid,
                           int64_t time, const char *reason, struct vt_err *err)
{
    return vt_incidents_run(incidents, err,
                            "UPDATE incident_vm SET left_at = ?, left_reason = ?"
                            " WHERE incident = ? AND vm_uuid = ? AND left_at IS NULL",
                            "itit", time, reason, id, vm_uuid);
}

bool vt_incident_note(struct vt_incidents *incidents, int64_t id, int64_t time, const char *text,
                      struct vt_err *err)
{
    return vt_incidents_run(incidents, err, "INSERT INTO note VALUES (?,?,?)", "iit", id, time,
                            text);
}

bool vt_incident_close(struct vt_incidents *incidents, int64_t id, int64_t time, const char *reason,
                       const char *evidence, struct vt_err *err)
{
    return vt_incidents_run(incidents, err,
                            "UPDATE incident SET closed = ?, ended = ?, evidence_end = ?"
                            " WHERE id = ? AND closed IS NULL",
                            "itti", time, reason, evidence, id) &&
           vt_incidents_run(incidents, err,
                            "UPDATE incident_vm SET left_at = ?, left_reason = ?"
                            " WHERE incident = ? AND left_at IS NULL",
                            "iti", time, reason, id);
}

bool vt_incidents_open_each(struct vt_incidents *incidents,
                            bool (*fn)(void *context, const struct vt_incident *incident,
                                       const char *vm_uuid, const char *vm_name),
                            void *context, struct vt_err *err)
{
    struct vt_rows rows;
    bool ok = vt_rows_begin(
        &rows, incidents, err,
        "SELECT id, class, opened, cause, incident.reason, vm_uuid, vm_name FROM incident"
        " LEFT JOIN incident_vm ON incident = id AND left_at IS NULL WHERE closed IS NULL"
        " ORDER BY id",
        "");

    while (ok && vt_rows_next(&rows, err)) {
        struct vt_incident incident = { .id = vt_rows_int(&rows, 0),
                                        .loss = (enum vt_loss)vt_rows_int(&rows, 1),
                                        .opened = vt_rows_int(&rows, 2) };
        vt_rows_copy(&rows, 3, incident.cause, sizeof incident.cause);
        vt_rows_copy(&rows, 4, incident.reason, sizeof incident.reason);
        ok = fn(context, &incident, vt_rows_text(&rows, 5), vt_rows_text(&rows, 6));
    }
    vt_rows_end(&rows);
    return ok && !vt_failed(err);
}
