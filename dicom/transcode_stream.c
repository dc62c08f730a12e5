/* A large instance piece by piece: the attributes before the pixel data are re-encoded in memory, the pixel data are
 * copied, or decoded frame by frame, behind them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/frame_decode.h"
#include "dicom/header.h"
#include "dicom/transcode_inside.h"

enum {
    PIECE = 1 << 20,
    LONG_HEADER = 12, /* of an element of OB, OW and the like, explicit */
    SHORT_HEADER = 8, /* implicit */
    VALUE_MAX = 4096,
};
#define FRAME_MAX (UINT64_C(1) << 30)
#define VALUE_LENGTH_MAX UINT64_C(0xfffffffe) /* even, and not the undefined length */

struct streaming {
    const struct vt_transcode *what;
    const struct vt_transfer_syntax *from, *to;
    struct vt_header *header;
    struct vt_transcoded *out;
    uint64_t pixel_offset, pixel_length; /* of the value, in the data set */
    uint32_t pixel_tag;
    struct vt_pixel_shape shape;
    char photometric[17]; /* of the decoded frames */
    uint16_t planar;
};

bool vt_transcode_streams(const struct vt_transcode *what)
{
    const struct vt_transfer_syntax *from = vt_transfer_syntax_find(what->from);
    bool to_plain = strcmp(what->to, VT_UID_EXPLICIT_LE) == 0 || strcmp(what->to, VT_UID_IMPLICIT_LE) == 0;
    bool from_plain = strcmp(what->from, VT_UID_EXPLICIT_LE) == 0 || strcmp(what->from, VT_UID_IMPLICIT_LE) == 0;

    return to_plain && from && (from->encapsulated || from_plain);
}

static bool append(struct streaming *s, const void *bytes, size_t size, struct vt_err *err)
{
    if (s->out->size + size > VT_TRANSCODE_FILE_MAX)
        return vt_fail(err, VT_E_LIMIT, "too large to be decoded as the peer asks");
    if (!vt_io_pwrite(s->out->fd, bytes, size, s->out->size, "the unnamed file of a re-encoded instance", err))
        return false;
    s->out->size += size;
    return true;
}

/* ---- where things are ---- */

static bool read_at(struct streaming *s, void *bytes, size_t size, uint64_t at, struct vt_err *err)
{
    return vt_io_pread(s->what->fd, bytes, size, s->what->offset + at, "a stored instance", err);
}

static uint64_t header_size(const struct streaming *s)
{
    return s->from->encoding == VT_IMPLICIT_LE ? SHORT_HEADER : LONG_HEADER;
}

/* Data set trailing padding may be left out; anything else behind the pixel data would be lost. */
static bool check_tail(struct streaming *s, struct vt_err *err)
{
    static const uint8_t delimiter[4] = { 0xfe, 0xff, 0xdd, 0xe0 }, padding[4] = { 0xfc, 0xff, 0xfc, 0xff };
    uint64_t at = s->pixel_offset + s->pixel_length;
    uint8_t tag[4];

    if (s->from->encapsulated && at + 8 <= s->what->size) {
        if (!read_at(s, tag, sizeof tag, at, err))
            return false;
        at += memcmp(tag, delimiter, sizeof tag) == 0 ? 8 : 0;
    }
    if (at + 8 > s->what->size)
        return true;
    if (!read_at(s, tag, sizeof tag, at, err))
        return false;
    return memcmp(tag, padding, sizeof tag) == 0 ||
           vt_fail(err, VT_E_UNSUPPORTED, "too large to be re-encoded with attributes behind its pixel data");
}

static bool find_pixels(struct streaming *s, struct vt_err *err)
{
    uint8_t tag[4];

    if (!vt_header_pixel_data(s->header, &s->pixel_offset, &s->pixel_length))
        return vt_fail(err, VT_E_LIMIT, "too large to be re-encoded: it has no pixel data");
    if (s->pixel_offset < header_size(s) || s->pixel_offset - header_size(s) > VT_TRANSCODE_STORED_MAX)
        return vt_fail(err, VT_E_LIMIT, "its attributes are too large to be re-encoded");
    if (!read_at(s, tag, sizeof tag, s->pixel_offset - header_size(s), err) || !check_tail(s, err))
        return false;
    s->pixel_tag = (uint32_t)(tag[0] | tag[1] << 8) << 16 | (uint32_t)(tag[2] | tag[3] << 8);
    return true;
}

static uint32_t number_of(const struct streaming *s, uint32_t tag, uint32_t otherwise)
{
    struct vt_element element;
    int64_t value;

    if (!vt_header_find(s->header, tag, &element) ||
        !vt_element_number(&element, vt_header_encoding(s->header), &value) || value < 0 || value > UINT32_MAX)
        return otherwise;
    return (uint32_t)value;
}

static void describe(struct streaming *s)
{
    s->shape = (struct vt_pixel_shape){
        .columns = (uint16_t)number_of(s, VT_TAG_COLUMNS, 0),
        .rows = (uint16_t)number_of(s, VT_TAG_ROWS, 0),
        .samples = (uint16_t)number_of(s, VT_TAG_SAMPLES_PER_PIXEL, 1),
        .bits_allocated = (uint16_t)number_of(s, VT_TAG_BITS_ALLOCATED, 8),
        .frames = number_of(s, VT_TAG_NUMBER_OF_FRAMES, 1),
    };
    if (s->shape.frames == 0)
        s->shape.frames = 1;
}

/* ---- the attributes ---- */

static bool write_attributes(struct streaming *s, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_TRANSCODE_STORED_MAX);
    VT_AUTO_BUF(encoded, VT_TRANSCODE_MEMORY_MAX);
    size_t size = (size_t)(s->pixel_offset - header_size(s));
    char planar[8];

    if (!vt_buf_reserve(&bytes, size, err) || !read_at(s, bytes.data, size, 0, err))
        return false;
    VT_AUTO(vt_dataset) data_set = vt_dataset_parse(bytes.data, size, s->what->from, err);
    if (!data_set)
        return false;
    snprintf(planar, sizeof planar, "%u", s->planar);
    if (s->from->encapsulated &&
        (!vt_dataset_put(data_set, "PhotometricInterpretation", s->photometric, err) ||
         (s->shape.samples > 1 && !vt_dataset_put(data_set, "PlanarConfiguration", planar, err))))
        return false;
    return vt_dataset_transcode(data_set, s->what->to, err) &&
           vt_dataset_encode(data_set, s->what->to, &encoded, err) &&
           append(s, encoded.data, encoded.size, err);
}

static void put_u32(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static bool write_pixel_header(struct streaming *s, uint64_t length, struct vt_err *err)
{
    bool implicit = s->to->encoding == VT_IMPLICIT_LE;
    const char *vr = s->pixel_tag == 0x7fe00008    ? "OF"
                     : s->pixel_tag == 0x7fe00009  ? "OD"
                     : s->shape.bits_allocated > 8 ? "OW"
                                                   : "OB";
    uint8_t bytes[LONG_HEADER] = { (uint8_t)(s->pixel_tag >> 16), (uint8_t)(s->pixel_tag >> 24),
                                   (uint8_t)s->pixel_tag, (uint8_t)(s->pixel_tag >> 8) };

    if (length > VALUE_LENGTH_MAX)
        return vt_fail(err, VT_E_LIMIT, "decoded, its pixel data are longer than an element can be");
    if (!implicit)
        memcpy(bytes + 4, vr, 2);
    put_u32(bytes + (implicit ? 4 : 8), length);
    return append(s, bytes, implicit ? SHORT_HEADER : LONG_HEADER, err);
}

/* ---- the pixels ---- */

static bool copy_pixels(struct streaming *s, struct vt_err *err)
{
    vt_autofree uint8_t *piece = malloc(PIECE);

    if (!piece)
        return vt_fail(err, VT_E_NOMEM, "no memory to re-encode an instance");
    if (!write_attributes(s, err) || !write_pixel_header(s, s->pixel_length, err))
        return false;
    for (uint64_t at = 0; at < s->pixel_length; at += PIECE) {
        size_t size = s->pixel_length - at < PIECE ? (size_t)(s->pixel_length - at) : PIECE;
        if (!read_at(s, piece, size, s->pixel_offset + at, err) || !append(s, piece, size, err))
            return false;
    }
    return true;
}

/* The attributes that a decoder looks at, of one frame. */
static struct vt_dataset *frame_object(struct streaming *s, struct vt_err *err)
{
    static const uint32_t tags[] = { VT_TAG_SAMPLES_PER_PIXEL, VT_TAG_ROWS, VT_TAG_COLUMNS, VT_TAG_BITS_ALLOCATED,
                                     VT_TAG_BITS_STORED, VT_TAG_HIGH_BIT, VT_TAG_PIXEL_REPRESENTATION, 0x00280006 };
    VT_AUTO(vt_dataset) object = vt_dataset_new();
    char path[16], text[32];

    if (!object) {
        vt_fail(err, VT_E_NOMEM, "no memory for a frame");
        return NULL;
    }
    for (size_t i = 0; i < VT_COUNT(tags); i++) {
        struct vt_element element;
        if (!vt_header_find(s->header, tags[i], &element))
            continue;
        snprintf(path, sizeof path, "%08x", tags[i]);
        snprintf(text, sizeof text, "%u", number_of(s, tags[i], 0));
        if (!vt_dataset_put(object, path, text, err))
            return NULL;
    }
    vt_header_text(s->header, VT_TAG_PHOTOMETRIC_INTERPRETATION, text, sizeof text);
    if (!vt_dataset_put(object, "PhotometricInterpretation", text, err) ||
        !vt_dataset_put(object, "NumberOfFrames", "1", err))
        return NULL;
    return vt_take(&object);
}

/* A frame's bytes without the headers of its fragments. */
static bool join_fragments(struct streaming *s, const struct vt_frame *frame, struct vt_buf *out, struct vt_err *err)
{
    struct vt_walk walk;
    struct vt_element item;
    bool more = true;

    if (frame->length > FRAME_MAX)
        return vt_fail(err, VT_E_LIMIT, "a frame is too large to be decoded");
    VT_AUTO_BUF(items, FRAME_MAX);
    if (!vt_buf_reserve(&items, (size_t)frame->length, err) ||
        !read_at(s, items.data, (size_t)frame->length, frame->offset, err))
        return false;
    vt_buf_reset(out);
    vt_walk_init(&walk, items.data, (size_t)frame->length, VT_EXPLICIT_LE);
    while (vt_walk_next(&walk, &item, &more, err) && more)
        if (!vt_buf_append(out, item.value, (size_t)item.length, err))
            return false;
    return !more;
}

static bool decode_frame(struct streaming *s, const struct vt_frame *frame, struct vt_buf *encoded,
                         struct vt_buf *plain, struct vt_element *out_pixels, struct vt_dataset **out_object,
                         struct vt_err *err)
{
    VT_AUTO(vt_dataset) object = frame_object(s, err);

    if (!object || !join_fragments(s, frame, encoded, err))
        return false;
    const void *bytes = encoded->data;
    vt_buf_reset(plain);
    if (!vt_dataset_put_frames(object, s->what->from, &bytes, &encoded->size, 1, err) ||
        !vt_dataset_transcode(object, VT_UID_EXPLICIT_LE, err) ||
        !vt_dataset_encode(object, VT_UID_EXPLICIT_LE, plain, err))
        return false;
    if (!vt_element_find(plain->data, plain->size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, out_pixels) ||
        out_pixels->length < vt_pixel_frame_size(&s->shape))
        return vt_fail(err, VT_E_INVALID, "a frame is not whole when decoded");
    if (out_object)
        *out_object = vt_take(&object);
    return true;
}

static bool value_of(struct vt_dataset *object, const char *keyword, char *out, size_t room, struct vt_err *err)
{
    VT_AUTO_BUF(text, VALUE_MAX);
    bool there = false;

    if (!vt_dataset_get(object, keyword, &text, &there, err))
        return false;
    const char *value = there ? vt_buf_string(&text, err) : "";
    if (value)
        snprintf(out, room, "%s", value);
    return value;
}

/* The first frame says how colours come out. */
static bool learn_colours(struct streaming *s, struct vt_dataset *object, struct vt_err *err)
{
    char planar[16];

    if (!value_of(object, "PhotometricInterpretation", s->photometric, sizeof s->photometric, err) ||
        !value_of(object, "PlanarConfiguration", planar, sizeof planar, err))
        return false;
    s->planar = (uint16_t)strtoul(planar, NULL, 10);
    return true;
}

static bool decode_pixels(struct streaming *s, struct vt_err *err)
{
    size_t count = 0;
    const struct vt_frame *frames = vt_header_frames(s->header, &count);
    uint64_t size = vt_pixel_frame_size(&s->shape), whole = size * s->shape.frames;
    VT_AUTO_BUF(encoded, FRAME_MAX);
    VT_AUTO_BUF(plain, FRAME_MAX + VALUE_MAX);

    if (count != s->shape.frames)
        return vt_fail(err, VT_E_UNSUPPORTED, "its fragments cannot be told apart into %u frames", s->shape.frames);
    if (size == 0 || size > FRAME_MAX || s->shape.bits_allocated % 8 != 0)
        return vt_fail(err, VT_E_UNSUPPORTED, "frames of %llu bytes are not decoded one by one",
                       (unsigned long long)size);
    for (size_t i = 0; i < count; i++) {
        VT_AUTO(vt_dataset) object = NULL;
        struct vt_element pixels;
        if (!decode_frame(s, &frames[i], &encoded, &plain, &pixels, &object, err))
            return false;
        if (i == 0 && (!learn_colours(s, object, err) || !write_attributes(s, err) ||
                       !write_pixel_header(s, whole + whole % 2, err)))
            return false;
        if (!append(s, pixels.value, (size_t)size, err))
            return false;
    }
    return whole % 2 == 0 || append(s, "", 1, err);
}

static int open_unnamed(const char *folder, struct vt_err *err)
{
    int fd = open(folder ? folder : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        vt_fail_errno(err, "making an unnamed file in %s", folder ? folder : "/var/tmp");
    return fd;
}

bool vt_transcode_stream(const struct vt_transcode *what, struct vt_transcoded *out, struct vt_err *err)
{
    VT_AUTO(vt_header) header = vt_header_new();
    struct streaming s = { .what = what,
                           .from = vt_transfer_syntax_find(what->from),
                           .to = vt_transfer_syntax_find(what->to),
                           .header = header,
                           .out = out };

    if (!header)
        return vt_fail(err, VT_E_NOMEM, "no memory to read an instance");
    if (!vt_transcode_scan(what, header, err) || !find_pixels(&s, err))
        return false;
    describe(&s);
    out->fd = open_unnamed(what->folder, err);
    if (out->fd < 0)
        return false;
    return s.from->encapsulated ? decode_pixels(&s, err) : copy_pixels(&s, err);
}
