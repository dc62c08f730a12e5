/* console/stow_json.h: what STOW-RS brings as DICOM JSON (PS3.18 10.5.1, F): metadata parts, kept as text, and parts with the
 * values that BulkDataURIs in them name, put aside in an unnamed file of the archive until the request is whole. A part's
 * Content-Location is the URI; a value of several parts has them in their order, or as URI/frames/1, /2 ... One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/json_read.h"

struct vt_archive;
struct vt_err;
struct vt_stow_json;

struct vt_stow_json *vt_stow_json_new(struct vt_archive *archive, struct vt_err *err);
void vt_stow_json_free(struct vt_stow_json *json);
VT_DEFINE_AUTO(vt_stow_json)

/* A part as it comes. VT_E_LIMIT, VT_E_FULL: the request cannot go on. *out_wrong: metadata that cannot be read; err says why. */
bool vt_stow_json_begin(struct vt_stow_json *json, const char *content_type, const char *location, struct vt_err *err);
bool vt_stow_json_bytes(struct vt_stow_json *json, const uint8_t *bytes, size_t size, struct vt_err *err);
bool vt_stow_json_end(struct vt_stow_json *json, bool *out_wrong, struct vt_err *err);

/* The body is whole: instances one after the other. false in *out_more: behind the last. When it fails, `out` says whose fault it
 * was as far as it could be read, and the next one can be asked for. */
bool vt_stow_json_next(struct vt_stow_json *json, struct vt_json_data_set *out, bool *out_more, struct vt_err *err);
/* What it is stored as: the syntax of its pixel data, by the media types of their parts, else Explicit VR Little Endian. The error's
 * DIMSE status is for the answer. */
bool vt_stow_json_syntax(struct vt_stow_json *json, const struct vt_json_data_set *data_set, char out[VT_UID_MAX + 1],
                         struct vt_err *err);
/* Its bytes in that syntax, values from the parts among them, in pieces. `take` has the type of vt_receive_write. */
bool vt_stow_json_write(struct vt_stow_json *json, const struct vt_json_data_set *data_set, const char *transfer_syntax,
                        bool (*take)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err), void *context,
                        struct vt_err *err);
