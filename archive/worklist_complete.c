/* An entry as it is kept: one scheduled step, checked, with what can be made of what is there. */
#include <stdio.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/match.h"
#include "archive/worklist_inside.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/tags.h"

bool vt_worklist_step(const uint8_t *attributes, size_t size, const uint8_t **out_item, size_t *out_size)
{
    struct vt_attribute sequence;
    struct vt_attributes items, item;

    if (!vt_attributes_find(attributes, size, TAG_STEP_SEQUENCE, &sequence))
        return false;
    vt_attributes_begin(&items, sequence.value, sequence.size);
    if (!vt_attributes_next_item(&items, &item))
        return false;
    *out_item = item.at;
    *out_size = (size_t)(item.end - item.at);
    return true;
}

static bool step_at(const uint8_t *attributes, size_t size, size_t n, struct vt_attributes *out)
{
    struct vt_attribute sequence;
    struct vt_attributes items;

    if (!vt_attributes_find(attributes, size, TAG_STEP_SEQUENCE, &sequence))
        return false;
    vt_attributes_begin(&items, sequence.value, sequence.size);
    for (size_t i = 0; vt_attributes_next_item(&items, out); i++)
        if (i == n)
            return true;
    return false;
}

size_t vt_worklist_steps(const uint8_t *attributes, size_t size)
{
    struct vt_attributes item;
    size_t count = 0;

    while (count <= VT_WORKLIST_STEPS_MAX && step_at(attributes, size, count, &item))
        count++;
    return count;
}

/* ---- checks ---- */

struct facts {
    char study_uid[VT_UID_MAX + 2], patient_id[VT_WORKLIST_TEXT], patient_name[VT_WORKLIST_TEXT];
    char accession[VT_WORKLIST_TEXT], procedure_id[VT_WORKLIST_TEXT];
    char step_id[VT_WORKLIST_TEXT], station[VT_WORKLIST_TEXT], modality[VT_WORKLIST_TEXT];
    char date[32], time[32];
};

static bool check_facts(const struct facts *facts, char start[static 24], struct vt_err *err)
{
    const struct {
        const char *value, *name;
    } needed[] = {
        { facts->patient_name, "PatientName" },
        { facts->patient_id, "PatientID" },
        { facts->modality, "Modality" },
        { facts->station, "ScheduledStationAETitle" },
        { facts->date, "ScheduledProcedureStepStartDate" },
    };
    char title[VT_AE_TITLE_MAX + 1], date[VT_DATE_ROOM], time[VT_TIME_ROOM] = "000000.000000";

    for (size_t i = 0; i < VT_COUNT(needed); i++)
        if (!needed[i].value[0])
            return vt_fail(err, VT_E_INVALID, "%s is missing", needed[i].name);
    if (!vt_ae_title_trim(facts->station, title))
        return vt_fail(err, VT_E_INVALID, "ScheduledStationAETitle '%.40s' is not an AE title", facts->station);
    if (facts->study_uid[0] && !vt_uid_usable(facts->study_uid))
        return vt_fail(err, VT_E_INVALID, "StudyInstanceUID '%.70s' is not a UID", facts->study_uid);
    if (!vt_match_date(facts->date, strlen(facts->date), date))
        return vt_fail(err, VT_E_INVALID, "ScheduledProcedureStepStartDate '%.20s' is not a date such as 20261122",
                       facts->date);
    if (facts->time[0] && !vt_match_time(facts->time, strlen(facts->time), false, time))
        return vt_fail(err, VT_E_INVALID, "ScheduledProcedureStepStartTime '%.20s' is not a time such as 1430",
                       facts->time);
    snprintf(start, 24, "%s%s", date, time);
    return true;
}

static void read_facts(const uint8_t *attributes, size_t size, const struct vt_attributes *step, struct facts *out)
{
    const size_t step_size = (size_t)(step->end - step->at);
    const struct {
        uint32_t tag;
        bool of_step;
        char *out;
        size_t room;
    } list[] = {
        { VT_TAG_STUDY_INSTANCE_UID, false, out->study_uid, sizeof out->study_uid },
        { VT_TAG_PATIENT_ID, false, out->patient_id, sizeof out->patient_id },
        { VT_TAG_PATIENT_NAME, false, out->patient_name, sizeof out->patient_name },
        { VT_TAG_ACCESSION_NUMBER, false, out->accession, sizeof out->accession },
        { TAG_REQUESTED_PROCEDURE_ID, false, out->procedure_id, sizeof out->procedure_id },
        { TAG_STEP_ID, true, out->step_id, sizeof out->step_id },
        { TAG_STATION_AE, true, out->station, sizeof out->station },
        { VT_TAG_MODALITY, true, out->modality, sizeof out->modality },
        { TAG_STEP_DATE, true, out->date, sizeof out->date },
        { TAG_STEP_TIME, true, out->time, sizeof out->time },
    };

    for (size_t i = 0; i < VT_COUNT(list); i++)
        if (list[i].of_step)
            vt_attributes_text(step->at, step_size, list[i].tag, list[i].out, list[i].room);
        else
            vt_attributes_text(attributes, size, list[i].tag, list[i].out, list[i].room);
}

/* ---- what was missing ---- */

/* The order names the study: without accession and procedure, patient and day do. */
static void make_study_uid(struct facts *facts)
{
    char name[4 * VT_WORKLIST_TEXT];
    bool order = facts->accession[0] || facts->procedure_id[0];

    if (facts->study_uid[0])
        return;
    snprintf(name, sizeof name, "worklist|%s|%s|%s|%s", facts->patient_id, facts->accession, facts->procedure_id,
             order ? "" : facts->date);
    vt_uid_derive(name, facts->study_uid);
}

/* SH: at most 16 characters. */
static void make_ids(struct facts *facts)
{
    const char *number = facts->study_uid + strlen(facts->study_uid);
    size_t digits = strlen(facts->study_uid) < 12 ? strlen(facts->study_uid) : 12;

    if (!facts->procedure_id[0] && facts->accession[0])
        snprintf(facts->procedure_id, sizeof facts->procedure_id, "%.16s", facts->accession);
    else if (!facts->procedure_id[0])
        snprintf(facts->procedure_id, sizeof facts->procedure_id, "RP%s", number - digits);
    if (!facts->step_id[0])
        snprintf(facts->step_id, sizeof facts->step_id, "%.16s", facts->procedure_id);
}

static bool append_text(struct vt_buf *out, uint32_t tag, const char *vr, const char *text, struct vt_err *err)
{
    return vt_attributes_append(out, tag, vr, text, strlen(text), err);
}

/* The step alone, with its identifier and time. */
static bool append_step(const struct vt_attributes *step, const struct facts *facts, struct vt_buf *out,
                        struct vt_err *err)
{
    VT_AUTO_BUF(made, VT_WORKLIST_BYTES_MAX);
    size_t sequence, item;

    if (!append_text(&made, TAG_STEP_TIME, "TM", facts->time[0] ? facts->time : "000000", err) ||
        !append_text(&made, TAG_STEP_ID, "SH", facts->step_id, err) ||
        !vt_attributes_sequence_begin(out, TAG_STEP_SEQUENCE, &sequence, err) ||
        !vt_attributes_item_begin(out, &item, err) ||
        !vt_attributes_merge(made.data, made.size, step->at, (size_t)(step->end - step->at), out, err))
        return false;
    vt_attributes_close(out, item);
    vt_attributes_close(out, sequence);
    return true;
}

bool vt_worklist_complete(const uint8_t *attributes, size_t size, size_t n, struct vt_buf *out,
                          struct vt_worklist_keys *keys, struct vt_err *err)
{
    VT_AUTO_BUF(made, VT_WORKLIST_BYTES_MAX);
    struct facts facts = { .study_uid = "" };
    struct vt_attributes step;

    if (!step_at(attributes, size, n, &step))
        return vt_fail(err, VT_E_INVALID, "ScheduledProcedureStepSequence is missing");
    read_facts(attributes, size, &step, &facts);
    if (!check_facts(&facts, keys->start, err))
        return false;
    make_study_uid(&facts);
    make_ids(&facts);
    if (!append_text(&made, VT_TAG_STUDY_INSTANCE_UID, "UI", facts.study_uid, err) ||
        !append_step(&step, &facts, &made, err) ||
        !append_text(&made, TAG_REQUESTED_PROCEDURE_ID, "SH", facts.procedure_id, err) ||
        !vt_attributes_merge(made.data, made.size, attributes, size, out, err))
        return false;
    snprintf(keys->study_uid, sizeof keys->study_uid, "%.64s", facts.study_uid);
    snprintf(keys->step_id, sizeof keys->step_id, "%s", facts.step_id);
    return true;
}
