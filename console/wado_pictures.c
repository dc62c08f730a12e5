/* Several pictures in one answer (PS3.18 10.4.1.1.3): /rendered of a study and of a series, all frames of all instances, and of a list
 * of frames: a part each, drawn when its turn comes. Instances without a picture are left out. */
#include <stdlib.h>
#include <string.h>

#include "console/instances.h"
#include "console/multipart.h"
#include "console/rendered.h"
#include "core/err.h"

enum { PICTURE_MAX = 256 << 20 };

struct pictures {
    const struct vt_console *console;
    struct vt_render what;
    struct vt_instances instances;
    struct vt_frame_numbers numbers; /* of the one instance; else all frames of each */
    size_t instance, next;           /* whose turn it is */
    struct vt_boundary boundary;
    struct vt_buf part;              /* under way, with what stands before it */
    size_t sent;
    bool ended;
};

static void pictures_free(void *state)
{
    struct pictures *p = state;

    vt_instances_fini(&p->instances);
    free(p->numbers.numbers);
    vt_buf_fini(&p->part);
    free(p);
}

/* The frame whose turn it is, from 0; false: the instance has no more. */
static bool next_number(struct pictures *p, const struct vt_frames *frames, uint32_t *out)
{
    size_t count = p->numbers.numbers ? p->numbers.count : frames->count;

    if (p->next == count)
        return false;
    *out = (uint32_t)(p->numbers.numbers ? p->numbers.numbers[p->next] - 1 : p->next);
    p->next++;
    return true;
}

/* Without a picture, or deleted meanwhile. */
static bool is_skipped(const struct vt_err *err)
{
    return err->code == VT_E_NOTFOUND || err->code == VT_E_UNSUPPORTED;
}

static bool draw_part(struct pictures *p, const struct vt_frames *frames, struct vt_err *err)
{
    VT_AUTO_BUF(picture, PICTURE_MAX);
    struct vt_rendered used;

    return vt_rendered_draw(frames, &p->what, &picture, &used, err) &&
           vt_boundary_part(&p->boundary, vt_rendered_type(&p->what), NULL, &p->part, err) &&
           vt_buf_append(&p->part, picture.data, picture.size, err);
}

/* The next part, or the end of the answer; *drawn: it is a picture. */
static bool next_part(struct pictures *p, bool *drawn, struct vt_err *err)
{
    *drawn = false;
    vt_buf_reset(&p->part);
    p->sent = 0;
    while (p->instance < p->instances.count && !*drawn) {
        const char *uid = p->instances.uids[p->instance];
        const struct vt_frames *frames = vt_frames_get(p->console->frames, NULL, NULL, uid, err);
        bool more = frames && next_number(p, frames, &p->what.number);
        *drawn = more && draw_part(p, frames, err);
        vt_frames_release(p->console->frames, frames);
        if (vt_failed(err) && (!is_skipped(err) || p->instances.count == 1))
            return false;
        if (vt_failed(err) || !more) {
            vt_err_clear(err);
            p->instance++;
            p->next = 0;
        }
    }
    p->ended = !*drawn;
    return *drawn || vt_boundary_end(&p->boundary, &p->part, err);
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    struct pictures *p = state;
    struct vt_err err = { 0 };
    bool drawn;

    (void)position;
    while (p->sent == p->part.size)
        if (p->ended)
            return 0;
        else if (!next_part(p, &drawn, &err))
            return -1;
    size_t left = p->part.size - p->sent;
    size = size < left ? size : left;
    memcpy(bytes, p->part.data + p->sent, size);
    p->sent += size;
    return (ptrdiff_t)size;
}

/* The first picture is drawn while a status can still be told. */
static void answer(struct vt_request *request, struct pictures *p)
{
    struct vt_err err = { 0 };
    char type[256];
    bool drawn = false;

    if (!next_part(p, &drawn, &err)) {
        vt_rendered_failed(request, &err);
        pictures_free(p);
    } else if (!drawn) {
        vt_answer_error(request, 404, "Nothing of this can be drawn.");
        pictures_free(p);
    } else {
        vt_boundary_type(&p->boundary, vt_rendered_type(&p->what), type, sizeof type);
        vt_answer_header(request, "Cache-Control", "private, no-cache");
        vt_answer_stream(request, 200, type, UINT64_MAX, pull, p, pictures_free);
    }
}

static struct pictures *pictures_new(const struct vt_request *request, const struct vt_render *what)
{
    struct pictures *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->console = vt_request_context(request);
    p->what = *what;
    vt_boundary_new(&p->boundary);
    vt_buf_init(&p->part, PICTURE_MAX + VT_PART_HEADERS_MAX);
    return p;
}

void vt_rendered_parts(struct vt_request *request, const struct vt_render *what, struct vt_frame_numbers *numbers)
{
    struct pictures *p = pictures_new(request, what);
    struct vt_err err = { 0 };

    if (!p) {
        free(vt_take(&numbers->numbers));
        return;
    }
    p->numbers.count = numbers->count;
    p->numbers.numbers = vt_take(&numbers->numbers);
    if (vt_instances_select(request, 3, &p->instances, &err)) {
        answer(request, p);
        return;
    }
    vt_answer_err(request, &err);
    pictures_free(p);
}

static void render_all(struct vt_request *request, unsigned levels)
{
    struct vt_render what = { 0 };
    struct vt_err err = { 0 };
    bool multipart;

    if (!vt_rendered_begin(request, &what, &multipart))
        return;
    struct pictures *p = pictures_new(request, &what);
    if (!p)
        return;
    if (vt_instances_select(request, levels, &p->instances, &err)) {
        answer(request, p);
        return;
    }
    vt_answer_err(request, &err);
    pictures_free(p);
}

void vt_rendered_study(struct vt_request *request)
{
    render_all(request, 1);
}

void vt_rendered_series(struct vt_request *request)
{
    render_all(request, 2);
}
