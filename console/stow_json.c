#include "console/stow_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "archive/archive.h"
#include "console/accept.h"
#include "console/jpeg_head.h"
#include "console/multipart.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "media/slide_spool.h"

enum {
    SHEETS_MAX = 10000,          /* metadata parts */
    LOCATIONS_MAX = 16 << 20,    /* bytes of all Content-Locations */
    BLOCK = 256 << 10,           /* of a value on its way */
    LOCATION_MAX = 1200,
    ROOM_EVERY = 64 << 20,       /* bytes put aside between two looks at the free space */
};

/* A metadata part. */
struct sheet {
    struct vt_buf text;
    struct vt_json_tree tree;
    uint32_t *nodes;
    size_t count;
    char transfer_syntax[VT_UID_MAX + 1]; /* of its Content-Type */
};

/* A part with a value. */
struct bulk {
    size_t location; /* in locations */
    uint64_t offset, size; /* in the spool */
    char type[VT_MEDIA_TYPE_MAX];
    char transfer_syntax[VT_UID_MAX + 1];
};

struct vt_stow_json {
    struct vt_archive *archive;
    struct vt_slide_spool *spool;
    uint64_t room_asked; /* bytes in the spool when free space was looked at */
    struct sheet *sheets;
    size_t sheet_count, sheet_room, text_size, node_count;
    struct bulk *bulks; /* by location, once the body is whole */
    size_t bulk_count, bulk_room;
    struct vt_buf locations;
    bool in_sheet;
    size_t sheet, next; /* the next instance */
    bool sorted;
};

struct vt_stow_json *vt_stow_json_new(struct vt_archive *archive, struct vt_err *err)
{
    VT_AUTO(vt_stow_json) json = calloc(1, sizeof *json);
    char folder[4096];

    if (!json) {
        vt_fail(err, VT_E_NOMEM, "no memory for a request");
        return NULL;
    }
    json->archive = archive;
    vt_buf_init(&json->locations, LOCATIONS_MAX);
    snprintf(folder, sizeof folder, "%s/staging", vt_archive_path(archive));
    json->spool = vt_slide_spool_new(folder, err);
    return json->spool ? vt_take(&json) : NULL;
}

void vt_stow_json_free(struct vt_stow_json *json)
{
    if (!json)
        return;
    for (size_t i = 0; i < json->sheet_count; i++) {
        vt_json_tree_fini(&json->sheets[i].tree);
        vt_buf_fini(&json->sheets[i].text);
        free(json->sheets[i].nodes);
    }
    free(json->sheets);
    free(json->bulks);
    vt_buf_fini(&json->locations);
    vt_slide_spool_free(json->spool);
    free(json);
}

/* ---- parts ---- */

/* Room for one more of `size` bytes each. */
static bool grow(void **list, size_t count, size_t *room, size_t size, size_t most, struct vt_err *err)
{
    if (count >= most)
        return vt_fail(err, VT_E_LIMIT, "more than %zu parts of one kind", most);
    if (count < *room)
        return true;
    size_t wanted = *room ? 2 * *room : 16;
    void *grown = reallocarray(*list, wanted, size);
    if (!grown)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu parts", wanted);
    *list = grown;
    *room = wanted;
    return true;
}

static bool begin_sheet(struct vt_stow_json *json, const struct vt_media_range *type, struct vt_err *err)
{
    if (!grow((void **)&json->sheets, json->sheet_count, &json->sheet_room, sizeof *json->sheets, SHEETS_MAX, err))
        return false;
    struct sheet *sheet = &json->sheets[json->sheet_count++];
    *sheet = (struct sheet){ .count = 0 };
    vt_buf_init(&sheet->text, VT_JSON_TEXT_MAX);
    snprintf(sheet->transfer_syntax, sizeof sheet->transfer_syntax, "%s", type->transfer_syntax);
    return true;
}

static bool begin_bulk(struct vt_stow_json *json, const struct vt_media_range *type, const char *location, struct vt_err *err)
{
    size_t at = json->locations.size;

    if (!vt_archive_takes(json->archive, err) ||
        !grow((void **)&json->bulks, json->bulk_count, &json->bulk_room, sizeof *json->bulks, VT_PARTS_MAX, err) ||
        !vt_buf_append(&json->locations, location, strlen(location) + 1, err))
        return false;
    struct bulk *bulk = &json->bulks[json->bulk_count++];
    *bulk = (struct bulk){ .location = at, .offset = vt_slide_spool_size(json->spool) };
    snprintf(bulk->type, sizeof bulk->type, "%s", type->type);
    snprintf(bulk->transfer_syntax, sizeof bulk->transfer_syntax, "%s", type->transfer_syntax);
    return true;
}

bool vt_stow_json_begin(struct vt_stow_json *json, const char *content_type, const char *location, struct vt_err *err)
{
    struct vt_accept types;
    struct vt_media_range none = { .type = "application/octet-stream" };

    vt_accept_read(content_type, &types);
    const struct vt_media_range *type = types.count > 0 && *content_type ? &types.ranges[0] : &none;
    json->in_sheet = strcmp(type->type, "application/dicom+json") == 0 || strcmp(type->type, "application/json") == 0;
    return json->in_sheet ? begin_sheet(json, type, err) : begin_bulk(json, type, location, err);
}

bool vt_stow_json_bytes(struct vt_stow_json *json, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    if (json->in_sheet) {
        json->text_size += size;
        return (json->text_size <= VT_JSON_TEXT_MAX ||
                vt_fail(err, VT_E_LIMIT, "more than %d bytes of metadata in one request", VT_JSON_TEXT_MAX)) &&
               vt_buf_append(&json->sheets[json->sheet_count - 1].text, bytes, size, err);
    }
    json->bulks[json->bulk_count - 1].size += size;
    if (vt_slide_spool_size(json->spool) - json->room_asked >= ROOM_EVERY) {
        json->room_asked = vt_slide_spool_size(json->spool);
        if (!vt_archive_takes(json->archive, err))
            return false;
    }
    return vt_slide_spool_write(json->spool, bytes, size, err);
}

static bool read_sheet(struct vt_stow_json *json, struct sheet *sheet, struct vt_err *err)
{
    if (!vt_json_tree_read((const char *)sheet->text.data, sheet->text.size, &sheet->tree, err))
        return false;
    json->node_count += sheet->tree.count;
    return (json->node_count <= VT_JSON_NODES_MAX ||
            vt_fail(err, VT_E_LIMIT, "more than %d values in one request", VT_JSON_NODES_MAX)) &&
           vt_json_data_sets(&sheet->tree, &sheet->nodes, &sheet->count, err);
}

bool vt_stow_json_end(struct vt_stow_json *json, bool *out_wrong, struct vt_err *err)
{
    *out_wrong = false;
    if (!json->in_sheet || read_sheet(json, &json->sheets[json->sheet_count - 1], err))
        return true;
    *out_wrong = err->code == VT_E_INVALID;
    return *out_wrong;
}

/* ---- which part ---- */

static const char *location_of(const struct vt_stow_json *json, size_t i)
{
    return (const char *)json->locations.data + json->bulks[i].location;
}

static int by_location(const void *a, const void *b, void *json)
{
    const struct vt_stow_json *all = json;
    const struct bulk *x = a, *y = b;
    const char *texts = (const char *)all->locations.data;
    int order = strcmp(texts + x->location, texts + y->location);

    return order != 0 ? order : (x->location > y->location) - (x->location < y->location);
}

/* The first part with that location; bulk_count: there is none. */
static size_t find_location(const struct vt_stow_json *json, const char *location)
{
    size_t low = 0, high = json->bulk_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(location_of(json, middle), location) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < json->bulk_count && strcmp(location_of(json, low), location) == 0 ? low : json->bulk_count;
}

/* The i-th part of a value. */
static const struct bulk *part_of(const struct vt_stow_json *json, const char *uri, size_t i)
{
    char frame[LOCATION_MAX + 32];
    size_t at = find_location(json, uri);

    if (at < json->bulk_count) {
        at += i;
        return at < json->bulk_count && strcmp(location_of(json, at), uri) == 0 ? &json->bulks[at] : NULL;
    }
    if ((size_t)snprintf(frame, sizeof frame, "%s/frames/%zu", uri, i + 1) >= sizeof frame)
        return NULL;
    at = find_location(json, frame);
    return at < json->bulk_count ? &json->bulks[at] : NULL;
}

static const char *uri_of(const struct vt_json_data_set *data_set, const struct vt_json_gap *gap)
{
    return (const char *)data_set->uris.data + gap->uri;
}

/* How many parts a value has, and their bytes in all. */
static bool measure(const struct vt_stow_json *json, const struct vt_json_data_set *data_set, const struct vt_json_gap *gap,
                    size_t *out_count, uint64_t *out_size, struct vt_err *err)
{
    const char *uri = uri_of(data_set, gap);
    const struct bulk *part;

    *out_size = 0;
    for (*out_count = 0; (part = part_of(json, uri, *out_count)); ++*out_count)
        *out_size += part->size;
    return *out_count > 0 ||
           vt_fail_dimse(err, VT_E_NOTFOUND, 0xc000, "%08X: no part has the Content-Location '%.100s'", gap->tag, uri);
}

/* ---- transfer syntaxes ---- */

/* What the frame says of itself. */
static bool look_at_jpeg(struct vt_stow_json *json, const struct bulk *part, struct vt_jpeg_head *out)
{
    size_t size = part->size < VT_JPEG_HEAD_MAX ? (size_t)part->size : VT_JPEG_HEAD_MAX;
    vt_autofree uint8_t *bytes = malloc(size + 1);
    struct vt_err ignored = { 0 };

    return bytes && vt_slide_spool_read(json->spool, bytes, size, part->offset, &ignored) && vt_jpeg_head_read(bytes, size, out);
}

/* What a media type means without a transfer syntax (PS3.18 8.7.3.3); NULL: nothing we know. */
static const char *usual_syntax(struct vt_stow_json *json, const struct bulk *part)
{
    static const struct {
        const char *type, *syntax;
    } rows[] = {
        { "application/octet-stream", VT_UID_EXPLICIT_LE },  { "image/jls", "1.2.840.10008.1.2.4.80" },
        { "image/jp2", "1.2.840.10008.1.2.4.90" },           { "image/jpx", "1.2.840.10008.1.2.4.92" },
        { "image/jphc", "1.2.840.10008.1.2.4.201" },         { "image/jxl", "1.2.840.10008.1.2.4.110" },
        { "image/dicom-rle", "1.2.840.10008.1.2.5" },        { "image/x-dicom-rle", "1.2.840.10008.1.2.5" },
        { "video/mpeg", "1.2.840.10008.1.2.4.100" },         { "video/mp4", "1.2.840.10008.1.2.4.102" },
    };

    struct vt_jpeg_head head;

    if (strcmp(part->type, "image/jpeg") == 0)
        return look_at_jpeg(json, part, &head) ? head.transfer_syntax : NULL;
    for (size_t i = 0; i < VT_COUNT(rows); i++)
        if (strcmp(part->type, rows[i].type) == 0)
            return rows[i].syntax;
    return NULL;
}

/* NULL: no pixel data stand elsewhere. */
static const struct vt_json_gap *pixels_of(const struct vt_json_data_set *data_set)
{
    for (size_t i = 0; i < data_set->gap_count; i++)
        if (data_set->gaps[i].tag == VT_TAG_PIXEL_DATA && !data_set->gaps[i].nested)
            return &data_set->gaps[i];
    return NULL;
}

bool vt_stow_json_syntax(struct vt_stow_json *json, const struct vt_json_data_set *data_set, char out[VT_UID_MAX + 1],
                         struct vt_err *err)
{
    const struct vt_json_gap *gap = pixels_of(data_set);
    const struct vt_transfer_syntax *named = vt_transfer_syntax_find(data_set->transfer_syntax_uid);
    const struct bulk *part = gap ? part_of(json, uri_of(data_set, gap), 0) : NULL;
    const char *uid = VT_UID_EXPLICIT_LE;

    if (part)
        uid = *part->transfer_syntax              ? part->transfer_syntax
              : named && named->encapsulated      ? named->uid
                                                  : usual_syntax(json, part);
    else if (data_set->has_pixels && named && named->encapsulated)
        return vt_fail_dimse(err, VT_E_UNSUPPORTED, 0xc122, "compressed pixel data come as parts, a frame each, not inline");
    const struct vt_transfer_syntax *syntax = uid ? vt_transfer_syntax_find(uid) : NULL;
    if (!syntax)
        return vt_fail_dimse(err, VT_E_UNSUPPORTED, 0xc122, "pixel data as %.96s: the transfer syntax is not known",
                             uid ? uid : part->type);
    snprintf(out, VT_UID_MAX + 1, "%s", syntax->encapsulated ? syntax->uid : VT_UID_EXPLICIT_LE);
    return true;
}

/* ---- Image Pixel attributes that were left out ---- */

static bool put_text(struct vt_json_data_set *data_set, uint32_t tag, const char *text, struct vt_err *err)
{
    return vt_json_data_set_add(data_set, tag, "CS", text, strlen(text), err);
}

static bool put_number(struct vt_json_data_set *data_set, uint32_t tag, unsigned number, struct vt_err *err)
{
    const uint8_t bytes[] = { (uint8_t)number, (uint8_t)(number >> 8) };

    return vt_json_data_set_add(data_set, tag, "US", bytes, sizeof bytes, err);
}

static bool put_jpeg(struct vt_json_data_set *data_set, const struct vt_jpeg_head *head, struct vt_err *err)
{
    return put_number(data_set, VT_TAG_SAMPLES_PER_PIXEL, head->components, err) &&
           put_text(data_set, VT_TAG_PHOTOMETRIC_INTERPRETATION, head->photometric, err) &&
           (head->components == 1 || put_number(data_set, 0x00280006, 0, err)) && put_number(data_set, VT_TAG_ROWS, head->rows, err) &&
           put_number(data_set, VT_TAG_COLUMNS, head->columns, err) &&
           put_number(data_set, VT_TAG_BITS_ALLOCATED, head->precision > 8 ? 16 : 8, err) &&
           put_number(data_set, VT_TAG_BITS_STORED, head->precision, err) && put_number(data_set, VT_TAG_HIGH_BIT, head->precision - 1, err) &&
           put_number(data_set, VT_TAG_PIXEL_REPRESENTATION, 0, err) && (head->lossless || put_text(data_set, 0x00282110, "01", err));
}

/* Of JPEGs, which say it themselves. */
static bool complete(struct vt_stow_json *json, struct vt_json_data_set *data_set, struct vt_err *err)
{
    const struct vt_json_gap *gap = pixels_of(data_set);
    const struct bulk *part = gap ? part_of(json, uri_of(data_set, gap), 0) : NULL;
    struct vt_jpeg_head head;

    return !part || strcmp(part->type, "image/jpeg") != 0 || !look_at_jpeg(json, part, &head) || put_jpeg(data_set, &head, err);
}

/* ---- the next instance ---- */

static void sort_bulks(struct vt_stow_json *json)
{
    if (!json->sorted && json->bulk_count > 1)
        qsort_r(json->bulks, json->bulk_count, sizeof *json->bulks, by_location, json);
    json->sorted = true;
}

bool vt_stow_json_next(struct vt_stow_json *json, struct vt_json_data_set *out, bool *out_more, struct vt_err *err)
{
    sort_bulks(json);
    while (json->sheet < json->sheet_count && json->next == json->sheets[json->sheet].count) {
        json->sheet++;
        json->next = 0;
    }
    *out_more = json->sheet < json->sheet_count;
    if (!*out_more)
        return true;
    const struct sheet *sheet = &json->sheets[json->sheet];
    if (!vt_json_data_set_read(&sheet->tree, sheet->nodes[json->next++], out, err) || !complete(json, out, err)) {
        if (err->dimse_status == 0)
            err->dimse_status = err->code == VT_E_NOMEM ? 0xa700 : 0xc000;
        return false;
    }
    if (!*out->transfer_syntax_uid)
        snprintf(out->transfer_syntax_uid, sizeof out->transfer_syntax_uid, "%s", sheet->transfer_syntax);
    return true;
}

/* ---- its bytes ---- */

struct writing {
    struct vt_stow_json *json;
    const struct vt_json_data_set *data_set;
    bool (*take)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err);
    void *context;
    uint8_t *block;
    struct vt_buf head;
    struct vt_writer writer; /* into head */
};

static bool give(struct writing *w, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return size == 0 || w->take(w->context, bytes, size, err);
}

static bool put_head(struct writing *w, struct vt_err *err)
{
    bool ok = give(w, w->head.data, w->head.size, err);

    vt_buf_reset(&w->head);
    return ok;
}

static bool put_part(struct writing *w, const struct bulk *part, struct vt_err *err)
{
    for (uint64_t at = 0; at < part->size;) {
        size_t size = part->size - at < BLOCK ? (size_t)(part->size - at) : BLOCK;
        if (!vt_slide_spool_read(w->json->spool, w->block, size, part->offset + at, err) ||
            !give(w, w->block, size, err))
            return false;
        at += size;
    }
    return true;
}

static bool pad(struct writing *w, uint64_t size, char with, struct vt_err *err)
{
    return size % 2 == 0 || give(w, (const uint8_t *)&with, 1, err);
}

/* A value as it is. */
static bool put_native(struct writing *w, const struct vt_json_gap *gap, struct vt_err *err)
{
    const char *uri = uri_of(w->data_set, gap);
    const struct bulk *part;
    size_t count;
    uint64_t size;

    if (!measure(w->json, w->data_set, gap, &count, &size, err))
        return false;
    if (size >= VT_UNDEFINED_LENGTH - 1)
        return vt_fail_dimse(err, VT_E_LIMIT, 0xc000, "%08X: a value of more than 4 GB", gap->tag);
    if (!vt_write_header(&w->writer, gap->tag, gap->vr, (uint32_t)(size + size % 2), err) || !put_head(w, err))
        return false;
    for (size_t i = 0; (part = part_of(w->json, uri, i)); i++)
        if (!put_part(w, part, err))
            return false;
    return pad(w, size, gap->vr[0] == 'O' || strcmp(gap->vr, "UN") == 0 || strcmp(gap->vr, "UI") == 0 ? '\0' : ' ', err);
}

/* The basic offset table; empty for one frame, or when offsets do not fit. */
static bool put_offsets(struct writing *w, const char *uri, size_t count, uint64_t size, struct vt_err *err)
{
    bool wanted = count > 1 && size + count * 9 <= UINT32_MAX;
    uint32_t at = 0;

    vt_buf_reset(&w->head);
    if (!vt_write_header(&w->writer, VT_TAG_PIXEL_DATA, "OB", VT_UNDEFINED_LENGTH, err) ||
        !vt_write_header(&w->writer, VT_TAG_ITEM, "", wanted ? (uint32_t)(4 * count) : 0, err))
        return false;
    for (size_t i = 0; wanted && i < count; i++) {
        const uint8_t bytes[] = { (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24) };
        if (!vt_buf_append(&w->head, bytes, sizeof bytes, err))
            return false;
        const struct bulk *part = part_of(w->json, uri, i);
        at += 8 + (uint32_t)(part->size + part->size % 2);
    }
    return put_head(w, err);
}

/* A part is a frame is a fragment; of a video all of it is one. */
static bool put_frames(struct writing *w, const struct vt_json_gap *gap, const struct vt_transfer_syntax *syntax, struct vt_err *err)
{
    const char *uri = uri_of(w->data_set, gap);
    const struct bulk *part;
    size_t count;
    uint64_t size;

    if (!measure(w->json, w->data_set, gap, &count, &size, err))
        return false;
    if (count != (syntax->video ? 1 : w->data_set->frames))
        return vt_fail_dimse(err, VT_E_INVALID, 0xc000, "%zu parts for %u frames", count, (unsigned)w->data_set->frames);
    if (!put_offsets(w, uri, count, size, err))
        return false;
    for (size_t i = 0; (part = part_of(w->json, uri, i)); i++) {
        if (part->size >= VT_UNDEFINED_LENGTH - 1)
            return vt_fail_dimse(err, VT_E_LIMIT, 0xc000, "a frame of more than 4 GB");
        if (!vt_write_header(&w->writer, VT_TAG_ITEM, "", (uint32_t)(part->size + part->size % 2), err) || !put_head(w, err) ||
            !put_part(w, part, err) || !pad(w, part->size, '\0', err))
            return false;
    }
    return vt_write_sequence_end(&w->writer, err) && put_head(w, err);
}

static bool put_all(struct writing *w, const struct vt_transfer_syntax *syntax, struct vt_err *err)
{
    const struct vt_json_data_set *data_set = w->data_set;
    size_t at = 0;

    for (size_t i = 0; i < data_set->gap_count; i++) {
        const struct vt_json_gap *gap = &data_set->gaps[i];
        bool frames = gap->tag == VT_TAG_PIXEL_DATA && !gap->nested && syntax->encapsulated;
        if (!give(w, data_set->bytes.data + at, gap->at - at, err) ||
            !(frames ? put_frames(w, gap, syntax, err) : put_native(w, gap, err)))
            return false;
        at = gap->at;
    }
    return give(w, data_set->bytes.data + at, data_set->bytes.size - at, err);
}

bool vt_stow_json_write(struct vt_stow_json *json, const struct vt_json_data_set *data_set, const char *transfer_syntax,
                        bool (*take)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err), void *context,
                        struct vt_err *err)
{
    struct writing w = { .json = json, .data_set = data_set, .take = take, .context = context };
    vt_autofree uint8_t *block = malloc(BLOCK);

    if (!block)
        return vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for a value");
    w.block = block;
    vt_buf_init(&w.head, 4 * (size_t)VT_PARTS_MAX + 64);
    w.writer = (struct vt_writer){ &w.head, VT_EXPLICIT_LE };
    bool ok = put_all(&w, vt_transfer_syntax_find(transfer_syntax), err);
    vt_buf_fini(&w.head);
    return ok;
}
