#include "dicom/tags.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/auto.h"

struct entry {
    uint32_t first, last;     /* differ for a range: every even group, or every element between */
    uint32_t keyword;         /* offset in keywords */
    char vr[4];
};

#include "dicom/dictionary_table.inc"

static const struct entry *find_entry(uint32_t tag)
{
    size_t low = 0, high = VT_COUNT(entries);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries[middle].first < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low < VT_COUNT(entries) && entries[low].first == tag ? &entries[low] : NULL;
}

static bool in_range(const struct entry *range, uint32_t tag)
{
    uint16_t group = VT_TAG_GROUP(tag), element = VT_TAG_ELEMENT(tag);

    return group % 2 == 0 && group >= VT_TAG_GROUP(range->first) &&
           group <= VT_TAG_GROUP(range->last) && element >= VT_TAG_ELEMENT(range->first) &&
           element <= VT_TAG_ELEMENT(range->last);
}

static const struct entry *find(uint32_t tag)
{
    const struct entry *entry = find_entry(tag);

    for (size_t i = 0; !entry && i < VT_COUNT(ranges); i++)
        if (in_range(&ranges[i], tag))
            entry = &ranges[i];
    return entry;
}

bool vt_dict_load(struct vt_err *err)
{
    (void)err;
    return true;
}

const char *vt_dict_vr(uint32_t tag)
{
    if (VT_TAG_ELEMENT(tag) == 0)
        return "UL";
    if (VT_TAG_GROUP(tag) % 2 == 1)
        return VT_TAG_ELEMENT(tag) >= 0x10 && VT_TAG_ELEMENT(tag) <= 0xff ? "LO" : "UN";

    const struct entry *entry = find(tag);
    return entry ? entry->vr : "UN";
}

const char *vt_dict_keyword(uint32_t tag)
{
    const struct entry *entry = find(tag);

    return entry ? keywords + entry->keyword : NULL;
}

static bool find_keyword(const char *text, uint32_t *out_tag)
{
    size_t low = 0, high = VT_COUNT(keyword_order);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &entries[keyword_order[middle]];
        int order = strcasecmp(text, keywords + entry->keyword);
        if (order == 0) {
            *out_tag = entry->first;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* Four hexadecimal digits; NULL when they are not there. */
static const char *read_hex4(const char *text, uint32_t *out)
{
    uint32_t number = 0;

    for (int i = 0; i < 4; i++, text++) {
        char c = *text;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return NULL;
        number = number << 4 | digit;
    }
    *out = number;
    return text;
}

static bool read_number(const char *text, uint32_t *out_tag)
{
    uint32_t group, element;
    bool bracket = *text == '(';

    text = read_hex4(text + bracket, &group);
    if (!text)
        return false;
    if (*text == ',')
        text++;
    else if (bracket)
        return false;
    text = read_hex4(text, &element);
    if (!text || (bracket && *text++ != ')') || *text != '\0')
        return false;
    *out_tag = VT_TAG(group, element);
    return true;
}

bool vt_dict_tag(const char *text, uint32_t *out_tag)
{
    return read_number(text, out_tag) || find_keyword(text, out_tag);
}
