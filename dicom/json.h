/* dicom/json.h: encoded data sets to the DICOM JSON model (PS3.18 F), from their bytes: no object is built. For rows of
 * the index and for the metadata of instances, where vt_dataset_json would cost more than all else. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_buf;
struct vt_err;

struct vt_json_rules {
    uint64_t bulk_above;        /* longer binary values and texts become a BulkDataURI; 0: none do */
    const char *bulk_prefix;    /* of the BulkDataURI, the path of tags behind it: "PREFIX/00420011"; NULL: left out */
    const char *charset;        /* of the bytes when they do not name one: NULL as vt_text_to_utf8's fallback */
    bool utf8;                  /* the bytes are UTF-8, whatever they say (rows of the index) */
};

/* The members of one object, without braces: "00080016":{"vr":"UI","Value":["..."]},... appended. *inout_first: no comma
 * before the first one; stays true when nothing was written. Group 0002, group lengths and (0008,0005) are left out:
 * JSON is UTF-8, as vt_json_charset says. Bytes must have passed vt_element_check or be ours. */
bool vt_json_elements(const uint8_t *bytes, size_t size, enum vt_encoding encoding, const struct vt_json_rules *rules,
                      bool *inout_first, struct vt_buf *out, struct vt_err *err);
/* "00080005":{"vr":"CS","Value":["ISO_IR 192"]} */
bool vt_json_charset(bool *inout_first, struct vt_buf *out, struct vt_err *err);
/* A member of one text, number or UI value. */
bool vt_json_text(uint32_t tag, const char *vr, const char *utf8, bool *inout_first, struct vt_buf *out,
                  struct vt_err *err);
bool vt_json_number(uint32_t tag, const char *vr, int64_t value, bool *inout_first, struct vt_buf *out,
                    struct vt_err *err);
/* A BulkDataURI alone: pixel data. */
bool vt_json_bulk(uint32_t tag, const char *vr, const char *uri, bool *inout_first, struct vt_buf *out,
                  struct vt_err *err);
/* A JSON string with its quotes. */
bool vt_json_string(const char *utf8, size_t size, struct vt_buf *out, struct vt_err *err);

#ifdef __cplusplus
}
#endif
