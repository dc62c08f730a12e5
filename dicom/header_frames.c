#include <stdlib.h>
#include <string.h>

#include "dicom/header_parts.h"

/* Which fragments make a frame (PS3.5 A.4), found while they stream by:
 *
 *   one frame               all fragments
 *   as many as fragments    one each, whatever a table says
 *   fewer than fragments    a frame starts where the offset table says, and each of its offsets must be the
 *                           start of a fragment; without a table, where a fragment begins as images begin
 *
 * So a fragment is noted as a frame until there is one too many; then those noted are joined. */

enum { FIRST_FRAMES = 64, FIRST_TABLE = 1024 };

/* In the length of a frame that is one fragment so far: it begins as an image does. */
#define BEGINS_IMAGE (UINT64_C(1) << 63)


void vt_frames_reset(struct vt_frame_finder *finder)
{
    finder->expected = finder->fragments = finder->base = 0;
    finder->count = finder->table_size = 0;
    finder->table_width = 0;
    finder->joining = finder->lost = false;
    finder->table_tap = finder->start_tap = (struct vt_tap){ 0 };
    finder->last = (struct vt_frame){ 0 };
    finder->start_size = 0;
}

void vt_frames_fini(struct vt_frame_finder *finder)
{
    free(finder->frames);
    free(finder->table);
}

void vt_frames_expect(struct vt_frame_finder *finder, int64_t number_of_frames)
{
    finder->expected = number_of_frames < 1                      ? 1
                       : number_of_frames > VT_HEADER_FRAMES_MAX ? 0
                                                                 : (uint64_t)number_of_frames;
}

void vt_frames_table(struct vt_frame_finder *finder, uint8_t width, uint64_t length, const uint8_t *at)
{
    if (finder->expected < 2 || length != finder->expected * width)
        return;
    finder->table_width = width;
    finder->table_size = 0;
    finder->table_tap = (struct vt_tap){ at, length };
}

static bool grow(void *array, size_t *capacity, size_t first, size_t needed, size_t width, struct vt_err *err)
{
    void *old, *grown;
    size_t wanted = *capacity ? *capacity : first;

    if (needed <= *capacity)
        return true;
    while (wanted < needed)
        wanted *= 2;
    memcpy(&old, array, sizeof old);
    grown = reallocarray(old, wanted, width);
    if (!grown)
        return vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for a table of %zu frames", wanted);
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

bool vt_frames_take(struct vt_frame_finder *finder, const uint8_t *upto, struct vt_err *err)
{
    const uint8_t *bytes;
    size_t start = vt_tap_take(&finder->start_tap, upto, &bytes);

    for (size_t i = 0; i < start; i++)
        finder->start[finder->start_size++] = bytes[i];
    size_t size = vt_tap_take(&finder->table_tap, upto, &bytes);
    if (size == 0)
        return true;
    if (!grow(&finder->table, &finder->table_capacity, FIRST_TABLE, finder->table_size + size, 1, err))
        return false;
    memcpy(finder->table + finder->table_size, bytes, size);
    finder->table_size += size;
    return true;
}

static uint64_t table_start(const struct vt_frame_finder *finder, uint64_t i)
{
    const uint8_t *p = finder->table + i * finder->table_width;
    uint64_t offset = 0;

    for (size_t j = finder->table_width; j-- > 0;)
        offset = offset << 8 | p[j];
    return finder->base + offset;
}

/* JPEG and JPEG-LS: SOI; JPEG 2000: SOC; JPEG XL: its codestream. None of these can stand within coded data. */
static bool begins_image(const struct vt_frame_finder *finder)
{
    static const uint8_t second[] = { 0xd8, 0x4f, 0x0a };

    return finder->start_size == 2 && finder->start[0] == 0xff && memchr(second, finder->start[1], sizeof second);
}

/* A fragment when there are more of them than frames: the next frame begins with it, or it belongs to the last one. */
static void join(struct vt_frame_finder *finder, struct vt_frame fragment)
{
    uint64_t length = fragment.length & ~BEGINS_IMAGE;
    bool begins = fragment.length & BEGINS_IMAGE;

    if (finder->table_width > 0)
        begins = finder->count < finder->expected && fragment.offset == table_start(finder, finder->count);
    if (begins ? finder->count == finder->expected : finder->count == 0)
        finder->lost = true;
    else if (begins)
        finder->frames[finder->count++] = (struct vt_frame){ fragment.offset, length };
    else
        finder->frames[finder->count - 1].length += length;
}

/* One fragment too many: joins what was noted, in place. */
static void start_joining(struct vt_frame_finder *finder)
{
    size_t noted = finder->count;

    finder->joining = true;
    finder->lost = finder->table_width > 0 && finder->table_size != finder->expected * finder->table_width;
    finder->count = 0;
    for (size_t i = 0; i < noted && !finder->lost; i++)
        join(finder, finder->frames[i]);
}

static bool note(struct vt_frame_finder *finder, struct vt_frame fragment, struct vt_err *err)
{
    if (finder->expected == 1 && finder->count == 1) {
        finder->frames[0].length += fragment.length & ~BEGINS_IMAGE;
        return true;
    }
    if (!finder->joining && finder->count == finder->expected)
        start_joining(finder);
    if (finder->lost)
        return true;
    if (finder->joining) {
        join(finder, fragment);
        return true;
    }
    if (!grow(&finder->frames, &finder->capacity, FIRST_FRAMES, finder->count + 1, sizeof finder->frames[0],
              err))
        return false;
    if (finder->expected == 1)
        fragment.length &= ~BEGINS_IMAGE;
    finder->frames[finder->count++] = fragment;
    return true;
}

/* The fragment that has passed by: now its first bytes are known. */
static bool settle_last(struct vt_frame_finder *finder, struct vt_err *err)
{
    struct vt_frame fragment = finder->last;

    if (fragment.length == 0 || finder->lost)
        return true;
    if (begins_image(finder))
        fragment.length |= BEGINS_IMAGE;
    finder->last.length = 0;
    return note(finder, fragment, err);
}

bool vt_frames_fragment(struct vt_frame_finder *finder, uint64_t offset, uint32_t length, const uint8_t *at,
                        struct vt_err *err)
{
    if (finder->fragments++ == 0)
        finder->base = offset;
    if (finder->expected == 0)
        return true;
    if (!settle_last(finder, err))
        return false;
    finder->last = (struct vt_frame){ offset, (uint64_t)length + 8 };
    finder->start_size = 0;
    finder->start_tap = (struct vt_tap){ at, length < sizeof finder->start ? length : sizeof finder->start };
    return true;
}

bool vt_frames_finish(struct vt_frame_finder *finder, struct vt_err *err)
{
    if (finder->expected > 0 && !settle_last(finder, err))
        return false;
    if (finder->lost || finder->expected == 0 || finder->count != finder->expected)
        finder->count = 0;
    for (size_t i = 0; i < finder->count; i++)
        finder->frames[i].length &= ~BEGINS_IMAGE;
    return true;
}
