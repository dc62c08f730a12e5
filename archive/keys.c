#include "archive/keys.h"

#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/tags.h"

#define KEY(tag, vr, level, use, column) { tag, vr, VT_LEVEL_##level, VT_KEY_##use, column }
#define NONE VT_KEY_NO_COLUMN

/* Ascending by tag. */
static const struct vt_key keys[] = {
    KEY(0x00080008, "CS", IMAGE, OPTIONAL, NONE),      /* Image Type */
    KEY(0x00080016, "UI", IMAGE, COMPUTED, VT_COL_INSTANCE_CLASS),
    KEY(0x00080018, "UI", IMAGE, UNIQUE, VT_COL_INSTANCE_UID),
    KEY(0x00080020, "DA", STUDY, REQUIRED, VT_COL_STUDY_DATE),
    KEY(0x00080021, "DA", SERIES, OPTIONAL, NONE),
    KEY(0x00080022, "DA", IMAGE, OPTIONAL, NONE),      /* Acquisition Date */
    KEY(0x00080023, "DA", IMAGE, OPTIONAL, NONE),      /* Content Date */
    KEY(0x0008002a, "DT", IMAGE, OPTIONAL, NONE),      /* Acquisition DateTime */
    KEY(0x00080030, "TM", STUDY, REQUIRED, VT_COL_STUDY_TIME),
    KEY(0x00080031, "TM", SERIES, OPTIONAL, NONE),
    KEY(0x00080032, "TM", IMAGE, OPTIONAL, NONE),
    KEY(0x00080033, "TM", IMAGE, OPTIONAL, NONE),
    KEY(0x00080050, "SH", STUDY, REQUIRED, VT_COL_STUDY_ACCESSION),
    KEY(0x00080051, "SQ", STUDY, OPTIONAL, NONE),      /* Issuer of Accession Number Sequence */
    KEY(0x00080060, "CS", SERIES, REQUIRED, VT_COL_SERIES_MODALITY),
    KEY(0x00080061, "CS", STUDY, COMPUTED, VT_COL_STUDY_MODALITIES),
    KEY(0x00080062, "UI", STUDY, COMPUTED, NONE),      /* SOP Classes in Study */
    KEY(0x00080063, "SQ", STUDY, OPTIONAL, NONE),      /* Anatomic Regions in Study Code Sequence */
    KEY(0x00080070, "LO", SERIES, OPTIONAL, NONE),     /* Manufacturer */
    KEY(0x00080080, "LO", SERIES, OPTIONAL, NONE),     /* Institution Name */
    KEY(0x00080090, "PN", STUDY, OPTIONAL, VT_COL_STUDY_REFERRING),
    KEY(0x00080201, "SH", STUDY, OPTIONAL, NONE),      /* Timezone Offset From UTC */
    KEY(0x00081010, "SH", SERIES, OPTIONAL, NONE),     /* Station Name */
    KEY(0x00081030, "LO", STUDY, OPTIONAL, VT_COL_STUDY_DESCRIPTION),
    KEY(0x00081032, "SQ", STUDY, OPTIONAL, NONE),      /* Procedure Code Sequence */
    KEY(0x0008103e, "LO", SERIES, OPTIONAL, NONE),     /* Series Description */
    KEY(0x00081040, "LO", SERIES, OPTIONAL, NONE),     /* Institutional Department Name */
    KEY(0x00081048, "PN", STUDY, OPTIONAL, NONE),      /* Physician(s) of Record */
    KEY(0x00081050, "PN", SERIES, OPTIONAL, NONE),     /* Performing Physician's Name */
    KEY(0x00081060, "PN", STUDY, OPTIONAL, NONE),      /* Name of Physician(s) Reading Study */
    KEY(0x00081070, "PN", SERIES, OPTIONAL, NONE),     /* Operators' Name */
    KEY(0x00081080, "LO", STUDY, OPTIONAL, NONE),      /* Admitting Diagnoses Description */
    KEY(0x00081090, "LO", SERIES, OPTIONAL, NONE),     /* Manufacturer's Model Name */
    KEY(0x00083001, "SQ", IMAGE, OPTIONAL, NONE),      /* Alternate Representation Sequence */
    KEY(0x00083002, "UI", IMAGE, RETURN_ONLY, NONE),   /* Available Transfer Syntax UID */
    KEY(0x00100010, "PN", PATIENT, REQUIRED, VT_COL_PATIENT_NAME),
    KEY(0x00100020, "LO", PATIENT, UNIQUE, VT_COL_PATIENT_ID),
    KEY(0x00100021, "LO", PATIENT, OPTIONAL, VT_COL_PATIENT_ISSUER),
    KEY(0x00100022, "CS", PATIENT, OPTIONAL, NONE),    /* Type of Patient ID */
    KEY(0x00100030, "DA", PATIENT, OPTIONAL, VT_COL_PATIENT_BIRTH_DATE),
    KEY(0x00100032, "TM", PATIENT, OPTIONAL, NONE),
    KEY(0x00100040, "CS", PATIENT, OPTIONAL, VT_COL_PATIENT_SEX),
    KEY(0x00101000, "LO", PATIENT, OPTIONAL, NONE),    /* Other Patient IDs (retired) */
    KEY(0x00101001, "PN", PATIENT, OPTIONAL, NONE),    /* Other Patient Names */
    KEY(0x00101002, "SQ", PATIENT, OPTIONAL, NONE),    /* Other Patient IDs Sequence */
    KEY(0x00101010, "AS", STUDY, OPTIONAL, NONE),      /* Patient's Age */
    KEY(0x00101020, "DS", STUDY, OPTIONAL, NONE),
    KEY(0x00101030, "DS", STUDY, OPTIONAL, NONE),
    KEY(0x00102160, "SH", PATIENT, OPTIONAL, NONE),    /* Ethnic Group */
    KEY(0x00102180, "SH", STUDY, OPTIONAL, NONE),      /* Occupation */
    KEY(0x001021b0, "LT", STUDY, OPTIONAL, NONE),      /* Additional Patient History */
    KEY(0x00104000, "LT", PATIENT, OPTIONAL, NONE),    /* Patient Comments */
    KEY(0x00180015, "CS", SERIES, OPTIONAL, NONE),     /* Body Part Examined */
    KEY(0x00181030, "LO", SERIES, OPTIONAL, NONE),     /* Protocol Name */
    KEY(0x00185100, "CS", SERIES, OPTIONAL, NONE),     /* Patient Position */
    KEY(0x0020000d, "UI", STUDY, UNIQUE, VT_COL_STUDY_UID),
    KEY(0x0020000e, "UI", SERIES, UNIQUE, VT_COL_SERIES_UID),
    KEY(0x00200010, "SH", STUDY, REQUIRED, VT_COL_STUDY_ID),
    KEY(0x00200011, "IS", SERIES, REQUIRED, VT_COL_SERIES_NUMBER),
    KEY(0x00200012, "IS", IMAGE, OPTIONAL, NONE),      /* Acquisition Number */
    KEY(0x00200013, "IS", IMAGE, REQUIRED, VT_COL_INSTANCE_NUMBER),
    KEY(0x00200052, "UI", SERIES, OPTIONAL, NONE),     /* Frame of Reference UID */
    KEY(0x00200060, "CS", SERIES, OPTIONAL, NONE),     /* Laterality */
    KEY(0x00201200, "IS", PATIENT, RETURN_ONLY, NONE),
    KEY(0x00201202, "IS", PATIENT, RETURN_ONLY, NONE),
    KEY(0x00201204, "IS", PATIENT, RETURN_ONLY, NONE),
    KEY(0x00201206, "IS", STUDY, RETURN_ONLY, NONE),
    KEY(0x00201208, "IS", STUDY, RETURN_ONLY, NONE),
    KEY(0x00201209, "IS", SERIES, RETURN_ONLY, NONE),
    KEY(0x00280008, "IS", IMAGE, OPTIONAL, NONE),      /* Number of Frames */
    KEY(0x00280010, "US", IMAGE, OPTIONAL, NONE),      /* Rows */
    KEY(0x00280011, "US", IMAGE, OPTIONAL, NONE),      /* Columns */
    KEY(0x00280100, "US", IMAGE, OPTIONAL, NONE),      /* Bits Allocated */
    KEY(0x00400244, "DA", SERIES, OPTIONAL, NONE),     /* Performed Procedure Step Start Date */
    KEY(0x00400245, "TM", SERIES, OPTIONAL, NONE),
    KEY(0x00400253, "SH", SERIES, OPTIONAL, NONE),     /* Performed Procedure Step ID */
    KEY(0x00400254, "LO", SERIES, OPTIONAL, NONE),     /* Performed Procedure Step Description */
    KEY(0x00400275, "SQ", SERIES, OPTIONAL, NONE),     /* Request Attributes Sequence */
    KEY(0x00400512, "LO", IMAGE, OPTIONAL, NONE),      /* Container Identifier */
    KEY(0x00400560, "SQ", IMAGE, OPTIONAL, NONE),      /* Specimen Description Sequence */
    KEY(0x0040a043, "SQ", IMAGE, OPTIONAL, NONE),      /* Concept Name Code Sequence */
    KEY(0x0040a491, "CS", IMAGE, OPTIONAL, NONE),      /* Completion Flag */
    KEY(0x0040a493, "CS", IMAGE, OPTIONAL, NONE),      /* Verification Flag */
    KEY(0x0040a504, "SQ", IMAGE, OPTIONAL, NONE),      /* Content Template Sequence */
};

static struct vt_key extras[VT_KEYS_EXTRA_MAX];   /* ascending; fixed once threads run */
static size_t extra_count;

const struct vt_key *vt_key_at(size_t i)
{
    return i < VT_COUNT(keys) ? &keys[i] : NULL;
}

static const struct vt_key *search(const struct vt_key *table, size_t count, uint32_t tag)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && table[low].tag == tag ? &table[low] : NULL;
}

const struct vt_key *vt_key_find(uint32_t tag)
{
    const struct vt_key *key = search(keys, VT_COUNT(keys), tag);
    return key ? key : search(extras, extra_count, tag);
}

const struct vt_key *vt_key_unique(enum vt_level level)
{
    static const uint32_t tags[VT_LEVELS] = { VT_TAG_PATIENT_ID, VT_TAG_STUDY_INSTANCE_UID,
                                              VT_TAG_SERIES_INSTANCE_UID, VT_TAG_SOP_INSTANCE_UID };
    return search(keys, VT_COUNT(keys), tags[level]);
}

bool vt_key_in_attributes(const struct vt_key *key)
{
    bool uid = key->use == VT_KEY_UNIQUE && key->level != VT_LEVEL_PATIENT;
    return !uid && key->use != VT_KEY_COMPUTED && key->use != VT_KEY_RETURN_ONLY;
}

static enum vt_level level_of_group(uint32_t tag)
{
    switch (VT_TAG_GROUP(tag)) {
    case 0x0010:
        return VT_LEVEL_PATIENT;
    case 0x0032:
    case 0x0038:
        return VT_LEVEL_STUDY;
    default:
        return VT_LEVEL_IMAGE;
    }
}

static int by_tag(const void *a, const void *b)
{
    const struct vt_key *x = a, *y = b;
    return (x->tag > y->tag) - (x->tag < y->tag);
}

bool vt_keys_set_extra(const uint32_t *tags, size_t count, struct vt_err *err)
{
    struct vt_key made[VT_KEYS_EXTRA_MAX];
    size_t made_count = 0;

    if (count > VT_KEYS_EXTRA_MAX)
        return vt_fail(err, VT_E_LIMIT, "%zu extra tags, at most %d", count, VT_KEYS_EXTRA_MAX);
    for (size_t i = 0; i < count; i++) {
        if (search(keys, VT_COUNT(keys), tags[i]))
            continue;
        const char *vr = vt_dict_vr(tags[i]);
        if (vt_key_value_max(vr) == 0)
            return vt_fail(err, VT_E_INVALID, "(%04x,%04x) has VR %s and cannot be a query key",
                           VT_TAG_GROUP(tags[i]), VT_TAG_ELEMENT(tags[i]), vr);
        made[made_count] = (struct vt_key){ .tag = tags[i], .level = level_of_group(tags[i]),
                                            .use = VT_KEY_OPTIONAL, .column = NONE };
        memcpy(made[made_count++].vr, vr, 2);
    }
    if (made_count > 0) {
        qsort(made, made_count, sizeof made[0], by_tag);
        memcpy(extras, made, made_count * sizeof made[0]);
    }
    extra_count = made_count;
    return true;
}

size_t vt_key_value_max(const char *vr)
{
    static const struct {
        char vr[3];
        size_t max;
    } limits[] = {
        { "AE", 256 },  { "AS", 16 },   { "CS", 512 },  { "DA", 64 },   { "DS", 256 },  { "DT", 128 },
        { "FD", 64 },   { "FL", 64 },   { "IS", 256 },  { "LO", 1024 }, { "LT", 2048 }, { "PN", 1536 },
        { "SH", 512 },  { "SL", 64 },   { "SQ", 8192 }, { "SS", 64 },   { "ST", 2048 }, { "TM", 64 },
        { "UC", 2048 }, { "UI", 1300 }, { "UL", 64 },   { "UR", 2048 }, { "US", 64 },   { "UT", 2048 },
    };

    for (size_t i = 0; i < VT_COUNT(limits); i++)
        if (limits[i].vr[0] == vr[0] && limits[i].vr[1] == vr[1])
            return limits[i].max;
    return 0;
}
