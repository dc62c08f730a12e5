#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/text.h"

enum { CODEPOINTS_ON_STACK = 512 };

static bool fold_ascii(const char *text, size_t size, struct vt_buf *out, struct vt_err *err)
{
    if (!vt_buf_reserve(out, size, err))
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        out->data[out->size++] = (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return true;
}

static const utf8proc_option_t fold_options =
    UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK;

static bool fold_points(const char *text, size_t size, utf8proc_int32_t *points, size_t room,
                        size_t *out_needed, struct vt_buf *out, struct vt_err *err)
{
    utf8proc_ssize_t count = utf8proc_decompose((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size,
                                                points, (utf8proc_ssize_t)room, fold_options);

    if (count < 0)
        return vt_fail(err, VT_E_INVALID, "text that is no UTF-8");
    *out_needed = (size_t)count;
    if ((size_t)count > room)
        return true;
    utf8proc_ssize_t length = utf8proc_reencode(points, count, fold_options);
    if (length < 0)
        return vt_fail(err, VT_E_INVALID, "text that cannot be folded");
    return vt_buf_append(out, points, (size_t)length, err);
}

static bool fold_unicode(const char *text, size_t size, struct vt_buf *out, struct vt_err *err)
{
    utf8proc_int32_t few[CODEPOINTS_ON_STACK + 1];
    size_t needed = 0;

    if (!fold_points(text, size, few, CODEPOINTS_ON_STACK, &needed, out, err))
        return false;
    if (needed <= CODEPOINTS_ON_STACK)
        return true;
    /* utf8proc_reencode writes a zero byte behind. */
    vt_autofree utf8proc_int32_t *many = reallocarray(NULL, needed + 1, sizeof *many);
    if (!many)
        return vt_fail(err, VT_E_NOMEM, "no memory to fold %zu characters", needed);
    return fold_points(text, size, many, needed, &needed, out, err);
}

static bool ends_group(uint8_t c)
{
    return c == '=' || c == '\\';
}

/* In place from `start` on: one space for many, none beside a delimiter; no '^' before the end of a group,
 * no '=' before the end of a value. */
static void tidy(struct vt_buf *out, size_t start)
{
    uint8_t *text = out->data;
    size_t to = start;

    for (size_t from = start; from < out->size; from++) {
        uint8_t c = text[from];
        bool delimiter = c == '^' || ends_group(c);
        if (c == ' ' && (to == start || text[to - 1] == ' ' || text[to - 1] == '^' || ends_group(text[to - 1])))
            continue;
        if (delimiter && to > start && text[to - 1] == ' ')
            to--;
        if (ends_group(c))
            while (to > start && (text[to - 1] == '^' || (c == '\\' && text[to - 1] == '=')))
                to--;
        text[to++] = c;
    }
    while (to > start && (text[to - 1] == ' ' || text[to - 1] == '^' || text[to - 1] == '='))
        to--;
    out->size = to;
}

bool vt_text_fold(const char *utf8, size_t size, struct vt_buf *out, struct vt_err *err)
{
    size_t start = out->size;

    if (vt_text_is_ascii(utf8, size)) {
        if (!fold_ascii(utf8, size, out, err))
            return false;
    } else if (!fold_unicode(utf8, size, out, err)) {
        /* Not UTF-8: made so, then once more. */
        VT_AUTO_BUF(clean, out->limit);
        if (err->code != VT_E_INVALID)
            return false;
        vt_err_clear(err);
        if (!vt_text_to_utf8("ISO_IR 192", NULL, "LO", utf8, size, "\xEF\xBF\xBD", &clean, err) ||
            !fold_unicode((const char *)clean.data, clean.size, out, err))
            return false;
    }
    if (out->size > start)
        tidy(out, start);
    return true;
}
