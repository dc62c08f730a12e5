/* Snapshots that were meant, taken or refused, and storage in quarantine. */
#include <sqlite3.h>
#include <string.h>

#include "hypervisor/incident_state.h"

const char *vt_shot_state_name(enum vt_shot_state state)
{
    static const char *const names[] = {
        [VT_SHOT_WAITING] = "waiting", [VT_SHOT_INTENT] = "intent",   [VT_SHOT_DONE] = "done",
        [VT_SHOT_FAILED] = "failed",   [VT_SHOT_UNKNOWN] = "unknown", [VT_SHOT_REFUSED] = "refused",
        [VT_SHOT_DROPPED] = "dropped", [VT_SHOT_DRY] = "dry-run",
    };
    return names[state];
}

bool vt_shot_add(struct vt_incidents *incidents, struct vt_shot *shot, struct vt_err *err)
{
    pthread_mutex_lock(&incidents->lock);
    bool ok = vt_incidents_run(
        incidents, err,
        "INSERT INTO shot (incident, vm_uuid, vm_name, name, kind, state, reason, uuid, asked,"
        " ended, expires, tries) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        "itttiittiiii", shot->incident, shot->vm_uuid, shot->vm_name, shot->name,
        (int64_t)shot->kind, (int64_t)shot->state, shot->reason, shot->uuid, shot->asked,
        shot->ended, shot->expires, (int64_t)shot->tries);
    if (ok)
        shot->id = sqlite3_last_insert_rowid(vt_db_handle(incidents->db));
    pthread_mutex_unlock(&incidents->lock);
    return ok;
}

bool vt_shot_update(struct vt_incidents *incidents, const struct vt_shot *shot, struct vt_err *err)
{
    return vt_incidents_run(incidents, err,
                            "UPDATE shot SET state = ?, reason = ?, uuid = ?, ended = ?, tries = ?"
                            " WHERE id = ?",
                            "ittiii", (int64_t)shot->state, shot->reason, shot->uuid, shot->ended,
                            (int64_t)shot->tries, shot->id);
}

bool vt_shots_each_pending(struct vt_incidents *incidents,
                           bool (*fn)(void *context, const struct vt_shot *shot), void *context,
                           struct vt_err *err)
{
    struct vt_rows rows;
    bool ok = vt_rows_begin(
        &rows, incidents, err,
        "SELECT id, incident, vm_uuid, vm_name, name, kind, state, reason, uuid, asked, ended,"
        " expires, tries FROM shot WHERE state IN (?,?,?) ORDER BY id",
        "iii", (int64_t)VT_SHOT_WAITING, (int64_t)VT_SHOT_INTENT, (int64_t)VT_SHOT_UNKNOWN);

    while (ok && vt_rows_next(&rows, err)) {
        struct vt_shot shot = { .id = vt_rows_int(&rows, 0),
                                .incident = vt_rows_int(&rows, 1),
                                .kind = (enum vt_shot_kind)vt_rows_int(&rows, 5),
                                .state = (enum vt_shot_state)vt_rows_int(&rows, 6),
                                .asked = vt_rows_int(&rows, 9),
                                .ended = vt_rows_int(&rows, 10),
                                .expires = vt_rows_int(&rows, 11),
                                .tries = (uint32_t)vt_rows_int(&rows, 12) };
        vt_rows_copy(&rows, 2, shot.vm_uuid, sizeof shot.vm_uuid);
        vt_rows_copy(&rows, 3, shot.vm_name, sizeof shot.vm_name);
        vt_rows_copy(&rows, 4, shot.name, sizeof shot.name);
        vt_rows_copy(&rows, 7, shot.reason, sizeof shot.reason);
        vt_rows_copy(&rows, 8, shot.uuid, sizeof shot.uuid);
        ok = fn(context, &shot);
    }
    vt_rows_end(&rows);
    return ok && !vt_failed(err);
}

bool vt_shots_last(struct vt_incidents *incidents, const char *vm_uuid, int64_t *out_asked,
                   struct vt_err *err)
{
    struct vt_rows rows;

    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT max(asked) FROM shot WHERE vm_uuid = ? AND state IN (?,?,?)", "tiii",
                      vm_uuid, (int64_t)VT_SHOT_DONE, (int64_t)VT_SHOT_INTENT,
                      (int64_t)VT_SHOT_UNKNOWN) &&
        vt_rows_next(&rows, err))
        *out_asked = vt_rows_int(&rows, 0);
    vt_rows_end(&rows);
    return !vt_failed(err);
}

bool vt_quarantine_put(struct vt_incidents *incidents, const char *sr_uuid, int64_t until,
                       const char *reason, struct vt_err *err)
{
    return vt_incidents_run(incidents, err, "INSERT OR REPLACE INTO quarantine VALUES (?,?,?)",
                            "tit", sr_uuid, until, reason);
}

bool vt_quarantine_until(struct vt_incidents *incidents, const char *sr_uuid, int64_t *out_until,
                         struct vt_err *err)
{
    struct vt_rows rows;
    int64_t until = 0;

    if (vt_rows_begin(&rows, incidents, err, "SELECT until FROM quarantine WHERE sr_uuid = ?", "t",
                      sr_uuid) &&
        vt_rows_next(&rows, err))
        until = vt_rows_int(&rows, 0);
    vt_rows_end(&rows);
    if (!vt_failed(err))
        *out_until = until;
    return !vt_failed(err);
}
