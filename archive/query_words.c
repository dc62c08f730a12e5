/* Queries from the words of a command line: "PatientName=Smith*", "StudyDate=20200101-20201231",
 * "ModalitiesInStudy", "RequestAttributesSequence.ScheduledProcedureStepID=7". */
#include <stdlib.h>
#include <string.h>

#include "archive/match.h"
#include "archive/query_impl.h"
#include "core/err.h"
#include "dicom/tags.h"

enum { WORD_TAG_ROOM = 80 };

/* A key as a tree that grows word by word; flattened into arrays when all are read. */
struct node {
    struct vt_query_key key;
    bool valued;
    struct node *below, *next;
};

static bool tag_of(const char *text, size_t size, uint32_t *out_tag, struct vt_err *err)
{
    char name[WORD_TAG_ROOM];

    if (size == 0 || size >= sizeof name)
        return vt_fail(err, VT_E_INVALID, "'%.*s' is no attribute", (int)(size < 60 ? size : 60),
                       text);
    memcpy(name, text, size);
    name[size] = '\0';
    return vt_dict_tag(name, out_tag) || vt_fail(err, VT_E_INVALID,
                                                 "'%s' is no attribute: use a keyword such as "
                                                 "PatientName or a tag such as 0010,0010",
                                                 name);
}

static struct node *node_at(struct vt_query *query, struct node **list, uint32_t tag, bool top,
                            struct vt_err *err)
{
    for (struct node *node = *list; node; node = node->next)
        if (node->key.tag == tag)
            return node;
    struct node *node = vt_arena_take(&query->arena, sizeof *node, err);
    if (!node)
        return NULL;
    node->key.tag = tag;
    node->key.key = top ? vt_key_find(tag) : NULL;
    memcpy(node->key.vr, node->key.key ? node->key.key->vr : vt_dict_vr(tag), 3);
    node->key.compare = vt_compare_of(node->key.vr);
    node->next = *list;
    *list = node;
    return node;
}

static bool add_word(struct vt_query *query, struct node **list, const char *word,
                     struct vt_err *err)
{
    const char *equals = strchr(word, '=');
    const char *end = equals ? equals : word + strlen(word), *at = word;
    struct node *node = NULL;

    for (int depth = 0;; depth++) {
        size_t size = strcspn(at, ".=");
        uint32_t tag;
        if (at + size > end)
            size = (size_t)(end - at);
        if (depth > VT_QUERY_DEPTH_MAX)
            return vt_fail(err, VT_E_INVALID, "'%.60s' is nested too deeply", word);
        if (!tag_of(at, size, &tag, err) ||
            !(node = node_at(query, depth == 0 ? list : &node->below, tag, depth == 0, err)))
            return false;
        at += size;
        if (at >= end)
            break;
        if (memcmp(node->key.vr, "SQ", 2) != 0)
            return vt_fail(err, VT_E_INVALID, "'%.*s' is no sequence", (int)(at - word), word);
        at++;
    }
    if (!equals || !equals[1])
        return true;
    if (memcmp(node->key.vr, "SQ", 2) == 0)
        return vt_fail(err, VT_E_INVALID, "a sequence has no value of its own: '%.60s'", word);
    if (node->valued)
        return vt_fail(err, VT_E_INVALID, "'%.60s' is a second value of the same attribute: values are parted by \\", word);
    node->valued = true;
    return vt_query_key_set(query, &node->key, equals + 1, strlen(equals + 1), err);
}

static bool flatten(struct vt_query *query, struct node *list, struct vt_query_key **out_keys,
                    size_t *out_count, struct vt_err *err)
{
    size_t count = 0;

    for (struct node *node = list; node; node = node->next)
        count++;
    struct vt_query_key *keys = vt_arena_take(&query->arena, (count + 1) * sizeof *keys, err);
    if (!keys)
        return false;
    count = 0;
    for (struct node *node = list; node; node = node->next) {
        struct vt_query_key *below = NULL;
        if (node->below) {
            if (!flatten(query, node->below, &below, &node->key.item_count, err))
                return false;
            node->key.items = below;
            for (size_t i = 0; i < node->key.item_count; i++)
                if (below[i].rule != VT_RULE_UNIVERSAL)
                    node->key.rule = VT_RULE_SEQUENCE;
        }
        keys[count++] = node->key;
    }
    *out_keys = keys;
    *out_count = count;
    return true;
}

struct vt_query *vt_query_from_words(enum vt_level level, const char *const words[], size_t count,
                                     const struct vt_query_rules *rules, struct vt_err *err)
{
    VT_AUTO(vt_query) query = calloc(1, sizeof *query);
    struct node *list = NULL;
    struct vt_query_key *keys;
    size_t key_count;

    if (!query) {
        vt_fail(err, VT_E_NOMEM, "no memory for the query");
        return NULL;
    }
    query->rules = *rules;
    query->level = level;
    if (rules->offending)
        rules->offending->count = 0;
    if (count > VT_QUERY_KEYS_MAX) {
        vt_fail(err, VT_E_LIMIT, "more than %d keys", VT_QUERY_KEYS_MAX);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (!add_word(query, &list, words[i], err))
            return NULL;
    if (!flatten(query, list, &keys, &key_count, err) ||
        !vt_query_finish(query, keys, key_count, err))
        return NULL;
    query->rules.offending = NULL;
    return vt_take(&query);
}
