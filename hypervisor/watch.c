#include "hypervisor/watch.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"

/* ---- windows ---- */

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

static int day_of(const char *text)
{
    for (int i = 0; i < 7; i++)
        if (strncasecmp(day_names[i], text, 3) == 0)
            return i;
    return -1;
}

/* "daily", "Sat" or "Mon-Fri" */
static bool parse_days(const char *text, uint8_t *out_days)
{
    if (strcasecmp(text, "daily") == 0) {
        *out_days = 0x7f;
        return true;
    }
    size_t length = strlen(text);
    int from = day_of(text), to = length == 7 && text[3] == '-' ? day_of(text + 4) : from;
    if (from < 0 || to < 0 || (length != 3 && length != 7))
        return false;
    *out_days = 0;
    for (int day = from;; day = (day + 1) % 7) {
        *out_days = (uint8_t)(*out_days | 1u << day);
        if (day == to)
            return true;
    }
}

static bool parse_window(const char *text, struct vt_windows *out)
{
    unsigned h1 = 0, m1 = 0, h2 = 0, m2 = 0;
    char days[16] = "", rest[2] = "";
    uint8_t mask = 0;

    if (sscanf(text, " %15s %2u:%2u-%2u:%2u %1s", days, &h1, &m1, &h2, &m2, rest) != 5)
        return false;
    if (!parse_days(days, &mask) || h1 > 23 || m1 > 59 || m2 > 59 || h2 > 24 ||
        h2 * 60 + m2 > VT_WINDOW_MINUTES || h1 * 60 + m1 == h2 * 60 + m2)
        return false;
    out->items[out->count].days = mask;
    out->items[out->count].from = (uint16_t)(h1 * 60 + m1);
    out->items[out->count].to = (uint16_t)(h2 * 60 + m2);
    out->count++;
    return true;
}

bool vt_windows_parse(const char *text, struct vt_windows *out, struct vt_err *err)
{
    struct vt_windows windows = { .count = 0 };
    char copy[VT_WATCH_TEXT_MAX], *rest = NULL;

    if (strlen(text) >= sizeof copy)
        return vt_fail(err, VT_E_INVALID, "the windows of maintenance are longer than %zu bytes",
                       sizeof copy - 1);
    strcpy(copy, text);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        if (windows.count == VT_WINDOWS_MAX)
            return vt_fail(err, VT_E_INVALID, "more than %d windows of maintenance",
                           VT_WINDOWS_MAX);
        if (!parse_window(item, &windows))
            return vt_fail(err, VT_E_INVALID,
                           "'%.60s' is no window of maintenance: say 'Sat 02:00-04:30' or "
                           "'Mon-Fri 23:30-00:30' or 'daily 12:00-12:15'",
                           item);
    }
    *out = windows;
    return true;
}

bool vt_windows_open(const struct vt_windows *windows, int day, int minute)
{
    for (unsigned i = 0; i < windows->count; i++) {
        bool today = windows->items[i].days >> day & 1;
        bool yesterday = windows->items[i].days >> ((day + 6) % 7) & 1;
        int from = windows->items[i].from, to = windows->items[i].to;
        if (from < to ? today && minute >= from && minute < to
                      : (today && minute >= from) || (yesterday && minute < to))
            return true;
    }
    return false;
}

bool vt_windows_open_at(const struct vt_windows *windows, int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / VT_NS_PER_S);
    struct tm local;

    return windows->count > 0 && localtime_r(&seconds, &local) &&
           vt_windows_open(windows, local.tm_wday, local.tm_hour * 60 + local.tm_min);
}

/* ---- settings ---- */

static const char *const shot_kinds[] = { "disk", "checkpoint", "none", "quiesced" };

const char *vt_shot_kind_name(enum vt_shot_kind kind)
{
    return shot_kinds[kind];
}

void vt_watch_defaults(struct vt_watch_settings *out)
{
    *out = (struct vt_watch_settings){
        .kind = VT_PROBE_TCP,
        .port = VT_WATCH_PORT,
        .interval = VT_WATCH_INTERVAL,
        .timeout = VT_WATCH_TIMEOUT,
        .threshold = VT_WATCH_THRESHOLD,
        .recover = VT_WATCH_RECOVER,
        .grace = VT_WATCH_GRACE,
        .shot = VT_SHOT_DISK,
        .ae_title = "ANY-SCP",
    };
}

int64_t vt_watch_bound(const struct vt_watch_settings *settings)
{
    return settings->threshold * (settings->interval + settings->timeout) + VT_NS_PER_S;
}

typedef bool (*set_fn)(struct vt_watch_settings *settings, const char *value, struct vt_err *err);

static bool number(const char *value, unsigned long min, unsigned long max, unsigned long *out,
                   struct vt_err *err)
{
    char *end = NULL;
    unsigned long read = strtoul(value, &end, 10);

    if (!isdigit((unsigned char)value[0]) || *end || read < min || read > max)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is no number from %lu to %lu", value, min, max);
    *out = read;
    return true;
}

/* "10", "0.5", "500ms", "5m", "2h" */
static bool duration(const char *value, int64_t min, int64_t max, int64_t *out, struct vt_err *err)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = { { "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "m", 60e9 }, { "h", 3600e9 } };
    char *end = NULL;
    double read = strtod(value, &end);

    for (size_t i = 0; i < VT_COUNT(units) && isdigit((unsigned char)value[0]); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        double ns = read * units[i].ns;
        if (!(ns >= (double)min && ns <= (double)max))
            break;
        *out = (int64_t)ns;
        return true;
    }
    return vt_fail(err, VT_E_INVALID, "'%.40s' is no time from %g to %g seconds", value,
                   (double)min / 1e9, (double)max / 1e9);
}

static bool truth(const char *value, bool *out, struct vt_err *err)
{
    static const char *const yes[] = { "yes", "true", "on", "1", "" };
    static const char *const no[] = { "no", "false", "off", "0" };

    for (size_t i = 0; i < VT_COUNT(yes); i++)
        if (strcmp(value, yes[i]) == 0) {
            *out = true;
            return true;
        }
    for (size_t i = 0; i < VT_COUNT(no); i++)
        if (strcmp(value, no[i]) == 0) {
            *out = false;
            return true;
        }
    return vt_fail(err, VT_E_INVALID, "'%.40s' is neither yes nor no", value);
}

static bool set_probe(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    return vt_probe_kind_find(value, &settings->kind) ||
           vt_fail(err, VT_E_INVALID, "'%.40s' is none of tcp, echo, icmp", value);
}

static bool set_port(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    unsigned long port = 0;

    if (!number(value, 1, 65535, &port, err))
        return false;
    settings->port = (uint16_t)port;
    return true;
}

static bool set_interval(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    return duration(value, VT_PROBE_INTERVAL_MS_MIN * VT_NS_PER_MS, 86400 * VT_NS_PER_S,
                    &settings->interval, err);
}

static bool set_timeout(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    return duration(value, 10 * VT_NS_PER_MS, 300 * VT_NS_PER_S, &settings->timeout, err);
}

static bool set_threshold(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    unsigned long count = 0;

    if (!number(value, 1, VT_WATCH_THRESHOLD_MAX, &count, err))
        return false;
    settings->threshold = (uint32_t)count;
    return true;
}

static bool set_recover(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    unsigned long count = 0;

    if (!number(value, 1, VT_WATCH_THRESHOLD_MAX, &count, err))
        return false;
    settings->recover = (uint32_t)count;
    return true;
}

static bool set_grace(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    return duration(value, 0, 86400 * VT_NS_PER_S, &settings->grace, err);
}

static bool set_snapshot(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    for (size_t i = 0; i < VT_COUNT(shot_kinds); i++)
        if (strcmp(value, shot_kinds[i]) == 0) {
            settings->shot = (enum vt_shot_kind)i;
            return true;
        }
    return vt_fail(err, VT_E_INVALID, "'%.40s' is none of disk, checkpoint, quiesced, none", value);
}

static bool set_always(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    return truth(value, &settings->always, err);
}

static bool set_dry_run(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    return truth(value, &settings->dry_run, err);
}

static bool set_ae_title(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    size_t length = strlen(value);

    if (length == 0 || length > 16 || strchr(value, '\\'))
        return vt_fail(err, VT_E_INVALID, "'%.40s' is not an AE title", value);
    strcpy(settings->ae_title, value);
    return true;
}

/* "10.0.0.7, fd00::7" */
static bool set_address(struct vt_watch_settings *settings, const char *value, struct vt_err *err)
{
    char copy[VT_WATCH_TEXT_MAX] = "", *rest = NULL;

    snprintf(copy, sizeof copy, "%s", value);
    settings->address_count = 0;
    for (char *item = strtok_r(copy, ", ", &rest); item; item = strtok_r(NULL, ", ", &rest)) {
        if (settings->address_count == VT_PROBE_ADDRESSES_MAX)
            return vt_fail(err, VT_E_INVALID, "more than %d addresses", VT_PROBE_ADDRESSES_MAX);
        if (!vt_probe_address_parse(item, &settings->addresses[settings->address_count]))
            return vt_fail(err, VT_E_INVALID,
                           "'%.60s' is no address: say 10.0.0.7 or fd00::7, no name", item);
        settings->address_count++;
    }
    return true;
}

static bool set_maintenance(struct vt_watch_settings *settings, const char *value,
                            struct vt_err *err)
{
    if (!vt_windows_parse(value, &settings->windows, err))
        return false;
    snprintf(settings->maintenance, sizeof settings->maintenance, "%s", value);
    return true;
}

const char *const vt_watch_names[] = { "probe",    "port",    "interval",    "timeout", "threshold",
                                       "recover",  "grace",   "snapshot",    "always",  "dry-run",
                                       "ae-title", "address", "maintenance", NULL };

static const set_fn setters[] = { set_probe,      set_port,    set_interval, set_timeout,
                                  set_threshold,  set_recover, set_grace,    set_snapshot,
                                  set_always,     set_dry_run, set_ae_title, set_address,
                                  set_maintenance };

bool vt_watch_set(struct vt_watch_settings *settings, const char *name, const char *value,
                  struct vt_err *err)
{
    for (size_t i = 0; vt_watch_names[i]; i++) {
        if (strcmp(vt_watch_names[i], name) != 0)
            continue;
        return setters[i](settings, value, err) || vt_fail_context(err, "%s", name);
    }
    return vt_fail(err, VT_E_NOTFOUND, "a watch has no setting '%.40s'", name);
}

/* In the configuration words are joined by '_'. */
static void conf_key(const char *name, char out[static 32])
{
    snprintf(out, 32, "%s", name);
    for (char *p = out; *p; p++)
        if (*p == '-')
            *p = '_';
}

bool vt_watch_configure(struct vt_watch_settings *settings, const struct vt_conf *conf,
                        struct vt_err *err)
{
    for (size_t i = 0; vt_watch_names[i]; i++) {
        char key[32];
        conf_key(vt_watch_names[i], key);
        const char *value = vt_conf_text(conf, "watch", NULL, key, NULL);
        if (value && !vt_watch_set(settings, vt_watch_names[i], value, err))
            return vt_fail_context(err, "[watch]");
    }
    return true;
}

/* ---- rules ---- */

static const char *const rule_kinds[] = { "vm", "tag", "host", "all" };

const char *vt_rule_kind_name(enum vt_rule_kind kind)
{
    return rule_kinds[kind];
}

bool vt_rule_kind_find(const char *name, enum vt_rule_kind *out_kind)
{
    for (size_t i = 0; i < VT_COUNT(rule_kinds); i++)
        if (strcmp(rule_kinds[i], name) == 0) {
            *out_kind = (enum vt_rule_kind)i;
            return true;
        }
    return false;
}

bool vt_rule_fits(const struct vt_rule *rule, const struct vt_rule_vm *vm)
{
    switch (rule->kind) {
    case VT_RULE_VM:
        return strcmp(rule->subject, vm->uuid) == 0;
    case VT_RULE_HOST:
        return strcmp(rule->subject, vm->host_uuid) == 0;
    case VT_RULE_TAG:
        for (size_t i = 0; i < vm->tag_count; i++)
            if (strcmp(rule->subject, vm->tags[i]) == 0)
                return true;
        return false;
    default:
        return true;
    }
}

const struct vt_rule *vt_rules_choose(const struct vt_rule *rules, size_t count,
                                      const struct vt_rule_vm *vm)
{
    const struct vt_rule *best = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct vt_rule *rule = &rules[i];
        if (best && (rule->kind > best->kind || (rule->kind == best->kind && rule->id < best->id)))
            continue;
        if (vt_rule_fits(rule, vm))
            best = rule;
    }
    return best;
}

bool vt_rule_apply(const struct vt_rule *rule, const struct vt_watch_settings *configured,
                   struct vt_watch_settings *out, struct vt_err *err)
{
    json_error_t where;
    const char *name = NULL;
    json_t *value = NULL;

    *out = *configured;
    if (!rule->settings)
        return true;
    json_t *settings = json_loads(rule->settings, 0, &where);
    if (!json_is_object(settings)) {
        json_decref(settings);
        return vt_fail(err, VT_E_CORRUPT, "the settings of watch %lld cannot be read: %s",
                       (long long)rule->id, where.text);
    }
    bool ok = true;
    json_object_foreach(settings, name, value)
    {
        const char *text = json_string_value(value);
        if (ok)
            ok = vt_watch_set(out, name, text ? text : "", err);
    }
    json_decref(settings);
    return ok;
}

/* ---- the detector ---- */

void vt_detector_reset(struct vt_detector *detector)
{
    detector->misses = detector->refusals = detector->hits = 0;
    detector->first_miss = 0;
    detector->lost = false;
}

static enum vt_detected bad_one(struct vt_detector *d, uint32_t *row, uint32_t *other,
                                int64_t started, uint32_t threshold)
{
    bool first = d->misses + d->refusals == 0;

    if (first || *other > 0)
        d->first_miss = started;
    *other = 0;
    d->hits = 0;
    (*row)++;
    if (*row >= threshold) {
        d->lost = true;
        return VT_DETECTED_LOST;
    }
    return first ? VT_DETECTED_SUSPECT : VT_DETECTED_NOTHING;
}

enum vt_detected vt_detector_feed(struct vt_detector *d, enum vt_probe_end end, int64_t started,
                                  uint32_t threshold, uint32_t recover)
{
    d->last = end;
    if (end == VT_PROBE_LOCAL)
        return VT_DETECTED_NOTHING;
    d->last_result = started;
    if (end == VT_PROBE_SILENT)
        return bad_one(d, &d->misses, &d->refusals, started, threshold);
    if (end != VT_PROBE_ANSWERED)
        return bad_one(d, &d->refusals, &d->misses, started, threshold);
    d->hits++;
    if (d->lost && d->hits < recover)
        return VT_DETECTED_NOTHING;
    bool was_lost = d->lost;
    d->misses = d->refusals = 0;
    d->first_miss = 0;
    d->lost = false;
    return was_lost ? VT_DETECTED_BACK : VT_DETECTED_NOTHING;
}
