/* From an encoded identifier to a query. */
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/match.h"
#include "archive/query_impl.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "dicom/text.h"

/* ---- arena ---- */

struct vt_arena_chunk {
    struct vt_arena_chunk *next;
    size_t size;
    _Alignas(16) uint8_t data[];
};

void *vt_arena_take(struct vt_arena *arena, size_t size, struct vt_err *err)
{
    size_t rounded = (size + 15) & ~(size_t)15;

    if (rounded < size || rounded > VT_QUERY_ARENA_MAX - arena->total) {
        vt_fail_dimse(err, VT_E_LIMIT, 0xa700, "the query needs more than %d bytes",
                      VT_QUERY_ARENA_MAX);
        return NULL;
    }
    if (!arena->chunks || arena->chunks->size - arena->used < rounded) {
        size_t wanted = rounded > VT_ARENA_CHUNK ? rounded : VT_ARENA_CHUNK;
        struct vt_arena_chunk *chunk = malloc(sizeof *chunk + wanted);
        if (!chunk) {
            vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for the query");
            return NULL;
        }
        chunk->next = arena->chunks;
        chunk->size = wanted;
        arena->chunks = chunk;
        arena->used = 0;
    }
    void *at = arena->chunks->data + arena->used;
    arena->used += rounded;
    arena->total += rounded;
    memset(at, 0, rounded);
    return at;
}

char *vt_arena_text(struct vt_arena *arena, const char *text, size_t size, struct vt_err *err)
{
    char *copy = vt_arena_take(arena, size + 1, err);

    if (copy && size > 0)
        memcpy(copy, text, size);
    return copy;
}

void vt_arena_fini(struct vt_arena *arena)
{
    while (arena->chunks) {
        struct vt_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
}

void vt_query_free(struct vt_query *query)
{
    if (!query)
        return;
    vt_arena_fini(&query->arena);
    free(query);
}

enum vt_level vt_query_level(const struct vt_query *query)
{
    return query->level;
}

const char *vt_query_charset(const struct vt_query *query)
{
    return query->charset;
}

uint64_t vt_query_max_matches(const struct vt_query *query)
{
    return query->rules.max_matches;
}

bool vt_query_has_unsupported(const struct vt_query *query)
{
    return query->unsupported;
}

const struct vt_query_key *vt_query_key_at(const struct vt_query *query, uint32_t tag)
{
    for (size_t i = 0; i < query->key_count; i++)
        if (query->keys[i].tag == tag)
            return &query->keys[i];
    return NULL;
}

/* ---- decoding ---- */

struct decoding {
    struct vt_query *query;
    enum vt_encoding encoding;
    const char *charset; /* that applies here */
    bool plain;          /* no level: every key is taken as it stands */
    size_t keys;         /* in all, against VT_QUERY_KEYS_MAX */
    struct vt_buf text;
};

static bool refuse(struct vt_query *query, uint32_t tag, uint16_t status, struct vt_err *err,
                   const char *why)
{
    struct vt_query_offending *offending = query->rules.offending;

    if (offending && offending->count < VT_QUERY_OFFENDING_MAX)
        offending->tags[offending->count++] = tag;
    return vt_fail_dimse(err, VT_E_INVALID, status, "(%04x,%04x) %s", VT_TAG_GROUP(tag),
                         VT_TAG_ELEMENT(tag), why);
}

static bool is_binary(const char *vr)
{
    static const char names[][3] = { "US", "SS", "UL", "SL", "FL", "FD" };

    for (size_t i = 0; i < VT_COUNT(names); i++)
        if (vr[0] == names[i][0] && vr[1] == names[i][1])
            return true;
    return false;
}

/* The first value as text. Floats are matched by none of our keys. */
static bool binary_text(struct decoding *decoding, const struct vt_element *element,
                        struct vt_err *err)
{
    int64_t number;

    if (element->vr[0] == 'F' || !vt_element_number(element, decoding->encoding, &number))
        return true;
    return vt_buf_printf(&decoding->text, err, "%lld", (long long)number);
}

/* The value in UTF-8 into decoding->text. Characters that cannot be decoded match any one (note to
 * C.2.2.2). */
static bool decode_text(struct decoding *decoding, const struct vt_element *element, const char *vr,
                        struct vt_err *err)
{
    const char *text;
    size_t size;

    vt_buf_reset(&decoding->text);
    if (is_binary(vr))
        return binary_text(decoding, element, err);
    vt_attribute_trim(element->value, element->length, &text, &size);
    if (!vt_text_vr_has_charset(vr))
        return vt_buf_append(&decoding->text, text, size, err);
    const char *fallback = decoding->query->rules.default_charset
                               ? decoding->query->rules.default_charset
                               : "ISO_IR 100";
    const char *charset =
        decoding->charset[0] || vt_text_is_ascii(text, size) ? decoding->charset : fallback;
    return vt_text_to_utf8(charset, fallback, vr, text, size, "?", &decoding->text, err);
}

static bool decode_keys(struct decoding *decoding, struct vt_walk *walk, int depth,
                        struct vt_query_key **out_keys, size_t *out_count, struct vt_err *err);

static bool decode_items(struct decoding *decoding, struct vt_query_key *key,
                         const struct vt_element *element, int depth, struct vt_err *err)
{
    struct vt_walk items, walk;
    struct vt_element item;
    struct vt_query_key *keys;
    bool more;

    key->rule = VT_RULE_UNIVERSAL;
    key->compare = VT_COMPARE_SEQUENCE;
    if (element->length == 0)
        return true;
    if (depth >= VT_QUERY_DEPTH_MAX)
        return refuse(decoding->query, key->tag, 0xc006, err, "is nested too deeply");
    vt_walk_items(&items, element, decoding->encoding);
    if (!vt_walk_next(&items, &item, &more, err))
        return false;
    if (!more || item.length == 0)
        return true;
    const char *outer = decoding->charset;
    vt_walk_item(&walk, &item, decoding->encoding);
    bool ok = decode_keys(decoding, &walk, depth + 1, &keys, &key->item_count, err);
    decoding->charset = outer;
    key->items = ok ? keys : NULL;
    for (size_t i = 0; ok && i < key->item_count; i++)
        if (keys[i].rule != VT_RULE_UNIVERSAL)
            key->rule = VT_RULE_SEQUENCE;
    return ok;
}

static bool decode_key(struct decoding *decoding, const struct vt_element *element, int depth,
                       struct vt_query_key *key, struct vt_err *err)
{
    const struct vt_key *known =
        depth == 0 && !decoding->plain ? vt_key_find(element->tag) : NULL;

    key->tag = element->tag;
    key->key = known;
    memcpy(key->vr,
           known                               ? known->vr
           : memcmp(element->vr, "UN", 2) == 0 ? vt_dict_vr(element->tag)
                                               : element->vr,
           3);
    bool sequence = memcmp(key->vr, "SQ", 2) == 0;
    if (sequence != (memcmp(element->vr, "SQ", 2) == 0) && element->length > 0)
        return refuse(decoding->query, key->tag, 0xc002, err, "has a value of another VR");
    if (sequence)
        return decode_items(decoding, key, element, depth, err);
    return decode_text(decoding, element, key->vr, err) &&
           vt_query_key_set(decoding->query, key, (const char *)decoding->text.data,
                            decoding->text.size, err);
}

/* (0008,0005) stands before everything it applies to. */
static bool decode_charset(struct decoding *decoding, const struct vt_element *element, int depth,
                           struct vt_err *err)
{
    char text[65];

    vt_element_text(element, text, sizeof text);
    char *copy = vt_arena_text(&decoding->query->arena, text, strlen(text), err);
    if (!copy)
        return false;
    decoding->charset = copy;
    if (depth == 0)
        memcpy(decoding->query->charset, text, strlen(text) + 1);
    return true;
}

static bool is_passed_over(uint32_t tag)
{
    return VT_TAG_GROUP(tag) < 0x0008 || VT_TAG_ELEMENT(tag) == 0 ||
           (VT_TAG_GROUP(tag) % 2 == 1 && !vt_key_find(tag));
}

static bool decode_keys(struct decoding *decoding, struct vt_walk *walk, int depth,
                        struct vt_query_key **out_keys, size_t *out_count, struct vt_err *err)
{
    struct vt_query_key found[64], *keys = found;
    size_t count = 0, room = VT_COUNT(found);
    struct vt_element element;
    bool more;

    for (;;) {
        if (!vt_walk_next(walk, &element, &more, err))
            return false;
        if (!more)
            break;
        if (element.tag == VT_TAG_SPECIFIC_CHARACTER_SET) {
            if (!decode_charset(decoding, &element, depth, err))
                return false;
            continue;
        }
        if (is_passed_over(element.tag))
            continue;
        if (++decoding->keys > VT_QUERY_KEYS_MAX)
            return vt_fail_dimse(err, VT_E_LIMIT, 0xa700, "more than %d keys", VT_QUERY_KEYS_MAX);
        if (count == room) {
            struct vt_query_key *grown =
                vt_arena_take(&decoding->query->arena, 2 * room * sizeof *keys, err);
            if (!grown)
                return false;
            memcpy(grown, keys, count * sizeof *keys);
            keys = grown;
            room *= 2;
        }
        keys[count] = (struct vt_query_key){ 0 };
        if (!decode_key(decoding, &element, depth, &keys[count], err))
            return false;
        count++;
    }
    *out_keys = vt_arena_take(&decoding->query->arena, (count + 1) * sizeof *keys, err);
    if (!*out_keys)
        return false;
    memcpy(*out_keys, keys, count * sizeof *keys);
    *out_count = count;
    return true;
}

static bool parse_level(struct vt_query *query, const uint8_t *bytes, size_t size,
                        enum vt_encoding encoding, struct vt_err *err)
{
    struct vt_element element;
    char text[32];

    if (!vt_element_find(bytes, size, encoding, VT_TAG_QUERY_RETRIEVE_LEVEL, &element))
        return refuse(query, VT_TAG_QUERY_RETRIEVE_LEVEL, 0xa900, err,
                      "Query/Retrieve Level is missing");
    vt_element_text(&element, text, sizeof text);
    if (!vt_level_parse(text, &query->level))
        return refuse(query, VT_TAG_QUERY_RETRIEVE_LEVEL, 0xa900, err, "is no level of query");
    return true;
}

static bool parse(struct vt_query *query, const uint8_t *bytes, size_t size,
                  enum vt_encoding encoding, bool plain, struct vt_err *err)
{
    struct vt_element_limits limits = { .depth = VT_QUERY_DEPTH_MAX,
                                        .elements = 8 * VT_QUERY_KEYS_MAX,
                                        .value = VT_IDENTIFIER_MAX };
    struct decoding decoding = { .query = query,
                                 .encoding = encoding,
                                 .charset = "",
                                 .plain = plain,
                                 .text = { .limit = 4 * (size_t)VT_IDENTIFIER_MAX } };
    struct vt_query_key *keys;
    struct vt_walk walk;
    size_t count;

    if (size > VT_IDENTIFIER_MAX)
        return vt_fail_dimse(err, VT_E_LIMIT, 0xa700, "an identifier of %zu bytes", size);
    if (!vt_element_check(bytes, size, encoding, &limits, err) ||
        (!plain && !parse_level(query, bytes, size, encoding, err)))
        return false;
    vt_walk_init(&walk, bytes, size, encoding);
    bool ok = decode_keys(&decoding, &walk, 0, &keys, &count, err);
    vt_buf_fini(&decoding.text);
    if (!ok || !plain)
        return ok && vt_query_finish(query, keys, count, err);
    query->keys = keys;
    query->key_count = count;
    return true;
}

static struct vt_query *make_query(const uint8_t *identifier, size_t size,
                                   enum vt_encoding encoding, bool plain,
                                   const struct vt_query_rules *rules, struct vt_err *err)
{
    VT_AUTO(vt_query) query = calloc(1, sizeof *query);

    if (!query) {
        vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for the query");
        return NULL;
    }
    query->rules = *rules;
    if (rules->offending)
        rules->offending->count = 0;
    if (!parse(query, identifier, size, encoding, plain, err)) {
        if (err->dimse_status == 0)
            err->dimse_status =
                err->code == VT_E_NOMEM || err->code == VT_E_LIMIT ? 0xa700 : 0xc000;
        return NULL;
    }
    query->rules.offending = NULL;
    return vt_take(&query);
}

struct vt_query *vt_query_parse(const uint8_t *identifier, size_t size, enum vt_encoding encoding,
                                const struct vt_query_rules *rules, struct vt_err *err)
{
    return make_query(identifier, size, encoding, false, rules, err);
}

struct vt_query *vt_query_parse_plain(const uint8_t *identifier, size_t size,
                                      enum vt_encoding encoding,
                                      const struct vt_query_rules *rules, struct vt_err *err)
{
    return make_query(identifier, size, encoding, true, rules, err);
}
