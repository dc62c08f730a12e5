#include "archive/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "archive/instance.h"
#include "core/err.h"

struct folder {
    uint64_t used;
    int fd;
    char path[VT_FILE_MAX];
};

struct vt_folders {
    int root;
    uint64_t clock;
    size_t count;
    uint64_t hashes[VT_FOLDERS_MAX]; /* of the paths: looked through for each file, so they lie
                                        together */
    struct folder items[VT_FOLDERS_MAX];
    atomic_uint_fast64_t made[VT_FOLDERS_MADE]; /* hashes of paths, each in its place; 0: none */
};

struct vt_folders *vt_folders_new(int root)
{
    struct vt_folders *folders = calloc(1, sizeof *folders);

    if (folders)
        folders->root = root;
    return folders;
}

void vt_folders_forget(struct vt_folders *folders)
{
    for (size_t i = 0; i < folders->count; i++)
        close(folders->items[i].fd);
    folders->count = 0;
}

void vt_folders_free(struct vt_folders *folders)
{
    if (!folders)
        return;
    vt_folders_forget(folders);
    free(folders);
}

const char *vt_folders_name(const char *file)
{
    const char *slash = strrchr(file, '/');

    return slash ? slash + 1 : file;
}

/* Each missing component of path, which is changed in between. */
static bool make_all(int root, char *path, bool *out_made)
{
    for (char *at = path; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        int result = mkdirat(root, path, 0750);
        *at = '/';
        if (result < 0 && errno != EEXIST)
            return false;
    }
    *out_made = mkdirat(root, path, 0750) == 0;
    return *out_made || errno == EEXIST;
}

/* *out_made: the folder was not there before. */
static int open_folder(int root, char *path, bool make, bool *out_made, struct vt_err *err)
{
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && make) {
        /* Most often only the last one or two are missing. */
        *out_made = mkdirat(root, path, 0750) == 0;
        if (!*out_made && errno == ENOENT && !make_all(root, path, out_made)) {
            vt_fail_errno(err, "making the folder %s", path);
            return -1;
        }
        fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        vt_fail_errno(err, "folder %s", path);
    return fd;
}

static size_t place_for(struct vt_folders *folders)
{
    size_t oldest = 0;

    if (folders->count < VT_FOLDERS_MAX)
        return folders->count++;
    for (size_t i = 1; i < folders->count; i++)
        if (folders->items[i].used < folders->items[oldest].used)
            oldest = i;
    close(folders->items[oldest].fd);
    return oldest;
}

int vt_folders_of(struct vt_folders *folders, const char *file, bool make, struct vt_err *err)
{
    const char *name = vt_folders_name(file);
    size_t length = name > file ? (size_t)(name - file) - 1 : 0;
    char path[VT_FILE_MAX];

    if (length == 0 || length >= sizeof path) {
        vt_fail(err, VT_E_INVALID, "'%s' is not a file of the archive", file);
        return -1;
    }
    memcpy(path, file, length);
    path[length] = '\0';
    uint64_t hash = XXH3_64bits(path, length);
    for (size_t i = 0; i < folders->count; i++) {
        struct folder *folder = &folders->items[i];
        if (folders->hashes[i] == hash && strcmp(folder->path, path) == 0) {
            folder->used = ++folders->clock;
            return folder->fd;
        }
    }
    bool made = false;
    int fd = open_folder(folders->root, path, make, &made, err);
    if (fd < 0)
        return -1;
    if (made)
        atomic_store(&folders->made[hash % VT_FOLDERS_MADE], hash);
    size_t place = place_for(folders);
    folders->hashes[place] = hash;
    folders->items[place].used = ++folders->clock;
    folders->items[place].fd = fd;
    memcpy(folders->items[place].path, path, length + 1);
    return fd;
}

bool vt_folders_made(const struct vt_folders *folders, const char *file)
{
    const char *name = vt_folders_name(file);
    uint64_t hash = name > file ? XXH3_64bits(file, (size_t)(name - file) - 1) : 0;

    return hash != 0 && atomic_load(&folders->made[hash % VT_FOLDERS_MADE]) == hash;
}

void vt_folders_forget_made(struct vt_folders *folders)
{
    for (size_t i = 0; i < VT_FOLDERS_MADE; i++)
        atomic_store_explicit(&folders->made[i], 0, memory_order_relaxed);
}

void vt_folders_prune(struct vt_folders *folders, const char *file)
{
    char path[VT_FILE_MAX];

    vt_folders_forget(folders);
    snprintf(path, sizeof path, "%s", file);
    for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (!strchr(path, '/') || unlinkat(folders->root, path, AT_REMOVEDIR) < 0)
            return;
    }
}
