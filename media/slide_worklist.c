#include "media/slide_worklist.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "archive/worklist.h"
#include "core/auto.h"
#include "core/err.h"
#include "dicom/element.h"
#include "media/slide_metadata.h"

/* ---- does it fit ---- */

enum { WHOLE = 1 << 16 };   /* more than any beginning */

static unsigned rank_against(const char *identifier, const char *text, size_t length, bool may_begin)
{
    size_t size = strlen(identifier);

    if (size == 0 || size > length || strncmp(identifier, text, size) != 0)
        return 0;
    if (size == length)
        return WHOLE;
    return may_begin && !isalnum((unsigned char)text[size]) ? (unsigned)size : 0;
}

unsigned vt_slide_worklist_rank(const char *identifier, const char *name, const char *barcode, bool may_begin)
{
    const char *dot = strrchr(name, '.');
    unsigned by_name = rank_against(identifier, name, dot ? (size_t)(dot - name) : strlen(name), may_begin);
    unsigned by_barcode = rank_against(identifier, barcode, strlen(barcode), may_begin);

    return by_name > by_barcode ? by_name : by_barcode;
}

/* ---- entries ---- */

static const struct {
    uint32_t tag;
    const char *key;
} taken[] = {
    { VT_TAG_PATIENT_NAME, "PatientName" },
    { VT_TAG_PATIENT_ID, "PatientID" },
    { VT_TAG_ISSUER_OF_PATIENT_ID, "IssuerOfPatientID" },
    { VT_TAG_PATIENT_BIRTH_DATE, "PatientBirthDate" },
    { VT_TAG_PATIENT_SEX, "PatientSex" },
    { VT_TAG_ACCESSION_NUMBER, "AccessionNumber" },
    { VT_TAG_STUDY_INSTANCE_UID, "StudyInstanceUID" },
    { VT_TAG_REFERRING_PHYSICIAN_NAME, "ReferringPhysicianName" },
    { 0x00321060, "StudyDescription" },      /* Requested Procedure Description */
};

struct searching {
    const char *name, *barcode;
    unsigned best;
    bool tied;
    struct vt_worklist_entry entry;          /* the best one so far */
    struct vt_slide_metadata metadata;
};

static void text_of(const uint8_t *attributes, size_t size, uint32_t tag, char out[static VT_METADATA_TEXT])
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_element_find(attributes, size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, VT_METADATA_TEXT);
}

/* A text of the first item of the specimens. */
static void specimen_of(const uint8_t *attributes, size_t size, char out[static VT_METADATA_TEXT])
{
    struct vt_err ignored = { 0 };
    struct vt_element sequence, item;
    struct vt_walk walk;
    bool more;

    out[0] = '\0';
    if (!vt_element_find(attributes, size, VT_EXPLICIT_LE, VT_TAG_SPECIMEN_DESCRIPTION_SEQUENCE, &sequence))
        return;
    vt_walk_items(&walk, &sequence, VT_EXPLICIT_LE);
    if (vt_walk_next(&walk, &item, &more, &ignored) && more)
        text_of(item.value, (size_t)item.length, 0x00400551, out);
}

static unsigned rank_of(const struct searching *searching, const char *accession, const uint8_t *attributes, size_t size)
{
    char container[VT_METADATA_TEXT], specimen[VT_METADATA_TEXT];

    text_of(attributes, size, VT_TAG_CONTAINER_IDENTIFIER, container);
    specimen_of(attributes, size, specimen);
    const struct { const char *identifier; bool may_begin; } tried[] = {
        { accession, true }, { container, false }, { specimen, false },
    };
    unsigned best = 0;
    for (size_t i = 0; i < VT_COUNT(tried); i++) {
        unsigned rank = vt_slide_worklist_rank(tried[i].identifier, searching->name, searching->barcode, tried[i].may_begin);
        best = rank > best ? rank : best;
    }
    return best;
}

/* What a slide's metadata cannot hold is left out. */
static void take(struct searching *searching, const uint8_t *attributes, size_t size)
{
    char text[VT_METADATA_TEXT];

    searching->metadata = (struct vt_slide_metadata){ .patient_id = "" };
    for (size_t i = 0; i < VT_COUNT(taken); i++) {
        struct vt_err ignored = { 0 };
        text_of(attributes, size, taken[i].tag, text);
        if (text[0])
            (void)vt_slide_metadata_set(&searching->metadata, taken[i].key, text, &ignored);
    }
}

/* Steps of one order are no contradiction. */
static bool same_order(const struct vt_worklist_entry *a, const struct vt_worklist_entry *b)
{
    return strcmp(a->patient_id, b->patient_id) == 0 && strcmp(a->accession, b->accession) == 0 &&
           strcmp(a->study_uid, b->study_uid) == 0;
}

static bool look_at(void *context, const struct vt_worklist_entry *entry, const uint8_t *attributes, size_t size,
                    struct vt_err *err)
{
    struct searching *searching = context;
    unsigned rank = rank_of(searching, entry->accession, attributes, size);

    (void)err;
    if (rank == 0 || rank < searching->best)
        return true;
    if (rank == searching->best) {
        searching->tied = searching->tied || !same_order(entry, &searching->entry);
        return true;
    }
    searching->best = rank;
    searching->tied = false;
    searching->entry = *entry;
    take(searching, attributes, size);
    return true;
}

bool vt_slide_worklist(struct vt_archive *archive, const char *name, const char *barcode, struct vt_slide_metadata *out,
                       struct vt_err *err)
{
    vt_autofree struct searching *searching = calloc(1, sizeof *searching);

    if (!searching)
        return vt_fail(err, VT_E_NOMEM, "no memory to look a slide up");
    searching->name = name;
    searching->barcode = barcode;
    if (!vt_worklist_each(archive, true, look_at, searching, err))
        return false;
    if (searching->best == 0)
        return vt_fail(err, VT_E_NOTFOUND, "the worklist has no order for %s%s%.64s", name, barcode[0] ? " or barcode " : "",
                       barcode);
    if (searching->tied)
        return vt_fail(err, VT_E_NOTFOUND, "several orders of the worklist fit %s: name the patient in a file beside it", name);
    *out = searching->metadata;
    return true;
}
