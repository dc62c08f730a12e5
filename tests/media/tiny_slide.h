/* tests/media/tiny_slide.h: a slide of two tiles in memory, byte by byte: baseline JPEG headers around bytes that nobody decodes. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TINY_ROOM = 4096, TINY_TILE = 60 };

struct tiny {
    uint8_t bytes[TINY_ROOM];
    size_t size;
    size_t tiles[2];        /* where they lie */
    size_t directory;
};

static inline size_t tiny_put(struct tiny *tiny, const void *bytes, size_t size)
{
    size_t at = tiny->size;

    memcpy(tiny->bytes + at, bytes, size);
    tiny->size += size;
    return at;
}

static inline void tiny_entry(struct tiny *tiny, uint16_t tag, uint16_t type, uint32_t count, uint32_t value)
{
    const uint8_t entry[12] = { (uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)type, (uint8_t)(type >> 8),
                                (uint8_t)count, (uint8_t)(count >> 8), (uint8_t)(count >> 16), 0,
                                (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), 0 };

    tiny_put(tiny, entry, sizeof entry);
}

/* SOI, SOF0 of 16 x 16 with three components, SOS, something, EOI. */
static inline size_t tiny_tile(struct tiny *tiny, uint8_t fill)
{
    static const uint8_t head[] = { 0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8, 0, 16, 0, 16, 3, 0, 0x11, 0, 1, 0x11,
                                    0, 2, 0x11, 0, 0xFF, 0xDA, 0, 12, 3, 0, 0, 1, 0, 2, 0, 0, 63, 0 };
    uint8_t tile[TINY_TILE];

    memset(tile, fill, sizeof tile);
    memcpy(tile, head, sizeof head);
    tile[TINY_TILE - 2] = 0xFF;
    tile[TINY_TILE - 1] = 0xD9;
    return tiny_put(tiny, tile, sizeof tile);
}

/* 32 x 16 pixels in two tiles, with JPEGTables; the description is Aperio's. */
static inline void tiny_make(struct tiny *tiny, const char *description)
{
    static const uint8_t tables[] = { 0xFF, 0xD8, 0xFF, 0xDB, 0, 4, 1, 2, 0xFF, 0xC4, 0, 4, 3, 4, 0xFF, 0xD9 };
    uint32_t offsets[2], counts[2] = { TINY_TILE, TINY_TILE };

    *tiny = (struct tiny){ .bytes = { 'I', 'I', 42, 0 }, .size = 8 };
    for (size_t i = 0; i < 2; i++)
        offsets[i] = (uint32_t)(tiny->tiles[i] = tiny_tile(tiny, (uint8_t)(0x10 + i)));
    size_t text = tiny_put(tiny, description, strlen(description) + 1);
    size_t table = tiny_put(tiny, tables, sizeof tables);
    size_t at = tiny_put(tiny, offsets, sizeof offsets), sizes = tiny_put(tiny, counts, sizeof counts);
    tiny->directory = tiny->size;
    tiny_put(tiny, (const uint8_t[]){ 12, 0 }, 2);
    tiny_entry(tiny, 256, 4, 1, 32);
    tiny_entry(tiny, 257, 4, 1, 16);
    tiny_entry(tiny, 258, 3, 1, 8);
    tiny_entry(tiny, 259, 3, 1, 7);
    tiny_entry(tiny, 262, 3, 1, 2);
    tiny_entry(tiny, 270, 2, (uint32_t)strlen(description) + 1, (uint32_t)text);
    tiny_entry(tiny, 277, 3, 1, 3);
    tiny_entry(tiny, 322, 4, 1, 16);
    tiny_entry(tiny, 323, 4, 1, 16);
    tiny_entry(tiny, 324, 4, 2, (uint32_t)at);
    tiny_entry(tiny, 325, 4, 2, (uint32_t)sizes);
    tiny_entry(tiny, 347, 7, sizeof tables, (uint32_t)table);
    tiny_put(tiny, (const uint8_t[4]){ 0 }, 4);
    for (size_t i = 0; i < 4; i++)
        tiny->bytes[4 + i] = (uint8_t)(tiny->directory >> 8 * i);
}

#define TINY_TEXT "Aperio Image Library v1\r\n32x16|AppMag = 20|MPP = 0.5|Date = 01/02/26|Time = 03:04:05"
