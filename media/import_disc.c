/* ISO images and ZIP files among the things that `vitrine import` takes: read twice as a stream, first for the DICOMDIR in the root, then
 * for the instances, each of which goes into the archive as it is unpacked. All DICOM files of the disc are taken; what the DICOMDIR names
 * and the disc does not have is told. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/header.h"
#include "media/disc.h"
#include "media/fileset.h"
#include "media/import.h"

enum { BLOCK = 1 << 20 };

struct importing {
    const struct vt_import_call *call;
    const char *path;               /* of the disc */
    struct vt_disc *disc;
    struct vt_fileset *fileset;     /* NULL: none, or damaged */
    uint8_t *block;
    char name[PATH_MAX + VT_DISC_PATH_MAX];   /* of the file within, for people */
    uint64_t done;
};

static bool say(const struct importing *importing, const char *result, bool quiet, const char *text,
                struct vt_err *err)
{
    return vt_import_say(importing->call, importing->name, result, quiet, text, err);
}

static bool failed(const struct importing *importing, const char *text, struct vt_err *err)
{
    importing->call->counts->failed++;
    return say(importing, "failed", false, text, err);
}

/* ---- the directory ---- */

static bool is_directory(const char *path)
{
    size_t length = strcspn(path, ";");

    while (strncmp(path, "./", 2) == 0) {
        path += 2;
        length -= 2;
    }
    while (length > 0 && path[length - 1] == '.')
        length--;
    return length == 8 && strncasecmp(path, "DICOMDIR", 8) == 0;
}

static bool read_whole(struct importing *importing, struct vt_buf *out, struct vt_err *err)
{
    size_t got;

    do {
        if (!vt_disc_read(importing->disc, importing->block, BLOCK, &got, err) ||
            !vt_buf_append(out, importing->block, got, err))
            return false;
    } while (got > 0);
    return true;
}

static bool read_directory(struct importing *importing, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_FILESET_BYTES_MAX);
    struct vt_err why = { 0 };
    char text[VT_ERR_TEXT_MAX + 64];

    if (read_whole(importing, &bytes, &why))
        importing->fileset = vt_fileset_read(bytes.data, bytes.size, &why);
    if (importing->fileset)
        return true;
    if (why.code == VT_E_NOMEM) {
        *err = why;
        return false;
    }
    snprintf(text, sizeof text, "%s; the files of the disc are looked at instead", why.text);
    return vt_import_say(importing->call, importing->path, "damaged", false, text, err);
}

static bool find_directory(struct importing *importing, struct vt_err *err)
{
    struct vt_disc_entry entry;
    bool more;

    while (vt_disc_next(importing->disc, &entry, &more, err)) {
        if (!more)
            return true;
        if (entry.kind == VT_DISC_FILE && is_directory(entry.path))
            return read_directory(importing, err);
    }
    return false;
}

static bool tell_missing(const struct importing *importing, struct vt_err *err)
{
    const struct vt_fileset *fileset = importing->fileset;

    for (size_t i = 0; fileset && i < fileset->count; i++) {
        const struct vt_fileset_file *file = &fileset->files[i];
        if (file->seen)
            continue;
        importing->call->counts->failed++;
        if (!vt_import_say(importing->call, file->path ? file->path : importing->path, "failed", false,
                           file->path ? "named in the DICOMDIR, and not there"
                                      : "the DICOMDIR names a file by what is no name inside the disc: refused",
                           err))
            return false;
    }
    return true;
}

/* ---- instances ---- */

/* As much of the file's beginning as holds its group 0002. */
static bool read_head(struct importing *importing, size_t *out_size, struct vt_err *err)
{
    size_t size = 0, got = 1;

    while (got > 0 && size < VT_PART10_META_MAX + VT_IMPORT_HEAD) {
        if (!vt_disc_read(importing->disc, importing->block + size, BLOCK - size, &got, err))
            return false;
        size += got;
    }
    *out_size = size;
    return true;
}

static bool pass(struct importing *importing, size_t offset, size_t size, struct vt_err *err)
{
    struct vt_receive *receive = importing->call->receive;
    size_t got = size - offset;

    if (!vt_receive_write(receive, importing->block + offset, got, err))
        return false;
    do {
        if (!vt_disc_read(importing->disc, importing->block, BLOCK, &got, err) ||
            !vt_receive_write(receive, importing->block, got, err))
            return false;
    } while (got > 0);
    return true;
}

static bool store(struct importing *importing, const struct vt_part10 *meta, size_t size,
                  struct vt_receive_result *out, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(meta->transfer_syntax_uid);
    const struct vt_receive_from from = {
        .transfer_syntax_uid = meta->transfer_syntax_uid,
        .encoding = syntax ? syntax->encoding : VT_EXPLICIT_LE,
        .encapsulated = syntax && syntax->encapsulated,
        .calling_ae_title = meta->source_ae_title,
        .host = "",
    };

    if (!syntax)
        return vt_fail(err, VT_E_UNSUPPORTED, "transfer syntax %s is not known: copy the file from the disc, then import it",
                       meta->transfer_syntax_uid);
    if (!vt_receive_begin(importing->call->receive, &from, err))
        return false;
    if (!pass(importing, (size_t)meta->data_set_offset, size, err)) {
        vt_receive_abandon(importing->call->receive);
        return false;
    }
    return vt_receive_commit(importing->call->receive, out, err);
}

/* out_ends: the disc cannot be read on. */
static bool take_file(struct importing *importing, struct vt_fileset_file *record, bool *out_ends, struct vt_err *err)
{
    struct vt_receive_result result = { 0 };
    struct vt_err why = { 0 };
    struct vt_part10 meta;
    size_t size;

    if (!read_head(importing, &size, &why)) {
        *out_ends = why.code == VT_E_LIMIT;
        return failed(importing, why.text, err);
    }
    if (size < 132 || memcmp(importing->block + 128, "DICM", 4) != 0) {
        importing->call->counts->skipped++;
        return say(importing, "skipped", true, "no DICOM file", err);
    }
    if (vt_fileset_is(importing->block, size)) {
        importing->call->counts->skipped++;
        return say(importing, "directory", true, "", err);
    }
    if (!vt_part10_read(importing->block, size, &meta, &why) || meta.data_set_offset > size ||
        !store(importing, &meta, size, &result, &why)) {
        *out_ends = why.code == VT_E_LIMIT && why.dimse_status == 0;
        return failed(importing, why.text[0] ? why.text : "group 0002 is damaged", err);
    }
    if (record && record->sop_uid[0] && strcmp(record->sop_uid, result.sop_uid) != 0 &&
        !say(importing, "other", false, "another instance than its directory record says", err))
        return false;
    return vt_import_note(importing->call, importing->name, &result, err);
}

static bool take_entry(struct importing *importing, const struct vt_disc_entry *entry, bool *out_ends,
                       struct vt_err *err)
{
    const char *inside = strncmp(entry->path, "./", 2) == 0 ? entry->path + 2 : entry->path;
    struct vt_fileset_file *record = importing->fileset ? vt_fileset_find(importing->fileset, inside) : NULL;
    const struct vt_import_call *call = importing->call;

    snprintf(importing->name, sizeof importing->name, "%s:%s", importing->path, inside);
    if (record)
        record->seen = true;
    if (call->progress && !call->progress(call->context, ++importing->done, 0, "files"))
        return vt_fail(err, VT_E_CANCELLED, "stopped");
    if (entry->kind == VT_DISC_FILE)
        return take_file(importing, record, out_ends, err);
    return failed(importing, entry->why, err);
}

static bool take_all(struct importing *importing, struct vt_err *err)
{
    struct vt_disc_entry entry;
    struct vt_err why = { 0 };
    bool more = true, ends = false;

    while (!ends && vt_disc_next(importing->disc, &entry, &more, &why)) {
        if (!more)
            return tell_missing(importing, err);
        if (!take_entry(importing, &entry, &ends, err))
            return false;
    }
    if (ends)
        vt_fail(&why, VT_E_LIMIT, "the rest of the disc is not read");
    *err = why;
    return false;
}

/* ---- the kind ---- */

static bool recognises(const char *path, const uint8_t *head, size_t size)
{
    return vt_disc_is(path, head, size);
}

static bool import(const struct vt_import_call *call, const char *path, struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(BLOCK);
    vt_autofree struct importing *importing = calloc(1, sizeof *importing);

    if (!block || !importing)
        return vt_fail(err, VT_E_NOMEM, "no memory to read %s", path);
    *importing = (struct importing){ .call = call, .path = path, .block = block };
    VT_AUTO(vt_disc) first = vt_disc_open(path, err);
    importing->disc = first;
    bool ok = first && find_directory(importing, err);
    VT_AUTO(vt_fileset) fileset = importing->fileset;
    if (!ok)
        return false;
    VT_AUTO(vt_disc) second = vt_disc_open(path, err);
    importing->disc = second;
    return second && take_all(importing, err);
}

const struct vt_import_kind vt_import_disc = { "disc", recognises, import };
