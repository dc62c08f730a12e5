/* media/export_inside.h: what the files of an export share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "dicom/transcode.h"
#include "media/directory.h"
#include "media/export.h"
#include "media/medium.h"

struct vt_deid;
struct vt_header;
struct vt_index_entry;

enum {
    VT_EXPORT_BLOCK = 1 << 20,
    VT_EXPORT_SECTOR = 2048,
    VT_EXPORT_SYNTAXES_MAX = 4,
    VT_EXPORT_MEDIUM_OVERHEAD = 512 << 10,   /* what a medium needs beside its files */
    VT_EXPORT_RECORD_OVERHEAD = 3072,        /* of each instance: its records, its line of checksums, its folders */
    VT_EXPORT_ICON_OVERHEAD = 4608,
    VT_EXPORT_FRAME_MAX = 64 << 20,          /* of a stored frame that an icon is made of */
};

struct vt_export_profile {
    const char *name;
    const char *syntaxes[VT_EXPORT_SYNTAXES_MAX];   /* the first is what others are transcoded to */
};

struct vt_exporting {
    const struct vt_export_call *call;
    const struct vt_export_profile *profile;
    enum vt_medium_form form;
    struct vt_medium *media[VT_EXPORT_MEDIA_MAX];
    uint64_t counts[VT_EXPORT_MEDIA_MAX];   /* instances of each */
    size_t media_count;
    struct vt_directory *directory;         /* of the last medium */
    uint64_t used;                          /* bytes of the last medium */
    uint64_t viewer_bytes;                  /* of the viewer, on each medium */
    struct vt_header *header;
    struct vt_transcoded other;
    struct vt_deid *deid;                   /* NULL: as it is */
    struct vt_buf attributes, clean, frame, icon;
    uint8_t *block;
    struct vt_export_result result;
};

/* ---- media/export.c ---- */

/* Room for a file of that size: the last medium, or a new one. */
bool vt_export_make_room(struct vt_exporting *exporting, uint64_t size, struct vt_err *err);

/* ---- media/export_instance.c ---- */

/* *out_fatal: the medium failed, not the instance. *out_left: it was left out by rule. */
bool vt_export_instance(struct vt_exporting *exporting, const struct vt_index_entry *entry, bool *out_fatal, bool *out_left,
                        struct vt_err *err);
/* A row of the answer; false stops. */
bool vt_export_say(const struct vt_exporting *exporting, const char *result, const char *sop_uid, const char *text,
                   struct vt_err *err);

/* ---- media/export_viewer.c ---- */

/* Bytes of the folder's files. VT_E_INVALID: a name that does not fit, too many. */
bool vt_export_viewer_size(const char *folder, uint64_t *out_bytes, struct vt_err *err);
bool vt_export_viewer_copy(const char *folder, struct vt_medium *medium, uint8_t *block, struct vt_err *err);
