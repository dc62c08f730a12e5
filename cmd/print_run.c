#include "cmd/print_run.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/print_images.h"
#include "cmd/printers.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"

enum { SENTENCE_MAX = 320 };

struct picture {
    size_t instance, frame;
};

struct running {
    const struct vt_print_run *run;
    struct vt_print_images *images;
    struct picture *pictures;
    size_t count, room;
    size_t open; /* instance that is, counted from 1; 0: none */
};

static bool read_text(struct vt_dataset *data_set, const char *keyword, char *out, size_t room, struct vt_err *err)
{
    VT_AUTO_BUF(text, 4096);
    bool there = false;

    if (!vt_dataset_get(data_set, keyword, &text, &there, err))
        return false;
    const char *value = there ? vt_buf_string(&text, err) : "";
    snprintf(out, room, "%s", value ? value : "");
    return value != NULL;
}

static bool read_number(struct vt_dataset *data_set, const char *keyword, unsigned long *out, struct vt_err *err)
{
    char text[32];

    if (!read_text(data_set, keyword, text, sizeof text, err))
        return false;
    *out = strtoul(text, NULL, 10);
    return true;
}

static bool add_picture(struct running *running, size_t instance, size_t frame, struct vt_err *err)
{
    if (running->count == VT_PRINT_IMAGES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d images: print less at once", VT_PRINT_IMAGES_MAX);
    if (running->count == running->room) {
        size_t wanted = running->room ? running->room * 2 : 64;
        void *grown = reallocarray(running->pictures, wanted, sizeof *running->pictures);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu images", wanted);
        running->pictures = grown;
        running->room = wanted;
    }
    running->pictures[running->count++] = (struct picture){ instance, frame };
    return true;
}

/* The header alone tells whether there is a picture, and how many frames. */
static bool add_instance(struct running *running, size_t i, struct vt_err *err)
{
    const struct vt_print_run *run = running->run;
    long frame = run->printer->frame;
    unsigned long rows = 0, frames = 0;
    char path[PATH_MAX], sop_class[VT_UID_MAX + 1];

    if (!run->path(run->context, i, path, sizeof path, err))
        return false;
    VT_AUTO(vt_dataset) data_set = vt_dataset_load(path, true, err);
    if (!data_set || !read_text(data_set, "SOPClassUID", sop_class, sizeof sop_class, err) ||
        !read_number(data_set, "Rows", &rows, err) || !read_number(data_set, "NumberOfFrames", &frames, err))
        return false;
    if (strcmp(sop_class, VT_UID_WHOLE_SLIDE) == 0 && frames > 1 && !run->printer->frame_asked) {
        run->left_out(run->context, i, "it is a slide in tiles: print its overview, or name a tile with --frame");
        return true;
    }
    if (rows == 0) {
        run->left_out(run->context, i, "it has no picture");
        return true;
    }
    if (frame > 0)
        return add_picture(running, i, (size_t)frame - 1, err);
    for (size_t n = 0; n < (frames > 0 ? frames : 1); n++)
        if (!add_picture(running, i, n, err))
            return false;
    return true;
}

static void tell(const struct running *running, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(const struct running *running, const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list list;

    va_start(list, format);
    vsnprintf(sentence, sizeof sentence, format, list);
    va_end(list);
    running->run->note(running->run->context, sentence);
}

static bool on_image(void *context, size_t i, struct vt_print_image *out, struct vt_err *err)
{
    struct running *running = context;
    const struct vt_print_run *run = running->run;
    const struct picture *picture = &running->pictures[run->first + i];
    char path[PATH_MAX];
    size_t frames;

    if (running->open != picture->instance + 1) {
        running->open = 0;
        if (!run->path(run->context, picture->instance, path, sizeof path, err) ||
            !vt_print_images_open(running->images, path, &frames, err))
            return vt_fail_context(err, "image %zu", run->first + i + 1);
        running->open = picture->instance + 1;
        if (!vt_print_images_named(running->images))
            tell(running, "image %zu is not one of the presentation state's: it is printed without it", run->first + i + 1);
    }
    return vt_print_images_draw(running->images, picture->frame, out, err) ||
           vt_fail_context(err, "image %zu", run->first + i + 1);
}

static void on_status(void *context, const struct vt_printer_status *status)
{
    const struct vt_print_run *run = ((struct running *)context)->run;

    run->status(run->context, status);
}

static void on_note(void *context, const char *sentence)
{
    const struct vt_print_run *run = ((struct running *)context)->run;

    run->note(run->context, sentence);
}

static bool on_printed(void *context, size_t images)
{
    const struct vt_print_run *run = ((struct running *)context)->run;

    return run->printed(run->context, run->first + images);
}

static bool print(struct running *running, struct vt_err *err)
{
    const struct vt_print_run *run = running->run;

    for (size_t i = 0; i < run->count; i++)
        if (!add_instance(running, i, err))
            return false;
    if (running->count == 0)
        return vt_fail(err, VT_E_NOTFOUND, "there is no picture to print");
    run->counted(run->context, running->count);
    if (running->count <= run->first)
        return true;
    const struct vt_print_job job = { .options = &run->printer->options,
                                      .count = running->count - run->first,
                                      .image = on_image,
                                      .status = on_status,
                                      .note = on_note,
                                      .printed = on_printed,
                                      .context = running };
    running->images = vt_print_images_new(run->printer, err);
    if (running->images && *vt_print_images_left(running->images))
        tell(running, "the presentation state has %s, which films do not show", vt_print_images_left(running->images));
    return running->images && vt_client_print(run->client, &job, err);
}

bool vt_print_run(const struct vt_print_run *run, struct vt_err *err)
{
    struct running running = { .run = run };
    bool ok = print(&running, err);

    vt_print_images_free(running.images);
    free(running.pictures);
    return ok;
}
