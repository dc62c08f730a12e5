#include "console/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/auto.h"
#include "core/err.h"

/* ---- writing ---- */

void vt_boundary_new(struct vt_boundary *boundary)
{
    uint8_t bytes[16] = { 0 };

    (void)!getrandom(bytes, sizeof bytes, 0);
    int length = snprintf(boundary->text, sizeof boundary->text, "vitrine-");
    for (size_t i = 0; i < sizeof bytes; i++)
        length += snprintf(boundary->text + length, sizeof boundary->text - (size_t)length, "%02x", bytes[i]);
    boundary->begun = false;
}

void vt_boundary_type(const struct vt_boundary *boundary, const char *type, char *out, size_t room)
{
    snprintf(out, room, "multipart/related; type=\"%s\"; boundary=%s", type, boundary->text);
}

bool vt_boundary_part(struct vt_boundary *boundary, const char *type, const char *location, struct vt_buf *out,
                      struct vt_err *err)
{
    const char *before = boundary->begun ? "\r\n" : "";

    boundary->begun = true;
    return vt_buf_printf(out, err, "%s--%s\r\nContent-Type: %s\r\n", before, boundary->text, type) &&
           (!location || vt_buf_printf(out, err, "Content-Location: %s\r\n", location)) &&
           vt_buf_append_text(out, "\r\n", err);
}

bool vt_boundary_end(const struct vt_boundary *boundary, struct vt_buf *out, struct vt_err *err)
{
    return vt_buf_printf(out, err, "%s--%s--\r\n", boundary->begun ? "\r\n" : "", boundary->text);
}

/* ---- reading ---- */

enum phase { PREAMBLE, AFTER, HEADERS, BODY, EPILOGUE };

/* The parameter's value with its quotes off. */
static bool find_boundary(const char *content_type, char out[VT_BOUNDARY_MAX + 1])
{
    const char *p = content_type ? strcasestr(content_type, "boundary=") : NULL;

    if (!p)
        return false;
    p += strlen("boundary=");
    const char *end = *p == '"' ? strchr(++p, '"') : p + strcspn(p, "; \t\r\n,");
    size_t length = end ? (size_t)(end - p) : 0;
    if (length == 0 || length > VT_BOUNDARY_MAX)
        return false;
    memcpy(out, p, length);
    out[length] = '\0';
    return true;
}

bool vt_multipart_init(struct vt_multipart *reader, const char *content_type, struct vt_err *err)
{
    char boundary[VT_BOUNDARY_MAX + 1];

    if (!find_boundary(content_type, boundary))
        return vt_fail(err, VT_E_INVALID, "the Content-Type names no boundary");
    reader->delimiter_size =
        (size_t)snprintf(reader->delimiter, sizeof reader->delimiter, "\r\n--%s", boundary);
    reader->phase = PREAMBLE;
    reader->parts = 0;
    vt_buf_init(&reader->held, VT_PART_HEADERS_MAX);
    return vt_buf_append_text(&reader->held, "\r\n", err); /* the first delimiter may stand at the very begin */
}

void vt_multipart_fini(struct vt_multipart *reader)
{
    vt_buf_fini(&reader->held);
}

static bool give(struct vt_multipart *reader, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return reader->phase != BODY || size == 0 || reader->bytes(reader->context, bytes, size, err);
}

static void drop_held(struct vt_multipart *reader, size_t size)
{
    memmove(reader->held.data, reader->held.data + size, reader->held.size - size);
    reader->held.size -= size;
}

static bool delimiter_found(struct vt_multipart *reader, struct vt_err *err)
{
    bool ok = reader->phase != BODY || reader->end(reader->context, err);

    reader->phase = AFTER;
    vt_buf_reset(&reader->held);
    return ok;
}

/* Where a delimiter begins that is not whole yet, at the end of what is there. */
static size_t partial(const struct vt_multipart *reader, const uint8_t *bytes, size_t size)
{
    size_t most = reader->delimiter_size - 1 < size ? reader->delimiter_size - 1 : size;

    for (size_t length = most; length > 0; length--)
        if (memcmp(bytes + size - length, reader->delimiter, length) == 0)
            return length;
    return 0;
}

/* Preamble and body: everything up to the delimiter. *used: bytes of the piece that are done with. */
static bool feed_data(struct vt_multipart *reader, const uint8_t *bytes, size_t size, size_t *used,
                      struct vt_err *err)
{
    struct vt_buf *held = &reader->held;

    *used = 0;
    while (held->size > 0 && *used < size) { /* the end of the last piece looked like a delimiter */
        size_t matched = held->size;
        if (bytes[*used] == (uint8_t)reader->delimiter[matched]) {
            if (!vt_buf_append_byte(held, bytes[(*used)++], err))
                return false;
            if (held->size == reader->delimiter_size)
                return delimiter_found(reader, err);
            continue;
        }
        size_t keep = held->size > 1 ? partial(reader, held->data + 1, held->size - 1) : 0;
        if (!give(reader, held->data, held->size - keep, err))
            return false;
        drop_held(reader, held->size - keep);
    }
    const uint8_t *begin = bytes + *used, *found = NULL;
    size_t left = size - *used;
    if (left == 0)
        return true;
    found = memmem(begin, left, reader->delimiter, reader->delimiter_size);
    size_t data = found ? (size_t)(found - begin) : left - partial(reader, begin, left);
    if (!give(reader, begin, data, err))
        return false;
    if (found) {
        *used += data + reader->delimiter_size;
        return delimiter_found(reader, err);
    }
    *used = size;
    return vt_buf_append(held, begin + data, left - data, err);
}

/* The value of a header of the part, "" when there is none. */
static void header_of(const char *headers, const char *name, char *out, size_t room)
{
    size_t length = strlen(name);

    *out = '\0';
    for (const char *line = headers; line && *line; line = strstr(line, "\r\n") ? strstr(line, "\r\n") + 2 : NULL) {
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *value = line + length + 1;
        value += strspn(value, " \t");
        snprintf(out, room, "%.*s", (int)strcspn(value, "\r\n"), value);
        return;
    }
}

static bool begin_part(struct vt_multipart *reader, struct vt_err *err)
{
    char type[256], location[1024];
    const char *headers = vt_buf_string(&reader->held, err);

    if (!headers)
        return false;
    if (++reader->parts > VT_PARTS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d parts", VT_PARTS_MAX);
    header_of(headers, "Content-Type", type, sizeof type);
    header_of(headers, "Content-Location", location, sizeof location);
    vt_buf_reset(&reader->held);
    reader->phase = BODY;
    return reader->begin(reader->context, type, location, err);
}

/* Behind a delimiter: "--" ends all, else blanks and a line's end, then headers up to an empty line. */
static bool feed_line(struct vt_multipart *reader, uint8_t byte, struct vt_err *err)
{
    struct vt_buf *held = &reader->held;

    if (!vt_buf_append_byte(held, byte, err))
        return vt_fail(err, VT_E_INVALID, "the headers of a part are longer than %d bytes", VT_PART_HEADERS_MAX);
    if (reader->phase == AFTER) {
        if (held->size == 2 && memcmp(held->data, "--", 2) == 0)
            reader->phase = EPILOGUE;
        else if (held->size >= 2 && memcmp(held->data + held->size - 2, "\r\n", 2) == 0) {
            vt_buf_reset(held);
            reader->phase = HEADERS;
        }
        return true;
    }
    bool empty = held->size == 2 && memcmp(held->data, "\r\n", 2) == 0;
    bool end = held->size >= 4 && memcmp(held->data + held->size - 4, "\r\n\r\n", 4) == 0;
    return (!empty && !end) || begin_part(reader, err);
}

bool vt_multipart_feed(struct vt_multipart *reader, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    for (size_t at = 0; at < size && reader->phase != EPILOGUE;) {
        size_t used = 1;
        bool ok = reader->phase == AFTER || reader->phase == HEADERS
                      ? feed_line(reader, bytes[at], err)
                      : feed_data(reader, bytes + at, size - at, &used, err);
        if (!ok)
            return false;
        at += used;
    }
    return true;
}

bool vt_multipart_finish(struct vt_multipart *reader, struct vt_err *err)
{
    return reader->phase == EPILOGUE || vt_fail(err, VT_E_INVALID, "the last boundary of the body is missing");
}
