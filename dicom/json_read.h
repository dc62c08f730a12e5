/* dicom/json_read.h: data sets out of the DICOM JSON model (PS3.18 F), as bytes in Explicit VR Little Endian with texts in UTF-8.
 * Values that stand elsewhere (BulkDataURI) leave a gap each, which the caller fills on the way out. Everything in the text
 * is a stranger's: depth, counts and sizes are bounded, what does not fit its VR is refused with the tag's name. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "core/buf.h"
#include "dicom/json_tree.h"
#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

enum {
    VT_JSON_DATA_SETS_MAX = 100000, /* in one array */
    VT_JSON_ELEMENTS_MAX = 200000,  /* of a data set, nested ones included */
    VT_JSON_SEQUENCES_MAX = 32,     /* in each other */
    VT_JSON_BYTES_MAX = 64 << 20,   /* of a data set without what stands elsewhere */
};

/* Here, before bytes.data + at, stands an element of which only tag and VR are known. */
struct vt_json_gap {
    size_t at;
    uint32_t tag;
    char vr[3];
    bool nested;     /* in an item of a sequence */
    size_t uri;      /* in uris, as a string */
};

struct vt_json_data_set {
    struct vt_buf bytes;
    struct vt_json_gap *gaps; /* in the order of the bytes */
    size_t gap_count, gap_room;
    struct vt_buf uris;

    char sop_class_uid[VT_UID_MAX + 1], sop_instance_uid[VT_UID_MAX + 1], study_uid[VT_UID_MAX + 1];
    char transfer_syntax_uid[VT_UID_MAX + 1]; /* (0002,0010), "" without */
    uint32_t frames;                          /* (0028,0008), 1 without */
    bool has_pixels;                          /* pixel data are among the bytes */
};

/* The data sets of a text: one object, or an array of objects; each one's node to out_nodes. false: VT_E_INVALID, VT_E_LIMIT. */
bool vt_json_data_sets(const struct vt_json_tree *tree, uint32_t **out_nodes, size_t *out_count, struct vt_err *err);

/* One of them. When it fails, the UIDs are there as far as they could be read. Init first; may be read into again. */
void vt_json_data_set_init(struct vt_json_data_set *data_set);
void vt_json_data_set_fini(struct vt_json_data_set *data_set);
bool vt_json_data_set_read(const struct vt_json_tree *tree, uint32_t node, struct vt_json_data_set *out, struct vt_err *err);
/* An attribute more, where its tag belongs, unless it is there. */
bool vt_json_data_set_add(struct vt_json_data_set *data_set, uint32_t tag, const char *vr, const void *value, size_t size,
                          struct vt_err *err);

#ifdef __cplusplus
}
#endif
