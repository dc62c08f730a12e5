#include "hypervisor/line.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "core/buf.h"
#include "core/err.h"

enum { URL_MAX = 512, EXCERPT_MAX = 120, CONTENT_TYPE_MAX = 80 };

struct vt_line {
    CURL *easy;
    struct curl_slist *headers;
    atomic_bool stopped;
    /* of the request that is under way */
    struct vt_xmlrpc_decoder *decoder;
    bool failed; /* the decoder refused: `err` says why */
    struct vt_err err;
    char excerpt[EXCERPT_MAX]; /* of a body that is no XML-RPC, for the error */
    char curl_text[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct vt_line *vt_line_new(struct vt_err *err)
{
    VT_AUTO(vt_line) line = calloc(1, sizeof *line);

    pthread_once(&once, init_curl);
    if (line)
        line->easy = curl_easy_init();
    if (line && line->easy)
        line->headers = curl_slist_append(NULL, "Content-Type: text/xml");
    struct curl_slist *more =
        line && line->headers ? curl_slist_append(line->headers, "Expect:") : NULL;
    if (!more) {
        vt_fail(err, VT_E_NOMEM, "no memory for a connection");
        return NULL;
    }
    line->headers = more;
    return vt_take(&line);
}

void vt_line_free(struct vt_line *line)
{
    if (!line)
        return;
    curl_easy_cleanup(line->easy);
    curl_slist_free_all(line->headers);
    free(line);
}

void vt_line_stop(struct vt_line *line)
{
    atomic_store(&line->stopped, true);
}

void vt_line_resume(struct vt_line *line)
{
    atomic_store(&line->stopped, false);
}

bool vt_line_stopped(struct vt_line *line)
{
    return atomic_load(&line->stopped);
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct vt_line *line = context;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&line->stopped);
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct vt_line *line = context;
    long status = 0;

    size *= count;
    curl_easy_getinfo(line->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        if (line->excerpt[0] == '\0')
            snprintf(line->excerpt, sizeof line->excerpt, "%.*s", size > 100 ? 100 : (int)size,
                     bytes);
        return size;
    }
    if (!line->failed && !vt_xmlrpc_decoder_push(line->decoder, bytes, size, &line->err))
        line->failed = true;
    return line->failed ? 0 : size;
}

/* What every request has in common. XAPI speaks HTTP/1.1 and redirects nobody. */
static bool prepare(struct vt_line *line, const struct vt_line_host *host, int64_t timeout_ms,
                    struct vt_err *err)
{
    CURL *easy = line->easy;
    char url[URL_MAX];
    bool brackets = strchr(host->address, ':');

    int length = snprintf(url, sizeof url, brackets ? "%s://[%s]:%u%s" : "%s://%s:%u%s",
                          host->scheme, host->address, host->port, host->path);
    if (length < 0 || (size_t)length >= sizeof url)
        return vt_fail(err, VT_E_INVALID, "the address of the host is too long");
    curl_easy_reset(easy); /* keeps the connection */
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(timeout_ms < VT_LINE_CONNECT_MS ? timeout_ms : VT_LINE_CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "vitrine/" VT_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, line->curl_text);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, line);
    line->curl_text[0] = line->excerpt[0] = '\0';
    line->failed = false;
    return true;
}

static bool blame(struct vt_line *line, const struct vt_line_host *host, CURLcode code,
                  struct vt_err *err)
{
    const char *why = line->curl_text[0] ? line->curl_text : curl_easy_strerror(code);

    if (line->failed) {
        *err = line->err;
        return vt_fail_context(err, "%s", host->address);
    }
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return vt_fail(err, VT_E_CANCELLED, "the request to %s was stopped", host->address);
    case CURLE_OPERATION_TIMEDOUT:
        return vt_fail(err, VT_E_TIMEOUT, "%s does not answer", host->address);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return vt_fail(err, VT_E_REFUSED, "%s cannot be reached: %s", host->address, why);
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return vt_fail(
            err, VT_E_DENIED,
            "the certificate of %s has CHANGED: somebody may be in between; if the host was "
            "given a new one, forget the old pin",
            host->address);
    case CURLE_PEER_FAILED_VERIFICATION:
        return vt_fail(err, VT_E_DENIED, "the certificate of %s is not trusted: %s", host->address,
                       why);
    case CURLE_SSL_CONNECT_ERROR:
        return vt_fail(err, VT_E_REFUSED, "no TLS with %s: %s", host->address, why);
    case CURLE_OUT_OF_MEMORY:
        return vt_fail(err, VT_E_NOMEM, "no memory for a connection");
    default:
        return vt_fail(err, VT_E_CLOSED, "the connection to %s broke: %s", host->address, why);
    }
}

static bool read_certificate(struct vt_line *line, struct vt_cert *out, struct vt_err *err)
{
    struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(line->easy, CURLINFO_CERTINFO, &info) == CURLE_OK && info &&
        info->num_of_certs > 0)
        for (struct curl_slist *item = info->certinfo[0]; item; item = item->next)
            if (strncmp(item->data, "Cert:", 5) == 0)
                return vt_cert_read(item->data + 5, out, err);
    return vt_fail(err, VT_E_PROTOCOL, "the host showed no certificate");
}

bool vt_line_peek(struct vt_line *line, const struct vt_line_host *host, int64_t timeout_ms,
                  struct vt_cert *out, struct vt_err *err)
{
    if (!prepare(line, host, timeout_ms, err))
        return false;
    curl_easy_setopt(line->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(line->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(line->easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(line->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(line->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    CURLcode code = curl_easy_perform(line->easy);
    if (code != CURLE_OK)
        return blame(line, host, code, err);
    return read_certificate(line, out, err);
}

static bool trust(struct vt_line *line, const struct vt_line_host *host, struct vt_err *err)
{
    if (strcmp(host->scheme, "https") != 0)
        return true;
    if (host->ca_file) {
        curl_easy_setopt(line->easy, CURLOPT_CAINFO, host->ca_file);
        return true;
    }
    if (!host->pin || !*host->pin)
        return vt_fail(err, VT_E_INTERNAL, "no pin and no CA file for %s", host->address);
    /* the pin is stronger than the name, and works for a certificate that nobody signed */
    curl_easy_setopt(line->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(line->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(line->easy, CURLOPT_PINNEDPUBLICKEY, host->pin);
    return true;
}

static bool is_xml(const char *type)
{
    return type &&
           (strncasecmp(type, "text/xml", 8) == 0 || strncasecmp(type, "application/xml", 15) == 0);
}

static bool check_status(struct vt_line *line, const struct vt_line_host *host, struct vt_err *err)
{
    long status = 0;
    const char *type = NULL;

    curl_easy_getinfo(line->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(line->easy, CURLINFO_CONTENT_TYPE, &type);
    if (status != 200)
        return vt_fail(err, VT_E_PROTOCOL, "%s answered with HTTP status %ld: %s", host->address,
                       status, line->excerpt);
    return is_xml(type) || vt_fail(err, VT_E_PROTOCOL, "%s does not speak XML-RPC: it sent %s",
                                   host->address, type ? type : "no content type");
}

struct vt_xmlrpc_message *vt_line_post(struct vt_line *line, const struct vt_line_host *host,
                                       const struct vt_buf *body, int64_t timeout_ms,
                                       bool once_only, const struct vt_line_stream *stream,
                                       struct vt_err *err)
{
    VT_AUTO(vt_xmlrpc_decoder)
    decoder = vt_xmlrpc_decoder_new(stream ? &vt_xmlrpc_stream_limits : &vt_xmlrpc_limits, err);

    if (!decoder || !prepare(line, host, timeout_ms, err) || !trust(line, host, err))
        return NULL;
    if (stream)
        vt_xmlrpc_decoder_stream(decoder, stream->path, stream->path_length, stream->fn,
                                 stream->context);
    line->decoder = decoder;
    curl_easy_setopt(line->easy, CURLOPT_FRESH_CONNECT, once_only ? 1L : 0L);
    curl_easy_setopt(line->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(line->easy, CURLOPT_POSTFIELDS, body->data);
    curl_easy_setopt(line->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size);
    curl_easy_setopt(line->easy, CURLOPT_HTTPHEADER, line->headers);
    curl_easy_setopt(line->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(line->easy, CURLOPT_WRITEDATA, line);
    CURLcode code = curl_easy_perform(line->easy);
    curl_easy_setopt(line->easy, CURLOPT_POSTFIELDS, NULL);
    line->decoder = NULL;
    if (code != CURLE_OK) {
        blame(line, host, code, err);
        return NULL;
    }
    if (!check_status(line, host, err))
        return NULL;
    return vt_xmlrpc_decoder_finish(decoder, err);
}

/* ---- a bare connection ---- */

bool vt_line_connect(struct vt_line *line, const struct vt_line_host *host, int64_t timeout_ms,
                     struct vt_err *err)
{
    if (!prepare(line, host, timeout_ms, err) || !trust(line, host, err))
        return false;
    curl_easy_setopt(line->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(line->easy, CURLOPT_FRESH_CONNECT, 1L);
    CURLcode code = curl_easy_perform(line->easy);
    return code == CURLE_OK || blame(line, host, code, err);
}

static bool transferred(CURLcode code, size_t moved, size_t *out_size, struct vt_err *err)
{
    if (code != CURLE_OK && code != CURLE_AGAIN)
        return vt_fail(err, VT_E_CLOSED, "the connection broke: %s", curl_easy_strerror(code));
    *out_size = code == CURLE_OK ? moved : 0;
    return true;
}

bool vt_line_read(struct vt_line *line, void *bytes, size_t room, size_t *out_size,
                  struct vt_err *err)
{
    size_t moved = 0;
    CURLcode code = curl_easy_recv(line->easy, bytes, room, &moved);

    if (code == CURLE_OK && moved == 0)
        return vt_fail(err, VT_E_CLOSED, "the host closed the connection");
    return transferred(code, moved, out_size, err);
}

bool vt_line_write(struct vt_line *line, const void *bytes, size_t size, size_t *out_size,
                   struct vt_err *err)
{
    size_t moved = 0;
    CURLcode code = curl_easy_send(line->easy, bytes, size, &moved);

    return transferred(code, moved, out_size, err);
}

int vt_line_socket(struct vt_line *line)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(line->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK)
        return -1;
    return fd == CURL_SOCKET_BAD ? -1 : fd;
}
