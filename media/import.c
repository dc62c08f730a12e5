#include "media/import.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/err.h"

static const struct vt_import_kind *const kinds[] = {
    &vt_import_slide, &vt_import_fileset, &vt_import_disc,
};

const struct vt_import_kind *vt_import_kind_at(size_t i)
{
    return i < VT_COUNT(kinds) ? kinds[i] : NULL;
}

const struct vt_import_kind *vt_import_kind_of(const char *path, struct vt_err *err)
{
    uint8_t head[VT_IMPORT_HEAD];
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);

    if (size < 0) {
        vt_fail_errno(err, "%s", path);
        return NULL;
    }
    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        if (kinds[i]->recognises(path, head, (size_t)size))
            return kinds[i];
    return NULL;
}
