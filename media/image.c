#include "media/image.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"
#include "core/io.h"
#include "media/slide_pipe.h"

struct vt_image {
    char path[PATH_MAX];           /* fixed, as fd is */
    int fd;
    struct vt_slide_pipe *pipe;
    uint64_t size;                 /* the caller's */
    uint64_t written, told;        /* of the thread that writes */
};

static bool take(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_image *image = context;

    if (!vt_io_pwrite(image->fd, bytes, size, image->written, image->path, err))
        return false;
    image->written += size;
    uint64_t fresh = image->written - image->told;
    if (fresh >= VT_IMAGE_TOLD) {
        /* Only a hint: what goes wrong here the sync at the end says. */
        sync_file_range(image->fd, (off64_t)image->told, (off64_t)fresh, SYNC_FILE_RANGE_WRITE);
        image->told = image->written;
    }
    return true;
}

struct vt_image *vt_image_new(const char *path, struct vt_err *err)
{
    VT_AUTO(vt_image) image = calloc(1, sizeof *image);

    if (!image) {
        vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
        return NULL;
    }
    const struct vt_slide_taker taker = { take, image };
    snprintf(image->path, sizeof image->path, "%s", path);
    image->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (image->fd < 0) {
        vt_fail_errno(err, "%s", path);
        return NULL;
    }
    if (!(image->pipe = vt_slide_pipe_new(&taker, 1, err))) {
        unlink(path);
        return NULL;
    }
    return vt_take(&image);
}

void vt_image_free(struct vt_image *image)
{
    if (!image)
        return;
    vt_slide_pipe_free(image->pipe);
    if (image->fd >= 0)
        close(image->fd);
    free(image);
}

bool vt_image_write(struct vt_image *image, const void *bytes, size_t size, struct vt_err *err)
{
    if (!vt_slide_pipe_write(image->pipe, bytes, size, err))
        return false;
    image->size += size;
    return true;
}

bool vt_image_fill(struct vt_image *image, uint64_t size, struct vt_err *err)
{
    static const uint8_t zeros[4096];

    while (size > 0) {
        size_t part = size < sizeof zeros ? (size_t)size : sizeof zeros;
        if (!vt_image_write(image, zeros, part, err))
            return false;
        size -= part;
    }
    return true;
}

uint64_t vt_image_size(const struct vt_image *image)
{
    return image->size;
}

bool vt_image_replace(struct vt_image *image, uint64_t offset, const void *bytes, size_t size, struct vt_err *err)
{
    return vt_slide_pipe_drain(image->pipe, err) && vt_io_pwrite(image->fd, bytes, size, offset, image->path, err);
}

bool vt_image_sync(struct vt_image *image, struct vt_err *err)
{
    return vt_slide_pipe_drain(image->pipe, err) &&
           (fsync(image->fd) == 0 || vt_fail_errno(err, "%s", image->path));
}
