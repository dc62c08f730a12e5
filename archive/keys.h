/* archive/keys.h: every query key we know (PS3.4 C.6, reference 6.2), in one table: it says what
 * vt_instance_read keeps at which level, how a request is matched, and what an answer carries.
 * Constant; extra tags come from the configuration and are set once before threads start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/instance.h"
#include "archive/query.h"

enum vt_key_use {
    VT_KEY_UNIQUE,
    VT_KEY_REQUIRED,
    VT_KEY_OPTIONAL,
    VT_KEY_COMPUTED,    /* from the index, can be matched */
    VT_KEY_RETURN_ONLY, /* computed, never matched */
};

enum { VT_KEY_NO_COLUMN = -1, VT_KEYS_EXTRA_MAX = 64 };

struct vt_key {
    uint32_t tag;
    char vr[3];
    enum vt_level level;
    enum vt_key_use use;
    int column; /* enum vt_column or VT_KEY_NO_COLUMN */
};

/* Ascending by tag. NULL behind the last. */
const struct vt_key *vt_key_at(size_t i);
const struct vt_key *vt_key_find(uint32_t tag); /* extra ones included; NULL: not supported */
const struct vt_key *vt_key_unique(enum vt_level level);

/* Is the value in the attributes of its level (true), or in columns and counts of the row (false)?
 */
bool vt_key_in_attributes(const struct vt_key *key);

/* index.extra_tags: VR from the dictionary, level as their group suggests. Before threads start;
 * replaces earlier ones. Tags that are in the table are passed over. VT_E_LIMIT: more than
 * VT_KEYS_EXTRA_MAX. VT_E_INVALID: VR unknown or not for keys. */
struct vt_err;
bool vt_keys_set_extra(const uint32_t *tags, size_t count, struct vt_err *err);

/* Bytes of UTF-8 that the index keeps of a value of this VR. */
size_t vt_key_value_max(const char *vr);
