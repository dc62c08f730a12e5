/* archive/study_patient.h: whose study it is, for the audit trail. Any thread. */
#pragma once

#include "dicom/uids.h"

struct vt_archive;

struct vt_study_patient {
    char id[VT_UID_MAX * 2];
    char name[512]; /* UTF-8 */
};

/* As the index says; what cannot be found stays empty. */
void vt_study_patient(struct vt_archive *archive, const char *study_uid, struct vt_study_patient *out);
