/* Answers: bytes, files with ranges, streams, errors; and the headers that every answer has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "console/http_inside.h"
#include "console/http_rules.h"
#include "core/err.h"
#include "dicom/uids.h"

enum { PACK_FROM = 1024, ZSTD_LEVEL = 1, GZIP_LEVEL = 1, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, STREAM_BLOCK = 256 << 10 };
enum { READ_ONLY = 0xa701 }; /* the archive's own status */

/* Pages load nothing from elsewhere and cannot be framed. */
static const char *const always[][2] = {
    { "X-Content-Type-Options", "nosniff" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Server", "vitrine" },
};

void vt_answer_header(struct vt_request *request, const char *name, const char *format, ...)
{
    struct header *header = &request->headers[request->header_count];
    va_list arguments;

    if (request->header_count == VT_HTTP_HEADERS_MAX)
        return;
    va_start(arguments, format);
    int length = vasprintf(&header->value, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    snprintf(header->name, sizeof header->name, "%s", name);
    request->header_count++;
}

static const char *header_value(const struct vt_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static bool has_header(const struct vt_request *request, const char *name)
{
    return header_value(request, name);
}

bool vt_answer_etag(struct vt_request *request, const char *etag)
{
    vt_answer_header(request, "ETag", "%s", etag);
    if (!vt_etag_is_listed(vt_request_header(request, "If-None-Match"), etag))
        return false;
    vt_answer_bytes(request, 304, NULL, "", 0);
    return true;
}

static void finish(struct vt_request *request, unsigned status, const char *type, struct MHD_Response *response)
{
    if (!response || request->answered)
        goto done;
    for (size_t i = 0; i < VT_COUNT(always); i++)
        if (!has_header(request, always[i][0]))
            MHD_add_response_header(response, always[i][0], always[i][1]);
    for (size_t i = 0; i < request->header_count; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    if (type)
        MHD_add_response_header(response, "Content-Type", type);
    request->status = status;
    if (request->in_body) {
        request->kept = response;
        request->kept_status = status;
        request->answered = true;
        return;
    }
    request->answered = MHD_queue_response(request->connection, status, response) == MHD_YES;
done:
    if (response)
        MHD_destroy_response(response);
}

bool vt_answered(const struct vt_request *request)
{
    return request->answered;
}

/* ---- bytes ---- */

static enum vt_coding coding_for(const struct vt_request *request, const char *type, size_t size)
{
    bool text = type && (strstr(type, "json") || strncmp(type, "text/", 5) == 0 || strstr(type, "javascript") ||
                         strstr(type, "xml"));

    if (size < PACK_FROM || !text || has_header(request, "Content-Encoding"))
        return VT_CODING_NONE;
    return vt_coding_choose(vt_request_header(request, "Accept-Encoding"));
}

/* NULL: not worth it, or no memory. */
static uint8_t *gzip(const void *bytes, size_t size, size_t *out_size)
{
    z_stream stream = { 0 };
    uint8_t *out = size <= UINT32_MAX / 2 ? malloc(size) : NULL;

    if (!out || deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(out);
        return NULL;
    }
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *out_size = stream.total_out;
    deflateEnd(&stream);
    if (whole)
        return out;
    free(out);
    return NULL;
}

static uint8_t *zstd(const void *bytes, size_t size, size_t *out_size)
{
    uint8_t *out = malloc(size);
    size_t packed = out ? ZSTD_compress(out, size, bytes, size, ZSTD_LEVEL) : 0;

    if (out && !ZSTD_isError(packed)) {
        *out_size = packed;
        return out;
    }
    free(out);
    return NULL;
}

/* Takes `bytes`. */
static void answer_owned(struct vt_request *request, unsigned status, const char *type, void *bytes, size_t size)
{
    size_t packed_size = 0;
    enum vt_coding coding = coding_for(request, type, size);
    uint8_t *packed = coding == VT_CODING_ZSTD   ? zstd(bytes, size, &packed_size)
                      : coding == VT_CODING_GZIP ? gzip(bytes, size, &packed_size)
                                                 : NULL;

    if (type && !has_header(request, "Vary"))
        vt_answer_header(request, "Vary", "Accept, Accept-Encoding");
    if (packed) {
        vt_answer_header(request, "Content-Encoding", coding == VT_CODING_ZSTD ? "zstd" : "gzip");
        free(bytes);
        bytes = packed;
        size = packed_size;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(bytes);
    finish(request, status, type, response);
}

void vt_answer_bytes(struct vt_request *request, unsigned status, const char *type, const void *bytes, size_t size)
{
    void *copy = malloc(size + 1);

    if (!copy)
        return;
    memcpy(copy, bytes, size);
    answer_owned(request, status, type, copy, size);
}

void vt_answer_buf(struct vt_request *request, unsigned status, const char *type, struct vt_buf *body)
{
    void *bytes = body->data ? body->data : malloc(1);
    size_t size = body->size;

    *body = (struct vt_buf){ .limit = body->limit };
    if (bytes)
        answer_owned(request, status, type, bytes, size);
}

/* ---- files ---- */

bool vt_answer_range(struct vt_request *request, uint64_t size, uint64_t *out_from, uint64_t *out_count,
                     unsigned *out_status)
{
    const char *etag = header_value(request, "ETag");
    bool kept = vt_etag_keeps_range(vt_request_header(request, "If-Range"), etag ? etag : "");
    uint64_t from = 0, to = 0;
    enum vt_range range = vt_range_read(kept ? vt_request_header(request, "Range") : NULL, size, &from, &to);

    vt_answer_header(request, "Accept-Ranges", "bytes");
    if (range == VT_RANGE_OUTSIDE) {
        vt_answer_header(request, "Content-Range", "bytes */%llu", (unsigned long long)size);
        vt_answer_error(request, 416, "There are %llu bytes.", (unsigned long long)size);
        return false;
    }
    if (range == VT_RANGE_PART)
        vt_answer_header(request, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)from,
                         (unsigned long long)to, (unsigned long long)size);
    *out_from = from;
    *out_count = range == VT_RANGE_PART ? to - from + 1 : size;
    *out_status = range == VT_RANGE_PART ? 206 : 200;
    return true;
}

void vt_answer_file(struct vt_request *request, const char *type, int fd, uint64_t offset, uint64_t size)
{
    uint64_t from, count;
    unsigned status;

    if (!vt_answer_range(request, size, &from, &count, &status)) {
        close(fd);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(count, fd, offset + from);
    if (!response)
        close(fd);
    finish(request, status, type, response);
}

/* ---- streams ---- */

struct stream {
    vt_http_pull pull;
    void *state;
    void (*free)(void *state);
};

static ssize_t on_pull(void *context, uint64_t position, char *bytes, size_t size)
{
    struct stream *stream = context;
    ptrdiff_t got = stream->pull(stream->state, position, (uint8_t *)bytes, size);

    return got > 0 ? got : got == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void on_free(void *context)
{
    struct stream *stream = context;

    if (stream->free)
        stream->free(stream->state);
    free(stream);
}

void vt_answer_stream(struct vt_request *request, unsigned status, const char *type, uint64_t size, vt_http_pull pull,
                      void *state, void (*free_state)(void *state))
{
    struct stream *stream = malloc(sizeof *stream);

    if (!stream) {
        if (free_state)
            free_state(state);
        return;
    }
    *stream = (struct stream){ pull, state, free_state };
    struct MHD_Response *response = MHD_create_response_from_callback(size == UINT64_MAX ? MHD_SIZE_UNKNOWN : size,
                                                                      STREAM_BLOCK, on_pull, stream, on_free);
    if (!response)
        on_free(stream);
    finish(request, status, type, response);
}

/* ---- errors ---- */

static void answer_sentence(struct vt_request *request, unsigned status, const char *sentence)
{
    VT_AUTO_BUF(body, 4096);
    struct vt_err err = { 0 };

    vt_buf_append_text(&body, "{\"error\":\"", &err);
    for (const char *p = sentence; *p; p++) {
        if (*p == '"' || *p == '\\')
            vt_buf_append_byte(&body, '\\', &err);
        vt_buf_append_byte(&body, (unsigned char)*p < 0x20 ? ' ' : (uint8_t)*p, &err);
    }
    vt_buf_append_text(&body, "\"}\n", &err);
    vt_answer_header(request, "Cache-Control", "no-store");
    vt_answer_buf(request, status, "application/json", &body);
}

void vt_answer_error(struct vt_request *request, unsigned status, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    answer_sentence(request, status, sentence);
}

void vt_answer_err(struct vt_request *request, const struct vt_err *err)
{
    static const struct {
        enum vt_code code;
        unsigned status;
    } rows[] = {
        { VT_E_INVALID, 400 }, { VT_E_PROTOCOL, 400 },    { VT_E_NOTFOUND, 404 }, { VT_E_EXISTS, 409 },
        { VT_E_DENIED, 403 },  { VT_E_UNSUPPORTED, 501 }, { VT_E_LIMIT, 413 },    { VT_E_BUSY, 503 },
        { VT_E_NOMEM, 503 },   { VT_E_TIMEOUT, 504 },     { VT_E_REFUSED, 502 },  { VT_E_CLOSED, 502 },
        { VT_E_FULL, 507 },
    };
    unsigned status = err->dimse_status == READ_ONLY ? 503 : 500;

    for (size_t i = 0; i < VT_COUNT(rows); i++)
        if (rows[i].code == err->code)
            status = rows[i].status;
    answer_sentence(request, status, err->text);
}
