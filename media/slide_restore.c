/* The whole of an original: checked, and saved. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/io.h"
#include "media/slide_hash.h"
#include "media/slide_original.h"

enum { FLUSH = 8 << 20 };

struct passing {
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
    int fd;                  /* -1: only checked */
    const char *path;
};

static bool pass_all(struct vt_slide_original *original, const struct passing *passing,
                     struct vt_slide_hash *hash, struct vt_err *err)
{
    uint64_t size = vt_slide_original_size(original);
    size_t got;

    for (uint64_t at = 0; at < size; at += got) {
        uint8_t *bytes = vt_slide_hash_block(hash);
        if (!vt_slide_pread(original, bytes, VT_SLIDE_HASH_BLOCK, at, &got, err))
            return false;
        vt_slide_hash_pass(hash, got);
        if (passing->fd >= 0 && !vt_io_pwrite(passing->fd, bytes, got, at, passing->path, err))
            return false;
        /* The disk works meanwhile. */
        if (passing->fd >= 0 && at % FLUSH == 0)
            (void)sync_file_range(passing->fd, (off_t)at, 0, SYNC_FILE_RANGE_WRITE);
        if (passing->progress && !passing->progress(passing->context, at + got, size))
            return vt_fail(err, VT_E_CANCELLED, "stopped");
    }
    return true;
}

static bool pass(struct vt_slide_original *original, const struct passing *passing, struct vt_err *err)
{
    VT_AUTO(vt_slide_hash) hash = vt_slide_hash_new(err);
    uint8_t digest[VT_SLIDE_SHA256];

    if (!hash)
        return false;
    vt_slide_original_in_order(original);
    if (!pass_all(original, passing, hash, err) || !vt_slide_hash_finish(hash, digest, err))
        return false;
    if (memcmp(digest, vt_slide_original_sha256(original), VT_SLIDE_SHA256) == 0)
        return true;
    return vt_fail(err, VT_E_CORRUPT, "%s as it was put together is not the original: SHA-256 differs",
                   vt_slide_original_name(original));
}

bool vt_slide_original_verify(struct vt_slide_original *original,
                              bool (*progress)(void *context, uint64_t done, uint64_t total),
                              void *context, struct vt_err *err)
{
    const struct passing passing = { progress, context, -1, NULL };

    return pass(original, &passing, err);
}

static bool sync_folder_of(const char *path, struct vt_err *err)
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    vt_autoclose fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return vt_fail_errno(err, "%s", folder);
    return vt_io_sync_folder(fd, folder, err);
}

/* A link never replaces a file that is there. */
static bool name_file(const char *temporary, const char *path, struct vt_err *err)
{
    if (link(temporary, path) < 0)
        return vt_fail_errno(err, "%s", path);
    return sync_folder_of(path, err);
}

bool vt_slide_original_save(struct vt_slide_original *original, const char *path,
                            bool (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, struct vt_err *err)
{
    char temporary[PATH_MAX];

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.part", path) >= sizeof temporary)
        return vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", path);
    if (access(path, F_OK) == 0)
        return vt_fail(err, VT_E_EXISTS, "%s is there already", path);
    vt_autoclose fd = open(temporary, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0640);
    if (fd < 0)
        return vt_fail_errno(err, "%s", temporary);
    const struct passing passing = { progress, context, fd, temporary };
    bool ok = pass(original, &passing, err) && vt_io_sync_data(fd, temporary, err) &&
              name_file(temporary, path, err);
    unlink(temporary);
    return ok;
}
