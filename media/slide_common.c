/* The modules that every instance of a slide has: patient, study, series, equipment. */
#include <stdio.h>
#include <string.h>

#include "core/auto.h"
#include "media/slide_dataset.h"

static void put_zone(struct vt_slide_put *put, const struct vt_slide *slide)
{
    const char *acquired = slide->facts.acquired;

    if (strlen(acquired) == 19)
        vt_put_text(put, 0x00080201, "SH", acquired + 14);
}

void vt_slide_put_0008(struct vt_slide_put *put, const struct vt_slide *slide,
                       const struct vt_slide_plan *plan, const struct vt_slide_common *common)
{
    const struct vt_slide_metadata *metadata = &plan->metadata;
    const struct vt_slide_facts *facts = &slide->facts;
    char moment[27];

    snprintf(moment, sizeof moment, "%s%s", plan->date, plan->time);
    vt_put_text(put, 0x00080016, "UI", common->sop_class);
    vt_put_text(put, 0x00080018, "UI", common->sop_uid);
    if (common->pyramid_uid)
        vt_put_text(put, 0x00080019, "UI", common->pyramid_uid);
    vt_put_text(put, 0x00080020, "DA", metadata->study_date);
    vt_put_text(put, 0x00080021, "DA", plan->date);
    vt_put_text(put, 0x00080023, "DA", plan->date);
    vt_put_text(put, 0x0008002A, "DT", facts->acquired[0] ? facts->acquired : moment);
    vt_put_text(put, 0x00080030, "TM", metadata->study_time);
    vt_put_text(put, 0x00080031, "TM", plan->time);
    vt_put_text(put, 0x00080033, "TM", plan->time);
    vt_put_text(put, 0x00080050, "SH", metadata->accession_number);
    vt_put_text(put, 0x00080060, "CS", common->modality);
    vt_put_text(put, 0x00080070, "LO", facts->manufacturer[0] ? facts->manufacturer : "unknown");
    vt_put_text_if(put, 0x00080080, "LO", metadata->institution_name);
    vt_put_text(put, 0x00080090, "PN", metadata->referring_physician_name);
    put_zone(put, slide);
    vt_put_text_if(put, 0x00081030, "LO", metadata->study_description);
    vt_put_text_if(put, 0x0008103E, "LO",
                   metadata->series_description[0] ? metadata->series_description
                                                   : common->series_description);
    vt_put_text(put, 0x00081090, "LO", facts->model[0] ? facts->model : "unknown");
}

void vt_slide_put_0010(struct vt_slide_put *put, const struct vt_slide_plan *plan)
{
    const struct vt_slide_metadata *metadata = &plan->metadata;

    vt_put_text(put, VT_TAG_PATIENT_NAME, "PN", metadata->patient_name);
    vt_put_text(put, VT_TAG_PATIENT_ID, "LO", metadata->patient_id);
    vt_put_text_if(put, VT_TAG_ISSUER_OF_PATIENT_ID, "LO", metadata->issuer_of_patient_id);
    vt_put_text(put, VT_TAG_PATIENT_BIRTH_DATE, "DA", metadata->patient_birth_date);
    vt_put_text(put, VT_TAG_PATIENT_SEX, "CS", metadata->patient_sex);
}

/* Longer texts than an LO may hold are cut at a character. */
static void put_short(struct vt_slide_put *put, uint32_t tag, const char *text)
{
    size_t length = strlen(text) < 64 ? strlen(text) : 64;

    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    vt_put_bytes(put, tag, "LO", text, length);
}

void vt_slide_put_0018(struct vt_slide_put *put, const struct vt_slide *slide, const char *what)
{
    const struct vt_slide_facts *facts = &slide->facts;

    put_short(put, 0x00181000, facts->serial[0] ? facts->serial : "unknown");
    put_short(put, 0x00181020, facts->software[0] ? facts->software : "unknown");
    vt_put_begin(put, 0x0018A001);
    vt_put_text(put, 0x00080070, "LO", "Vitrine");
    vt_put_text(put, 0x00081090, "LO", "Vitrine");
    vt_put_text(put, 0x00181020, "LO", VT_VERSION);
    vt_put_text(put, 0x0018A003, "ST", what);
    vt_put_code(put, 0x0040A170, "109103", "DCM", "Modifying Equipment");
    vt_put_end(put);
}

void vt_slide_put_0020(struct vt_slide_put *put, const struct vt_slide_plan *plan,
                       const struct vt_slide_common *common)
{
    char number[16];

    vt_put_text(put, VT_TAG_STUDY_INSTANCE_UID, "UI", plan->study_uid);
    vt_put_text(put, VT_TAG_SERIES_INSTANCE_UID, "UI", common->series_uid);
    vt_put_text(put, VT_TAG_STUDY_ID, "SH", plan->metadata.study_id);
    snprintf(number, sizeof number, "%d", common->series_number);
    vt_put_text(put, VT_TAG_SERIES_NUMBER, "IS", number);
    snprintf(number, sizeof number, "%d", common->instance_number);
    vt_put_text(put, VT_TAG_INSTANCE_NUMBER, "IS", number);
    if (common->pyramid_uid)
        vt_put_text(put, 0x00200027, "LO", "Slide");
}
