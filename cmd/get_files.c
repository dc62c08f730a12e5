#include "cmd/get_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/header.h"

enum { META_MAX = 4096 };

struct vt_get_files {
    char *folder;
    const char *source_ae_title;
    char temporary[PATH_MAX];
    int fd; /* of the instance under way; -1: none */
    struct vt_header *header;
    bool readable; /* the header could be read so far */
    char sop_uid[VT_UID_MAX + 1];
    uint64_t size, count, bytes;
    struct vt_err trouble;
    vt_get_files_told told;
    void *context;
};

struct vt_get_files *vt_get_files_new(const char *folder, const char *source_ae_title,
                                      struct vt_err *err)
{
    struct vt_get_files *files = calloc(1, sizeof *files);

    if (files) {
        files->fd = -1;
        files->source_ae_title = source_ae_title;
        files->folder = strdup(folder);
        files->header = vt_header_new();
    }
    if (!files || !files->folder || !files->header) {
        vt_get_files_free(files);
        vt_fail(err, VT_E_NOMEM, "no memory for incoming instances");
        return NULL;
    }
    if (!vt_io_make_folder(folder, err)) {
        vt_get_files_free(files);
        return NULL;
    }
    return files;
}

static void drop(struct vt_get_files *files)
{
    if (files->fd < 0)
        return;
    close(files->fd);
    files->fd = -1;
    unlink(files->temporary);
}

void vt_get_files_free(struct vt_get_files *files)
{
    if (!files)
        return;
    drop(files);
    vt_header_free(files->header);
    free(files->folder);
    free(files);
}

void vt_get_files_tell(struct vt_get_files *files, vt_get_files_told told, void *context)
{
    files->told = told;
    files->context = context;
}

uint64_t vt_get_files_count(const struct vt_get_files *files)
{
    return files->count;
}

uint64_t vt_get_files_bytes(const struct vt_get_files *files)
{
    return files->bytes;
}

const char *vt_get_files_trouble(const struct vt_get_files *files)
{
    return vt_failed(&files->trouble) ? files->trouble.text : NULL;
}

static bool trouble(struct vt_get_files *files, const struct vt_err *err)
{
    files->trouble = *err;
    return false;
}

static bool write_all(int fd, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return vt_fail_errno(err, "writing an instance");
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

/* A name made of a UID: digits and dots, not "." or "..". */
static bool safe_name(const char *uid)
{
    return vt_uid_usable(uid) && uid[0] != '.' && !strstr(uid, "..");
}

static bool begin(void *context, const struct vt_command *command, const char *transfer_syntax,
                  struct vt_err *err)
{
    struct vt_get_files *files = context;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(transfer_syntax);
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    const struct vt_file_meta meta = { command->sop_class_uid, command->sop_instance_uid,
                                       transfer_syntax, files->source_ae_title };
    VT_AUTO_BUF(head, META_MAX);

    if (!safe_name(command->sop_instance_uid)) {
        vt_fail_dimse(err, VT_E_INVALID, VT_STATUS_INVALID_INSTANCE,
                      "the peer sent an instance with the UID '%s'", command->sop_instance_uid);
        return trouble(files, err);
    }
    snprintf(files->sop_uid, sizeof files->sop_uid, "%s", command->sop_instance_uid);
    snprintf(files->temporary, sizeof files->temporary, "%s/.%s.part", files->folder,
             files->sop_uid);
    files->fd = open(files->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (files->fd < 0) {
        vt_fail_errno(err, "making %s", files->temporary);
        return trouble(files, err);
    }
    vt_header_reset(files->header, syntax ? syntax->encoding : VT_EXPLICIT_LE,
                    syntax && syntax->encapsulated, &limits);
    files->readable = true;
    files->size = 0;
    if (!vt_write_file_meta(&head, &meta, err) ||
        !write_all(files->fd, head.data, head.size, err)) {
        drop(files);
        return trouble(files, err);
    }
    return true;
}

static bool take_bytes(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_get_files *files = context;
    struct vt_err why = { 0 };

    files->readable = files->readable && vt_header_feed(files->header, bytes, size, &why);
    files->size += size;
    if (!write_all(files->fd, bytes, size, err))
        return trouble(files, err);
    return true;
}

/* <study>/<series>; what cannot be read goes to unknown/. */
static void choose_folder(struct vt_get_files *files, char *out, size_t room)
{
    char study[VT_UID_MAX + 1] = "", series[VT_UID_MAX + 1] = "";
    struct vt_err why = { 0 };

    if (files->readable && vt_header_finish(files->header, &why)) {
        vt_header_text(files->header, VT_TAG_STUDY_INSTANCE_UID, study, sizeof study);
        vt_header_text(files->header, VT_TAG_SERIES_INSTANCE_UID, series, sizeof series);
    }
    if (safe_name(study) && safe_name(series))
        snprintf(out, room, "%s/%s/%s", files->folder, study, series);
    else
        snprintf(out, room, "%s/unknown", files->folder);
}

static bool finish(struct vt_get_files *files, struct vt_err *err)
{
    char folder[PATH_MAX], path[PATH_MAX + VT_UID_MAX + 8];

    choose_folder(files, folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s.dcm", folder, files->sop_uid);
    if (!vt_io_make_folder(folder, err))
        return false;
    int fd = vt_take_fd(&files->fd);
    if (close(fd) != 0 || rename(files->temporary, path) != 0) {
        vt_fail_errno(err, "writing %s", path);
        unlink(files->temporary);
        return false;
    }
    files->count++;
    files->bytes += files->size;
    if (files->told)
        files->told(files->context, path, files->sop_uid, files->size);
    return true;
}

static uint16_t end(void *context, bool complete)
{
    struct vt_get_files *files = context;
    struct vt_err err = { 0 };

    if (complete && finish(files, &err))
        return VT_STATUS_SUCCESS;
    drop(files);
    if (vt_failed(&err))
        trouble(files, &err);
    return VT_STATUS_OUT_OF_RESOURCES;
}

struct vt_sink vt_get_files_sink(struct vt_get_files *files)
{
    return (struct vt_sink){ begin, take_bytes, end, files };
}
