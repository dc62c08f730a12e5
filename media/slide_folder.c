#include "media/slide_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "media/slide_beside.h"
#include "media/slide_dual.h"
#include "media/slide_residue.h"

enum { META_MAX = 1024, BLOCK = 1 << 20 };

struct file {
    char sop_uid[VT_UID_MAX + 1];
    char *path;
    bool settled;        /* has its name; before, ".part" stands behind it */
};

struct vt_slide_folder {
    char *path;
    struct file *files;
    size_t count;
    size_t raw, beside;  /* indices of; SIZE_MAX: none */
    int fd;              /* of the file that is written */
    const struct vt_slide_facts *dual;         /* not NULL: levels become TIFF files as well */
    const struct vt_slide_instance *instance;  /* that is written; NULL: no image */
    struct vt_buf block;
    uint64_t written;
};

struct vt_slide_folder *vt_slide_folder_new(const char *path, struct vt_err *err)
{
    VT_AUTO(vt_slide_folder) folder = calloc(1, sizeof *folder);

    if (folder) {
        folder->fd = -1;
        folder->raw = folder->beside = SIZE_MAX;
        vt_buf_init(&folder->block, BLOCK + META_MAX);
        folder->path = strdup(path);
    }
    if (!folder || !folder->path) {
        vt_fail(err, VT_E_NOMEM, "no memory for a folder");
        return NULL;
    }
    return vt_take(&folder);
}

static void part_name(const struct file *file, char out[static PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s%s", file->path, file->settled ? "" : ".part");
}

void vt_slide_folder_free(struct vt_slide_folder *folder)
{
    char name[PATH_MAX];

    if (!folder)
        return;
    if (folder->fd >= 0)
        close(folder->fd);
    for (size_t i = 0; i < folder->count; i++) {
        part_name(&folder->files[i], name);
        if (!folder->files[i].settled)
            unlink(name);
        free(folder->files[i].path);
    }
    vt_buf_fini(&folder->block);
    free(folder->files);
    free(folder->path);
    free(folder);
}

/* Takes the path over. */
static struct file *add_file(struct vt_slide_folder *folder, char *path, const char *sop_uid,
                             struct vt_err *err)
{
    struct file *grown = NULL;

    if (path && folder->count < VT_SLIDE_FOLDER_FILES_MAX)
        grown = reallocarray(folder->files, folder->count + 1, sizeof *grown);
    if (!grown) {
        free(path);
        vt_fail(err, VT_E_NOMEM, "no memory for %zu files", folder->count + 1);
        return NULL;
    }
    folder->files = grown;
    struct file *file = &folder->files[folder->count++];
    *file = (struct file){ .path = path };
    snprintf(file->sop_uid, sizeof file->sop_uid, "%.64s", sop_uid);
    return file;
}

/* ---- writing ---- */

static bool flush(struct vt_slide_folder *folder, struct vt_err *err)
{
    const char *path = folder->files[folder->count - 1].path;
    size_t size = folder->block.size;

    if (!vt_io_pwrite(folder->fd, folder->block.data, size, folder->written, path, err))
        return false;
    /* The disk works while the next block is made. */
    sync_file_range(folder->fd, (off_t)folder->written, (off_t)size, SYNC_FILE_RANGE_WRITE);
    folder->written += size;
    vt_buf_reset(&folder->block);
    return true;
}

static bool begin(void *context, const struct vt_slide_arrival *arrival, struct vt_err *err)
{
    struct vt_slide_folder *folder = context;
    const struct vt_file_meta meta = { arrival->sop_class, arrival->sop_uid, arrival->transfer_syntax, NULL };
    char name[PATH_MAX];

    if (folder->count == 0 && !vt_io_make_folder(folder->path, err))
        return false;
    char *path = NULL;
    if (asprintf(&path, "%s/%s.dcm", folder->path, arrival->name) < 0)
        path = NULL;
    struct file *file = add_file(folder, path, arrival->sop_uid, err);
    if (!file)
        return false;
    if (access(file->path, F_OK) == 0)
        return vt_fail(err, VT_E_EXISTS, "%s is there already", file->path);
    part_name(file, name);
    folder->instance = NULL;
    for (size_t i = 0; i < arrival->plan->count && !folder->instance; i++)
        if (strcmp(arrival->plan->instances[i].sop_uid, arrival->sop_uid) == 0)
            folder->instance = &arrival->plan->instances[i];
    folder->fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0640);
    if (folder->fd < 0)
        return vt_fail_errno(err, "%s", name);
    folder->written = 0;
    vt_buf_reset(&folder->block);
    return vt_write_file_meta(&folder->block, &meta, err);
}

static bool write_bytes(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_slide_folder *folder = context;

    while (size > 0) {
        size_t room = folder->block.limit - folder->block.size, part = size < room ? size : room;
        if (!vt_buf_append(&folder->block, bytes, part, err))
            return false;
        bytes += part;
        size -= part;
        if (folder->block.size == folder->block.limit && !flush(folder, err))
            return false;
    }
    return true;
}

static bool make_dual(const struct vt_slide_folder *folder, const char *name, struct vt_err *err)
{
    return !folder->dual || !folder->instance || !vt_slide_dual_fits(folder->instance) ||
           vt_slide_dual_append(folder->fd, name, folder->instance, folder->dual, err);
}

static bool end(void *context, struct vt_err *err)
{
    struct vt_slide_folder *folder = context;
    char name[PATH_MAX];

    part_name(&folder->files[folder->count - 1], name);
    bool ok = flush(folder, err) && make_dual(folder, name, err) && vt_io_sync_data(folder->fd, name, err);
    close(folder->fd);
    folder->fd = -1;
    return ok;
}

static bool settle(void *context, struct vt_slide_tally *out, struct vt_err *err)
{
    struct vt_slide_folder *folder = context;
    char name[PATH_MAX];

    for (size_t i = 0; i < folder->count; i++) {
        part_name(&folder->files[i], name);
        if (rename(name, folder->files[i].path) < 0)
            return vt_fail_errno(err, "%s", folder->files[i].path);
        folder->files[i].settled = true;
        out->stored++;
    }
    vt_autoclose fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return vt_fail_errno(err, "%s", folder->path);
    return vt_io_sync_folder(fd, folder->path, err);
}

/* ---- reading ---- */

static bool open_file(void *context, const char *sop_uid, struct vt_slide_part *out, struct vt_err *err)
{
    const struct vt_slide_folder *folder = context;

    for (size_t i = 0; i < folder->count; i++)
        if (strcmp(folder->files[i].sop_uid, sop_uid) == 0)
            return vt_slide_part_open(folder->files[i].path, out, err);
    return vt_fail(err, VT_E_NOTFOUND, "instance %s is not in %s", sop_uid, folder->path);
}

struct vt_slide_finder vt_slide_folder_finder(struct vt_slide_folder *folder)
{
    return (struct vt_slide_finder){ open_file, folder };
}

struct vt_slide_target vt_slide_folder_target(struct vt_slide_folder *folder)
{
    return (struct vt_slide_target){ .folder = folder->path,
                                     .begin = begin,
                                     .write = write_bytes,
                                     .end = end,
                                     .settle = settle,
                                     .finder = vt_slide_folder_finder(folder),
                                     .context = folder };
}

/* Other files are passed over. */
static bool look_at(struct vt_slide_folder *folder, const char *path, struct vt_err *err)
{
    struct vt_slide_part part = { .fd = -1 };
    struct vt_slide_value value;
    struct vt_err why = { 0 };
    bool there = false, beside = false;

    if (!vt_slide_part_open(path, &part, &why))
        return why.code != VT_E_NOMEM || vt_fail(err, VT_E_NOMEM, "no memory to look at %s", path);
    bool readable = vt_slide_part_find(&part, VT_TAG_RESIDUE, &value, &there, &why) &&
                    vt_slide_part_find(&part, VT_TAG_BESIDE, &value, &beside, &why);
    char *copy = strdup(path);
    struct file *file = add_file(folder, copy, part.name, err);
    vt_slide_part_close(&part);
    if (!file)
        return false;
    file->settled = true;
    if (readable && beside)
        folder->beside = folder->count - 1;
    if (readable && there) {
        if (folder->raw != SIZE_MAX)
            return vt_fail(err, VT_E_INVALID, "%s holds more than one slide: name the folder of one",
                           folder->path);
        folder->raw = folder->count - 1;
    }
    return true;
}

bool vt_slide_folder_scan(struct vt_slide_folder *folder, struct vt_err *err)
{
    char *const roots[] = { folder->path, NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool ok = true;

    if (!walk)
        return vt_fail_errno(err, "%s", folder->path);
    for (FTSENT *entry; ok && (entry = fts_read(walk));)
        if (entry->fts_info == FTS_F)
            ok = look_at(folder, entry->fts_path, err);
    fts_close(walk);
    if (ok && folder->raw == SIZE_MAX)
        return vt_fail(err, VT_E_NOTFOUND, "%s holds no slide that can be given back", folder->path);
    return ok;
}

const char *vt_slide_folder_raw(const struct vt_slide_folder *folder)
{
    return folder->raw == SIZE_MAX ? NULL : folder->files[folder->raw].sop_uid;
}

const char *vt_slide_folder_beside(const struct vt_slide_folder *folder)
{
    return folder->beside == SIZE_MAX ? NULL : folder->files[folder->beside].sop_uid;
}

void vt_slide_folder_dual(struct vt_slide_folder *folder, const struct vt_slide_facts *facts)
{
    folder->dual = facts;
}
