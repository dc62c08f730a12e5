/* Frame tables as bytes. Blocks of FRAMES_A_BLOCK frames: for each block the offset of its first
 * frame and where its deltas begin, then the deltas: for each frame the gap behind the one before
 * and its length, as varints. A frame is found by decoding one block.
 *
 *   u8 version, u64 count, blocks x { u64 first offset, u32 position }, deltas */
#include "archive/instance.h"

#include <string.h>

#include "core/err.h"

enum { FRAMES_VERSION = 1, FRAMES_A_BLOCK = 64, HEAD = 9, BLOCK_ENTRY = 12, VARINT_MAX = 10 };

static void put_le(uint8_t *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, int bytes)
{
    uint64_t value = 0;

    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static bool append_varint(struct vt_buf *out, uint64_t value, struct vt_err *err)
{
    uint8_t bytes[VARINT_MAX];
    size_t size = 0;

    do {
        bytes[size++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    return vt_buf_append(out, bytes, size, err);
}

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;

    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* Gaps can be negative when offsets are not in order; zigzag keeps small ones small. */
static uint64_t zigzag(uint64_t from, uint64_t to)
{
    return to >= from ? (to - from) << 1 : ((from - to) << 1) - 1;
}

static uint64_t unzigzag(uint64_t from, uint64_t coded)
{
    return coded & 1 ? from - ((coded >> 1) + 1) : from + (coded >> 1);
}

static size_t blocks_of(size_t count)
{
    return (count + FRAMES_A_BLOCK - 1) / FRAMES_A_BLOCK;
}

bool vt_frames_encode(const struct vt_frame *frames, size_t count, struct vt_buf *out,
                      struct vt_err *err)
{
    size_t start = out->size, table = HEAD + blocks_of(count) * BLOCK_ENTRY;
    uint64_t expected = 0;

    if (!vt_buf_reserve(out, table, err))
        return false;
    out->data[start] = FRAMES_VERSION;
    put_le(out->data + start + 1, count, 8);
    out->size += table;
    for (size_t i = 0; i < count; i++) {
        if (i % FRAMES_A_BLOCK == 0) {
            uint8_t *entry = out->data + start + HEAD + i / FRAMES_A_BLOCK * BLOCK_ENTRY;
            put_le(entry, frames[i].offset, 8);
            put_le(entry + 8, out->size - start, 4);
            expected = frames[i].offset;
        }
        if (!append_varint(out, zigzag(expected, frames[i].offset), err) ||
            !append_varint(out, frames[i].length, err)) {
            out->size = start;
            return false;
        }
        expected = frames[i].offset + frames[i].length;
    }
    return true;
}

bool vt_frames_count(const uint8_t *bytes, size_t size, size_t *out_count)
{
    if (size < HEAD || bytes[0] != FRAMES_VERSION)
        return false;
    uint64_t count = get_le(bytes + 1, 8);
    if (count > (size - HEAD) / 2 || HEAD + blocks_of(count) * BLOCK_ENTRY > size)
        return false;
    *out_count = count;
    return true;
}

bool vt_frames_at(const uint8_t *bytes, size_t size, size_t i, struct vt_frame *out)
{
    size_t count;

    if (!vt_frames_count(bytes, size, &count) || i >= count)
        return false;
    const uint8_t *entry = bytes + HEAD + i / FRAMES_A_BLOCK * BLOCK_ENTRY;
    uint64_t position = get_le(entry + 8, 4), expected = get_le(entry, 8);
    if (position > size)
        return false;
    const uint8_t *at = bytes + position;
    struct vt_frame frame = { 0 };
    for (size_t k = i - i % FRAMES_A_BLOCK; k <= i; k++) {
        uint64_t gap;
        if (!read_varint(&at, bytes + size, &gap) || !read_varint(&at, bytes + size, &frame.length))
            return false;
        frame.offset = unzigzag(expected, gap);
        expected = frame.offset + frame.length;
    }
    *out = frame;
    return true;
}
