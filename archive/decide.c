#include "archive/decide.h"

#include <stdio.h>
#include <string.h>

#include "archive/inside.h"
#include "core/err.h"
#include "dicom/element.h"

enum { PATIENT_TEXT_MAX = 512 };

static bool same_digest(const struct vt_digest *a, const struct vt_digest *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The same pixels have as many encodings as there are encoders, within one syntax too; what a lossy
 * one makes of them are others. */
static bool may_show_the_same(const char *transfer_syntax)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(transfer_syntax);

    return syntax && syntax->encapsulated && syntax->lossless;
}

enum vt_duplicate vt_duplicate_judge(const struct vt_index_entry *there,
                                     const struct vt_instance *arrival)
{
    if (!there)
        return VT_DUPLICATE_NONE;
    if (strcmp(there->sop_class, arrival->sop_class) != 0)
        return VT_DUPLICATE_OTHER_CLASS;
    if (strcmp(there->study_uid, arrival->study_uid) != 0 ||
        strcmp(there->series_uid, arrival->series_uid) != 0)
        return VT_DUPLICATE_OTHER_PLACE;
    bool same_syntax = strcmp(there->transfer_syntax, arrival->transfer_syntax) == 0;
    if (same_syntax && there->data_set_size == arrival->data_set_size &&
        same_digest(&there->data_set_digest, &arrival->data_set_digest))
        return VT_DUPLICATE_IDENTICAL;
    if (there->has_pixels != arrival->has_pixels)
        return VT_DUPLICATE_OTHER_PIXELS;
    if (!same_syntax)
        return VT_DUPLICATE_OTHER_ENCODING;
    if (!there->has_pixels || (there->pixel_length == arrival->pixel_length &&
                               same_digest(&there->pixel_digest, &arrival->pixel_digest)))
        return VT_DUPLICATE_SAME_PIXELS;
    return may_show_the_same(there->transfer_syntax) ? VT_DUPLICATE_OTHER_ENCODING
                                                     : VT_DUPLICATE_OTHER_PIXELS;
}

/* One row for each kind; how the configured policy decides. Bytes are never replaced: last_wins
 * serves the new and keeps the old as a version all the same. */
static struct vt_verdict by_policy(enum vt_policy policy, const char *comment)
{
    switch (policy) {
    case VT_POLICY_FIRST_WINS:
        return (struct vt_verdict){ VT_DECISION_REFUSED, 0xC010, comment };
    case VT_POLICY_QUARANTINE:
        return (struct vt_verdict){ VT_DECISION_QUARANTINED, 0xC010, comment };
    default:
        return (struct vt_verdict){ VT_DECISION_VERSION, 0, "" };
    }
}

struct vt_verdict vt_duplicate_verdict(enum vt_duplicate kind,
                                       const struct vt_archive_options *options)
{
    switch (kind) {
    case VT_DUPLICATE_OTHER_CLASS:
        return (struct vt_verdict){ VT_DECISION_REFUSED, 0xA902,
                                    "instance is stored under another SOP class" };
    case VT_DUPLICATE_OTHER_PLACE:
        return (struct vt_verdict){ VT_DECISION_QUARANTINED, 0xC011,
                                    "instance is stored in another series or study" };
    case VT_DUPLICATE_IDENTICAL:
        return (struct vt_verdict){ VT_DECISION_DUPLICATE, 0, "" };
    case VT_DUPLICATE_SAME_PIXELS:
        return by_policy(options->changed_attributes ? options->changed_attributes
                                                     : VT_POLICY_VERSION,
                         "instance is stored with other attributes");
    case VT_DUPLICATE_OTHER_ENCODING:
    case VT_DUPLICATE_OTHER_PIXELS:
        return by_policy(options->changed_pixels ? options->changed_pixels : VT_POLICY_QUARANTINE,
                         "instance is stored with other pixel data");
    default:
        return (struct vt_verdict){ VT_DECISION_STORED, 0, "" };
    }
}

/* ---- patients ---- */

static void text_of(const uint8_t *bytes, size_t size, uint32_t tag, char *out, size_t room)
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_element_find(bytes, size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, room);
}

static bool same_text(const struct vt_row *row, const struct vt_instance *arrival, uint32_t tag)
{
    const struct vt_bytes *there = &row->attributes[VT_LEVEL_PATIENT];
    const struct vt_buf *here = &arrival->attributes[VT_LEVEL_PATIENT];
    char a[PATIENT_TEXT_MAX], b[PATIENT_TEXT_MAX];

    text_of(there->data, there->size, tag, a, sizeof a);
    text_of(here->data, here->size, tag, b, sizeof b);
    return strcmp(a, b) == 0;
}

bool vt_decide_other_patient(struct vt_archive *archive, const struct vt_instance *arrival,
                             bool *out_other, struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    char word[sizeof "StudyInstanceUID=" + VT_UID_MAX];
    const char *words[] = { word, "PatientID", "IssuerOfPatientID" };
    struct vt_row row;
    bool more = false;

    snprintf(word, sizeof word, "StudyInstanceUID=%s", arrival->study_uid);
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, VT_COUNT(words), &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor)
    cursor = plan ? vt_index_find(atomic_load(&archive->index), plan, err) : NULL;
    if (!cursor || !vt_cursor_next(cursor, &row, &more, err))
        return false;
    *out_other = more && !(same_text(&row, arrival, VT_TAG_PATIENT_ID) &&
                           same_text(&row, arrival, VT_TAG_ISSUER_OF_PATIENT_ID));
    return true;
}
