/* The decoder: libxml2 reads, the builder makes values of what it reports. */
#include "hypervisor/xmlrpc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libxml/parser.h>

#include "core/err.h"
#include "hypervisor/utf8.h"
#include "hypervisor/xmlrpc_build.h"

enum { STAGE_SIZE = 16 * 1024 };

struct vt_xmlrpc_decoder {
    xmlParserCtxtPtr parser;
    struct vt_xmlrpc_builder *build;
    size_t bytes, limit;
    uint8_t stage[STAGE_SIZE]; /* bytes that the parser has not seen */
    size_t staged;
    bool begun, latin1;
};

const struct vt_xmlrpc_limits vt_xmlrpc_limits = { .bytes = VT_XMLRPC_BYTES_MAX,
                                                   .depth = VT_XMLRPC_DEPTH_MAX,
                                                   .values = VT_XMLRPC_VALUES_MAX };
const struct vt_xmlrpc_limits vt_xmlrpc_stream_limits = { .bytes = VT_XMLRPC_STREAM_BYTES_MAX,
                                                          .depth = VT_XMLRPC_DEPTH_MAX,
                                                          .values = UINT32_MAX };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool failed(const struct vt_xmlrpc_decoder *decoder)
{
    return vt_xmlrpc_build_error(decoder->build);
}

/* Behind each report: a builder that has failed wants no more. */
static void stop_if_failed(struct vt_xmlrpc_decoder *decoder)
{
    if (failed(decoder))
        xmlStopParser(decoder->parser);
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int namespaces, const xmlChar **ns, int attributes, int defaulted,
                     const xmlChar **atts)
{
    struct vt_xmlrpc_decoder *decoder = context;

    (void)prefix, (void)uri, (void)namespaces, (void)ns;
    (void)attributes, (void)defaulted, (void)atts;
    vt_xmlrpc_build_start(decoder->build, (const char *)name);
    stop_if_failed(decoder);
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct vt_xmlrpc_decoder *decoder = context;

    (void)name, (void)prefix, (void)uri;
    vt_xmlrpc_build_end(decoder->build);
    stop_if_failed(decoder);
}

static void on_text(void *context, const xmlChar *text, int size)
{
    struct vt_xmlrpc_decoder *decoder = context;

    vt_xmlrpc_build_text(decoder->build, text, size > 0 ? (size_t)size : 0);
    stop_if_failed(decoder);
}

static void on_doctype(void *context, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    struct vt_xmlrpc_decoder *decoder = context;

    (void)name, (void)external, (void)system;
    vt_xmlrpc_build_broken(decoder->build, "a document type declaration");
    stop_if_failed(decoder);
}

struct vt_xmlrpc_decoder *vt_xmlrpc_decoder_new(const struct vt_xmlrpc_limits *limits,
                                                struct vt_err *err)
{
    static const xmlSAXHandler handler = {
        .initialized = XML_SAX2_MAGIC,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .characters = on_text,
        .ignorableWhitespace = on_text,
        .cdataBlock = on_text,
        .internalSubset = on_doctype,
    };
    VT_AUTO(vt_xmlrpc_decoder) decoder = calloc(1, sizeof *decoder);

    pthread_once(&once, xmlInitParser);
    if (decoder)
        decoder->build = vt_xmlrpc_builder_new(limits);
    if (decoder && decoder->build)
        decoder->parser =
            xmlCreatePushParserCtxt((xmlSAXHandlerPtr)&handler, decoder, NULL, 0, NULL);
    if (!decoder || !decoder->parser) {
        vt_fail(err, VT_E_NOMEM, "no memory for an XML-RPC message");
        return NULL;
    }
    xmlCtxtUseOptions(decoder->parser, XML_PARSE_NONET | XML_PARSE_NOWARNING | XML_PARSE_NOERROR);
    decoder->limit = limits->bytes;
    return vt_take(&decoder);
}

void vt_xmlrpc_decoder_stream(struct vt_xmlrpc_decoder *decoder, const char *const *path,
                              uint32_t path_length, vt_xmlrpc_item_fn fn, void *context)
{
    vt_xmlrpc_build_stream(decoder->build, path, path_length, fn, context);
}

void vt_xmlrpc_decoder_free(struct vt_xmlrpc_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->parser)
        xmlFreeParserCtxt(decoder->parser);
    vt_xmlrpc_builder_free(decoder->build);
    free(decoder);
}

/* A declaration that names an encoding is believed when it is Latin-1, and refused when it is an
 * unusual one. */
static bool sniff_encoding(struct vt_xmlrpc_decoder *decoder)
{
    char head[128] = "";
    size_t size = decoder->staged < sizeof head - 1 ? decoder->staged : sizeof head - 1;

    memcpy(head, decoder->stage, size);
    char *end = strncmp(head, "<?xml", 5) == 0 ? strstr(head, "?>") : NULL;
    if (!end)
        return true;
    *end = '\0';
    const char *encoding = strstr(head, "encoding");
    if (!encoding || strcasestr(encoding, "utf-8") || strcasestr(encoding, "us-ascii"))
        return true;
    decoder->latin1 = strcasestr(encoding, "iso-8859-1");
    return decoder->latin1 ||
           (vt_xmlrpc_build_broken(decoder->build, "an encoding other than UTF-8 and ISO-8859-1"),
            false);
}

static bool parse(struct vt_xmlrpc_decoder *decoder, const void *bytes, size_t size, bool last)
{
    if (failed(decoder))
        return false;
    int code = xmlParseChunk(decoder->parser, bytes, (int)size, last);
    if (failed(decoder))
        return false;
    if (code == XML_ERR_NO_MEMORY)
        return vt_xmlrpc_build_no_memory(decoder->build), false;
    if (code == XML_ERR_OK)
        return true;
    const xmlError *error = xmlCtxtGetLastError(decoder->parser);
    char text[120] = "";
    snprintf(text, sizeof text, "%s", error && error->message ? error->message : "ill-formed");
    text[strcspn(text, "\r\n")] = '\0';
    vt_xmlrpc_build_broken(decoder->build, text);
    return false;
}

/* Gives the parser what is staged; a character cut at the end waits, unless this is the last call.
 */
static bool drain(struct vt_xmlrpc_decoder *decoder, bool last)
{
    size_t run = 0, i = 0;

    if (!decoder->begun && !sniff_encoding(decoder))
        return false;
    decoder->begun = true;
    while (i < decoder->staged) {
        size_t length =
            decoder->latin1 ? 1 : vt_utf8_length(decoder->stage + i, decoder->staged - i);
        if (length == VT_UTF8_CUT && !last)
            break;
        if (length == 0 || length == VT_UTF8_CUT) {
            const uint8_t byte = decoder->stage[i];
            const uint8_t two[2] = { (uint8_t)(0xc0 | byte >> 6), (uint8_t)(0x80 | (byte & 0x3f)) };
            if ((i > run && !parse(decoder, decoder->stage + run, i - run, false)) ||
                !parse(decoder, two, sizeof two, false))
                return false;
            vt_xmlrpc_build_latin1(decoder->build);
            run = ++i;
            continue;
        }
        i += length;
    }
    if (i > run && !parse(decoder, decoder->stage + run, i - run, false))
        return false;
    memmove(decoder->stage, decoder->stage + i, decoder->staged - i);
    decoder->staged -= i;
    return true;
}

bool vt_xmlrpc_decoder_push(struct vt_xmlrpc_decoder *decoder, const void *bytes, size_t size,
                            struct vt_err *err)
{
    const uint8_t *from = bytes;

    if (size > decoder->limit - decoder->bytes)
        vt_xmlrpc_build_exceeded(decoder->build, "bytes");
    decoder->bytes += failed(decoder) ? 0 : size;
    while (size > 0 && !failed(decoder)) {
        size_t part = STAGE_SIZE - decoder->staged;
        part = part < size ? part : size;
        memcpy(decoder->stage + decoder->staged, from, part);
        decoder->staged += part;
        from += part;
        size -= part;
        if (decoder->staged == STAGE_SIZE)
            drain(decoder, false);
    }
    if (failed(decoder))
        *err = *vt_xmlrpc_build_error(decoder->build);
    return !failed(decoder);
}

struct vt_xmlrpc_message *vt_xmlrpc_decoder_finish(struct vt_xmlrpc_decoder *decoder,
                                                   struct vt_err *err)
{
    struct vt_xmlrpc_message *message = NULL;

    if (!failed(decoder) && drain(decoder, true) && parse(decoder, "", 0, true))
        message = vt_xmlrpc_build_finish(decoder->build);
    if (!message)
        *err = *vt_xmlrpc_build_error(decoder->build);
    return message;
}

static struct vt_xmlrpc_message *decode_all(const void *bytes, size_t size, struct vt_err *err)
{
    VT_AUTO(vt_xmlrpc_decoder) decoder = vt_xmlrpc_decoder_new(&vt_xmlrpc_limits, err);

    if (!decoder || !vt_xmlrpc_decoder_push(decoder, bytes, size, err))
        return NULL;
    return vt_xmlrpc_decoder_finish(decoder, err);
}

struct vt_xmlrpc_message *vt_xmlrpc_decode(const void *bytes, size_t size, struct vt_err *err)
{
    VT_AUTO(vt_xmlrpc_message) message = decode_all(bytes, size, err);

    if (message && message->kind == VT_XMLRPC_BARE) {
        vt_fail(err, VT_E_PROTOCOL, "not XML-RPC: a value without a message around it");
        return NULL;
    }
    return vt_take(&message);
}

struct vt_xmlrpc_message *vt_xmlrpc_decode_value(const char *text, struct vt_err *err)
{
    VT_AUTO(vt_xmlrpc_message) message = decode_all(text, strlen(text), err);

    if (message && message->kind != VT_XMLRPC_BARE) {
        vt_fail(err, VT_E_PROTOCOL, "not XML-RPC: a message where a value belongs");
        return NULL;
    }
    return vt_take(&message);
}
