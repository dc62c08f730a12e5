/* What was known when an incident was opened, as JSON; and judging it again from there with other
 * numbers: the same pure functions on the recorded facts. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

/* ---- records to JSON and back: a table of fields ---- */

enum kind { FLAG, NUMBER, LONG };

struct field {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define FACT(name, kind)                                                                           \
    {                                                                                              \
#name, kind, offsetof(struct vt_facts, name)                                               \
    }
#define SHARE(name, part)                                                                          \
    {                                                                                              \
#name "_" #part, NUMBER, offsetof(struct vt_facts, name.part)                              \
    }

static const struct field facts_fields[] = {
    FACT(reach, NUMBER),        FACT(isolated, FLAG),    FACT(control, FLAG),
    FACT(known, FLAG),          FACT(power, NUMBER),     FACT(doing, NUMBER),
    FACT(settling, NUMBER),     FACT(maintenance, FLAG), FACT(host_live, NUMBER),
    FACT(host_answers, NUMBER), FACT(carrier, NUMBER),   SHARE(host, watched),
    SHARE(host, silent),        SHARE(link, watched),    SHARE(link, silent),
    SHARE(network, watched),    SHARE(network, silent),  FACT(unplugged, FLAG),
    FACT(blocked, FLAG),        FACT(withdrawn, FLAG),
};

#define GUARD(name, kind)                                                                          \
    {                                                                                              \
#name, kind, offsetof(struct vt_guard_facts, name)                                         \
    }
#define STORAGE(name, kind)                                                                        \
    {                                                                                              \
#name, kind, offsetof(struct vt_guard_facts, storage.name)                                 \
    }

static const struct field guard_fields[] = {
    GUARD(wanted, FLAG),        GUARD(allowed, FLAG),         GUARD(has_one, FLAG),
    GUARD(age, LONG),           GUARD(since_last, LONG),      GUARD(quarantined, FLAG),
    STORAGE(disks, NUMBER),     STORAGE(chain_depth, NUMBER), STORAGE(coalesce_pending, FLAG),
    STORAGE(free_bytes, LONG),  STORAGE(size_bytes, LONG),    STORAGE(need_bytes, LONG),
    GUARD(minute_host, NUMBER), GUARD(minute_sr, NUMBER),     GUARD(minute, NUMBER),
    GUARD(hour, NUMBER),        GUARD(running, NUMBER),       GUARD(running_sr, NUMBER),
};

static json_t *to_json(const struct field *fields, size_t count, const void *record)
{
    json_t *json = json_object();

    for (size_t i = 0; i < count; i++) {
        const char *at = (const char *)record + fields[i].offset;
        int32_t number = 0;
        int64_t wide = 0;
        json_t *value = NULL;
        if (fields[i].kind == FLAG)
            value = json_boolean(*(const bool *)(const void *)at);
        else if (fields[i].kind == NUMBER)
            value = json_integer(*(int32_t *)memcpy(&number, at, sizeof number));
        else
            value = json_integer(*(int64_t *)memcpy(&wide, at, sizeof wide));
        json_object_set_new(json, fields[i].name, value);
    }
    return json;
}

static void from_json(const struct field *fields, size_t count, const json_t *json, void *record)
{
    for (size_t i = 0; i < count; i++) {
        char *at = (char *)record + fields[i].offset;
        const json_t *value = json_object_get(json, fields[i].name);
        int32_t number = (int32_t)json_integer_value(value);
        int64_t wide = json_integer_value(value);
        if (fields[i].kind == FLAG)
            *(bool *)(void *)at = json_is_true(value);
        else if (fields[i].kind == NUMBER)
            memcpy(at, &number, sizeof number);
        else
            memcpy(at, &wide, sizeof wide);
    }
}

json_t *vt_evidence_guard(const struct vt_guard_facts *facts)
{
    json_t *json = to_json(guard_fields, VT_COUNT(guard_fields), facts);

    if (json)
        json_object_set_new(json, "storage", json_string(facts->storage.sr_name));
    return json;
}

/* ---- gathering ---- */

static json_t *time_json(int64_t wall_ns)
{
    char text[VT_CLOCK_TEXT_MAX];

    vt_clock_text(wall_ns, text);
    return json_string(text);
}

json_t *vt_heard_json(const struct vt_watched *vm)
{
    json_t *list = json_array();
    unsigned count = vm->heard_next < VT_HEARD_KEPT ? vm->heard_next : VT_HEARD_KEPT;

    for (unsigned i = 0; i < count; i++) {
        const struct vt_heard *heard = &vm->heard[(vm->heard_next - count + i) % VT_HEARD_KEPT];
        char address[VT_PROBE_ADDRESS_TEXT_MAX];
        json_t *row = json_pack("{s:o, s:s, s:f, s:s}", "at", time_json(heard->at), "end",
                                vt_probe_end_name((enum vt_probe_end)heard->end), "ms",
                                heard->took_us / 1000.0, "address",
                                vt_probe_address_text(&heard->address, address));
        if (row && heard->code)
            json_object_set_new(row, "error", json_string(strerrordesc_np(heard->code)));
        json_array_append_new(list, row);
    }
    return list;
}

static void add_remarks(json_t *list, const struct vt_remarks *remarks)
{
    unsigned count = remarks->next < VT_REMARKS_KEPT ? remarks->next : VT_REMARKS_KEPT;

    for (unsigned i = 0; i < count; i++) {
        const struct vt_remark *remark =
            &remarks->items[(remarks->next - count + i) % VT_REMARKS_KEPT];
        json_array_append_new(
            list, json_pack("{s:o, s:s}", "at", time_json(remark->at), "text", remark->text));
    }
}

static void add_text(json_t *json, const char *key, const struct vt_object *object,
                     const char *field)
{
    if (object)
        json_object_set_new(json, key, json_string(vt_object_text(object, field)));
}

/* The values of the pool by XAPI's names. */
static json_t *pool_values(const struct vt_monitor *monitor, const struct vt_picture *picture,
                           const struct vt_watched *vm)
{
    const struct vt_object *object = vt_picture_get(picture, vm->ref);
    const struct vt_object *host =
        vm->host == VT_NO_INDEX ? NULL : vt_picture_get(picture, monitor->beacons[vm->host].ref);
    const struct vt_object *network =
        vm->network == VT_NO_INDEX ? NULL
                                   : vt_picture_get(picture, monitor->networks[vm->network].ref);
    json_t *json = json_object(), *addresses = json_array();

    add_text(json, "power_state", object, "power_state");
    add_text(json, "domid", object, "domid");
    add_text(json, "host", host, "name_label");
    add_text(json, "host_address", host, "address");
    add_text(json, "network", network, "name_label");
    for (uint8_t i = 0; i < vm->address_count; i++) {
        char text[VT_PROBE_ADDRESS_TEXT_MAX];
        json_array_append_new(addresses,
                              json_string(vt_probe_address_text(&vm->addresses[i], text)));
    }
    json_object_set_new(json, "addresses", addresses);
    json_object_set_new(json, "as_of", time_json(vt_picture_time(picture)));
    return json;
}

static json_t *settings_json(const struct vt_watch_settings *settings)
{
    return json_pack("{s:s, s:i, s:f, s:f, s:i, s:i, s:f, s:s, s:b, s:b}", "probe",
                     vt_probe_kind_name(settings->kind), "port", (int)settings->port, "interval",
                     (double)settings->interval / 1e9, "timeout", (double)settings->timeout / 1e9,
                     "threshold", (int)settings->threshold, "recover", (int)settings->recover,
                     "grace", (double)settings->grace / 1e9, "snapshot",
                     vt_shot_kind_name(settings->shot), "always", settings->always, "dry-run",
                     settings->dry_run);
}

json_t *vt_evidence_of(const struct vt_monitor *monitor, const struct vt_picture *picture,
                       const struct vt_watched *vm, const struct vt_facts *facts)
{
    json_t *json = json_object(), *events = json_array();

    add_remarks(events, &monitor->remarks);
    add_remarks(events, &vm->remarks);
    json_object_set_new(json, "facts", to_json(facts_fields, VT_COUNT(facts_fields), facts));
    json_object_set_new(json, "settings", settings_json(vm->settings));
    json_object_set_new(json, "probes", vt_heard_json(vm));
    json_object_set_new(json, "pool", pool_values(monitor, picture, vm));
    json_object_set_new(json, "events", events);
    return json;
}

/* ---- judging again ---- */

struct again {
    struct vt_watch_settings watch;
    struct vt_classify_limits classify;
    struct vt_guard_limits guard;
};

static bool set_limit(struct again *again, const char *name, const char *value, bool *out_known,
                      struct vt_err *err)
{
    struct {
        const char *name;
        int *at;
    } limits[] = {
        { "chain-max", &again->guard.chain_max },
        { "free-percent", &again->guard.free_percent },
        { "storm-host", &again->guard.storm_host },
        { "storm-storage", &again->guard.storm_sr },
        { "storm-minute", &again->guard.storm_minute },
        { "storm-hour", &again->guard.storm_hour },
        { "share-min", (int *)&again->classify.share_min },
        { "share-percent", (int *)&again->classify.share_percent },
    };
    char *end = NULL;
    long number = strtol(value, &end, 10);

    for (size_t i = 0; i < VT_COUNT(limits); i++) {
        if (strcmp(limits[i].name, name) != 0)
            continue;
        *out_known = true;
        if (end == value || *end || number < 0 || number > 1000000)
            return vt_fail(err, VT_E_INVALID, "%s: '%.40s' is no number", name, value);
        *limits[i].at = (int)number;
        return true;
    }
    if (strcmp(name, "free-bytes") != 0)
        return true;
    *out_known = true;
    again->guard.free_bytes = strtoll(value, &end, 10);
    return (end != value && !*end) || vt_fail(err, VT_E_INVALID, "free-bytes: a number of bytes");
}

static bool apply_changes(struct again *again, const json_t *changes, struct vt_err *err)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *)(uintptr_t)changes, name, value)
    {
        const char *text = json_string_value(value);
        bool known = false;
        if (!set_limit(again, name, text ? text : "", &known, err) ||
            (!known && !vt_watch_set(&again->watch, name, text ? text : "", err)))
            return false;
    }
    return true;
}

/* Was it silent long enough for that threshold? What was heard before, and all the time until it
 * answered again, counts. */
static bool is_lost_again(const json_t *whole, const struct again *again)
{
    const json_t *recorded = json_object_get(json_object_get(whole, "evidence"), "settings");
    json_int_t threshold = json_integer_value(json_object_get(recorded, "threshold"));

    if ((json_int_t)again->watch.threshold <= threshold)
        return true;
    const json_t *heard = json_object_get(whole, "evidence_at_end");
    size_t silent = (size_t)threshold;
    for (size_t i = 0; i < json_array_size(heard); i++) {
        const char *end = json_string_value(json_object_get(json_array_get(heard, i), "end"));
        silent += end && strcmp(end, "answered") != 0;
    }
    bool open = json_is_null(json_object_get(whole, "closed"));
    return open || silent >= again->watch.threshold;
}

static json_t *outcome_of(const json_t *whole, const struct again *again)
{
    const json_t *evidence = json_object_get(whole, "evidence");
    const json_t *guard = json_object_get(evidence, "guard");
    struct vt_facts facts = { 0 };
    struct vt_guard_facts guard_facts = { 0 };
    char sentence[VT_INCIDENT_TEXT_MAX] = "";

    from_json(facts_fields, VT_COUNT(facts_fields), json_object_get(evidence, "facts"), &facts);
    if (!is_lost_again(whole, again))
        facts.reach = VT_REACH_ANSWERS;
    struct vt_verdict verdict = vt_classify(&facts, &again->classify);
    json_t *row = json_pack("{s:s, s:s}", "class", vt_loss_name(verdict.loss), "reason",
                            facts.reach == VT_REACH_ANSWERS ? "it was not silent for so many probes"
                                                            : verdict.reason);
    bool shoots = verdict.loss == VT_LOSS_NETWORK_LOST ||
                  (verdict.loss == VT_LOSS_LINK_LOST && again->watch.always);
    json_object_set_new(row, "snapshot", json_string("none"));
    if (!shoots || !guard)
        return row;
    from_json(guard_fields, VT_COUNT(guard_fields), guard, &guard_facts);
    snprintf(guard_facts.storage.sr_name, sizeof guard_facts.storage.sr_name, "%s",
             json_string_value(json_object_get(guard, "storage")));
    enum vt_guard said = vt_guard_check(&guard_facts, &again->guard, sentence, sizeof sentence);
    json_object_set_new(row, "snapshot",
                        json_string(said == VT_GUARD_OK ? "taken" : vt_guard_name(said)));
    json_object_set_new(row, "snapshot_reason", json_string(sentence));
    return row;
}

struct json_t *vt_monitor_replay(struct vt_monitor *monitor, int64_t incident,
                                 const struct json_t *changes, struct vt_err *err)
{
    struct again again;

    pthread_mutex_lock(&monitor->lock);
    again = (struct again){ monitor->options.settings, monitor->options.classify,
                            monitor->options.guard };
    pthread_mutex_unlock(&monitor->lock);
    json_t *whole = vt_incident_json(monitor->incidents, incident, err);
    if (!whole)
        return NULL;
    const json_t *settings = json_object_get(json_object_get(whole, "evidence"), "settings");
    json_int_t threshold = json_integer_value(json_object_get(settings, "threshold"));
    if (threshold > 0)
        again.watch.threshold = (uint32_t)threshold;
    again.watch.always = json_is_true(json_object_get(settings, "always"));
    json_t *row = NULL;
    if (!json_is_object(json_object_get(whole, "evidence")))
        vt_fail(err, VT_E_UNSUPPORTED, "incident %lld is the pool's own: it has no VM's evidence",
                (long long)incident);
    else if (apply_changes(&again, changes, err))
        row = json_pack("{s:I, s:O, s:O, s:o}", "incident", (json_int_t)incident, "vm",
                        json_object_get(whole, "vm"), "recorded_class",
                        json_object_get(whole, "class"), "replayed", outcome_of(whole, &again));
    json_decref(whole);
    return row;
}
