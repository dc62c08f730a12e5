/* media/deidentify.h: data sets without who it was: the Basic Application Level Confidentiality Profile of PS3.15 Annex E and its options, as
 * bytes to bytes. Only the elements before pixel data are looked at; the pixel data follows as it is, what stands behind it is left out.
 *
 * One vt_deid for one export: replaced UIDs, pseudonyms and shifts of dates are the same for the same original within it, and
 * cannot be told from another export (a secret of its own). It is stricter than the table where that costs nothing: attributes that our
 * dictionary does not know, names, dates and UIDs that the table does not list are replaced or left out as well. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/uids.h"

struct vt_buf;
struct vt_deid;
struct vt_err;

enum vt_deid_option {
    VT_DEID_RETAIN_UIDS = 1 << 0,
    VT_DEID_RETAIN_DATES = 1 << 1,
    VT_DEID_MODIFY_DATES = 1 << 2,        /* all dates of a patient moved back by the same number of days */
    VT_DEID_RETAIN_DEVICE = 1 << 3,
    VT_DEID_RETAIN_INSTITUTION = 1 << 4,
    VT_DEID_RETAIN_PATIENT = 1 << 5,      /* sex, age, size, weight ... */
    VT_DEID_RETAIN_PRIVATE = 1 << 6,      /* what PS3.15 or the data set itself calls safe */
    VT_DEID_CLEAN_DESCRIPTORS = 1 << 7,   /* descriptions stay, without words that stand in what is removed */
    VT_DEID_BURNED_IN = 1 << 8,           /* instances with text burned into the pixels go out all the same */
    VT_DEID_CLEAN_GRAPHICS = 1 << 9,      /* the same for the texts of graphic annotations; overlays and curves go */
    VT_DEID_CLEAN_CONTENT = 1 << 10,      /* the same for the text of structured content */
};

enum { VT_DEID_HEADER_MAX = 64 << 20, VT_DEID_PROFILE_MAX = 256 };

struct vt_deid_words {
    const char *profile;        /* "basic,retain-dates" */
    const char *patient_name;   /* NULL: a pseudonym. Given ones stand for one patient only */
    const char *patient_id;
    const char *secret;         /* NULL: made up */
};

/* VT_E_INVALID names the word that is wrong. */
struct vt_deid *vt_deid_new(const struct vt_deid_words *words, struct vt_err *err);
void vt_deid_free(struct vt_deid *deid);
VT_DEFINE_AUTO(vt_deid)

/* May it go out? false: `out_why` says why not, NULL when it is left out silently by rule (a slide's label). `out_warning` is
 * set when it may, and somebody should look at it; both static. */
bool vt_deid_allows(const struct vt_deid *deid, const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                    const char **out_why, const char **out_warning);
/* The elements before pixel data, in and (appended, Explicit VR Little Endian) out. VT_E_EXISTS: another patient than the one that
 * patient_name and patient_id were given for. */
bool vt_deid_run(struct vt_deid *deid, const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_buf *out,
                 struct vt_err *err);
/* What becomes of an instance's UID. */
void vt_deid_uid(const struct vt_deid *deid, const char *uid, char out[static VT_UID_MAX + 1]);
/* The i-th word that a profile may have; NULL behind the last. */
const char *vt_deid_word_at(size_t i);
