#include "media/medium.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "media/disc.h"
#include "media/image.h"
#include "media/iso.h"
#include "media/zip.h"

enum { BLOCK = 1 << 20 };

struct file {
    char *path;
    uint8_t sha256[VT_MEDIUM_SHA256];
    bool seen;
};

struct vt_medium {
    const struct driver *driver;
    char temporary[PATH_MAX];
    int fd;                       /* of the open file in a folder */
    struct vt_image *image;       /* NULL: a folder */
    struct vt_iso *iso;
    struct vt_zip *zip;
    EVP_MD_CTX *digest;
    struct file *files;           /* in the order of writing */
    size_t count, room;
    int64_t verified;
    bool made, published;
};

/* What the forms of media differ in. */
struct driver {
    bool (*open)(struct vt_medium *medium, unsigned flags, struct vt_err *err);
    bool (*begin)(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err);
    bool (*write)(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err);
    bool (*end)(struct vt_medium *medium, struct vt_err *err);
    bool (*finish)(struct vt_medium *medium, struct vt_err *err);   /* no more files, all on disk */
    bool (*read_back)(struct vt_medium *medium, uint8_t *block, struct vt_err *err);
};

enum vt_medium_form vt_medium_form_of(const char *path)
{
    size_t length = strlen(path);
    const char *end = length > 4 ? path + length - 4 : "";

    return strcasecmp(end, ".iso") == 0 ? VT_MEDIUM_ISO : strcasecmp(end, ".zip") == 0 ? VT_MEDIUM_ZIP : VT_MEDIUM_FOLDER;
}

/* ---- reading back ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static bool compare(struct vt_medium *medium, struct file *file, struct vt_err *err)
{
    uint8_t sum[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(medium->digest, sum, NULL) != 1 || memcmp(sum, file->sha256, VT_MEDIUM_SHA256) != 0)
        return vt_fail(err, VT_E_CORRUPT, "%s reads back differently than it was written", file->path);
    file->seen = true;
    return true;
}

static bool read_folder(struct vt_medium *medium, uint8_t *block, struct vt_err *err)
{
    char name[PATH_MAX + VT_MEDIUM_NAME_MAX];
    ssize_t got;

    for (size_t i = 0; i < medium->count; i++) {
        snprintf(name, sizeof name, "%s/%s", medium->temporary, medium->files[i].path);
        vt_autoclose fd = open(name, O_RDONLY | O_CLOEXEC);
        EVP_DigestInit_ex(medium->digest, EVP_sha256(), NULL);
        while (fd >= 0 && (got = read(fd, block, BLOCK)) > 0)
            EVP_DigestUpdate(medium->digest, block, (size_t)got);
        if (fd < 0 || got < 0)
            return vt_fail_errno(err, "%s", name);
        if (!compare(medium, &medium->files[i], err))
            return false;
    }
    return true;
}

static bool read_entry(struct vt_medium *medium, struct vt_disc *disc, const char *path, uint8_t *block, struct vt_err *err)
{
    char name[VT_MEDIUM_NAME_MAX + 1];
    const struct file key = { .path = name };
    size_t got;

    snprintf(name, sizeof name, "%.*s", VT_MEDIUM_NAME_MAX, path);
    name[strcspn(name, ";")] = '\0';
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        name[length - 1] = '\0';
    struct file *file = bsearch(&key, medium->files, medium->count, sizeof key, by_path);
    if (!file)
        return vt_fail(err, VT_E_CORRUPT, "%s is on the medium and was not written", path);
    EVP_DigestInit_ex(medium->digest, EVP_sha256(), NULL);
    do {
        if (!vt_disc_read(disc, block, BLOCK, &got, err))
            return false;
        EVP_DigestUpdate(medium->digest, block, got);
    } while (got > 0);
    return compare(medium, file, err);
}

static bool read_archive(struct vt_medium *medium, uint8_t *block, struct vt_err *err)
{
    VT_AUTO(vt_disc) disc = vt_disc_open(medium->temporary, err);
    struct vt_disc_entry entry;
    bool more = disc != NULL;

    qsort(medium->files, medium->count, sizeof *medium->files, by_path);
    while (more) {
        if (!vt_disc_next(disc, &entry, &more, err) || (more && !read_entry(medium, disc, entry.path, block, err)))
            return false;
    }
    for (size_t i = 0; disc && i < medium->count; i++)
        if (!medium->files[i].seen)
            return vt_fail(err, VT_E_CORRUPT, "%s was written and is not on the medium", medium->files[i].path);
    return disc != NULL;
}

/* ---- a folder ---- */

static bool folder_open(struct vt_medium *medium, unsigned flags, struct vt_err *err)
{
    (void)flags;
    medium->made = mkdir(medium->temporary, 0750) == 0;
    return medium->made || vt_fail_errno(err, "%s", medium->temporary);
}

static bool folder_begin(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err)
{
    char name[PATH_MAX + VT_MEDIUM_NAME_MAX];

    (void)size;
    snprintf(name, sizeof name, "%s/%s", medium->temporary, path);
    char *slash = strrchr(name, '/');
    *slash = '\0';
    if (!vt_io_make_folder(name, err))
        return false;
    *slash = '/';
    medium->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return medium->fd >= 0 || vt_fail_errno(err, "%s", name);
}

static bool folder_write(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err)
{
    const uint8_t *at = bytes;
    ssize_t put;

    for (size_t done = 0; done < size; done += (size_t)put) {
        put = write(medium->fd, at + done, size - done);
        if (put <= 0 && !(put < 0 && errno == EINTR))
            return vt_fail_errno(err, "%s", medium->temporary);
        put = put < 0 ? 0 : put;
    }
    return true;
}

static bool folder_end(struct vt_medium *medium, struct vt_err *err)
{
    return close(vt_take_fd(&medium->fd)) == 0 || vt_fail_errno(err, "%s", medium->temporary);
}

static bool folder_finish(struct vt_medium *medium, struct vt_err *err)
{
    vt_autoclose fd = open(medium->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return (fd >= 0 && syncfs(fd) == 0) || vt_fail_errno(err, "%s", medium->temporary);
}

/* ---- an ISO image, a ZIP file ---- */

static bool image_open(struct vt_medium *medium, struct vt_err *err)
{
    medium->image = vt_image_new(medium->temporary, err);
    medium->made = medium->image != NULL;
    return medium->made;
}

static bool iso_open(struct vt_medium *medium, unsigned flags, struct vt_err *err)
{
    return image_open(medium, err) && (medium->iso = vt_iso_new(medium->image, flags & VT_MEDIUM_LONG_NAMES, err));
}

static bool iso_begin(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err)
{
    return vt_iso_begin(medium->iso, path, size, err);
}

static bool iso_write(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err)
{
    return vt_image_write(medium->image, bytes, size, err);
}

static bool iso_end(struct vt_medium *medium, struct vt_err *err)
{
    return vt_iso_end(medium->iso, err);
}

static bool iso_finish(struct vt_medium *medium, struct vt_err *err)
{
    return vt_iso_finish(medium->iso, err) && vt_image_sync(medium->image, err);
}

static bool zip_open(struct vt_medium *medium, unsigned flags, struct vt_err *err)
{
    (void)flags;
    return image_open(medium, err) && (medium->zip = vt_zip_new(medium->image, err));
}

static bool zip_begin(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err)
{
    return vt_zip_begin(medium->zip, path, size, err);
}

static bool zip_write(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err)
{
    return vt_zip_write(medium->zip, bytes, size, err);
}

static bool zip_end(struct vt_medium *medium, struct vt_err *err)
{
    return vt_zip_end(medium->zip, err);
}

static bool zip_finish(struct vt_medium *medium, struct vt_err *err)
{
    return vt_zip_finish(medium->zip, err) && vt_image_sync(medium->image, err);
}

static const struct driver drivers[] = {
    [VT_MEDIUM_FOLDER] = { folder_open, folder_begin, folder_write, folder_end, folder_finish, read_folder },
    [VT_MEDIUM_ISO] = { iso_open, iso_begin, iso_write, iso_end, iso_finish, read_archive },
    [VT_MEDIUM_ZIP] = { zip_open, zip_begin, zip_write, zip_end, zip_finish, read_archive },
};

/* ---- opening ---- */

static void remove_tree(const char *path)
{
    char *const roots[] = { (char *)(uintptr_t)path, NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;

    while (fts && (entry = fts_read(fts)))
        if (entry->fts_info != FTS_D)
            remove(entry->fts_path);
    if (fts)
        fts_close(fts);
}

static bool name_temporary(const char *target, char out[static PATH_MAX], struct vt_err *err)
{
    const char *slash = strrchr(target, '/');

    if (!slash || snprintf(out, PATH_MAX, "%.*s/.%s.partial", (int)(slash - target), target, slash + 1) >= PATH_MAX)
        return vt_fail(err, VT_E_INVALID, "'%.80s' is no absolute path", target);
    return true;
}

struct vt_medium *vt_medium_new(const char *target, enum vt_medium_form form, unsigned flags, struct vt_err *err)
{
    VT_AUTO(vt_medium) medium = calloc(1, sizeof *medium);

    if (!medium || !(medium->digest = EVP_MD_CTX_new())) {
        vt_fail(err, VT_E_NOMEM, "no memory for a medium");
        return NULL;
    }
    medium->driver = &drivers[form];
    medium->fd = -1;
    if (!name_temporary(target, medium->temporary, err))
        return NULL;
    if (flags & VT_MEDIUM_AGAIN)
        remove_tree(medium->temporary);
    return medium->driver->open(medium, flags, err) ? vt_take(&medium) : NULL;
}

static void stop_writing(struct vt_medium *medium)
{
    vt_zip_free(vt_take(&medium->zip));
    vt_iso_free(vt_take(&medium->iso));
    vt_image_free(vt_take(&medium->image));
    if (medium->fd >= 0)
        close(vt_take_fd(&medium->fd));
}

static void forget_files(struct vt_medium *medium)
{
    for (size_t i = 0; i < medium->count; i++)
        free(medium->files[i].path);
    free(vt_take(&medium->files));
    medium->count = medium->room = 0;
}

void vt_medium_free(struct vt_medium *medium)
{
    if (!medium)
        return;
    stop_writing(medium);
    forget_files(medium);
    if (medium->made && !medium->published)
        remove_tree(medium->temporary);
    EVP_MD_CTX_free(medium->digest);
    free(medium);
}

/* ---- writing ---- */

static bool note(struct vt_medium *medium, const char *path, struct vt_err *err)
{
    if (medium->count == VT_MEDIUM_FILES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d files on one medium", VT_MEDIUM_FILES_MAX);
    if (medium->count == medium->room) {
        size_t room = medium->room ? 2 * medium->room : 64;
        struct file *grown = reallocarray(medium->files, room, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of files");
        medium->files = grown;
        medium->room = room;
    }
    char *copy = strdup(path);
    if (!copy)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of files");
    medium->files[medium->count++] = (struct file){ .path = copy };
    return EVP_DigestInit_ex(medium->digest, EVP_sha256(), NULL) == 1 || vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
}

bool vt_medium_begin(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err)
{
    return note(medium, path, err) && medium->driver->begin(medium, medium->files[medium->count - 1].path, size, err);
}

bool vt_medium_write(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err)
{
    if (EVP_DigestUpdate(medium->digest, bytes, size) != 1)
        return vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
    return medium->driver->write(medium, bytes, size, err);
}

bool vt_medium_end(struct vt_medium *medium, struct vt_err *err)
{
    if (EVP_DigestFinal_ex(medium->digest, medium->files[medium->count - 1].sha256, NULL) != 1)
        return vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
    return medium->driver->end(medium, err);
}

bool vt_medium_put(struct vt_medium *medium, const char *path, const void *bytes, size_t size, struct vt_err *err)
{
    return vt_medium_begin(medium, path, size, err) && vt_medium_write(medium, bytes, size, err) &&
           vt_medium_end(medium, err);
}

bool vt_medium_sums(const struct vt_medium *medium, struct vt_buf *out, struct vt_err *err)
{
    for (size_t i = 0; i < medium->count; i++) {
        for (size_t k = 0; k < VT_MEDIUM_SHA256; k++)
            if (!vt_buf_printf(out, err, "%02x", medium->files[i].sha256[k]))
                return false;
        if (!vt_buf_printf(out, err, "  %s\n", medium->files[i].path))
            return false;
    }
    return true;
}

/* ---- the end ---- */

bool vt_medium_close(struct vt_medium *medium, struct vt_err *err)
{
    if (!medium->driver->finish(medium, err))
        return false;
    stop_writing(medium);
    int64_t begun = vt_clock_mono();
    vt_autofree uint8_t *block = malloc(BLOCK);
    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to read a medium back");
    bool ok = medium->driver->read_back(medium, block, err);
    medium->verified = vt_clock_mono() - begun;
    forget_files(medium);   /* a medium that waits for its name costs nothing */
    return ok;
}

int64_t vt_medium_verified(const struct vt_medium *medium)
{
    return medium->verified;
}

static bool rename_synced(const char *temporary, const char *path, struct vt_err *err)
{
    char folder[PATH_MAX];

    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
        return vt_fail_errno(err, "%s", path);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    vt_autoclose fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? vt_io_sync_folder(fd, folder, err) : vt_fail_errno(err, "%s", folder);
}

bool vt_medium_publish(struct vt_medium *medium, const char *path, struct vt_err *err)
{
    if (!rename_synced(medium->temporary, path, err))
        return false;
    medium->published = true;
    return true;
}

bool vt_medium_publish_left(const char *target, const char *path, struct vt_err *err)
{
    char temporary[PATH_MAX];

    if (!name_temporary(target, temporary, err))
        return false;
    if (access(temporary, F_OK) != 0)
        return access(path, F_OK) == 0 || vt_fail_errno(err, "%s", path);
    return rename_synced(temporary, path, err);
}

bool vt_medium_sweep(const char *target)
{
    char temporary[PATH_MAX];
    struct vt_err ignored = { 0 };

    if (!name_temporary(target, temporary, &ignored) || access(temporary, F_OK) != 0)
        return false;
    remove_tree(temporary);
    return true;
}
