/* Pictures (PS3.18 10.4.1.1.3): /rendered of an instance (its first frame) and of a frame, /thumbnail of all levels, as JPEG or PNG;
 * several of them, or one as a part, are wado_pictures.c's.
 * The header Vitrine-Window tells the window that was used and the range of values: "center,width,least,largest". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/accept.h"
#include "console/http_rules.h"
#include "console/instances.h"
#include "console/rendered.h"
#include "console/wado_inside.h"
#include "core/err.h"
#include "dicom/render.h"

enum {
    PREFIX_MAX = 64 << 20,
    FRAME_MAX = 256 << 20,
    PICTURE_MAX = 256 << 20,
    SALT_MAX = 256,
    THUMBNAIL = 128,      /* pixels a side, unless viewport says otherwise */
    TRIES = 8,            /* instances of a study that may have no picture until one has */
};

/* ---- parameters ---- */

static bool number_from(const char **at, double *out)
{
    char *end;

    *out = strtod(*at, &end);
    if (end == *at || !isfinite(*out) || (*end && *end != ','))
        return false;
    *at = *end ? end + 1 : end;
    return true;
}

/* "c,w,linear" */
static bool read_window(const char *text, struct vt_render *out)
{
    static const struct {
        const char *name;
        enum vt_window window;
    } rows[] = { { "linear", VT_WINDOW_LINEAR }, { "linear-exact", VT_WINDOW_LINEAR_EXACT }, { "sigmoid", VT_WINDOW_SIGMOID } };

    if (!text)
        return true;
    if (!number_from(&text, &out->center) || !number_from(&text, &out->width) || !(out->width > 0))
        return false;
    for (size_t i = 0; i < VT_COUNT(rows); i++)
        if (strcmp(text, rows[i].name) == 0 || (i == 0 && !*text)) {
            out->window = rows[i].window;
            return true;
        }
    return false;
}

/* "vw,vh[,sx,sy,sw,sh]"; of the last four any may be empty. */
static bool read_viewport(const char *text, struct vt_render *out)
{
    uint32_t *const fields[] = { &out->columns, &out->rows, &out->x, &out->y, &out->part_columns, &out->part_rows };

    if (!text)
        return true;
    for (size_t i = 0; i < VT_COUNT(fields); i++) {
        double value = 0;
        if (*text == ',' && i >= 2)
            text++;
        else if (*text && (!number_from(&text, &value) || value < 0 || value > UINT16_MAX))
            return false;
        if (i < 2 && value < 1)
            return false;
        *fields[i] = (uint32_t)value;
    }
    return !*text && out->columns <= VT_RENDER_SIDE_MAX && out->rows <= VT_RENDER_SIDE_MAX;
}

static bool read_quality(const char *text, struct vt_render *out)
{
    double value;

    if (!text)
        return true;
    if (!number_from(&text, &value) || *text || value < 1 || value > 100)
        return false;
    out->quality = (unsigned)value;
    return true;
}

static bool read_parameters(const struct vt_request *request, struct vt_render *out, struct vt_err *err)
{
    if (!read_window(vt_request_query(request, "window"), out))
        return vt_fail(err, VT_E_INVALID, "A window is center,width,function: linear, linear-exact or sigmoid.");
    if (!read_viewport(vt_request_query(request, "viewport"), out))
        return vt_fail(err, VT_E_INVALID, "A viewport is width,height and perhaps the part's x,y,width,height, up to %d.",
                       VT_RENDER_SIDE_MAX);
    return read_quality(vt_request_query(request, "quality"), out) ||
           vt_fail(err, VT_E_INVALID, "Quality is 1 to 100.");
}

/* The first range that takes one of both; JPEG where it does not matter. "accept=" of the query may say it for a page's image. */
static bool choose_type(const struct vt_request *request, struct vt_render *out, bool *out_multipart)
{
    const char *said = vt_request_query(request, "accept");
    struct vt_accept accept;

    vt_accept_read(said ? said : vt_request_header(request, "Accept"), &accept);
    for (size_t i = 0; i < accept.count; i++) {
        const struct vt_media_range *range = &accept.ranges[i];
        bool jpeg = vt_media_takes(range, "image/jpeg");
        out->png = !jpeg && vt_media_takes(range, "image/png");
        *out_multipart = range->multipart;
        if (jpeg || out->png)
            return true;
    }
    return false;
}

/* ---- drawing ---- */

bool vt_rendered_draw(const struct vt_frames *frames, struct vt_render *what, struct vt_buf *picture, struct vt_rendered *used,
                      struct vt_err *err)
{
    VT_AUTO_BUF(attributes, PREFIX_MAX);
    VT_AUTO_BUF(pixels, FRAME_MAX);

    if (!vt_frames_attributes(frames, &attributes, err) || !vt_frames_read(frames, what->number, &pixels, err))
        return false;
    what->attributes = attributes.data;
    what->attributes_size = attributes.size;
    what->transfer_syntax = frames->entry.transfer_syntax;
    what->pixels = pixels.data;
    what->pixels_size = pixels.size;
    return vt_render_jpeg(what, picture, used, err);
}

const char *vt_rendered_type(const struct vt_render *what)
{
    return what->png ? "image/png" : "image/jpeg";
}

/* All that a picture depends on, as text. */
static void describe(const struct vt_render *what, char out[SALT_MAX])
{
    snprintf(out, SALT_MAX, "%u %d %.17g %.17g %ux%u %u,%u,%u,%u %u %d", what->number, (int)what->window, what->center, what->width,
             what->columns, what->rows, what->x, what->y, what->part_columns, what->part_rows, what->quality, what->png);
}

static bool answer_picture(struct vt_request *request, const struct vt_frames *frames, struct vt_render *what,
                           struct vt_err *err)
{
    VT_AUTO_BUF(picture, PICTURE_MAX);
    char salt[SALT_MAX], etag[VT_ETAG_MAX];
    struct vt_rendered used;

    describe(what, salt);
    vt_instance_etag(&frames->entry, true, "picture", salt, etag);
    if (vt_etag_is_listed(vt_request_header(request, "If-None-Match"), etag)) {
        vt_answer_header(request, "Cache-Control", "private, max-age=3600");
        return vt_answer_etag(request, etag);
    }
    if (!vt_rendered_draw(frames, what, &picture, &used, err))
        return false;
    vt_answer_header(request, "Cache-Control", "private, max-age=3600");
    vt_answer_etag(request, etag);
    if (used.width > 0)
        vt_answer_header(request, "Vitrine-Window", "%g,%g,%g,%g", used.center, used.width, used.least, used.largest);
    vt_answer_buf(request, 200, vt_rendered_type(what), &picture);
    return true;
}

/* What cannot be drawn is not acceptable as a picture. */
void vt_rendered_failed(struct vt_request *request, const struct vt_err *err)
{
    if (err->code == VT_E_UNSUPPORTED)
        vt_answer_error(request, 406, "No picture of this instance: %s.", err->text);
    else
        vt_answer_err(request, err);
}

bool vt_rendered_begin(struct vt_request *request, struct vt_render *what, bool *out_multipart)
{
    struct vt_err err = { 0 };

    if (!choose_type(request, what, out_multipart))
        vt_answer_error(request, 406, "Pictures are image/jpeg or image/png.");
    else if (!read_parameters(request, what, &err))
        vt_answer_err(request, &err);
    return !vt_answered(request);
}

/* One picture as it is, or as a part. */
static void render(struct vt_request *request, const struct vt_frames *frames, struct vt_render *what, bool multipart)
{
    struct vt_frame_numbers one = { .numbers = multipart ? malloc(sizeof *one.numbers) : NULL, .count = 1 };
    struct vt_err err = { 0 };

    if (one.numbers) {
        *one.numbers = (size_t)what->number + 1;
        vt_rendered_parts(request, what, &one);
    } else if (!answer_picture(request, frames, what, &err)) {
        vt_rendered_failed(request, &err);
    }
}

/* Of the instance that the path names; released by vt_frames_release. */
static const struct vt_frames *frames_of(struct vt_request *request, struct vt_err *err)
{
    const struct vt_console *console = vt_request_context(request);

    return vt_frames_get(console->frames, vt_request_part(request, 0), vt_request_part(request, 1),
                         vt_request_part(request, 2), err);
}

void vt_rendered_instance(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_render what = { 0 };
    struct vt_err err = { 0 };
    bool multipart;

    if (!vt_rendered_begin(request, &what, &multipart))
        return;
    const struct vt_frames *frames = frames_of(request, &err);
    if (frames)
        render(request, frames, &what, multipart);
    else
        vt_rendered_failed(request, &err);
    vt_frames_release(console->frames, frames);
}

/* Of the frames that the path names. */
static void render_frames(struct vt_request *request, struct vt_render what)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_frame_numbers wanted = { 0 };
    struct vt_err err = { 0 };
    bool multipart;

    if (!vt_rendered_begin(request, &what, &multipart))
        return;
    const struct vt_frames *frames = frames_of(request, &err);
    if (!frames || !vt_frame_numbers_read(vt_request_part(request, 3), frames->count, &wanted, &err)) {
        vt_rendered_failed(request, &err);
    } else if (wanted.count > 1) {
        vt_rendered_parts(request, &what, &wanted);
    } else {
        what.number = (uint32_t)(wanted.numbers[0] - 1);
        render(request, frames, &what, multipart);
    }
    vt_frames_release(console->frames, frames);
    free(wanted.numbers);
}

void vt_rendered_frames(struct vt_request *request)
{
    render_frames(request, (struct vt_render){ 0 });
}

void vt_thumbnail_of_frames(struct vt_request *request)
{
    render_frames(request, (struct vt_render){ .columns = THUMBNAIL, .rows = THUMBNAIL });
}

/* ---- thumbnails ---- */

/* Of the instance in the middle, or of one behind it when that has no picture. */
static void thumbnail(struct vt_request *request, unsigned levels)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_render what = { .columns = THUMBNAIL, .rows = THUMBNAIL };
    struct vt_instances instances = { 0 };
    struct vt_err err = { 0 };
    bool multipart;

    if (!vt_rendered_begin(request, &what, &multipart))
        return;
    if (!vt_instances_select(request, levels, &instances, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    for (size_t i = 0; i < TRIES && i < instances.count && !vt_answered(request); i++) {
        const char *uid = instances.uids[(instances.count / 2 + i) % instances.count];
        vt_err_clear(&err);
        const struct vt_frames *frames = vt_frames_get(console->frames, NULL, NULL, uid, &err);
        what.number = frames ? (uint32_t)(frames->count / 2) : 0;
        if (frames)
            answer_picture(request, frames, &what, &err);
        vt_frames_release(console->frames, frames);
    }
    if (!vt_answered(request))
        vt_rendered_failed(request, &err);
    vt_instances_fini(&instances);
}

void vt_thumbnail_of_study(struct vt_request *request)
{
    thumbnail(request, 1);
}

void vt_thumbnail_of_series(struct vt_request *request)
{
    thumbnail(request, 2);
}

void vt_thumbnail_of_instance(struct vt_request *request)
{
    thumbnail(request, 3);
}
