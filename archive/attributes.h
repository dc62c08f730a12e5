/* archive/attributes.h: the attributes of a level as bytes: Explicit VR LE, UTF-8, ascending,
 * sequences and items with defined lengths. Made by vt_instance_read, kept in the index, read by
 * matching and answers: a flat walk without allocations. Damaged bytes end a walk early, never run
 * past the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_buf;

struct vt_attribute {
    uint32_t tag;
    char vr[3];
    const uint8_t *value; /* borrowed */
    size_t size;          /* padding included */
};

struct vt_attributes {
    const uint8_t *at;
    const uint8_t *end;
};

void vt_attributes_begin(struct vt_attributes *walk, const uint8_t *bytes, size_t size);
bool vt_attributes_next(struct vt_attributes *walk, struct vt_attribute *out);
/* The next item of a sequence's value; its elements are walked over by a vt_attributes of its own.
 */
bool vt_attributes_next_item(struct vt_attributes *walk, struct vt_attributes *out_item);
bool vt_attributes_find(const uint8_t *bytes, size_t size, uint32_t tag, struct vt_attribute *out);

/* Without trailing spaces and zeros, without leading spaces. */
void vt_attribute_trim(const uint8_t *value, size_t size, const char **out_text, size_t *out_size);
/* Trimmed text of the element, cut at a character to room - 1; "" when it is not there. */
void vt_attributes_text(const uint8_t *bytes, size_t size, uint32_t tag, char *out, size_t room);
/* The largest size <= max at which UTF-8 may be cut. */
size_t vt_utf8_cut(const char *text, size_t size, size_t max);

/* Appends an element; pads to even. */
bool vt_attributes_append(struct vt_buf *buf, uint32_t tag, const char *vr, const void *value,
                          size_t size, struct vt_err *err);
/* Sequences: begin notes where the length goes, end fills it in. */
bool vt_attributes_sequence_begin(struct vt_buf *buf, uint32_t tag, size_t *out_mark,
                                  struct vt_err *err);
bool vt_attributes_item_begin(struct vt_buf *buf, size_t *out_mark, struct vt_err *err);
void vt_attributes_close(struct vt_buf *buf, size_t mark);

/* Elements of both; where both have one, the newer. Appends. */
bool vt_attributes_merge(const uint8_t *newer, size_t newer_size, const uint8_t *older,
                         size_t older_size, struct vt_buf *out, struct vt_err *err);
