#include "media/slide_source.h"

#include <string.h>

#include "core/err.h"
#include "core/io.h"

bool vt_slide_read(const struct vt_slide_source *source, void *bytes, size_t size, uint64_t offset,
                   struct vt_err *err)
{
    if (!vt_slide_inside(source, offset, size))
        return vt_fail(err, VT_E_CORRUPT, "%s ends at byte %llu; %zu bytes at %llu are not there",
                       source->name, (unsigned long long)source->size, size,
                       (unsigned long long)offset);
    if (source->fd >= 0)
        return vt_io_pread(source->fd, bytes, size, offset, source->name, err);
    memcpy(bytes, source->memory + offset, size);
    return true;
}
