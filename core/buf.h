/* core/buf.h: bytes that grow up to a bound.
 *
 * An open record in the caller's storage, one thread at a time. Every append is checked against `limit`,
 * which the one who sets it up must choose: a buffer that a peer fills has a bound with a name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

struct vt_buf {
    uint8_t *data;      /* NULL while capacity is 0 */
    size_t size;        /* bytes in use */
    size_t capacity;
    size_t limit;       /* size never exceeds it */
};

void vt_buf_init(struct vt_buf *buf, size_t limit);
void vt_buf_fini(struct vt_buf *buf);

/* Keeps the memory. */
static inline void vt_buf_reset(struct vt_buf *buf)
{
    buf->size = 0;
}

/* Room for `more` bytes behind size. VT_E_LIMIT, VT_E_NOMEM; unchanged then. */
bool vt_buf_reserve(struct vt_buf *buf, size_t more, struct vt_err *err);
bool vt_buf_append(struct vt_buf *buf, const void *bytes, size_t size, struct vt_err *err);
bool vt_buf_append_byte(struct vt_buf *buf, uint8_t byte, struct vt_err *err);
bool vt_buf_append_text(struct vt_buf *buf, const char *text, struct vt_err *err);
bool vt_buf_printf(struct vt_buf *buf, struct vt_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A zero byte behind size that does not count, so that data is a string. NULL when out of memory. */
const char *vt_buf_string(struct vt_buf *buf, struct vt_err *err);

static inline void vt_buf_auto_fini(struct vt_buf *buf)
{
    vt_buf_fini(buf);
}
/* VT_AUTO_BUF(text, 4096); declares an empty buffer of that limit, released at the end of the scope. */
#define VT_AUTO_BUF(name, bound)                                                                   \
    __attribute__((cleanup(vt_buf_auto_fini))) struct vt_buf name = { NULL, 0, 0, (bound) }

#ifdef __cplusplus
}
#endif
