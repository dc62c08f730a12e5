/* archive/query_impl.h: a parsed query, for query*.c, plan.c and answer*.c only. Everything lives
 * in the query's arena and is fixed after the parse. */
#pragma once

#include "archive/keys.h"
#include "archive/query.h"
#include "archive/row_value.h"
#include "core/buf.h"

enum { VT_QUERY_ARENA_MAX = 16 << 20, VT_ARENA_CHUNK = 8192 };

struct vt_arena {
    struct vt_arena_chunk *chunks;
    size_t used; /* in the first chunk */
    size_t total;
};
void *vt_arena_take(struct vt_arena *arena, size_t size, struct vt_err *err);
char *vt_arena_text(struct vt_arena *arena, const char *text, size_t size, struct vt_err *err);
void vt_arena_fini(struct vt_arena *arena);

enum vt_rule {
    VT_RULE_UNIVERSAL,
    VT_RULE_VALUES, /* any of: literal text, folded names, dates, times, numbers, UIDs */
    VT_RULE_SEQUENCE,
    VT_RULE_NEVER, /* can match nothing (a wild card in a UID, a range that ends before it begins)
                    */
};

/* How values of a VR are compared. */
enum vt_compare {
    VT_COMPARE_TEXT,
    VT_COMPARE_NAME,
    VT_COMPARE_UID,
    VT_COMPARE_DATE,
    VT_COMPARE_TIME,
    VT_COMPARE_DATETIME,
    VT_COMPARE_NUMBER,
    VT_COMPARE_SEQUENCE,
    VT_COMPARE_NEVER
};

struct vt_wanted {
    bool wild; /* text is a pattern */
    bool range;
    const char *text; /* as it compares: folded, normalised; of ranges the lower end, "" open */
    size_t size;
    const char
        *high; /* of ranges, "" open; of names the pattern with its accents, when they count */
    double number;
};

struct vt_query_key {
    uint32_t tag;
    char vr[3];
    const struct vt_key *key; /* NULL within sequences */
    enum vt_compare compare;
    enum vt_rule rule;
    bool matched; /* takes part in matching (rule may still be universal) */
    const struct vt_wanted *wanted;
    size_t wanted_count;
    const struct vt_query_key *items; /* of sequences: the keys of the one item, ascending */
    size_t item_count;
};

struct vt_query {
    struct vt_arena arena;
    enum vt_level level;
    struct vt_query_rules rules; /* pointers in it are not used after the parse */
    char charset[65];
    bool unsupported; /* a key that is not supported, or not for matching */
    bool level_only;
    const struct vt_query_key *keys; /* supported ones of the level and above, ascending */
    size_t key_count;
    /* What an answer holds: the keys, unique keys of all levels down to this one, (0008,0052),
     * (0008,0054), (0008,0056). */
    const struct vt_query_key *answers;
    size_t answer_count;
};

enum vt_compare vt_compare_of(const char *vr);

/* Builds a query from collected keys: shared by the two parsers. `keys` live in the arena already.
 */
bool vt_query_finish(struct vt_query *query, struct vt_query_key *keys, size_t count,
                     struct vt_err *err);
/* Fills compare, rule and wanted from the text of the request (UTF-8). */
bool vt_query_key_set(struct vt_query *query, struct vt_query_key *key, const char *text,
                      size_t size, struct vt_err *err);

/* A request without a level (archive/worklist_query.c): its keys as they stand, in their order. */
struct vt_query *vt_query_parse_plain(const uint8_t *identifier, size_t size,
                                      enum vt_encoding encoding,
                                      const struct vt_query_rules *rules, struct vt_err *err);

/* archive/answer.c: attributes that are the answer already (archive/attributes.h), in an encoding
 * and a character set that the peer reads. */
bool vt_answer_encode(const struct vt_query *query, const uint8_t *attributes, size_t size,
                      const struct vt_answer_rules *rules, struct vt_buf *out, struct vt_err *err);

/* archive/query_match.c: one key against stored values. */
bool vt_query_key_matches(const struct vt_query *query, const struct vt_query_key *key,
                          const struct vt_row *row);
bool vt_query_item_matches(const struct vt_query *query, const struct vt_query_key *sequence,
                           const uint8_t *item, size_t size);
bool vt_query_combined_matches(const struct vt_query *query, const struct vt_query_key *date,
                               const struct vt_query_key *time, const struct vt_row *row);
/* Tag of the time that goes with a date, 0: none (combined matching). */
uint32_t vt_query_time_of_date(uint32_t date_tag);
const struct vt_query_key *vt_query_key_at(const struct vt_query *query,
                                           uint32_t tag); /* NULL: not asked */
