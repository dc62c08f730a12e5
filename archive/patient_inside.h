/* archive/patient_inside.h: merges and corrections in memory, for archive/patient*.c only.
 *
 * An action says: who came as this identity (or: this study) gets these attributes. Active actions
 * are applied in the order in which they were decided, so a patient merged twice ends where the
 * second merge says. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/admin.h"
#include "archive/columns.h"
#include "core/buf.h"

struct vt_archive;
struct vt_err;

enum { VT_PATIENT_ACTIONS_MAX = 100000, VT_IDENTITY_ROOM = VT_COLUMN_TEXT };

struct vt_identity {
    char id[VT_IDENTITY_ROOM], issuer[VT_IDENTITY_ROOM];
};

struct vt_patient_action {
    int64_t number;                 /* in state.db */
    int64_t at;                     /* wall ns */
    char study_uid[VT_UID_MAX + 1]; /* "": all that came as `from` */
    struct vt_identity from;
    struct vt_identity to; /* after it */
    uint8_t *attributes;   /* what is set; empty elements empty it */
    size_t size;
    char reason[16]; /* CORRECT or COERCE (0400,0565) */
};

/* What the active actions make of an identity: the attributes to set (empty when none applies),
 * appended to `out`. */
struct vt_patient_patch {
    bool any;
    int64_t at; /* of the last action */
    char reason[16];
};
bool vt_patient_patch(struct vt_archive *archive, const char *study_uid,
                      const struct vt_identity *received, struct vt_buf *out,
                      struct vt_patient_patch *out_patch, struct vt_err *err);

/* Reads the active actions again. */
bool vt_patients_reload(struct vt_archive *archive, struct vt_err *err);

/* The identity in patient attributes. */
struct vt_identity vt_identity_of(const uint8_t *attributes, size_t size);
bool vt_identity_equal(const struct vt_identity *a, const struct vt_identity *b);
/* "ID" or "ID^^^ISSUER". */
bool vt_identity_parse(const char *text, struct vt_identity *out, struct vt_err *err);

/* Calls back with the attributes of each study (patient and study UID) of an identity, newest
 * first. A NULL issuer: any. */
bool vt_patient_studies(struct vt_archive *archive, const char *id, const char *issuer,
                        bool (*each)(void *context, const struct vt_row *row, struct vt_err *err),
                        void *context, struct vt_err *err);
/* The patient's row: its attributes appended. VT_E_NOTFOUND; VT_E_INVALID: the ID has several
 * issuers and none was said. */
bool vt_patient_find(struct vt_archive *archive, const char *text, struct vt_identity *out,
                     struct vt_buf *attributes, struct vt_err *err);

bool vt_patient_of_study(struct vt_archive *archive, const char *study_uid,
                         bool (*each)(void *context, const struct vt_row *row, struct vt_err *err),
                         void *context, struct vt_err *err);
/* What makes a patient another, of its attributes: present elements as they are, missing ones
 * empty. Appends. */
bool vt_patient_identity_attributes(const uint8_t *attributes, size_t size, struct vt_buf *out,
                                    struct vt_err *err);

/* patient_act.c: an action is written to state.db as pending, done to the index, made durable, and
 * then active. */
struct vt_patient_decision {
    const char *kind; /* "merge", "correct", "move" */
    const char *who, *why;
    const char *study_uid; /* "" unless "move" */
    struct vt_identity from, to;
    const uint8_t *attributes;
    size_t size;
};
bool vt_patient_act(struct vt_archive *archive, const struct vt_patient_decision *decision,
                    int64_t *out_id, struct vt_err *err);
