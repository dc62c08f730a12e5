#include "dicom/dataset_object.hh"

#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrlerp.h>
#include <dcmtk/dcmimage/diregist.h> /* colour images for the lossy JPEG encoder: without it the linker drops them */
#include <dcmtk/dcmjpeg/djrploss.h>
#include <dcmtk/dcmjpeg/djrplol.h>
#include <dcmtk/dcmjpls/djrparam.h>

#include <cstdio>
#include <cstring>

#include "core/buf.h"
#include "dicom/frame_encode.h"

/* Native pixel data become encapsulated, by DCMTK's encoders or openjp2. What is lossy is written down in the data
 * set, which is another instance then. */

namespace vt {

constexpr size_t FRAME_MAX = size_t{ 1 } << 30;
constexpr int BASELINE_QUALITY = 90;
constexpr float JPEG_2000_RATIO = 10;

#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define JPEG_2000_LOSSLESS "1.2.840.10008.1.2.4.90"
#define JPEG_2000 "1.2.840.10008.1.2.4.91"

/* Encoders take as many frames as the data set says; bytes beyond them would be lost. */
static bool pixels_fit(DcmElement *pixels, const vt_pixel_shape &shape, struct vt_err *err)
{
    uint64_t due = vt_pixel_frame_size(&shape) * shape.frames;

    due += due % 2;
    return pixels->getLength() == due ||
           vt_fail(err, VT_E_INVALID, "pixel data of %u bytes where %llu are due", pixels->getLength(),
                   static_cast<unsigned long long>(due));
}

static std::string text_of(vt_dataset *data_set, const DcmTagKey &tag)
{
    OFString text;

    data_set->object.findAndGetOFStringArray(tag, text);
    return text.c_str();
}

/* ---- JPEG 2000 ---- */

/* Samples beside each other. */
static void interleave(const Uint8 *planes, const vt_pixel_shape &shape, std::vector<uint8_t> &out)
{
    size_t width = shape.bits_allocated / 8u, pixels = size_t{ shape.columns } * shape.rows;

    for (size_t i = 0; i < pixels; i++)
        for (size_t s = 0; s < shape.samples; s++)
            memcpy(out.data() + (i * shape.samples + s) * width, planes + (s * pixels + i) * width, width);
}

static bool jpeg_2000(vt_dataset *data_set, DcmElement *pixels, const char *uid, float ratio, struct vt_err *err)
{
    vt_pixel_shape shape;
    Uint8 *bytes = nullptr;

    if (!read_shape(data_set->object, shape, err) || !pixels_fit(pixels, shape, err))
        return false;
    OFCondition done = pixels->getUint8Array(bytes); /* little endian, of OW as well */
    if (done.bad())
        return failed(err, VT_E_INVALID, done, "pixel data");
    std::string photometric = text_of(data_set, DCM_PhotometricInterpretation);
    if (shape.samples == 3 && photometric != "RGB")
        return vt_fail(err, VT_E_UNSUPPORTED, "%s is not made JPEG 2000 here", photometric.c_str());
    size_t size = static_cast<size_t>(vt_pixel_frame_size(&shape));
    std::vector<uint8_t> frame(size);
    std::vector<size_t> ends;
    VT_AUTO_BUF(encoded, FRAME_MAX);
    bool planar = shape.planar && shape.samples > 1;
    shape.planar = false;
    for (uint32_t i = 0; i < shape.frames; i++) {
        const Uint8 *from = bytes + size * i;
        if (planar) {
            interleave(from, shape, frame);
            from = frame.data();
        }
        if (!vt_jpeg2000_encode(from, &shape, ratio, &encoded, err))
            return false;
        ends.push_back(encoded.size);
    }
    std::vector<const void *> frames;
    std::vector<size_t> sizes;
    for (size_t begin = 0, i = 0; i < ends.size(); begin = ends[i++]) {
        frames.push_back(encoded.data + begin);
        sizes.push_back(ends[i] - begin);
    }
    if (shape.samples == 3) {
        data_set->object.putAndInsertString(DCM_PhotometricInterpretation, ratio > 0 ? "YBR_ICT" : "YBR_RCT");
        data_set->object.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    }
    return put_frames(data_set, uid, frames.data(), sizes.data(), frames.size(), err);
}

/* ---- what is lossy ---- */

/* Before the pixels change: which instance this was made from (PS3.3 C.7.6.1.1.4, C.7.6.1.1.5). */
static bool become_derived(vt_dataset *data_set, const std::string &sop_uid, const char *syntax, struct vt_err *err)
{
    std::string name = sop_uid + " in " + syntax;
    std::string type = text_of(data_set, DCM_ImageType);
    size_t rest = type.find('\\');
    char uid[VT_UID_MAX + 1];

    vt_uid_derive(name.c_str(), uid);
    type = "DERIVED" + (rest == std::string::npos ? std::string("\\PRIMARY") : type.substr(rest));
    return vt_dataset_put(data_set, "SourceImageSequence[0].ReferencedSOPClassUID",
                          text_of(data_set, DCM_SOPClassUID).c_str(), err) &&
           vt_dataset_put(data_set, "SourceImageSequence[0].ReferencedSOPInstanceUID", sop_uid.c_str(), err) &&
           vt_dataset_put(data_set, "SOPInstanceUID", uid, err) &&
           vt_dataset_put(data_set, "ImageType", type.c_str(), err) &&
           vt_dataset_put(data_set, "LossyImageCompression", "01", err);
}

/* One more step in the history, measured. */
static bool note_loss(vt_dataset *data_set, const char *method, double ratio, const std::string &ratios,
                      const std::string &methods, struct vt_err *err)
{
    char text[32];

    snprintf(text, sizeof text, "%.4g", ratio);
    std::string all = ratios.empty() ? text : ratios + "\\" + text;
    std::string ways = methods.empty() ? method : methods + "\\" + method;
    return vt_dataset_put(data_set, "LossyImageCompressionRatio", all.c_str(), err) &&
           vt_dataset_put(data_set, "LossyImageCompressionMethod", ways.c_str(), err) &&
           vt_dataset_put(data_set, "DerivationDescription", "Lossy compression for a receiver that asked for it", err);
}

static uint64_t encoded_size(vt_dataset *data_set)
{
    DcmElement *pixels = nullptr;
    DcmPixelSequence *sequence = nullptr;
    E_TransferSyntax syntax = EXS_Unknown;
    const DcmRepresentationParameter *parameter = nullptr;

    data_set->object.findAndGetElement(DCM_PixelData, pixels);
    auto *data = static_cast<DcmPixelData *>(pixels);
    data->getCurrentRepresentationKey(syntax, parameter);
    if (data->getEncapsulatedRepresentation(syntax, parameter, sequence).bad())
        return 0;
    uint64_t size = 0;
    for (unsigned long i = 1; i < sequence->card(); i++) {
        DcmPixelItem *item = nullptr;
        if (sequence->getItem(item, i).good())
            size += item->getLength();
    }
    return size;
}

static bool lossily(vt_dataset *data_set, DcmElement *pixels, const struct vt_transfer_syntax *to, struct vt_err *err)
{
    bool baseline = strcmp(to->uid, JPEG_BASELINE) == 0;
    std::string sop_uid = text_of(data_set, DCM_SOPInstanceUID);
    std::string ratios = text_of(data_set, DCM_LossyImageCompressionRatio);
    std::string methods = text_of(data_set, DCM_LossyImageCompressionMethod);
    DJ_RPLossy quality(BASELINE_QUALITY);
    vt_pixel_shape shape;

    if (!read_shape(data_set->object, shape, err) || !pixels_fit(pixels, shape, err))
        return false;
    if (baseline && shape.bits_allocated != 8)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s holds 8 bits, not %u", to->name, shape.bits_allocated);
    uint64_t before = vt_pixel_frame_size(&shape) * shape.frames;
    bool ok = baseline ? choose(data_set, EXS_JPEGProcess1, &quality, to->name, err)
                       : jpeg_2000(data_set, pixels, to->uid, JPEG_2000_RATIO, err);
    if (!ok)
        return false;
    data_set->object.findAndDeleteElement(DCM_SourceImageSequence); /* DCMTK's, with a UID made up each time */
    uint64_t after = encoded_size(data_set);
    return become_derived(data_set, sop_uid, to->uid, err) &&
           note_loss(data_set, baseline ? "ISO_10918_1" : "ISO_15444_1",
                     after ? static_cast<double>(before) / static_cast<double>(after) : 1, ratios, methods, err);
}

/* ---- the table ---- */

bool encode_pixels(vt_dataset *data_set, DcmElement *pixels, const struct vt_transfer_syntax *to, bool lossy,
                   struct vt_err *err)
{
    DJ_RPLossless jpeg;
    DJLSRepresentationParameter jpeg_ls(0, OFTrue);
    DcmRLERepresentationParameter rle;
    const struct {
        const char *uid;
        const DcmRepresentationParameter *parameter;
    } encoders[] = {
        { "1.2.840.10008.1.2.4.70", &jpeg },
        { "1.2.840.10008.1.2.4.80", &jpeg_ls },
        { "1.2.840.10008.1.2.5", &rle },
    };
    vt_pixel_shape shape;

    for (const auto &encoder : encoders)
        if (strcmp(encoder.uid, to->uid) == 0)
            return read_shape(data_set->object, shape, err) && pixels_fit(pixels, shape, err) &&
                   choose(data_set, DcmXfer(to->uid).getXfer(), encoder.parameter, to->name, err);
    if (strcmp(to->uid, JPEG_2000_LOSSLESS) == 0)
        return jpeg_2000(data_set, pixels, to->uid, 0, err);
    if (lossy && (strcmp(to->uid, JPEG_BASELINE) == 0 || strcmp(to->uid, JPEG_2000) == 0))
        return lossily(data_set, pixels, to, err);
    return vt_fail(err, VT_E_UNSUPPORTED, "%s cannot be encoded here", to->name);
}

}

/* Uncompressed first, since any receiver reads it well; then what is most widely read. */
unsigned vt_transcode_rank(const char *stored, const char *to, bool lossy)
{
    static const struct {
        const char *uid;
        bool lossy;
    } targets[] = {
        { JPEG_BASELINE, true },
        { JPEG_2000, true },
        { "1.2.840.10008.1.2.5", false },
        { JPEG_2000_LOSSLESS, false },
        { "1.2.840.10008.1.2.4.80", false },
        { "1.2.840.10008.1.2.4.70", false },
        { VT_UID_DEFLATED_LE, false },
        { VT_UID_EXPLICIT_BE, false },
        { VT_UID_IMPLICIT_LE, false },
        { VT_UID_EXPLICIT_LE, false },
    };
    /* What is read here: uncompressed, ours, DCMTK's. */
    static const char *const readable[] = {
        VT_UID_IMPLICIT_LE, VT_UID_EXPLICIT_LE, VT_UID_DEFLATED_LE, VT_UID_EXPLICIT_BE,
        "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55",
        "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    };
    bool reads = false;

    if (strcmp(stored, to) == 0)
        return VT_COUNT(targets) + 1;
    for (const char *uid : readable)
        reads |= strcmp(uid, stored) == 0;
    for (unsigned i = 0; reads && i < VT_COUNT(targets); i++)
        if (strcmp(targets[i].uid, to) == 0)
            return targets[i].lossy && !lossy ? 0 : i + 1;
    return 0;
}
