#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

enum { VT_BUF_FIRST = 256 };

void vt_buf_init(struct vt_buf *buf, size_t limit)
{
    *buf = (struct vt_buf){ .limit = limit };
}

void vt_buf_fini(struct vt_buf *buf)
{
    free(buf->data);
    *buf = (struct vt_buf){ .limit = buf->limit };
}

bool vt_buf_reserve(struct vt_buf *buf, size_t more, struct vt_err *err)
{
    if (more > buf->limit - buf->size)
        return vt_fail(err, VT_E_LIMIT, "%zu bytes more than the limit of %zu", more, buf->limit);
    if (buf->size + more <= buf->capacity)
        return true;

    size_t wanted = buf->capacity ? buf->capacity : VT_BUF_FIRST;
    while (wanted < buf->size + more)
        wanted = wanted > buf->limit / 2 ? buf->limit : wanted * 2;
    uint8_t *grown = realloc(buf->data, wanted);
    if (!grown)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu bytes", wanted);
    buf->data = grown;
    buf->capacity = wanted;
    return true;
}

bool vt_buf_append(struct vt_buf *buf, const void *bytes, size_t size, struct vt_err *err)
{
    if (!vt_buf_reserve(buf, size, err))
        return false;
    if (size > 0)
        memcpy(buf->data + buf->size, bytes, size);
    buf->size += size;
    return true;
}

bool vt_buf_append_byte(struct vt_buf *buf, uint8_t byte, struct vt_err *err)
{
    return vt_buf_append(buf, &byte, 1, err);
}

bool vt_buf_append_text(struct vt_buf *buf, const char *text, struct vt_err *err)
{
    return vt_buf_append(buf, text, strlen(text), err);
}

bool vt_buf_printf(struct vt_buf *buf, struct vt_err *err, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);

    bool ok = length >= 0 || vt_fail(err, VT_E_INTERNAL, "format '%s' failed", format);
    size_t size = ok ? (size_t)length : 0;
    /* vsnprintf writes a zero byte behind; the limit counts without it. */
    if (ok && size > buf->limit - buf->size)
        ok = vt_fail(err, VT_E_LIMIT, "%zu bytes more than the limit of %zu", size, buf->limit);
    if (ok && buf->size + size + 1 > buf->capacity) {
        size_t wanted = buf->capacity * 2 > buf->size + size + 1 ? buf->capacity * 2 : buf->size + size + 1;
        uint8_t *grown = realloc(buf->data, wanted);
        if (grown) {
            buf->data = grown;
            buf->capacity = wanted;
        } else {
            ok = vt_fail(err, VT_E_NOMEM, "no memory for %zu bytes", wanted);
        }
    }
    if (ok) {
        vsnprintf((char *)buf->data + buf->size, size + 1, format, again);
        buf->size += size;
    }
    va_end(again);
    return ok;
}

const char *vt_buf_string(struct vt_buf *buf, struct vt_err *err)
{
    if (buf->size == buf->capacity) {
        uint8_t *grown = realloc(buf->data, buf->size + 1);
        if (!grown) {
            vt_fail(err, VT_E_NOMEM, "no memory for %zu bytes", buf->size + 1);
            return NULL;
        }
        buf->data = grown;
        buf->capacity = buf->size + 1;
    }
    buf->data[buf->size] = '\0';
    return (const char *)buf->data;
}
