/* vt_archive_outgoing: the data set with the decided identity, and what it was before in Original
 * Attributes Sequence (0400,0561, PS3.3 C.12.1.1.9). Only the elements before pixel data are
 * rewritten; the rest is copied as bytes, whatever its size or transfer syntax. Deflated data sets
 * are inflated, and deflated again, as objects: they are small. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/patient.h"
#include "archive/patient_inside.h"
#include "archive/patient_rewrite.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "dicom/text.h"

enum { HEADER_MAX = 256 << 20, COPY_BLOCK = 256 << 10 };

static int temporary(struct vt_archive *archive, struct vt_err *err)
{
    int fd = openat(archive->staging, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        vt_fail_errno(err, "making a temporary file in %s/staging", archive->path);
    return fd;
}

static bool copy_rest(int from, uint64_t at, uint64_t end, int to, uint64_t to_at, const char *name,
                      struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(COPY_BLOCK);

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to copy %s", name);
    while (at < end) {
        size_t size = end - at < COPY_BLOCK ? (size_t)(end - at) : COPY_BLOCK;
        if (!vt_io_pread(from, block, size, at, name, err) ||
            !vt_io_pwrite(to, block, size, to_at, name, err))
            return false;
        at += size;
        to_at += size;
    }
    return true;
}

/* Where the element of pixel data begins: all before it is the header. */
static uint64_t header_size(const struct vt_stored *stored, enum vt_encoding encoding)
{
    uint64_t own = encoding == VT_IMPLICIT_LE ? 8 : 12;

    if (!stored->entry.has_pixels || stored->entry.pixel_offset < own)
        return stored->data_set_size;
    return stored->entry.pixel_offset - own;
}

static bool write_out(struct vt_archive *archive, struct vt_stored *stored,
                      const struct vt_buf *header, uint64_t replaced, struct vt_err *err)
{
    vt_autoclose fd = temporary(archive, err);
    uint64_t rest = stored->data_set_size - replaced;

    if (fd < 0 || !vt_io_pwrite(fd, header->data, header->size, 0, stored->entry.file, err) ||
        !copy_rest(stored->fd, stored->data_set_offset + replaced,
                   stored->data_set_offset + stored->data_set_size, fd, header->size,
                   stored->entry.file, err))
        return false;
    close(stored->fd);
    stored->fd = vt_take_fd(&fd);
    stored->data_set_offset = 0;
    stored->data_set_size = header->size + rest;
    return true;
}

/* ---- whose it is ---- */

static bool text_of(const uint8_t *bytes, size_t size, enum vt_encoding encoding, uint32_t tag,
                    const char *charset, char *out, size_t room, struct vt_err *err)
{
    struct vt_element element;
    const char *text;
    size_t length;
    VT_AUTO_BUF(utf8, VT_ATTRIBUTES_MAX);

    out[0] = '\0';
    if (!vt_element_find(bytes, size, encoding, tag, &element))
        return true;
    vt_attribute_trim(element.value, element.length, &text, &length);
    if (!vt_text_to_utf8(charset, NULL, "LO", text, length, "\xef\xbf\xbd", &utf8, err))
        return false;
    length = vt_utf8_cut((const char *)utf8.data, utf8.size, room - 1);
    if (length > 0)
        memcpy(out, utf8.data, length);
    out[length] = '\0';
    return true;
}

static bool patch_for(struct vt_archive *archive, const struct vt_stored *stored,
                      struct vt_rewrite *rewrite, struct vt_buf *set,
                      struct vt_patient_patch *patch, struct vt_err *err)
{
    struct vt_identity identity;
    const char *issuer = archive->options.rules.default_issuer,
               *fallback = archive->options.rules.default_charset;
    struct vt_element element;

    if (vt_element_find(rewrite->bytes, rewrite->size, rewrite->encoding,
                        VT_TAG_SPECIFIC_CHARACTER_SET, &element))
        vt_element_text(&element, rewrite->charset, sizeof rewrite->charset);
    const char *charset = rewrite->charset[0] ? rewrite->charset
                          : fallback          ? fallback
                                              : "ISO_IR 100";
    if (!text_of(rewrite->bytes, rewrite->size, rewrite->encoding, VT_TAG_PATIENT_ID, charset,
                 identity.id, sizeof identity.id, err) ||
        !text_of(rewrite->bytes, rewrite->size, rewrite->encoding, VT_TAG_ISSUER_OF_PATIENT_ID,
                 charset, identity.issuer, sizeof identity.issuer, err))
        return false;
    if (identity.id[0] && !identity.issuer[0] && issuer)
        snprintf(identity.issuer, sizeof identity.issuer, "%s", issuer);
    return vt_patient_patch(archive, stored->entry.study_uid, &identity, set, patch, err);
}

static void fill_when(struct vt_rewrite *rewrite, const struct vt_patient_patch *patch)
{
    time_t seconds = (time_t)(patch->at / 1000000000);
    struct tm utc;

    if (gmtime_r(&seconds, &utc))
        strftime(rewrite->when, sizeof rewrite->when, "%Y%m%d%H%M%S+0000", &utc);
    snprintf(rewrite->reason, sizeof rewrite->reason, "%s", patch->reason);
}

static bool rewrite_header(struct vt_archive *archive, struct vt_stored *stored,
                           enum vt_encoding encoding, struct vt_err *err)
{
    uint64_t size = header_size(stored, encoding);
    struct vt_patient_patch patch;
    VT_AUTO_BUF(set, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(out, 2 * (size_t)HEADER_MAX);

    if (size > HEADER_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: %llu bytes before pixel data", stored->entry.file,
                       (unsigned long long)size);
    vt_autofree uint8_t *bytes = malloc(size + 1);
    if (!bytes)
        return vt_fail(err, VT_E_NOMEM, "no memory for the header of %s", stored->entry.file);
    if (!vt_io_pread(stored->fd, bytes, size, stored->data_set_offset, stored->entry.file, err))
        return false;
    struct vt_rewrite rewrite = { .bytes = bytes, .size = size, .encoding = encoding };
    if (!patch_for(archive, stored, &rewrite, &set, &patch, err))
        return false;
    if (!patch.any)
        return true;
    rewrite.set = set.data;
    rewrite.set_size = set.size;
    fill_when(&rewrite, &patch);
    return vt_rewrite_run(&rewrite, &out, err) && write_out(archive, stored, &out, size, err);
}

/* ---- deflated ---- */

static bool inflate_rewrite_deflate(struct vt_archive *archive, struct vt_stored *stored,
                                    struct vt_err *err)
{
    struct vt_stored plain = *stored;
    VT_AUTO_BUF(bytes, HEADER_MAX);
    VT_AUTO_BUF(flat, HEADER_MAX);
    VT_AUTO_BUF(deflated, HEADER_MAX);

    if (!vt_buf_reserve(&bytes, stored->data_set_size, err) ||
        !vt_io_pread(stored->fd, bytes.data, stored->data_set_size, stored->data_set_offset,
                     stored->entry.file, err))
        return false;
    VT_AUTO(vt_dataset)
    data_set = vt_dataset_parse(bytes.data, stored->data_set_size, VT_UID_DEFLATED_LE, err);
    if (!data_set || !vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &flat, err))
        return false;
    vt_autoclose fd = temporary(archive, err);
    if (fd < 0 || !vt_io_pwrite(fd, flat.data, flat.size, 0, stored->entry.file, err))
        return false;
    plain.fd = vt_take_fd(&fd);
    plain.data_set_offset = 0;
    plain.data_set_size = flat.size;
    plain.entry.has_pixels = false;
    bool ok = rewrite_header(archive, &plain, VT_EXPLICIT_LE, err);
    vt_buf_reset(&bytes);
    ok = ok && vt_buf_reserve(&bytes, plain.data_set_size, err) &&
         vt_io_pread(plain.fd, bytes.data, plain.data_set_size, plain.data_set_offset,
                     stored->entry.file, err);
    close(plain.fd);
    if (!ok)
        return false;
    VT_AUTO(vt_dataset)
    changed = vt_dataset_parse(bytes.data, plain.data_set_size, VT_UID_EXPLICIT_LE, err);
    return changed && vt_dataset_encode(changed, VT_UID_DEFLATED_LE, &deflated, err) &&
           write_out(archive, stored, &deflated, stored->data_set_size, err);
}

static enum vt_encoding encoding_of(struct vt_archive *archive, const struct vt_stored *stored)
{
    return vt_archive_syntax(archive, stored->entry.transfer_syntax, stored->fd,
                             stored->data_set_offset)
        .encoding;
}

bool vt_archive_outgoing_header(struct vt_archive *archive, struct vt_stored *stored,
                                struct vt_err *err)
{
    enum vt_encoding encoding = encoding_of(archive, stored);

    if (encoding != VT_DEFLATED_LE)
        stored->data_set_size = header_size(stored, encoding);
    return vt_archive_outgoing(archive, stored, err);
}

bool vt_archive_outgoing(struct vt_archive *archive, struct vt_stored *stored, struct vt_err *err)
{
    enum vt_encoding encoding = encoding_of(archive, stored);

    if (!stored->corrected)
        return true;
    bool ok = encoding == VT_DEFLATED_LE ? inflate_rewrite_deflate(archive, stored, err)
                                         : rewrite_header(archive, stored, encoding, err);
    return ok || vt_fail_context(err, "correcting %s on its way out", stored->entry.sop_uid);
}
