/* The folder of a viewer, copied to each medium as VIEWER/...: files outside of the file-set (PS3.10 8.3). An AUTORUN.INF in it goes to the
 * root. Links are not followed. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/io.h"
#include "media/export_inside.h"

enum { FILES_MAX = 20000 };

struct viewing {
    const char *folder;
    struct vt_medium *medium;   /* NULL: only looked at */
    uint8_t *block;
    uint64_t bytes;
    size_t files;
};

static bool copy(const struct viewing *viewing, const char *path, const char *name, uint64_t size, struct vt_err *err)
{
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return vt_fail_errno(err, "%s", path);
    if (!vt_medium_begin(viewing->medium, name, size, err))
        return false;
    for (uint64_t done = 0; done < size;) {
        size_t part = size - done < VT_EXPORT_BLOCK ? (size_t)(size - done) : VT_EXPORT_BLOCK;
        if (!vt_io_pread(fd, viewing->block, part, done, path, err) ||
            !vt_medium_write(viewing->medium, viewing->block, part, err))
            return false;
        done += part;
    }
    return vt_medium_end(viewing->medium, err);
}

static bool take(struct viewing *viewing, const FTSENT *entry, struct vt_err *err)
{
    const char *inside = entry->fts_path + strlen(viewing->folder);
    char name[VT_MEDIUM_NAME_MAX];
    uint64_t size = (uint64_t)entry->fts_statp->st_size;

    inside += strspn(inside, "/");
    bool root = strcasecmp(inside, "AUTORUN.INF") == 0;
    if (snprintf(name, sizeof name, "%s%s", root ? "" : "VIEWER/", inside) >= (int)sizeof name)
        return vt_fail(err, VT_E_INVALID, "the viewer's '%.80s...' is too long a name for a medium", inside);
    if (++viewing->files > FILES_MAX)
        return vt_fail(err, VT_E_LIMIT, "the viewer has more than %d files", FILES_MAX);
    viewing->bytes += (size + VT_EXPORT_SECTOR - 1) / VT_EXPORT_SECTOR * VT_EXPORT_SECTOR + VT_EXPORT_SECTOR;
    return !viewing->medium || copy(viewing, entry->fts_path, name, size, err);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool walk(struct viewing *viewing, struct vt_err *err)
{
    char *const roots[] = { (char *)(uintptr_t)viewing->folder, NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    bool ok = true;

    if (!fts)
        return vt_fail_errno(err, "%s", viewing->folder);
    while (ok && (entry = fts_read(fts))) {
        if (entry->fts_info == FTS_F && entry->fts_level > 0)
            ok = take(viewing, entry, err);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            errno = entry->fts_errno;
            ok = vt_fail_errno(err, "%s", entry->fts_path);
        }
    }
    fts_close(fts);
    if (ok && viewing->files == 0)
        return vt_fail(err, VT_E_NOTFOUND, "%s is no folder with a viewer in it", viewing->folder);
    return ok;
}

bool vt_export_viewer_size(const char *folder, uint64_t *out_bytes, struct vt_err *err)
{
    struct viewing viewing = { .folder = folder };

    if (!walk(&viewing, err))
        return false;
    *out_bytes = viewing.bytes;
    return true;
}

bool vt_export_viewer_copy(const char *folder, struct vt_medium *medium, uint8_t *block, struct vt_err *err)
{
    struct viewing viewing = { .folder = folder, .medium = medium, .block = block };

    return walk(&viewing, err);
}
