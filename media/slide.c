/* Opening and closing a slide. */
#include "media/slide.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/err.h"
#include "media/slide_open.h"
#include "media/slide_tiff.h"

static const char *const role_names[] = { "level", "thumbnail", "label", "overview" };

const char *vt_slide_role_name(enum vt_slide_role role)
{
    return role_names[role];
}

bool vt_slide_is(const char *path, const uint8_t *head, size_t size)
{
    static const char *const suffixes[] = { ".svs", ".tif", ".tiff", ".btf", ".ndpi", ".scn",
                                            ".mrxs", ".vms", ".svslide", ".bif" };
    const char *dot = strrchr(path, '.');

    if (vt_tiff_is(head, size))
        return true;
    for (size_t i = 0; dot && i < VT_COUNT(suffixes); i++)
        if (strcasecmp(dot, suffixes[i]) == 0)
            return true;
    return false;
}

void vt_slide_free(struct vt_slide *slide)
{
    if (!slide)
        return;
    for (size_t i = 0; i < slide->image_count; i++)
        free(slide->images[i].prefix);
    vt_slide_decode_end(slide);
    vt_foreign_free(slide->foreign);
    vt_tiff_free(slide->tiff);
    if (slide->source.fd >= 0)
        close(slide->source.fd);
    free(slide->icc);
    free(slide->path);
    free(slide);
}

static bool open_file(struct vt_slide *slide, const char *path, struct vt_err *err)
{
    const char *slash = strrchr(path, '/');
    struct stat status;

    slide->path = strdup(path);
    if (!slide->path)
        return vt_fail(err, VT_E_NOMEM, "no memory for a slide");
    snprintf(slide->name, sizeof slide->name, "%s", slash ? slash + 1 : path);
    slide->source.name = slide->name;
    slide->source.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (slide->source.fd < 0 || fstat(slide->source.fd, &status) < 0)
        return vt_fail_errno(err, "%s", path);
    if (!S_ISREG(status.st_mode))
        return vt_fail(err, VT_E_INVALID, "%s is not a file", path);
    slide->source.size = (uint64_t)status.st_size;
    slide->modified = status.st_mtim.tv_sec * VT_NS_PER_S + status.st_mtim.tv_nsec;
    return true;
}

static bool read_icc(struct vt_slide *slide, struct vt_err *err)
{
    const struct vt_tiff_span *icc = &slide->images[0].page->icc;

    if (icc->size < 128)
        return true;
    slide->icc = malloc(icc->size);
    if (!slide->icc)
        return vt_fail(err, VT_E_NOMEM, "no memory for a colour profile");
    slide->icc_size = (size_t)icc->size;
    return vt_slide_read(&slide->source, slide->icc, slide->icc_size, icc->offset, err);
}

static bool has_slide_suffix(const char *name)
{
    uint8_t nothing[1] = { 0 };

    return vt_slide_is(name, nothing, 0);
}

static bool understand(struct vt_slide *slide, const struct vt_slide_options *options,
                       struct vt_err *err)
{
    uint8_t head[16] = { 0 };
    size_t size = slide->source.size < sizeof head ? (size_t)slide->source.size : sizeof head;

    if (size > 0 && !vt_slide_read(&slide->source, head, size, 0, err))
        return false;
    bool tiff = vt_tiff_is(head, size);
    if (options->openslide || (!tiff && has_slide_suffix(slide->name) && size > 0))
        return vt_slide_take_foreign(slide, options, err);
    if (!tiff)
        return vt_fail(err, VT_E_INVALID, "%s is no slide: it is no TIFF file", slide->name);
    slide->tiff = vt_tiff_read(&slide->source, err);
    if (!slide->tiff)
        return false;
    if (vt_slide_take_pages(slide, options, err))
        return slide->foreign || read_icc(slide, err);
    if (err->code != VT_E_UNSUPPORTED)
        return false;
    /* A vendor's own sort of TIFF. */
    struct vt_err why = { 0 };
    if (vt_slide_take_foreign(slide, options, &why)) {
        vt_err_clear(err);
        return true;
    }
    return why.code == VT_E_UNSUPPORTED ? false : (*err = why, false);
}

struct vt_slide *vt_slide_open(const char *path, const struct vt_slide_options *options,
                               struct vt_err *err)
{
    VT_AUTO(vt_slide) slide = calloc(1, sizeof *slide);

    if (!slide) {
        vt_fail(err, VT_E_NOMEM, "no memory for a slide");
        return NULL;
    }
    slide->source.fd = -1;
    if (!open_file(slide, path, err) || !understand(slide, options, err))
        return NULL;
    return vt_take(&slide);
}
