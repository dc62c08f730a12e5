/* console/wado_inside.h: the handlers behind the routes of console/wado.c. */
#pragma once

#include "console/http.h"

void vt_metadata_of_study(struct vt_request *request);
void vt_metadata_of_series(struct vt_request *request);
void vt_metadata_of_instance(struct vt_request *request);
void vt_frames_of_instance(struct vt_request *request);
void vt_bulkdata_of_instance(struct vt_request *request);
/* Not of the standard: the Part 10 file alone, with ranges, for a browser's download. */
void vt_file_of_instance(struct vt_request *request);
/* console/wado_rendered.c */
void vt_rendered_instance(struct vt_request *request);
void vt_rendered_frame(struct vt_request *request);
void vt_thumbnail_of_study(struct vt_request *request);
void vt_thumbnail_of_series(struct vt_request *request);
void vt_thumbnail_of_instance(struct vt_request *request);
