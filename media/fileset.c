#include "media/fileset.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"

enum { TYPE_MAX = 16, DEPTH_MAX = 8, DEPTH_OF_ELEMENTS = 8 };
enum {
    TAG_FIRST_RECORD = 0x00041200,
    TAG_RECORDS = 0x00041220,
    TAG_NEXT = 0x00041400,
    TAG_IN_USE = 0x00041410,
    TAG_LOWER = 0x00041420,
    TAG_TYPE = 0x00041430,
    TAG_FILE_ID = 0x00041500,
    TAG_SOP_UID = 0x00041511,
};

struct record {
    uint32_t offset, next, lower;
    bool in_use, visited, has_file;
    char type[TYPE_MAX + 1];
    struct vt_fileset_file file;
};

struct reading {
    const uint8_t *bytes;
    enum vt_encoding encoding;
    struct record *records;   /* offsets ascend */
    size_t count, room;
};

/* ---- names ---- */

static bool component_ok(const char *name, size_t length)
{
    if (length == 0 || length > VT_FILESET_COMPONENT_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '/' || name[i] == ':')
            return false;
    return true;
}

/* "77654033\CR1\6154" becomes "77654033/CR1/6154". false: a name that leads elsewhere, or none. */
static bool read_name(const struct vt_element *element, char out[static VT_FILESET_PATH_MAX + 1])
{
    const char *at = (const char *)element->value, *end = at + element->length;
    size_t used = 0;

    for (unsigned i = 0; i < VT_FILESET_COMPONENTS_MAX; i++) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        const char *last = stop ? stop : end;
        while (at < last && *at == ' ')
            at++;
        size_t length = (size_t)(last - at);
        while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\0'))
            length--;
        if (!component_ok(at, length))
            return false;
        used += (size_t)snprintf(out + used, VT_FILESET_PATH_MAX + 1 - used, "%s%.*s", i ? "/" : "", (int)length, at);
        if (!stop)
            return true;
        at = stop + 1;
    }
    return false;
}

static int compare_paths(const void *a, const void *b)
{
    const struct vt_fileset_file *left = a, *right = b;

    return strcasecmp(left->path ? left->path : "", right->path ? right->path : "");
}

struct vt_fileset_file *vt_fileset_find(struct vt_fileset *fileset, const char *path)
{
    char plain[VT_FILESET_PATH_MAX + 1];
    size_t length = strcspn(path, ";");
    struct vt_fileset_file key = { .path = plain };

    while (length > 0 && path[length - 1] == '.')
        length--;
    if (length == 0 || length >= sizeof plain)
        return NULL;
    memcpy(plain, path, length);
    plain[length] = '\0';
    return fileset->count ? bsearch(&key, fileset->files, fileset->count, sizeof key, compare_paths) : NULL;
}

/* ---- records ---- */

static uint32_t number_of(const struct vt_element *element, enum vt_encoding encoding)
{
    int64_t value = 0;

    return vt_element_number(element, encoding, &value) && value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static bool take_element(struct record *record, const struct vt_element *element, enum vt_encoding encoding,
                         struct vt_err *err)
{
    char path[VT_FILESET_PATH_MAX + 1];

    switch (element->tag) {
    case TAG_NEXT:
        record->next = number_of(element, encoding);
        break;
    case TAG_LOWER:
        record->lower = number_of(element, encoding);
        break;
    case TAG_IN_USE:
        record->in_use = number_of(element, encoding) != 0;
        break;
    case TAG_TYPE:
        vt_element_text(element, record->type, sizeof record->type);
        break;
    case TAG_SOP_UID:
        vt_element_text(element, record->file.sop_uid, sizeof record->file.sop_uid);
        break;
    case TAG_FILE_ID:
        record->has_file = element->length > 0;
        if (read_name(element, path) && !record->file.path && !(record->file.path = strdup(path)))
            return vt_fail(err, VT_E_NOMEM, "no memory for a DICOMDIR");
        break;
    default:
        break;
    }
    return true;
}

static bool read_record(struct reading *reading, const struct vt_element *item, struct vt_err *err)
{
    struct vt_walk walk;
    struct vt_element element;
    bool more, ok;

    if (reading->count == VT_FILESET_RECORDS_MAX)
        return vt_fail(err, VT_E_LIMIT, "a DICOMDIR of more than %d records", VT_FILESET_RECORDS_MAX);
    if (reading->count == reading->room) {
        size_t room = reading->room ? 2 * reading->room : 64;
        struct record *grown = reallocarray(reading->records, room, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a DICOMDIR");
        reading->records = grown;
        reading->room = room;
    }
    struct record *record = &reading->records[reading->count++];
    *record = (struct record){ .offset = (uint32_t)(item->value - reading->bytes - 8), .in_use = true };
    vt_walk_item(&walk, item, reading->encoding);
    while ((ok = vt_walk_next(&walk, &element, &more, err)) && more)
        if (!take_element(record, &element, reading->encoding, err))
            return false;
    return ok;
}

/* ---- the tree ---- */

static struct record *record_at(const struct reading *reading, uint32_t offset)
{
    size_t low = 0, high = reading->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reading->records[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < reading->count && reading->records[low].offset == offset ? &reading->records[low] : NULL;
}

/* Which record may stand under which (PS3.3 F.4). */
static bool fits(const struct record *parent, const struct record *record)
{
    static const char *const roots[] = { "PATIENT",       "HANGING PROTOCOL", "PALETTE", "IMPLANT",
                                         "IMPLANT GROUP", "IMPLANT ASSY",     "PRIVATE" };

    if (parent)
        return strcmp(parent->type, "PATIENT") == 0 ? strcmp(record->type, "STUDY") == 0 ||
                                                          strcmp(record->type, "HL7 STRUC DOC") == 0 ||
                                                          strcmp(record->type, "PRIVATE") == 0
               : strcmp(parent->type, "STUDY") == 0 ? strcmp(record->type, "SERIES") == 0 ||
                                                          strcmp(record->type, "PRIVATE") == 0
                                                    : strcmp(record->type, "PATIENT") != 0;
    for (size_t i = 0; i < VT_COUNT(roots); i++)
        if (strcmp(roots[i], record->type) == 0)
            return true;
    return false;
}

static bool follow(struct reading *reading, uint32_t first, struct vt_err *err)
{
    struct record *above[DEPTH_MAX] = { NULL };
    uint32_t offset = first;
    size_t depth = 0;

    for (;;) {
        while (offset == 0 && depth > 0)
            offset = above[--depth]->next;
        if (offset == 0)
            return true;
        struct record *record = record_at(reading, offset);
        if (!record)
            return vt_fail(err, VT_E_CORRUPT, "there is no directory record at offset %u", offset);
        if (record->visited)
            return vt_fail(err, VT_E_CORRUPT, "the directory records run in a loop at offset %u", offset);
        record->visited = true;
        if (!fits(depth ? above[depth - 1] : NULL, record))
            return vt_fail(err, VT_E_CORRUPT, "a record of type '%s' stands %s %s", record->type,
                           depth ? "under" : "at", depth ? above[depth - 1]->type : "the root");
        offset = record->next;
        if (record->lower == 0)
            continue;
        if (depth == DEPTH_MAX)
            return vt_fail(err, VT_E_CORRUPT, "directory records deeper than %d levels", DEPTH_MAX);
        above[depth++] = record;
        offset = record->lower;
    }
}

static bool all_reached(const struct reading *reading, struct vt_err *err)
{
    for (size_t i = 0; i < reading->count; i++)
        if (reading->records[i].in_use && !reading->records[i].visited)
            return vt_fail(err, VT_E_CORRUPT, "no record leads to the one at offset %u",
                           reading->records[i].offset);
    return true;
}

static struct vt_fileset *gather(struct reading *reading, struct vt_err *err)
{
    VT_AUTO(vt_fileset) fileset = calloc(1, sizeof *fileset);
    struct vt_fileset_file *files = calloc(reading->count + 1, sizeof *files);

    if (!fileset || !files) {
        free(files);
        vt_fail(err, VT_E_NOMEM, "no memory for a DICOMDIR");
        return NULL;
    }
    fileset->files = files;
    for (size_t i = 0; i < reading->count; i++) {
        struct record *record = &reading->records[i];
        if (!record->in_use || !record->has_file)
            continue;
        files[fileset->count++] = record->file;
        record->file.path = NULL;
    }
    qsort(files, fileset->count, sizeof *files, compare_paths);
    return vt_take(&fileset);
}

/* ---- the file ---- */

static bool read_records(struct reading *reading, const uint8_t *data, size_t size, struct vt_err *err)
{
    const struct vt_element_limits limits = { DEPTH_OF_ELEMENTS, 32u * VT_FILESET_RECORDS_MAX,
                                              VT_FILESET_BYTES_MAX };
    struct vt_element records, item, first = { .tag = 0 };
    struct vt_walk walk;
    bool more, ok;

    if (!vt_element_check(data, size, reading->encoding, &limits, err))
        return false;
    if (!vt_element_find(data, size, reading->encoding, TAG_RECORDS, &records))
        return vt_fail(err, VT_E_CORRUPT, "no Directory Record Sequence");
    vt_walk_items(&walk, &records, reading->encoding);
    walk.limits.elements = limits.elements;
    while ((ok = vt_walk_next(&walk, &item, &more, err)) && more)
        if (!read_record(reading, &item, err))
            return false;
    if (!ok)
        return false;
    uint32_t root = vt_element_find(data, size, reading->encoding, TAG_FIRST_RECORD, &first)
                        ? number_of(&first, reading->encoding)
                        : 0;
    return follow(reading, root, err) && all_reached(reading, err);
}

static struct vt_fileset *read_checked(struct reading *reading, size_t size, struct vt_err *err)
{
    struct vt_part10 meta;

    if (!vt_part10_read(reading->bytes, size, &meta, err))
        return NULL;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(meta.transfer_syntax_uid);
    if (strcmp(meta.sop_class_uid, VT_UID_MEDIA_DIRECTORY) != 0 || !syntax ||
        syntax->encoding == VT_DEFLATED_LE || meta.data_set_offset > size) {
        vt_fail(err, VT_E_INVALID, "no DICOMDIR");
        return NULL;
    }
    reading->encoding = syntax->encoding;
    if (!read_records(reading, reading->bytes + meta.data_set_offset, size - (size_t)meta.data_set_offset, err)) {
        if (err->code != VT_E_NOMEM && err->code != VT_E_LIMIT)
            err->code = VT_E_CORRUPT;
        err->dimse_status = 0;
        return NULL;
    }
    return gather(reading, err);
}

struct vt_fileset *vt_fileset_read(const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct reading reading = { .bytes = bytes };

    if (size > VT_FILESET_BYTES_MAX) {
        vt_fail(err, VT_E_LIMIT, "a DICOMDIR of more than %d bytes", VT_FILESET_BYTES_MAX);
        return NULL;
    }
    struct vt_fileset *fileset = read_checked(&reading, size, err);
    for (size_t i = 0; i < reading.count; i++)
        free(reading.records[i].file.path);
    free(reading.records);
    return fileset;
}

struct vt_fileset *vt_fileset_load(const char *path, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_FILESET_BYTES_MAX);

    return vt_io_read_file(path, &bytes, err) ? vt_fileset_read(bytes.data, bytes.size, err) : NULL;
}

void vt_fileset_free(struct vt_fileset *fileset)
{
    for (size_t i = 0; fileset && i < fileset->count; i++)
        free(fileset->files[i].path);
    if (fileset)
        free(fileset->files);
    free(fileset);
}

bool vt_fileset_is(const uint8_t *head, size_t size)
{
    struct vt_part10 meta;
    struct vt_err err = { 0 };

    return size >= 132 && memcmp(head + 128, "DICM", 4) == 0 && vt_part10_read(head, size, &meta, &err) &&
           strcmp(meta.sop_class_uid, VT_UID_MEDIA_DIRECTORY) == 0;
}
