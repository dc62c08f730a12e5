/* core/conf.h: the configuration: sections, keys, values.
 *
 *   [archive]              -o archive.path=/data
 *   path = /data
 *   [peer "CT1"]           -o peer.CT1.host=10.0.0.7
 *   host = 10.0.0.7
 *
 * Filled in the main thread (file first, then overrides, so that an override wins), read-only afterwards.
 * A value may be asked for by type; a value that is not of the type, or out of bounds, is an error that
 * names file, section and key. vt_conf_unread finds keys that nobody asked for: typing errors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_conf;

enum { VT_CONF_VALUE_MAX = 4096, VT_CONF_ENTRIES_MAX = 20000 };

struct vt_conf *vt_conf_new(void);   /* empty; NULL when out of memory */
void vt_conf_free(struct vt_conf *conf);
VT_DEFINE_AUTO(vt_conf)

/* VT_E_NOTFOUND: no such file. VT_E_INVALID: the line that is wrong. */
bool vt_conf_load(struct vt_conf *conf, const char *path, struct vt_err *err);

/* "section.key=value" or "section.NAME.key=value"; the key is what follows the last dot before '='. */
bool vt_conf_override(struct vt_conf *conf, const char *assignment, struct vt_err *err);

bool vt_conf_set(struct vt_conf *conf, const char *section, const char *name, const char *key,
                 const char *value, struct vt_err *err);

/* Getters: `name` is NULL for a plain section. The fallback is used when the key is not there. Text is
 * borrowed until the next set or free. */
const char *vt_conf_text(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                         const char *fallback);
bool vt_conf_int(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                 int64_t min, int64_t max, int64_t fallback, int64_t *out_value, struct vt_err *err);
/* yes/no, true/false, on/off, 1/0 */
bool vt_conf_bool(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                  bool fallback, bool *out_value, struct vt_err *err);
/* Bytes: "64M", "2G", "512" (powers of 1024). */
bool vt_conf_size(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                  uint64_t min, uint64_t max, uint64_t fallback, uint64_t *out_value, struct vt_err *err);
/* Nanoseconds: "30" and "30s" are seconds, "500ms", "5m", "2h", "7d". */
bool vt_conf_duration(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                      int64_t min, int64_t max, int64_t fallback, int64_t *out_ns, struct vt_err *err);
/* One word of a list, e.g. { "commit", "relaxed", NULL }; gives its index. */
bool vt_conf_choice(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                    const char *const words[], size_t fallback, size_t *out_index, struct vt_err *err);

/* The i-th name of a section that comes with names ([peer "A"], [peer "B"]), in order; NULL behind the last. */
const char *vt_conf_name(const struct vt_conf *conf, const char *section, size_t i);

/* The i-th entry that no getter asked for: "section.name.key (file)" in out. false behind the last. */
bool vt_conf_unread(const struct vt_conf *conf, size_t i, char *out, size_t room);
