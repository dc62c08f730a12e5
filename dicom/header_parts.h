/* dicom/header_parts.h: what header.c and header_frames.c share. Private to them. */
#pragma once

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
/* Debian's library chooses AVX2 or AVX-512 at run time under other names, which this header puts in the place of the
 * plain ones: 4 to 6 times as fast as SSE2, same digests. */
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

#include "core/err.h"
#include "dicom/header.h"
#include "dicom/inflate.h"
#include "dicom/scan.h"

/* Bytes of the stream that somebody wants: from `from` in the piece being fed, `left` more of them. */
struct vt_tap {
    const uint8_t *from;
    uint64_t left;
};

/* What of it lies before `upto`; moves on behind it. */
static inline size_t vt_tap_take(struct vt_tap *tap, const uint8_t *upto, const uint8_t **out_bytes)
{
    uint64_t there = tap->left > 0 && upto > tap->from ? (uint64_t)(upto - tap->from) : 0;
    size_t taken = (size_t)(there < tap->left ? there : tap->left);

    *out_bytes = tap->from;
    tap->from = taken > 0 ? tap->from + taken : tap->from;
    tap->left -= taken;
    return taken;
}

struct vt_kept {
    uint32_t tag;
    char vr[3];
    bool undefined_length;
    bool here;               /* its value is in the arena; else only its length is known */
    uint64_t length;
    size_t at;               /* in the arena */
};

/* Where frames lie in encapsulated pixel data (header_frames.c). */
struct vt_frame_finder {
    uint64_t expected;       /* NumberOfFrames; 0: not to be looked for */
    uint64_t fragments;      /* seen, without the basic offset table */
    uint64_t base;           /* of the first fragment's item header: offsets in tables count from it */
    struct vt_frame *frames;
    size_t count, capacity;
    uint8_t *table;          /* extended or basic offset table as it came */
    size_t table_size, table_capacity;
    uint8_t table_width;     /* 8 or 4; 0: none */
    bool joining;            /* more fragments than frames: the table, or the start of each fragment, decides */
    bool lost;               /* and it was wrong */
    struct vt_tap table_tap;
    struct vt_frame last;    /* the fragment that is passing by; length 0: none */
    uint8_t start[2];        /* its first bytes */
    uint8_t start_size;
    struct vt_tap start_tap;
};

void vt_frames_reset(struct vt_frame_finder *finder);
void vt_frames_fini(struct vt_frame_finder *finder);
void vt_frames_expect(struct vt_frame_finder *finder, int64_t number_of_frames);
/* A table begins of which `length` bytes follow at `at`; one that cannot be right is not looked at. */
void vt_frames_table(struct vt_frame_finder *finder, uint8_t width, uint64_t length, const uint8_t *at);
bool vt_frames_take(struct vt_frame_finder *finder, const uint8_t *upto, struct vt_err *err);
bool vt_frames_fragment(struct vt_frame_finder *finder, uint64_t offset, uint32_t length, const uint8_t *at,
                        struct vt_err *err);
/* The last fragment is over; behind the last call the frames are what they are. */
bool vt_frames_finish(struct vt_frame_finder *finder, struct vt_err *err);

struct vt_header {
    XXH3_state_t all, pixels;        /* first: they are aligned to 64 bytes */
    struct vt_scan scan;
    enum vt_encoding encoding;       /* as given */
    uint64_t size;                   /* bytes fed */
    struct vt_err failure;           /* code VT_OK: none yet */

    struct vt_kept *kept;
    size_t kept_count, kept_capacity;
    struct vt_kept *long_ones;       /* whose values were too long */
    size_t long_count, long_capacity;
    bool ascending;                  /* so far: then it can be searched by halves */
    uint8_t *arena;
    size_t arena_size, arena_capacity;

    struct vt_tap value;             /* of the element being kept */
    struct vt_tap pixel_bytes;       /* to be digested */
    bool keeping;
    bool in_pixels, has_pixels, encapsulated;
    uint64_t items;                  /* of pixel data */
    uint64_t pixel_offset, pixel_length;
    struct vt_frame_finder frames;
    struct vt_inflater inflater;
};
