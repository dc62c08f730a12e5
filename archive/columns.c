#include "archive/columns.h"

#include <math.h>
#include <string.h>

#include "archive/attributes.h"
#include "core/err.h"
#include "dicom/tags.h"

static void text_of(const uint8_t *bytes, size_t size, uint32_t tag, char *out, size_t room)
{
    vt_attributes_text(bytes, size, tag, out, room);
}

static bool name_of(const uint8_t *bytes, size_t size, uint32_t tag, char *out, size_t room,
                    struct vt_err *err)
{
    char text[VT_COLUMN_NAME];

    vt_attributes_text(bytes, size, tag, text, sizeof text);
    out[0] = '\0';
    if (!text[0])
        return true;
    VT_AUTO_BUF(folded, 8 * VT_COLUMN_NAME);
    if (!vt_match_fold(text, strlen(text), false, &folded, err))
        return false;
    size_t kept = vt_utf8_cut((const char *)folded.data, folded.size, room - 1);
    memcpy(out, folded.data, kept);
    out[kept] = '\0';
    return true;
}

static void date_of(const uint8_t *bytes, size_t size, uint32_t tag, char out[VT_DATE_ROOM])
{
    char text[32];

    vt_attributes_text(bytes, size, tag, text, sizeof text);
    if (!vt_match_date(text, strlen(text), out))
        out[0] = '\0';
}

static bool integer_of(const uint8_t *bytes, size_t size, uint32_t tag, int64_t *out)
{
    char text[32];
    double value;

    vt_attributes_text(bytes, size, tag, text, sizeof text);
    if (!vt_match_number(text, strlen(text), &value) || fabs(value) > 1e15 || value != floor(value))
        return false;
    *out = (int64_t)value;
    return true;
}

bool vt_columns_patient(const uint8_t *attributes, size_t size, struct vt_patient_columns *out,
                        struct vt_err *err)
{
    text_of(attributes, size, VT_TAG_PATIENT_ID, out->id, sizeof out->id);
    text_of(attributes, size, VT_TAG_ISSUER_OF_PATIENT_ID, out->issuer, sizeof out->issuer);
    text_of(attributes, size, VT_TAG_PATIENT_SEX, out->sex, sizeof out->sex);
    date_of(attributes, size, VT_TAG_PATIENT_BIRTH_DATE, out->birth_date);
    return name_of(attributes, size, VT_TAG_PATIENT_NAME, out->name, sizeof out->name, err);
}

bool vt_columns_study(const uint8_t *attributes, size_t size, struct vt_study_columns *out,
                      struct vt_err *err)
{
    char clock[64];

    date_of(attributes, size, VT_TAG_STUDY_DATE, out->date);
    vt_attributes_text(attributes, size, VT_TAG_STUDY_TIME, clock, sizeof clock);
    if (!vt_match_time(clock, strlen(clock), false, out->time))
        out->time[0] = '\0';
    text_of(attributes, size, VT_TAG_ACCESSION_NUMBER, out->accession, sizeof out->accession);
    text_of(attributes, size, VT_TAG_STUDY_ID, out->study_id, sizeof out->study_id);
    text_of(attributes, size, VT_TAG_STUDY_DESCRIPTION, out->description, sizeof out->description);
    return name_of(attributes, size, VT_TAG_REFERRING_PHYSICIAN_NAME, out->referring,
                   sizeof out->referring, err);
}

void vt_columns_series(const uint8_t *attributes, size_t size, struct vt_series_columns *out)
{
    text_of(attributes, size, VT_TAG_MODALITY, out->modality, sizeof out->modality);
    out->has_number = integer_of(attributes, size, VT_TAG_SERIES_NUMBER, &out->number);
}

bool vt_columns_instance_number(const uint8_t *attributes, size_t size, int64_t *out_number)
{
    return integer_of(attributes, size, VT_TAG_INSTANCE_NUMBER, out_number);
}

static bool has_group(const struct vt_name_groups *groups, const char *text, size_t size)
{
    for (size_t i = 0; i < groups->count; i++)
        if (groups->size[i] == size && memcmp(groups->text[i], text, size) == 0)
            return true;
    return false;
}

struct vt_name_groups vt_columns_name_groups(const char *name)
{
    struct vt_name_groups groups = { .count = 0 };

    for (int i = 0; i < VT_NAME_GROUPS && *name; i++) {
        size_t whole = strcspn(name, "="), size = whole;
        while (size > 0 && (name[size - 1] == ' ' || name[size - 1] == '^'))
            size--;
        if (size > 0 && !has_group(&groups, name, size)) {
            groups.text[groups.count] = name;
            groups.size[groups.count++] = size;
        }
        name += whole + (name[whole] == '=');
    }
    return groups;
}

bool vt_columns_list_add(char *list, size_t room, const char *value)
{
    size_t size = strlen(value), used = strlen(list);
    char *at = list;

    if (size == 0)
        return false;
    while (*at) {
        size_t length = strcspn(at, "\\");
        size_t common = length < size ? length : size;
        int order = memcmp(at, value, common);
        if (order == 0 && length == size)
            return false;
        if (order > 0 || (order == 0 && length > size))
            break;
        at += length + (at[length] == '\\');
    }
    if (used + size + 2 > room)
        return false;
    bool last = *at == '\0';
    if (last && used > 0)
        *at++ = '\\';
    if (!last)
        memmove(at + size + 1, at, (size_t)(list + used - at) + 1);
    memcpy(at, value, size);
    at[size] = last ? '\0' : '\\';
    return true;
}
