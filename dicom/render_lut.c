/* Look-up tables of an instance (PS3.3 C.11.1, C.11.2): Modality LUT and VOI LUT, the first item of each. */
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/render_inside.h"

enum { TAG_DESCRIPTOR = 0x00283002, TAG_DATA = 0x00283006, ENTRIES_MAX = 65536 };

static uint16_t u16_at(const uint8_t *at, enum vt_encoding encoding)
{
    bool big = encoding == VT_EXPLICIT_BE;

    return (uint16_t)(at[big] | at[!big] << 8);
}

/* A table of bytes has two entries in a word, or one in each byte. */
static bool read_entries(const struct vt_element *data, enum vt_encoding encoding, struct vt_render_lut *out)
{
    bool bytes = data->length < 2 * (uint64_t)out->count;

    if (bytes && data->length < out->count)
        return false;
    for (uint32_t i = 0; i < out->count; i++)
        out->values[i] = bytes ? data->value[i] : u16_at(data->value + 2 * (size_t)i, encoding);
    return true;
}

/* Of an item of the sequence, from `bytes`. What is not there, or broken, is no table: *out stays empty. */
bool vt_render_read_lut(const uint8_t *bytes, size_t size, enum vt_encoding encoding, bool signed_input, struct vt_render_lut *out,
                        struct vt_err *err)
{
    struct vt_element descriptor, data;

    if (!bytes || !vt_element_find(bytes, size, encoding, TAG_DESCRIPTOR, &descriptor) || descriptor.length < 6 ||
        !vt_element_find(bytes, size, encoding, TAG_DATA, &data))
        return true;
    uint16_t count = u16_at(descriptor.value, encoding), first = u16_at(descriptor.value + 2, encoding);
    unsigned bits = u16_at(descriptor.value + 4, encoding);
    if (bits < 1 || bits > 16)
        return true;
    struct vt_render_lut lut = { .count = count ? count : ENTRIES_MAX, .first = signed_input ? (int16_t)first : first, .bits = bits };
    lut.values = calloc(lut.count, sizeof *lut.values);
    if (!lut.values)
        return vt_fail(err, VT_E_NOMEM, "no memory for a look-up table");
    if (read_entries(&data, encoding, &lut))
        *out = lut;
    else
        free(lut.values);
    return true;
}

/* Values before the first entry are the first one, those behind the last the last. */
double vt_render_look_up(const struct vt_render_lut *lut, double value)
{
    double at = value - lut->first, last = (double)lut->count - 1;

    return lut->values[at > 0 ? at < last ? (size_t)at : (size_t)last : 0];
}
