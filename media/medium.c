#include "media/medium.h"

#include <archive.h>
#include <archive_entry.h>
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
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "media/disc.h"

enum { BLOCK = 1 << 20 };

struct file {
    char *path;
    uint8_t sha256[VT_MEDIUM_SHA256];
    bool seen;
};

struct vt_medium {
    enum vt_medium_form form;
    char temporary[PATH_MAX];
    int fd;                       /* of the image, or of the file in the folder */
    struct archive *archive;      /* NULL: a folder */
    EVP_MD_CTX *digest;
    uint8_t *block;
    struct file *files;           /* in the order of writing */
    size_t count, room;
    int64_t verified;
    bool made, published, dropped;
};

enum vt_medium_form vt_medium_form_of(const char *path)
{
    size_t length = strlen(path);
    const char *end = length > 4 ? path + length - 4 : "";

    return strcasecmp(end, ".iso") == 0 ? VT_MEDIUM_ISO : strcasecmp(end, ".zip") == 0 ? VT_MEDIUM_ZIP : VT_MEDIUM_FOLDER;
}

/* ---- opening ---- */

static bool trouble(const struct vt_medium *medium, struct vt_err *err)
{
    const char *text = archive_error_string(medium->archive);

    struct statvfs space;

    /* The image writer forgets why its last write failed. */
    if (fstatvfs(medium->fd, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < BLOCK) {
        errno = ENOSPC;
        return vt_fail_errno(err, "%.160s", medium->temporary);
    }
    return vt_fail(err, VT_E_IO, "%.160s: %.60s", medium->temporary, text ? text : "cannot be written");
}

static const char *options_of(enum vt_medium_form form, unsigned flags)
{
    if (form == VT_MEDIUM_ZIP)
        return "zip:compression=store";
    return flags & VT_MEDIUM_LONG_NAMES ? "iso-level=1,joliet=long,rockridge=useful,volume-id=VITRINE"
                                        : "iso-level=1,!joliet,!rockridge,volume-id=VITRINE";
}

/* What is given up is closed like any other, so that nothing leaks, but its bytes go nowhere. */
static la_ssize_t write_out(struct archive *archive, void *context, const void *bytes, size_t size)
{
    const struct vt_medium *medium = context;
    ssize_t put = -1;

    errno = ECANCELED;
    while (!medium->dropped && (put = write(medium->fd, bytes, size)) < 0 && errno == EINTR)
        continue;
    if (put < 0)
        archive_set_error(archive, errno, "%s", strerror(errno));
    return put;
}

static bool open_archive(struct vt_medium *medium, unsigned flags, struct vt_err *err)
{
    medium->fd = open(medium->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (medium->fd < 0)
        return vt_fail_errno(err, "%s", medium->temporary);
    medium->made = true;
    if (!(medium->archive = archive_write_new()))
        return vt_fail(err, VT_E_NOMEM, "no memory for an archive");
    bool iso = medium->form == VT_MEDIUM_ISO;
    if ((iso ? archive_write_set_format_iso9660(medium->archive) : archive_write_set_format_zip(medium->archive)) !=
            ARCHIVE_OK ||
        archive_write_set_options(medium->archive, options_of(medium->form, flags)) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(medium->archive, 1) != ARCHIVE_OK ||
        archive_write_open(medium->archive, medium, NULL, write_out, NULL) != ARCHIVE_OK)
        return trouble(medium, err);
    return true;
}

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

static bool prepare(struct vt_medium *medium, const char *target, unsigned flags, struct vt_err *err)
{
    if (!name_temporary(target, medium->temporary, err))
        return false;
    if (flags & VT_MEDIUM_AGAIN)
        remove_tree(medium->temporary);
    if (medium->form != VT_MEDIUM_FOLDER)
        return open_archive(medium, flags, err);
    if (mkdir(medium->temporary, 0750) != 0)
        return vt_fail_errno(err, "%s", medium->temporary);
    medium->made = true;
    return true;
}

struct vt_medium *vt_medium_new(const char *target, enum vt_medium_form form, unsigned flags, struct vt_err *err)
{
    VT_AUTO(vt_medium) medium = calloc(1, sizeof *medium);

    if (!medium) {
        vt_fail(err, VT_E_NOMEM, "no memory for a medium");
        return NULL;
    }
    medium->form = form;
    medium->fd = -1;
    medium->block = malloc(BLOCK);
    medium->digest = EVP_MD_CTX_new();
    if (!medium->block || !medium->digest) {
        vt_fail(err, VT_E_NOMEM, "no memory for a medium");
        return NULL;
    }
    return prepare(medium, target, flags, err) ? vt_take(&medium) : NULL;
}

void vt_medium_free(struct vt_medium *medium)
{
    if (!medium)
        return;
    medium->dropped = true;
    if (medium->archive)
        archive_write_free(medium->archive);
    if (medium->fd >= 0)
        close(medium->fd);
    if (medium->made && !medium->published)
        remove_tree(medium->temporary);
    EVP_MD_CTX_free(medium->digest);
    free(medium->block);
    for (size_t i = 0; i < medium->count; i++)
        free(medium->files[i].path);
    free(medium->files);
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

static bool begin_entry(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err)
{
    struct archive_entry *entry = archive_entry_new();

    if (!entry)
        return vt_fail(err, VT_E_NOMEM, "no memory for an entry");
    archive_entry_set_pathname(entry, path);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0444);
    archive_entry_set_mtime(entry, time(NULL), 0);
    int done = archive_write_header(medium->archive, entry);
    archive_entry_free(entry);
    return done == ARCHIVE_OK || trouble(medium, err);
}

bool vt_medium_begin(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err)
{
    char name[PATH_MAX + VT_MEDIUM_NAME_MAX];

    if (!note(medium, path, err))
        return false;
    if (medium->archive)
        return begin_entry(medium, path, size, err);
    snprintf(name, sizeof name, "%s/%s", medium->temporary, path);
    char *slash = strrchr(name, '/');
    *slash = '\0';
    if (!vt_io_make_folder(name, err))
        return false;
    *slash = '/';
    medium->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return medium->fd >= 0 || vt_fail_errno(err, "%s", name);
}

bool vt_medium_write(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err)
{
    const uint8_t *at = bytes;
    la_ssize_t put = 0;

    if (EVP_DigestUpdate(medium->digest, bytes, size) != 1)
        return vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
    for (size_t done = 0; done < size; done += (size_t)put) {
        put = medium->archive ? archive_write_data(medium->archive, at + done, size - done)
                              : write(medium->fd, at + done, size - done);
        if (put <= 0 && !(put < 0 && !medium->archive && errno == EINTR))
            return medium->archive ? trouble(medium, err) : vt_fail_errno(err, "%s", medium->temporary);
        put = put < 0 ? 0 : put;
    }
    return true;
}

bool vt_medium_end(struct vt_medium *medium, struct vt_err *err)
{
    if (EVP_DigestFinal_ex(medium->digest, medium->files[medium->count - 1].sha256, NULL) != 1)
        return vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
    if (medium->archive)
        return archive_write_finish_entry(medium->archive) == ARCHIVE_OK || trouble(medium, err);
    int fd = vt_take_fd(&medium->fd);
    return close(fd) == 0 || vt_fail_errno(err, "%s", medium->temporary);
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

static bool read_folder(struct vt_medium *medium, struct vt_err *err)
{
    char name[PATH_MAX + VT_MEDIUM_NAME_MAX];
    ssize_t got;

    for (size_t i = 0; i < medium->count; i++) {
        snprintf(name, sizeof name, "%s/%s", medium->temporary, medium->files[i].path);
        vt_autoclose fd = open(name, O_RDONLY | O_CLOEXEC);
        EVP_DigestInit_ex(medium->digest, EVP_sha256(), NULL);
        while (fd >= 0 && (got = read(fd, medium->block, BLOCK)) > 0)
            EVP_DigestUpdate(medium->digest, medium->block, (size_t)got);
        if (fd < 0 || got < 0)
            return vt_fail_errno(err, "%s", name);
        if (!compare(medium, &medium->files[i], err))
            return false;
    }
    return true;
}

static bool read_entry(struct vt_medium *medium, struct vt_disc *disc, const char *path, struct vt_err *err)
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
        if (!vt_disc_read(disc, medium->block, BLOCK, &got, err))
            return false;
        EVP_DigestUpdate(medium->digest, medium->block, got);
    } while (got > 0);
    return compare(medium, file, err);
}

static bool read_archive(struct vt_medium *medium, struct vt_err *err)
{
    VT_AUTO(vt_disc) disc = vt_disc_open(medium->temporary, err);
    struct vt_disc_entry entry;
    bool more = disc != NULL;

    qsort(medium->files, medium->count, sizeof *medium->files, by_path);
    while (more) {
        if (!vt_disc_next(disc, &entry, &more, err) || (more && !read_entry(medium, disc, entry.path, err)))
            return false;
    }
    for (size_t i = 0; disc && i < medium->count; i++)
        if (!medium->files[i].seen)
            return vt_fail(err, VT_E_CORRUPT, "%s was written and is not on the medium", medium->files[i].path);
    return disc != NULL;
}

bool vt_medium_close(struct vt_medium *medium, struct vt_err *err)
{
    bool folder = medium->form == VT_MEDIUM_FOLDER;

    if (!folder && archive_write_close(medium->archive) != ARCHIVE_OK)
        return trouble(medium, err);
    if (medium->archive)
        archive_write_free(medium->archive);
    medium->archive = NULL;
    if (folder)
        medium->fd = open(medium->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (medium->fd < 0 || (folder ? syncfs(medium->fd) : fsync(medium->fd)) != 0)
        return vt_fail_errno(err, "%s", medium->temporary);
    close(vt_take_fd(&medium->fd));
    int64_t begun = vt_clock_mono();
    bool ok = folder ? read_folder(medium, err) : read_archive(medium, err);
    medium->verified = vt_clock_mono() - begun;
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
