/* What says who it was by its meaning, not by its tag: items of structured content, and the words that free text must not have. */
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "media/deidentify_inside.h"

enum {
    BLACK_TEXT_MAX = 64 << 10,
    CONCEPT_NAME = 0x0040a043,
    CODE_VALUE = 0x00080100,
    CODING_SCHEME = 0x00080102,
};

bool vt_deid_is_text(const char *vr)
{
    static const char *const texts[] = { "PN", "LO", "SH", "ST", "LT", "UT", "UC" };

    for (size_t i = 0; i < VT_COUNT(texts); i++)
        if (memcmp(vr, texts[i], 2) == 0)
            return true;
    return false;
}

const char *vt_deid_vr_of(const struct vt_element *element)
{
    return memcmp(element->vr, "UN", 2) == 0 && VT_TAG_GROUP(element->tag) % 2 == 0 ? vt_dict_vr(element->tag) : element->vr;
}

/* ---- content items ---- */

/* Concept names of PS3.16 TID 1001 to 1007 and 1009 whose values are those of attributes that the table removes. */
static const struct {
    const char *code;   /* of the scheme DCM */
    unsigned keep;      /* the option that keeps it */
} concepts[] = {
    { "121008", 0 },                          /* Person Observer Name */
    { "121009", VT_DEID_RETAIN_INSTITUTION }, /* Person Observer's Organization Name */
    { "121013", VT_DEID_RETAIN_DEVICE },      /* Device Observer Name */
    { "121016", VT_DEID_RETAIN_DEVICE },      /* Device Observer Serial Number */
    { "121017", VT_DEID_RETAIN_INSTITUTION }, /* Device Observer Physical Location during observation */
    { "121020", 0 },                          /* Placer Number */
    { "121021", 0 },                          /* Filler Number */
    { "121022", 0 },                          /* Accession Number */
    { "121029", 0 },                          /* Subject Name */
    { "121030", 0 },                          /* Subject ID */
    { "121031", 0 },                          /* Subject Birth Date */
    { "121032", VT_DEID_RETAIN_PATIENT },     /* Subject Sex */
    { "121033", VT_DEID_RETAIN_PATIENT },     /* Subject Age */
    { "121036", 0 },                          /* Mother of fetus */
    { "121041", 0 },                          /* Specimen Identifier */
};

bool vt_deid_content_tells(const struct vt_deid *deid, const struct vt_element *item, enum vt_encoding encoding)
{
    struct vt_element names, name, element;
    struct vt_err ignored = { 0 };
    struct vt_walk walk;
    char code[17], scheme[17];
    bool more;

    if (!vt_element_find(item->value, (size_t)item->length, encoding, CONCEPT_NAME, &names))
        return false;
    vt_walk_items(&walk, &names, encoding);
    if (!vt_walk_next(&walk, &name, &more, &ignored) || !more ||
        !vt_element_find(name.value, (size_t)name.length, encoding, CODE_VALUE, &element))
        return false;
    vt_element_text(&element, code, sizeof code);
    if (!vt_element_find(name.value, (size_t)name.length, encoding, CODING_SCHEME, &element))
        return false;
    vt_element_text(&element, scheme, sizeof scheme);
    for (size_t i = 0; i < VT_COUNT(concepts); i++)
        if (strcmp(concepts[i].code, code) == 0 && strcmp(scheme, "DCM") == 0)
            return !(concepts[i].keep & deid->options);
    return false;
}

char vt_deid_content_action(uint32_t tag)
{
    static const struct {
        uint32_t tag;
        char action;
    } values[] = {
        { 0x0040a120, 'D' }, /* DateTime */
        { 0x0040a121, 'D' }, /* Date */
        { 0x0040a122, 'D' }, /* Time */
        { 0x0040a123, 'D' }, /* PersonName */
        { 0x0040a160, 'D' }, /* TextValue */
        { 0x0040a168, 'D' }, /* ConceptCodeSequence */
        { 0x0040a300, 'Z' }, /* MeasuredValueSequence */
    };

    for (size_t i = 0; i < VT_COUNT(values); i++)
        if (values[i].tag == tag)
            return values[i].action;
    return 0;
}

/* ---- words ---- */

struct collecting {
    const struct vt_deid *deid;
    struct vt_deid_black *black;
    enum vt_encoding encoding;
};

static bool collect(const struct collecting *collecting, struct vt_walk *walk, bool telling, unsigned depth, struct vt_err *err);

static bool collect_items(const struct collecting *collecting, const struct vt_element *sequence, unsigned depth, struct vt_err *err)
{
    struct vt_walk items, walk;
    struct vt_element item;
    bool more, ok = true;

    if (depth == VT_DEID_DEPTH_MAX)
        return vt_fail(err, VT_E_LIMIT, "sequences nested more than %d deep", VT_DEID_DEPTH_MAX);
    vt_walk_items(&items, sequence, collecting->encoding);
    while (ok && (ok = vt_walk_next(&items, &item, &more, err)) && more) {
        bool telling = vt_deid_content_tells(collecting->deid, &item, collecting->encoding);
        vt_walk_item(&walk, &item, collecting->encoding);
        ok = collect(collecting, &walk, telling, depth + 1, err);
    }
    return ok;
}

/* Goes as deep as the sequences do, which VT_DEID_DEPTH_MAX bounds. */
static bool collect(const struct collecting *collecting, struct vt_walk *walk, bool telling, unsigned depth, struct vt_err *err)
{
    struct vt_element element;
    bool more, ok = true;

    while (ok && (ok = vt_walk_next(walk, &element, &more, err)) && more) {
        const struct vt_deid_rule *rule = vt_deid_rule_find(element.tag);
        const char *vr = vt_deid_vr_of(&element);
        bool goes = (rule && !rule->clean) || memcmp(vr, "PN", 2) == 0 || (telling && vt_deid_content_action(element.tag));
        if (memcmp(vr, "SQ", 2) == 0)
            ok = collect_items(collecting, &element, depth, err);
        else if (goes && vt_deid_is_text(vr) && element.length < BLACK_TEXT_MAX)
            ok = vt_deid_black_add(collecting->black, element.value, (size_t)element.length, err);
    }
    return ok;
}

bool vt_deid_black_collect(const struct vt_deid *deid, struct vt_deid_black *black, const uint8_t *bytes, size_t size,
                           enum vt_encoding encoding, struct vt_err *err)
{
    const struct collecting collecting = { deid, black, encoding };
    struct vt_walk walk;

    vt_walk_init(&walk, bytes, size, encoding);
    return collect(&collecting, &walk, false, 0, err);
}
