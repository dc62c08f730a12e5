#include "media/slide_write.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "media/slide_dataset.h"
#include "media/slide_residue.h"
#include "media/slide_spool.h"
#include "media/slide_tiff.h"

enum { ITEM_HEADER = 8, TABLE_PIECE = 64 << 10, COPY = 256 << 10 };
#define FRAME_MAX (VT_TIFF_TILE_BYTES_MAX + VT_SLIDE_PREFIX_MAX + 16u)
/* Above it offsets do not fit a basic table. */
#define BASIC_TABLE_MAX UINT64_C(0xffffffff)

/* One instance on its way. */
struct stream {
    const struct vt_slide_writing *writing;
    const struct vt_slide_instance *instance;
    const struct vt_slide_image *image;
    struct vt_slide_spool *spool;      /* frames that had to be compressed first */
    uint32_t *sizes;                   /* of those */
    uint64_t pixel_bytes;
    struct vt_buf piece;               /* header, table or frame on its way */
};

static bool send(struct stream *stream, struct vt_err *err)
{
    bool ok = vt_slide_pipe_write(stream->writing->pipe, stream->piece.data, stream->piece.size, err);

    vt_buf_reset(&stream->piece);
    return ok;
}

static bool put_number(struct vt_buf *buf, uint64_t value, size_t width, struct vt_err *err)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    return vt_buf_append(buf, bytes, width, err);
}

static bool end(const struct vt_slide_writing *writing, struct vt_err *err)
{
    return vt_slide_pipe_drain(writing->pipe, err) && writing->target->end(writing->target->context, err);
}

/* Tag, VR and a length of 32 bits. */
static bool put_header(struct vt_buf *buf, uint32_t tag, const char *vr, uint32_t length, struct vt_err *err)
{
    return put_number(buf, tag >> 16, 2, err) && put_number(buf, tag & 0xffff, 2, err) &&
           vt_buf_append(buf, vr, 2, err) && put_number(buf, 0, 2, err) &&
           put_number(buf, length, 4, err);
}

static bool put_item(struct vt_buf *buf, uint32_t tag, uint64_t length, struct vt_err *err)
{
    return put_number(buf, tag >> 16, 2, err) && put_number(buf, tag & 0xffff, 2, err) &&
           put_number(buf, length, 4, err);
}

/* ---- frames that are compressed on the way ---- */

static bool compress_all(struct stream *stream, struct vt_err *err)
{
    const struct vt_slide_instance *instance = stream->instance;
    uint64_t bytes = 0;

    stream->spool = vt_slide_spool_new(stream->writing->target->folder, err);
    stream->sizes = calloc(instance->frames, sizeof *stream->sizes);
    if (!stream->spool || !stream->sizes)
        return vt_failed(err) ? false : vt_fail(err, VT_E_NOMEM, "no memory for frames");
    for (uint32_t i = 0; i < instance->frames; i++) {
        vt_buf_reset(&stream->piece);
        if (!vt_slide_frame(stream->writing->slide, stream->image, instance->first + i, &stream->piece, err) ||
            !vt_slide_spool_write(stream->spool, stream->piece.data, stream->piece.size, err) ||
            !stream->writing->passed(stream->writing->context, 0, err))
            return false;
        stream->sizes[i] = (uint32_t)stream->piece.size;
        bytes += stream->piece.size;
        stream->pixel_bytes += vt_slide_item_size(stream->piece.size);
    }
    vt_buf_reset(&stream->piece);
    /* The ratio is measured on what came out. */
    stream->writing->slide->images[stream->image - stream->writing->slide->images].lossy_bytes = bytes;
    return true;
}

static uint64_t frame_size(const struct stream *stream, uint32_t i)
{
    return stream->sizes ? stream->sizes[i]
                         : vt_slide_frame_size(stream->image, stream->instance->first + i);
}

/* ---- offset tables ---- */

static bool put_table(struct stream *stream, bool offsets, size_t width, struct vt_err *err)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < stream->instance->frames; i++) {
        uint64_t item = vt_slide_item_size(frame_size(stream, i));
        if (!put_number(&stream->piece, offsets ? at : item - ITEM_HEADER, width, err))
            return false;
        at += item;
        if (stream->piece.size >= TABLE_PIECE && !send(stream, err))
            return false;
    }
    return true;
}

static bool put_tables(struct stream *stream, struct vt_err *err)
{
    struct vt_buf *piece = &stream->piece;
    uint32_t frames = stream->instance->frames;
    bool extended = stream->pixel_bytes > BASIC_TABLE_MAX;

    if (extended && !(put_header(piece, UINT32_C(0x7fe00001), "OV", frames * 8, err) &&
                      put_table(stream, true, 8, err) &&
                      put_header(piece, UINT32_C(0x7fe00002), "OV", frames * 8, err) &&
                      put_table(stream, false, 8, err)))
        return false;
    return put_header(piece, VT_TAG_PIXEL_DATA, "OB", UINT32_MAX, err) &&
           put_item(piece, VT_TAG_ITEM, extended ? 0 : (uint64_t)frames * 4, err) &&
           (extended || put_table(stream, true, 4, err));
}

/* ---- pixels ---- */

static uint64_t tile_bytes(const struct stream *stream, uint32_t i)
{
    const struct vt_tiff_page *page = stream->image->page;

    return page && i < page->tile_count ? page->tiles[i].size : 0;
}

static bool put_frame(struct stream *stream, uint32_t i, uint64_t *at_spool, struct vt_err *err)
{
    size_t size = (size_t)frame_size(stream, i);
    uint32_t number = stream->instance->first + i;
    struct vt_buf *piece = &stream->piece;
    bool label = stream->image->role == VT_SLIDE_LABEL;

    if (label && stream->writing->plan->label == VT_LABEL_MASK) {
        if (!vt_buf_reserve(piece, size, err))
            return false;
        memset(piece->data + piece->size, 0, size);
        piece->size += size;
        return true;
    }
    if (!stream->spool)
        return vt_slide_frame(stream->writing->slide, stream->image, number, piece, err);
    if (!vt_buf_reserve(piece, size, err) ||
        !vt_slide_spool_read(stream->spool, piece->data + piece->size, size, *at_spool, err))
        return false;
    piece->size += size;
    *at_spool += size;
    return true;
}

static bool put_frames(struct stream *stream, bool items, struct vt_err *err)
{
    struct vt_buf *piece = &stream->piece;
    uint64_t at_spool = 0;

    for (uint32_t i = 0; i < stream->instance->frames; i++) {
        uint64_t size = frame_size(stream, i);
        if (items && !put_item(piece, VT_TAG_ITEM, size + size % 2, err))
            return false;
        size_t before = piece->size;
        if (!put_frame(stream, i, &at_spool, err))
            return false;
        if (piece->size - before != size)
            return vt_fail(err, VT_E_BUSY, "%s changed while it was read", stream->writing->slide->name);
        if (items && size % 2 && !vt_buf_append_byte(piece, 0, err))
            return false;
        if (!send(stream, err) ||
            !stream->writing->passed(stream->writing->context,
                                     tile_bytes(stream, stream->instance->first + i), err))
            return false;
    }
    return true;
}

static bool put_pixels(struct stream *stream, struct vt_err *err)
{
    struct vt_buf *piece = &stream->piece;

    if (strcmp(stream->image->transfer_syntax, VT_UID_EXPLICIT_LE) == 0) {
        bool odd = stream->pixel_bytes % 2;
        return put_header(piece, VT_TAG_PIXEL_DATA, "OB", (uint32_t)(stream->pixel_bytes + odd), err) &&
               put_frames(stream, false, err) && (!odd || vt_buf_append_byte(piece, 0, err)) &&
               (piece->size == 0 || send(stream, err));
    }
    return put_tables(stream, err) && put_frames(stream, true, err) &&
           put_item(piece, VT_TAG_SEQUENCE_END, 0, err) && send(stream, err);
}

/* ---- an image ---- */

static void name_of(const struct vt_slide *slide, const struct vt_slide_instance *instance, char *out,
                    size_t room)
{
    const char *role = vt_slide_role_name(instance->image->role);

    if (instance->image->role != VT_SLIDE_LEVEL)
        snprintf(out, room, "%s", role);
    else if (instance->parts == 1)
        snprintf(out, room, "%s-%d", role, (int)(instance->image - slide->images));
    else
        snprintf(out, room, "%s-%d-part-%u", role, (int)(instance->image - slide->images), instance->part);
}

static bool write_stream(struct stream *stream, struct vt_err *err)
{
    const struct vt_slide_writing *writing = stream->writing;
    const struct vt_slide_target *target = writing->target;
    char name[64];
    const struct vt_slide_arrival arrival = { VT_UID_WHOLE_SLIDE, stream->instance->sop_uid,
                                              stream->image->transfer_syntax, name, writing->plan };

    name_of(writing->slide, stream->instance, name, sizeof name);
    if (!target->begin(target->context, &arrival, err) ||
        (stream->image->way == VT_SLIDE_REENCODED && !compress_all(stream, err)))
        return false;
    return vt_slide_dataset(writing->slide, writing->plan, stream->instance, &stream->piece, err) &&
           put_pixels(stream, err) && end(writing, err);
}

bool vt_slide_write_image(const struct vt_slide_writing *writing, const struct vt_slide_instance *instance,
                          struct vt_err *err)
{
    struct stream stream = { .writing = writing,
                             .instance = instance,
                             .image = instance->image,
                             .pixel_bytes = instance->pixel_bytes };

    vt_buf_init(&stream.piece, FRAME_MAX);
    bool ok = write_stream(&stream, err);
    vt_buf_fini(&stream.piece);
    vt_slide_spool_free(stream.spool);
    free(stream.sizes);
    return ok;
}

/* ---- what is outside the tiles ---- */

void vt_slide_put_raw_header(struct vt_slide_put *put, const struct vt_slide_writing *writing, const char *sop_uid,
                             const char *description, int number)
{
    const struct vt_slide_common common = {
        .sop_class = VT_UID_RAW_DATA,
        .sop_uid = sop_uid,
        .series_uid = writing->plan->raw_series_uid,
        .modality = "SM",
        .series_description = description,
        .series_number = 2,
        .instance_number = number,
    };

    vt_put_text(put, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192");
    vt_slide_put_0008(put, writing->slide, writing->plan, &common);
    vt_put_text(put, 0x00089123, "UI", VT_UID_IMPLEMENTATION);
    vt_slide_put_0010(put, writing->plan);
    vt_slide_put_0018(put, writing->slide, "Kept what is outside the tiles");
    vt_slide_put_0020(put, writing->plan, &common);
    vt_put_text(put, 0x00200060, "CS", "");
}

static bool send_raw(const struct vt_slide_writing *writing, const struct vt_slide_instance *instance,
                     const struct vt_slide_residue *residue, struct vt_buf *piece, struct vt_err *err)
{
    struct vt_slide_put put = { .w = { piece, VT_EXPLICIT_LE }, .err = err };
    uint64_t size, spooled = vt_slide_spool_size(residue->chunks);

    vt_slide_put_raw_header(&put, writing, instance->sop_uid, "Original slide file, without its tiles", 1);
    vt_put_text(&put, VT_TAG_RESIDUE_CREATOR, "LO", VT_RESIDUE_CREATOR);
    if (put.failed || !vt_slide_residue_size(residue, &size, err) ||
        !put_header(piece, VT_TAG_RESIDUE, "OB", (uint32_t)(size + size % 2), err) ||
        !vt_buf_append(piece, VT_RESIDUE_MAGIC, 8, err) || !put_number(piece, residue->head_size, 8, err) ||
        !put_number(piece, residue->head.size, 8, err) ||
        !vt_slide_pipe_write(writing->pipe, piece->data, piece->size, err) ||
        !vt_slide_pipe_write(writing->pipe, residue->head.data, residue->head.size, err))
        return false;
    vt_buf_reset(piece);
    if (!vt_buf_reserve(piece, COPY, err))
        return false;
    for (uint64_t at = 0; at < spooled;) {
        size_t part = spooled - at < COPY ? (size_t)(spooled - at) : COPY;
        if (!vt_slide_spool_read(residue->chunks, piece->data, part, at, err) ||
            !vt_slide_pipe_write(writing->pipe, piece->data, part, err))
            return false;
        at += part;
    }
    return true;
}

static bool send_tail(const struct vt_slide_writing *writing, const struct vt_slide_residue *residue,
                      struct vt_buf *piece, struct vt_err *err)
{
    struct vt_slide_put put = { .w = { piece, VT_EXPLICIT_LE }, .err = err };
    char sha256[2 * VT_SLIDE_SHA256 + 1], number[24];
    uint64_t size;

    vt_buf_reset(piece);
    if (!vt_slide_residue_size(residue, &size, err) || (size % 2 && !vt_buf_append_byte(piece, 0, err)))
        return false;
    for (size_t i = 0; i < VT_SLIDE_SHA256; i++)
        snprintf(sha256 + 2 * i, 3, "%02x", writing->plan->sha256[i]);
    snprintf(number, sizeof number, "%llu", (unsigned long long)writing->slide->source.size);
    vt_put_text(&put, VT_TAG_RESIDUE_SHA256, "LO", sha256);
    vt_put_text(&put, VT_TAG_RESIDUE_SIZE, "LO", number);
    vt_put_empty(&put, 0x00400555);
    return !put.failed && vt_slide_pipe_write(writing->pipe, piece->data, piece->size, err) &&
           end(writing, err);
}

bool vt_slide_write_raw(const struct vt_slide_writing *writing, const struct vt_slide_instance *instance,
                        struct vt_err *err)
{
    const struct vt_slide_target *target = writing->target;
    const struct vt_slide_arrival arrival = { VT_UID_RAW_DATA, instance->sop_uid, VT_UID_EXPLICIT_LE,
                                              "original", writing->plan };
    struct vt_slide_residue residue = { 0 };
    VT_AUTO_BUF(piece, VT_SLIDE_DATASET_MAX);

    bool ok = vt_slide_residue_make(writing->slide, writing->plan, target->folder, &residue, err) &&
              target->begin(target->context, &arrival, err) &&
              send_raw(writing, instance, &residue, &piece, err) &&
              send_tail(writing, &residue, &piece, err);
    vt_slide_residue_fini(&residue);
    return ok;
}
