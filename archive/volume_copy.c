#include "archive/volume_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "archive/folders.h"
#include "core/auto.h"
#include "core/err.h"
#include "core/io.h"

enum { BLOCK = 1 << 20 };

struct digests {
    struct vt_digest data_set;
    XXH128_hash_t file;
    uint64_t size;
};

void vt_volume_staged(const char *to_file, char out[static VT_FILE_MAX])
{
    snprintf(out, VT_FILE_MAX, "staging/volume-%s", vt_folders_name(to_file));
}

/* Reads all of it, and writes it to `to` when that is not -1. */
static bool pass(int fd, int to, uint64_t offset, const char *path, struct digests *out,
                 struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(BLOCK);
    XXH3_state_t data_set, file;
    XXH128_canonical_t canonical;
    ssize_t got = 0;

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to copy %s", path);
    XXH3_128bits_reset(&data_set);
    XXH3_128bits_reset(&file);
    out->size = 0;
    for (; (got = pread(fd, block, BLOCK, (off_t)out->size)) > 0; out->size += (uint64_t)got) {
        uint64_t skip = out->size < offset ? offset - out->size : 0;
        if (skip < (uint64_t)got)
            XXH3_128bits_update(&data_set, block + skip, (size_t)((uint64_t)got - skip));
        XXH3_128bits_update(&file, block, (size_t)got);
        if (to >= 0 && !vt_io_pwrite(to, block, (size_t)got, out->size, path, err))
            return false;
    }
    if (got < 0)
        return vt_fail(err, VT_E_CORRUPT, "reading %s: %s", path, strerror(errno));
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&data_set));
    memcpy(&out->data_set, canonical.digest, sizeof out->data_set);
    out->file = XXH3_128bits_digest(&file);
    return true;
}

static bool is_of(const struct digests *digests, const struct vt_index_entry *entry)
{
    return digests->size == entry->file_size &&
           memcmp(&digests->data_set, &entry->data_set_digest, sizeof digests->data_set) == 0;
}

/* What the disk has, not the page cache. */
static bool read_back(int root, const char *name, uint64_t offset, const struct digests *written,
                      struct vt_err *err)
{
    vt_autoclose fd = openat(root, name, O_RDONLY | O_CLOEXEC);
    struct digests read;

    if (fd < 0)
        return vt_fail_errno(err, "%s", name);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (!pass(fd, -1, offset, name, &read, err)) {
        err->code = err->code == VT_E_CORRUPT ? VT_E_IO : err->code;
        return false;
    }
    return (read.size == written->size && XXH128_isEqual(read.file, written->file)) ||
           vt_fail(err, VT_E_IO, "%s: what was read back is not what was written", name);
}

static bool write_copy(int from, const char *from_file, int root, const char *name, uint64_t offset,
                       struct digests *out, struct vt_err *err)
{
    vt_autoclose to = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    struct stat info;

    if (to < 0 && errno == ENOENT && mkdirat(root, "staging", 0750) == 0)
        to = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    /* Without staging/ the volume is not what it was: that ends the move. */
    if (to < 0 || fstat(from, &info) < 0)
        return vt_fail(err, errno == ENOSPC ? VT_E_FULL : VT_E_IO, "making %s: %s", name,
                       strerror(errno));
    if (!pass(from, to, offset, from_file, out, err))
        return false;
    struct timespec times[2] = { info.st_mtim, info.st_mtim };
    return (futimens(to, times) == 0 && fsync(to) == 0) || vt_fail_errno(err, "syncing %s", name);
}

bool vt_volume_copy(int from_root, const struct vt_index_entry *entry, int to_root,
                    const char *to_file, struct vt_err *err)
{
    vt_autoclose from = openat(from_root, entry->file, O_RDONLY | O_CLOEXEC);
    char name[VT_FILE_MAX];
    struct digests written;

    if (from < 0)
        return vt_fail(err, errno == ENOENT ? VT_E_NOTFOUND : VT_E_CORRUPT, "%s: %s", entry->file,
                       strerror(errno));
    vt_volume_staged(to_file, name);
    bool ok = write_copy(from, entry->file, to_root, name, entry->data_set_offset, &written, err) &&
              (is_of(&written, entry) ||
               vt_fail(err, VT_E_CORRUPT, "%s is not what the index says", entry->file)) &&
              read_back(to_root, name, entry->data_set_offset, &written, err);
    if (!ok)
        unlinkat(to_root, name, 0);
    return ok;
}

bool vt_volume_check(int root, const char *file, const struct vt_index_entry *entry,
                     struct vt_err *err)
{
    vt_autoclose fd = openat(root, file, O_RDONLY | O_CLOEXEC);
    struct digests there;

    if (fd < 0)
        return vt_fail(err, errno == ENOENT ? VT_E_NOTFOUND : VT_E_CORRUPT, "%s: %s", file,
                       strerror(errno));
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return pass(fd, -1, entry->data_set_offset, file, &there, err) &&
           (is_of(&there, entry) ||
            vt_fail(err, VT_E_CORRUPT, "%s is not what the index says", file));
}

/* Some file systems cannot rename without replacing: they can make a second name. */
static int name_it(int root, const char *staged, int folder, const char *name)
{
    int result = renameat2(root, staged, folder, name, RENAME_NOREPLACE);

    if (result < 0 && errno == EINVAL) {
        result = linkat(root, staged, folder, name, 0);
        if (result == 0)
            unlinkat(root, staged, 0);
    }
    return result;
}

bool vt_volume_place(int to_root, struct vt_folders *folders, const struct vt_index_entry *entry,
                     const char *to_file, bool *out_placed, struct vt_err *err)
{
    int folder = vt_folders_of(folders, to_file, true, err);
    char staged[VT_FILE_MAX];
    struct digests there;

    if (folder < 0)
        return false;
    vt_volume_staged(to_file, staged);
    *out_placed = name_it(to_root, staged, folder, vt_folders_name(to_file)) == 0;
    if (*out_placed)
        return true;
    if (errno != EEXIST)
        return vt_fail_errno(err, "naming %s", to_file);
    vt_autoclose fd = openat(to_root, to_file, O_RDONLY | O_CLOEXEC);
    bool same = fd >= 0 && pass(fd, -1, entry->data_set_offset, to_file, &there, err) &&
                is_of(&there, entry) && fsync(fd) == 0;
    unlinkat(to_root, staged, 0);
    return same || vt_fail(err, VT_E_EXISTS, "another file lies in its place: %s", to_file);
}

void vt_volume_drop(int to_root, const char *to_file, bool placed)
{
    char staged[VT_FILE_MAX];

    vt_volume_staged(to_file, staged);
    unlinkat(to_root, staged, 0);
    if (placed)
        unlinkat(to_root, to_file, 0);
}

void vt_volume_prune(int root, const char *file)
{
    char path[VT_FILE_MAX];

    snprintf(path, sizeof path, "%s", file);
    for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
        *slash = '\0';
        const char *name = strrchr(path, '/');
        if (!name || strcmp(name, "/objects") == 0 || unlinkat(root, path, AT_REMOVEDIR) < 0)
            return;
    }
}

bool vt_volume_carry_file(int from, const char *from_file, int to_root, const char *to_file,
                          struct vt_err *err)
{
    VT_AUTO(vt_folders) folders = vt_folders_new(to_root);
    char name[VT_FILE_MAX];
    struct digests written;
    int folder = folders ? vt_folders_of(folders, to_file, true, err) : -1;

    if (!folders)
        return vt_fail(err, VT_E_NOMEM, "no memory to move %s", from_file);
    vt_volume_staged(to_file, name);
    if (folder < 0 || !write_copy(from, from_file, to_root, name, 0, &written, err) ||
        !read_back(to_root, name, 0, &written, err)) {
        unlinkat(to_root, name, 0);
        return false;
    }
    if (name_it(to_root, name, folder, vt_folders_name(to_file)) == 0 || errno == EEXIST) {
        unlinkat(to_root, name, 0); /* only when something lies there already */
        return vt_io_sync_folder(folder, to_file, err);
    }
    return vt_fail_errno(err, "naming %s", to_file);
}
