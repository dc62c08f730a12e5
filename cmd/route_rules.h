/* cmd/route_rules.h: the conditions that [route] and [prefetch] rules share.
 *
 *   from = CT* MR1                 calling AE titles, wildcards
 *   modality = CT MR
 *   match = BodyPartExamined=CHEST; StudyDescription=*CONTRAST*    KEY=VALUE as in `vitrine find`, parted by ';'
 *   hours = 19:00-07:00            local time
 *
 * Fixed after reading; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_archive;
struct vt_conf;
struct vt_err;

enum { VT_RULE_WORDS_MAX = 32, VT_RULE_TEXT_MAX = 4096 };

/* A value cut into words; the pointers go into text. */
struct vt_rule_words {
    char *text; /* owned */
    const char *list[VT_RULE_WORDS_MAX];
    size_t count;
};
bool vt_rule_words_read(const struct vt_conf *conf, const char *section, const char *name, const char *key,
                        const char *gaps, struct vt_rule_words *out, struct vt_err *err);
void vt_rule_words_fini(struct vt_rule_words *words);

struct vt_rule {
    struct vt_rule_words from, modalities, match;
    int hours_begin, hours_end; /* minutes of the day; equal: always */
};
bool vt_rule_read(const struct vt_conf *conf, const char *section, const char *name, struct vt_rule *out,
                  struct vt_err *err);
void vt_rule_fini(struct vt_rule *rule);

/* What the sender and the time say; `at` is wall ns. */
bool vt_rule_admits(const struct vt_rule *rule, const char *ae_title, int64_t at);
/* `*` and `?`. */
bool vt_rule_like(const char *pattern, const char *text);
/* Marks those of `sop_uids` (sorted) that fulfil match and modality. */
bool vt_rule_select(const struct vt_rule *rule, struct vt_archive *archive, const char *study_uid,
                    const char *const *sop_uids, size_t count, bool *out_chosen, struct vt_err *err);
