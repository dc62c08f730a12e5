/* The header of an instance that holds some frames of another one (PS3.4 Y.3.3): elements go over as they are, but those that count or place frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "scp/frames.h"

enum { DIMENSIONS_MAX = 8, TEXT = 128 };
#define TAG_PER_FRAME UINT32_C(0x52009230)
#define TAG_SHARED UINT32_C(0x52009229)

/* One header on its way. */
struct copying {
    const struct vt_frame_header *header;
    const struct vt_frame_request *request;
    const uint32_t *numbers;
    size_t count;
    const char *new_uid;
    struct vt_writer w;
    struct vt_err *err;
    bool tiled_full;
};

static bool find(const struct vt_frame_header *header, uint32_t tag, struct vt_element *out)
{
    return vt_element_find(header->bytes, header->size, header->encoding, tag, out);
}

static uint32_t number_of(const struct vt_frame_header *header, uint32_t tag, uint32_t otherwise)
{
    struct vt_element element;
    int64_t value;

    return find(header, tag, &element) && vt_element_number(&element, header->encoding, &value) && value >= 0 &&
                   value <= UINT32_MAX
               ? (uint32_t)value
               : otherwise;
}

static bool text_is(const struct vt_frame_header *header, uint32_t tag, const char *text)
{
    struct vt_element element;
    char found[TEXT];

    return find(header, tag, &element) && vt_element_text(&element, found, sizeof found) < sizeof found &&
           strcmp(found, text) == 0;
}

bool vt_frame_header_read(const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_frame_header *out,
                          struct vt_err *err)
{
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    *out = (struct vt_frame_header){ bytes, size, encoding, 0, 0 };
    if (!vt_element_check(bytes, size, encoding, &limits, err))
        return false;
    out->total = number_of(out, VT_TAG_NUMBER_OF_FRAMES, 1);
    uint64_t bits = (uint64_t)number_of(out, VT_TAG_ROWS, 0) * number_of(out, VT_TAG_COLUMNS, 0) *
                    number_of(out, VT_TAG_SAMPLES_PER_PIXEL, 1) * number_of(out, VT_TAG_BITS_ALLOCATED, 0);
    out->frame_bytes = bits % 8 == 0 ? bits / 8 : 0;
    return true;
}

/* ---- where tiles are ---- */

struct place {
    double x, y, z;                       /* of the total pixel matrix's origin, mm */
    double direction[6], spacing[2];      /* along a row, along a column; between rows, between columns */
    uint32_t rows, columns, tiles_across, first;
    uint32_t pointers[DIMENSIONS_MAX];
    size_t pointer_count;
};

/* Numbers of a DS with backslashes. */
static void decimals(const struct vt_element *element, double *out, size_t count)
{
    char text[TEXT], *at = text;

    vt_element_text(element, text, sizeof text);
    for (size_t i = 0; i < count && *at; i++) {
        out[i] = strtod(at, &at);
        while (*at && *at != '\\')
            at++;
        at += *at == '\\';
    }
}

/* The first item of a sequence. */
static bool first_item(const struct vt_element *sequence, enum vt_encoding encoding, struct vt_element *out)
{
    struct vt_err ignored = { 0 };
    struct vt_walk walk;
    bool more = false;

    vt_walk_items(&walk, sequence, encoding);
    return vt_walk_next(&walk, out, &more, &ignored) && more;
}

static bool find_in(const struct vt_element *sequence, enum vt_encoding encoding, uint32_t tag, struct vt_element *out)
{
    struct vt_element item;

    return first_item(sequence, encoding, &item) &&
           vt_element_find(item.value, (size_t)item.length, encoding, tag, out);
}

static void read_spacing(const struct vt_frame_header *header, struct place *out)
{
    struct vt_element shared, measures, spacing;

    if (find(header, TAG_SHARED, &shared) && find_in(&shared, header->encoding, 0x00289110, &measures) &&
        find_in(&measures, header->encoding, 0x00280030, &spacing))
        decimals(&spacing, out->spacing, 2);
}

static void read_pointers(const struct vt_frame_header *header, struct place *out)
{
    struct vt_err ignored = { 0 };
    struct vt_element dimensions, item, pointer;
    struct vt_walk walk;
    bool more;

    if (!find(header, 0x00209222, &dimensions))
        return;
    vt_walk_items(&walk, &dimensions, header->encoding);
    while (out->pointer_count < DIMENSIONS_MAX && vt_walk_next(&walk, &item, &more, &ignored) && more)
        if (vt_element_find(item.value, (size_t)item.length, header->encoding, 0x00209165, &pointer) &&
            pointer.length >= 4)
            out->pointers[out->pointer_count++] =
                (uint32_t)pointer.value[0] << 16 | (uint32_t)pointer.value[1] << 24 | pointer.value[2] |
                (uint32_t)pointer.value[3] << 8;
}

static void read_place(const struct vt_frame_header *header, struct place *out)
{
    struct vt_element element, value;
    uint32_t across = number_of(header, 0x00480006, 0);

    *out = (struct place){ .rows = number_of(header, VT_TAG_ROWS, 1),
                           .columns = number_of(header, VT_TAG_COLUMNS, 1),
                           .first = number_of(header, 0x00209228, 0) };
    out->tiles_across = out->columns ? (across + out->columns - 1) / out->columns : 1;
    if (out->tiles_across == 0)
        out->tiles_across = 1;
    if (find(header, 0x00480008, &element)) {
        if (find_in(&element, header->encoding, 0x0040072A, &value))
            decimals(&value, &out->x, 1);
        if (find_in(&element, header->encoding, 0x0040073A, &value))
            decimals(&value, &out->y, 1);
    }
    if (find(header, 0x00480102, &element))
        decimals(&element, out->direction, 6);
    read_spacing(header, out);
    read_pointers(header, out);
}

/* ---- what is written anew ---- */

static bool put_decimal(struct vt_writer *w, uint32_t tag, double value, struct vt_err *err)
{
    char text[24];

    snprintf(text, sizeof text, "%.9g", value);
    text[16] = '\0';
    return vt_write_text(w, tag, "DS", text, err);
}

static bool put_number(struct vt_writer *w, uint32_t tag, const char *vr, uint32_t value, struct vt_err *err)
{
    const uint8_t bytes[4] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24) };

    return vt_write_bytes(w, tag, vr, bytes, sizeof bytes, err);
}

static bool put_uid(struct copying *copying, const struct vt_element *old)
{
    (void)old;
    return vt_write_text(&copying->w, VT_TAG_SOP_INSTANCE_UID, "UI", copying->new_uid, copying->err);
}

static bool put_count(struct copying *copying, const struct vt_element *old)
{
    char text[24];

    (void)old;
    snprintf(text, sizeof text, "%zu", copying->count);
    return vt_write_text(&copying->w, VT_TAG_NUMBER_OF_FRAMES, "IS", text, copying->err);
}

static bool put_organization(struct copying *copying, const struct vt_element *old)
{
    if (copying->tiled_full)
        return vt_write_text(&copying->w, 0x00209311, "CS", "TILED_SPARSE", copying->err);
    return !old || vt_write_element(&copying->w, old, copying->header->encoding, copying->err);
}

/* The items that are there already, in front of a new one. */
static bool put_old_items(struct copying *copying, const struct vt_element *old)
{
    struct vt_element item;
    struct vt_walk walk;
    bool more;

    if (!old)
        return true;
    vt_walk_items(&walk, old, copying->header->encoding);
    for (;;) {
        const uint8_t *before = walk.at;
        if (!vt_walk_next(&walk, &item, &more, copying->err))
            return false;
        if (!more)
            return true;
        if (!vt_buf_append(copying->w.buf, before, (size_t)(walk.at - before), copying->err))
            return false;
    }
}

static bool put_extraction(struct copying *copying, const struct vt_element *old)
{
    const struct vt_frame_request *request = copying->request;
    uint32_t tag = request->calculated ? 0x00081162 : 0x00081161;
    struct vt_writer *w = &copying->w;
    struct vt_err *err = copying->err;

    return vt_write_sequence_begin(w, 0x00081164, err) && put_old_items(copying, old) &&
           vt_write_item_begin(w, err) &&
           vt_write_bytes(w, tag, "UL", request->numbers.data, request->numbers.size, err) &&
           vt_write_text(w, 0x00081167, "UI", request->sop_uid, err) && vt_write_item_end(w, err) &&
           vt_write_sequence_end(w, err);
}

static bool put_equipment(struct copying *copying, const struct vt_element *old)
{
    struct vt_writer *w = &copying->w;
    struct vt_err *err = copying->err;

    return vt_write_sequence_begin(w, 0x0018A001, err) && put_old_items(copying, old) &&
           vt_write_item_begin(w, err) && vt_write_text(w, 0x00080070, "LO", "Vitrine", err) &&
           vt_write_text(w, 0x00081090, "LO", "Vitrine", err) &&
           vt_write_text(w, 0x00181020, "LO", VT_VERSION, err) &&
           vt_write_sequence_begin(w, 0x0040A170, err) && vt_write_item_begin(w, err) &&
           vt_write_text(w, 0x00080100, "SH", "109105", err) && vt_write_text(w, 0x00080102, "SH", "DCM", err) &&
           vt_write_text(w, 0x00080104, "LO", "Frame Extracting Equipment", err) && vt_write_item_end(w, err) &&
           vt_write_sequence_end(w, err) && vt_write_item_end(w, err) && vt_write_sequence_end(w, err);
}

static bool put_indices(struct copying *copying, const struct place *place, uint32_t column, uint32_t row)
{
    uint8_t bytes[4 * DIMENSIONS_MAX];
    struct vt_writer *w = &copying->w;

    for (size_t i = 0; i < place->pointer_count; i++) {
        uint32_t value = place->pointers[i] == 0x0048021F   ? row + 1
                         : place->pointers[i] == 0x0048021E ? column + 1
                                                            : 1;
        for (size_t j = 0; j < 4; j++)
            bytes[4 * i + j] = (uint8_t)(value >> 8 * j);
    }
    return place->pointer_count == 0 ||
           (vt_write_sequence_begin(w, 0x00209111, copying->err) && vt_write_item_begin(w, copying->err) &&
            vt_write_bytes(w, 0x00209157, "UL", bytes, 4 * place->pointer_count, copying->err) &&
            vt_write_item_end(w, copying->err) && vt_write_sequence_end(w, copying->err));
}

static bool put_place(struct copying *copying, const struct place *place, uint32_t number)
{
    uint32_t index = place->first + number - 1;
    uint32_t column = index % place->tiles_across, row = index / place->tiles_across;
    double along = (double)column * place->columns * place->spacing[1];
    double down = (double)row * place->rows * place->spacing[0];
    const double *r = place->direction, *c = place->direction + 3;
    struct vt_writer *w = &copying->w;
    struct vt_err *err = copying->err;

    return vt_write_item_begin(w, err) && put_indices(copying, place, column, row) &&
           vt_write_sequence_begin(w, 0x0048021A, err) && vt_write_item_begin(w, err) &&
           put_decimal(w, 0x0040072A, place->x + r[0] * along + c[0] * down, err) &&
           put_decimal(w, 0x0040073A, place->y + r[1] * along + c[1] * down, err) &&
           put_decimal(w, 0x0040074A, place->z + r[2] * along + c[2] * down, err) &&
           put_number(w, 0x0048021E, "SL", column * place->columns + 1, err) &&
           put_number(w, 0x0048021F, "SL", row * place->rows + 1, err) && vt_write_item_end(w, err) &&
           vt_write_sequence_end(w, err) && vt_write_item_end(w, err);
}

static bool put_places(struct copying *copying)
{
    struct place place;

    read_place(copying->header, &place);
    if (!vt_write_sequence_begin(&copying->w, TAG_PER_FRAME, copying->err))
        return false;
    for (size_t i = 0; i < copying->count; i++)
        if (!put_place(copying, &place, copying->numbers[i]))
            return false;
    return vt_write_sequence_end(&copying->w, copying->err);
}

/* Of the functional groups those of the frames that are taken. */
static bool put_groups(struct copying *copying, const struct vt_element *old)
{
    struct vt_element item;
    struct vt_walk walk;
    size_t taken = 0;
    bool more;

    if (!vt_write_sequence_begin(&copying->w, TAG_PER_FRAME, copying->err))
        return false;
    vt_walk_items(&walk, old, copying->header->encoding);
    for (uint32_t number = 1; taken < copying->count; number++) {
        const uint8_t *before = walk.at;
        if (!vt_walk_next(&walk, &item, &more, copying->err))
            return false;
        if (!more)
            return vt_fail_dimse(copying->err, VT_E_CORRUPT, VT_STATUS_CANNOT_EXTRACT,
                                 "it has fewer functional groups than frames");
        if (number != copying->numbers[taken])
            continue;
        if (!vt_buf_append(copying->w.buf, before, (size_t)(walk.at - before), copying->err))
            return false;
        taken++;
    }
    return vt_write_sequence_end(&copying->w, copying->err);
}

static bool put_per_frame(struct copying *copying, const struct vt_element *old)
{
    if (old)
        return put_groups(copying, old);
    return !copying->tiled_full || put_places(copying);
}

/* ---- all elements ---- */

static const struct {
    uint32_t tag;
    bool (*put)(struct copying *copying, const struct vt_element *old);
} anew[] = {
    { VT_TAG_SOP_INSTANCE_UID, put_uid }, { 0x00081164, put_extraction }, { 0x0018A001, put_equipment },
    { 0x00209311, put_organization },     { VT_TAG_NUMBER_OF_FRAMES, put_count }, { TAG_PER_FRAME, put_per_frame },
};

/* Of a concatenation, which this is no part of; a representative frame; tables of offsets. */
static bool dropped(uint32_t tag)
{
    static const uint32_t tags[] = { 0x00200242, 0x00209161, 0x00209162, 0x00209163, 0x00209228, 0x00286010,
                                     UINT32_C(0x7fe00001), UINT32_C(0x7fe00002) };

    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i] == tag)
            return true;
    return false;
}

static bool copy_all(struct copying *copying)
{
    const struct vt_frame_header *header = copying->header;
    struct vt_element element;
    struct vt_walk walk;
    size_t next = 0;

    vt_walk_init(&walk, header->bytes, header->size, header->encoding);
    for (bool more = true; more;) {
        const uint8_t *before = walk.at;
        if (!vt_walk_next(&walk, &element, &more, copying->err))
            return false;
        for (; next < sizeof anew / sizeof *anew && (!more || anew[next].tag < element.tag); next++)
            if (!anew[next].put(copying, NULL))
                return false;
        if (!more || dropped(element.tag))
            continue;
        bool ours = next < sizeof anew / sizeof *anew && anew[next].tag == element.tag;
        if (ours ? !anew[next].put(copying, &element)
                 : !vt_buf_append(copying->w.buf, before, (size_t)(walk.at - before), copying->err))
            return false;
        next += ours;
    }
    return true;
}

static bool refuse(struct vt_err *err, const char *why)
{
    return vt_fail_dimse(err, VT_E_UNSUPPORTED, VT_STATUS_CANNOT_MAKE, "%s", why);
}

bool vt_frame_header_write(const struct vt_frame_header *header, const struct vt_frame_request *request,
                           const uint32_t *numbers, size_t count, const char *new_uid, struct vt_buf *out,
                           struct vt_err *err)
{
    struct copying copying = { .header = header,
                               .request = request,
                               .numbers = numbers,
                               .count = count,
                               .new_uid = new_uid,
                               .w = { out, header->encoding },
                               .err = err,
                               .tiled_full = text_is(header, 0x00209311, "TILED_FULL") };
    struct vt_element element;

    if (find(header, 0x00181065, &element) || find(header, 0x00541101, &element))
        return refuse(err, "its frames are told by a vector, which would have to be cut");
    if (copying.tiled_full && (number_of(header, 0x00480302, 1) > 1 || number_of(header, 0x00480303, 1) > 1))
        return refuse(err, "it has several optical paths or focal planes");
    return copy_all(&copying);
}
