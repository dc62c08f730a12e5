/* Two encodings of one data set, compared outside the pixel data: all of it, since what is not
 * compared would be lost when the second is taken for the first. */
#include <fcntl.h>
#include <string.h>

#include "archive/decide.h"
#include "archive/inside.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"

enum {
    OUTSIDE_MAX = 16 << 20, /* bytes outside the pixel data; more is not compared */
    INFLATED_MAX = 64 << 20,
    PIXEL_HEADER_MAX = 12,
    PIXEL_GROUP = 0x7FE0,
};

/* Describes the pixels' encoding, or is derived from it. */
static bool is_of_encoding(uint32_t tag)
{
    static const uint32_t tags[] = {
        VT_TAG_SPECIFIC_CHARACTER_SET, VT_TAG_PHOTOMETRIC_INTERPRETATION,
        VT_TAG(0x0028, 0x0006), /* Planar Configuration */
        VT_TAG(0x0028, 0x2110), /* Lossy Image Compression ... */
        VT_TAG(0x0028, 0x2112),        VT_TAG(0x0028, 0x2114),
    };

    if (VT_TAG_ELEMENT(tag) == 0 || VT_TAG_GROUP(tag) == PIXEL_GROUP)
        return true; /* group lengths; pixels and their offset tables */
    for (size_t i = 0; i < VT_COUNT(tags); i++)
        if (tags[i] == tag)
            return true;
    return false;
}

/* Appends in Implicit VR LE, where explicit VRs of private elements do not show. The last `leave`
 * bytes or fewer are the header of the pixel data. */
static bool canonical(const uint8_t *bytes, size_t size, enum vt_encoding encoding, size_t leave,
                      struct vt_buf *out, struct vt_err *err)
{
    struct vt_writer writer = { out, VT_IMPLICIT_LE };
    struct vt_element element;
    struct vt_walk walk;
    bool more = true;

    vt_walk_init(&walk, bytes, size, encoding);
    while ((size_t)(walk.end - walk.at) > leave) {
        if (!vt_walk_next(&walk, &element, &more, err))
            return false;
        if (!more)
            break;
        if (!is_of_encoding(element.tag) && !vt_write_element(&writer, &element, encoding, err))
            return false;
    }
    return true;
}

static bool read_piece(int fd, const char *path, uint64_t offset, uint64_t size, struct vt_buf *out,
                       struct vt_err *err)
{
    vt_buf_reset(out);
    if (size > OUTSIDE_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: too much outside the pixel data", path);
    if (!vt_buf_reserve(out, (size_t)size, err))
        return false;
    out->size = (size_t)size;
    return vt_io_pread(fd, out->data, (size_t)size, offset, path, err);
}

/* What stands before the pixel data, and what behind. */
static bool read_outside(const struct vt_compared *from, int fd, uint64_t offset, uint64_t size,
                         enum vt_encoding encoding, struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO_BUF(piece, OUTSIDE_MAX);
    uint64_t head = from->has_pixels ? from->pixel_offset : size;

    if (!read_piece(fd, from->path, offset, head, &piece, err) ||
        !canonical(piece.data, piece.size, encoding, from->has_pixels ? PIXEL_HEADER_MAX : 0, out,
                   err))
        return false;
    if (!from->has_pixels || from->pixel_length >= size - head)
        return true;
    return read_piece(fd, from->path, offset + head + from->pixel_length,
                      size - head - from->pixel_length, &piece, err) &&
           canonical(piece.data, piece.size, encoding, 0, out, err);
}

static bool read_deflated(const struct vt_compared *from, uint64_t size, struct vt_buf *out,
                          struct vt_err *err)
{
    VT_AUTO_BUF(plain, INFLATED_MAX);

    if (size > OUTSIDE_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: too large to be inflated", from->path);
    VT_AUTO(vt_dataset) data_set = vt_dataset_load(from->path, false, err);
    return data_set && vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &plain, err) &&
           canonical(plain.data, plain.size, VT_EXPLICIT_LE, 0, out, err);
}

static bool read_attributes(const struct vt_archive *archive, const struct vt_compared *from,
                            struct vt_buf *out, struct vt_err *err)
{
    vt_autoclose fd = open(from->path, O_RDONLY | O_CLOEXEC);
    struct vt_part10 meta;
    uint64_t size = from->data_set_size;

    if (fd < 0)
        return vt_fail_errno(err, "%s", from->path);
    if (!vt_part10_read_file(fd, from->path, &meta, err))
        return false;
    enum vt_encoding encoding =
        vt_archive_syntax(archive, meta.transfer_syntax_uid, fd, meta.data_set_offset).encoding;
    if (encoding == VT_DEFLATED_LE)
        return read_deflated(from, size, out, err);
    if (from->has_pixels && from->pixel_offset > size)
        return vt_fail(err, VT_E_CORRUPT, "%s ends before its pixel data", from->path);
    return read_outside(from, fd, meta.data_set_offset, size, encoding, out, err);
}

bool vt_duplicate_same_attributes(const struct vt_archive *archive, const struct vt_compared *a,
                                  const struct vt_compared *b, bool *out_same, struct vt_err *err)
{
    VT_AUTO_BUF(one, OUTSIDE_MAX * 2);
    VT_AUTO_BUF(other, OUTSIDE_MAX * 2);

    if (!read_attributes(archive, a, &one, err) || !read_attributes(archive, b, &other, err))
        return false;
    *out_same =
        one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
    return true;
}
