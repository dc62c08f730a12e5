/* Incidents as JSON: the rows of the time line, and one of them whole. */
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "hypervisor/incident_state.h"

static json_t *time_json(int64_t wall_ns)
{
    char text[VT_CLOCK_TEXT_MAX];

    if (wall_ns == 0)
        return json_null();
    vt_clock_text(wall_ns, text);
    return json_string(text);
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

/* ---- rows ---- */

/* VMs of an incident: all names, and the one when it is alone. */
static json_t *vm_names(struct vt_incidents *incidents, int64_t id, char uuid[static 64],
                        struct vt_err *err)
{
    json_t *names = json_array();
    struct vt_rows rows;

    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT vm_name, vm_uuid FROM incident_vm WHERE incident = ?"
                      " ORDER BY vm_name",
                      "i", id))
        while (vt_rows_next(&rows, err)) {
            json_array_append_new(names, json_string(vt_rows_text(&rows, 0)));
            vt_rows_copy(&rows, 1, uuid, 64);
        }
    vt_rows_end(&rows);
    return names;
}

/* The snapshot that was taken, else why there is none: of the last one that was thought of. */
static bool add_shot(struct vt_incidents *incidents, int64_t id, json_t *row, bool detailed,
                     char reason[static 2 * VT_INCIDENT_TEXT_MAX], struct vt_err *err)
{
    struct vt_rows rows;
    const char *snapshot = "", *state = "";

    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT uuid, state, reason FROM shot WHERE incident = ?"
                      " ORDER BY state = ? DESC, id DESC LIMIT 1",
                      "ii", id, (int64_t)VT_SHOT_DONE) &&
        vt_rows_next(&rows, err)) {
        enum vt_shot_state is = (enum vt_shot_state)vt_rows_int(&rows, 1);
        size_t length = strlen(reason);
        state = vt_shot_state_name(is);
        snapshot = vt_rows_text(&rows, 0);
        if (is != VT_SHOT_DONE && is != VT_SHOT_INTENT)
            snprintf(reason + length, 2 * VT_INCIDENT_TEXT_MAX - length, "; snapshot %s: %s", state,
                     vt_rows_text(&rows, 2));
        else if (is == VT_SHOT_DONE && *vt_rows_text(&rows, 2))
            snprintf(reason + length, 2 * VT_INCIDENT_TEXT_MAX - length, "; snapshot %s",
                     vt_rows_text(&rows, 2));
    }
    json_object_set_new(row, "snapshot", text_or_null(snapshot));
    json_object_set_new(row, "reason", json_string(reason));
    if (detailed)
        json_object_set_new(row, "snapshot_state", text_or_null(state));
    vt_rows_end(&rows);
    return !vt_failed(err);
}

static json_t *row_of(struct vt_incidents *incidents, const struct vt_incident *incident,
                      bool detailed, const char *ended, struct vt_err *err)
{
    char uuid[64] = "", reason[2 * VT_INCIDENT_TEXT_MAX];
    json_t *names = vm_names(incidents, incident->id, uuid, err), *row = json_object();
    bool alone = json_array_size(names) == 1;
    json_t *name = alone ? json_incref(json_array_get(names, 0)) : json_null();

    if (detailed)
        json_object_set_new(row, "id", json_integer(incident->id));
    json_object_set_new(row, "vm", name);
    json_object_set_new(row, "vm_uuid", alone ? json_string(uuid) : json_null());
    json_object_set_new(row, "class", json_string(vt_loss_name(incident->loss)));
    json_object_set_new(row, "opened", time_json(incident->opened));
    json_object_set_new(row, "closed", time_json(incident->closed));
    snprintf(reason, sizeof reason, "%s", incident->reason);
    add_shot(incidents, incident->id, row, detailed, reason, err);
    if (vt_loss_is_shared(incident->loss))
        json_object_set(row, "vms", names);
    if (detailed)
        json_object_set_new(row, "ended", text_or_null(ended));
    json_decref(names);
    return row;
}

static struct vt_incident read_incident(const struct vt_rows *rows)
{
    struct vt_incident incident = { .id = vt_rows_int(rows, 0),
                                    .loss = (enum vt_loss)vt_rows_int(rows, 1),
                                    .opened = vt_rows_int(rows, 2),
                                    .closed = vt_rows_int(rows, 3) };

    vt_rows_copy(rows, 4, incident.cause, sizeof incident.cause);
    vt_rows_copy(rows, 5, incident.reason, sizeof incident.reason);
    return incident;
}

#define COLUMNS "SELECT id, class, opened, closed, cause, reason, ended"

static json_t *gather_rows(struct vt_incidents *incidents, const struct vt_incident_filter *filter,
                           bool detailed, struct vt_err *err)
{
    json_t *list = json_array();
    struct vt_rows rows;
    int64_t limit = filter->limit && filter->limit < VT_INCIDENT_LIST_MAX ? (int64_t)filter->limit
                                                                          : VT_INCIDENT_LIST_MAX;
    bool ok = vt_rows_begin(
        &rows, incidents, err,
        "SELECT * FROM (" COLUMNS " FROM incident WHERE (?1 = 0 OR class = ?1)"
        " AND (?2 = 0 OR closed IS NULL) AND opened >= ?3"
        " AND (?4 IS NULL OR EXISTS (SELECT 1 FROM incident_vm v WHERE v.incident = id"
        " AND (v.vm_uuid = ?4 OR v.vm_name = ?4))) ORDER BY id DESC LIMIT ?5) ORDER BY id",
        "iiiti", (int64_t)filter->loss, (int64_t)filter->open_only, filter->since, filter->vm,
        limit);

    while (ok && vt_rows_next(&rows, err)) {
        struct vt_incident incident = read_incident(&rows);
        json_t *row = row_of(incidents, &incident, detailed, vt_rows_text(&rows, 6), err);
        ok = !vt_failed(err) && json_array_append_new(list, row) == 0;
    }
    vt_rows_end(&rows);
    return list;
}

/* Whoever takes the rows may be slow: the lock is not held meanwhile. */
bool vt_incidents_rows(struct vt_incidents *incidents, const struct vt_incident_filter *filter,
                       bool detailed, bool (*fn)(void *context, struct json_t *row), void *context,
                       struct vt_err *err)
{
    json_t *list = gather_rows(incidents, filter, detailed, err);
    size_t count = vt_failed(err) ? 0 : json_array_size(list);

    for (size_t i = 0; i < count; i++)
        if (!fn(context, json_incref(json_array_get(list, i))))
            break;
    json_decref(list);
    return !vt_failed(err);
}

/* ---- one of them, whole ---- */

static json_t *parsed(const char *text)
{
    json_t *json = *text ? json_loads(text, 0, NULL) : NULL;

    return json ? json : json_null();
}

static json_t *vms_json(struct vt_incidents *incidents, int64_t id, struct vt_err *err)
{
    json_t *list = json_array();
    struct vt_rows rows;

    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT vm_name, vm_uuid, joined, left_at, reason, left_reason"
                      " FROM incident_vm WHERE incident = ? ORDER BY joined, vm_name",
                      "i", id))
        while (vt_rows_next(&rows, err))
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "vm", vt_rows_text(&rows, 0),
                                "vm_uuid", vt_rows_text(&rows, 1), "joined",
                                time_json(vt_rows_int(&rows, 2)), "left",
                                time_json(vt_rows_int(&rows, 3)), "reason", vt_rows_text(&rows, 4),
                                "left_reason", text_or_null(vt_rows_text(&rows, 5))));
    vt_rows_end(&rows);
    return list;
}

static json_t *shots_json(struct vt_incidents *incidents, int64_t id, struct vt_err *err)
{
    json_t *list = json_array();
    struct vt_rows rows;

    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT vm_name, name, kind, state, reason, uuid, asked, ended, expires,"
                      " tries FROM shot WHERE incident = ? ORDER BY id",
                      "i", id))
        while (vt_rows_next(&rows, err))
            json_array_append_new(
                list,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I}", "vm",
                          vt_rows_text(&rows, 0), "name", vt_rows_text(&rows, 1), "kind",
                          vt_shot_kind_name((enum vt_shot_kind)vt_rows_int(&rows, 2)), "state",
                          vt_shot_state_name((enum vt_shot_state)vt_rows_int(&rows, 3)), "reason",
                          vt_rows_text(&rows, 4), "snapshot", text_or_null(vt_rows_text(&rows, 5)),
                          "asked", time_json(vt_rows_int(&rows, 6)), "ended",
                          time_json(vt_rows_int(&rows, 7)), "expires",
                          time_json(vt_rows_int(&rows, 8)), "tries",
                          (json_int_t)vt_rows_int(&rows, 9)));
    vt_rows_end(&rows);
    return list;
}

static json_t *notes_json(struct vt_incidents *incidents, int64_t id, struct vt_err *err)
{
    json_t *list = json_array();
    struct vt_rows rows;

    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT time, text FROM note WHERE incident = ? ORDER BY time, rowid", "i",
                      id))
        while (vt_rows_next(&rows, err))
            json_array_append_new(list,
                                  json_pack("{s:o, s:s}", "time", time_json(vt_rows_int(&rows, 0)),
                                            "text", vt_rows_text(&rows, 1)));
    vt_rows_end(&rows);
    return list;
}

struct json_t *vt_incident_json(struct vt_incidents *incidents, int64_t id, struct vt_err *err)
{
    struct vt_rows rows;
    json_t *whole = NULL;

    if (vt_rows_begin(&rows, incidents, err,
                      COLUMNS ", evidence, evidence_end FROM incident WHERE id = ?", "i", id) &&
        vt_rows_next(&rows, err)) {
        struct vt_incident incident = read_incident(&rows);
        whole = row_of(incidents, &incident, true, vt_rows_text(&rows, 6), err);
        json_object_set_new(whole, "cause", json_string(incident.cause));
        json_object_set_new(whole, "members", vms_json(incidents, id, err));
        json_object_set_new(whole, "snapshots", shots_json(incidents, id, err));
        json_object_set_new(whole, "history", notes_json(incidents, id, err));
        json_object_set_new(whole, "evidence", parsed(vt_rows_text(&rows, 7)));
        json_object_set_new(whole, "evidence_at_end", parsed(vt_rows_text(&rows, 8)));
    } else if (!vt_failed(err)) {
        vt_fail(err, VT_E_NOTFOUND, "there is no incident %lld: 'vitrine watch incident list'",
                (long long)id);
    }
    vt_rows_end(&rows);
    if (!vt_failed(err))
        return whole;
    json_decref(whole);
    return NULL;
}

bool vt_incidents_count(struct vt_incidents *incidents, uint64_t out_open[static VT_LOSSES],
                        uint64_t out_all[static VT_LOSSES], struct vt_err *err)
{
    struct vt_rows rows;

    memset(out_open, 0, VT_LOSSES * sizeof *out_open);
    memset(out_all, 0, VT_LOSSES * sizeof *out_all);
    if (vt_rows_begin(&rows, incidents, err,
                      "SELECT class, count(*), count(*) - count(closed) FROM incident"
                      " GROUP BY class",
                      ""))
        while (vt_rows_next(&rows, err)) {
            int64_t class = vt_rows_int(&rows, 0);
            if (class < 0 || class >= VT_LOSSES)
                continue;
            out_all[class] = (uint64_t)vt_rows_int(&rows, 1);
            out_open[class] = (uint64_t)vt_rows_int(&rows, 2);
        }
    vt_rows_end(&rows);
    return !vt_failed(err);
}
