/* media/slide_metadata.h: what a slide file does not know and the instances need: patient, accession, specimen. From a JSON object,
 * a line of a CSV table, or KEY=VALUE words; keys are DICOM keywords. UTF-8. Everything is checked against its VR when it
 * comes in, so that what is written is right. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct vt_err;

enum { VT_METADATA_FILE_MAX = 16 << 20, VT_METADATA_TEXT = 256 };

struct vt_slide_metadata {
    char patient_id[VT_METADATA_TEXT], issuer_of_patient_id[VT_METADATA_TEXT];
    char patient_name[VT_METADATA_TEXT], patient_birth_date[VT_METADATA_TEXT];
    char patient_sex[VT_METADATA_TEXT];
    char accession_number[VT_METADATA_TEXT];
    char study_instance_uid[VT_METADATA_TEXT], study_id[VT_METADATA_TEXT];
    char study_date[VT_METADATA_TEXT], study_time[VT_METADATA_TEXT];
    char study_description[VT_METADATA_TEXT], series_description[VT_METADATA_TEXT];
    char referring_physician_name[VT_METADATA_TEXT], institution_name[VT_METADATA_TEXT];
    char container_identifier[VT_METADATA_TEXT];
    char specimen_identifier[VT_METADATA_TEXT], specimen_short_description[VT_METADATA_TEXT];
    char label_text[VT_METADATA_TEXT], barcode_value[VT_METADATA_TEXT];
};

/* "PatientID", "4711". VT_E_INVALID: no such key, or a value that its VR does not allow. */
bool vt_slide_metadata_set(struct vt_slide_metadata *metadata, const char *key, const char *value,
                           struct vt_err *err);
/* A file whose first character but blanks is '{' is JSON: {"PatientID":"4711", ...}. Else CSV: the first line names the columns,
 * one of them `file` or `barcode`; the line whose file is the slide's name (with or without suffix) or whose barcode is the slide's is
 * taken. VT_E_NOTFOUND: no line is this slide's. */
bool vt_slide_metadata_read(struct vt_slide_metadata *metadata, const char *path, const char *slide_name,
                            const char *barcode, struct vt_err *err);
