/* media/slide_residue.h: what is left of a slide file when its tiles are taken out, and where they go back in: the value of
 * a private element of a Raw Data instance. Written here, read by slide_original.c.
 *
 *   "VTSLIDE1"  u64 size of the head, u64 the same compressed, the head as one zstd frame,
 *               then the chunks: the bytes between the holes, VT_RESIDUE_CHUNK each, every one a zstd frame
 *   head:       u64 file size, SHA-256, u16 + name, u32 parts { u8 + SOP Instance UID, u32 bytes of a frame before the tile's },
 *               u64 holes, u64 bytes of residue, u32 chunks { u32 compressed size }, then the holes in file order:
 *               varint bytes since the last hole, varint size * 2 + jump, when jump: varint part, varint frame
 *               (else the same part's next frame)
 *
 * All numbers are little endian. Any byte range of the file needs one chunk and the frames that it touches. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "core/buf.h"
#include "media/slide.h"
#include "media/slide_plan.h"

struct vt_err;
struct vt_slide_spool;

#define VT_RESIDUE_MAGIC "VTSLIDE1"
#define VT_RESIDUE_CREATOR "VITRINE SLIDE"
#define VT_TAG_RESIDUE_CREATOR UINT32_C(0x00290010)
#define VT_TAG_RESIDUE UINT32_C(0x00291001)
#define VT_TAG_RESIDUE_SHA256 UINT32_C(0x00291002)
#define VT_TAG_RESIDUE_SIZE UINT32_C(0x00291003)

enum {
    VT_RESIDUE_CHUNK = 256 << 10,
    VT_RESIDUE_FIXED = 24,                  /* magic and the two sizes */
    VT_RESIDUE_HEAD_MAX = 96 << 20,
    VT_RESIDUE_PARTS_MAX = VT_SLIDE_INSTANCES_MAX,
};

struct vt_residue_hole {
    uint64_t offset;      /* in the file */
    uint64_t before;      /* bytes of residue before it */
    uint32_t size, frame; /* frame of the part, from 0 */
    uint32_t part;
};

struct vt_slide_residue {
    struct vt_buf head;               /* compressed */
    uint64_t head_size;               /* raw */
    struct vt_slide_spool *chunks;
};

/* Goes through the file once more, outside the tiles. Fini in any case. */
bool vt_slide_residue_make(struct vt_slide *slide, const struct vt_slide_plan *plan, const char *folder,
                           struct vt_slide_residue *out, struct vt_err *err);
void vt_slide_residue_fini(struct vt_slide_residue *residue);
/* Bytes of the element's value; VT_E_LIMIT when that does not fit into a DICOM element. */
bool vt_slide_residue_size(const struct vt_slide_residue *residue, uint64_t *out, struct vt_err *err);
