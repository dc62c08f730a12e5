#include "archive/row_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/attributes.h"
#include "dicom/tags.h"
#include "dicom/uids.h"

static const char *text_of(const struct vt_row *row, uint32_t tag)
{
    switch (tag) {
    case VT_TAG_STUDY_INSTANCE_UID:
        return row->study_uid;
    case VT_TAG_SERIES_INSTANCE_UID:
        return row->series_uid;
    case VT_TAG_SOP_INSTANCE_UID:
        return row->sop_uid;
    case VT_TAG_SOP_CLASS_UID:
        return row->sop_class;
    case VT_TAG_MODALITIES_IN_STUDY:
        return row->modalities;
    case VT_TAG_SOP_CLASSES_IN_STUDY:
        return row->sop_classes;
    default:
        return NULL;
    }
}

static bool count_of(const struct vt_row *row, uint32_t tag, uint64_t *out)
{
    const struct {
        uint32_t tag;
        uint64_t count;
    } counts[] = {
        { VT_TAG_PATIENT_RELATED_STUDIES, row->patient_studies },
        { VT_TAG_PATIENT_RELATED_SERIES, row->patient_series },
        { VT_TAG_PATIENT_RELATED_INSTANCES, row->patient_instances },
        { VT_TAG_STUDY_RELATED_SERIES, row->study_series },
        { VT_TAG_STUDY_RELATED_INSTANCES, row->study_instances },
        { VT_TAG_SERIES_RELATED_INSTANCES, row->series_instances },
    };

    for (size_t i = 0; i < VT_COUNT(counts); i++)
        if (counts[i].tag == tag) {
            *out = counts[i].count;
            return true;
        }
    return false;
}

/* Stored syntax first, then what we can make of it without loss: the little endian encodings of
 * uncompressed data. */
static const char *available_syntaxes(const struct vt_row *row, char scratch[VT_ROW_VALUE_ROOM])
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(row->transfer_syntax);
    bool plain =
        syntax && !syntax->encapsulated && strcmp(row->transfer_syntax, VT_UID_EXPLICIT_LE) != 0;

    snprintf(scratch, VT_ROW_VALUE_ROOM, "%s%s%s", row->transfer_syntax, plain ? "\\" : "",
             plain ? VT_UID_EXPLICIT_LE : "");
    return scratch;
}

bool vt_row_value(const struct vt_row *row, const struct vt_key *key,
                  char scratch[VT_ROW_VALUE_ROOM], struct vt_bytes *out)
{
    const char *text;
    uint64_t count;

    if (vt_key_in_attributes(key)) {
        struct vt_attribute found;
        const struct vt_bytes *bytes = &row->attributes[key->level];
        if (!vt_attributes_find(bytes->data, bytes->size, key->tag, &found))
            return false;
        *out = (struct vt_bytes){ found.value, found.size };
        return true;
    }
    if (count_of(row, key->tag, &count)) {
        snprintf(scratch, VT_ROW_VALUE_ROOM, "%" PRIu64, count);
        text = scratch;
    } else if (key->tag == VT_TAG_AVAILABLE_TRANSFER_SYNTAX_UID && row->transfer_syntax) {
        text = available_syntaxes(row, scratch);
    } else {
        text = text_of(row, key->tag);
    }
    if (!text || !text[0])
        return false;
    *out = (struct vt_bytes){ (const uint8_t *)text, strlen(text) };
    return true;
}
