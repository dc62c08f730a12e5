/* tests/fuzz/dictionary.h: a dictionary of a few tags in the place of dicom/tags.c, whose table is made by the build: enough
 * of each kind of VR for implicit data sets to reach every branch. */
#pragma once

#include "dicom/tags.h"

const char *vt_dict_vr(uint32_t tag)
{
    if (VT_TAG_ELEMENT(tag) == 0)
        return "UL";
    if (VT_TAG_GROUP(tag) % 2 == 1)
        return VT_TAG_ELEMENT(tag) <= 0xff ? "LO" : "UN";
    if (tag == VT_TAG_PIXEL_DATA)
        return "OW";
    switch (VT_TAG_ELEMENT(tag) % 8) {
    case 0: return "IS";
    case 1: return "US";
    case 2: return "PN";
    case 3: return "UN";
    case 5: return "SQ";
    default: return "LO";
    }
}
