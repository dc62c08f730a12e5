/* What an object that lies in the store says of itself: for reindex, restore, and records whose
 * attributes were too many. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/inside.h"
#include "archive/patient.h"
#include "archive/place.h"
#include "core/clock.h"
#include "core/err.h"

enum { REREAD_BLOCK = 256 << 10 };

static bool feed(int fd, const char *file, uint64_t offset, struct vt_header *header,
                 struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(REREAD_BLOCK);
    ssize_t got = 0;

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to read %s", file);
    while ((got = pread(fd, block, REREAD_BLOCK, (off_t)offset)) > 0) {
        if (!vt_header_feed(header, block, (size_t)got, err))
            return false;
        offset += (uint64_t)got;
    }
    return got == 0 ? vt_header_finish(header, err) : vt_fail_errno(err, "reading %s", file);
}

static bool read_object(struct vt_archive *archive, int fd, const char *file,
                        struct vt_header *header, struct vt_part10 *out_meta,
                        struct vt_instance *out, struct vt_err *err)
{
    if (!vt_part10_read_file(fd, file, out_meta, err))
        return false;
    struct vt_private_syntax syntax =
        vt_archive_syntax(archive, out_meta->transfer_syntax_uid, fd, out_meta->data_set_offset);
    vt_header_reset(header, syntax.encoding, syntax.encapsulated, &archive->options.limits);
    return feed(fd, file, out_meta->data_set_offset, header, err) &&
           vt_instance_read(out, header, &archive->options.rules, err);
}

bool vt_archive_reread(struct vt_archive *archive, const char *file, struct vt_instance *out,
                       struct vt_err *err)
{
    vt_autoclose fd = openat(archive->root, file, O_RDONLY | O_CLOEXEC);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_part10 meta;
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0)
        return vt_fail_errno(err, "%s", file);
    if (!header)
        return vt_fail(err, VT_E_NOMEM, "no memory to read %s", file);
    vt_instance_reset(out);
    if (!read_object(archive, fd, file, header, &meta, out, err)) {
        if (err->code != VT_E_NOMEM && err->code != VT_E_IO)
            err->code = VT_E_CORRUPT;
        return vt_fail_context(err, "%s", file);
    }
    snprintf(out->file, sizeof out->file, "%s", file);
    memcpy(out->transfer_syntax, meta.transfer_syntax_uid, sizeof out->transfer_syntax);
    memcpy(out->calling_ae_title, meta.source_ae_title, sizeof out->calling_ae_title);
    out->version = vt_place_version(file);
    out->file_size = (uint64_t)info.st_size;
    out->data_set_offset = meta.data_set_offset;
    out->arrived = (int64_t)info.st_mtim.tv_sec * VT_NS_PER_S + info.st_mtim.tv_nsec;
    return vt_patient_apply(archive, out, err);
}
