/* dicom/charsets.h: the character sets of PS3.3 C.12.1.1.2 as a table. Private to dicom/text.c and its parts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iconv.h>

struct vt_err;

enum { VT_CHARSET_VALUES_MAX = 8 };   /* of (0008,0005) that are looked at */

/* How the bytes of a set lie in its iconv name's bytes. */
enum vt_charset_shape {
    VT_SHAPE_ASCII,
    VT_SHAPE_G1_SINGLE,    /* one byte, 80H and above */
    VT_SHAPE_G1_DOUBLE,    /* two bytes, both 80H and above: EUC as it stands */
    VT_SHAPE_G0_DOUBLE,    /* two bytes below 80H: EUC with the high bits off */
    VT_SHAPE_G0_JIS_0212,  /* the same, 8FH before it in EUC-JP */
    VT_SHAPE_KATAKANA,     /* JIS X 0201 in G1: one byte, 8EH before it in EUC-JP */
    VT_SHAPE_STATELESS,    /* the whole text goes through iconv */
};

struct vt_charset {
    const char *term;      /* without spaces and underscores, without "ISO2022": "IR100" */
    const char *encoding;  /* iconv's name */
    const char *escape;    /* that invokes it; NULL: none */
    enum vt_charset_shape shape;
};

/* The set that a defined term, or a usual misspelling of one, means; NULL: unknown. */
const struct vt_charset *vt_charset_find(const char *term, size_t size);
/* The set that an escape sequence at `bytes` (behind ESC) invokes and the sequence's length; NULL: unknown. */
const struct vt_charset *vt_charset_escaped(const char *bytes, size_t size, size_t *out_length);

/* Values of (0008,0005). The first one that is known is the initial set; none: out_count is 0. */
void vt_charset_list(const char *value, const struct vt_charset *out[static VT_CHARSET_VALUES_MAX],
                     size_t *out_count);

/* This thread's converter, kept until the thread ends; (iconv_t)-1: out of memory or no such encoding, err says. */
iconv_t vt_charset_converter(const char *encoding, bool to_utf8, struct vt_err *err);
