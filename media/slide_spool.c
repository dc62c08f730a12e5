#include "media/slide_spool.h"

#include <fcntl.h>
#include <string.h>

#include "core/err.h"
#include "core/io.h"

enum { BUFFER = 128 << 10 };

struct vt_slide_spool {
    int fd;
    uint64_t written;      /* bytes in the file */
    size_t used;
    uint8_t buffer[BUFFER];
};

struct vt_slide_spool *vt_slide_spool_new(const char *folder, struct vt_err *err)
{
    VT_AUTO(vt_slide_spool) spool = malloc(sizeof *spool);

    if (!spool) {
        vt_fail(err, VT_E_NOMEM, "no memory for a slide");
        return NULL;
    }
    spool->written = spool->used = 0;
    spool->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0) {
        vt_fail_errno(err, "a temporary file in %s", folder);
        return NULL;
    }
    return vt_take(&spool);
}

void vt_slide_spool_free(struct vt_slide_spool *spool)
{
    if (spool && spool->fd >= 0)
        close(spool->fd);
    free(spool);
}

static bool flush(struct vt_slide_spool *spool, struct vt_err *err)
{
    if (spool->used > 0 &&
        !vt_io_pwrite(spool->fd, spool->buffer, spool->used, spool->written, "a temporary file", err))
        return false;
    spool->written += spool->used;
    spool->used = 0;
    return true;
}

bool vt_slide_spool_write(struct vt_slide_spool *spool, const uint8_t *bytes, size_t size,
                          struct vt_err *err)
{
    while (size > 0) {
        size_t room = BUFFER - spool->used, part = size < room ? size : room;
        memcpy(spool->buffer + spool->used, bytes, part);
        spool->used += part;
        bytes += part;
        size -= part;
        if (spool->used == BUFFER && !flush(spool, err))
            return false;
    }
    return true;
}

uint64_t vt_slide_spool_size(const struct vt_slide_spool *spool)
{
    return spool->written + spool->used;
}

bool vt_slide_spool_read(struct vt_slide_spool *spool, uint8_t *bytes, size_t size, uint64_t offset,
                         struct vt_err *err)
{
    return flush(spool, err) && vt_io_pread(spool->fd, bytes, size, offset, "a temporary file", err);
}
