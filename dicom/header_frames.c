#include <stdlib.h>
#include <string.h>

#include "dicom/header_parts.h"

/* Which fragments make a frame (PS3.5 A.4), found while they stream by:
 *
 *   one frame               all fragments
 *   as many as fragments    one each, whatever a table says
 *   fewer than fragments    a frame starts where the offset table says, and each of its offsets must be the
 *                           start of a fragment
 *
 * So a fragment is noted as a frame until there is one too many; then those noted are joined by the table. */

enum { FIRST_FRAMES = 64, FIRST_TABLE = 1024 };

void vt_frames_reset(struct vt_frame_finder *finder)
{
    finder->expected = finder->fragments = finder->base = 0;
    finder->count = finder->table_size = 0;
    finder->table_width = 0;
    finder->by_table = finder->lost = false;
    finder->table_tap = (struct vt_tap){ 0 };
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

/* A fragment at `offset` by the table: the next frame begins there, or it belongs to the last one. */
static void add_by_table(struct vt_frame_finder *finder, uint64_t offset, uint64_t length)
{
    bool starts = finder->count < finder->expected && offset == table_start(finder, finder->count);

    if (starts)
        finder->frames[finder->count++] = (struct vt_frame){ offset, length };
    else if (finder->count == 0)
        finder->lost = true;
    else
        finder->frames[finder->count - 1].length += length;
}

/* One fragment too many: joins what was noted in place. */
static void turn_to_table(struct vt_frame_finder *finder)
{
    size_t noted = finder->count;

    finder->by_table = true;
    finder->lost = finder->table_width == 0 ||
                   finder->table_size != finder->expected * finder->table_width;
    finder->count = 0;
    for (size_t i = 0; i < noted && !finder->lost; i++)
        add_by_table(finder, finder->frames[i].offset, finder->frames[i].length);
}

bool vt_frames_fragment(struct vt_frame_finder *finder, uint64_t offset, uint32_t length, struct vt_err *err)
{
    uint64_t whole = (uint64_t)length + 8;

    if (finder->fragments++ == 0)
        finder->base = offset;
    if (finder->expected == 0 || finder->lost)
        return true;
    if (finder->expected == 1 && finder->count == 1) {
        finder->frames[0].length += whole;
        return true;
    }
    if (!finder->by_table && finder->fragments > finder->expected)
        turn_to_table(finder);
    if (finder->lost)
        return true;
    if (finder->by_table) {
        add_by_table(finder, offset, whole);
        return true;
    }
    if (!grow(&finder->frames, &finder->capacity, FIRST_FRAMES, finder->count + 1, sizeof finder->frames[0],
              err))
        return false;
    finder->frames[finder->count++] = (struct vt_frame){ offset, whole };
    return true;
}

void vt_frames_finish(struct vt_frame_finder *finder)
{
    if (finder->lost || finder->expected == 0 || finder->count != finder->expected)
        finder->count = 0;
}
