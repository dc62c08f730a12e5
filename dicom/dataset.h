/* dicom/dataset.h: a data set as an object, for all that is not on the hot path: the client toolbox, samples,
 * JSON, transcoding. DCMTK inside, none of it outside. What comes from the network or from files is checked
 * raw first (dicom/element.h), here, so callers need not. Text in and out is UTF-8. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/tags.h"
#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_buf;
struct vt_dataset;

struct vt_dataset *vt_dataset_new(void);   /* empty, UTF-8; NULL when out of memory */
void vt_dataset_free(struct vt_dataset *data_set);
VT_DEFINE_AUTO(vt_dataset)

struct vt_dataset *vt_dataset_parse(const uint8_t *bytes, size_t size, const char *transfer_syntax_uid,
                                    struct vt_err *err);
/* A Part 10 file. header_only: stops before pixel data. Large values stay in the file until asked for. */
struct vt_dataset *vt_dataset_load(const char *path, bool header_only, struct vt_err *err);

/* Appends the data set, without group 0002. Uncompressed syntaxes for uncompressed data; an encapsulated one only
 * when the data set came in it or was transcoded to it. */
bool vt_dataset_encode(struct vt_dataset *data_set, const char *transfer_syntax_uid, struct vt_buf *out,
                       struct vt_err *err);
/* Part 10, to a file that must not be there. */
bool vt_dataset_save(struct vt_dataset *data_set, const char *path, const char *transfer_syntax_uid, struct vt_err *err);

/* `path` is tags or keywords with items: "PatientName", "RequestAttributesSequence[0].ScheduledProcedureStepID".
 * get: all values with backslashes, "" when there is none; appended. put makes sequences and items. */
bool vt_dataset_get(struct vt_dataset *data_set, const char *path, struct vt_buf *out, bool *out_there, struct vt_err *err);
bool vt_dataset_put(struct vt_dataset *data_set, const char *path, const char *utf8, struct vt_err *err);
bool vt_dataset_put_bytes(struct vt_dataset *data_set, uint32_t tag, const char *vr, const void *value, size_t size,
                          struct vt_err *err);
bool vt_dataset_remove(struct vt_dataset *data_set, const char *path, struct vt_err *err);
/* Fragments become the (encapsulated) pixel data, one a frame, with a basic offset table. */
bool vt_dataset_put_frames(struct vt_dataset *data_set, const char *transfer_syntax_uid, const void *const frames[],
                           const size_t sizes[], size_t count, struct vt_err *err);

/* DICOM JSON model (PS3.18 F), one object. Values longer than `bulk_above` bytes: BulkDataURI made of
 * `bulk_prefix` + tag path, or left out when the prefix is NULL. */
bool vt_dataset_json(struct vt_dataset *data_set, uint64_t bulk_above, const char *bulk_prefix, struct vt_buf *out,
                     struct vt_err *err);

/* In place, lossless both ways only: uncompressed <-> uncompressed (any encoding), JPEG/JPEG-LS/RLE/JPEG 2000 decoded,
 * RLE, JPEG lossless, JPEG-LS lossless and JPEG 2000 lossless encoded. VT_E_UNSUPPORTED names what cannot be. */
bool vt_dataset_transcode(struct vt_dataset *data_set, const char *transfer_syntax_uid, struct vt_err *err);
/* JPEG baseline (8 bits) and JPEG 2000 as well: then the data set becomes a derived instance (PS3.3 C.7.6.1.1.5)
 * with a SOP Instance UID of its own, always the same one for the same source and syntax, and says what was lost. */
bool vt_dataset_transcode_lossy(struct vt_dataset *data_set, const char *transfer_syntax_uid, struct vt_err *err);
/* How vt_dataset_transcode(_lossy) can bring `stored` to `to`: 0 not at all, else the more the better. Lossy ones
 * only when allowed. Pure. */
unsigned vt_transcode_rank(const char *stored, const char *to, bool lossy);

/* Do two files show the same pixels when decoded, frame by frame in bounded memory? VT_E_UNSUPPORTED: one of
 * them cannot be decoded here, or is lossy. */
bool vt_pixels_equal(const char *path_a, const char *path_b, bool *out_equal, struct vt_err *err);

#ifdef __cplusplus
}
#endif
