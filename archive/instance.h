/* archive/instance.h: what the archive knows of one instance: identity, place, digests, and the attributes of
 * each level that queries use. Made from a header (dicom/header.h) when it arrives and when it is reindexed, so
 * both give the same rows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "core/buf.h"
#include "dicom/header.h"
#include "dicom/uids.h"

struct vt_err;

enum vt_level { VT_LEVEL_PATIENT, VT_LEVEL_STUDY, VT_LEVEL_SERIES, VT_LEVEL_IMAGE, VT_LEVELS };

const char *vt_level_name(enum vt_level level);                          /* "PATIENT" ... (PS3.4 C.6) */
bool vt_level_parse(const char *text, enum vt_level *out_level);         /* trims, exact case per CS, lower accepted */

enum { VT_ATTRIBUTES_MAX = 256 << 10, VT_FRAMES_BYTES_MAX = 64 << 20, VT_FILE_MAX = 320 };

struct vt_instance {
    char study_uid[VT_UID_MAX + 1];
    char series_uid[VT_UID_MAX + 1];
    char sop_uid[VT_UID_MAX + 1];
    char sop_class[VT_UID_MAX + 1];
    char transfer_syntax[VT_UID_MAX + 1];

    /* The query keys of each level, Explicit VR LE, UTF-8, ascending, (0008,0005) left out, values cut to sensible lengths;
     * study attributes do not repeat the patient's, and so on. */
    struct vt_buf attributes[VT_LEVELS];

    /* The file: relative to the archive's folder. */
    char file[VT_FILE_MAX];
    uint32_t version;             /* 1, 2 ...: which of several arrivals of this UID (duplicate policy) */
    uint64_t file_size;
    uint64_t data_set_offset;     /* size of preamble + group 0002 */
    uint64_t data_set_size;
    bool has_pixels;
    uint64_t pixel_offset;        /* of the value, from the first byte of the data set (of the inflated one if deflated) */
    uint64_t pixel_length;
    struct vt_digest data_set_digest;
    struct vt_digest pixel_digest;
    struct vt_buf frames;         /* vt_frames_encode of encapsulated multi-frame instances, else empty */

    int64_t arrived;              /* wall ns */
    char calling_ae_title[VT_AE_TITLE_MAX + 1];
    char host[48];
};

void vt_instance_init(struct vt_instance *instance);
void vt_instance_fini(struct vt_instance *instance);
void vt_instance_reset(struct vt_instance *instance);   /* keeps the memory */

struct vt_instance_rules {
    const char *default_charset;       /* when (0008,0005) is absent but bytes >= 80H are there; NULL: ISO_IR 100 */
    const char *default_issuer;        /* Issuer of Patient ID when empty; NULL: none */
    const uint32_t *extra_tags;        /* index.extra_tags: vt_archive_open hands them to vt_keys_set_extra */
    size_t extra_count;
    bool lenient_uids;                 /* vt_uid_usable is enough, instead of vt_uid_valid without leading-zero rule */
};

/* Fills identity, attributes, sizes (data_set_size), pixels, digests and frames from a finished header. What the caller knows is not
 * touched (file, version, offset, arrival, transfer syntax). DIMSE status in err: C001 no SOP Instance UID, C002 no Study, C003
 * no Series, C004 bad UID, A900 no SOP class. */
bool vt_instance_read(struct vt_instance *instance, const struct vt_header *header,
                      const struct vt_instance_rules *rules, struct vt_err *err);

/* Frame tables as bytes (delta coded) and back; decode finds frame i (from 0) alone. */
bool vt_frames_encode(const struct vt_frame *frames, size_t count, struct vt_buf *out, struct vt_err *err);
bool vt_frames_count(const uint8_t *bytes, size_t size, size_t *out_count);
bool vt_frames_at(const uint8_t *bytes, size_t size, size_t i, struct vt_frame *out);
