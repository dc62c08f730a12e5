#include "dicom/json_tree.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/text.h"

struct reading {
    struct vt_json_tree *tree;
    const char *at, *end;
    unsigned depth;
    struct vt_err *err;
};

static bool value(struct reading *r);

/* ---- words ---- */

static bool wrong(struct reading *r, const char *what)
{
    return vt_fail(r->err, VT_E_INVALID, "this is no JSON: %s at byte %zu", what, (size_t)(r->at - r->tree->text));
}

static void skip_blanks(struct reading *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

/* Is that character next? Then it is passed. */
static bool passed(struct reading *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool add(struct reading *r, enum vt_json_kind kind, const char *begin, const char *end, uint32_t *out_index)
{
    struct vt_json_tree *tree = r->tree;

    if (tree->count == VT_JSON_NODES_MAX)
        return vt_fail(r->err, VT_E_LIMIT, "more than %d values and names in one JSON text", VT_JSON_NODES_MAX);
    if (tree->count == tree->room) {
        uint32_t room = tree->room ? 2 * tree->room : 256;
        struct vt_json_node *grown = reallocarray(tree->nodes, room, sizeof *grown);
        if (!grown)
            return vt_fail(r->err, VT_E_NOMEM, "no memory for %u values", (unsigned)room);
        tree->nodes = grown;
        tree->room = room;
    }
    *out_index = tree->count++;
    tree->nodes[*out_index] = (struct vt_json_node){ .begin = (uint32_t)(begin - tree->text),
                                                     .size = (uint32_t)(end - begin),
                                                     .next = tree->count,
                                                     .kind = (uint8_t)kind };
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static unsigned read_hex(const char *p)
{
    unsigned code = 0;

    for (size_t i = 0; i < 4; i++)
        code = code << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return code;
}

/* Behind a backslash. Halves of a character stand in pairs. */
static bool escape(struct reading *r)
{
    unsigned code = 0, second = 0;

    if (r->at < r->end && *r->at != '\0' && strchr("\"\\/bfnrt", *r->at)) {
        r->at++;
        return true;
    }
    for (unsigned half = 0; half < 2; half++) {
        const char *p = r->at;
        if (r->end - p < 5 || p[0] != 'u' || !is_hex(p[1]) || !is_hex(p[2]) || !is_hex(p[3]) || !is_hex(p[4]))
            return wrong(r, "an escape that is none");
        *(half ? &second : &code) = read_hex(p + 1);
        r->at += 5;
        if (code < 0xd800 || code > 0xdfff || half)
            break;
        if (code > 0xdbff || r->at == r->end || *r->at++ != '\\')
            return wrong(r, "half a character");
    }
    r->tree->ascii = r->tree->ascii && code < 0x80;
    return (code < 0xd800 || code > 0xdfff) || (second >= 0xdc00 && second <= 0xdfff) || wrong(r, "half a character");
}

/* Behind its opening quote. */
static bool string(struct reading *r)
{
    const char *begin = r->at;
    bool escaped = false;
    uint32_t index;

    while (r->at < r->end && *r->at != '"') {
        unsigned char c = (unsigned char)*r->at++;
        if (c < 0x20)
            return wrong(r, "a control character in a string");
        r->tree->ascii = r->tree->ascii && c < 0x80;
        escaped = escaped || c == '\\';
        if (c == '\\' && !escape(r))
            return false;
    }
    if (r->at == r->end)
        return wrong(r, "a string without an end");
    if (!vt_text_is_utf8(begin, (size_t)(r->at - begin)))
        return wrong(r, "bytes that are not UTF-8");
    if (!add(r, VT_JSON_STRING, begin, r->at, &index))
        return false;
    r->tree->nodes[index].escaped = escaped;
    r->at++;
    return true;
}

static bool digits(struct reading *r)
{
    const char *begin = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > begin || wrong(r, "a number without digits");
}

static bool number(struct reading *r)
{
    const char *begin = r->at;
    uint32_t index;

    r->at += *r->at == '-';
    const char *first = r->at;
    if (!digits(r))
        return false;
    if (*first == '0' && r->at > first + 1)
        return wrong(r, "a number that begins with zero");
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        r->at += r->at < r->end && (*r->at == '+' || *r->at == '-');
        if (!digits(r))
            return false;
    }
    return add(r, VT_JSON_NUMBER, begin, r->at, &index);
}

static bool literal(struct reading *r)
{
    static const struct {
        const char *word;
        enum vt_json_kind kind;
    } rows[] = { { "null", VT_JSON_NULL }, { "true", VT_JSON_TRUE }, { "false", VT_JSON_FALSE } };
    uint32_t index;

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        size_t length = strlen(rows[i].word);
        if ((size_t)(r->end - r->at) < length || memcmp(r->at, rows[i].word, length) != 0)
            continue;
        r->at += length;
        return add(r, rows[i].kind, r->at - length, r->at, &index);
    }
    return wrong(r, "something else than a value");
}

/* ---- what holds others ---- */

static bool member(struct reading *r)
{
    if (!passed(r, '"'))
        return wrong(r, "a name is missing");
    return string(r) && (passed(r, ':') || wrong(r, "a colon is missing")) && value(r);
}

static bool container(struct reading *r, enum vt_json_kind kind)
{
    char last = kind == VT_JSON_ARRAY ? ']' : '}';
    const char *begin = r->at++;
    uint32_t index;

    if (++r->depth > VT_JSON_DEPTH_MAX)
        return vt_fail(r->err, VT_E_LIMIT, "JSON nested deeper than %d", VT_JSON_DEPTH_MAX);
    if (!add(r, kind, begin, r->at, &index))
        return false;
    bool more = !passed(r, last);
    while (more) {
        if (!(kind == VT_JSON_ARRAY ? value(r) : member(r)))
            return false;
        more = passed(r, ',');
        if (!more && !passed(r, last))
            return wrong(r, "a comma or an end is missing");
    }
    r->tree->nodes[index].size = (uint32_t)(r->at - begin);
    r->tree->nodes[index].next = r->tree->count;
    r->depth--;
    return true;
}

static bool value(struct reading *r)
{
    skip_blanks(r);
    if (r->at == r->end)
        return wrong(r, "a value is missing");
    if (*r->at == '{' || *r->at == '[')
        return container(r, *r->at == '{' ? VT_JSON_OBJECT : VT_JSON_ARRAY);
    if (*r->at == '"') {
        r->at++;
        return string(r);
    }
    return *r->at == '-' || (*r->at >= '0' && *r->at <= '9') ? number(r) : literal(r);
}

bool vt_json_tree_read(const char *text, size_t size, struct vt_json_tree *out, struct vt_err *err)
{
    struct reading r = { .tree = out, .at = text, .end = text + size, .err = err };

    *out = (struct vt_json_tree){ .text = text, .ascii = true };
    if (size > VT_JSON_TEXT_MAX)
        return vt_fail(err, VT_E_LIMIT, "a JSON text of more than %d bytes", VT_JSON_TEXT_MAX);
    if (!value(&r))
        return false;
    skip_blanks(&r);
    return r.at == r.end || wrong(&r, "something behind the end");
}

void vt_json_tree_fini(struct vt_json_tree *tree)
{
    free(tree->nodes);
    *tree = (struct vt_json_tree){ 0 };
}

/* ---- strings ---- */

static bool put_code(struct vt_buf *out, unsigned code, struct vt_err *err)
{
    uint8_t bytes[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    if (code == 0)
        return vt_fail(err, VT_E_INVALID, "a text with the zero character");
    for (size_t i = size; i-- > 1; code >>= 6)
        bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
    bytes[0] = (uint8_t)(leads[size] | code);
    return vt_buf_append(out, bytes, size, err);
}

/* At a backslash; gives what is behind the escape. */
static const char *put_escape(const char *p, struct vt_buf *out, struct vt_err *err)
{
    static const char letters[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    const char *found = strchr(letters, p[1]);

    if (p[1] != 'u')
        return vt_buf_append_byte(out, (uint8_t)(found ? bytes[found - letters] : p[1]), err) ? p + 2 : NULL;
    unsigned code = read_hex(p + 2);
    p += 6;
    if (code >= 0xd800 && code <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (read_hex(p + 2) - 0xdc00);
        p += 6;
    }
    return put_code(out, code, err) ? p : NULL;
}

bool vt_json_tree_string(const struct vt_json_tree *tree, uint32_t node, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_json_node *string = &tree->nodes[node];
    const char *at = tree->text + string->begin, *end = at + string->size;

    if (!string->escaped)
        return vt_buf_append(out, at, string->size, err);
    while (at && at < end) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        if (!vt_buf_append(out, at, (size_t)((stop ? stop : end) - at), err))
            return false;
        at = stop ? put_escape(stop, out, err) : end;
    }
    return at;
}

bool vt_json_tree_short(const struct vt_json_tree *tree, uint32_t node, char *out, size_t room)
{
    const struct vt_json_node *word = &tree->nodes[node];

    if ((word->kind != VT_JSON_STRING && word->kind != VT_JSON_NUMBER) || word->escaped || word->size >= room)
        return false;
    memcpy(out, tree->text + word->begin, word->size);
    out[word->size] = '\0';
    return true;
}

uint32_t vt_json_tree_member(const struct vt_json_tree *tree, uint32_t object, const char *name)
{
    size_t length = strlen(name);

    for (uint32_t i = object + 1; i < tree->nodes[object].next; i = tree->nodes[i + 1].next) {
        const struct vt_json_node *key = &tree->nodes[i];
        if (key->size == length && memcmp(tree->text + key->begin, name, length) == 0)
            return i + 1;
    }
    return 0;
}
