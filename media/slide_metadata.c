#include "media/slide_metadata.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/uids.h"

enum { COLUMNS_MAX = 64 };

static const struct key {
    const char *name;
    char vr[3];
    unsigned char max;     /* characters */
    size_t offset;
} keys[] = {
#define KEY(name, vr, max, field) { name, vr, max, offsetof(struct vt_slide_metadata, field) }
    KEY("PatientID", "LO", 64, patient_id),
    KEY("IssuerOfPatientID", "LO", 64, issuer_of_patient_id),
    KEY("PatientName", "PN", 194, patient_name),
    KEY("PatientBirthDate", "DA", 8, patient_birth_date),
    KEY("PatientSex", "CS", 1, patient_sex),
    KEY("AccessionNumber", "SH", 16, accession_number),
    KEY("StudyInstanceUID", "UI", 64, study_instance_uid),
    KEY("StudyID", "SH", 16, study_id),
    KEY("StudyDate", "DA", 8, study_date),
    KEY("StudyTime", "TM", 13, study_time),
    KEY("StudyDescription", "LO", 64, study_description),
    KEY("SeriesDescription", "LO", 64, series_description),
    KEY("ReferringPhysicianName", "PN", 194, referring_physician_name),
    KEY("InstitutionName", "LO", 64, institution_name),
    KEY("ContainerIdentifier", "LO", 64, container_identifier),
    KEY("SpecimenIdentifier", "LO", 64, specimen_identifier),
    KEY("SpecimenShortDescription", "LO", 64, specimen_short_description),
    KEY("LabelText", "LO", 64, label_text),
    KEY("BarcodeValue", "LO", 64, barcode_value),
#undef KEY
};

/* ---- one value ---- */

static size_t characters(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

static bool all_digits(const char *text, size_t count)
{
    return strlen(text) == count && strspn(text, "0123456789") == count;
}

static bool allowed(const struct key *key, const char *value)
{
    if (characters(value) > key->max || strlen(value) >= VT_METADATA_TEXT || strchr(value, '\\'))
        return false;
    for (const char *p = value; *p; p++)
        if (iscntrl((unsigned char)*p))
            return false;
    if (strcmp(key->vr, "DA") == 0)
        return !*value || all_digits(value, 8);
    if (strcmp(key->vr, "TM") == 0)
        return strspn(value, "0123456789.") == strlen(value) && strlen(value) != 1;
    if (strcmp(key->vr, "UI") == 0)
        return !*value || vt_uid_valid(value);
    if (strcmp(key->vr, "CS") == 0)
        return !*value || strchr("MFO", *value) != NULL;
    return true;
}

bool vt_slide_metadata_set(struct vt_slide_metadata *metadata, const char *key, const char *value,
                           struct vt_err *err)
{
    for (size_t i = 0; i < VT_COUNT(keys); i++) {
        if (strcasecmp(keys[i].name, key) != 0)
            continue;
        if (!allowed(&keys[i], value))
            return vt_fail(err, VT_E_INVALID, "'%.60s' is no value for %s (%s, at most %d characters)",
                           value, keys[i].name, keys[i].vr, keys[i].max);
        snprintf((char *)metadata + keys[i].offset, VT_METADATA_TEXT, "%s", value);
        return true;
    }
    return vt_fail(err, VT_E_INVALID, "a slide's metadata has no '%.60s'", key);
}

/* ---- JSON ---- */

static bool read_json(struct vt_slide_metadata *metadata, const struct vt_buf *file, const char *path,
                      struct vt_err *err)
{
    json_error_t where;
    json_t *object = json_loadb((const char *)file->data, file->size, JSON_REJECT_DUPLICATES, &where);
    const char *key;
    json_t *value;
    char number[64];
    bool ok = true;

    if (!json_is_object(object)) {
        json_decref(object);
        return vt_fail(err, VT_E_INVALID, "%s, line %d: %.100s", path, object ? 1 : where.line,
                       object ? "not an object" : where.text);
    }
    json_object_foreach(object, key, value)
    {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        const char *text = json_is_integer(value) ? number : json_string_value(value);
        ok = ok && (text ? vt_slide_metadata_set(metadata, key, text, err)
                         : vt_fail(err, VT_E_INVALID, "'%.60s' must be a text", key));
    }
    json_decref(object);
    return ok || vt_fail_context(err, "%s", path);
}

/* ---- CSV (RFC 4180) ---- */

struct row {
    char *cells[COLUMNS_MAX];
    size_t count;
};

/* Cuts the line at *at into cells, in place; quoted cells may hold commas, quotes and line ends. *at moves behind it. */
static bool cut_row(char **at, struct row *out)
{
    char *p = *at;

    out->count = 0;
    for (bool more = true; more && out->count < COLUMNS_MAX;) {
        char *to = p;
        bool quoted = *p == '"';
        out->cells[out->count++] = p;
        if (quoted)
            for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
                p += *p == '"';
                *to++ = *p;
            }
        else
            while (*p && !strchr(",\r\n", *p))
                *to++ = *p++;
        p += quoted && *p;
        more = *p == ',';
        bool end = !more;
        if (end)
            p += strspn(p, "\r\n");
        else
            p++;
        *to = '\0';
    }
    *at = p;
    return out->count > 0;
}

static bool same_name(const char *cell, const char *slide_name)
{
    const char *dot = strrchr(slide_name, '.');
    size_t stem = dot ? (size_t)(dot - slide_name) : strlen(slide_name);

    return strcmp(cell, slide_name) == 0 || (strlen(cell) == stem && strncmp(cell, slide_name, stem) == 0);
}

static bool is_this(const struct row *head, const struct row *row, const char *slide_name,
                    const char *barcode)
{
    for (size_t i = 0; i < head->count && i < row->count; i++)
        if ((strcasecmp(head->cells[i], "file") == 0 && same_name(row->cells[i], slide_name)) ||
            (strcasecmp(head->cells[i], "barcode") == 0 && *barcode &&
             strcmp(row->cells[i], barcode) == 0))
            return true;
    return false;
}

static bool take_row(struct vt_slide_metadata *metadata, const struct row *head, const struct row *row,
                     struct vt_err *err)
{
    for (size_t i = 0; i < head->count && i < row->count; i++) {
        bool selects = strcasecmp(head->cells[i], "file") == 0 || strcasecmp(head->cells[i], "barcode") == 0;
        if (!selects && *row->cells[i] &&
            !vt_slide_metadata_set(metadata, head->cells[i], row->cells[i], err))
            return false;
    }
    return true;
}

static bool read_csv(struct vt_slide_metadata *metadata, char *text, const char *path,
                     const char *slide_name, const char *barcode, struct vt_err *err)
{
    struct row head, row;
    bool selects = false;

    if (memcmp(text, "\xef\xbb\xbf", strnlen(text, 3)) == 0 && strlen(text) >= 3)
        text += 3;
    cut_row(&text, &head);
    for (size_t i = 0; i < head.count; i++)
        selects = selects || strcasecmp(head.cells[i], "file") == 0 || strcasecmp(head.cells[i], "barcode") == 0;
    if (!selects)
        return vt_fail(err, VT_E_INVALID, "%s: no column is named 'file' or 'barcode'", path);
    while (*text) {
        cut_row(&text, &row);
        if (is_this(&head, &row, slide_name, barcode))
            return take_row(metadata, &head, &row, err) || vt_fail_context(err, "%s", path);
    }
    return vt_fail(err, VT_E_NOTFOUND, "%s has no line for %s", path, slide_name);
}

bool vt_slide_metadata_read(struct vt_slide_metadata *metadata, const char *path, const char *slide_name,
                            const char *barcode, struct vt_err *err)
{
    VT_AUTO_BUF(file, VT_METADATA_FILE_MAX);

    if (!vt_io_read_file(path, &file, err) || !vt_buf_string(&file, err))
        return false;
    char *text = (char *)file.data;
    if (strlen(text) != file.size)
        return vt_fail(err, VT_E_INVALID, "%s is no text file", path);
    if (text[strspn(text, " \t\r\n")] == '{')
        return read_json(metadata, &file, path, err);
    return read_csv(metadata, text, path, slide_name, barcode, err);
}
