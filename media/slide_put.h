/* media/slide_put.h: writing a data set element by element, with one look at the end whether all of it went well. Private to
 * media/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dicom/element.h"

struct vt_slide_put {
    struct vt_writer w;      /* explicit VR little endian */
    struct vt_err *err;
    bool failed;             /* err tells; what follows is not written */
};

void vt_put_text(struct vt_slide_put *put, uint32_t tag, const char *vr, const char *text);
/* Nothing when text is "". */
void vt_put_text_if(struct vt_slide_put *put, uint32_t tag, const char *vr, const char *text);
void vt_put_us(struct vt_slide_put *put, uint32_t tag, uint32_t value);
void vt_put_ul(struct vt_slide_put *put, uint32_t tag, uint64_t value);
void vt_put_float(struct vt_slide_put *put, uint32_t tag, double value);
/* DS of one or two values in at most 16 characters each. */
void vt_put_decimal(struct vt_slide_put *put, uint32_t tag, double value);
void vt_put_decimals(struct vt_slide_put *put, uint32_t tag, double one, double two);
void vt_put_tag(struct vt_slide_put *put, uint32_t tag, uint32_t value);
void vt_put_bytes(struct vt_slide_put *put, uint32_t tag, const char *vr, const void *value, size_t size);
/* A sequence of one item: begin, its elements, end. */
void vt_put_begin(struct vt_slide_put *put, uint32_t tag);
void vt_put_next(struct vt_slide_put *put);     /* a further item */
void vt_put_end(struct vt_slide_put *put);
void vt_put_empty(struct vt_slide_put *put, uint32_t tag);   /* a sequence without items */
void vt_put_code(struct vt_slide_put *put, uint32_t tag, const char *value, const char *scheme,
                 const char *meaning);
