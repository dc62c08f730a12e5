/* dicom/dataset_object.hh: what the .cc files behind dicom/dataset.h share. Private to them. */
#pragma once

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dctk.h>

#include <string>
#include <vector>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/guard.hh"
#include "dicom/frame_decode.h"

struct vt_dataset {
    DcmDataset object;
    /* "" until it is known: an empty data set made here. May be one that DCMTK has no name for. */
    std::string transfer_syntax;
};

namespace vt {

/* Largest inflated data set and largest decoded pixel data that become an object. */
constexpr size_t INFLATED_MAX = size_t{ 1 } << 30;
constexpr uint64_t DECODED_MAX = UINT64_C(2) << 30;

/* DCMTK's dictionary; false when its file is not there. */
bool need_dictionary(struct vt_err *err);

/* The syntax DCMTK is to use: its own or, for one it does not know, one that is encoded alike. EXS_Unknown: a
 * private one. */
E_TransferSyntax syntax_for_dcmtk(const char *uid);

/* Value of the nearest (0008,0005) from `item` outwards, "" when there is none. */
std::string charset_of(DcmItem *item);

/* Puts an element with these bytes (little endian) in the place of any that is there. */
bool put_raw(DcmItem *item, uint32_t tag, const char *vr, const void *value, size_t size, struct vt_err *err);

/* Reads `bytes` with the checks of dicom/element.h. */
bool parse_into(vt_dataset *data_set, const uint8_t *bytes, size_t size, const char *uid, struct vt_err *err);

/* What the frames are, from the data set. VT_E_INVALID: it does not say, or not plausibly. */
bool read_shape(DcmItem &item, vt_pixel_shape &out, struct vt_err *err);

/* The frames, each a fragment, become the pixel data in that encapsulated syntax. */
bool put_frames(vt_dataset *data_set, const char *uid, const void *const frames[], const size_t sizes[],
                size_t count, struct vt_err *err);
/* DCMTK's codecs make that representation the only one. `what` begins the error. */
bool choose(vt_dataset *data_set, E_TransferSyntax syntax, const DcmRepresentationParameter *parameter,
            const char *what, struct vt_err *err);
/* Native pixel data into an encapsulated syntax. A lossy one makes another instance of the data set. */
bool encode_pixels(vt_dataset *data_set, DcmElement *pixels, const struct vt_transfer_syntax *to, bool lossy,
                   struct vt_err *err);

/* Where encoded bytes go. */
struct sink {
    virtual bool take(const uint8_t *bytes, size_t size, struct vt_err *err) = 0;
    virtual ~sink() = default;
};
bool encode_to(vt_dataset *data_set, const char *uid, sink &out, struct vt_err *err);

}
