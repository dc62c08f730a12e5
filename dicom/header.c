#include "dicom/header.h"

#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "dicom/header_parts.h"

enum { FIRST_KEPT = 128, FIRST_LONG = 8, FIRST_ARENA = 8 << 10, LAST_KEPT_GROUP = 0x0088 };

#define TAG_EXTENDED_OFFSET_TABLE UINT32_C(0x7fe00001)

static bool begin_element(void *context, const struct vt_raw_header *raw, uint64_t value_offset,
                          const uint8_t *at, struct vt_err *err);
static bool end_element(void *context, uint64_t value_length, const uint8_t *at, struct vt_err *err);
static bool begin_fragment(void *context, uint64_t item_offset, uint32_t length, const uint8_t *at,
                           struct vt_err *err);

static const struct vt_scan_events events = { begin_element, end_element, begin_fragment };

struct vt_header *vt_header_new(void)
{
    void *memory;

    if (posix_memalign(&memory, 64, sizeof(struct vt_header)) != 0)
        return NULL;
    struct vt_header *header = memory;
    memset(header, 0, sizeof *header);
    vt_header_reset(header, VT_IMPLICIT_LE, false, NULL);
    return header;
}

void vt_header_free(struct vt_header *header)
{
    if (!header)
        return;
    vt_inflater_fini(&header->inflater);
    vt_frames_fini(&header->frames);
    free(header->kept);
    free(header->long_ones);
    free(header->arena);
    free(header);
}

void vt_header_reset(struct vt_header *header, enum vt_encoding encoding, bool encapsulated,
                     const struct vt_element_limits *limits)
{
    XXH3_128bits_reset(&header->all);
    XXH3_128bits_reset(&header->pixels);
    vt_scan_init(&header->scan, encoding, limits, &events, header);
    vt_frames_reset(&header->frames);
    header->encoding = encoding;
    header->encapsulated = encapsulated;
    header->size = header->items = 0;
    header->pixel_offset = header->pixel_length = 0;
    header->kept_count = header->long_count = header->arena_size = 0;
    header->ascending = true;
    header->value = header->pixel_bytes = (struct vt_tap){ 0 };
    header->keeping = header->in_pixels = header->has_pixels = false;
    header->failure.code = VT_OK;
    /* On failure the first feed reports it: it finds the inflater not ready. */
    if (encoding == VT_DEFLATED_LE)
        vt_inflater_reset(&header->inflater, &header->failure);
}

/* Doubles until `needed` fit, never beyond `limit`. */
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
        return vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for the header of an instance");
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

/* Moves what has come of the kept value into the arena; gives it up when it becomes too long. */
static bool take_value(struct vt_header *header, const uint8_t *upto, struct vt_err *err)
{
    const uint8_t *bytes;
    size_t size = vt_tap_take(&header->value, upto, &bytes);

    if (size == 0)
        return true;
    struct vt_kept *kept = &header->kept[header->kept_count - 1];
    size_t have = header->arena_size - kept->at;
    /* Of an undefined length the delimiter's 8 bytes come along. */
    if (have + size > VT_HEADER_KEPT_VALUE_MAX + 8 || header->arena_size + size > VT_HEADER_KEPT_MAX) {
        header->arena_size = kept->at;
        header->value.left = 0;
        kept->here = false;
        return true;
    }
    if (!grow(&header->arena, &header->arena_capacity, FIRST_ARENA, header->arena_size + size, 1, err))
        return false;
    memcpy(header->arena + header->arena_size, bytes, size);
    header->arena_size += size;
    return true;
}

static bool take_all(struct vt_header *header, const uint8_t *upto, struct vt_err *err)
{
    const uint8_t *bytes;
    size_t size = vt_tap_take(&header->pixel_bytes, upto, &bytes);

    if (size > 0)
        XXH3_128bits_update(&header->pixels, bytes, size);
    return take_value(header, upto, err) && vt_frames_take(&header->frames, upto, err);
}

/* Known elements that came without their VR ("UN", "??") get it from the dictionary. Not sequences, whose items are
 * implicit then, and not in big endian, where an unknown value is little endian all the same (PS3.5 6.2.2). */
static const char *vr_to_keep(const struct vt_header *header, const struct vt_raw_header *raw)
{
    bool unknown = strcmp(raw->vr, "UN") == 0 || strcmp(raw->vr, "??") == 0;

    if (!unknown || header->encoding == VT_EXPLICIT_BE || raw->length == VT_UNDEFINED_LENGTH)
        return raw->vr;
    const char *vr = vt_dict_vr(raw->tag);
    return strcmp(vr, "SQ") == 0 ? raw->vr : vr;
}

static bool keep(struct vt_header *header, const struct vt_raw_header *raw, const uint8_t *at,
                 struct vt_err *err)
{
    bool undefined = raw->length == VT_UNDEFINED_LENGTH;

    if (header->kept_count + header->long_count == VT_HEADER_KEPT_ELEMENTS_MAX)
        return true;
    if (!grow(&header->kept, &header->kept_capacity, FIRST_KEPT, header->kept_count + 1,
              sizeof header->kept[0], err))
        return false;
    if (header->kept_count > 0 && header->kept[header->kept_count - 1].tag >= raw->tag)
        header->ascending = false;
    struct vt_kept *kept = &header->kept[header->kept_count++];
    *kept = (struct vt_kept){
        .tag = raw->tag,
        .undefined_length = undefined,
        .here = undefined || raw->length <= VT_HEADER_KEPT_VALUE_MAX,
        .length = undefined ? 0 : raw->length,
        .at = header->arena_size,
    };
    memcpy(kept->vr, vr_to_keep(header, raw), sizeof kept->vr);
    header->keeping = true;
    header->value = (struct vt_tap){ at, !kept->here ? 0 : undefined ? UINT64_MAX : raw->length };
    return true;
}

static void begin_pixels(struct vt_header *header, const struct vt_raw_header *raw, uint64_t value_offset,
                         const uint8_t *at)
{
    if (header->has_pixels)          /* the first one counts */
        return;
    header->has_pixels = header->in_pixels = true;
    header->pixel_offset = value_offset;
    if (raw->length != VT_UNDEFINED_LENGTH)
        header->pixel_bytes = (struct vt_tap){ at, raw->length };
}

static int64_t number_of_frames(const struct vt_header *header)
{
    struct vt_element element;
    int64_t number;

    if (!vt_header_find(header, VT_TAG_NUMBER_OF_FRAMES, &element) ||
        !vt_element_number(&element, vt_header_encoding(header), &number))
        return 1;
    return number;
}

static bool begin_element(void *context, const struct vt_raw_header *raw, uint64_t value_offset,
                          const uint8_t *at, struct vt_err *err)
{
    struct vt_header *header = context;

    if (VT_TAG_GROUP(raw->tag) <= LAST_KEPT_GROUP)
        return keep(header, raw, at, err);
    if (VT_TAG_GROUP(raw->tag) != VT_TAG_GROUP(VT_TAG_PIXEL_DATA))
        return true;
    if (header->frames.expected == 0)
        vt_frames_expect(&header->frames, number_of_frames(header));
    if (raw->tag == TAG_EXTENDED_OFFSET_TABLE)
        vt_frames_table(&header->frames, 8, raw->length, at);
    else if (raw->tag == VT_TAG_PIXEL_DATA || raw->tag == VT_TAG_FLOAT_PIXEL_DATA ||
             raw->tag == VT_TAG_DOUBLE_PIXEL_DATA)
        begin_pixels(header, raw, value_offset, at);
    return true;
}

/* The kept element's value has come to its end, or was too long. */
static bool settle(struct vt_header *header, uint64_t value_length, struct vt_err *err)
{
    struct vt_kept *kept = &header->kept[header->kept_count - 1];

    kept->length = value_length;
    kept->here = kept->here && value_length <= VT_HEADER_KEPT_VALUE_MAX;
    header->arena_size = kept->at + (kept->here ? (size_t)value_length : 0);
    if (kept->here)
        return true;
    if (!grow(&header->long_ones, &header->long_capacity, FIRST_LONG, header->long_count + 1,
              sizeof header->long_ones[0], err))
        return false;
    header->long_ones[header->long_count++] = *kept;
    header->kept_count--;
    return true;
}

static bool end_element(void *context, uint64_t value_length, const uint8_t *at, struct vt_err *err)
{
    struct vt_header *header = context;

    if (!take_all(header, at, err))
        return false;
    if (header->keeping && !settle(header, value_length, err))
        return false;
    if (header->in_pixels)
        header->pixel_length = value_length;
    header->value.left = header->pixel_bytes.left = 0;
    header->keeping = header->in_pixels = false;
    return true;
}

static bool begin_fragment(void *context, uint64_t item_offset, uint32_t length, const uint8_t *at,
                           struct vt_err *err)
{
    struct vt_header *header = context;

    if (!header->in_pixels)
        return true;
    if (!take_all(header, at, err))
        return false;
    if (header->items++ == 0) {
        if (header->frames.table_width == 0)
            vt_frames_table(&header->frames, 4, length, at);
        return true;
    }
    header->pixel_bytes = (struct vt_tap){ at, length };
    return vt_frames_fragment(&header->frames, item_offset, length, at, err);
}

static bool scan_piece(struct vt_header *header, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    size_t used;

    header->value.from = header->pixel_bytes.from = header->frames.table_tap.from = bytes;
    header->frames.start_tap.from = bytes;
    return vt_scan_feed(&header->scan, bytes, size, &used, err) && take_all(header, bytes + size, err);
}

static bool inflate_pieces(struct vt_header *header, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    const uint8_t *plain;
    size_t plain_size;

    do {
        if (!vt_inflater_next(&header->inflater, &bytes, &size, &plain, &plain_size, err) ||
            !scan_piece(header, plain, plain_size, err))
            return false;
    } while (plain_size > 0 || (size > 0 && !header->inflater.ended));
    return true;
}

bool vt_header_feed(struct vt_header *header, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    header->size += size;
    XXH3_128bits_update(&header->all, bytes, size);
    if (!vt_failed(&header->failure)) {
        bool ok = header->encoding == VT_DEFLATED_LE
                      ? inflate_pieces(header, bytes, size, &header->failure)
                      : scan_piece(header, bytes, size, &header->failure);
        if (ok)
            return true;
    }
    *err = header->failure;
    return false;
}

bool vt_header_finish(struct vt_header *header, struct vt_err *err)
{
    if (!vt_failed(&header->failure) && header->encoding == VT_DEFLATED_LE && !header->inflater.ended)
        vt_fail_dimse(&header->failure, VT_E_INVALID, 0xc005, "the deflated data set is cut off");
    if (!vt_failed(&header->failure))
        vt_scan_finish(&header->scan, &header->failure);
    if (!vt_frames_finish(&header->frames, err) && !vt_failed(&header->failure))
        header->failure = *err;
    if (!vt_failed(&header->failure))
        return true;
    header->frames.count = 0;        /* the last one may not be whole */
    *err = header->failure;
    return false;
}

uint64_t vt_header_size(const struct vt_header *header)
{
    return header->size;
}

static struct vt_digest digest_of(const XXH3_state_t *state)
{
    XXH128_canonical_t canonical;
    struct vt_digest digest;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    memcpy(digest.bytes, canonical.digest, sizeof digest.bytes);
    return digest;
}

void vt_header_digests(const struct vt_header *header, struct vt_digest *out_data_set, struct vt_digest *out_pixels)
{
    *out_data_set = digest_of(&header->all);
    *out_pixels = digest_of(&header->pixels);
}

bool vt_header_pixel_data(const struct vt_header *header, uint64_t *out_offset, uint64_t *out_length)
{
    if (!header->has_pixels)
        return false;
    *out_offset = header->pixel_offset;
    *out_length = header->pixel_length;
    return true;
}

const struct vt_frame *vt_header_frames(const struct vt_header *header, size_t *out_count)
{
    *out_count = header->frames.count;
    return header->frames.frames;
}

static void describe(const struct vt_header *header, const struct vt_kept *kept, struct vt_element *out)
{
    *out = (struct vt_element){
        .tag = kept->tag,
        .value = !kept->here        ? NULL
                 : kept->length > 0 ? header->arena + kept->at
                                    : (const uint8_t *)"",
        .length = kept->length,
        .undefined_length = kept->undefined_length,
    };
    memcpy(out->vr, kept->vr, sizeof out->vr);
}

/* The first one with that tag. */
static const struct vt_kept *find_kept(const struct vt_header *header, uint32_t tag)
{
    size_t low = 0, high = header->kept_count;

    while (header->ascending && low < high) {
        size_t middle = low + (high - low) / 2;
        if (header->kept[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < header->kept_count; low++)
        if (header->kept[low].tag == tag)
            return &header->kept[low];
        else if (header->ascending)
            break;
    return NULL;
}

bool vt_header_find(const struct vt_header *header, uint32_t tag, struct vt_element *out)
{
    const struct vt_kept *kept = find_kept(header, tag);

    for (size_t i = 0; !kept && i < header->long_count; i++)
        if (header->long_ones[i].tag == tag)
            kept = &header->long_ones[i];
    if (kept)
        describe(header, kept, out);
    return kept && kept->here;
}

bool vt_header_at(const struct vt_header *header, size_t i, struct vt_element *out)
{
    if (i >= header->kept_count || !header->kept[i].here)
        return false;
    describe(header, &header->kept[i], out);
    return true;
}

enum vt_encoding vt_header_encoding(const struct vt_header *header)
{
    return header->encoding == VT_DEFLATED_LE ? VT_EXPLICIT_LE : header->encoding;
}

void vt_header_text(const struct vt_header *header, uint32_t tag, char *out, size_t room)
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_header_find(header, tag, &element))
        vt_element_text(&element, out, room);
}
