#include "media/slide_original.h"

#include <fcntl.h>
#include <string.h>

#include <zstd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "media/slide_residue.h"

enum { FRAMES_MAX = 2 << 20 };
#define NO_CHUNK UINT32_MAX

struct source {                   /* one of the slide's instances */
    char sop_uid[VT_UID_MAX + 1];
    uint32_t skip;                /* bytes of a frame before the tile's */
    bool used;                    /* a hole needs it */
    struct vt_slide_part part;    /* fd -1: not opened */
    struct vt_slide_frames frames;
};

struct vt_slide_original {
    struct vt_slide_part raw;
    uint64_t size;
    uint8_t sha256[VT_SLIDE_SHA256];
    char name[VT_SLIDE_TEXT];
    struct source *sources;
    uint32_t source_count;
    struct vt_residue_hole *holes;
    uint64_t hole_count, residue_size;
    uint64_t *chunks;             /* where each begins in the raw instance's file; one more behind the last */
    uint32_t chunk_count;
    uint32_t loaded;              /* chunk in `chunk` */
    uint8_t *chunk, *packed;
};

void vt_slide_original_free(struct vt_slide_original *original)
{
    if (!original)
        return;
    for (uint32_t i = 0; original->sources && i < original->source_count; i++) {
        vt_slide_part_close(&original->sources[i].part);
        vt_slide_frames_fini(&original->sources[i].frames);
    }
    vt_slide_part_close(&original->raw);
    free(original->sources);
    free(original->holes);
    free(original->chunks);
    free(original->chunk);
    free(original->packed);
    free(original);
}

/* ---- reading the head ---- */

struct cursor {
    const uint8_t *at, *end;
    bool short_of;                /* more was asked for than is there */
};

static const uint8_t *take(struct cursor *cursor, size_t size)
{
    static const uint8_t zeroes[VT_SLIDE_TEXT];

    if ((size_t)(cursor->end - cursor->at) < size || size > sizeof zeroes) {
        cursor->short_of = true;
        return zeroes;
    }
    cursor->at += size;
    return cursor->at - size;
}

static uint64_t number(struct cursor *cursor, size_t width)
{
    const uint8_t *bytes = take(cursor, width);
    uint64_t value = 0;

    for (size_t i = width; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static uint64_t varint(struct cursor *cursor)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = *take(cursor, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    cursor->short_of = true;
    return 0;
}

static bool broken(const struct vt_slide_original *original, struct vt_err *err)
{
    return vt_fail(err, VT_E_CORRUPT, "the restore data in instance %s are damaged", original->raw.name);
}

static bool read_sources(struct vt_slide_original *original, struct cursor *cursor, struct vt_err *err)
{
    uint64_t count = number(cursor, 4);

    if (count > VT_RESIDUE_PARTS_MAX)
        return broken(original, err);
    original->sources = calloc(count + 1, sizeof *original->sources);
    if (!original->sources)
        return vt_fail(err, VT_E_NOMEM, "no memory for a slide");
    original->source_count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++) {
        struct source *source = &original->sources[i];
        size_t length = (size_t)number(cursor, 1);
        const uint8_t *uid = take(cursor, length);
        source->part.fd = -1;
        if (length > VT_UID_MAX)
            return broken(original, err);
        memcpy(source->sop_uid, uid, length);
        source->skip = (uint32_t)number(cursor, 4);
    }
    return true;
}

static bool read_chunks(struct vt_slide_original *original, struct cursor *cursor, uint64_t begin,
                        uint64_t end, struct vt_err *err)
{
    uint64_t count = number(cursor, 4), at = begin;

    if (cursor->short_of || count > (uint64_t)(cursor->end - cursor->at) / 4 ||
        original->residue_size > count * VT_RESIDUE_CHUNK ||
        (count > 0 && original->residue_size <= (count - 1) * VT_RESIDUE_CHUNK))
        return broken(original, err);
    original->chunks = calloc(count + 1, sizeof *original->chunks);
    original->chunk = malloc(VT_RESIDUE_CHUNK);
    original->packed = malloc(ZSTD_compressBound(VT_RESIDUE_CHUNK));
    if (!original->chunks || !original->chunk || !original->packed)
        return vt_fail(err, VT_E_NOMEM, "no memory for a slide");
    original->chunk_count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++) {
        original->chunks[i] = at;
        at += number(cursor, 4);
    }
    original->chunks[count] = at;
    return at <= end || broken(original, err);
}

static bool read_hole(struct vt_slide_original *original, struct cursor *cursor,
                      const struct vt_residue_hole *last, struct vt_residue_hole *out)
{
    uint64_t gap = varint(cursor), size = varint(cursor);
    uint64_t end = last->offset + last->size;

    *out = (struct vt_residue_hole){ .part = last->part, .frame = last->frame + 1 };
    if (size & 1) {
        uint64_t part = varint(cursor), frame = varint(cursor);
        if (part >= original->source_count || frame > FRAMES_MAX)
            return false;
        out->part = (uint32_t)part;
        out->frame = (uint32_t)frame;
    }
    size >>= 1;
    if (cursor->short_of || out->part >= original->source_count || size > UINT32_MAX ||
        gap > original->size - end || size > original->size - end - gap)
        return false;
    out->offset = end + gap;
    out->before = last->before + gap;
    out->size = (uint32_t)size;
    original->sources[out->part].used = true;
    return true;
}

static bool read_holes(struct vt_slide_original *original, struct cursor *cursor, struct vt_err *err)
{
    struct vt_residue_hole last = { .part = UINT32_MAX };

    for (uint64_t i = 0; i < original->hole_count; i++) {
        if (!read_hole(original, cursor, &last, &original->holes[i]))
            return broken(original, err);
        last = original->holes[i];
    }
    uint64_t tail = original->size - (last.offset + last.size);
    return last.before + tail == original->residue_size || broken(original, err);
}

static bool read_head(struct vt_slide_original *original, const uint8_t *bytes, size_t size,
                      uint64_t begin, uint64_t end, struct vt_err *err)
{
    struct cursor cursor = { bytes, bytes + size, false };

    original->size = number(&cursor, 8);
    memcpy(original->sha256, take(&cursor, VT_SLIDE_SHA256), VT_SLIDE_SHA256);
    size_t length = (size_t)number(&cursor, 2);
    if (length >= sizeof original->name)
        return broken(original, err);
    memcpy(original->name, take(&cursor, length), length);
    if (!read_sources(original, &cursor, err))
        return false;
    original->hole_count = number(&cursor, 8);
    original->residue_size = number(&cursor, 8);
    /* A hole takes two bytes at least. */
    if (cursor.short_of || original->hole_count > size / 2)
        return broken(original, err);
    original->holes = calloc(original->hole_count + 1, sizeof *original->holes);
    if (!original->holes)
        return vt_fail(err, VT_E_NOMEM, "no memory for %llu tiles",
                       (unsigned long long)original->hole_count);
    return read_chunks(original, &cursor, begin, end, err) && read_holes(original, &cursor, err);
}

static bool unpack_head(struct vt_slide_original *original, const struct vt_slide_value *value,
                        struct vt_err *err)
{
    uint8_t fixed[VT_RESIDUE_FIXED];
    struct vt_slide_part *raw = &original->raw;

    if (value->length < sizeof fixed || value->length == UINT64_MAX)
        return broken(original, err);
    if (!vt_io_pread(raw->fd, fixed, sizeof fixed, value->offset, raw->name, err))
        return false;
    struct cursor cursor = { fixed + 8, fixed + sizeof fixed, false };
    uint64_t size = number(&cursor, 8), packed_size = number(&cursor, 8);
    if (memcmp(fixed, VT_RESIDUE_MAGIC, 8) != 0 || size > VT_RESIDUE_HEAD_MAX ||
        packed_size > value->length - sizeof fixed)
        return broken(original, err);
    vt_autofree uint8_t *packed = malloc(packed_size + 1), *head = malloc(size + 1);
    if (!packed || !head)
        return vt_fail(err, VT_E_NOMEM, "no memory for a slide");
    if (!vt_io_pread(raw->fd, packed, packed_size, value->offset + sizeof fixed, raw->name, err))
        return false;
    if (ZSTD_decompress(head, size, packed, packed_size) != size)
        return broken(original, err);
    return read_head(original, head, size, value->offset + sizeof fixed + packed_size,
                     value->offset + value->length, err);
}

/* ---- opening ---- */

static bool open_sources(struct vt_slide_original *original, const struct vt_slide_finder *finder,
                         struct vt_err *err)
{
    for (uint32_t i = 0; i < original->source_count; i++) {
        struct source *source = &original->sources[i];
        if (!source->used)
            continue;
        if (!finder->open(finder->context, source->sop_uid, &source->part, err))
            return vt_fail_context(err, "the slide %s cannot be given back", original->name);
        if (!vt_slide_frames_find(&source->part, FRAMES_MAX, &source->frames, err))
            return false;
    }
    return true;
}

struct vt_slide_original *vt_slide_original_open(struct vt_slide_part *raw,
                                                 const struct vt_slide_finder *finder,
                                                 struct vt_err *err)
{
    VT_AUTO(vt_slide_original) original = calloc(1, sizeof *original);
    struct vt_slide_value value;
    bool there = false;

    if (!original) {
        vt_slide_part_close(raw);
        vt_fail(err, VT_E_NOMEM, "no memory for a slide");
        return NULL;
    }
    original->raw = *raw;
    raw->fd = -1;
    original->loaded = NO_CHUNK;
    if (!vt_slide_part_find(&original->raw, VT_TAG_RESIDUE, &value, &there, err))
        return NULL;
    if (!there) {
        vt_fail(err, VT_E_INVALID, "instance %s holds no slide file", original->raw.name);
        return NULL;
    }
    if (!unpack_head(original, &value, err) || !open_sources(original, finder, err))
        return NULL;
    return vt_take(&original);
}

uint64_t vt_slide_original_size(const struct vt_slide_original *original)
{
    return original->size;
}

const uint8_t *vt_slide_original_sha256(const struct vt_slide_original *original)
{
    return original->sha256;
}

const char *vt_slide_original_name(const struct vt_slide_original *original)
{
    return original->name;
}

void vt_slide_original_in_order(struct vt_slide_original *original)
{
    for (uint32_t i = 0; i < original->source_count; i++)
        if (original->sources[i].part.fd >= 0)
            (void)posix_fadvise(original->sources[i].part.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

/* ---- reading ---- */

static bool load_chunk(struct vt_slide_original *original, uint32_t i, struct vt_err *err)
{
    uint64_t size = original->chunks[i + 1] - original->chunks[i];
    uint64_t raw = i + 1 < original->chunk_count ? VT_RESIDUE_CHUNK
                                                 : original->residue_size - (uint64_t)i * VT_RESIDUE_CHUNK;

    if (original->loaded == i)
        return true;
    original->loaded = NO_CHUNK;
    if (size > ZSTD_compressBound(VT_RESIDUE_CHUNK))
        return broken(original, err);
    if (!vt_io_pread(original->raw.fd, original->packed, size, original->chunks[i], original->raw.name, err))
        return false;
    if (ZSTD_decompress(original->chunk, VT_RESIDUE_CHUNK, original->packed, size) != raw)
        return broken(original, err);
    original->loaded = i;
    return true;
}

static bool read_residue(struct vt_slide_original *original, uint8_t *bytes, size_t size, uint64_t at,
                         struct vt_err *err)
{
    while (size > 0) {
        uint32_t i = (uint32_t)(at / VT_RESIDUE_CHUNK);
        size_t within = (size_t)(at % VT_RESIDUE_CHUNK), part = VT_RESIDUE_CHUNK - within;
        if (part > size)
            part = size;
        if (!load_chunk(original, i, err))
            return false;
        memcpy(bytes, original->chunk + within, part);
        bytes += part;
        at += part;
        size -= part;
    }
    return true;
}

static bool read_tile(struct vt_slide_original *original, const struct vt_residue_hole *hole,
                      uint8_t *bytes, size_t size, uint64_t within, struct vt_err *err)
{
    const struct source *source = &original->sources[hole->part];
    uint64_t at;

    if (hole->frame >= source->frames.count)
        return broken(original, err);
    if (source->frames.offsets)
        at = source->frames.offsets[hole->frame] + source->skip + within;
    else
        at = source->frames.first + (uint64_t)hole->frame * hole->size + within;
    if (at > source->frames.end || size > source->frames.end - at)
        return vt_fail(err, VT_E_CORRUPT, "instance %s is cut short", source->sop_uid);
    return vt_io_pread(source->part.fd, bytes, size, at, source->sop_uid, err);
}

/* The first hole that ends behind this offset. */
static uint64_t hole_after(const struct vt_slide_original *original, uint64_t offset)
{
    uint64_t low = 0, high = original->hole_count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct vt_residue_hole *hole = &original->holes[middle];
        if (hole->offset + hole->size <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Bytes of residue before this offset, which lies before hole i. */
static uint64_t residue_before(const struct vt_slide_original *original, uint64_t i, uint64_t offset)
{
    if (i == 0)
        return offset;
    const struct vt_residue_hole *last = &original->holes[i - 1];
    return last->before + (offset - last->offset - last->size);
}

bool vt_slide_pread(struct vt_slide_original *original, void *bytes, size_t size, uint64_t offset,
                    size_t *out_read, struct vt_err *err)
{
    uint8_t *to = bytes;
    size_t left = size;

    if (offset >= original->size)
        left = 0;
    else if (left > original->size - offset)
        left = (size_t)(original->size - offset);
    size_t whole = left;
    for (uint64_t i = hole_after(original, offset); left > 0;) {
        const struct vt_residue_hole *hole = i < original->hole_count ? &original->holes[i] : NULL;
        bool inside = hole && offset >= hole->offset;
        uint64_t until = !hole ? original->size : inside ? hole->offset + hole->size : hole->offset;
        size_t part = until - offset < left ? (size_t)(until - offset) : left;
        bool ok = inside ? read_tile(original, hole, to, part, offset - hole->offset, err)
                         : read_residue(original, to, part, residue_before(original, i, offset), err);
        if (!ok)
            return false;
        to += part;
        offset += part;
        left -= part;
        i += inside && offset == until;
    }
    *out_read = whole;
    return true;
}
