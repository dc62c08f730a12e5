/* archive/patient.h: merges and corrections of patients, and the conflicts that arrivals make
 * (reference 4.5).
 *
 * Files keep what arrived. state.db maps an identity as received (Patient ID + issuer) to the one
 * an administrator decided on; the index carries the new one, and the way out (vt_archive_outgoing)
 * writes it. All of it is logged and can be undone. Called by the receiving path, by replay and by
 * reindex, so that all three make the same rows. */
#pragma once

#include <stdbool.h>

#include "archive/instance.h"

struct vt_err;
struct vt_archive;

/* Puts the decided identity into the instance's patient attributes. Call it after vt_instance_read
 * and before the instance goes to the journal or to vt_index_put; quick when nothing was ever
 * merged. Any thread. */
bool vt_patient_apply(struct vt_archive *archive, struct vt_instance *instance, struct vt_err *err);

/* Notes what vt_index_put found (VT_PUT_PATIENT_CONFLICT, VT_PUT_PATIENT_MISMATCH), once for each
 * pair: for vt_admin_conflict_list. Durable when it returns: call it before the index transaction ends. */
bool vt_patient_note_conflict(struct vt_archive *archive, const struct vt_instance *instance,
                              unsigned put_flags, struct vt_err *err);

/* Does a merge or correction apply to what this study carries? For vt_stored.corrected. */
bool vt_patient_corrected(struct vt_archive *archive, const char *study_uid, bool *out_corrected,
                          struct vt_err *err);

/* At opening, after replay: does again what a crash interrupted. */
bool vt_patients_recover(struct vt_archive *archive, struct vt_err *err);
/* With the archive. */
struct vt_patients;
void vt_patients_free(struct vt_patients *patients);
