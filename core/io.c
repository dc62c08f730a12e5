#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"

bool vt_io_pread(int fd, void *bytes, size_t size, uint64_t offset, const char *path, struct vt_err *err)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (got == 0)
            return vt_fail(err, VT_E_CORRUPT, "%s ends at %llu, %zu bytes missing", path,
                           (unsigned long long)(offset + done), size - done);
        if (got < 0 && errno != EINTR)
            return vt_fail_errno(err, "reading %s", path);
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool vt_io_pwrite(int fd, const void *bytes, size_t size, uint64_t offset, const char *path, struct vt_err *err)
{
    size_t done = 0;

    while (done < size) {
        ssize_t put = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            return vt_fail_errno(err, "writing %s", path);
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

bool vt_io_read_file(const char *path, struct vt_buf *out, struct vt_err *err)
{
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0)
        return vt_fail_errno(err, "%s", path);
    if (!S_ISREG(info.st_mode))
        return vt_fail(err, VT_E_INVALID, "%s is not a file", path);
    if (!vt_buf_reserve(out, (size_t)info.st_size, err))
        return vt_fail_context(err, "%s", path);
    if (!vt_io_pread(fd, out->data + out->size, (size_t)info.st_size, 0, path, err))
        return false;
    out->size += (size_t)info.st_size;
    return true;
}

bool vt_io_sync_data(int fd, const char *path, struct vt_err *err)
{
    return fdatasync(fd) == 0 || vt_fail_errno(err, "syncing %s", path);
}

bool vt_io_sync_folder(int folder_fd, const char *path, struct vt_err *err)
{
    return fsync(folder_fd) == 0 || vt_fail_errno(err, "syncing %s", path);
}

static bool parent_of(const char *path, char out[static PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (length >= PATH_MAX)
        return false;
    snprintf(out, PATH_MAX, "%.*s", slash ? (length ? (int)length : 1) : 1, slash ? path : ".");
    return true;
}

bool vt_io_write_file(const char *path, const void *bytes, size_t size, unsigned mode, struct vt_err *err)
{
    char part[PATH_MAX], parent[PATH_MAX];

    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part || !parent_of(path, parent))
        return vt_fail(err, VT_E_INVALID, "path is too long: %s", path);
    vt_autoclose fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    vt_autoclose folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || folder < 0)
        return vt_fail_errno(err, "writing %s", path);
    if (!vt_io_pwrite(fd, bytes, size, 0, part, err) || !vt_io_sync_data(fd, part, err)) {
        unlink(part);
        return false;
    }
    if (rename(part, path) < 0)
        return vt_fail_errno(err, "renaming to %s", path);
    return vt_io_sync_folder(folder, parent, err);
}

static bool sync_parent(const char *path, bool made, struct vt_err *err)
{
    char parent[PATH_MAX];
    struct vt_err ignored = { 0 };

    if (!parent_of(path, parent))
        return vt_fail(err, VT_E_INVALID, "path is too long: %s", path);
    vt_autoclose folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return !made || vt_fail_errno(err, "%s", parent);
    return vt_io_sync_folder(folder, parent, made ? err : &ignored) || !made;
}

static bool make_folders(const char *path, bool synced, struct vt_err *err)
{
    char partial[PATH_MAX];
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof partial)
        return vt_fail(err, VT_E_INVALID, "'%s' is not a folder's path", path);
    memcpy(partial, path, length + 1);
    while (length > 1 && partial[length - 1] == '/')
        partial[--length] = '\0';
    for (size_t i = 1; i <= length; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        char kept = partial[i];
        partial[i] = '\0';
        bool made = mkdir(partial, 0750) == 0;
        if (!made && errno != EEXIST)
            return vt_fail_errno(err, "making the folder %s", partial);
        if (synced && (made || i == length) && !sync_parent(partial, made, err))
            return false;
        partial[i] = kept;
    }
    return true;
}

bool vt_io_make_folder(const char *path, struct vt_err *err)
{
    return make_folders(path, false, err);
}

bool vt_io_make_synced_folder(const char *path, struct vt_err *err)
{
    return make_folders(path, true, err);
}

int vt_io_lock(const char *path, struct vt_err *err)
{
    vt_autoclose fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0) {
        vt_fail_errno(err, "lock file %s", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            vt_fail(err, VT_E_BUSY, "%s is locked by another process", path);
        else
            vt_fail_errno(err, "locking %s", path);
        return -1;
    }
    return vt_take_fd(&fd);
}
