/* console/wado_inside.h: the handlers behind the routes of console/wado.c. */
#pragma once

#include "archive/index.h"
#include "console/http.h"
#include "console/http_rules.h"

void vt_metadata_of_study(struct vt_request *request);
void vt_metadata_of_series(struct vt_request *request);
void vt_metadata_of_instance(struct vt_request *request);
void vt_frames_of_instance(struct vt_request *request);
/* "1,4,7" of an instance with `count` frames; numbers are the caller's to free, also when it fails. */
enum { VT_FRAME_NUMBERS_MAX = 10000 };
struct vt_frame_numbers {
    size_t *numbers; /* from 1 */
    size_t count;
};
bool vt_frame_numbers_read(const char *text, size_t count, struct vt_frame_numbers *out, struct vt_err *err);
void vt_bulkdata_of_instance(struct vt_request *request);
/* console/wado_file.c. Not of the standard: the Part 10 file alone, with ranges, for a browser's download. */
void vt_file_of_instance(struct vt_request *request);
/* The instance as a single part, when it is stored in that transfer syntax ("": any). false: it is not, nothing was answered. */
bool vt_part_of_instance(struct vt_request *request, const char *transfer_syntax);
/* Not of the standard: the slide file as it was imported, put together again, with ranges. */
void vt_original_of_study(struct vt_request *request);
void vt_original_of_instance(struct vt_request *request);
void vt_delete_part(struct vt_request *request);
/* Of the stored data set and what was made of it. weak: the bytes may differ (boundaries). */
void vt_instance_etag(const struct vt_index_entry *entry, bool weak, const char *what, const char *how, char out[VT_ETAG_MAX]);
/* console/capabilities.c */
void vt_capabilities(struct vt_request *request);
/* console/wado_rendered.c */
void vt_rendered_instance(struct vt_request *request);
void vt_rendered_frames(struct vt_request *request);
/* console/wado_pictures.c: all frames of all instances, a part each. */
void vt_rendered_study(struct vt_request *request);
void vt_rendered_series(struct vt_request *request);
void vt_thumbnail_of_frames(struct vt_request *request);
void vt_thumbnail_of_study(struct vt_request *request);
void vt_thumbnail_of_series(struct vt_request *request);
void vt_thumbnail_of_instance(struct vt_request *request);
