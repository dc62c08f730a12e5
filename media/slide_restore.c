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
#include "media/slide_pipe.h"

enum { ALIGNMENT = 4096 };

struct passing {
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
    int fd;                  /* -1: only checked */
    const char *path;
    uint64_t written;        /* the writing thread's */
    bool direct;             /* fd writes past the page cache, whole blocks only */
};

/* ---- writing, in a thread of its own ---- */

static void write_through_cache(struct passing *passing)
{
    if (passing->direct)
        (void)fcntl(passing->fd, F_SETFL, 0);
    passing->direct = false;
}

/* File systems may take the flag and refuse the write. */
static bool write_part(struct passing *passing, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    bool ok = vt_io_pwrite(passing->fd, bytes, size, passing->written, passing->path, err);

    if (!ok && passing->direct && err->code != VT_E_FULL) {
        vt_err_clear(err);
        write_through_cache(passing);
        ok = vt_io_pwrite(passing->fd, bytes, size, passing->written, passing->path, err);
    }
    passing->written += ok ? size : 0;
    return ok;
}

static bool write_block(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct passing *passing = context;
    size_t whole = passing->direct ? size - size % ALIGNMENT : size;

    if (whole > 0 && !write_part(passing, bytes, whole, err))
        return false;
    if (whole == size)
        return true;
    write_through_cache(passing);
    return write_part(passing, bytes + whole, size - whole, err);
}

/* ---- all of it, once through memory ---- */

static bool pass_all(struct vt_slide_original *original, const struct passing *passing,
                     struct vt_slide_pipe *pipe, struct vt_err *err)
{
    uint64_t size = vt_slide_original_size(original);
    size_t got;

    for (uint64_t at = 0; at < size; at += got) {
        uint8_t *bytes = vt_slide_pipe_block(pipe, err);
        if (!bytes || !vt_slide_pread(original, bytes, VT_SLIDE_PIPE_BLOCK, at, &got, err))
            return false;
        vt_slide_pipe_pass(pipe, got);
        if (passing->progress && !passing->progress(passing->context, at + got, size))
            return vt_fail(err, VT_E_CANCELLED, "stopped");
    }
    return vt_slide_pipe_drain(pipe, err);
}

static bool pass(struct vt_slide_original *original, struct passing *passing, bool sha256,
                 struct vt_slide_sums *out, struct vt_err *err)
{
    VT_AUTO(vt_slide_hash) hash = vt_slide_hash_new(sha256, err);
    const struct vt_slide_taker takers[] = { { vt_slide_hash_take, hash }, { write_block, passing } };
    VT_AUTO(vt_slide_pipe) pipe = hash ? vt_slide_pipe_new(takers, passing->fd >= 0 ? 2 : 1, err) : NULL;

    if (!pipe)
        return false;
    vt_slide_original_in_order(original);
    return pass_all(original, passing, pipe, err) && vt_slide_hash_finish(hash, out, err);
}

static bool differs(const struct vt_slide_original *original, const char *what, struct vt_err *err)
{
    return vt_fail(err, VT_E_CORRUPT, "%s as it was put together is not the original: %s differs",
                   vt_slide_original_name(original), what);
}

static bool pass_sha256(struct vt_slide_original *original, struct passing *passing, struct vt_err *err)
{
    struct vt_slide_sums sums;

    return pass(original, passing, true, &sums, err) &&
           (memcmp(sums.sha256, vt_slide_original_sha256(original), VT_SLIDE_SHA256) == 0 ||
            differs(original, "SHA-256", err));
}

bool vt_slide_original_verify(struct vt_slide_original *original,
                              bool (*progress)(void *context, uint64_t done, uint64_t total),
                              void *context, struct vt_err *err)
{
    struct passing passing = { .progress = progress, .context = context, .fd = -1 };

    return pass_sha256(original, &passing, err);
}

bool vt_slide_original_compare(struct vt_slide_original *original, const struct vt_slide_sums *sums,
                               bool (*progress)(void *context, uint64_t done, uint64_t total),
                               void *context, struct vt_err *err)
{
    struct passing passing = { .progress = progress, .context = context, .fd = -1 };
    struct vt_slide_sums found;

    if (memcmp(sums->sha256, vt_slide_original_sha256(original), VT_SLIDE_SHA256) != 0)
        return differs(original, "SHA-256", err);
    return pass(original, &passing, false, &found, err) &&
           (memcmp(sums->fingerprint, found.fingerprint, VT_SLIDE_FINGERPRINT) == 0 ||
            differs(original, "the fingerprint", err));
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
    struct passing passing = { .progress = progress,
                               .context = context,
                               .fd = fd,
                               .path = temporary,
                               .direct = fcntl(fd, F_SETFL, O_DIRECT) == 0 };
    bool ok = pass_sha256(original, &passing, err) && vt_io_sync_data(fd, temporary, err) &&
              name_file(temporary, path, err);
    unlink(temporary);
    return ok;
}
