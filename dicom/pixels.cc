#include "dicom/dataset_object.hh"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"

/* vt_pixels_equal: two files side by side. What lies native in a file is compared in pieces of PIECE bytes; an
 * encapsulated file gives one decoded frame after the other, each made by an object that holds that frame alone. */

namespace vt {

constexpr size_t PIECE = size_t{ 1 } << 20;
constexpr uint64_t FRAME_MAX = UINT64_C(1) << 30;   /* of one decoded frame */

/* What must agree before bytes are compared. */
struct image {
    vt_pixel_shape shape;
    uint16_t high_bit;
    char photometric[17];
};

class picture {
public:
    bool open(const char *path, struct vt_err *err);
    bool is_native() const { return !syntax->encapsulated; }
    const image &what() const { return described; }
    /* Bytes of the native pixel data, little endian. */
    bool read_native(uint64_t at, size_t size, uint8_t *out, struct vt_err *err);
    bool read_frame(uint32_t frame, std::vector<uint8_t> &out, struct vt_err *err);
    uint64_t native_length() const { return length; }

private:
    bool scan(struct vt_err *err);
    bool inflate(struct vt_err *err);
    bool describe(struct vt_err *err);
    bool decode_frame(uint32_t frame, std::vector<uint8_t> &out, struct vt_err *err);
    bool join_fragments(uint32_t frame, std::vector<uint8_t> &out, struct vt_err *err);

    struct fd_holder {
        int fd = -1;
        ~fd_holder()
        {
            if (fd >= 0)
                close(fd);
        }
    };
    struct header_free {
        void operator()(struct vt_header *header) const { vt_header_free(header); }
    };
    struct buffer_holder {
        struct vt_buf buf = { nullptr, 0, 0, INFLATED_MAX };
        ~buffer_holder() { vt_buf_fini(&buf); }
    };

    std::string path;
    fd_holder file;
    buffer_holder inflated;          /* of a deflated data set: all of it */
    struct vt_part10 part10 = {};
    const struct vt_transfer_syntax *syntax = nullptr;
    std::unique_ptr<struct vt_header, header_free> header;
    image described = {};
    uint64_t offset = 0, length = 0;     /* of the pixel data's value within the data set */
};

bool picture::scan(struct vt_err *err)
{
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    std::unique_ptr<uint8_t[]> piece(new uint8_t[PIECE]);
    struct stat info;

    header.reset(vt_header_new());
    if (!header)
        return vt_fail(err, VT_E_NOMEM, "no memory for a header");
    vt_header_reset(header.get(), syntax->encoding, syntax->encapsulated, &limits);
    if (fstat(file.fd, &info) != 0)
        return vt_fail_errno(err, "reading %s", path.c_str());
    for (uint64_t at = part10.data_set_offset, end = static_cast<uint64_t>(info.st_size); at < end;) {
        size_t size = static_cast<size_t>(std::min<uint64_t>(PIECE, end - at));
        if (!vt_io_pread(file.fd, piece.get(), size, at, path.c_str(), err) ||
            !vt_header_feed(header.get(), piece.get(), size, err))
            return false;
        at += size;
    }
    if (!vt_header_finish(header.get(), err))
        return false;
    return vt_header_pixel_data(header.get(), &offset, &length) ||
           vt_fail(err, VT_E_UNSUPPORTED, "%s has no pixel data", path.c_str());
}

/* Deflated ones are rare and small: as plain bytes in memory. */
bool picture::inflate(struct vt_err *err)
{
    vt_dataset whole;
    VT_AUTO_BUF(bytes, INFLATED_MAX);
    struct vt_element pixels;

    if (!vt_io_read_file(path.c_str(), &bytes, err))
        return false;
    size_t start = static_cast<size_t>(part10.data_set_offset);
    if (!parse_into(&whole, bytes.data + start, bytes.size - start, VT_UID_DEFLATED_LE, err) ||
        !vt_dataset_encode(&whole, VT_UID_EXPLICIT_LE, &inflated.buf, err))
        return false;
    if (!vt_element_find(inflated.buf.data, inflated.buf.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels))
        return vt_fail(err, VT_E_UNSUPPORTED, "%s has no pixel data", path.c_str());
    offset = static_cast<uint64_t>(pixels.value - inflated.buf.data);
    length = pixels.length;
    return true;
}

bool picture::describe(struct vt_err *err)
{
    auto number = [&](uint32_t tag, uint16_t otherwise) {
        struct vt_element element;
        int64_t value;
        bool there = vt_header_find(header.get(), tag, &element) &&
                     vt_element_number(&element, vt_header_encoding(header.get()), &value) && value >= 0;
        return there ? value : int64_t{ otherwise };
    };
    vt_pixel_shape &shape = described.shape;

    shape.columns = static_cast<uint16_t>(number(VT_TAG_COLUMNS, 0));
    shape.rows = static_cast<uint16_t>(number(VT_TAG_ROWS, 0));
    shape.samples = static_cast<uint16_t>(number(VT_TAG_SAMPLES_PER_PIXEL, 1));
    shape.bits_allocated = static_cast<uint16_t>(number(VT_TAG_BITS_ALLOCATED, 0));
    shape.bits_stored = static_cast<uint16_t>(number(VT_TAG_BITS_STORED, shape.bits_allocated));
    shape.is_signed = number(VT_TAG_PIXEL_REPRESENTATION, 0) == 1;
    shape.planar = number(0x00280006, 0) == 1;
    shape.frames = static_cast<uint32_t>(std::clamp<int64_t>(number(VT_TAG_NUMBER_OF_FRAMES, 1), 1, UINT32_MAX));
    described.high_bit = static_cast<uint16_t>(number(VT_TAG_HIGH_BIT, 0));
    vt_header_text(header.get(), VT_TAG_PHOTOMETRIC_INTERPRETATION, described.photometric,
                   sizeof described.photometric);
    if (shape.bits_allocated == 0 || vt_pixel_frame_size(&shape) == 0 || vt_pixel_frame_size(&shape) > FRAME_MAX)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: %ux%u pixels in %u bits cannot be compared", path.c_str(),
                       shape.columns, shape.rows, shape.bits_allocated);
    return true;
}

bool picture::open(const char *name, struct vt_err *err)
{
    path = name;
    file.fd = ::open(name, O_RDONLY | O_CLOEXEC);
    if (file.fd < 0)
        return vt_fail_errno(err, "opening %s", name);
    if (!vt_part10_read_file(file.fd, name, &part10, err))
        return false;
    syntax = vt_transfer_syntax_find(part10.transfer_syntax_uid);
    if (!syntax || !syntax->lossless)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: %s is not known to be lossless", name,
                       syntax ? syntax->name : part10.transfer_syntax_uid);
    return scan(err) && describe(err) && (syntax->encoding != VT_DEFLATED_LE || inflate(err));
}

static void swap_bytes(uint8_t *bytes, size_t size, size_t width)
{
    for (size_t i = 0; i + width <= size; i += width)
        std::reverse(bytes + i, bytes + i + width);
}

bool picture::read_native(uint64_t at, size_t size, uint8_t *out, struct vt_err *err)
{
    if (at > length || size > length - at)
        return vt_fail(err, VT_E_INVALID, "%s: pixel data end at byte %llu", path.c_str(),
                       static_cast<unsigned long long>(length));
    if (syntax->encoding == VT_DEFLATED_LE) {
        memcpy(out, inflated.buf.data + offset + at, size);
        return true;
    }
    if (!vt_io_pread(file.fd, out, size, part10.data_set_offset + offset + at, path.c_str(), err))
        return false;
    if (syntax->encoding == VT_EXPLICIT_BE && described.shape.bits_allocated > 8)
        swap_bytes(out, size, described.shape.bits_allocated / 8u);
    return true;
}

/* A frame's bytes without the headers of its items. */
bool picture::join_fragments(uint32_t frame, std::vector<uint8_t> &out, struct vt_err *err)
{
    size_t count = 0;
    const struct vt_frame *frames = vt_header_frames(header.get(), &count);

    if (count != described.shape.frames)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: its fragments cannot be told apart into %u frames", path.c_str(),
                       described.shape.frames);
    if (frames[frame].length > FRAME_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s: a frame of %llu bytes", path.c_str(),
                       static_cast<unsigned long long>(frames[frame].length));
    std::vector<uint8_t> items(static_cast<size_t>(frames[frame].length));
    if (!vt_io_pread(file.fd, items.data(), items.size(), part10.data_set_offset + frames[frame].offset,
                     path.c_str(), err))
        return false;
    struct vt_walk walk;
    struct vt_element item;
    bool more = true;
    vt_walk_init(&walk, items.data(), items.size(), VT_EXPLICIT_LE);
    out.clear();
    while (vt_walk_next(&walk, &item, &more, err) && more)
        out.insert(out.end(), item.value, item.value + item.length);
    return !more;
}

bool picture::decode_frame(uint32_t frame, std::vector<uint8_t> &out, struct vt_err *err)
{
    std::vector<uint8_t> encoded;
    vt_dataset single;
    char frames[] = "1";

    if (!join_fragments(frame, encoded, err))
        return false;
    const vt_pixel_shape &shape = described.shape;
    const struct {
        const DcmTagKey tag;
        uint16_t value;
    } numbers[] = {
        { DCM_SamplesPerPixel, shape.samples }, { DCM_PlanarConfiguration, shape.planar },
        { DCM_Rows, shape.rows }, { DCM_Columns, shape.columns }, { DCM_BitsAllocated, shape.bits_allocated },
        { DCM_BitsStored, shape.bits_stored }, { DCM_HighBit, described.high_bit },
        { DCM_PixelRepresentation, shape.is_signed },
    };
    if (!need_dictionary(err))
        return false;
    for (const auto &number : numbers)
        single.object.putAndInsertUint16(number.tag, number.value);
    single.object.putAndInsertString(DCM_PhotometricInterpretation, described.photometric);
    single.object.putAndInsertString(DCM_NumberOfFrames, frames);
    const void *bytes = encoded.data();
    size_t size = encoded.size();
    VT_AUTO_BUF(plain, FRAME_MAX + 4096);
    struct vt_element pixels;
    if (!vt_dataset_put_frames(&single, syntax->uid, &bytes, &size, 1, err) ||
        !vt_dataset_transcode(&single, VT_UID_EXPLICIT_LE, err) ||
        !vt_dataset_encode(&single, VT_UID_EXPLICIT_LE, &plain, err))
        return false;
    if (!vt_element_find(plain.data, plain.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels) ||
        pixels.length < vt_pixel_frame_size(&shape))
        return vt_fail(err, VT_E_INVALID, "%s: frame %u is not whole when decoded", path.c_str(), frame + 1);
    out.assign(pixels.value, pixels.value + vt_pixel_frame_size(&shape));
    vt_pixel_shape decoded;
    if (!read_shape(single.object, decoded, err))
        return false;
    if (decoded.planar && shape.samples > 1)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: decodes colour by plane", path.c_str());
    return true;
}

/* Samples beside each other, whichever way the file has them. */
static void interleave(std::vector<uint8_t> &frame, const vt_pixel_shape &shape)
{
    std::vector<uint8_t> planes = frame;
    size_t width = shape.bits_allocated / 8u, pixels = size_t{ shape.columns } * shape.rows;

    for (size_t i = 0; i < pixels; i++)
        for (size_t s = 0; s < shape.samples; s++)
            memcpy(frame.data() + (i * shape.samples + s) * width, planes.data() + (s * pixels + i) * width, width);
}

bool picture::read_frame(uint32_t frame, std::vector<uint8_t> &out, struct vt_err *err)
{
    size_t size = static_cast<size_t>(vt_pixel_frame_size(&described.shape));

    if (!is_native())
        return decode_frame(frame, out, err);
    out.resize(size);
    if (!read_native(uint64_t{ size } * frame, size, out.data(), err))
        return false;
    if (described.shape.planar && described.shape.samples > 1)
        interleave(out, described.shape);
    return true;
}

static bool same_image(const image &a, const image &b)
{
    return a.shape.columns == b.shape.columns && a.shape.rows == b.shape.rows &&
           a.shape.samples == b.shape.samples && a.shape.bits_allocated == b.shape.bits_allocated &&
           a.shape.bits_stored == b.shape.bits_stored && a.shape.is_signed == b.shape.is_signed &&
           a.shape.frames == b.shape.frames && a.high_bit == b.high_bit;
}

/* JPEG 2000 has its own names for a colour transform that decoding undoes. */
static std::string decoded_photometric(const char *name)
{
    return strcmp(name, "YBR_RCT") == 0 || strcmp(name, "YBR_ICT") == 0 ? "RGB" : name;
}

/* Bits above the stored ones mean nothing: decoders fill them as they like. */
static void mask_unused(std::vector<uint8_t> &frame, const image &what)
{
    const vt_pixel_shape &shape = what.shape;

    if (shape.bits_allocated != 16 || shape.bits_stored >= 16 || what.high_bit + 1 != shape.bits_stored)
        return;
    unsigned mask = (1u << shape.bits_stored) - 1;
    for (size_t i = 0; i < frame.size(); i++)
        frame[i] = static_cast<uint8_t>(frame[i] & (i % 2 == 0 ? mask : mask >> 8));
}

static bool equal_natively(picture &a, picture &b, bool *out_equal, struct vt_err *err)
{
    std::unique_ptr<uint8_t[]> x(new uint8_t[PIECE]), y(new uint8_t[PIECE]);
    const vt_pixel_shape &shape = a.what().shape;
    uint64_t bits = uint64_t{ shape.columns } * shape.rows * shape.samples * shape.bits_allocated * shape.frames;
    uint64_t whole = (bits + 7) / 8;

    for (uint64_t at = 0; at < whole; at += PIECE) {
        size_t size = static_cast<size_t>(std::min<uint64_t>(PIECE, whole - at));
        if (!a.read_native(at, size, x.get(), err) || !b.read_native(at, size, y.get(), err))
            return false;
        if (memcmp(x.get(), y.get(), size) != 0) {
            *out_equal = false;
            return true;
        }
    }
    *out_equal = true;
    return true;
}

static bool equal_by_frames(picture &a, picture &b, bool *out_equal, struct vt_err *err)
{
    std::vector<uint8_t> x, y;

    if (a.what().shape.bits_allocated < 8 && a.what().shape.frames > 1)
        return vt_fail(err, VT_E_UNSUPPORTED, "frames of single bits are not compared one by one");
    for (uint32_t frame = 0; frame < a.what().shape.frames; frame++) {
        if (!a.read_frame(frame, x, err) || !b.read_frame(frame, y, err))
            return false;
        mask_unused(x, a.what());
        mask_unused(y, b.what());
        if (x != y) {
            *out_equal = false;
            return true;
        }
    }
    *out_equal = true;
    return true;
}

static bool pixels_equal(const char *path_a, const char *path_b, bool *out_equal, struct vt_err *err)
{
    picture a, b;

    if (!a.open(path_a, err) || !b.open(path_b, err))
        return false;
    if (!same_image(a.what(), b.what())) {
        *out_equal = false;
        return true;
    }
    if (decoded_photometric(a.what().photometric) != decoded_photometric(b.what().photometric))
        return vt_fail(err, VT_E_UNSUPPORTED, "colours as %s and as %s are not compared", a.what().photometric,
                       b.what().photometric);
    bool plain = a.is_native() && b.is_native() && a.what().shape.planar == b.what().shape.planar;
    return plain ? equal_natively(a, b, out_equal, err) : equal_by_frames(a, b, out_equal, err);
}

}

using namespace vt;

bool vt_pixels_equal(const char *path_a, const char *path_b, bool *out_equal, struct vt_err *err)
{
    return guarded(err, [&] { return pixels_equal(path_a, path_b, out_equal, err); });
}
