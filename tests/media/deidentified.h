/* tests/media/deidentified.h: data sets written element by element, and what de-identification makes of them. */
#pragma once

#include "media/deidentify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "media/deidentify_inside.h"

enum { DATA_MAX = 64 << 10 };

static inline bool contains(const struct vt_buf *buf, const char *text)
{
    return memmem(buf->data, buf->size, text, strlen(text)) != NULL;
}

static inline void put(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&w, tag, vr, text, &err));
}

static inline void put_mark(struct vt_buf *buf, bool (*mark)(struct vt_writer *w, struct vt_err *err))
{
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(mark(&w, &err));
}

static inline void put_sequence(struct vt_buf *buf, uint32_t tag)
{
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_sequence_begin(&w, tag, &err));
    assert_true(vt_write_item_begin(&w, &err));
}

static inline void end_sequence(struct vt_buf *buf)
{
    put_mark(buf, vt_write_item_end);
    put_mark(buf, vt_write_sequence_end);
}

/* false: err. */
static inline bool run(const char *profile, const struct vt_buf *in, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_deid_words words = { profile, NULL, NULL, "a secret" };
    VT_AUTO(vt_deid) deid = vt_deid_new(&words, err);

    vt_buf_reset(out);
    return deid && vt_deid_run(deid, in->data, in->size, VT_EXPLICIT_LE, out, err);
}

/* Nothing of `words` is in it. */
static inline void assert_gone(const struct vt_buf *out, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (contains(out, words[i]))
            fail_msg("'%s' is still there", words[i]);
}

static inline void value(const struct vt_buf *buf, uint32_t tag, char out[static 65])
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_element_find(buf->data, buf->size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, 65);
    else
        strcpy(out, "(none)");
}

#define EXPECT(tag, text) \
    do { \
        char found[65]; \
        value(&out, tag, found); \
        assert_string_equal(found, text); \
    } while (0)
