#include "archive/study_patient.h"

#include <stdio.h>

#include "archive/archive.h"
#include "core/auto.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"

static void copy(const struct vt_bytes *attributes, uint32_t tag, char *out, size_t room)
{
    struct vt_element element;

    if (vt_element_find(attributes->data, attributes->size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, room);
}

void vt_study_patient(struct vt_archive *archive, const char *study_uid,
                      struct vt_study_patient *out)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    char key[VT_UID_MAX + 32];
    const char *words[] = { key, "PatientID", "PatientName" };
    struct vt_err ignored = { 0 };
    struct vt_row row;
    bool more = false;

    *out = (struct vt_study_patient){ .id = "" };
    snprintf(key, sizeof key, "StudyInstanceUID=%s", study_uid);
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, VT_COUNT(words), &rules, &ignored);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, &ignored) : NULL;
    VT_AUTO(vt_cursor)
    cursor = plan ? vt_index_find(vt_archive_index(archive), plan, &ignored) : NULL;
    if (!cursor || !vt_cursor_next(cursor, &row, &more, &ignored) || !more)
        return;
    copy(&row.attributes[VT_LEVEL_PATIENT], VT_TAG_PATIENT_ID, out->id, sizeof out->id);
    copy(&row.attributes[VT_LEVEL_PATIENT], VT_TAG_PATIENT_NAME, out->name, sizeof out->name);
}
