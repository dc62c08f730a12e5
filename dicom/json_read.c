#include "dicom/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "dicom/element.h"
#include "dicom/json_values.h"

enum { URIS_MAX = 16 << 20 };

struct member {
    uint32_t tag, node;
};

struct reading {
    const struct vt_json_tree *tree;
    struct vt_json_data_set *out;
    struct vt_json_values values;
    struct vt_writer writer;
    uint32_t elements;
    unsigned depth;
    struct vt_err *err;
};

static bool item(struct reading *r, uint32_t object);

/* ---- elements ---- */

static bool add_gap(struct reading *r, uint32_t tag, const char *vr, uint32_t uri)
{
    struct vt_json_data_set *out = r->out;

    if (out->gap_count == out->gap_room) {
        size_t room = out->gap_room ? 2 * out->gap_room : 8;
        struct vt_json_gap *grown = reallocarray(out->gaps, room, sizeof *grown);
        if (!grown)
            return vt_fail(r->err, VT_E_NOMEM, "no memory for %zu values that stand elsewhere", room);
        out->gaps = grown;
        out->gap_room = room;
    }
    struct vt_json_gap *gap = &out->gaps[out->gap_count++];
    *gap = (struct vt_json_gap){ .at = out->bytes.size, .tag = tag, .nested = r->depth > 0, .uri = out->uris.size };
    memcpy(gap->vr, vr, sizeof gap->vr);
    return vt_json_tree_string(r->tree, uri, &out->uris, r->err) && vt_buf_append_byte(&out->uris, '\0', r->err);
}

static bool sequence(struct reading *r, uint32_t tag, uint32_t array)
{
    const struct vt_json_node *nodes = r->tree->nodes;

    if (++r->depth > VT_JSON_SEQUENCES_MAX)
        return vt_fail_dimse(r->err, VT_E_LIMIT, 0xc006, "sequences nested deeper than %d", VT_JSON_SEQUENCES_MAX);
    if (!vt_write_sequence_begin(&r->writer, tag, r->err))
        return false;
    for (uint32_t i = array + 1; array && i < nodes[array].next; i = nodes[i].next) {
        if (nodes[i].kind != VT_JSON_OBJECT && nodes[i].kind != VT_JSON_NULL)
            return vt_fail(r->err, VT_E_INVALID, "an item that is no object");
        if (!vt_write_item_begin(&r->writer, r->err) || (nodes[i].kind == VT_JSON_OBJECT && !item(r, i)) ||
            !vt_write_item_end(&r->writer, r->err))
            return false;
    }
    r->depth--;
    return vt_write_sequence_end(&r->writer, r->err);
}

/* The one of the three that is there; *which its number, 3 for none. */
static bool find_value(struct reading *r, uint32_t object, uint32_t *out_node, size_t *out_which)
{
    static const char *const names[] = { "Value", "InlineBinary", "BulkDataURI" };

    *out_node = 0;
    *out_which = VT_COUNT(names);
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        uint32_t node = vt_json_tree_member(r->tree, object, names[i]);
        if (!node)
            continue;
        if (*out_node)
            return vt_fail(r->err, VT_E_INVALID, "more than one of Value, InlineBinary and BulkDataURI");
        if (r->tree->nodes[node].kind != (i == 0 ? VT_JSON_ARRAY : VT_JSON_STRING))
            return vt_fail(r->err, VT_E_INVALID, "%s is %s", names[i], i == 0 ? "no array" : "no string");
        *out_node = node;
        *out_which = i;
    }
    return true;
}

static bool find_vr(struct reading *r, const struct member *member, char vr[3])
{
    uint32_t node = vt_json_tree_member(r->tree, member->node, "vr");

    if (!node)
        snprintf(vr, 3, "%s", vt_dict_vr(member->tag));
    else if (r->tree->nodes[node].kind != VT_JSON_STRING || !vt_json_tree_short(r->tree, node, vr, 3))
        *vr = '\0';
    return vt_json_vr_known(vr) || vt_fail(r->err, VT_E_INVALID, "a VR that is none");
}

static bool element(struct reading *r, const struct member *member)
{
    uint32_t node;
    size_t which;
    char vr[3];

    if (++r->elements > VT_JSON_ELEMENTS_MAX)
        return vt_fail(r->err, VT_E_LIMIT, "more than %d elements", VT_JSON_ELEMENTS_MAX);
    if (r->tree->nodes[member->node].kind != VT_JSON_OBJECT)
        return vt_fail(r->err, VT_E_INVALID, "no object");
    if (!find_vr(r, member, vr) || !find_value(r, member->node, &node, &which))
        return false;
    if (strcmp(vr, "SQ") == 0)
        return which == 0 || which == 3 ? sequence(r, member->tag, node) : vt_fail(r->err, VT_E_INVALID, "a sequence without items");
    if (which == 2)
        return add_gap(r, member->tag, vr, node);
    r->out->has_pixels |= r->depth == 0 && VT_TAG_GROUP(member->tag) == VT_TAG_GROUP(VT_TAG_PIXEL_DATA);
    vt_buf_reset(&r->values.bytes);
    bool ok = which == 0   ? vt_json_values(&r->values, vr, node, r->err)
              : which == 1 ? vt_json_inline(&r->values, vr, node, r->err)
                           : true;
    return ok && vt_write_bytes(&r->writer, member->tag, vr, r->values.bytes.data, r->values.bytes.size, r->err);
}

/* ---- data sets and items ---- */

static int by_tag(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    return (x->tag > y->tag) - (x->tag < y->tag);
}

/* Eight hexadecimal digits. */
static bool read_tag(struct reading *r, uint32_t name, uint32_t *out)
{
    char text[9], *end;

    if (!vt_json_tree_short(r->tree, name, text, sizeof text) || strlen(text) != 8 || strspn(text, "0123456789abcdefABCDEF") != 8)
        return vt_fail(r->err, VT_E_INVALID, "an attribute whose name is no tag of eight hexadecimal digits");
    *out = (uint32_t)strtoul(text, &end, 16);
    return true;
}

static bool first_text(struct reading *r, uint32_t object, char *out, size_t room)
{
    uint32_t array = vt_json_tree_member(r->tree, object, "Value");
    const struct vt_json_node *nodes = r->tree->nodes;

    *out = '\0';
    return array && nodes[array].kind == VT_JSON_ARRAY && nodes[array].next > array + 1 &&
           vt_json_tree_short(r->tree, array + 1, out, room);
}

/* What the caller needs to know before it has read all. */
static void learn(struct reading *r, const struct member *member)
{
    struct vt_json_data_set *out = r->out;
    const struct {
        uint32_t tag;
        char *uid;
    } uids[] = { { 0x00020010, out->transfer_syntax_uid },
                 { VT_TAG_SOP_CLASS_UID, out->sop_class_uid },
                 { VT_TAG_SOP_INSTANCE_UID, out->sop_instance_uid },
                 { VT_TAG_STUDY_INSTANCE_UID, out->study_uid } };
    char frames[16];

    if (r->tree->nodes[member->node].kind != VT_JSON_OBJECT)
        return;
    for (size_t i = 0; i < VT_COUNT(uids); i++)
        if (uids[i].tag == member->tag && first_text(r, member->node, uids[i].uid, VT_UID_MAX + 1) &&
            !vt_uid_usable(uids[i].uid))
            *uids[i].uid = '\0';
    if (member->tag == VT_TAG_NUMBER_OF_FRAMES && first_text(r, member->node, frames, sizeof frames)) {
        unsigned long count = strtoul(frames, NULL, 10);
        out->frames = count > 0 && count < UINT32_MAX ? (uint32_t)count : 1;
    }
}

/* Group lengths and the groups before 0008 do not belong to a data set; its character set is ours to say. */
static bool is_left_out(uint32_t tag)
{
    return VT_TAG_ELEMENT(tag) == 0 || VT_TAG_GROUP(tag) == 2 || tag == VT_TAG_SPECIFIC_CHARACTER_SET;
}

/* The attributes of an object by tag. *out_charset: it says one. */
static bool collect(struct reading *r, uint32_t object, struct member *members, size_t *out_count, bool *out_charset)
{
    const struct vt_json_node *nodes = r->tree->nodes;
    uint32_t tag = 0;

    *out_count = 0;
    for (uint32_t i = object + 1; i < nodes[object].next; i = nodes[i + 1].next) {
        if (!read_tag(r, i, &tag))
            return false;
        struct member member = { tag, i + 1 };
        if (r->depth == 0)
            learn(r, &member);
        *out_charset |= tag == VT_TAG_SPECIFIC_CHARACTER_SET;
        if (is_left_out(tag))
            continue;
        if (VT_TAG_GROUP(tag) < 8 || VT_TAG_GROUP(tag) == 0xfffe)
            return vt_fail(r->err, VT_E_INVALID, "(%04x,%04x) is no attribute of a data set", VT_TAG_GROUP(tag), VT_TAG_ELEMENT(tag));
        members[(*out_count)++] = member;
    }
    qsort(members, *out_count, sizeof *members, by_tag);
    for (size_t i = 1; i < *out_count; i++)
        if (members[i].tag == members[i - 1].tag)
            return vt_fail(r->err, VT_E_INVALID, "%08X stands there twice", members[i].tag);
    return true;
}

static size_t members_of(const struct vt_json_tree *tree, uint32_t object)
{
    size_t count = 0;

    for (uint32_t i = object + 1; i < tree->nodes[object].next; i = tree->nodes[i + 1].next)
        count++;
    return count;
}

static bool item(struct reading *r, uint32_t object)
{
    size_t count = members_of(r->tree, object);
    bool charset = false;

    if (count > VT_JSON_ELEMENTS_MAX)
        return vt_fail(r->err, VT_E_LIMIT, "more than %d elements", VT_JSON_ELEMENTS_MAX);
    vt_autofree struct member *members = calloc(count + 1, sizeof *members);
    if (!members)
        return vt_fail(r->err, VT_E_NOMEM, "no memory for %zu elements", count);
    if (!collect(r, object, members, &count, &charset))
        return false;
    bool needed = r->depth == 0 && (charset || !r->tree->ascii);
    for (size_t i = 0; i <= count; i++) {
        if (needed && (i == count || members[i].tag > VT_TAG_SPECIFIC_CHARACTER_SET)) {
            if (!vt_write_text(&r->writer, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192", r->err))
                return false;
            needed = false;
        }
        if (i < count && !element(r, &members[i]))
            return vt_fail_context(r->err, "%08X", members[i].tag);
    }
    return true;
}

/* ---- the whole ---- */

bool vt_json_data_sets(const struct vt_json_tree *tree, uint32_t **out_nodes, size_t *out_count, struct vt_err *err)
{
    const struct vt_json_node *nodes = tree->nodes;
    size_t count = 0, room = nodes[0].kind == VT_JSON_ARRAY ? 0 : 1;

    for (uint32_t i = 1; nodes[0].kind == VT_JSON_ARRAY && i < nodes[0].next; i = nodes[i].next)
        room++;
    if (room > VT_JSON_DATA_SETS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d data sets", VT_JSON_DATA_SETS_MAX);
    vt_autofree uint32_t *list = calloc(room + 1, sizeof *list);
    if (!list)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu data sets", room);
    for (uint32_t i = nodes[0].kind == VT_JSON_ARRAY ? 1 : 0; count < room; i = nodes[i].next) {
        if (nodes[i].kind != VT_JSON_OBJECT)
            return vt_fail(err, VT_E_INVALID, "a data set that is no JSON object");
        list[count++] = i;
    }
    *out_nodes = vt_take(&list);
    *out_count = count;
    return true;
}

void vt_json_data_set_init(struct vt_json_data_set *data_set)
{
    *data_set = (struct vt_json_data_set){ .frames = 1 };
    vt_buf_init(&data_set->bytes, VT_JSON_BYTES_MAX);
    vt_buf_init(&data_set->uris, URIS_MAX);
}

void vt_json_data_set_fini(struct vt_json_data_set *data_set)
{
    vt_buf_fini(&data_set->bytes);
    vt_buf_fini(&data_set->uris);
    free(data_set->gaps);
    data_set->gaps = NULL;
}

bool vt_json_data_set_read(const struct vt_json_tree *tree, uint32_t node, struct vt_json_data_set *out, struct vt_err *err)
{
    struct reading r = { .tree = tree, .out = out, .writer = { &out->bytes, VT_EXPLICIT_LE }, .err = err };

    vt_buf_reset(&out->bytes);
    vt_buf_reset(&out->uris);
    out->gap_count = 0;
    out->frames = 1;
    out->has_pixels = false;
    *out->sop_class_uid = *out->sop_instance_uid = *out->study_uid = *out->transfer_syntax_uid = '\0';
    vt_json_values_init(&r.values, tree, VT_JSON_BYTES_MAX);
    bool ok = item(&r, node);
    vt_json_values_fini(&r.values);
    return ok;
}

/* Where the first element behind the tag begins; *there: it stands there itself. */
static bool find_place(const struct vt_json_data_set *data_set, uint32_t tag, size_t *out_at, bool *there, struct vt_err *err)
{
    struct vt_element element;
    struct vt_walk walk;
    bool more = true;

    *there = false;
    *out_at = 0;
    for (size_t i = 0; i < data_set->gap_count; i++)
        *there = *there || (data_set->gaps[i].tag == tag && !data_set->gaps[i].nested);
    vt_walk_init(&walk, data_set->bytes.data, data_set->bytes.size, VT_EXPLICIT_LE);
    while (vt_walk_next(&walk, &element, &more, err) && more && element.tag <= tag) {
        *there = *there || element.tag == tag;
        *out_at = (size_t)(walk.at - data_set->bytes.data);
    }
    return !vt_failed(err);
}

bool vt_json_data_set_add(struct vt_json_data_set *data_set, uint32_t tag, const char *vr, const void *value, size_t size,
                          struct vt_err *err)
{
    VT_AUTO_BUF(element, VT_JSON_BYTES_MAX);
    struct vt_writer writer = { &element, VT_EXPLICIT_LE };
    struct vt_buf *bytes = &data_set->bytes;
    size_t at;
    bool there;

    if (!find_place(data_set, tag, &at, &there, err))
        return false;
    if (there)
        return true;
    if (!vt_write_bytes(&writer, tag, vr, value, size, err) || !vt_buf_reserve(bytes, element.size, err))
        return false;
    memmove(bytes->data + at + element.size, bytes->data + at, bytes->size - at);
    memcpy(bytes->data + at, element.data, element.size);
    bytes->size += element.size;
    for (size_t i = 0; i < data_set->gap_count; i++) {
        struct vt_json_gap *gap = &data_set->gaps[i];
        if (gap->at > at || (gap->at == at && gap->tag > tag))
            gap->at += element.size;
    }
    return true;
}
