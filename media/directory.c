#include "media/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "media/fileset.h"

enum { KEYS_MAX = 12, NONE = 0, KEY_TEXT_MAX = 256, LEVELS = 4, RECORD_MAX = 16 << 20 };
enum {
    RELATIONSHIP_TYPE = 0x0040a010,
    VERIFICATION_DATE_TIME = 0x0040a030,
    VERIFYING_OBSERVERS = 0x0040a073,
    VERIFICATION_FLAG = 0x0040a493,
    CONTENT_SEQUENCE = 0x0040a730,
};

/* A key of a record; `otherwise` stands in when the instance has no value and the record must have one. The tags of what is only found
 * deeper in the instance are in put_deeper. */
struct key {
    uint32_t tag;
    const char *vr, *otherwise;   /* NULL: empty, or left out when `optional` */
    bool optional;
};

struct record_type {
    const char *name;
    struct key keys[KEYS_MAX];    /* ascending, up to the first without a tag; the character set comes by itself */
};

static const struct record_type patient = { "PATIENT", { { VT_TAG_PATIENT_NAME, "PN", NULL, false },
                                                         { VT_TAG_PATIENT_ID, "LO", NULL, false } } };
static const struct record_type study = { "STUDY", { { VT_TAG_STUDY_DATE, "DA", "19000101", false },
                                                     { VT_TAG_STUDY_TIME, "TM", "000000", false },
                                                     { VT_TAG_ACCESSION_NUMBER, "SH", NULL, false },
                                                     { VT_TAG_STUDY_DESCRIPTION, "LO", NULL, false },
                                                     { VT_TAG_STUDY_INSTANCE_UID, "UI", NULL, false },
                                                     { VT_TAG_STUDY_ID, "SH", "1", false } } };
static const struct record_type series = { "SERIES", { { VT_TAG_MODALITY, "CS", "OT", false },
                                                       { VT_TAG_SERIES_INSTANCE_UID, "UI", NULL, false },
                                                       { VT_TAG_SERIES_NUMBER, "IS", "1", false } } };

#define NUMBER { VT_TAG_INSTANCE_NUMBER, "IS", "1", false }
#define CONTENT { VT_TAG_CONTENT_DATE, "DA", "19000101", false }, { VT_TAG_CONTENT_TIME, "TM", "000000", false }
#define CONCEPT { VT_TAG_CONCEPT_NAME_CODE_SEQUENCE, "SQ", NULL, true }
#define MODIFIERS { CONTENT_SEQUENCE, "SQ", NULL, true }

#define PLAN { 0x300a0002, "SH", "UNNAMED", false }, { 0x300a0006, "DA", NULL, false }, { 0x300a0007, "TM", NULL, false }
#define TREATED { 0x30080250, "DA", NULL, false }, { 0x30080251, "TM", NULL, false }
#define LABEL { 0x00700080, "CS", "UNNAMED", false }, { 0x00700081, "LO", NULL, false }
#define CREATOR { 0x00700084, "PN", NULL, false }

/* By the SOP class, or its beginning up to a dot; the first that fits. */
static const struct {
    const char *sop_class;
    struct record_type type;
} leaves[] = {
    { "1.2.840.10008.5.1.4.1.1.88.59", { "KEY OBJECT DOC", { CONTENT, NUMBER, CONCEPT, MODIFIERS } } },
    { "1.2.840.10008.5.1.4.1.1.88.",
      { "SR DOCUMENT",
        { CONTENT, NUMBER, { VERIFICATION_DATE_TIME, "DT", NULL, true }, CONCEPT, { 0x0040a491, "CS", "PARTIAL", false },
          { VERIFICATION_FLAG, "CS", "UNVERIFIED", false }, MODIFIERS } } },
    { "1.2.840.10008.5.1.4.1.1.9.", { "WAVEFORM", { CONTENT, NUMBER } } },
    { "1.2.840.10008.5.1.4.1.1.104.",
      { "ENCAP DOC",
        { CONTENT, NUMBER, { VT_TAG_CONCEPT_NAME_CODE_SEQUENCE, "SQ", NULL, false }, { 0x00420010, "ST", NULL, false },
          { 0x00420012, "LO", "application/octet-stream", false } } } },
    { "1.2.840.10008.5.1.4.1.1.11.",
      { "PRESENTATION",
        { { 0x00081115, "SQ", NULL, true }, NUMBER, { 0x00700080, "CS", "UNNAMED", false }, { 0x00700081, "LO", NULL, false },
          { 0x00700082, "DA", "19000101", false }, { 0x00700083, "TM", "000000", false }, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.481.2", { "RT DOSE", { NUMBER, { 0x3004000a, "CS", "PLAN", false } } } },
    { "1.2.840.10008.5.1.4.1.1.481.3",
      { "RT STRUCTURE SET",
        { NUMBER, { 0x30060002, "SH", "UNNAMED", false }, { 0x30060008, "DA", NULL, false }, { 0x30060009, "TM", NULL, false } } } },
    { "1.2.840.10008.5.1.4.1.1.481.5", { "RT PLAN", { NUMBER, PLAN } } },
    { "1.2.840.10008.5.1.4.1.1.481.8", { "RT PLAN", { NUMBER, PLAN } } },
    { "1.2.840.10008.5.1.4.1.1.481.4", { "RT TREAT RECORD", { NUMBER, TREATED } } },
    { "1.2.840.10008.5.1.4.1.1.481.6", { "RT TREAT RECORD", { NUMBER, TREATED } } },
    { "1.2.840.10008.5.1.4.1.1.481.7", { "RT TREAT RECORD", { NUMBER, TREATED } } },
    { "1.2.840.10008.5.1.4.1.1.481.9", { "RT TREAT RECORD", { NUMBER, TREATED } } },
    { "1.2.840.10008.5.1.4.1.1.66.1", { "REGISTRATION", { CONTENT, NUMBER, LABEL, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.66.3", { "REGISTRATION", { CONTENT, NUMBER, LABEL, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.66.2", { "FIDUCIAL", { CONTENT, NUMBER, LABEL, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.66.5", { "SURFACE", { CONTENT, NUMBER, LABEL, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.66.6", { "TRACT", { CONTENT, NUMBER, LABEL, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.66", { "RAW DATA", { CONTENT, NUMBER } } },
    { "1.2.840.10008.5.1.4.1.1.67", { "VALUE MAP", { CONTENT, NUMBER, LABEL, CREATOR } } },
    { "1.2.840.10008.5.1.4.1.1.4.2",
      { "SPECTROSCOPY",
        { { VT_TAG_IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY", false }, CONTENT, NUMBER, { VT_TAG_NUMBER_OF_FRAMES, "IS", "1", false },
          { VT_TAG_ROWS, "US", NULL, false }, { VT_TAG_COLUMNS, "US", NULL, false }, { 0x00289001, "UL", NULL, false },
          { 0x00289002, "UL", NULL, false } } } },
    { "1.2.840.10008.5.1.4.1.1.78.", { "MEASUREMENT", { CONTENT, NUMBER } } },
};
static const struct record_type image = { "IMAGE", { { VT_TAG_IMAGE_TYPE, "CS", NULL, true },
                                                     { 0x00081140, "SQ", NULL, true },
                                                     NUMBER } };

/* Records as numbers + 1; NONE: there is none. */
struct record {
    const struct record_type *type;
    size_t keys_at, keys_size;             /* in `keys` */
    uint32_t next, first, last, offset, children;
};

struct vt_directory {
    struct record *records;
    size_t count, room;
    uint32_t first, last, children;        /* of the root */
    struct vt_buf keys, scratch;
};

struct vt_directory *vt_directory_new(void)
{
    struct vt_directory *directory = calloc(1, sizeof *directory);

    if (!directory)
        return NULL;
    vt_buf_init(&directory->keys, VT_DIRECTORY_BYTES_MAX);
    vt_buf_init(&directory->scratch, RECORD_MAX);
    return directory;
}

void vt_directory_free(struct vt_directory *directory)
{
    if (!directory)
        return;
    vt_buf_fini(&directory->keys);
    vt_buf_fini(&directory->scratch);
    free(directory->records);
    free(directory);
}

/* ---- keys ---- */

static const struct record_type *type_of(const struct vt_directory_entry *entry)
{
    struct vt_element rows;

    for (size_t i = 0; i < VT_COUNT(leaves); i++) {
        size_t length = strlen(leaves[i].sop_class);
        bool family = leaves[i].sop_class[length - 1] == '.';
        if (strncmp(entry->sop_class, leaves[i].sop_class, length) == 0 && (family || !entry->sop_class[length]))
            return &leaves[i].type;
    }
    return vt_header_find(entry->header, VT_TAG_ROWS, &rows) ? &image : NULL;
}

/* Patient IDs are unique in a file-set: those who have none are told apart by name. */
static void name_nobody(const struct vt_header *header, char out[static 17])
{
    char name[KEY_TEXT_MAX];
    uint32_t sum = 2166136261u;

    vt_header_text(header, VT_TAG_PATIENT_NAME, name, sizeof name);
    for (size_t i = 0; name[i]; i++)
        sum = (sum ^ (uint8_t)name[i]) * 16777619u;
    snprintf(out, 17, "NOID%08X", sum);
}

/* ---- keys of reports (PS3.3 F.5.23, F.5.24) ---- */

static bool modifies_the_concept(const struct vt_element *item, enum vt_encoding encoding)
{
    struct vt_element element;
    char text[KEY_TEXT_MAX];

    if (!vt_element_find(item->value, (size_t)item->length, encoding, RELATIONSHIP_TYPE, &element))
        return false;
    vt_element_text(&element, text, sizeof text);
    return strcmp(text, "HAS CONCEPT MOD") == 0;
}

static bool put_item(struct vt_writer *w, const struct vt_element *item, enum vt_encoding encoding, struct vt_err *err)
{
    struct vt_element element;
    struct vt_walk walk;
    bool more, ok = vt_write_item_begin(w, err);

    vt_walk_item(&walk, item, encoding);
    while (ok && (ok = vt_walk_next(&walk, &element, &more, err)) && more)
        ok = vt_write_element(w, &element, encoding, err);
    return ok && vt_write_item_end(w, err);
}

/* Of the content only what modifies the report's title. */
static bool put_modifiers(struct vt_writer *w, const struct vt_element *content, enum vt_encoding encoding, struct vt_err *err)
{
    size_t start = w->buf->size, items = 0;
    struct vt_element item;
    struct vt_walk walk;
    bool more, ok = vt_write_sequence_begin(w, CONTENT_SEQUENCE, err);

    vt_walk_items(&walk, content, encoding);
    while (ok && (ok = vt_walk_next(&walk, &item, &more, err)) && more)
        if (modifies_the_concept(&item, encoding)) {
            ok = put_item(w, &item, encoding, err);
            items++;
        }
    ok = ok && vt_write_sequence_end(w, err);
    if (ok && items == 0)
        w->buf->size = start;
    return ok;
}

/* When it was verified last. */
static bool put_verified(struct vt_writer *w, const struct vt_element *observers, enum vt_encoding encoding, struct vt_err *err)
{
    char last[KEY_TEXT_MAX] = "", text[KEY_TEXT_MAX];
    struct vt_element item, element;
    struct vt_walk walk;
    bool more, ok;

    vt_walk_items(&walk, observers, encoding);
    while ((ok = vt_walk_next(&walk, &item, &more, err)) && more)
        if (vt_element_find(item.value, (size_t)item.length, encoding, VERIFICATION_DATE_TIME, &element)) {
            vt_element_text(&element, text, sizeof text);
            if (strcmp(text, last) > 0)
                memcpy(last, text, sizeof last);
        }
    return ok && (!last[0] || vt_write_text(w, VERIFICATION_DATE_TIME, "DT", last, err));
}

/* Where else in the instance the value of a key is found. */
static const struct {
    uint32_t tag, source;
    bool (*put)(struct vt_writer *w, const struct vt_element *source, enum vt_encoding encoding, struct vt_err *err);
} deeper[] = { { CONTENT_SEQUENCE, CONTENT_SEQUENCE, put_modifiers }, { VERIFICATION_DATE_TIME, VERIFYING_OBSERVERS, put_verified } };

static bool put_deeper(struct vt_writer *w, size_t i, const struct vt_header *header, struct vt_err *err)
{
    struct vt_element source;

    return !vt_header_find(header, deeper[i].source, &source) || !source.value || source.length == 0 ||
           deeper[i].put(w, &source, vt_header_encoding(header), err);
}

static bool put_key(struct vt_writer *w, const struct key *key, const struct vt_header *header, struct vt_err *err)
{
    struct vt_element element;
    char text[KEY_TEXT_MAX];

    for (size_t i = 0; i < VT_COUNT(deeper); i++)
        if (deeper[i].tag == key->tag)
            return put_deeper(w, i, header, err);
    if (vt_header_find(header, key->tag, &element) && element.value && element.length > 0 &&
        (element.undefined_length || strcmp(element.vr, "SQ") == 0 ||
         vt_element_text(&element, text, sizeof text) > 0))
        return vt_write_element(w, &element, vt_header_encoding(header), err);
    if (key->optional)
        return true;
    snprintf(text, sizeof text, "%s", key->otherwise ? key->otherwise : "");
    if (key->tag == VT_TAG_PATIENT_ID)
        name_nobody(header, text);
    return vt_write_text(w, key->tag, key->vr, text, err);
}

static bool put_keys(struct vt_buf *out, const struct record_type *type, const struct vt_header *header,
                     struct vt_err *err)
{
    static const struct key charset = { VT_TAG_SPECIFIC_CHARACTER_SET, "CS", NULL, true };
    struct vt_writer w = { out, VT_EXPLICIT_LE };

    vt_buf_reset(out);
    if (!put_key(&w, &charset, header, err))
        return false;
    for (size_t i = 0; i < KEYS_MAX && type->keys[i].tag; i++)
        if (!put_key(&w, &type->keys[i], header, err))
            return false;
    return true;
}

/* Icon Image Sequence (PS3.3 F.7). */
static bool put_icon(struct vt_writer *w, const uint8_t *icon, struct vt_err *err)
{
    static const struct {
        uint32_t tag;
        uint16_t value;
    } numbers[] = {
        { VT_TAG_ROWS, VT_DIRECTORY_ICON }, { VT_TAG_COLUMNS, VT_DIRECTORY_ICON }, { VT_TAG_BITS_ALLOCATED, 8 },
        { VT_TAG_BITS_STORED, 8 },          { VT_TAG_HIGH_BIT, 7 },                { VT_TAG_PIXEL_REPRESENTATION, 0 },
    };

    if (!icon)
        return true;
    bool ok = vt_write_sequence_begin(w, 0x00880200, err) && vt_write_item_begin(w, err) &&
              vt_write_us(w, VT_TAG_SAMPLES_PER_PIXEL, 1, err) &&
              vt_write_text(w, VT_TAG_PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME2", err);
    for (size_t i = 0; ok && i < VT_COUNT(numbers); i++)
        ok = vt_write_us(w, numbers[i].tag, numbers[i].value, err);
    return ok && vt_write_bytes(w, VT_TAG_PIXEL_DATA, "OB", icon, VT_DIRECTORY_ICON * VT_DIRECTORY_ICON, err) &&
           vt_write_item_end(w, err) && vt_write_sequence_end(w, err);
}

static bool put_leaf(struct vt_directory *directory, const struct vt_directory_entry *entry, const char *path,
                     const struct record_type *type, struct vt_err *err)
{
    VT_AUTO_BUF(keys, RECORD_MAX);
    struct vt_writer w = { &directory->scratch, VT_EXPLICIT_LE };
    char id[VT_DIRECTORY_ID_MAX];
    size_t i = 0;

    if (!put_keys(&keys, type, entry->header, err))
        return false;
    for (; path[i]; i++)
        id[i] = path[i] == '/' ? '\\' : path[i];
    id[i] = '\0';
    vt_buf_reset(&directory->scratch);
    return vt_write_text(&w, 0x00041500, "CS", id, err) && vt_write_text(&w, 0x00041510, "UI", entry->sop_class, err) &&
           vt_write_text(&w, 0x00041511, "UI", entry->sop_uid, err) &&
           vt_write_text(&w, 0x00041512, "UI", entry->transfer_syntax, err) &&
           vt_buf_append(&directory->scratch, keys.data, keys.size, err) && put_icon(&w, entry->icon, err);
}

/* ---- the tree ---- */

/* A record of what scratch holds, last under `above` (NONE: the root). */
static bool append(struct vt_directory *directory, const struct record_type *type, uint32_t above,
                   uint32_t *out_number, struct vt_err *err)
{
    if (directory->count == VT_DIRECTORY_RECORDS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d directory records on one medium", VT_DIRECTORY_RECORDS_MAX);
    if (directory->count == directory->room) {
        size_t room = directory->room ? 2 * directory->room : 64;
        struct record *grown = reallocarray(directory->records, room, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a DICOMDIR");
        directory->records = grown;
        directory->room = room;
    }
    struct record record = { .type = type, .keys_at = directory->keys.size, .keys_size = directory->scratch.size };
    if (!vt_buf_append(&directory->keys, directory->scratch.data, directory->scratch.size, err))
        return false;
    directory->records[directory->count++] = record;
    uint32_t number = (uint32_t)directory->count;
    struct record *parent = above ? &directory->records[above - 1] : NULL;
    uint32_t *last = parent ? &parent->last : &directory->last;
    if (*last)
        directory->records[*last - 1].next = number;
    else
        *(parent ? &parent->first : &directory->first) = number;
    *last = number;
    *out_number = number;
    return true;
}

/* The record of that unique key under `above`, made when it is not there; *out_index says the how-manieth it is. */
static bool enter(struct vt_directory *directory, const struct record_type *type, const struct vt_header *header,
                  uint32_t above, uint32_t *out_number, unsigned *out_index, struct vt_err *err)
{
    struct vt_element mine, other;
    uint32_t unique = type == &patient ? VT_TAG_PATIENT_ID
                      : type == &study ? (uint32_t)VT_TAG_STUDY_INSTANCE_UID
                                       : (uint32_t)VT_TAG_SERIES_INSTANCE_UID;
    uint32_t at = above ? directory->records[above - 1].first : directory->first;

    if (!put_keys(&directory->scratch, type, header, err))
        return false;
    if (!vt_element_find(directory->scratch.data, directory->scratch.size, VT_EXPLICIT_LE, unique, &mine))
        return vt_fail(err, VT_E_INTERNAL, "a record without its key");
    for (*out_index = 0; at; at = directory->records[at - 1].next, ++*out_index) {
        const struct record *record = &directory->records[at - 1];
        if (vt_element_find(directory->keys.data + record->keys_at, record->keys_size, VT_EXPLICIT_LE, unique, &other) &&
            mine.length == other.length && memcmp(mine.value, other.value, (size_t)mine.length) == 0) {
            *out_number = at;
            return true;
        }
    }
    return append(directory, type, above, out_number, err);
}

bool vt_directory_add(struct vt_directory *directory, const struct vt_directory_entry *entry,
                      char out_path[static VT_DIRECTORY_ID_MAX], struct vt_err *err)
{
    const struct record_type *above[] = { &patient, &study, &series }, *type = type_of(entry);
    unsigned index[LEVELS] = { 0 };
    uint32_t number = NONE;

    if (!type)
        return vt_fail(err, VT_E_UNSUPPORTED, "no directory record is known for instances of class %s", entry->sop_class);
    for (size_t i = 0; i < VT_COUNT(above); i++)
        if (!enter(directory, above[i], entry->header, number, &number, &index[i], err))
            return false;
    index[3] = directory->records[number - 1].children++;
    snprintf(out_path, VT_DIRECTORY_ID_MAX, "DICOM/PA%06u/ST%06u/SE%06u/IM%06u", index[0] % 1000000, index[1] % 1000000,
             index[2] % 1000000, index[3] % 1000000);
    return put_leaf(directory, entry, out_path, type, err) && append(directory, type, number, &number, err);
}

/* ---- the file ---- */

static uint32_t offset_of(const struct vt_directory *directory, uint32_t number)
{
    return number ? directory->records[number - 1].offset : 0;
}

static bool write_record(struct vt_directory *directory, struct record *record, struct vt_writer *w, struct vt_err *err)
{
    const uint8_t *keys = directory->keys.data + record->keys_at;

    record->offset = (uint32_t)w->buf->size;
    return vt_write_item_begin(w, err) && vt_write_ul(w, 0x00041400, offset_of(directory, record->next), err) &&
           vt_write_us(w, 0x00041410, 0xffff, err) &&
           vt_write_ul(w, 0x00041420, offset_of(directory, record->first), err) &&
           vt_write_text(w, 0x00041430, "CS", record->type->name, err) &&
           vt_buf_append(w->buf, keys, record->keys_size, err) && vt_write_item_end(w, err);
}

static bool write_once(struct vt_directory *directory, const struct vt_file_meta *meta, struct vt_buf *out,
                       struct vt_err *err)
{
    struct vt_writer w = { out, VT_EXPLICIT_LE };

    vt_buf_reset(out);
    if (!vt_write_file_meta(out, meta, err) || !vt_write_text(&w, 0x00041130, "CS", "VITRINE", err) ||
        !vt_write_ul(&w, 0x00041200, offset_of(directory, directory->first), err) ||
        !vt_write_ul(&w, 0x00041202, offset_of(directory, directory->last), err) ||
        !vt_write_us(&w, 0x00041212, 0, err) || !vt_write_sequence_begin(&w, 0x00041220, err))
        return false;
    for (size_t i = 0; i < directory->count; i++)
        if (!write_record(directory, &directory->records[i], &w, err))
            return false;
    return vt_write_sequence_end(&w, err);
}

/* Twice: offsets are known after the first time. */
bool vt_directory_write(struct vt_directory *directory, struct vt_buf *out, struct vt_err *err)
{
    char uid[VT_UID_MAX + 1];
    const struct vt_file_meta meta = { VT_UID_MEDIA_DIRECTORY, uid, VT_UID_EXPLICIT_LE, NULL };

    vt_uid_new(uid);
    return write_once(directory, &meta, out, err) && write_once(directory, &meta, out, err);
}
