/* watch add, remove, list, timeline, incident and pool metrics: the verbs of the monitor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/poold_watch.h"
#include "cmd/table.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

enum { FORCE_S = 5, METRICS_MAX = 4 << 20, SINCE_DAYS_MAX = 3660 };

static struct vt_monitor *monitor_of(struct vt_poold_watch *watch, struct vt_pool_call *call,
                                     struct vt_keeper **out_keeper, struct vt_err *err)
{
    struct vt_keeper *keeper = vt_call_pool(call, err);

    for (size_t i = 0; keeper && i < watch->count; i++)
        if (watch->pools[i].keeper == keeper) {
            if (out_keeper)
                *out_keeper = keeper;
            return watch->pools[i].monitor;
        }
    if (keeper)
        vt_fail(err, VT_E_INTERNAL, "the pool has no monitor");
    return NULL;
}

/* ---- rows, as objects or as a table ---- */

struct answer {
    struct vt_pool_call *call;
    struct vt_table *table; /* NULL: JSON */
    FILE *text;
    char *bytes;
    size_t size;
    uint64_t rows;
};

static bool answer_open(struct answer *answer, struct vt_pool_call *call,
                        const struct vt_column_spec *columns, size_t count, struct vt_err *err)
{
    *answer = (struct answer){ .call = call };
    if (vt_call_json(call))
        return true;
    answer->text = open_memstream(&answer->bytes, &answer->size);
    struct vt_table_options options = { .out = answer->text,
                                        .layout = columns ? VT_LAYOUT_TABLE : VT_LAYOUT_RECORD,
                                        .columns = columns,
                                        .column_count = count };
    answer->table = answer->text ? vt_table_new(&options) : NULL;
    if (answer->table)
        return true;
    if (answer->text)
        fclose(answer->text);
    free(answer->bytes);
    return vt_fail(err, VT_E_NOMEM, "no memory for an answer");
}

static bool answer_row(void *context, json_t *row)
{
    struct answer *answer = context;
    bool ok = true;

    answer->rows++;
    if (!answer->table)
        return vt_call_row(answer->call, row);
    ok = vt_table_row(answer->table, row);
    json_decref(row);
    return ok;
}

static void answer_close(struct answer *answer)
{
    if (!answer->table)
        return;
    vt_table_free(answer->table);
    fclose(answer->text);
    vt_call_out(answer->call, answer->bytes, answer->size);
    free(answer->bytes);
}

/* ---- rules ---- */

struct subject {
    enum vt_rule_kind kind;
    char text[VT_WATCH_TEXT_MAX]; /* as the rule keeps it */
    char name[VT_WATCH_TEXT_MAX]; /* as people say it */
};

static bool is_named(const struct vt_object *object, const char *word)
{
    return strcmp(vt_object_text(object, "name_label"), word) == 0 ||
           strcmp(vt_object_text(object, "uuid"), word) == 0;
}

static bool is_vm(const struct vt_object *vm)
{
    return !vt_object_bool(vm, "is_a_template") && !vt_object_bool(vm, "is_a_snapshot") &&
           !vt_object_bool(vm, "is_control_domain");
}

static bool find(const struct vt_picture *picture, enum vt_class class, const char *word,
                 struct subject *out, struct vt_err *err)
{
    const char *what = class == VT_CLASS_VM ? "VM" : "host";
    const struct vt_object *found = NULL;

    VT_PICTURE_EACH(picture, class, object)
    {
        if (!is_named(object, word) || (class == VT_CLASS_VM && !is_vm(object)))
            continue;
        if (found)
            return vt_fail(err, VT_E_INVALID,
                           "several have the name '%.60s': use the uuid, e.g. %s", word,
                           vt_object_text(found, "uuid"));
        found = object;
    }
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND,
                       "the pool has no %s '%.60s': 'vitrine %s list' shows what it has", what,
                       word, class == VT_CLASS_VM ? "vm" : "host");
    out->kind = class == VT_CLASS_VM ? VT_RULE_VM : VT_RULE_HOST;
    snprintf(out->text, sizeof out->text, "%s", vt_object_text(found, "uuid"));
    snprintf(out->name, sizeof out->name, "%s", vt_object_text(found, "name_label"));
    return true;
}

/* What the words and options name, in one list. */
static bool find_all(struct vt_pool_call *call, const struct vt_picture *picture,
                     struct subject *out, size_t *out_count, struct vt_err *err)
{
    const char *tag = vt_call_option(call, "tag"), *host = vt_call_option(call, "host");
    size_t args = 0;
    const char *const *words = vt_call_args(call, &args);

    *out_count = 0;
    for (size_t i = 0; i < args; i++)
        if (!find(picture, VT_CLASS_VM, words[i], &out[(*out_count)++], err))
            return false;
    if (host && !find(picture, VT_CLASS_HOST, host, &out[(*out_count)++], err))
        return false;
    if (tag) {
        out[*out_count].kind = VT_RULE_TAG;
        snprintf(out[*out_count].text, sizeof out->text, "%s", tag);
        snprintf(out[(*out_count)++].name, sizeof out->name, "%s", tag);
    }
    if (vt_call_option(call, "all"))
        out[(*out_count)++] = (struct subject){ .kind = VT_RULE_ALL, .name = "all" };
    return *out_count > 0 ||
           vt_fail(err, VT_E_INVALID, "which VMs? Name them, or say --tag, --host or --all");
}

static struct subject *subjects_of(struct vt_pool_call *call, struct vt_keeper *keeper,
                                   size_t *out_count, struct vt_err *err)
{
    size_t args = 0;

    vt_call_args(call, &args);
    struct subject *subjects = calloc(args + 3, sizeof *subjects);
    if (!subjects) {
        vt_fail(err, VT_E_NOMEM, "no memory for a list");
        return NULL;
    }
    const struct vt_picture *picture = vt_keeper_read(keeper);
    bool ok = find_all(call, picture, subjects, out_count, err);
    vt_keeper_done(keeper);
    if (ok)
        return subjects;
    free(subjects);
    return NULL;
}

/* The settings that were given, checked; as JSON text. */
static char *settings_of(struct vt_pool_call *call, struct vt_keeper *keeper, struct vt_err *err)
{
    struct vt_watch_settings checked;
    json_t *settings = json_object();
    bool ok = true;

    vt_watch_defaults(&checked);
    for (size_t i = 0; vt_watch_names[i] && ok; i++) {
        const char *value = vt_call_option(call, vt_watch_names[i]);
        if (!value)
            continue;
        ok = vt_watch_set(&checked, vt_watch_names[i], value, err);
        json_object_set_new(settings, vt_watch_names[i], json_string(value));
    }
    ok = ok && vt_monitor_driver_can(keeper, &checked, err);
    char *text = ok ? json_dumps(settings, JSON_COMPACT) : NULL;
    json_decref(settings);
    if (ok && !text)
        vt_fail(err, VT_E_NOMEM, "no memory for settings");
    return text;
}

struct looking {
    const struct subject *subject;
    json_t *row; /* of the VM itself */
    uint64_t count, blind; /* watched; of these, those that cannot be judged */
};

static bool look(void *context, json_t *row)
{
    struct looking *looking = context;
    const char *uuid = json_string_value(json_object_get(row, "vm_uuid"));
    const char *by = json_string_value(json_object_get(row, "by"));
    bool mine = looking->subject->kind == VT_RULE_VM
                    ? uuid && strcmp(uuid, looking->subject->text) == 0
                    : by && strcmp(by, vt_rule_kind_name(looking->subject->kind)) == 0;

    const char *class = json_string_value(json_object_get(row, "class"));

    looking->count += mine;
    looking->blind += mine && class && vt_loss_find(class) == VT_LOSS_UNMONITORABLE;
    if (mine && looking->subject->kind == VT_RULE_VM && !looking->row)
        looking->row = json_incref(row);
    json_decref(row);
    return true;
}

static const struct vt_column_spec rule_columns[] = {
    { "watch", "WATCH" }, { "subject", "SUBJECT" }, { "watched", "VMS" },
    { "unmonitorable", "UNMONITORABLE" },
    { "state", "STATE" }, { "class", "CLASS" },     { "reason", "REASON" },
};

/* How it is with each rule now. */
static bool tell_rules(struct vt_monitor *monitor, struct vt_pool_call *call,
                       const struct subject *subjects, size_t count, struct vt_err *err)
{
    struct answer answer;
    uint64_t blind = 0;

    if (!answer_open(&answer, call, rule_columns, VT_COUNT(rule_columns), err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct looking looking = { .subject = &subjects[i] };
        vt_monitor_list(monitor, look, &looking, err);
        json_t *row = json_pack("{s:s, s:s, s:I, s:I}", "watch",
                                vt_rule_kind_name(subjects[i].kind), "subject", subjects[i].name,
                                "watched", (json_int_t)looking.count, "unmonitorable",
                                (json_int_t)looking.blind);
        blind += looking.blind;
        if (looking.row)
            json_object_update_missing(row, looking.row);
        json_decref(looking.row);
        answer_row(&answer, row);
    }
    answer_close(&answer);
    if (blind > 0 && !vt_call_json(call))
        vt_call_note(call, "%llu cannot be judged: 'vitrine watch list --class unmonitorable' says why",
                     (unsigned long long)blind);
    return true;
}

static bool add(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_keeper *keeper = NULL;
    struct vt_monitor *monitor = monitor_of(context, call, &keeper, err);
    size_t count = 0;
    struct subject *subjects = monitor ? subjects_of(call, keeper, &count, err) : NULL;
    char *settings = subjects ? settings_of(call, keeper, err) : NULL;
    bool ok = settings && vt_incidents_begin(vt_monitor_incidents(monitor), err);

    if (ok) {
        for (size_t i = 0; i < count && ok; i++)
            ok = vt_incidents_rule_add(vt_monitor_incidents(monitor), subjects[i].kind,
                                       subjects[i].text, settings, err);
        ok = vt_incidents_end(vt_monitor_incidents(monitor), ok, err) && ok;
    }
    if (ok) {
        vt_monitor_rules_changed(monitor, vt_clock_mono() + FORCE_S * VT_NS_PER_S);
        ok = tell_rules(monitor, call, subjects, count, err);
    }
    free(settings);
    free(subjects);
    return ok;
}

static bool remove_rule(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_keeper *keeper = NULL;
    struct vt_monitor *monitor = monitor_of(context, call, &keeper, err);
    size_t count = 0;
    struct subject *subjects = monitor ? subjects_of(call, keeper, &count, err) : NULL;
    bool ok = subjects;

    for (size_t i = 0; i < count && ok; i++) {
        bool there = false;
        ok = vt_incidents_rule_remove(vt_monitor_incidents(monitor), subjects[i].kind,
                                      subjects[i].text, &there, err);
        if (ok && !there) {
            vt_call_note(call, "%s was not watched by a rule of its own: 'vitrine watch list'",
                         subjects[i].name);
            vt_call_status(call, 1);
        }
    }
    if (ok)
        vt_monitor_rules_changed(monitor, vt_clock_mono() + FORCE_S * VT_NS_PER_S);
    if (ok && !vt_call_json(call))
        for (size_t i = 0; i < count; i++) {
            char line[VT_WATCH_TEXT_MAX + 40];
            int size = snprintf(line, sizeof line, "%s: no longer watched by this rule\n",
                                subjects[i].name);
            vt_call_out(call, line, (size_t)size);
        }
    free(subjects);
    return ok;
}

/* ---- lists ---- */

static const struct vt_column_spec vm_columns[] = {
    { "vm", "VM" },           { "state", "STATE" },       { "class", "CLASS" },
    { "address", "ADDRESS" }, { "probe", "PROBE" },       { "port", "PORT" },
    { "by", "BY" },           { "snapshot", "SNAPSHOT" }, { "incident", "INCIDENT" },
    { "reason", "REASON" },
};

/* Rows of one class. */
struct choice {
    struct answer answer;
    const char *class; /* NULL: all */
};

static bool choose_row(void *context, json_t *row)
{
    struct choice *choice = context;
    const char *class = json_string_value(json_object_get(row, "class"));

    if (!choice->class || (class && strcmp(class, choice->class) == 0))
        return answer_row(&choice->answer, row);
    json_decref(row);
    return true;
}

static bool list(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_monitor *monitor = monitor_of(context, call, NULL, err);
    struct choice choice = { .class = vt_call_option(call, "class") };

    if (choice.class && vt_loss_find(choice.class) == VT_LOSSES)
        return vt_fail(err, VT_E_INVALID, "--class %.40s is no class", choice.class);
    if (!monitor || !answer_open(&choice.answer, call, vm_columns, VT_COUNT(vm_columns), err))
        return false;
    bool ok = vt_monitor_list(monitor, choose_row, &choice, err);
    answer_close(&choice.answer);
    if (ok && choice.answer.rows == 0 && !choice.class && !vt_call_json(call))
        vt_call_note(call,
                     "nothing is watched: 'vitrine watch add VM' or 'vitrine watch add --all'");
    return ok;
}

/* "30m", "12h", "7d" before now. */
static bool parse_since(const char *text, int64_t *out, struct vt_err *err)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    char *end = NULL;
    long number = strtol(text, &end, 10);

    for (size_t i = 0; i < VT_COUNT(units); i++)
        if (end != text && end[0] == units[i].unit && end[1] == '\0' && number > 0 &&
            number * units[i].seconds < SINCE_DAYS_MAX * INT64_C(86400)) {
            *out = vt_clock_wall() - number * units[i].seconds * VT_NS_PER_S;
            return true;
        }
    return vt_fail(err, VT_E_INVALID, "--since %.40s: say 30m, 12h or 7d", text);
}

static bool read_filter(struct vt_pool_call *call, struct vt_incident_filter *out,
                        struct vt_err *err)
{
    const char *class = vt_call_option(call, "class"), *since = vt_call_option(call, "since");
    const char *limit = vt_call_option(call, "limit");

    *out = (struct vt_incident_filter){ .open_only = vt_call_option(call, "open") != NULL };
    if (class) {
        out->loss = vt_loss_find(class);
        if (out->loss == VT_LOSSES || !vt_loss_is_incident(out->loss))
            return vt_fail(err, VT_E_INVALID, "--class %.40s is no class of incidents", class);
    }
    if (limit) {
        char *end = NULL;
        out->limit = strtoul(limit, &end, 10);
        if (*end || out->limit == 0)
            return vt_fail(err, VT_E_INVALID, "--limit %.40s is no number", limit);
    }
    return !since || parse_since(since, &out->since, err);
}

static const struct vt_column_spec incident_columns[] = {
    { "id", "ID" }, { "opened", "OPENED" },     { "closed", "CLOSED" }, { "class", "CLASS" },
    { "vm", "VM" }, { "snapshot", "SNAPSHOT" }, { "reason", "REASON" },
};

static bool rows(struct vt_poold_watch *watch, struct vt_pool_call *call, bool detailed,
                 size_t skip, struct vt_err *err)
{
    struct vt_monitor *monitor = monitor_of(watch, call, NULL, err);
    struct vt_incident_filter filter;
    struct answer answer;
    size_t count = 0;
    const char *const *args = vt_call_args(call, &count);

    if (!monitor || !read_filter(call, &filter, err))
        return false;
    filter.vm = count > skip ? args[skip] : NULL;
    if (!answer_open(&answer, call, incident_columns, VT_COUNT(incident_columns), err))
        return false;
    bool ok = vt_incidents_rows(vt_monitor_incidents(monitor), &filter,
                                detailed || !vt_call_json(call), answer_row, &answer, err);
    answer_close(&answer);
    return ok;
}

static bool timeline(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    return rows(context, call, false, 0, err);
}

/* ---- one incident ---- */

static bool print_whole(struct vt_pool_call *call, json_t *whole, struct vt_err *err)
{
    if (vt_call_json(call)) {
        vt_call_row(call, whole);
        return true;
    }
    char *text = json_dumps(whole, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(whole);
    if (!text)
        return vt_fail(err, VT_E_NOMEM, "no memory for an answer");
    vt_call_out(call, text, strlen(text));
    vt_call_out(call, "\n", 1);
    free(text);
    return true;
}

static bool read_id(const char *text, int64_t *out, struct vt_err *err)
{
    char *end = NULL;

    *out = strtoll(text, &end, 10);
    return (end != text && !*end) ||
           vt_fail(err, VT_E_INVALID, "'%.40s' is no number of an incident", text);
}

/* The words behind the number: NAME=VALUE. */
static json_t *read_changes(const char *const *words, size_t count, struct vt_err *err)
{
    json_t *changes = json_object();

    for (size_t i = 0; i < count; i++) {
        const char *equal = strchr(words[i], '=');
        char name[40];
        if (!equal || equal == words[i] || equal - words[i] >= (ptrdiff_t)sizeof name) {
            vt_fail(err, VT_E_INVALID, "'%.40s': say NAME=VALUE, e.g. threshold=5", words[i]);
            json_decref(changes);
            return NULL;
        }
        snprintf(name, sizeof name, "%.*s", (int)(equal - words[i]), words[i]);
        json_object_set_new(changes, name, json_string(equal + 1));
    }
    return changes;
}

static bool incident(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    size_t count = 0;
    const char *const *args = vt_call_args(call, &count);
    int64_t id = 0;

    if (count > 0 && strcmp(args[0], "list") == 0)
        return rows(context, call, true, 1, err);
    struct vt_monitor *monitor = monitor_of(context, call, NULL, err);
    if (!monitor)
        return false;
    if (count < 2 || (strcmp(args[0], "show") != 0 && strcmp(args[0], "replay") != 0))
        return vt_fail(err, VT_E_INVALID,
                       "say: watch incident list | show ID | replay ID [NAME=VALUE...]");
    if (!read_id(args[1], &id, err))
        return false;
    if (strcmp(args[0], "show") == 0) {
        json_t *whole = vt_incident_json(vt_monitor_incidents(monitor), id, err);
        return whole && print_whole(call, whole, err);
    }
    json_t *changes = read_changes(args + 2, count - 2, err);
    json_t *row = changes ? vt_monitor_replay(monitor, id, changes, err) : NULL;
    json_decref(changes);
    return row && print_whole(call, row, err);
}

static bool metrics(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_monitor *monitor = monitor_of(context, call, NULL, err);
    VT_AUTO_BUF(text, METRICS_MAX);

    if (!monitor || !vt_monitor_metrics(monitor, &text, err))
        return false;
    if (vt_call_json(call))
        vt_call_row(call, json_pack("{s:s%}", "metrics", (const char *)text.data, text.size));
    else
        vt_call_out(call, (const char *)text.data, text.size);
    return true;
}

const struct vt_pool_verb vt_poold_watch_verbs[] = {
    { "watch.list", VT_NEED_READ, list },
    { "watch.timeline", VT_NEED_READ, timeline },
    { "watch.incident", VT_NEED_READ, incident },
    { "watch.add", VT_NEED_CHANGE, add },
    { "watch.remove", VT_NEED_CHANGE, remove_rule },
    { "pool.metrics", VT_NEED_READ, metrics },
    { .name = NULL },
};
