#include "media/disc.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"

enum { ISO_MAGIC_AT = 32769, MAGIC = 5, BLOCK = 256 << 10 };

struct vt_disc {
    struct archive *archive;
    int fd;
    uint64_t size, unpacked;
    unsigned entries;
};

/* Of the volume descriptors at 32 KiB: "CD001", "BEA01" of UDF alone, or "". */
static void read_magic(int fd, char out[static MAGIC + 1])
{
    if (fd < 0 || pread(fd, out, MAGIC, ISO_MAGIC_AT) != MAGIC)
        out[0] = '\0';
    out[MAGIC] = '\0';
}

bool vt_disc_is(const char *path, const uint8_t *head, size_t size)
{
    char magic[MAGIC + 1];

    if (size >= 132 && memcmp(head + 128, "DICM", 4) == 0)
        return false;
    if (size >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0))
        return true;
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    read_magic(fd, magic);
    return strcmp(magic, "CD001") == 0 || strcmp(magic, "BEA01") == 0;
}

static bool trouble(const struct vt_disc *disc, struct vt_err *err)
{
    const char *text = archive_error_string(disc->archive);

    return vt_fail(err, archive_errno(disc->archive) == ENOMEM ? VT_E_NOMEM : VT_E_CORRUPT,
                   "the disc image is damaged: %.160s", text ? text : "it cannot be read");
}

struct vt_disc *vt_disc_open(const char *path, struct vt_err *err)
{
    VT_AUTO(vt_disc) disc = calloc(1, sizeof *disc);
    struct stat about;
    char magic[MAGIC + 1];

    if (!disc) {
        vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
        return NULL;
    }
    disc->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (disc->fd < 0 || fstat(disc->fd, &about) != 0) {
        vt_fail_errno(err, "%s", path);
        return NULL;
    }
    disc->size = (uint64_t)about.st_size;
    read_magic(disc->fd, magic);
    if (strcmp(magic, "BEA01") == 0) {
        vt_fail(err, VT_E_UNSUPPORTED,
                "a UDF file system without an ISO 9660 one is not read here: mount it (mount -o loop,ro), then import the folder");
        return NULL;
    }
    if (!(disc->archive = archive_read_new())) {
        vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
        return NULL;
    }
    if (archive_read_support_format_iso9660(disc->archive) != ARCHIVE_OK ||
        archive_read_support_format_zip_seekable(disc->archive) != ARCHIVE_OK ||
        archive_read_open_fd(disc->archive, disc->fd, BLOCK) != ARCHIVE_OK) {
        trouble(disc, err);
        return NULL;
    }
    return vt_take(&disc);
}

void vt_disc_free(struct vt_disc *disc)
{
    if (!disc)
        return;
    if (disc->archive)
        archive_read_free(disc->archive);
    if (disc->fd >= 0)
        close(disc->fd);
    free(disc);
}

/* NULL: it stays within the disc. */
static const char *leads_out(const char *path)
{
    if (path[0] == '/' || path[0] == '\\' || (path[0] && path[1] == ':'))
        return "an absolute path";
    for (const char *part = path; *part;) {
        size_t length = strcspn(part, "/\\");
        if (length == 2 && part[0] == '.' && part[1] == '.')
            return "its path leads out of the disc";
        part += length + (part[length] != '\0');
    }
    return NULL;
}

static void describe(struct vt_disc *disc, struct archive_entry *entry, struct vt_disc_entry *out)
{
    const char *path = archive_entry_pathname_utf8(entry);

    if (!path)
        path = archive_entry_pathname(entry);
    *out = (struct vt_disc_entry){ .kind = VT_DISC_FILE };
    if (!path)
        snprintf(out->path, sizeof out->path, "entry %u", disc->entries);
    else if (strlen(path) >= sizeof out->path)
        out->why = "its path is too long";
    else
        out->why = leads_out(path);
    if (path)
        snprintf(out->path, sizeof out->path, "%.*s", VT_DISC_PATH_MAX - 1, path);
    if (!out->why && archive_entry_hardlink(entry))
        out->why = "a link";
    if (!out->why && archive_entry_filetype(entry) == AE_IFLNK)
        out->why = "a symbolic link";
    if (!out->why && archive_entry_filetype(entry) != AE_IFREG)
        out->why = "neither a file nor a folder";
    if (!out->why && archive_entry_is_encrypted(entry))
        out->why = "encrypted";
    if (out->why)
        out->kind = VT_DISC_REFUSED;
}

bool vt_disc_next(struct vt_disc *disc, struct vt_disc_entry *out, bool *out_more, struct vt_err *err)
{
    struct archive_entry *entry;
    int got;

    do {
        got = archive_read_next_header(disc->archive, &entry);
        if (got == ARCHIVE_EOF) {
            *out_more = false;
            return true;
        }
        if (got < ARCHIVE_WARN)
            return trouble(disc, err);
        if (++disc->entries > VT_DISC_ENTRIES_MAX)
            return vt_fail(err, VT_E_LIMIT, "more than %d files on one disc", VT_DISC_ENTRIES_MAX);
    } while (archive_entry_filetype(entry) == AE_IFDIR);
    describe(disc, entry, out);
    *out_more = true;
    return true;
}

bool vt_disc_read(struct vt_disc *disc, void *bytes, size_t room, size_t *out_got, struct vt_err *err)
{
    la_ssize_t got = archive_read_data(disc->archive, bytes, room);

    if (got < 0)
        return trouble(disc, err);
    disc->unpacked += (uint64_t)got;
    if (disc->unpacked > VT_DISC_UNPACKED_FREE && disc->unpacked / VT_DISC_RATIO_MAX > disc->size)
        return vt_fail(err, VT_E_LIMIT, "it unpacks to more than %d times its size", VT_DISC_RATIO_MAX);
    *out_got = (size_t)got;
    return true;
}
