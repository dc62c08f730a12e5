/* tests/dicom/request_bytes.h: A-ASSOCIATE-RQs by hand, lawful until a test bends them. Included by
 * test programs. */
#pragma once

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "dicom/wire.h"

enum { REQUEST_ROOM = 512 << 10 };

struct request_bytes {
    uint8_t bytes[REQUEST_ROOM];
    size_t size;
    size_t user_at; /* of the open user information item; 0: none */
};

static inline void rb_title(struct request_bytes *rb, size_t at, const char *title)
{
    memset(rb->bytes + at, ' ', 16);
    memcpy(rb->bytes + at, title, strlen(title));
}

static inline void rb_finish(struct request_bytes *rb)
{
    if (rb->user_at)
        vt_put_be16(rb->bytes + rb->user_at + 2, (uint16_t)(rb->size - rb->user_at - 4));
    vt_put_be32(rb->bytes + 2, (uint32_t)rb->size - 6);
}

static inline void rb_item(struct request_bytes *rb, uint8_t type, const void *value, size_t size)
{
    uint8_t *p = rb->bytes + rb->size;

    assert(rb->size + size + 4 <= sizeof rb->bytes);
    p[0] = type;
    p[1] = 0;
    vt_put_be16(p + 2, (uint16_t)size);
    memcpy(p + 4, value, size);
    rb->size += 4 + size;
    rb_finish(rb);
}

static inline void rb_text(struct request_bytes *rb, uint8_t type, const char *text)
{
    rb_item(rb, type, text, strlen(text));
}

static inline void rb_start(struct request_bytes *rb, const char *calling, const char *called)
{
    memset(rb->bytes, 0, 74);
    rb->bytes[0] = 1;
    vt_put_be16(rb->bytes + 6, 1);
    rb_title(rb, 10, called);
    rb_title(rb, 26, calling);
    rb->size = 74;
    rb->user_at = 0;
    rb_text(rb, 0x10, "1.2.840.10008.3.1.1.1");
}

static inline void rb_context(struct request_bytes *rb, uint8_t id, const char *abstract_syntax,
                              const char *const *syntaxes, size_t count)
{
    size_t at = rb->size;

    memset(rb->bytes + at, 0, 8);
    rb->bytes[at] = 0x20;
    rb->bytes[at + 4] = id;
    rb->size += 8;
    if (abstract_syntax)
        rb_text(rb, 0x30, abstract_syntax);
    for (size_t i = 0; i < count; i++)
        rb_text(rb, 0x40, syntaxes[i]);
    vt_put_be16(rb->bytes + at + 2, (uint16_t)(rb->size - at - 4));
}

/* Everything appended from here on is user information. */
static inline void rb_user(struct request_bytes *rb, uint32_t max_length)
{
    uint8_t length[4];

    rb->user_at = rb->size;
    memset(rb->bytes + rb->size, 0, 4);
    rb->bytes[rb->size] = 0x50;
    rb->size += 4;
    vt_put_be32(length, max_length);
    rb_item(rb, 0x51, length, 4);
    rb_text(rb, 0x52, "1.2.3.4");
}

static const char *const rb_implicit[] = { "1.2.840.10008.1.2" };

static inline void rb_simple(struct request_bytes *rb, const char *abstract_syntax)
{
    rb_start(rb, "TEST", "VITRINE");
    rb_context(rb, 1, abstract_syntax, rb_implicit, 1);
    rb_user(rb, 16384);
}
