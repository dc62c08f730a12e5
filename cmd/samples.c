#include "cmd/samples.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "cmd/phantom.h"
#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"

#define JPEG_LOSSLESS "1.2.840.10008.1.2.4.70"

enum { PATH_ROOM = 4096, VALUE_ROOM = 128 };

struct attribute {
    const char *keyword, *value;
};

/* One series of one study of one patient. */
struct sample {
    const char *name; /* of the folder, and what UIDs are made of */
    const char *sop_class;
    const char *transfer_syntax;
    int instances, frames, width, height, bits_allocated, bits_stored;
    const struct attribute *attributes; /* up to a NULL keyword */
    void (*draw)(void *pixels, const struct sample *sample, int index);
};

static void draw_chest(void *pixels, const struct sample *sample, int index)
{
    vt_phantom_chest(pixels, sample->width, index, sample->instances);
}

static void draw_head(void *pixels, const struct sample *sample, int index)
{
    vt_phantom_head(pixels, sample->width, index, sample->instances);
}

static void draw_heart(void *pixels, const struct sample *sample, int index)
{
    (void)index;
    for (int frame = 0; frame < sample->frames; frame++)
        vt_phantom_heart((uint8_t *)pixels +
                             (size_t)frame * (size_t)sample->width * (size_t)sample->height,
                         sample->width, sample->height, frame, sample->frames);
}

static void draw_hand(void *pixels, const struct sample *sample, int index)
{
    (void)index;
    vt_phantom_hand(pixels, sample->width);
}

/* The character set comes first: it decides how the names are written. */
static const struct attribute ct_attributes[] = {
    { "SpecificCharacterSet", "ISO_IR 100" },
    { "ImageType", "ORIGINAL\\PRIMARY\\AXIAL" },
    { "StudyDate", "20260112" },
    { "SeriesDate", "20260112" },
    { "AcquisitionDate", "20260112" },
    { "ContentDate", "20260112" },
    { "StudyTime", "093012" },
    { "SeriesTime", "093140" },
    { "ContentTime", "093145" },
    { "AccessionNumber", "VT1001" },
    { "Modality", "CT" },
    { "Manufacturer", "Vitrine" },
    { "InstitutionName", "Vitrine samples" },
    { "ReferringPhysicianName", "Garc\xc3\xad"
                                "a^Luc\xc3\xad"
                                "a" },
    { "StudyDescription", "CT thorax with contrast" },
    { "SeriesDescription", "Thorax 5.0 B30f" },
    { "PatientName", "M\xc3\xbcller^Anna" },
    { "PatientID", "VT-0001" },
    { "PatientBirthDate", "19610423" },
    { "PatientSex", "F" },
    { "BodyPartExamined", "CHEST" },
    { "SliceThickness", "5" },
    { "KVP", "120" },
    { "PatientPosition", "HFS" },
    { "StudyID", "1001" },
    { "SeriesNumber", "2" },
    { "ImageOrientationPatient", "1\\0\\0\\0\\1\\0" },
    { "PixelSpacing", "1.4\\1.4" },
    { "WindowCenter", "40" },
    { "WindowWidth", "400" },
    { "RescaleIntercept", "-1024" },
    { "RescaleSlope", "1" },
    { "RescaleType", "HU" },
    { NULL, NULL },
};

static const struct attribute mr_attributes[] = {
    { "SpecificCharacterSet", "ISO_IR 192" },
    { "ImageType", "ORIGINAL\\PRIMARY\\M\\SE" },
    { "StudyDate", "20260203" },
    { "SeriesDate", "20260203" },
    { "AcquisitionDate", "20260203" },
    { "ContentDate", "20260203" },
    { "StudyTime", "141500" },
    { "SeriesTime", "142210" },
    { "ContentTime", "142215" },
    { "AccessionNumber", "VT1002" },
    { "Modality", "MR" },
    { "Manufacturer", "Vitrine" },
    { "InstitutionName", "Vitrine samples" },
    { "ReferringPhysicianName", "Garc\xc3\xad"
                                "a^Luc\xc3\xad"
                                "a" },
    { "StudyDescription", "MR brain" },
    { "SeriesDescription", "T1 SE axial" },
    { "PatientName", "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e="
                     "\xe3\x82\x84\xe3\x81\xbe\xe3\x81\xa0^"
                     "\xe3\x81\x9f\xe3\x82\x8d\xe3\x81\x86" },
    { "PatientID", "VT-0002" },
    { "PatientBirthDate", "19740815" },
    { "PatientSex", "M" },
    { "BodyPartExamined", "HEAD" },
    { "ScanningSequence", "SE" },
    { "SequenceVariant", "NONE" },
    { "MRAcquisitionType", "2D" },
    { "SliceThickness", "6" },
    { "RepetitionTime", "500" },
    { "EchoTime", "14" },
    { "PatientPosition", "HFS" },
    { "StudyID", "1002" },
    { "SeriesNumber", "3" },
    { "ImageOrientationPatient", "1\\0\\0\\0\\1\\0" },
    { "PixelSpacing", "1.2\\1.2" },
    { "WindowCenter", "1700" },
    { "WindowWidth", "3000" },
    { NULL, NULL },
};

static const struct attribute us_attributes[] = {
    { "SpecificCharacterSet", "ISO_IR 192" },
    { "ImageType", "ORIGINAL\\PRIMARY" },
    { "StudyDate", "20260217" },
    { "SeriesDate", "20260217" },
    { "ContentDate", "20260217" },
    { "StudyTime", "101000" },
    { "SeriesTime", "101122" },
    { "ContentTime", "101130" },
    { "AccessionNumber", "VT1003" },
    { "Modality", "US" },
    { "Manufacturer", "Vitrine" },
    { "InstitutionName", "Vitrine samples" },
    { "StudyDescription", "Echocardiography" },
    { "SeriesDescription", "Four chamber loop" },
    { "PatientName", "O'Brien^Se\xc3\xa1n" },
    { "PatientID", "VT-0003" },
    { "PatientBirthDate", "19850301" },
    { "PatientSex", "M" },
    { "BodyPartExamined", "HEART" },
    { "FrameTime", "40" },
    { "FrameIncrementPointer", "(0018,1063)" },
    { "StudyID", "1003" },
    { "SeriesNumber", "1" },
    { NULL, NULL },
};

static const struct attribute cr_attributes[] = {
    { "ImageType", "ORIGINAL\\PRIMARY" },
    { "StudyDate", "20260305" },
    { "SeriesDate", "20260305" },
    { "ContentDate", "20260305" },
    { "StudyTime", "165500" },
    { "SeriesTime", "165530" },
    { "ContentTime", "165531" },
    { "AccessionNumber", "VT1004" },
    { "Modality", "CR" },
    { "Manufacturer", "Vitrine" },
    { "InstitutionName", "Vitrine samples" },
    { "StudyDescription", "Right hand" },
    { "SeriesDescription", "Hand PA" },
    { "PatientName", "Doe^John^^Dr" },
    { "PatientID", "VT-0004" },
    { "PatientBirthDate", "19500630" },
    { "PatientSex", "M" },
    { "BodyPartExamined", "HAND" },
    { "ViewPosition", "PA" },
    { "StudyID", "1004" },
    { "SeriesNumber", "1" },
    { "ImagerPixelSpacing", "0.4\\0.4" },
    { "WindowCenter", "2000" },
    { "WindowWidth", "3200" },
    { "Laterality", "R" },
    { NULL, NULL },
};

static const struct sample samples[] = {
    { "ct", "1.2.840.10008.5.1.4.1.1.2", VT_UID_EXPLICIT_LE, 24, 1, 256, 256, 16, 12, ct_attributes,
      draw_chest },
    { "mr", "1.2.840.10008.5.1.4.1.1.4", VT_UID_IMPLICIT_LE, 12, 1, 192, 192, 16, 12, mr_attributes,
      draw_head },
    { "us", "1.2.840.10008.5.1.4.1.1.3.1", VT_UID_EXPLICIT_LE, 1, 20, 200, 160, 8, 8, us_attributes,
      draw_heart },
    { "cr", "1.2.840.10008.5.1.4.1.1.1", JPEG_LOSSLESS, 1, 1, 512, 512, 16, 12, cr_attributes,
      draw_hand },
};

void vt_samples_uid(const char *text, char *out)
{
    XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
    /* The bits of a version 8 UUID (RFC 9562), as PS3.5 B.2 wants a UUID behind 2.25. */
    unsigned __int128 number =
        ((unsigned __int128)((hash.high64 & ~UINT64_C(0xf000)) | 0x8000) << 64) |
        (hash.low64 >> 2) | ((unsigned __int128)1 << 63);
    char digits[48];
    size_t at = sizeof digits;

    digits[--at] = '\0';
    while (number > 0) {
        digits[--at] = (char)('0' + (int)(number % 10));
        number /= 10;
    }
    snprintf(out, VT_UID_MAX + 1, "2.25.%s", digits + at);
}

/* ---- one instance ---- */

static bool put(struct vt_dataset *data_set, struct vt_err *err, const char *keyword,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool put(struct vt_dataset *data_set, struct vt_err *err, const char *keyword,
                const char *format, ...)
{
    char value[VALUE_ROOM];
    va_list args;

    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    return vt_dataset_put(data_set, keyword, value, err);
}

static bool put_uids(struct vt_dataset *data_set, const struct sample *sample, int index,
                     struct vt_err *err)
{
    static const struct {
        const char *keyword, *what;
        bool each;
    } uids[] = {
        { "SOPInstanceUID", "instance", true },
        { "StudyInstanceUID", "study", false },
        { "SeriesInstanceUID", "series", false },
        { "FrameOfReferenceUID", "frame of reference", false },
    };
    char text[VALUE_ROOM], uid[VT_UID_MAX + 1];

    for (size_t i = 0; i < VT_COUNT(uids); i++) {
        snprintf(text, sizeof text, "vitrine sample %s %s %d", sample->name, uids[i].what,
                 uids[i].each ? index + 1 : 0);
        vt_samples_uid(text, uid);
        if (!vt_dataset_put(data_set, uids[i].keyword, uid, err))
            return false;
    }
    return vt_dataset_put(data_set, "SOPClassUID", sample->sop_class, err);
}

static bool put_geometry(struct vt_dataset *data_set, const struct sample *sample, int index,
                         struct vt_err *err)
{
    int position = 5 * index;

    if (sample->instances > 1 &&
        (!put(data_set, err, "ImagePositionPatient", "-179\\-179\\%d", position) ||
         !put(data_set, err, "SliceLocation", "%d", position)))
        return false;
    if (sample->frames > 1 && !put(data_set, err, "NumberOfFrames", "%d", sample->frames))
        return false;
    return put(data_set, err, "InstanceNumber", "%d", index + 1) &&
           put(data_set, err, "SamplesPerPixel", "1") &&
           put(data_set, err, "PhotometricInterpretation", "MONOCHROME2") &&
           put(data_set, err, "Rows", "%d", sample->height) &&
           put(data_set, err, "Columns", "%d", sample->width) &&
           put(data_set, err, "BitsAllocated", "%d", sample->bits_allocated) &&
           put(data_set, err, "BitsStored", "%d", sample->bits_stored) &&
           put(data_set, err, "HighBit", "%d", sample->bits_stored - 1) &&
           put(data_set, err, "PixelRepresentation", "0");
}

static bool put_pixels(struct vt_dataset *data_set, const struct sample *sample, int index,
                       struct vt_err *err)
{
    size_t size = (size_t)sample->width * (size_t)sample->height * (size_t)sample->frames *
                  (size_t)sample->bits_allocated / 8;
    vt_autofree void *pixels = malloc(size);

    if (!pixels)
        return vt_fail(err, VT_E_NOMEM, "no memory for a picture");
    sample->draw(pixels, sample, index);
    return vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA,
                                sample->bits_allocated == 8 ? "OB" : "OW", pixels, size, err);
}

static struct vt_dataset *make(const struct sample *sample, int index, struct vt_err *err)
{
    VT_AUTO(vt_dataset) data_set = vt_dataset_new();

    if (!data_set) {
        vt_fail(err, VT_E_NOMEM, "no memory for a sample");
        return NULL;
    }
    for (const struct attribute *attribute = sample->attributes; attribute->keyword; attribute++)
        if (!vt_dataset_put(data_set, attribute->keyword, attribute->value, err))
            return NULL;
    if (!put_uids(data_set, sample, index, err) || !put_geometry(data_set, sample, index, err) ||
        !put_pixels(data_set, sample, index, err) ||
        !vt_dataset_transcode(data_set, sample->transfer_syntax, err))
        return NULL;
    return vt_take(&data_set);
}

static bool write_one(const struct sample *sample, int index, const char *path, struct vt_err *err)
{
    VT_AUTO(vt_dataset) data_set = make(sample, index, err);

    return data_set && vt_dataset_save(data_set, path, sample->transfer_syntax, err);
}

bool vt_samples_write(const char *folder, vt_samples_told told, void *context, size_t *out_count,
                      struct vt_err *err)
{
    char path[PATH_ROOM];
    size_t done = 0, total = 0;

    for (size_t i = 0; i < VT_COUNT(samples); i++)
        total += (size_t)samples[i].instances;
    for (size_t i = 0; i < VT_COUNT(samples); i++) {
        const struct sample *sample = &samples[i];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, sample->name) >= sizeof path - 16)
            return vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a path", folder);
        if (!vt_io_make_folder(path, err))
            return false;
        for (int index = 0; index < sample->instances; index++) {
            snprintf(path, sizeof path, "%s/%s/%04d.dcm", folder, sample->name, index + 1);
            if (access(path, F_OK) != 0 && !write_one(sample, index, path, err))
                return vt_fail_context(err, "sample %s", path);
            done++;
            if (told)
                told(context, path, done, total);
        }
    }
    *out_count = done;
    return true;
}
