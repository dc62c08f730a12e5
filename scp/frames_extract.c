/* Some frames of a stored instance as an instance of their own: header, offset table, bytes of the frames as they lie. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/io.h"
#include "scp/frames.h"

enum { COPY = 1 << 20, ITEM_HEADER = 8, LONG_HEADER = 12, NAME_MAX_BYTES = 16 << 20 };

struct extracting {
    struct vt_archive *archive;
    const struct vt_stored *stored;
    const struct vt_frame_request *request;
    bool encapsulated;
    enum vt_encoding encoding;
    uint64_t pixels;               /* offset of the value in the data set */
    int64_t shift;                 /* by which a corrected header is longer than the stored one */
    struct vt_frame_header header;
    struct vt_buf head, numbers, frames, out;
    uint8_t *copy;
    struct vt_extracted result;
    struct vt_err *err;
};

static bool refuse(struct vt_err *err, const char *why)
{
    return vt_fail_dimse(err, VT_E_UNSUPPORTED, VT_STATUS_CANNOT_EXTRACT, "%s", why);
}

/* ---- reading the source ---- */

static bool find_pixels(struct extracting *x)
{
    const struct vt_index_entry *entry = &x->stored->entry;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(entry->transfer_syntax);

    if (!entry->has_pixels)
        return refuse(x->err, "it has no frames");
    if (!syntax || (syntax->encoding != VT_EXPLICIT_LE && syntax->encoding != VT_IMPLICIT_LE))
        return refuse(x->err, "frames are not taken out of its transfer syntax");
    x->encoding = syntax->encoding;
    x->encapsulated = syntax->encapsulated;
    x->shift = (int64_t)(x->stored->data_set_size - entry->data_set_size);
    x->pixels = (uint64_t)((int64_t)entry->pixel_offset + x->shift);
    return true;
}

static bool read_head(struct extracting *x)
{
    uint64_t before = x->encoding == VT_IMPLICIT_LE ? ITEM_HEADER : LONG_HEADER;

    if (x->pixels < before || x->pixels - before > VT_FRAMES_HEADER_MAX)
        return refuse(x->err, "its header is too large");
    size_t size = (size_t)(x->pixels - before);
    if (!vt_buf_reserve(&x->head, size, x->err) ||
        !vt_io_pread(x->stored->fd, x->head.data, size, x->stored->data_set_offset, x->stored->entry.sop_uid, x->err))
        return false;
    x->head.size = size;
    return vt_frame_header_read(x->head.data, size, x->encoding, &x->header, x->err);
}

/* Where frame i (from 0) lies in the data set. */
static bool frame_at(const struct extracting *x, uint32_t i, struct vt_frame *out)
{
    if (x->encapsulated) {
        if (!vt_frames_at(x->frames.data, x->frames.size, i, out))
            return refuse(x->err, "where its frames lie is not known");
        out->offset = (uint64_t)((int64_t)out->offset + x->shift);
    } else {
        *out = (struct vt_frame){ x->pixels + (uint64_t)i * x->header.frame_bytes, x->header.frame_bytes };
    }
    return (out->offset <= x->stored->data_set_size && out->length <= x->stored->data_set_size - out->offset) ||
           refuse(x->err, "it is shorter than its frames");
}

static bool find_frames(struct extracting *x)
{
    size_t count = 0;

    if (!vt_frame_request_resolve(x->request, x->header.total, &x->numbers, x->err))
        return false;
    if (!x->encapsulated)
        return x->header.frame_bytes > 0 || refuse(x->err, "its frames do not end at a byte");
    if (!vt_index_frames(vt_archive_index(x->archive), x->stored->entry.sop_uid, &x->frames, x->err))
        return false;
    return (x->frames.size > 0 && vt_frames_count(x->frames.data, x->frames.size, &count) && count == x->header.total) ||
           refuse(x->err, x->header.total == 1 ? "it has one frame: ask for level IMAGE" : "where its frames lie is not known");
}

/* The same frames of the same instance give the same UID. */
static bool name_it(struct extracting *x)
{
    const uint32_t *numbers = (const uint32_t *)(const void *)x->numbers.data;
    VT_AUTO_BUF(name, NAME_MAX_BYTES);

    if (!vt_buf_printf(&name, x->err, "frames of %s:", x->stored->entry.sop_uid))
        return false;
    for (size_t i = 0; i < x->numbers.size / sizeof *numbers; i++)
        if (!vt_buf_printf(&name, x->err, " %u", numbers[i]))
            return false;
    if (!vt_buf_append_byte(&name, 0, x->err))
        return false;
    vt_uid_derive((const char *)name.data, x->result.sop_uid);
    return true;
}

/* ---- writing ---- */

static bool put_le(struct extracting *x, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        if (!vt_buf_append_byte(&x->out, (uint8_t)(value >> 8 * i), x->err))
            return false;
    return true;
}

static bool put_item(struct extracting *x, uint32_t tag, uint64_t length)
{
    return put_le(x, tag >> 16, 2) && put_le(x, tag & 0xffff, 2) && put_le(x, length, 4);
}

static bool all_bytes(struct extracting *x, uint64_t *out)
{
    const uint32_t *numbers = (const uint32_t *)(const void *)x->numbers.data;
    struct vt_frame frame;

    *out = 0;
    for (size_t i = 0; i < x->numbers.size / sizeof *numbers; i++) {
        if (!frame_at(x, numbers[i] - 1, &frame))
            return false;
        *out += frame.length;
    }
    return true;
}

static bool put_table(struct extracting *x, uint64_t total)
{
    const uint32_t *numbers = (const uint32_t *)(const void *)x->numbers.data;
    size_t count = x->numbers.size / sizeof *numbers;
    struct vt_frame frame;
    uint64_t at = 0;

    if (total > UINT32_MAX)
        return put_item(x, VT_TAG_ITEM, 0);
    if (!put_item(x, VT_TAG_ITEM, count * 4))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!put_le(x, at, 4) || !frame_at(x, numbers[i] - 1, &frame))
            return false;
        at += frame.length;
    }
    return true;
}

static bool put_pixel_header(struct extracting *x, uint64_t total)
{
    char vr[2];

    /* As the source has it: OB or OW. */
    if (x->encoding == VT_IMPLICIT_LE)
        return put_item(x, VT_TAG_PIXEL_DATA, total + total % 2);
    if (!vt_io_pread(x->stored->fd, vr, sizeof vr, x->stored->data_set_offset + x->pixels - ITEM_HEADER,
                     x->stored->entry.sop_uid, x->err))
        return false;
    return put_le(x, VT_TAG_PIXEL_DATA >> 16, 2) && put_le(x, VT_TAG_PIXEL_DATA & 0xffff, 2) &&
           vt_buf_append(&x->out, vr, sizeof vr, x->err) && put_le(x, 0, 2) &&
           put_le(x, x->encapsulated ? UINT32_MAX : total + total % 2, 4) && (!x->encapsulated || put_table(x, total));
}

static bool flush(struct extracting *x)
{
    bool ok = vt_io_pwrite(x->result.fd, x->out.data, x->out.size, x->result.size, "a temporary file", x->err);

    x->result.size += x->out.size;
    vt_buf_reset(&x->out);
    return ok;
}

static bool copy_frame(struct extracting *x, const struct vt_frame *frame)
{
    for (uint64_t done = 0; done < frame->length;) {
        size_t part = frame->length - done < COPY ? (size_t)(frame->length - done) : COPY;
        if (!vt_io_pread(x->stored->fd, x->copy, part, x->stored->data_set_offset + frame->offset + done,
                         x->stored->entry.sop_uid, x->err) ||
            !vt_io_pwrite(x->result.fd, x->copy, part, x->result.size, "a temporary file", x->err))
            return false;
        x->result.size += part;
        done += part;
    }
    return true;
}

static bool write_all(struct extracting *x)
{
    const uint32_t *numbers = (const uint32_t *)(const void *)x->numbers.data;
    size_t count = x->numbers.size / sizeof *numbers;
    struct vt_frame frame;
    uint64_t total;

    if (!all_bytes(x, &total))
        return false;
    if (!x->encapsulated && total > UINT32_MAX - 1)
        return refuse(x->err, "so many frames do not fit an element");
    if (!vt_frame_header_write(&x->header, x->request, numbers, count, x->result.sop_uid, &x->out, x->err) ||
        !put_pixel_header(x, total) || !flush(x))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!frame_at(x, numbers[i] - 1, &frame) || !copy_frame(x, &frame))
            return false;
    if (x->encapsulated)
        return put_item(x, VT_TAG_SEQUENCE_END, 0) && flush(x);
    return total % 2 == 0 || (vt_buf_append_byte(&x->out, 0, x->err) && flush(x));
}

static bool extract(struct extracting *x)
{
    char folder[PATH_MAX];

    if (!find_pixels(x) || !read_head(x) || !find_frames(x) || !name_it(x))
        return false;
    x->copy = malloc(COPY);
    if (!x->copy)
        return vt_fail_dimse(x->err, VT_E_NOMEM, 0xA702, "no memory for frames");
    snprintf(folder, sizeof folder, "%s/staging", vt_archive_path(x->archive));
    x->result.fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (x->result.fd < 0)
        return vt_fail_errno(x->err, "a temporary file in %s", folder);
    return write_all(x);
}

bool vt_frames_extract(struct vt_archive *archive, const struct vt_stored *stored,
                       const struct vt_frame_request *request, struct vt_extracted *out, struct vt_err *err)
{
    struct extracting x = { .archive = archive, .stored = stored, .request = request, .result = { .fd = -1 }, .err = err };

    vt_buf_init(&x.head, VT_FRAMES_HEADER_MAX);
    vt_buf_init(&x.numbers, VT_FRAMES_LISTED_MAX * sizeof(uint32_t));
    vt_buf_init(&x.frames, VT_FRAMES_BYTES_MAX);
    vt_buf_init(&x.out, 2 * (size_t)VT_FRAMES_HEADER_MAX);
    bool ok = extract(&x);
    if (!ok && x.result.fd >= 0)
        close(x.result.fd);
    free(x.copy);
    vt_buf_fini(&x.head);
    vt_buf_fini(&x.numbers);
    vt_buf_fini(&x.frames);
    vt_buf_fini(&x.out);
    if (ok)
        *out = x.result;
    else if (err->dimse_status == 0)
        err->dimse_status = VT_STATUS_CANNOT_EXTRACT;
    return ok;
}
