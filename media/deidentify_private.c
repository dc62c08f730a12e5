/* Which private elements may stay: those that PS3.15 Table E.3.10-1 lists, and those that the data set itself says are safe. */
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "media/deidentify_inside.h"

enum { GROUP = 0x00080301, CREATOR = 0x00080302, STATUS = 0x00080303, NONIDENTIFYING = 0x00080304, WHOLE_BLOCK = -1 };

static const struct {
    uint16_t group;
    int16_t element;   /* within the block */
    const char *creator;
} safe[] = {
    { 0x7053, 0x00, "Philips PET Private Group" }, { 0x7053, 0x09, "Philips PET Private Group" },
    { 0x00e1, 0x21, "ELSCINT1" },                  { 0x00e1, 0x50, "ELSCINT1" },
    { 0x01e1, 0x26, "ELSCINT1" },                  { 0x01e1, 0x50, "ELSCINT1" },
    { 0x01f1, 0x01, "ELSCINT1" },                  { 0x01f1, 0x07, "ELSCINT1" },
    { 0x01f1, 0x26, "ELSCINT1" },                  { 0x01f1, 0x27, "ELSCINT1" },
    { 0x0019, 0x23, "GEMS_ACQU_01" },              { 0x0019, 0x24, "GEMS_ACQU_01" },
    { 0x0019, 0x27, "GEMS_ACQU_01" },              { 0x0019, 0x9e, "GEMS_ACQU_01" },
    { 0x0025, 0x07, "GEMS_SERS_01" },              { 0x0043, 0x27, "GEMS_PARM_01" },
    { 0x0043, 0x39, "GEMS_PARM_01" },              { 0x0043, 0x6f, "GEMS_PARM_01" },
    { 0x0045, 0x01, "GEMS_HELIOS_01" },            { 0x0045, 0x02, "GEMS_HELIOS_01" },
    { 0x0903, 0x10, "GEIIS PACS" },                { 0x0903, 0x11, "GEIIS PACS" },
    { 0x0903, 0x12, "GEIIS PACS" },                { 0x2001, 0x03, "Philips Imaging DD 001" },
    { 0x2001, 0x04, "Philips Imaging DD 001" },    { 0x0019, 0x0c, "SIEMENS MR HEADER" },
    { 0x0019, 0x0d, "SIEMENS MR HEADER" },         { 0x0019, 0x0e, "SIEMENS MR HEADER" },
    { 0x0019, 0x27, "SIEMENS MR HEADER" },
};

/* Some element of such a block, or (element WHOLE_BLOCK) any. */
static bool listed(uint16_t group, const char *creator, int element)
{
    for (size_t i = 0; i < VT_COUNT(safe); i++)
        if (safe[i].group == group && (element == WHOLE_BLOCK || safe[i].element == element) &&
            strcmp(safe[i].creator, creator) == 0)
            return true;
    return false;
}

/* ---- (0008,0300): what the data set says of a block ---- */

struct declaration {
    int64_t group;
    char creator[65], status[17];
    struct vt_element list;
};

static void read_declaration(const struct vt_element *item, enum vt_encoding encoding, struct declaration *out)
{
    struct vt_walk walk;
    struct vt_element element;
    struct vt_err ignored = { 0 };
    bool more;

    *out = (struct declaration){ .group = -1 };
    vt_walk_item(&walk, item, encoding);
    while (vt_walk_next(&walk, &element, &more, &ignored) && more) {
        if (element.tag == GROUP)
            vt_element_number(&element, encoding, &out->group);
        else if (element.tag == CREATOR)
            vt_element_text(&element, out->creator, sizeof out->creator);
        else if (element.tag == STATUS)
            vt_element_text(&element, out->status, sizeof out->status);
        else if (element.tag == NONIDENTIFYING)
            out->list = element;
    }
}

static bool names(const struct declaration *declaration, enum vt_encoding encoding, int element)
{
    bool big = encoding == VT_EXPLICIT_BE;

    if (strcmp(declaration->status, "SAFE") == 0)
        return true;
    for (uint64_t i = 0; declaration->list.value && i + 2 <= declaration->list.length; i += 2) {
        const uint8_t *at = declaration->list.value + i;
        int number = big ? at[0] << 8 | at[1] : at[1] << 8 | at[0];
        if (element == WHOLE_BLOCK || (number & 0xff) == element)
            return true;
    }
    return false;
}

static bool declared(const struct vt_deid_blocks *blocks, enum vt_encoding encoding, uint16_t group, const char *creator,
                     int element)
{
    struct vt_walk items;
    struct vt_element item;
    struct vt_err ignored = { 0 };
    struct declaration declaration;
    bool more;

    if (!blocks->declared.value)
        return false;
    vt_walk_items(&items, &blocks->declared, encoding);
    while (vt_walk_next(&items, &item, &more, &ignored) && more) {
        read_declaration(&item, encoding, &declaration);
        if (declaration.group == group && strcmp(declaration.creator, creator) == 0 &&
            names(&declaration, encoding, element))
            return true;
    }
    return false;
}

/* A creator stays when something of its block may. */
static bool note_creator(struct vt_deid_blocks *blocks, const struct vt_element *element, enum vt_encoding encoding)
{
    uint16_t group = VT_TAG_GROUP(element->tag);

    if (blocks->count == VT_DEID_BLOCKS_MAX)
        return false;
    char *creator = blocks->list[blocks->count].creator;
    vt_element_text(element, creator, sizeof blocks->list[0].creator);
    if (!listed(group, creator, WHOLE_BLOCK) && !declared(blocks, encoding, group, creator, WHOLE_BLOCK))
        return false;
    blocks->list[blocks->count].group = group;
    blocks->list[blocks->count++].block = (uint8_t)VT_TAG_ELEMENT(element->tag);
    return true;
}

bool vt_deid_private_stays(struct vt_deid_blocks *blocks, const struct vt_element *element, enum vt_encoding encoding)
{
    uint16_t group = VT_TAG_GROUP(element->tag), number = VT_TAG_ELEMENT(element->tag);

    if (number >= 0x10 && number <= 0xff)
        return note_creator(blocks, element, encoding);
    for (size_t i = 0; number >= 0x1000 && i < blocks->count; i++)
        if (blocks->list[i].group == group && blocks->list[i].block == number >> 8)
            return listed(group, blocks->list[i].creator, number & 0xff) ||
                   declared(blocks, encoding, group, blocks->list[i].creator, number & 0xff);
    return false;
}
