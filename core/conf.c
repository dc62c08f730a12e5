#include "core/conf.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/err.h"

struct entry {
    char *section;
    char *name;      /* "" for a plain section */
    char *key;
    char *value;
    char *origin;    /* the file or "command line" */
    bool read;
};

struct vt_conf {
    struct entry *entries;
    size_t count;
    size_t capacity;
};

struct vt_conf *vt_conf_new(void)
{
    return calloc(1, sizeof(struct vt_conf));
}

static void free_entry(struct entry *entry)
{
    free(entry->section);
    free(entry->name);
    free(entry->key);
    free(entry->value);
    free(entry->origin);
}

void vt_conf_free(struct vt_conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->count; i++)
        free_entry(&conf->entries[i]);
    free(conf->entries);
    free(conf);
}

static struct entry *find(const struct vt_conf *conf, const char *section, const char *name, const char *key)
{
    for (size_t i = 0; i < conf->count; i++) {
        struct entry *entry = &conf->entries[i];
        if (strcmp(entry->section, section) == 0 && strcmp(entry->name, name ? name : "") == 0 &&
            strcmp(entry->key, key) == 0)
            return entry;
    }
    return NULL;
}

static bool replace_text(char **slot, const char *text, struct vt_err *err)
{
    char *copy = strdup(text);

    if (!copy)
        return vt_fail(err, VT_E_NOMEM, "no memory for the configuration");
    free(*slot);
    *slot = copy;
    return true;
}

static bool add(struct vt_conf *conf, const char *section, const char *name, const char *key,
                const char *value, const char *origin, struct vt_err *err)
{
    if (conf->count >= VT_CONF_ENTRIES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d configuration entries", VT_CONF_ENTRIES_MAX);
    if (conf->count == conf->capacity) {
        size_t wanted = conf->capacity ? conf->capacity * 2 : 64;
        struct entry *grown = reallocarray(conf->entries, wanted, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for the configuration");
        conf->entries = grown;
        conf->capacity = wanted;
    }
    struct entry fresh = {
        .section = strdup(section), .name = strdup(name), .key = strdup(key),
        .value = strdup(value), .origin = strdup(origin),
    };
    if (!fresh.section || !fresh.name || !fresh.key || !fresh.value || !fresh.origin) {
        free_entry(&fresh);
        return vt_fail(err, VT_E_NOMEM, "no memory for the configuration");
    }
    conf->entries[conf->count++] = fresh;
    return true;
}

static bool put(struct vt_conf *conf, const char *section, const char *name, const char *key,
                const char *value, const char *origin, struct vt_err *err)
{
    if (!*section || !*key)
        return vt_fail(err, VT_E_INVALID, "%s: a section and a key are needed", origin);
    if (strlen(value) > VT_CONF_VALUE_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: value of %s.%s is longer than %d", origin, section, key, VT_CONF_VALUE_MAX);
    struct entry *old = find(conf, section, name, key);
    if (old)
        return replace_text(&old->value, value, err) && replace_text(&old->origin, origin, err);
    return add(conf, section, name ? name : "", key, value, origin, err);
}

bool vt_conf_set(struct vt_conf *conf, const char *section, const char *name, const char *key,
                 const char *value, struct vt_err *err)
{
    return put(conf, section, name, key, value, "set", err);
}

struct loading {
    struct vt_conf *conf;
    const char *path;
    struct vt_err *err;
};

/* `peer "CT1"` -> section "peer", name "CT1" */
static bool split_header(const char *header, char section[static 64], char name[static 128])
{
    const char *quote = strchr(header, '"');
    size_t length = quote ? (size_t)(quote - header) : strlen(header);

    while (length > 0 && header[length - 1] == ' ')
        length--;
    if (length == 0 || length >= 64)
        return false;
    memcpy(section, header, length);
    section[length] = '\0';
    name[0] = '\0';
    if (!quote)
        return true;
    const char *end = strrchr(quote + 1, '"');
    if (!end || end[1] != '\0' || end == quote + 1 || end - quote - 1 >= 128)
        return false;
    memcpy(name, quote + 1, (size_t)(end - quote - 1));
    name[end - quote - 1] = '\0';
    return true;
}

static int on_line(void *user, const char *header, const char *key, const char *value)
{
    struct loading *loading = user;
    char section[64], name[128];

    if (vt_failed(loading->err))
        return 0;
    if (!split_header(header, section, name))
        return vt_fail(loading->err, VT_E_INVALID, "'[%s]' is not a section", header);
    return put(loading->conf, section, name, key, value ? value : "", loading->path, loading->err);
}

bool vt_conf_load(struct vt_conf *conf, const char *path, struct vt_err *err)
{
    struct loading loading = { .conf = conf, .path = path, .err = err };
    FILE *file = fopen(path, "re");

    if (!file)
        return vt_fail_errno(err, "configuration %s", path);
    int line = ini_parse_file(file, on_line, &loading);
    fclose(file);
    if (line == 0)
        return true;
    if (vt_failed(err))
        return vt_fail_context(err, "%s:%d", path, line);
    if (line < 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
    return vt_fail(err, VT_E_INVALID, "%s:%d: expected '[section]' or 'key = value'", path, line);
}

bool vt_conf_override(struct vt_conf *conf, const char *assignment, struct vt_err *err)
{
    char section[64], name[128] = "", key[64];
    const char *equals = strchr(assignment, '=');
    const char *first = equals ? memchr(assignment, '.', (size_t)(equals - assignment)) : NULL;

    if (!first)
        return vt_fail(err, VT_E_INVALID, "'-o %s' is not section.key=value", assignment);
    const char *last = memrchr(assignment, '.', (size_t)(equals - assignment));
    size_t lengths[3] = { (size_t)(first - assignment), last > first ? (size_t)(last - first - 1) : 0,
                          (size_t)(equals - last - 1) };
    if (lengths[0] == 0 || lengths[0] >= sizeof section || lengths[1] >= sizeof name || lengths[2] == 0 ||
        lengths[2] >= sizeof key)
        return vt_fail(err, VT_E_INVALID, "'-o %s' is not section.key=value", assignment);
    snprintf(section, sizeof section, "%.*s", (int)lengths[0], assignment);
    snprintf(name, sizeof name, "%.*s", (int)lengths[1], first + 1);
    snprintf(key, sizeof key, "%.*s", (int)lengths[2], last + 1);
    return put(conf, section, name, key, equals + 1, "command line", err);
}

static const struct entry *read_entry(const struct vt_conf *conf, const char *section, const char *name,
                                      const char *key)
{
    struct entry *entry = find(conf, section, name, key);

    if (entry)
        __atomic_store_n(&entry->read, true, __ATOMIC_RELAXED); /* getters run in many threads */
    return entry;
}

const char *vt_conf_text(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                         const char *fallback)
{
    const struct entry *entry = read_entry(conf, section, name, key);

    return entry ? entry->value : fallback;
}

static bool wrong(const struct entry *entry, const char *what, struct vt_err *err)
{
    return vt_fail(err, VT_E_INVALID, "%s: %s%s%s.%s = %s is not %s", entry->origin, entry->section,
                   *entry->name ? "." : "", entry->name, entry->key, entry->value, what);
}

bool vt_conf_int(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                 int64_t min, int64_t max, int64_t fallback, int64_t *out_value, struct vt_err *err)
{
    const struct entry *entry = read_entry(conf, section, name, key);
    char *end, what[96];

    if (!entry) {
        *out_value = fallback;
        return true;
    }
    errno = 0;
    long long value = strtoll(entry->value, &end, 10);
    if (errno || end == entry->value || *end || value < min || value > max) {
        snprintf(what, sizeof what, "a number from %lld to %lld", (long long)min, (long long)max);
        return wrong(entry, what, err);
    }
    *out_value = value;
    return true;
}

bool vt_conf_bool(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                  bool fallback, bool *out_value, struct vt_err *err)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
    const struct entry *entry = read_entry(conf, section, name, key);

    if (!entry) {
        *out_value = fallback;
        return true;
    }
    for (size_t i = 0; i < VT_COUNT(words); i++) {
        if (strcasecmp(entry->value, words[i]) == 0) {
            *out_value = i % 2;
            return true;
        }
    }
    return wrong(entry, "yes or no", err);
}

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* A whole number and a unit of the table; its first row is what a bare number means. */
static bool parse_units(const char *text, const struct unit *units, uint64_t *out_value)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || text[0] == '-')
        return false;
    while (*end == ' ')
        end++;
    uint64_t factor = *end == '\0' ? units[0].factor : 0;
    for (size_t i = 0; !factor && units[i].suffix; i++)
        if (strcasecmp(end, units[i].suffix) == 0)
            factor = units[i].factor;
    return factor && !__builtin_mul_overflow((uint64_t)value, factor, out_value);
}

bool vt_conf_size(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                  uint64_t min, uint64_t max, uint64_t fallback, uint64_t *out_value, struct vt_err *err)
{
    static const struct unit units[] = { { "B", 1 },
                                         { "K", UINT64_C(1) << 10 },
                                         { "M", UINT64_C(1) << 20 },
                                         { "G", UINT64_C(1) << 30 },
                                         { "T", UINT64_C(1) << 40 },
                                         { NULL, 0 } };
    const struct entry *entry = read_entry(conf, section, name, key);
    uint64_t value = fallback;
    char what[128];

    if (entry && (!parse_units(entry->value, units, &value) || value < min || value > max)) {
        snprintf(what, sizeof what, "a size (like 64M) from %llu to %llu bytes", (unsigned long long)min,
                 (unsigned long long)max);
        return wrong(entry, what, err);
    }
    *out_value = value;
    return true;
}

bool vt_conf_duration(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                      int64_t min, int64_t max, int64_t fallback, int64_t *out_ns, struct vt_err *err)
{
    static const struct unit units[] = { { "s", VT_NS_PER_S },
                                         { "ms", VT_NS_PER_MS },
                                         { "m", 60 * VT_NS_PER_S },
                                         { "min", 60 * VT_NS_PER_S },
                                         { "h", 3600 * VT_NS_PER_S },
                                         { "d", 86400 * VT_NS_PER_S },
                                         { NULL, 0 } };
    const struct entry *entry = read_entry(conf, section, name, key);
    uint64_t value = (uint64_t)fallback;
    char what[128];

    if (entry && (!parse_units(entry->value, units, &value) || value > (uint64_t)max || value < (uint64_t)min)) {
        snprintf(what, sizeof what, "a time (like 30s, 500ms, 5m) from %lld ms to %lld s",
                 (long long)(min / VT_NS_PER_MS), (long long)(max / VT_NS_PER_S));
        return wrong(entry, what, err);
    }
    *out_ns = (int64_t)value;
    return true;
}

bool vt_conf_choice(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                    const char *const words[], size_t fallback, size_t *out_index, struct vt_err *err)
{
    const struct entry *entry = read_entry(conf, section, name, key);
    char what[160] = "one of";

    if (!entry) {
        *out_index = fallback;
        return true;
    }
    for (size_t i = 0; words[i]; i++) {
        if (strcasecmp(entry->value, words[i]) == 0) {
            *out_index = i;
            return true;
        }
        size_t used = strlen(what);
        snprintf(what + used, sizeof what - used, "%s%s", i ? ", " : " ", words[i]);
    }
    return wrong(entry, what, err);
}

const char *vt_conf_name(const struct vt_conf *conf, const char *section, size_t wanted)
{
    size_t found = 0;

    for (size_t i = 0; i < conf->count; i++) {
        const struct entry *entry = &conf->entries[i];
        if (strcmp(entry->section, section) != 0 || !*entry->name)
            continue;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(conf->entries[j].section, section) == 0 && strcmp(conf->entries[j].name, entry->name) == 0;
        if (!seen && found++ == wanted)
            return entry->name;
    }
    return NULL;
}

bool vt_conf_unread(const struct vt_conf *conf, size_t wanted, char *out, size_t room)
{
    size_t found = 0;

    for (size_t i = 0; i < conf->count; i++) {
        const struct entry *entry = &conf->entries[i];
        if (!entry->read && found++ == wanted) {
            snprintf(out, room, "%s%s%s.%s (%s)", entry->section, *entry->name ? "." : "", entry->name, entry->key,
                     entry->origin);
            return true;
        }
    }
    return false;
}
