#include "media/slide_put.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"

enum { DS_MAX = 16, FLOAT_SIZE = 4 };

static void note(struct vt_slide_put *put, bool ok)
{
    put->failed = put->failed || !ok;
}

void vt_put_bytes(struct vt_slide_put *put, uint32_t tag, const char *vr, const void *value, size_t size)
{
    if (!put->failed)
        note(put, vt_write_bytes(&put->w, tag, vr, value, size, put->err));
}

void vt_put_text(struct vt_slide_put *put, uint32_t tag, const char *vr, const char *text)
{
    vt_put_bytes(put, tag, vr, text, strlen(text));
}

void vt_put_text_if(struct vt_slide_put *put, uint32_t tag, const char *vr, const char *text)
{
    if (text[0])
        vt_put_text(put, tag, vr, text);
}

void vt_put_us(struct vt_slide_put *put, uint32_t tag, uint32_t value)
{
    if (!put->failed && value > UINT16_MAX)
        note(put, vt_fail(put->err, VT_E_LIMIT, "%u does not fit (%04x,%04x)", value,
                          VT_TAG_GROUP(tag), VT_TAG_ELEMENT(tag)));
    if (!put->failed)
        note(put, vt_write_us(&put->w, tag, (uint16_t)value, put->err));
}

void vt_put_ul(struct vt_slide_put *put, uint32_t tag, uint64_t value)
{
    if (!put->failed)
        note(put, vt_write_ul(&put->w, tag, value > UINT32_MAX ? UINT32_MAX : (uint32_t)value, put->err));
}

void vt_put_float(struct vt_slide_put *put, uint32_t tag, double value)
{
    float number = (float)value;
    uint8_t bytes[FLOAT_SIZE];
    uint32_t bits;

    memcpy(&bits, &number, sizeof bits);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(bits >> 8 * i);
    vt_put_bytes(put, tag, "FL", bytes, sizeof bytes);
}

/* As many digits as fit. */
static void decimal_text(double value, char out[static DS_MAX + 1])
{
    char text[64];

    for (int digits = 15; digits > 0; digits--) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strlen(text) <= DS_MAX)
            break;
    }
    snprintf(out, DS_MAX + 1, "%.16s", text);
}

void vt_put_decimal(struct vt_slide_put *put, uint32_t tag, double value)
{
    char text[DS_MAX + 1];

    decimal_text(value, text);
    vt_put_text(put, tag, "DS", text);
}

void vt_put_decimals(struct vt_slide_put *put, uint32_t tag, double one, double two)
{
    char a[DS_MAX + 1], b[DS_MAX + 1], text[2 * DS_MAX + 2];

    decimal_text(one, a);
    decimal_text(two, b);
    snprintf(text, sizeof text, "%s\\%s", a, b);
    vt_put_text(put, tag, "DS", text);
}

void vt_put_tag(struct vt_slide_put *put, uint32_t tag, uint32_t value)
{
    const uint8_t bytes[4] = { (uint8_t)(value >> 16), (uint8_t)(value >> 24), (uint8_t)value,
                               (uint8_t)(value >> 8) };

    vt_put_bytes(put, tag, "AT", bytes, sizeof bytes);
}

void vt_put_begin(struct vt_slide_put *put, uint32_t tag)
{
    if (!put->failed)
        note(put, vt_write_sequence_begin(&put->w, tag, put->err) &&
                      vt_write_item_begin(&put->w, put->err));
}

void vt_put_next(struct vt_slide_put *put)
{
    if (!put->failed)
        note(put, vt_write_item_end(&put->w, put->err) && vt_write_item_begin(&put->w, put->err));
}

void vt_put_end(struct vt_slide_put *put)
{
    if (!put->failed)
        note(put, vt_write_item_end(&put->w, put->err) && vt_write_sequence_end(&put->w, put->err));
}

void vt_put_empty(struct vt_slide_put *put, uint32_t tag)
{
    if (!put->failed)
        note(put, vt_write_sequence_begin(&put->w, tag, put->err) &&
                      vt_write_sequence_end(&put->w, put->err));
}

void vt_put_code(struct vt_slide_put *put, uint32_t tag, const char *value, const char *scheme,
                 const char *meaning)
{
    vt_put_begin(put, tag);
    vt_put_text(put, 0x00080100, "SH", value);
    vt_put_text(put, 0x00080102, "SH", scheme);
    vt_put_text(put, 0x00080104, "LO", meaning);
    vt_put_end(put);
}
