#include "archive/worklist_step_rules.h"

#include <stdio.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/match.h"
#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/tags.h"

enum {
    TAG_STATUS = 0x00400252,
    TAG_START_DATE = 0x00400244,
    TAG_START_TIME = 0x00400245,
    TAG_END_DATE = 0x00400250,
    TAG_END_TIME = 0x00400251,
};

static const char *const state_names[] = { "IN PROGRESS", "COMPLETED", "DISCONTINUED" };

const char *vt_step_state_name(enum vt_step_state state)
{
    return (size_t)state < VT_COUNT(state_names) ? state_names[state] : "";
}

void vt_step_say(struct vt_step_answer *out, uint16_t status, uint32_t tag, const char *comment)
{
    out->status = status;
    snprintf(out->comment, sizeof out->comment, "%s", comment);
    if (tag != 0 && out->offending_count < VT_STEP_OFFENDING_MAX)
        out->offending[out->offending_count++] = tag;
}

static bool first_item(const uint8_t *attributes, size_t size, uint32_t tag, struct vt_attributes *out)
{
    struct vt_attribute sequence;
    struct vt_attributes items;

    if (!vt_attributes_find(attributes, size, tag, &sequence))
        return false;
    vt_attributes_begin(&items, sequence.value, sequence.size);
    return vt_attributes_next_item(&items, out);
}

void vt_step_study(const uint8_t *attributes, size_t size, char out[static VT_UID_MAX + 1])
{
    struct vt_attributes item;

    out[0] = '\0';
    if (first_item(attributes, size, VT_STEP_TAG_SCHEDULED, &item))
        vt_attributes_text(item.at, (size_t)(item.end - item.at), VT_TAG_STUDY_INSTANCE_UID, out, VT_UID_MAX + 1);
}

/* ---- type 1 ---- */

static bool has_value(const uint8_t *attributes, size_t size, uint32_t tag, const char *name,
                      struct vt_step_answer *out)
{
    struct vt_attribute found;
    char comment[VT_STEP_COMMENT_MAX + 1];
    const char *text;
    size_t length;
    bool there = vt_attributes_find(attributes, size, tag, &found);

    if (there) {
        vt_attribute_trim(found.value, found.size, &text, &length);
        if (length > 0)
            return true;
    }
    snprintf(comment, sizeof comment, "%s is %s", name, there ? "empty" : "missing");
    vt_step_say(out, there ? VT_STEP_STATUS_MISSING_VALUE : VT_STEP_STATUS_MISSING_ATTRIBUTE, tag, comment);
    return false;
}

struct needed {
    uint32_t tag;
    const char *name;
};

static bool has_all(const uint8_t *attributes, size_t size, const struct needed *needed, size_t count,
                    struct vt_step_answer *out)
{
    for (size_t i = 0; i < count; i++)
        if (!has_value(attributes, size, needed[i].tag, needed[i].name, out))
            return false;
    return true;
}

/* Every item of a sequence with at least one. */
static bool items_have(const uint8_t *attributes, size_t size, uint32_t sequence_tag, const struct needed *needed,
                       struct vt_step_answer *out)
{
    struct vt_attribute sequence;
    struct vt_attributes items, item;

    if (!vt_attributes_find(attributes, size, sequence_tag, &sequence))
        return false;
    vt_attributes_begin(&items, sequence.value, sequence.size);
    while (vt_attributes_next_item(&items, &item))
        if (!has_value(item.at, (size_t)(item.end - item.at), needed->tag, needed->name, out))
            return false;
    return true;
}

static bool is_date(const uint8_t *attributes, size_t size, uint32_t tag, struct vt_step_answer *out)
{
    char text[64], date[VT_DATE_ROOM];

    vt_attributes_text(attributes, size, tag, text, sizeof text);
    if (!text[0] || vt_match_date(text, strlen(text), date))
        return true;
    vt_step_say(out, VT_STEP_STATUS_INVALID_VALUE, tag, "is no date");
    return false;
}

static bool is_time(const uint8_t *attributes, size_t size, uint32_t tag, struct vt_step_answer *out)
{
    char text[64], time[VT_TIME_ROOM];

    vt_attributes_text(attributes, size, tag, text, sizeof text);
    if (!text[0] || vt_match_time(text, strlen(text), false, time))
        return true;
    vt_step_say(out, VT_STEP_STATUS_INVALID_VALUE, tag, "is no time");
    return false;
}

bool vt_step_may_begin(const uint8_t *attributes, size_t size, struct vt_step_answer *out)
{
    static const struct needed needed[] = {
        { TAG_STATUS, "Performed Procedure Step Status" },
        { VT_STEP_TAG_SCHEDULED, "Scheduled Step Attributes Sequence" },
        { 0x00400253, "Performed Procedure Step ID" },
        { 0x00400241, "Performed Station AE Title" },
        { TAG_START_DATE, "Performed Procedure Step Start Date" },
        { TAG_START_TIME, "Performed Procedure Step Start Time" },
        { VT_TAG_MODALITY, "Modality" },
    };
    static const struct needed study = { VT_TAG_STUDY_INSTANCE_UID, "Study Instance UID" };
    char status[64];

    if (!has_all(attributes, size, needed, VT_COUNT(needed), out))
        return false;
    vt_attributes_text(attributes, size, TAG_STATUS, status, sizeof status);
    if (strcmp(status, state_names[VT_STEP_IN_PROGRESS]) != 0) {
        vt_step_say(out, VT_STEP_STATUS_INVALID_VALUE, TAG_STATUS, "a step begins IN PROGRESS");
        return false;
    }
    return items_have(attributes, size, VT_STEP_TAG_SCHEDULED, &study, out) &&
           is_date(attributes, size, TAG_START_DATE, out) && is_time(attributes, size, TAG_START_TIME, out);
}

/* ---- after an N-SET ---- */

static bool may_end(const uint8_t *attributes, size_t size, enum vt_step_state state, struct vt_step_answer *out)
{
    static const struct needed ended[] = {
        { TAG_END_DATE, "Performed Procedure Step End Date" },
        { TAG_END_TIME, "Performed Procedure Step End Time" },
    };
    static const struct needed series = { VT_STEP_TAG_SERIES, "Performed Series Sequence" };
    static const struct needed uid = { VT_TAG_SERIES_INSTANCE_UID, "Series Instance UID" };

    if (!has_all(attributes, size, ended, VT_COUNT(ended), out))
        return false;
    /* What was discontinued before its first image has no series. */
    return state == VT_STEP_DISCONTINUED ||
           (has_value(attributes, size, series.tag, series.name, out) &&
            items_have(attributes, size, VT_STEP_TAG_SERIES, &uid, out));
}

static void warn_of_end(const uint8_t *attributes, size_t size, struct vt_step_answer *out)
{
    char start[64], end[64];

    vt_attributes_text(attributes, size, TAG_START_DATE, start, sizeof start);
    vt_attributes_text(attributes, size, TAG_END_DATE, end, sizeof end);
    if (out->status == 0 && start[0] && end[0] && strcmp(end, start) < 0)
        vt_step_say(out, VT_STEP_STATUS_OUT_OF_RANGE, TAG_END_DATE, "it ends before it began");
}

bool vt_step_may_be(const uint8_t *attributes, size_t size, enum vt_step_state *out_state, struct vt_step_answer *out)
{
    char status[64];
    size_t state = 0;

    vt_attributes_text(attributes, size, TAG_STATUS, status, sizeof status);
    while (state < VT_COUNT(state_names) && strcmp(state_names[state], status) != 0)
        state++;
    if (state == VT_COUNT(state_names)) {
        vt_step_say(out, VT_STEP_STATUS_INVALID_VALUE, TAG_STATUS,
                    "the status is IN PROGRESS, COMPLETED or DISCONTINUED");
        return false;
    }
    if (!is_date(attributes, size, TAG_END_DATE, out) || !is_time(attributes, size, TAG_END_TIME, out) ||
        (state != VT_STEP_IN_PROGRESS && !may_end(attributes, size, (enum vt_step_state)state, out)))
        return false;
    warn_of_end(attributes, size, out);
    *out_state = (enum vt_step_state)state;
    return true;
}

/* Table F.7.2-1, "not allowed" for N-SET: who it is about, what was asked, how it began. */
static bool is_fixed(uint32_t tag)
{
    static const uint32_t tags[] = { 0x00081120, VT_TAG_MODALITY, VT_TAG_STUDY_ID,       VT_TAG_PATIENT_NAME,
                                     VT_TAG_PATIENT_ID, VT_TAG_PATIENT_BIRTH_DATE, VT_TAG_PATIENT_SEX,
                                     0x00400241, 0x00400242, 0x00400243, TAG_START_DATE, TAG_START_TIME,
                                     0x00400253, VT_STEP_TAG_SCHEDULED };

    for (size_t i = 0; i < VT_COUNT(tags); i++)
        if (tags[i] == tag)
            return true;
    return false;
}

bool vt_step_take_out_fixed(const uint8_t *attributes, size_t size, const struct vt_buf *earlier, struct vt_buf *out_allowed,
                            struct vt_step_answer *out, struct vt_err *err)
{
    struct vt_attributes walk;
    struct vt_attribute at, old;

    vt_attributes_begin(&walk, attributes, size);
    while (vt_attributes_next(&walk, &at)) {
        bool same = vt_attributes_find(earlier->data, earlier->size, at.tag, &old) && old.size == at.size &&
                    (at.size == 0 || memcmp(old.value, at.value, at.size) == 0);
        if (is_fixed(at.tag) && !same)
            vt_step_say(out, VT_STEP_STATUS_LIST_ERROR, at.tag, "what a step began with is not changed");
        else if (!vt_attributes_append(out_allowed, at.tag, at.vr, at.value, at.size, err))
            return false;
    }
    return true;
}
