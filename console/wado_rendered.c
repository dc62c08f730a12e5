/* Pictures (PS3.18 10.4.1.1.3): /rendered of an instance (its first frame) and of a frame, /thumbnail of all levels, as JPEG.
 * The header Vitrine-Window tells the window that was used and the range of values: "center,width,least,largest". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/accept.h"
#include "console/instances.h"
#include "console/wado_inside.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/render.h"

enum {
    PREFIX_MAX = 64 << 20,
    FRAME_MAX = 256 << 20,
    JPEG_MAX = 256 << 20,
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

static bool takes_jpeg(const struct vt_request *request)
{
    struct vt_accept accept;

    vt_accept_read(vt_request_header(request, "Accept"), &accept);
    for (size_t i = 0; i < accept.count; i++)
        if (!accept.ranges[i].multipart && vt_media_takes(&accept.ranges[i], "image/jpeg"))
            return true;
    return false;
}

/* ---- drawing ---- */

static bool read_attributes(const struct vt_frames *frames, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(frames->entry.transfer_syntax);
    uint64_t header = syntax && syntax->encoding == VT_IMPLICIT_LE ? 8 : 12;

    if (frames->entry.pixel_offset < header || frames->entry.pixel_offset > PREFIX_MAX)
        return vt_fail(err, VT_E_LIMIT, "its attributes are too long to be read");
    size_t size = (size_t)(frames->entry.pixel_offset - header);
    if (!vt_buf_reserve(out, size, err) ||
        !vt_io_pread(frames->fd, out->data, size, frames->entry.data_set_offset, frames->entry.file, err))
        return false;
    out->size = size;
    return true;
}

static bool draw(const struct vt_frames *frames, struct vt_render *what, struct vt_buf *jpeg, struct vt_rendered *used,
                 struct vt_err *err)
{
    VT_AUTO_BUF(attributes, PREFIX_MAX);
    VT_AUTO_BUF(pixels, FRAME_MAX);

    if (!read_attributes(frames, &attributes, err) || !vt_frames_read(frames, what->number, &pixels, err))
        return false;
    what->attributes = attributes.data;
    what->attributes_size = attributes.size;
    what->transfer_syntax = frames->entry.transfer_syntax;
    what->pixels = pixels.data;
    what->pixels_size = pixels.size;
    return vt_render_jpeg(what, jpeg, used, err);
}

static bool answer_picture(struct vt_request *request, const struct vt_frames *frames, struct vt_render *what,
                           struct vt_err *err)
{
    VT_AUTO_BUF(jpeg, JPEG_MAX);
    struct vt_rendered used;

    if (!draw(frames, what, &jpeg, &used, err))
        return false;
    vt_answer_header(request, "Cache-Control", "private, max-age=3600");
    if (used.width > 0)
        vt_answer_header(request, "Vitrine-Window", "%g,%g,%g,%g", used.center, used.width, used.least, used.largest);
    vt_answer_buf(request, 200, "image/jpeg", &jpeg);
    return true;
}

/* What cannot be drawn is not acceptable as a picture. */
static void answer_failure(struct vt_request *request, const struct vt_err *err)
{
    if (err->code == VT_E_UNSUPPORTED)
        vt_answer_error(request, 406, "No picture of this instance: %s.", err->text);
    else
        vt_answer_err(request, err);
}

static bool begin(struct vt_request *request, struct vt_render *what)
{
    struct vt_err err = { 0 };

    if (!takes_jpeg(request))
        vt_answer_error(request, 406, "Pictures are image/jpeg.");
    else if (!read_parameters(request, what, &err))
        vt_answer_err(request, &err);
    return !vt_answered(request);
}

static void render(struct vt_request *request, struct vt_render *what)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err err = { 0 };

    if (!begin(request, what))
        return;
    const struct vt_frames *frames = vt_frames_get(console->frames, vt_request_part(request, 0),
                                                   vt_request_part(request, 1), vt_request_part(request, 2), &err);
    if (!frames || !answer_picture(request, frames, what, &err))
        answer_failure(request, &err);
    vt_frames_release(console->frames, frames);
}

void vt_rendered_instance(struct vt_request *request)
{
    struct vt_render what = { 0 };

    render(request, &what);
}

void vt_rendered_frame(struct vt_request *request)
{
    const char *text = vt_request_part(request, 3);
    struct vt_render what = { 0 };
    char *end;
    unsigned long long number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;

    if (number == 0 || number > UINT32_MAX || *end) {
        vt_answer_error(request, 400, "A rendered frame is one number from 1.");
        return;
    }
    what.number = (uint32_t)(number - 1);
    render(request, &what);
}

/* ---- thumbnails ---- */

/* Of the instance in the middle, or of one behind it when that has no picture. */
static void thumbnail(struct vt_request *request, unsigned levels)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_render what = { .columns = THUMBNAIL, .rows = THUMBNAIL };
    struct vt_instances instances = { 0 };
    struct vt_err err = { 0 };

    if (!begin(request, &what))
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
        answer_failure(request, &err);
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
