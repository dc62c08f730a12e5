#include "cmd/walk.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/auto.h"
#include "core/err.h"

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool visit(FTS *fts, FTSENT *entry, vt_walk_file file, vt_walk_trouble trouble,
                  void *context, struct vt_err *err)
{
    switch (entry->fts_info) {
    case FTS_F:
        return file(context, entry->fts_path, (uint64_t)entry->fts_statp->st_size,
                    entry->fts_level == 0, err);
    case FTS_D:
        /* Hidden folders hold no images but other programs' things. */
        if (entry->fts_level > 0 && entry->fts_name[0] == '.')
            fts_set(fts, entry, FTS_SKIP);
        return true;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        trouble(context, entry->fts_path, strerror(entry->fts_errno));
        return true;
    case FTS_SLNONE:
        trouble(context, entry->fts_path, strerror(ENOENT));
        return true;
    default:
        if (entry->fts_level == 0 && entry->fts_info != FTS_DP)
            trouble(context, entry->fts_path, "neither a file nor a folder");
        return true;
    }
}

bool vt_walk_files(const char *const *paths, size_t count, vt_walk_file file,
                   vt_walk_trouble trouble, void *context, struct vt_err *err)
{
    vt_autofree char **list = calloc(count + 1, sizeof *list);
    FTSENT *entry;
    bool going = true;

    if (!list)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of paths");
    memcpy(list, paths, count * sizeof *list);
    if (count == 0)
        return true;
    FTS *fts = fts_open(list, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (!fts)
        return vt_fail_errno(err, "%s", paths[0]);
    while (going && (errno = 0, entry = fts_read(fts)))
        going = visit(fts, entry, file, trouble, context, err);
    if (going && errno)
        going = vt_fail_errno(err, "reading folders");
    fts_close(fts);
    return going;
}
