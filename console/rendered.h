/* console/rendered.h: what pictures of one frame (wado_rendered.c) and of many (wado_pictures.c) share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "console/wado_inside.h"
#include "dicom/render.h"

struct vt_buf;
struct vt_err;
struct vt_frames;

/* Media type, window, viewport and quality of the request. *out_multipart: parts are asked for. false: answered. */
bool vt_rendered_begin(struct vt_request *request, struct vt_render *out, bool *out_multipart);
/* Frame out->number of the instance, into `picture`. */
bool vt_rendered_draw(const struct vt_frames *frames, struct vt_render *what, struct vt_buf *picture, struct vt_rendered *used,
                      struct vt_err *err);
const char *vt_rendered_type(const struct vt_render *what);
/* 406 for what cannot be drawn. */
void vt_rendered_failed(struct vt_request *request, const struct vt_err *err);
/* Those frames of the instance that the path names, in this order, a part each; takes the numbers. NULL: all of them. */
void vt_rendered_parts(struct vt_request *request, const struct vt_render *what, struct vt_frame_numbers *numbers);
