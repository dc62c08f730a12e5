#include "media/slide_residue.h"

#include <stdio.h>
#include <string.h>

#include <zstd.h>

#include "core/err.h"
#include "media/slide_spool.h"
#include "media/slide_tiff.h"

enum { SOI_SIZE = 2, LEVEL = 3, VARINT_MAX = 10 };

/* ---- holes ---- */

struct holes {
    struct vt_residue_hole *items;
    size_t count;
};

static int by_offset(const void *a, const void *b)
{
    const struct vt_residue_hole *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static size_t most_holes(const struct vt_slide_plan *plan)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->count; i++)
        if (plan->instances[i].image && plan->instances[i].image->way == VT_SLIDE_VERBATIM)
            count += plan->instances[i].frames;
    return count;
}

static void add_holes(struct holes *holes, const struct vt_slide_instance *instance, uint32_t part)
{
    const struct vt_slide_image *image = instance->image;
    uint32_t skip = image->prefix_size ? SOI_SIZE : 0;

    for (uint32_t i = 0; i < instance->frames; i++) {
        const struct vt_tiff_span *tile = &image->page->tiles[instance->first + i];
        if (tile->size > skip)
            holes->items[holes->count++] = (struct vt_residue_hole){
                .offset = tile->offset + skip,
                .size = (uint32_t)tile->size - skip,
                .part = part,
                .frame = i,
            };
    }
}

/* Tiles that share bytes make one hole; of two that overlap the second stays in the residue. So the rebuilt file is right
 * whatever the tables say. */
static void part_holes(struct holes *holes)
{
    uint64_t end = 0;
    size_t kept = 0;

    qsort(holes->items, holes->count, sizeof *holes->items, by_offset);
    for (size_t i = 0; i < holes->count; i++) {
        if (holes->items[i].offset < end)
            continue;
        end = holes->items[i].offset + holes->items[i].size;
        holes->items[kept++] = holes->items[i];
    }
    holes->count = kept;
}

static bool find_holes(const struct vt_slide_plan *plan, struct holes *out, struct vt_err *err)
{
    size_t most = most_holes(plan);

    out->items = calloc(most + 1, sizeof *out->items);
    if (!out->items)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu tiles", most);
    for (size_t i = 0; i < plan->count; i++) {
        const struct vt_slide_image *image = plan->instances[i].image;
        if (image && image->role == VT_SLIDE_LEVEL && image->way == VT_SLIDE_VERBATIM)
            add_holes(out, &plan->instances[i], (uint32_t)i);
    }
    part_holes(out);
    return true;
}

/* ---- chunks ---- */

struct chunking {
    struct vt_slide_spool *spool;
    ZSTD_CCtx *zstd;
    uint8_t *raw, *packed;
    size_t used, bound;
    struct vt_buf sizes;           /* u32 each */
    uint64_t total;
};

static bool put_number(struct vt_buf *buf, uint64_t value, size_t width, struct vt_err *err)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    return vt_buf_append(buf, bytes, width, err);
}

static bool end_chunk(struct chunking *chunking, struct vt_err *err)
{
    if (chunking->used == 0)
        return true;
    size_t size = ZSTD_compressCCtx(chunking->zstd, chunking->packed, chunking->bound, chunking->raw,
                                    chunking->used, LEVEL);
    if (ZSTD_isError(size))
        return vt_fail(err, VT_E_NOMEM, "compressing: %s", ZSTD_getErrorName(size));
    chunking->total += chunking->used;
    chunking->used = 0;
    return vt_slide_spool_write(chunking->spool, chunking->packed, size, err) &&
           put_number(&chunking->sizes, size, 4, err);
}

static bool chunk_range(struct chunking *chunking, struct vt_slide *slide, uint64_t offset,
                        uint64_t size, struct vt_err *err)
{
    while (size > 0) {
        size_t room = VT_RESIDUE_CHUNK - chunking->used, part = size < room ? (size_t)size : room;
        if (!vt_slide_read(&slide->source, chunking->raw + chunking->used, part, offset, err))
            return false;
        chunking->used += part;
        offset += part;
        size -= part;
        if (chunking->used == VT_RESIDUE_CHUNK && !end_chunk(chunking, err))
            return false;
    }
    return true;
}

static bool chunk_all(struct chunking *chunking, struct vt_slide *slide, const struct holes *holes,
                      struct vt_err *err)
{
    uint64_t at = 0;

    for (size_t i = 0; i < holes->count; i++) {
        if (!chunk_range(chunking, slide, at, holes->items[i].offset - at, err))
            return false;
        at = holes->items[i].offset + holes->items[i].size;
    }
    return chunk_range(chunking, slide, at, slide->source.size - at, err) && end_chunk(chunking, err);
}

static bool make_chunks(struct chunking *chunking, struct vt_slide *slide, const struct holes *holes,
                        struct vt_err *err)
{
    chunking->bound = ZSTD_compressBound(VT_RESIDUE_CHUNK);
    chunking->zstd = ZSTD_createCCtx();
    chunking->raw = malloc(VT_RESIDUE_CHUNK);
    chunking->packed = malloc(chunking->bound);
    vt_buf_init(&chunking->sizes, VT_RESIDUE_HEAD_MAX / 2);
    bool ok = chunking->zstd && chunking->raw && chunking->packed;

    ok = ok ? chunk_all(chunking, slide, holes, err) : vt_fail(err, VT_E_NOMEM, "no memory to compress");
    ZSTD_freeCCtx(chunking->zstd);
    free(chunking->raw);
    free(chunking->packed);
    return ok;
}

/* ---- the head ---- */

static bool put_varint(struct vt_buf *buf, uint64_t value, struct vt_err *err)
{
    uint8_t bytes[VARINT_MAX];
    size_t size = 0;

    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    return vt_buf_append(buf, bytes, size, err);
}

static bool put_holes(struct vt_buf *head, const struct holes *holes, struct vt_err *err)
{
    struct vt_residue_hole last = { .part = UINT32_MAX };

    for (size_t i = 0; i < holes->count; i++) {
        const struct vt_residue_hole *hole = &holes->items[i];
        bool jump = hole->part != last.part || hole->frame != last.frame + 1;
        if (!put_varint(head, hole->offset - (last.offset + last.size), err) ||
            !put_varint(head, (uint64_t)hole->size << 1 | jump, err) ||
            (jump && (!put_varint(head, hole->part, err) || !put_varint(head, hole->frame, err))))
            return false;
        last = *hole;
    }
    return true;
}

static bool put_parts(struct vt_buf *head, const struct vt_slide_plan *plan, struct vt_err *err)
{
    if (!put_number(head, plan->count, 4, err))
        return false;
    for (size_t i = 0; i < plan->count; i++) {
        const struct vt_slide_instance *instance = &plan->instances[i];
        size_t length = strlen(instance->sop_uid);
        if (!put_number(head, length, 1, err) || !vt_buf_append(head, instance->sop_uid, length, err) ||
            !put_number(head, instance->image ? instance->image->prefix_size : 0, 4, err))
            return false;
    }
    return true;
}

static bool put_head(struct vt_buf *head, const struct vt_slide *slide, const struct vt_slide_plan *plan,
                     const struct holes *holes, const struct chunking *chunking, struct vt_err *err)
{
    size_t name = strlen(slide->name);

    return put_number(head, slide->source.size, 8, err) &&
           vt_buf_append(head, plan->sha256, VT_SLIDE_SHA256, err) &&
           put_number(head, name, 2, err) && vt_buf_append(head, slide->name, name, err) &&
           put_parts(head, plan, err) && put_number(head, holes->count, 8, err) &&
           put_number(head, chunking->total, 8, err) &&
           put_number(head, chunking->sizes.size / 4, 4, err) &&
           vt_buf_append(head, chunking->sizes.data, chunking->sizes.size, err) &&
           put_holes(head, holes, err);
}

static bool pack_head(const struct vt_buf *head, struct vt_buf *out, struct vt_err *err)
{
    size_t bound = ZSTD_compressBound(head->size);

    if (!vt_buf_reserve(out, bound, err))
        return false;
    size_t size = ZSTD_compress(out->data, bound, head->data, head->size, LEVEL);
    if (ZSTD_isError(size))
        return vt_fail(err, VT_E_NOMEM, "compressing: %s", ZSTD_getErrorName(size));
    out->size = size;
    return true;
}

/* ---- all ---- */

bool vt_slide_residue_make(struct vt_slide *slide, const struct vt_slide_plan *plan, const char *folder,
                           struct vt_slide_residue *out, struct vt_err *err)
{
    struct holes holes = { 0 };
    struct chunking chunking = { 0 };
    VT_AUTO_BUF(head, VT_RESIDUE_HEAD_MAX);

    vt_buf_init(&out->head, VT_RESIDUE_HEAD_MAX + (1 << 20));
    out->chunks = chunking.spool = vt_slide_spool_new(folder, err);
    bool ok = out->chunks && find_holes(plan, &holes, err) &&
              make_chunks(&chunking, slide, &holes, err) &&
              put_head(&head, slide, plan, &holes, &chunking, err) && pack_head(&head, &out->head, err);
    out->head_size = head.size;
    vt_buf_fini(&chunking.sizes);
    free(holes.items);
    return ok;
}

void vt_slide_residue_fini(struct vt_slide_residue *residue)
{
    vt_buf_fini(&residue->head);
    vt_slide_spool_free(residue->chunks);
    residue->chunks = NULL;
}

bool vt_slide_residue_size(const struct vt_slide_residue *residue, uint64_t *out, struct vt_err *err)
{
    uint64_t size = VT_RESIDUE_FIXED + residue->head.size + vt_slide_spool_size(residue->chunks);

    if (size > UINT32_MAX - 2)
        return vt_fail(err, VT_E_LIMIT,
                       "what is outside the tiles is %llu bytes, more than a DICOM element holds: "
                       "--no-original converts the slide without what is needed to give it back",
                       (unsigned long long)size);
    *out = size;
    return true;
}
