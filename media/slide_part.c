#include "media/slide_part.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/auto.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "dicom/tags.h"

enum { TABLE_PIECE = 4096, ITEM_HEADER = 8 };
#define EXTENDED_TABLE UINT32_C(0x7fe00001)

bool vt_slide_part_open(const char *path, struct vt_slide_part *out, struct vt_err *err)
{
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vt_part10 meta;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return vt_fail_errno(err, "%s", path);
    if (!vt_part10_read_file(fd, path, &meta, err))
        return false;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(meta.transfer_syntax_uid);
    if (!syntax || (syntax->encoding != VT_EXPLICIT_LE && syntax->encoding != VT_IMPLICIT_LE))
        return vt_fail(err, VT_E_UNSUPPORTED, "%s is in transfer syntax %s", path,
                       meta.transfer_syntax_uid);
    *out = (struct vt_slide_part){ .fd = vt_take_fd(&fd),
                                   .offset = meta.data_set_offset,
                                   .size = (uint64_t)status.st_size - meta.data_set_offset,
                                   .encoding = syntax->encoding };
    snprintf(out->name, sizeof out->name, "%s", meta.sop_instance_uid);
    return true;
}

void vt_slide_part_close(struct vt_slide_part *part)
{
    if (part->fd >= 0)
        close(part->fd);
    part->fd = -1;
}

/* ---- elements ---- */

static bool read_header(const struct vt_slide_part *part, uint64_t at, struct vt_raw_header *out,
                        struct vt_err *err)
{
    uint64_t left = part->offset + part->size - at;
    uint8_t bytes[VT_RAW_HEADER_MAX];
    size_t size = left < sizeof bytes ? (size_t)left : sizeof bytes;

    return vt_io_pread(part->fd, bytes, size, at, part->name, err) &&
           (vt_raw_header_read(bytes, size, part->encoding, out) ||
            vt_fail(err, VT_E_CORRUPT, "instance %s ends within an element", part->name));
}

/* Goes into what has no length, over what has one. */
bool vt_slide_part_find(const struct vt_slide_part *part, uint32_t tag, struct vt_slide_value *out,
                        bool *out_there, struct vt_err *err)
{
    uint64_t at = part->offset, end = part->offset + part->size;
    unsigned depth = 0, elements = 0;
    struct vt_raw_header header;

    *out_there = false;
    while (at < end) {
        if (++elements > VT_SLIDE_SCAN_ELEMENTS_MAX)
            return vt_fail(err, VT_E_LIMIT, "instance %s has too many elements", part->name);
        if (!read_header(part, at, &header, err))
            return false;
        at += header.size;
        bool undefined = header.length == VT_UNDEFINED_LENGTH;
        if (depth == 0 && header.tag == tag) {
            *out = (struct vt_slide_value){ at, undefined ? UINT64_MAX : header.length };
            *out_there = true;
            return undefined || header.length <= end - at ||
                   vt_fail(err, VT_E_CORRUPT, "instance %s is cut short", part->name);
        }
        if (depth == 0 && header.tag >= tag)
            return true;
        if (header.tag == VT_TAG_ITEM_END || header.tag == VT_TAG_SEQUENCE_END)
            depth -= depth > 0;
        else if (undefined)
            depth++;
        else if (header.length > end - at)
            return vt_fail(err, VT_E_CORRUPT, "instance %s is cut short", part->name);
        else
            at += header.length;
    }
    return true;
}

bool vt_slide_part_text(const struct vt_slide_part *part, uint32_t tag, char *out, size_t room,
                        struct vt_err *err)
{
    struct vt_slide_value value;
    bool there;

    out[0] = '\0';
    if (!vt_slide_part_find(part, tag, &value, &there, err))
        return false;
    if (!there || value.length == UINT64_MAX)
        return true;
    size_t size = value.length < room - 1 ? (size_t)value.length : room - 1;
    if (!vt_io_pread(part->fd, out, size, value.offset, part->name, err))
        return false;
    while (size > 0 && (out[size - 1] == ' ' || out[size - 1] == '\0'))
        size--;
    out[size] = '\0';
    return true;
}

/* ---- frames ---- */

/* A table of offsets from `base`, `width` bytes each. */
static bool take_table(const struct vt_slide_part *part, const struct vt_slide_value *table, size_t width,
                       uint64_t base, struct vt_slide_frames *out, struct vt_err *err)
{
    uint8_t bytes[TABLE_PIECE];
    uint64_t at = table->offset;

    for (uint32_t i = 0; i < out->count;) {
        size_t numbers = TABLE_PIECE / width;
        if (numbers > out->count - i)
            numbers = out->count - i;
        if (!vt_io_pread(part->fd, bytes, numbers * width, at, part->name, err))
            return false;
        at += numbers * width;
        for (size_t j = 0; j < numbers; j++) {
            uint64_t offset = 0;
            for (size_t k = width; k-- > 0;)
                offset = offset << 8 | bytes[j * width + k];
            if (offset > part->size)
                return vt_fail(err, VT_E_CORRUPT, "instance %s: its offset table is wrong", part->name);
            out->offsets[i++] = base + offset + ITEM_HEADER;
        }
    }
    return true;
}

static bool walk_items(const struct vt_slide_part *part, uint64_t at, struct vt_slide_frames *out,
                       struct vt_err *err)
{
    struct vt_raw_header header;

    for (uint32_t i = 0; i < out->count; i++) {
        if (at >= out->end || !read_header(part, at, &header, err))
            return vt_failed(err) ? false
                                  : vt_fail(err, VT_E_CORRUPT, "instance %s ends early", part->name);
        if (header.tag != VT_TAG_ITEM || header.length == VT_UNDEFINED_LENGTH)
            return vt_fail(err, VT_E_CORRUPT, "instance %s has %u frames instead of %u", part->name, i,
                           out->count);
        out->offsets[i] = at + ITEM_HEADER;
        at += ITEM_HEADER + header.length;
    }
    return true;
}

static bool find_encapsulated(const struct vt_slide_part *part, uint64_t at, struct vt_slide_frames *out,
                              struct vt_err *err)
{
    struct vt_slide_value extended;
    struct vt_raw_header table;
    bool there;

    out->offsets = calloc((size_t)out->count + 1, sizeof *out->offsets);
    if (!out->offsets)
        return vt_fail(err, VT_E_NOMEM, "no memory for %u frames", out->count);
    if (!vt_slide_part_find(part, EXTENDED_TABLE, &extended, &there, err) ||
        !read_header(part, at, &table, err))
        return false;
    uint64_t base = at + ITEM_HEADER + table.length;
    if (there && extended.length / 8 == out->count)
        return take_table(part, &extended, 8, base, out, err);
    const struct vt_slide_value basic = { at + ITEM_HEADER, table.length };
    if (table.length > 0 && table.length / 4 == out->count)
        return take_table(part, &basic, 4, base, out, err);
    return walk_items(part, base, out, err);
}

bool vt_slide_frames_find(const struct vt_slide_part *part, uint32_t most, struct vt_slide_frames *out,
                          struct vt_err *err)
{
    struct vt_slide_value pixels;
    char text[20];
    bool there;

    *out = (struct vt_slide_frames){ .end = part->offset + part->size };
    if (!vt_slide_part_text(part, VT_TAG_NUMBER_OF_FRAMES, text, sizeof text, err) ||
        !vt_slide_part_find(part, VT_TAG_PIXEL_DATA, &pixels, &there, err))
        return false;
    unsigned long count = strtoul(text, NULL, 10);
    if (!there || count == 0 || count > most)
        return vt_fail(err, VT_E_CORRUPT, "instance %s has %lu frames", part->name, count);
    out->count = (uint32_t)count;
    out->first = pixels.offset;
    if (pixels.length != UINT64_MAX)
        return true;
    return find_encapsulated(part, pixels.offset, out, err);
}

void vt_slide_frames_fini(struct vt_slide_frames *frames)
{
    free(frames->offsets);
    frames->offsets = NULL;
}
