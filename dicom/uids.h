/* dicom/uids.h: UIDs, transfer syntaxes and SOP classes (PS3.5 9, PS3.6 A). Constant tables, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { VT_UID_MAX = 64, VT_AE_TITLE_MAX = 16 };

#define VT_UID_APPLICATION_CONTEXT "1.2.840.10008.3.1.1.1"
#define VT_UID_VERIFICATION "1.2.840.10008.1.1"
#define VT_UID_IMPLICIT_LE "1.2.840.10008.1.2"
#define VT_UID_EXPLICIT_LE "1.2.840.10008.1.2.1"
#define VT_UID_DEFLATED_LE "1.2.840.10008.1.2.1.99"
#define VT_UID_EXPLICIT_BE "1.2.840.10008.1.2.2"
#define VT_UID_STORAGE_COMMITMENT "1.2.840.10008.1.20.1"
#define VT_UID_STORAGE_COMMITMENT_INSTANCE "1.2.840.10008.1.20.1.1"
#define VT_UID_WORKLIST "1.2.840.10008.5.1.4.31"
#define VT_UID_MPPS "1.2.840.10008.3.1.2.3.3"
#define VT_UID_WHOLE_SLIDE "1.2.840.10008.5.1.4.1.1.77.1.6"
#define VT_UID_CT_IMAGE "1.2.840.10008.5.1.4.1.1.2"
/* Ours, PS3.7 D.3.3.2: derived from a UUID (2.25). */
#define VT_UID_IMPLEMENTATION "2.25.277441539158206338425127263486417353541"
#define VT_IMPLEMENTATION_VERSION "VITRINE_" VT_VERSION

enum vt_encoding { VT_IMPLICIT_LE, VT_EXPLICIT_LE, VT_EXPLICIT_BE, VT_DEFLATED_LE };

struct vt_transfer_syntax {
    const char *uid;
    const char *name;             /* "JPEG 2000 Lossless Only" */
    enum vt_encoding encoding;    /* of the data set */
    bool encapsulated;            /* pixel data in fragments */
    bool lossless;                /* cannot have lost anything: uncompressed or a lossless-only process */
    bool video;
};

/* NULL: not one of the public syntaxes we know. */
const struct vt_transfer_syntax *vt_transfer_syntax_find(const char *uid);
/* The i-th; NULL behind the last. */
const struct vt_transfer_syntax *vt_transfer_syntax_at(size_t i);

/* One that the configuration tells of. */
struct vt_private_syntax {
    const char *uid;
    enum vt_encoding encoding;
    bool encapsulated;
};

enum vt_sop_kind {
    VT_SOP_UNKNOWN,
    VT_SOP_VERIFICATION,
    VT_SOP_STORAGE,
    VT_SOP_FIND,
    VT_SOP_MOVE,
    VT_SOP_GET,
    VT_SOP_OTHER,     /* print, protocols ...: never a storage class */
    VT_SOP_COMMITMENT,
    VT_SOP_WORKLIST,
    VT_SOP_MPPS,
};

enum vt_model { VT_MODEL_NONE, VT_MODEL_PATIENT_ROOT, VT_MODEL_STUDY_ROOT, VT_MODEL_PATIENT_STUDY_ONLY,
                VT_MODEL_COMPOSITE_ROOT /* instances and frames by UID (PS3.4 Annex Y) */ };

struct vt_sop_class {
    const char *uid;
    const char *name;          /* "CT Image Storage" */
    enum vt_sop_kind kind;
    enum vt_model model;       /* of FIND, MOVE, GET */
};

const struct vt_sop_class *vt_sop_class_find(const char *uid);   /* NULL: unknown */
const struct vt_sop_class *vt_sop_class_at(size_t i);            /* NULL behind the last */
const char *vt_sop_class_of_model(enum vt_sop_kind kind, enum vt_model model);

/* 1 to 64 digits and dots, no empty component, no leading zero (PS3.5 9.1). */
bool vt_uid_valid(const char *uid);
/* Digits and dots only, 1 to 64, anything else about them may be wrong: what the wild really sends. */
bool vt_uid_usable(const char *uid);
/* A fresh one under 2.25 (PS3.5 B.2). */
void vt_uid_new(char *out);   /* room for VT_UID_MAX + 1 */
/* Always the same one for the same words, for objects that are made again from the same source. */
void vt_uid_derive(const char *name, char *out);

/* VR AE: 1 to 16 printable characters, no backslash, outer spaces dropped. out has room for 17. */
bool vt_ae_title_trim(const char *text, char *out);

#ifdef __cplusplus
}
#endif
