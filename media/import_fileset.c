/* A DICOMDIR among the things that `vitrine import` takes. Named itself, it says which files are imported; found in a folder whose files
 * are all looked at anyway, it is what they are compared with. One that is damaged is told of, and the files below its folder are looked
 * at. Nothing outside that folder is opened, whatever the directory or a link says. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/header.h"
#include "media/fileset.h"
#include "media/import.h"

static bool recognises(const char *path, const uint8_t *head, size_t size)
{
    (void)path;
    return vt_fileset_is(head, size);
}

/* Below the folder and through no link; -1. Media are often mounted with small letters. */
static int open_inside(int folder, const char *path)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    char small[VT_FILESET_PATH_MAX + 1];
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    snprintf(small, sizeof small, "%s", path);
    for (char *at = small; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return (int)syscall(SYS_openat2, folder, small, &how, sizeof how);
}

static bool told_missing(const struct vt_import_call *call, const char *name, const char *text, struct vt_err *err)
{
    call->counts->failed++;
    return vt_import_say(call, name, "failed", false, text, err);
}

/* Does the file have the UID that its record says? */
static bool told_other(const struct vt_import_call *call, int fd, const char *name,
                       const struct vt_fileset_file *file, struct vt_err *err)
{
    struct vt_part10 meta;
    struct vt_err why = { 0 };

    if (!file->sop_uid[0] || !vt_part10_read_file(fd, name, &meta, &why) ||
        strcmp(meta.sop_instance_uid, file->sop_uid) == 0)
        return true;
    return vt_import_say(call, name, "other", false, "another instance than its directory record says", err);
}

static bool take_one(const struct vt_import_call *call, int folder, const char *folder_name,
                     const struct vt_fileset_file *file, struct vt_err *err)
{
    char name[PATH_MAX];
    struct stat about;

    if (!file->path)
        return told_missing(call, folder_name, "the DICOMDIR names a file by what is no name inside its folder: refused", err);
    if (snprintf(name, sizeof name, "%s/%s", folder_name, file->path) >= (int)sizeof name)
        return told_missing(call, folder_name, "the DICOMDIR names a file whose path is too long", err);
    vt_autoclose fd = open_inside(folder, file->path);
    if (fd < 0 && (errno == ELOOP || errno == EXDEV))
        return told_missing(call, name, "it is reached through a link: refused", err);
    if (fd < 0)
        return told_missing(call, name, "named in the DICOMDIR, and not there", err);
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return told_missing(call, name, "no file", err);
    return told_other(call, fd, name, file, err) && (!call->named || vt_import_descriptor(call, fd, name, err));
}

/* ---- a damaged one, named itself ---- */

static bool take_found(const struct vt_import_call *call, int folder, const char *folder_name, const FTSENT *entry,
                       struct vt_err *err)
{
    const char *inside = entry->fts_path + strlen(folder_name);
    uint8_t head[VT_IMPORT_HEAD];

    inside += strspn(inside, "/");
    vt_autoclose fd = open_inside(folder, inside);
    ssize_t size = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
    if (size < 0)
        return told_missing(call, entry->fts_path, "it cannot be read", err);
    return vt_fileset_is(head, (size_t)size) || vt_import_descriptor(call, fd, entry->fts_path, err);
}

static bool scan(const struct vt_import_call *call, int folder, const char *folder_name, struct vt_err *err)
{
    char *const roots[] = { (char *)(uintptr_t)folder_name, NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    FTSENT *entry;
    bool ok = true;

    if (!fts)
        return vt_fail_errno(err, "%s", folder_name);
    while (ok && (entry = fts_read(fts)))
        if (entry->fts_info == FTS_F)
            ok = take_found(call, folder, folder_name, entry, err);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            ok = told_missing(call, entry->fts_path, strerror(entry->fts_errno), err);
    fts_close(fts);
    return ok;
}

/* ---- the kind ---- */

static bool take_damaged(const struct vt_import_call *call, int folder, const char *folder_name, const char *path,
                         const struct vt_err *why, struct vt_err *err)
{
    char text[VT_ERR_TEXT_MAX + 64];

    snprintf(text, sizeof text, "%s; the files of its folder are looked at instead", why->text);
    call->counts->skipped++;
    return vt_import_say(call, path, "damaged", false, text, err) &&
           (!call->named || scan(call, folder, folder_name, err));
}

static bool import(const struct vt_import_call *call, const char *path, struct vt_err *err)
{
    struct vt_err why = { 0 };
    char folder_name[PATH_MAX];
    const char *slash = strrchr(path, '/');

    snprintf(folder_name, sizeof folder_name, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    vt_autoclose folder = open(folder_name[0] ? folder_name : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return vt_fail_errno(err, "%s", folder_name);
    VT_AUTO(vt_fileset) fileset = vt_fileset_load(path, &why);
    if (!fileset && why.code != VT_E_CORRUPT && why.code != VT_E_LIMIT) {
        *err = why;
        return false;
    }
    if (!fileset)
        return take_damaged(call, folder, folder_name, path, &why, err);
    for (size_t i = 0; i < fileset->count; i++) {
        if (call->progress && call->named && !call->progress(call->context, i, fileset->count, "files"))
            return vt_fail(err, VT_E_CANCELLED, "stopped");
        if (!take_one(call, folder, folder_name, &fileset->files[i], err))
            return false;
    }
    call->counts->skipped++;
    return vt_import_say(call, path, "directory", true, "", err);
}

const struct vt_import_kind vt_import_fileset = { "file-set", recognises, import };
