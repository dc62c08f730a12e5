#include "dicom/dataset_object.hh"

#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpeg/djencode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/dcmjpls/djencode.h>

#include <memory>
#include <cstring>
#include <mutex>
#include <vector>


namespace vt {

/* A basic offset table counts in 32 bits; longer pixel data go without. */
static bool table_fits(const size_t sizes[], size_t count)
{
    uint64_t whole = 0;

    for (size_t i = 0; i < count; i++)
        whole += uint64_t{ sizes[i] } + sizes[i] % 2 + 8;
    return whole <= UINT32_MAX;
}

bool put_frames(vt_dataset *data_set, const char *uid, const void *const frames[], const size_t sizes[],
                size_t count, struct vt_err *err)
{
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(uid);
    auto sequence = std::make_unique<DcmPixelSequence>(DcmTag(DCM_PixelData, EVR_OB));
    auto table = std::make_unique<DcmPixelItem>(DcmTag(DCM_Item, EVR_OB));
    DcmPixelItem *first = table.get();
    DcmOffsetList offsets;

    if (!known || !known->encapsulated)
        return vt_fail(err, VT_E_INVALID, "'%s' has no fragments", uid);
    OFCondition done = sequence->insert(table.release());
    for (size_t i = 0; i < count && done.good(); i++) {
        if (sizes[i] >= UINT32_MAX)
            return vt_fail(err, VT_E_LIMIT, "a frame of %zu bytes does not fit a fragment", sizes[i]);
        auto *bytes = static_cast<Uint8 *>(const_cast<void *>(frames[i]));
        done = sequence->storeCompressedFrame(offsets, bytes, static_cast<Uint32>(sizes[i]), 0);
    }
    if (done.good() && table_fits(sizes, count))
        done = first->createOffsetTable(offsets);
    auto pixels = std::make_unique<DcmPixelData>(DcmTag(DCM_PixelData, EVR_OB));
    pixels->putOriginalRepresentation(syntax_for_dcmtk(uid), nullptr, sequence.release());
    if (done.good())
        done = data_set->object.insert(pixels.get(), OFTrue);
    if (done.bad())
        return failed(err, VT_E_INVALID, done, "putting frames");
    pixels.release();
    data_set->object.updateOriginalXfer();
    data_set->transfer_syntax = uid;
    return true;
}

/* Lists inside DCMTK, guarded by its own lock once they are filled. */
static void register_codecs()
{
    static std::once_flag once;

    std::call_once(once, [] {
        DcmRLEDecoderRegistration::registerCodecs();
        DcmRLEEncoderRegistration::registerCodecs();
        DJDecoderRegistration::registerCodecs();
        DJEncoderRegistration::registerCodecs();
        DJLSDecoderRegistration::registerCodecs();
        /* Not "cooked": the samples as they are stored, overlay bits and all. */
        DJLSEncoderRegistration::registerCodecs(0, 0, 0, 0, OFFalse);
    });
}


bool read_shape(DcmItem &item, vt_pixel_shape &out, struct vt_err *err)
{
    Uint16 columns = 0, rows = 0, samples = 1, allocated = 0, stored = 0, is_signed = 0, planar = 0;
    Sint32 frames = 1;

    item.findAndGetUint16(DCM_Columns, columns);
    item.findAndGetUint16(DCM_Rows, rows);
    item.findAndGetUint16(DCM_SamplesPerPixel, samples);
    item.findAndGetUint16(DCM_BitsAllocated, allocated);
    item.findAndGetUint16(DCM_BitsStored, stored);
    item.findAndGetUint16(DCM_PixelRepresentation, is_signed);
    item.findAndGetUint16(DCM_PlanarConfiguration, planar);
    if (item.findAndGetSint32(DCM_NumberOfFrames, frames).bad() || frames < 1)
        frames = 1;
    out = { columns, rows, samples, allocated, stored, is_signed != 0, planar != 0, static_cast<uint32_t>(frames) };
    bool plausible = columns > 0 && rows > 0 && (samples == 1 || samples == 3 || samples == 4) &&
                     (allocated == 1 || allocated == 8 || allocated == 16 || allocated == 32) &&
                     stored <= allocated;
    if (!plausible)
        return vt_fail(err, VT_E_INVALID, "%ux%u pixels of %u samples in %u bits are no image", columns, rows,
                       samples, allocated);
    if (vt_pixel_frame_size(&out) * out.frames > DECODED_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %llu bytes of decoded pixels",
                       static_cast<unsigned long long>(DECODED_MAX));
    return true;
}

/* The fragments of the next frame joined: all of one frame, or one fragment for each of several. */
static bool frame_bytes(DcmPixelSequence *sequence, uint32_t frames, Uint32 &next, std::vector<uint8_t> &out,
                        struct vt_err *err)
{
    unsigned long items = sequence->card();
    unsigned long last = frames == 1 ? items : next + 1;

    if (items < 1 + uint64_t{ frames } || (frames > 1 && items != 1 + uint64_t{ frames }))
        return vt_fail(err, VT_E_UNSUPPORTED, "%lu fragments for %u frames", items ? items - 1 : 0, frames);
    out.clear();
    for (; next < last; next++) {
        DcmPixelItem *item = nullptr;
        Uint8 *bytes = nullptr;
        if (sequence->getItem(item, next).bad() || item->getUint8Array(bytes).bad())
            return vt_fail(err, VT_E_INVALID, "a fragment cannot be read");
        out.insert(out.end(), bytes, bytes + item->getLength());
    }
    return true;
}

/* By a decoder of ours, since DCMTK 3.6.7 has none. */
static bool decode_frames(vt_dataset *data_set, DcmPixelData *pixels, vt_frame_decoder decoder, struct vt_err *err)
{
    E_TransferSyntax syntax = EXS_Unknown;
    const DcmRepresentationParameter *parameter = nullptr;
    DcmPixelSequence *sequence = nullptr;
    vt_pixel_shape shape;
    std::vector<uint8_t> encoded, decoded;
    Uint32 next = 1;

    pixels->getCurrentRepresentationKey(syntax, parameter);
    OFCondition done = pixels->getEncapsulatedRepresentation(syntax, parameter, sequence);
    if (done.bad())
        return failed(err, VT_E_INVALID, done, "reading fragments");
    if (!read_shape(data_set->object, shape, err))
        return false;
    size_t size = vt_pixel_frame_size(&shape);
    decoded.resize(size * shape.frames);
    for (uint32_t i = 0; i < shape.frames; i++)
        if (!frame_bytes(sequence, shape.frames, next, encoded, err) ||
            !decoder(encoded.data(), encoded.size(), &shape, decoded.data() + i * size, err))
            return false;
    const char *vr = shape.bits_allocated > 8 ? "OW" : "OB";
    if (!put_raw(&data_set->object, VT_TAG_PIXEL_DATA, vr, decoded.data(), decoded.size(), err))
        return false;
    if (shape.samples == 3 && decoder == vt_jpeg2000_decode) {
        /* openjp2 undoes the colour transform; the components are interleaved. */
        data_set->object.putAndInsertString(DCM_PhotometricInterpretation, "RGB");
        data_set->object.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    }
    return true;
}

bool choose(vt_dataset *data_set, E_TransferSyntax syntax, const DcmRepresentationParameter *parameter,
            const char *what, struct vt_err *err)
{
    OFCondition done = data_set->object.chooseRepresentation(syntax, parameter);

    if (done.bad() || !data_set->object.canWriteXfer(syntax))
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: %s", what, done.bad() ? done.text() : "not possible");
    data_set->object.removeAllButCurrentRepresentations();
    data_set->object.updateOriginalXfer();
    return true;
}

static bool decode(vt_dataset *data_set, DcmElement *element, struct vt_err *err)
{
    const struct vt_transfer_syntax *from = vt_transfer_syntax_find(data_set->transfer_syntax.c_str());
    vt_pixel_shape shape;

    if (!from || !from->encapsulated)
        return true;
    vt_frame_decoder decoder = vt_frame_decoder_find(from->uid);
    if (!decoder && (DcmXfer(from->uid).getXfer() == EXS_Unknown || from->video))
        return vt_fail(err, VT_E_UNSUPPORTED, "%s cannot be decoded here", from->name);
    if (!read_shape(data_set->object, shape, err))
        return false;
    bool ok = decoder ? decode_frames(data_set, static_cast<DcmPixelData *>(element), decoder, err)
                      : choose(data_set, EXS_LittleEndianExplicit, nullptr, from->name, err);
    if (!ok)
        return false;
    data_set->transfer_syntax = VT_UID_EXPLICIT_LE;
    /* The syntax no longer says it (PS3.3 C.7.6.1.1.5). */
    return from->lossless || vt_dataset_put(data_set, "LossyImageCompression", "01", err);
}

static bool transcode(vt_dataset *data_set, const char *uid, bool lossy, struct vt_err *err)
{
    const struct vt_transfer_syntax *to = vt_transfer_syntax_find(uid);
    DcmElement *pixels = nullptr;

    if (!to)
        return vt_fail(err, VT_E_UNSUPPORTED, "transfer syntax '%s' is not known", uid);
    if (data_set->transfer_syntax == uid || !need_dictionary(err))
        return data_set->transfer_syntax == uid;
    register_codecs();
    data_set->object.findAndGetElement(DCM_PixelData, pixels);
    if (pixels && !decode(data_set, pixels, err))
        return false;
    /* Decoding may have put another element in its place. */
    data_set->object.findAndGetElement(DCM_PixelData, pixels);
    if (pixels && to->encapsulated && !encode_pixels(data_set, pixels, to, lossy, err))
        return false;
    data_set->transfer_syntax = uid;
    return true;
}

}

using namespace vt;

bool vt_dataset_put_frames(struct vt_dataset *data_set, const char *transfer_syntax_uid, const void *const frames[],
                           const size_t sizes[], size_t count, struct vt_err *err)
{
    return guarded(err, [&] { return put_frames(data_set, transfer_syntax_uid, frames, sizes, count, err); });
}

bool vt_dataset_transcode(struct vt_dataset *data_set, const char *transfer_syntax_uid, struct vt_err *err)
{
    return guarded(err, [&] { return transcode(data_set, transfer_syntax_uid, false, err); });
}

bool vt_dataset_transcode_lossy(struct vt_dataset *data_set, const char *transfer_syntax_uid, struct vt_err *err)
{
    return guarded(err, [&] { return transcode(data_set, transfer_syntax_uid, true, err); });
}
