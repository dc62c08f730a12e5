/* console/qido_words.h: the parameters of a search (PS3.18 8.3.4) as the words of archive/query.h: keys with values, fields to
 * return, limit, offset. A parameter that is no attribute is ignored and noted. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/query.h"

struct vt_err;

enum {
    VT_QIDO_WORDS_MAX = VT_QUERY_KEYS_MAX,
    VT_QIDO_RESULTS = 1000, /* without a limit: so many, and a warning when there were more */
    VT_QIDO_RESULTS_MAX = 100000,
};

struct vt_qido_words {
    char *words[VT_QIDO_WORDS_MAX];
    size_t count;
    uint64_t limit, offset;
    bool fuzzy, ignored; /* ignored: a parameter that is not supported */
};
void vt_qido_words_init(struct vt_qido_words *words);
void vt_qido_words_fini(struct vt_qido_words *words);

/* One of them, decoded. VT_E_INVALID: a limit or an offset is no number; VT_E_LIMIT: too many. */
bool vt_qido_words_parameter(struct vt_qido_words *words, const char *key, const char *value, struct vt_err *err);
/* A key of the path; value NULL: to return only. */
bool vt_qido_words_add(struct vt_qido_words *words, const char *key, const char *value, struct vt_err *err);
/* What is always returned beside the index's attributes: counts and lists are computed only for who asks. */
bool vt_qido_words_usual(struct vt_qido_words *words, enum vt_level level, bool with_study, struct vt_err *err);
