/* media/slide_tiff_entry.h: one entry of a TIFF directory and its values. Private to the walker (slide_tiff.c). One thread: the reader
 * keeps pieces of two tables in front of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_slide_source;

enum { VT_TIFF_WINDOW = 8192 };

/* A piece of the file, so that a table of a million numbers is not read number by number. */
struct vt_tiff_window {
    uint64_t at;
    size_t size;
    uint8_t bytes[VT_TIFF_WINDOW];
};

struct vt_tiff_reader {
    const struct vt_slide_source *source;
    bool big, big_endian;
    struct vt_tiff_window windows[2];
};

struct vt_tiff_entry {
    uint16_t tag, type;
    uint64_t count;     /* 0: not there */
    uint64_t at;        /* of the first value; count values lie inside the file */
};

uint64_t vt_tiff_number(const struct vt_tiff_reader *in, const uint8_t *bytes, size_t width);
/* Bytes of one value; 0: a type that TIFF does not have. */
size_t vt_tiff_width(uint16_t type);
/* Unknown types come with count 0. */
bool vt_tiff_entry_read(struct vt_tiff_reader *in, uint64_t offset, struct vt_tiff_entry *out,
                        struct vt_err *err);
/* The i-th value of an integer type; VT_E_INVALID for others. The second one reads through another window. */
bool vt_tiff_entry_number(struct vt_tiff_reader *in, const struct vt_tiff_entry *entry, uint64_t i,
                          uint64_t *out, struct vt_err *err);
bool vt_tiff_entry_number_2(struct vt_tiff_reader *in, const struct vt_tiff_entry *entry, uint64_t i,
                            uint64_t *out, struct vt_err *err);
/* A RATIONAL; 0 when it is none or divides by zero. */
bool vt_tiff_entry_ratio(struct vt_tiff_reader *in, const struct vt_tiff_entry *entry, double *out,
                         struct vt_err *err);
