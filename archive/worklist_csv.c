#include "archive/worklist_csv.h"

#include <stdio.h>
#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/tags.h"
#include "dicom/text.h"

enum { NAME_MAX_BYTES = 128, RECORD_MAX = 256 << 10, BAD_ROOM = 160 };

struct reading {
    const char *at, *end;
    char separator;
    size_t line;
    struct vt_buf record;                          /* fields of one record, each with a zero behind it */
    size_t starts[VT_WORKLIST_CSV_COLUMNS + 1], count; /* count beyond the array: too many */
    char names[VT_WORKLIST_CSV_COLUMNS][NAME_MAX_BYTES];
    size_t name_count;
};

/* The one that the first line has most of. */
static char find_separator(const char *at, const char *end)
{
    static const char candidates[] = { ',', ';', '\t' };
    size_t counts[sizeof candidates] = { 0 }, best = 0;

    for (; at < end && *at != '\n'; at++)
        for (size_t i = 0; i < sizeof candidates; i++)
            counts[i] += *at == candidates[i];
    for (size_t i = 1; i < sizeof candidates; i++)
        if (counts[i] > counts[best])
            best = i;
    return candidates[best];
}

static bool read_quoted(struct reading *reading, struct vt_err *err)
{
    size_t begun = reading->line;

    for (reading->at++; reading->at < reading->end; reading->at++) {
        if (*reading->at == '"' && (reading->at + 1 == reading->end || reading->at[1] != '"')) {
            reading->at++;
            return true;
        }
        reading->at += *reading->at == '"';
        reading->line += *reading->at == '\n';
        if (!vt_buf_append_byte(&reading->record, (uint8_t)*reading->at, err))
            return false;
    }
    return vt_fail(err, VT_E_INVALID, "line %zu: a quoted field does not end", begun);
}

static bool read_field(struct reading *reading, struct vt_err *err)
{
    if (reading->count < VT_WORKLIST_CSV_COLUMNS)
        reading->starts[reading->count] = reading->record.size;
    reading->count++;
    while (reading->at < reading->end && *reading->at == ' ')
        reading->at++;
    if (reading->at < reading->end && *reading->at == '"' && !read_quoted(reading, err))
        return false;
    for (; reading->at < reading->end && *reading->at != reading->separator && *reading->at != '\n'; reading->at++)
        if (*reading->at != '\r' && !vt_buf_append_byte(&reading->record, (uint8_t)*reading->at, err))
            return false;
    return vt_buf_append_byte(&reading->record, 0, err);
}

/* false with err clear: no more. */
static bool read_record(struct reading *reading, size_t *out_line, struct vt_err *err)
{
    vt_buf_reset(&reading->record);
    reading->count = 0;
    *out_line = reading->line;
    if (reading->at >= reading->end)
        return false;
    for (;;) {
        if (!read_field(reading, err))
            return vt_fail_context(err, "line %zu", *out_line);
        if (reading->at >= reading->end)
            return true;
        if (*reading->at++ == '\n') {
            reading->line++;
            return true;
        }
    }
}

static const char *field(const struct reading *reading, size_t i)
{
    const char *text = (const char *)reading->record.data + reading->starts[i];

    return text + strspn(text, " ");
}

static bool read_names(struct reading *reading, struct vt_err *err)
{
    size_t line;
    uint32_t tag;

    if (!read_record(reading, &line, err))
        return vt_failed(err) ? false : vt_fail(err, VT_E_INVALID, "the table is empty");
    if (reading->count > VT_WORKLIST_CSV_COLUMNS)
        return vt_fail(err, VT_E_LIMIT, "the table has more than %d columns", VT_WORKLIST_CSV_COLUMNS);
    for (size_t i = 0; i < reading->count; i++) {
        char first[NAME_MAX_BYTES];
        size_t length = strlen(field(reading, i));
        while (length > 0 && field(reading, i)[length - 1] == ' ')
            length--;
        if (length >= NAME_MAX_BYTES - 1)
            return vt_fail(err, VT_E_INVALID, "column %zu has too long a name", i + 1);
        snprintf(reading->names[i], NAME_MAX_BYTES, "%.*s", (int)length, field(reading, i));
        snprintf(first, sizeof first, "%.*s", (int)strcspn(reading->names[i], ".["), reading->names[i]);
        if (first[0] && !vt_dict_tag(first, &tag))
            return vt_fail(err, VT_E_INVALID,
                           "column %zu: '%.60s' is no attribute: the first line names keywords such as PatientName",
                           i + 1, reading->names[i]);
    }
    reading->name_count = reading->count;
    return true;
}

static bool is_blank(const struct reading *reading)
{
    for (size_t i = 0; i < reading->record.size; i++)
        if (reading->record.data[i] != 0 && reading->record.data[i] != ' ')
            return false;
    return true;
}

static bool give_row(struct reading *reading, size_t line, struct vt_buf *text, vt_worklist_csv_row row, void *context,
                     struct vt_err *err)
{
    size_t places[VT_WORKLIST_CSV_COLUMNS], count = 0;
    const char *words[VT_WORKLIST_CSV_COLUMNS];
    char bad[BAD_ROOM] = "";

    vt_buf_reset(text);
    if (reading->count > reading->name_count)
        snprintf(bad, sizeof bad, "%zu fields, but the first line names %zu", reading->count, reading->name_count);
    for (size_t i = 0; i < reading->count && i < reading->name_count && !bad[0]; i++) {
        if (!reading->names[i][0] || !field(reading, i)[0])
            continue;
        places[count++] = text->size;
        if (!vt_buf_printf(text, err, "%s=%s", reading->names[i], field(reading, i)) ||
            !vt_buf_append_byte(text, 0, err))
            return vt_fail_context(err, "line %zu", line);
    }
    for (size_t i = 0; i < count; i++)
        words[i] = (const char *)text->data + places[i];
    return row(context, line, words, count, bad[0] ? bad : NULL, err);
}

static bool read_all(struct reading *reading, vt_worklist_csv_row row, void *context, struct vt_err *err)
{
    VT_AUTO_BUF(text, 2 * RECORD_MAX);
    size_t line;

    if (!read_names(reading, err))
        return false;
    while (read_record(reading, &line, err))
        if (!is_blank(reading) && !give_row(reading, line, &text, row, context, err))
            return false;
    return !vt_failed(err);
}

bool vt_worklist_csv(const uint8_t *bytes, size_t size, const char *charset, vt_worklist_csv_row row, void *context,
                     struct vt_err *err)
{
    static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };
    VT_AUTO_BUF(text, 3 * (size_t)VT_WORKLIST_CSV_MAX);
    struct reading reading = { .line = 1, .record = { .limit = RECORD_MAX } };

    if (size > VT_WORKLIST_CSV_MAX)
        return vt_fail(err, VT_E_LIMIT, "the table has more than %d bytes", VT_WORKLIST_CSV_MAX);
    if (charset && !vt_text_charset_known(charset))
        return vt_fail(err, VT_E_INVALID, "'%.40s' is no character set such as ISO_IR 100", charset);
    if (size >= sizeof mark && memcmp(bytes, mark, sizeof mark) == 0) {
        bytes += sizeof mark;
        size -= sizeof mark;
    }
    if (!vt_text_to_utf8(charset, NULL, "UT", (const char *)bytes, size, "\xef\xbf\xbd", &text, err))
        return false;
    reading.at = (const char *)text.data;
    reading.end = reading.at + text.size;
    reading.separator = text.size > 0 ? find_separator(reading.at, reading.end) : ',';
    bool ok = read_all(&reading, row, context, err);
    vt_buf_fini(&reading.record);
    return ok;
}
