/* The directories of a TIFF file. Values of a tag are read where they are needed: single numbers from the entry, tables of
 * tiles in pieces, texts and profiles only noted as spans. */
#include "media/slide_tiff.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "media/slide_source.h"
#include "media/slide_tiff_entry.h"

enum {
    TAG_SUBFILE_TYPE = 254, TAG_WIDTH = 256, TAG_HEIGHT = 257, TAG_BITS = 258, TAG_COMPRESSION = 259,
    TAG_PHOTOMETRIC = 262, TAG_DESCRIPTION = 270, TAG_MAKE = 271, TAG_MODEL = 272,
    TAG_STRIP_OFFSETS = 273, TAG_SAMPLES = 277, TAG_ROWS_PER_STRIP = 278, TAG_STRIP_COUNTS = 279,
    TAG_X_RESOLUTION = 282, TAG_Y_RESOLUTION = 283, TAG_PLANAR = 284, TAG_RESOLUTION_UNIT = 296,
    TAG_SOFTWARE = 305, TAG_DATE_TIME = 306, TAG_TILE_WIDTH = 322, TAG_TILE_HEIGHT = 323,
    TAG_TILE_OFFSETS = 324, TAG_TILE_COUNTS = 325, TAG_SUB_DIRECTORIES = 330,
    TAG_SAMPLE_FORMAT = 339, TAG_JPEG_TABLES = 347, TAG_ICC = 34675, TAG_NDPI = 65420,
};

enum { HEADER_MAX = 16, SUBS_MAX = 64 };

/* What a directory tells before its tables are read. */
struct directory {
    struct vt_tiff_page page;
    struct vt_tiff_entry offsets, counts, subs;
    uint64_t next;
};

struct reading {
    struct vt_tiff_reader in;
    struct vt_tiff *tiff;
    uint64_t seen[VT_TIFF_PAGES_MAX];
    size_t seen_count, tile_total;
};

bool vt_tiff_is(const uint8_t *bytes, size_t size)
{
    static const uint8_t magics[][4] = {
        { 'I', 'I', 42, 0 }, { 'M', 'M', 0, 42 }, { 'I', 'I', 43, 0 }, { 'M', 'M', 0, 43 }
    };

    for (size_t i = 0; size >= 8 && i < VT_COUNT(magics); i++)
        if (memcmp(bytes, magics[i], 4) == 0)
            return true;
    return false;
}

void vt_tiff_free(struct vt_tiff *tiff)
{
    if (!tiff)
        return;
    for (size_t i = 0; i < tiff->page_count; i++)
        free(tiff->pages[i].tiles);
    free(tiff->pages);
    free(tiff);
}

/* ---- the header ---- */

static bool read_header(struct reading *reading, uint64_t *out_first, struct vt_err *err)
{
    struct vt_tiff_reader *in = &reading->in;
    uint8_t bytes[HEADER_MAX] = { 0 };
    size_t size = in->source->size < HEADER_MAX ? (size_t)in->source->size : HEADER_MAX;

    if (!vt_slide_read(in->source, bytes, size, 0, err))
        return false;
    if (!vt_tiff_is(bytes, size))
        return vt_fail(err, VT_E_INVALID, "%s is no TIFF file", in->source->name);
    in->big_endian = bytes[0] == 'M';
    in->big = bytes[in->big_endian ? 3 : 2] == 43;
    if (in->big && (size < HEADER_MAX || vt_tiff_number(in, bytes + 4, 2) != 8))
        return vt_fail(err, VT_E_INVALID, "%s is no BigTIFF file after all", in->source->name);
    *out_first = in->big ? vt_tiff_number(in, bytes + 8, 8) : vt_tiff_number(in, bytes + 4, 4);
    reading->tiff->big = in->big;
    reading->tiff->big_endian = in->big_endian;
    return true;
}

/* ---- one directory ---- */

static uint32_t clamp_32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static uint16_t clamp_16(uint64_t value)
{
    return value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

static struct vt_tiff_span span_of(const struct vt_tiff_entry *entry)
{
    return (struct vt_tiff_span){ entry->at, entry->count * vt_tiff_width(entry->type) };
}

/* Numbers of one value, spans, and where the tables are. */
static bool take_entry(struct reading *reading, struct directory *dir,
                       const struct vt_tiff_entry *entry, struct vt_err *err)
{
    struct vt_tiff_page *page = &dir->page;
    const struct { uint16_t tag; uint32_t *wide; uint16_t *narrow; } numbers[] = {
        { TAG_SUBFILE_TYPE, &page->subfile_type, NULL }, { TAG_WIDTH, &page->width, NULL },
        { TAG_HEIGHT, &page->height, NULL }, { TAG_ROWS_PER_STRIP, &page->rows_per_strip, NULL },
        { TAG_TILE_WIDTH, &page->tile_width, NULL }, { TAG_TILE_HEIGHT, &page->tile_height, NULL },
        { TAG_BITS, NULL, &page->bits }, { TAG_COMPRESSION, NULL, &page->compression },
        { TAG_PHOTOMETRIC, NULL, &page->photometric }, { TAG_SAMPLES, NULL, &page->samples },
        { TAG_PLANAR, NULL, &page->planar }, { TAG_SAMPLE_FORMAT, NULL, &page->sample_format },
        { TAG_RESOLUTION_UNIT, NULL, &page->resolution_unit },
    };
    const struct { uint16_t tag; struct vt_tiff_span *span; } spans[] = {
        { TAG_DESCRIPTION, &page->description }, { TAG_JPEG_TABLES, &page->jpeg_tables },
        { TAG_ICC, &page->icc }, { TAG_SOFTWARE, &page->software }, { TAG_MAKE, &page->make },
        { TAG_MODEL, &page->model }, { TAG_DATE_TIME, &page->date_time },
    };
    uint64_t value;

    for (size_t i = 0; i < VT_COUNT(numbers); i++) {
        if (numbers[i].tag != entry->tag)
            continue;
        if (!vt_tiff_entry_number(&reading->in, entry, 0, &value, err))
            return false;
        if (numbers[i].wide)
            *numbers[i].wide = clamp_32(value);
        else
            *numbers[i].narrow = clamp_16(value);
        return true;
    }
    for (size_t i = 0; i < VT_COUNT(spans); i++)
        if (spans[i].tag == entry->tag)
            *spans[i].span = span_of(entry);
    page->has_ndpi = page->has_ndpi || entry->tag == TAG_NDPI;
    if (entry->tag == TAG_X_RESOLUTION)
        return vt_tiff_entry_ratio(&reading->in, entry, &page->resolution_x, err);
    if (entry->tag == TAG_Y_RESOLUTION)
        return vt_tiff_entry_ratio(&reading->in, entry, &page->resolution_y, err);
    if (entry->tag == TAG_STRIP_OFFSETS || entry->tag == TAG_TILE_OFFSETS)
        dir->offsets = *entry;
    if (entry->tag == TAG_STRIP_COUNTS || entry->tag == TAG_TILE_COUNTS)
        dir->counts = *entry;
    if (entry->tag == TAG_SUB_DIRECTORIES)
        dir->subs = *entry;
    return true;
}

static bool note_seen(struct reading *reading, uint64_t offset, struct vt_err *err)
{
    for (size_t i = 0; i < reading->seen_count; i++)
        if (reading->seen[i] == offset)
            return vt_fail(err, VT_E_INVALID, "%s is damaged: its directories form a loop",
                           reading->in.source->name);
    if (reading->seen_count == VT_TIFF_PAGES_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s has more than %d pages: it is no slide",
                       reading->in.source->name, VT_TIFF_PAGES_MAX);
    reading->seen[reading->seen_count++] = offset;
    return true;
}

static bool read_directory(struct reading *reading, uint64_t offset, struct directory *out,
                           struct vt_err *err)
{
    struct vt_tiff_reader *in = &reading->in;
    size_t head = in->big ? 8 : 2, each = in->big ? 20 : 12, tail = in->big ? 8 : 4;
    uint8_t bytes[8];
    struct vt_tiff_entry entry;

    if (!note_seen(reading, offset, err) || !vt_slide_read(in->source, bytes, head, offset, err))
        return false;
    uint64_t count = vt_tiff_number(in, bytes, head);
    if (count == 0 || count > VT_TIFF_ENTRIES_MAX)
        return vt_fail(err, VT_E_INVALID, "%s is damaged: a directory of %llu entries at %llu",
                       in->source->name, (unsigned long long)count, (unsigned long long)offset);
    *out = (struct directory){ .page = { .directory = offset, .bits = 1, .samples = 1,
                                         .compression = 1, .planar = 1, .sample_format = 1,
                                         .rows_per_strip = UINT32_MAX, .resolution_unit = 2 } };
    for (uint64_t i = 0; i < count; i++)
        if (!vt_tiff_entry_read(in, offset + head + i * each, &entry, err) ||
            !take_entry(reading, out, &entry, err))
            return false;
    if (!vt_slide_read(in->source, bytes, tail, offset + head + count * each, err))
        return false;
    out->next = vt_tiff_number(in, bytes, tail);
    return true;
}

/* ---- tables of tiles ---- */

static bool check_shape(struct reading *reading, struct vt_tiff_page *page, struct vt_err *err)
{
    const char *name = reading->in.source->name;
    size_t number = reading->tiff->page_count;

    if (page->width == 0 || page->height == 0 || page->width > INT32_MAX ||
        page->height > INT32_MAX)
        return vt_fail(err, VT_E_INVALID, "%s: page %zu has %u x %u pixels", name, number,
                       page->width, page->height);
    if (page->tile_width == 0 && page->tile_height == 0) {
        if (page->rows_per_strip == 0 || page->rows_per_strip > page->height)
            page->rows_per_strip = page->height;
        page->columns = 1;
        page->rows = (page->height - 1) / page->rows_per_strip + 1;
        return true;
    }
    if (page->tile_width < VT_TIFF_TILE_SIDE_MIN || page->tile_height < VT_TIFF_TILE_SIDE_MIN ||
        page->tile_width > VT_TIFF_TILE_SIDE_MAX || page->tile_height > VT_TIFF_TILE_SIDE_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: page %zu has tiles of %u x %u pixels; %d to %d are read",
                       name, number, page->tile_width, page->tile_height, VT_TIFF_TILE_SIDE_MIN,
                       VT_TIFF_TILE_SIDE_MAX);
    page->columns = (page->width - 1) / page->tile_width + 1;
    page->rows = (page->height - 1) / page->tile_height + 1;
    return true;
}

static bool check_tile(struct reading *reading, const struct vt_tiff_span *tile, uint64_t i,
                       struct vt_err *err)
{
    const struct vt_slide_source *source = reading->in.source;

    if (tile->size > VT_TIFF_TILE_BYTES_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: tile %llu of page %zu has %llu bytes; %d are the limit",
                       source->name, (unsigned long long)i, reading->tiff->page_count,
                       (unsigned long long)tile->size, VT_TIFF_TILE_BYTES_MAX);
    if (!vt_slide_inside(source, tile->offset, tile->size))
        return vt_fail(err, VT_E_CORRUPT,
                       "%s is cut short or damaged: tile %llu of page %zu lies past its end",
                       source->name, (unsigned long long)i, reading->tiff->page_count);
    return true;
}

/* Planar pages have a table three times as long: only chunky ones are read as tiles. */
static bool read_tiles(struct reading *reading, struct directory *dir, struct vt_err *err)
{
    struct vt_tiff_page *page = &dir->page;
    const char *name = reading->in.source->name;
    uint64_t count = (uint64_t)page->columns * page->rows;
    uint64_t planes = page->planar == 2 ? page->samples : 1;

    if (dir->offsets.count != count * planes || dir->counts.count != dir->offsets.count)
        return vt_fail(err, VT_E_INVALID, "%s: page %zu has %llu tiles or strips instead of %llu",
                       name, reading->tiff->page_count, (unsigned long long)dir->offsets.count,
                       (unsigned long long)(count * planes));
    if (count > VT_TIFF_TILES_MAX - reading->tile_total)
        return vt_fail(err, VT_E_LIMIT, "%s has more than %d tiles", name, VT_TIFF_TILES_MAX);
    reading->tile_total += count;
    page->tiles = calloc(count, sizeof *page->tiles);
    if (!page->tiles)
        return vt_fail(err, VT_E_NOMEM, "no memory for %llu tiles", (unsigned long long)count);
    page->tile_count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++) {
        struct vt_tiff_span *tile = &page->tiles[i];
        if (!vt_tiff_entry_number(&reading->in, &dir->offsets, i, &tile->offset, err) ||
            !vt_tiff_entry_number_2(&reading->in, &dir->counts, i, &tile->size, err) ||
            !check_tile(reading, tile, i, err))
            return false;
    }
    return true;
}

static bool check_spans(struct reading *reading, struct vt_tiff_page *page)
{
    const struct { struct vt_tiff_span *span; uint64_t max; } spans[] = {
        { &page->description, VT_TIFF_TEXT_MAX }, { &page->jpeg_tables, VT_TIFF_JPEG_TABLES_MAX },
        { &page->icc, VT_TIFF_ICC_MAX },          { &page->software, VT_TIFF_TEXT_MAX },
        { &page->make, VT_TIFF_TEXT_MAX },        { &page->model, VT_TIFF_TEXT_MAX },
        { &page->date_time, VT_TIFF_TEXT_MAX },
    };

    for (size_t i = 0; i < VT_COUNT(spans); i++) {
        if (!vt_slide_inside(reading->in.source, spans[i].span->offset, spans[i].span->size))
            return false;
        if (spans[i].span->size > spans[i].max)
            spans[i].span->size = spans[i].max;
    }
    return true;
}

static bool add_page(struct reading *reading, uint64_t offset, struct directory *dir,
                     struct vt_err *err)
{
    struct vt_tiff *tiff = reading->tiff;

    if (!read_directory(reading, offset, dir, err) || !check_shape(reading, &dir->page, err))
        return false;
    if (!check_spans(reading, &dir->page))
        return vt_fail(err, VT_E_CORRUPT, "%s is cut short: a tag of page %zu lies past its end",
                       reading->in.source->name, tiff->page_count);
    struct vt_tiff_page *grown =
        reallocarray(tiff->pages, tiff->page_count + 1, sizeof *tiff->pages);
    if (!grown)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu pages", tiff->page_count + 1);
    tiff->pages = grown;
    bool ok = read_tiles(reading, dir, err);
    tiff->pages[tiff->page_count++] = dir->page;
    return ok;
}

/* Pyramids in sub-directories (libvips, OME): one deep. */
static bool add_subs(struct reading *reading, const struct vt_tiff_entry *subs, struct vt_err *err)
{
    struct directory dir;
    uint64_t offset;

    if (subs->count > SUBS_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: a page has %llu sub-directories",
                       reading->in.source->name, (unsigned long long)subs->count);
    for (uint64_t i = 0; i < subs->count; i++)
        if (!vt_tiff_entry_number(&reading->in, subs, i, &offset, err) ||
            !add_page(reading, offset, &dir, err))
            return false;
    return true;
}

struct vt_tiff *vt_tiff_read(const struct vt_slide_source *source, struct vt_err *err)
{
    VT_AUTO(vt_tiff) tiff = calloc(1, sizeof *tiff);
    vt_autofree struct reading *reading = calloc(1, sizeof *reading);
    struct directory dir;
    uint64_t next = 0;

    if (!tiff || !reading) {
        vt_fail(err, VT_E_NOMEM, "no memory for a TIFF file");
        return NULL;
    }
    reading->in.source = source;
    reading->tiff = tiff;
    if (!read_header(reading, &next, err))
        return NULL;
    if (next == 0) {
        vt_fail(err, VT_E_INVALID, "%s has no page", source->name);
        return NULL;
    }
    while (next != 0) {
        if (!add_page(reading, next, &dir, err))
            return NULL;
        next = dir.next;
        if (!add_subs(reading, &dir.subs, err))
            return NULL;
    }
    return vt_take(&tiff);
}
