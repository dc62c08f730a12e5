#include "archive/decide.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "archive/inside.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"

enum { COMPARE_BLOCK = 256 << 10, COMPARE_VALUES_MAX = 8 << 20, PATIENT_TEXT_MAX = 512 };

static bool same_digest(const struct vt_digest *a, const struct vt_digest *b)
{
    return memcmp(a, b, sizeof *a) == 0;
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
    if (!same_syntax && there->has_pixels)
        return VT_DUPLICATE_OTHER_SYNTAX;
    if (!there->has_pixels || (there->pixel_length == arrival->pixel_length &&
                               same_digest(&there->pixel_digest, &arrival->pixel_digest)))
        return VT_DUPLICATE_SAME_PIXELS;
    return VT_DUPLICATE_OTHER_PIXELS;
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
    case VT_DUPLICATE_OTHER_SYNTAX:
    case VT_DUPLICATE_OTHER_PIXELS:
        return by_policy(options->changed_pixels ? options->changed_pixels : VT_POLICY_QUARANTINE,
                         "instance is stored with other pixel data");
    default:
        return (struct vt_verdict){ VT_DECISION_STORED, 0, "" };
    }
}

/* ---- attributes of two encodings ---- */

/* Describes the pixels' encoding, or is derived from it. */
static bool is_of_encoding(uint32_t tag)
{
    static const uint32_t tags[] = {
        VT_TAG_SPECIFIC_CHARACTER_SET, VT_TAG_PHOTOMETRIC_INTERPRETATION,
        VT_TAG(0x0028, 0x0006), /* Planar Configuration */
        VT_TAG(0x0028, 0x2110), /* Lossy Image Compression ... */
        VT_TAG(0x0028, 0x2112),        VT_TAG(0x0028, 0x2114),
    };

    if (VT_TAG_ELEMENT(tag) == 0)
        return true; /* group length */
    for (size_t i = 0; i < VT_COUNT(tags); i++)
        if (tags[i] == tag)
            return true;
    return false;
}

/* The kept elements in Implicit VR LE, where explicit VRs of private elements do not show. */
static bool canonical(const struct vt_header *header, struct vt_buf *out, struct vt_err *err)
{
    struct vt_writer writer = { out, VT_IMPLICIT_LE };
    struct vt_element element;

    for (size_t i = 0; vt_header_at(header, i, &element); i++)
        if (!is_of_encoding(element.tag) &&
            !vt_write_element(&writer, &element, vt_header_encoding(header), err))
            return false;
    return true;
}

static bool feed_file(int fd, const char *file, uint64_t offset, struct vt_header *header,
                      struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(COMPARE_BLOCK);
    ssize_t got = 0;

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to read %s", file);
    while ((got = pread(fd, block, COMPARE_BLOCK, (off_t)offset)) > 0) {
        if (!vt_header_feed(header, block, (size_t)got, err))
            return false;
        offset += (uint64_t)got;
    }
    return got == 0 ? vt_header_finish(header, err) : vt_fail_errno(err, "reading %s", file);
}

bool vt_duplicate_same_attributes(struct vt_archive *archive, const char *file,
                                  const struct vt_header *arrival, bool *out_same,
                                  struct vt_err *err)
{
    vt_autoclose fd = openat(archive->root, file, O_RDONLY | O_CLOEXEC);
    VT_AUTO(vt_header) header = vt_header_new();
    VT_AUTO_BUF(there, COMPARE_VALUES_MAX);
    VT_AUTO_BUF(arriving, COMPARE_VALUES_MAX);
    struct vt_part10 meta;

    if (fd < 0)
        return vt_fail_errno(err, "%s", file);
    if (!header)
        return vt_fail(err, VT_E_NOMEM, "no memory to read %s", file);
    if (!vt_part10_read_file(fd, file, &meta, err))
        return false;
    struct vt_private_syntax syntax =
        vt_archive_syntax(archive, meta.transfer_syntax_uid, fd, meta.data_set_offset);
    vt_header_reset(header, syntax.encoding, syntax.encapsulated, &archive->options.limits);
    if (!feed_file(fd, file, meta.data_set_offset, header, err) ||
        !canonical(header, &there, err) || !canonical(arrival, &arriving, err))
        return false;
    *out_same = there.size == arriving.size && memcmp(there.data, arriving.data, there.size) == 0;
    return true;
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
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, VT_COUNT(words), &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_find(atomic_load(&archive->index), plan, err) : NULL;
    if (!cursor || !vt_cursor_next(cursor, &row, &more, err))
        return false;
    *out_other = more && !(same_text(&row, arrival, VT_TAG_PATIENT_ID) &&
                           same_text(&row, arrival, VT_TAG_ISSUER_OF_PATIENT_ID));
    return true;
}
