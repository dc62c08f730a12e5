/* The decoder: libxml2 reads, a stack of frames follows which element may stand where, values are built as
 * their end tags come. Nothing recurses. */
#include "hypervisor/xmlrpc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libxml/parser.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/arena.h"
#include "hypervisor/utf8.h"

enum element {
    DOCUMENT, METHOD_CALL, METHOD_RESPONSE, METHOD_NAME, PARAMS, PARAM, FAULT, VALUE, ARRAY, DATA, STRUCT, MEMBER,
    NAME, TEXT_STRING, TEXT_INT, TEXT_BOOL, TEXT_DOUBLE, TEXT_DATETIME, TEXT_BASE64, NIL
};

/* Which element may stand in which, and what it is then. */
static const struct rule {
    enum element parent;
    const char *name;
    enum element element;
} rules[] = {
    { VALUE, "struct", STRUCT },       { STRUCT, "member", MEMBER },
    { MEMBER, "name", NAME },          { MEMBER, "value", VALUE },
    { VALUE, "array", ARRAY },         { ARRAY, "data", DATA },
    { DATA, "value", VALUE },          { VALUE, "boolean", TEXT_BOOL },
    { VALUE, "string", TEXT_STRING },  { VALUE, "double", TEXT_DOUBLE },
    { VALUE, "int", TEXT_INT },        { VALUE, "i4", TEXT_INT },
    { VALUE, "i8", TEXT_INT },         { VALUE, "dateTime.iso8601", TEXT_DATETIME },
    { VALUE, "base64", TEXT_BASE64 },  { VALUE, "nil", NIL },
    { PARAMS, "param", PARAM },        { PARAM, "value", VALUE },
    { DOCUMENT, "methodCall", METHOD_CALL },
    { DOCUMENT, "methodResponse", METHOD_RESPONSE },
    { DOCUMENT, "value", VALUE },      { METHOD_CALL, "methodName", METHOD_NAME },
    { METHOD_CALL, "params", PARAMS }, { METHOD_RESPONSE, "params", PARAMS },
    { METHOD_RESPONSE, "fault", FAULT }, { FAULT, "value", VALUE },
};

/* value, struct, member (or array, data) for each level, and what is around them */
enum { FRAMES_MAX = VT_XMLRPC_DEPTH_MAX * 3 + 8, STAGE_SIZE = 16 * 1024, NAMES_MAX = 1024, NAME_KEPT_MAX = 64 };

struct frame {
    enum element element;
    bool typed;                             /* a VALUE that had a child element */
    bool named;                             /* a MEMBER that had its name, an ARRAY its data */
    bool filled;                            /* a MEMBER or PARAM that had its value */
    const char *name;                       /* of a MEMBER */
    struct vt_xmlrpc_value *value;          /* of a VALUE */
    const struct vt_xmlrpc_value **tail;    /* where the next child goes */
    bool item;                              /* a VALUE that is handed out when it ends */
    struct vt_arena_mark mark;              /* of an item: the arena before it */
};

struct owned_message {
    struct vt_xmlrpc_message message;   /* first: what the caller holds */
    struct vt_arena arena;
    struct vt_arena names;   /* of members: they stay when an item goes */
};

struct vt_xmlrpc_decoder {
    struct vt_xmlrpc_limits limits;
    xmlParserCtxtPtr parser;
    struct owned_message *out;
    struct frame frames[FRAMES_MAX];
    uint32_t top;                       /* index of the innermost frame */
    uint32_t depth, values;
    size_t bytes;
    struct vt_buf text;                 /* of the innermost element */
    const char *names[NAMES_MAX];       /* member names seen: each is kept once */
    uint8_t stage[STAGE_SIZE];          /* bytes that the parser has not seen */
    size_t staged;
    bool begun, latin1, failed;
    const char *path[VT_XMLRPC_PATH_MAX];   /* whose children are handed out */
    uint32_t path_length;
    vt_xmlrpc_item_fn item_fn;              /* NULL: none is */
    void *item_context;
    struct vt_err err;                  /* set in a callback, handed out by push or finish */
};

const struct vt_xmlrpc_limits vt_xmlrpc_limits = {
    .bytes = VT_XMLRPC_BYTES_MAX, .depth = VT_XMLRPC_DEPTH_MAX, .values = VT_XMLRPC_VALUES_MAX
};
const struct vt_xmlrpc_limits vt_xmlrpc_stream_limits = {
    .bytes = VT_XMLRPC_STREAM_BYTES_MAX, .depth = VT_XMLRPC_DEPTH_MAX, .values = UINT32_MAX
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

void vt_xmlrpc_message_free(struct vt_xmlrpc_message *message)
{
    struct owned_message *owned = (struct owned_message *)message;

    if (!owned)
        return;
    vt_arena_fini(&owned->arena);
    vt_arena_fini(&owned->names);
    free(owned);
}

static void stop(struct vt_xmlrpc_decoder *decoder)
{
    decoder->failed = true;
    xmlStopParser(decoder->parser);
}

static void broken(struct vt_xmlrpc_decoder *decoder, const char *what)
{
    if (!decoder->failed)
        vt_fail(&decoder->err, VT_E_PROTOCOL, "not XML-RPC: %s", what);
    stop(decoder);
}

static void exceeded(struct vt_xmlrpc_decoder *decoder, const char *what)
{
    if (!decoder->failed)
        vt_fail(&decoder->err, VT_E_LIMIT, "the XML-RPC message has too many %s", what);
    stop(decoder);
}

static void no_memory(struct vt_xmlrpc_decoder *decoder)
{
    if (!decoder->failed)
        vt_fail(&decoder->err, VT_E_NOMEM, "no memory for an XML-RPC message");
    stop(decoder);
}

static bool blank(const struct vt_buf *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (!strchr(" \t\r\n", text->data[i]))
            return false;
    return true;
}

/* A record's member names come again in every record: the first of each hash is kept once. */
static const char *keep_name(struct vt_xmlrpc_decoder *decoder, const struct vt_buf *text)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < text->size; i++)
        hash = (hash ^ text->data[i]) * 16777619u;
    const char **slot = &decoder->names[hash % NAMES_MAX];
    if (*slot && strlen(*slot) == text->size && memcmp(*slot, text->data, text->size) == 0)
        return *slot;
    if (*slot || text->size > NAME_KEPT_MAX)
        return vt_arena_text(&decoder->out->arena, text->data, text->size);
    *slot = vt_arena_text(&decoder->out->names, text->data, text->size);
    return *slot;
}

/* The frame whose children are values: a struct (through its member), an array's data, a list of params. */
static struct frame *container_of(struct vt_xmlrpc_decoder *decoder)
{
    struct frame *frame = &decoder->frames[decoder->top];

    if (frame->element == MEMBER || frame->element == PARAM || frame->element == DATA)
        frame -= frame->element == DATA ? 2 : 1;
    if (frame->element == STRUCT)
        frame--;
    return frame;
}

static void count_child(struct vt_xmlrpc_decoder *decoder, struct frame *container)
{
    if (container->element == VALUE)
        container->value->size++;
    else
        decoder->out->message.count++;
}

/* Is the value that begins a child of the one at the path? The envelope around the path has no name. */
static bool is_item(const struct vt_xmlrpc_decoder *decoder)
{
    uint32_t level = 0;

    if (!decoder->item_fn || decoder->depth != decoder->path_length + 2)
        return false;
    for (uint32_t i = 1; i <= decoder->top; i++) {
        const struct vt_xmlrpc_value *value = decoder->frames[i].value;
        if (!value || level++ == 0)
            continue;
        if (!value->name || strcmp(value->name, decoder->path[level - 2]) != 0)
            return false;
    }
    return true;
}

static bool begin_value(struct vt_xmlrpc_decoder *decoder, struct frame *frame)
{
    struct frame *parent = &decoder->frames[decoder->top];
    struct frame *container = container_of(decoder);

    if (parent->element == MEMBER && !parent->named)
        return broken(decoder, "a member without a name"), false;
    if (parent->filled)
        return broken(decoder, "two values where one belongs"), false;
    if (++decoder->values > decoder->limits.values)
        return exceeded(decoder, "values"), false;
    if (++decoder->depth > decoder->limits.depth)
        return exceeded(decoder, "values in values"), false;
    frame->item = is_item(decoder);
    frame->mark = vt_arena_mark(&decoder->out->arena);
    struct vt_xmlrpc_value *value = vt_arena_alloc(&decoder->out->arena, sizeof *value);
    if (!value)
        return no_memory(decoder), false;
    *value = (struct vt_xmlrpc_value){ .name = parent->name, .as.text = "" };
    parent->filled = parent->element != DATA;
    frame->value = value;
    if (frame->item)
        return true;
    *container->tail = value;
    container->tail = &value->next;
    count_child(decoder, container);
    return true;
}

/* array and struct: the value's children hang on the frame of the value itself. */
static void begin_container(struct frame *parent, enum element element)
{
    parent->value->type = element == ARRAY ? VT_XMLRPC_ARRAY : VT_XMLRPC_STRUCT;
    parent->value->as.first = NULL;
    parent->tail = &parent->value->as.first;
}

static bool once_only(struct vt_xmlrpc_decoder *decoder, struct frame *parent, enum element element)
{
    bool *seen = element == NAME || element == DATA ? &parent->named
               : parent->element == METHOD_CALL && element == METHOD_NAME ? &parent->named
               : element == PARAMS || element == FAULT ? &parent->filled
               : parent->element == VALUE ? &parent->typed
               : NULL;

    if (!seen)
        return true;
    if (*seen)
        return broken(decoder, "an element twice where one belongs"), false;
    *seen = true;
    return true;
}

static void begin_message(struct vt_xmlrpc_decoder *decoder, enum element element)
{
    struct vt_xmlrpc_message *message = &decoder->out->message;

    message->kind = element == METHOD_CALL ? VT_XMLRPC_CALL : element == VALUE ? VT_XMLRPC_BARE : VT_XMLRPC_RESPONSE;
}

static bool begin_element(struct vt_xmlrpc_decoder *decoder, enum element element)
{
    struct frame *parent = &decoder->frames[decoder->top];
    struct frame *frame = parent + 1;

    if (decoder->top + 1 == FRAMES_MAX)
        return exceeded(decoder, "values in values"), false;
    if (!once_only(decoder, parent, element))
        return false;
    *frame = (struct frame){ .element = element };
    if (parent->element == DOCUMENT)
        begin_message(decoder, element);
    if (element == VALUE && !begin_value(decoder, frame))
        return false;
    if (element == ARRAY || element == STRUCT)
        begin_container(parent, element);
    if (element == PARAMS || element == FAULT)
        frame->tail = &decoder->out->message.params;
    if (element == FAULT)
        decoder->out->message.kind = VT_XMLRPC_FAULT;
    decoder->top++;
    return true;
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespaces,
                     const xmlChar **ns, int attributes, int defaulted, const xmlChar **atts)
{
    struct vt_xmlrpc_decoder *decoder = context;
    struct frame *parent = &decoder->frames[decoder->top];

    (void)prefix, (void)uri, (void)namespaces, (void)ns, (void)attributes, (void)defaulted, (void)atts;
    if (decoder->failed)
        return;
    if (!blank(&decoder->text)) {
        broken(decoder, "text between elements");
        return;
    }
    vt_buf_reset(&decoder->text);
    for (size_t i = 0; i < VT_COUNT(rules); i++) {
        if (rules[i].parent == parent->element && strcmp(rules[i].name, (const char *)name) == 0) {
            begin_element(decoder, rules[i].element);
            return;
        }
    }
    broken(decoder, "an element that does not belong there");
}

static bool set_number(struct vt_xmlrpc_decoder *decoder, struct vt_xmlrpc_value *value, enum element element)
{
    const char *text = vt_buf_string(&decoder->text, &decoder->err);
    struct vt_xmlrpc_value as_text = { .type = VT_XMLRPC_STRING, .as.text = text };

    if (!text)
        return no_memory(decoder), false;
    text += strspn(text, " \t\r\n");
    size_t size = strcspn(text, " \t\r\n");
    if (size == 0 || text[size + strspn(text + size, " \t\r\n")] != '\0')
        return broken(decoder, "not a number"), false;
    decoder->text.data[(size_t)(text - (const char *)decoder->text.data) + size] = '\0';
    as_text.as.text = text;
    as_text.size = (uint32_t)size;
    if (element == TEXT_BOOL) {   /* "true" counts as false, as the server reads it */
        value->type = VT_XMLRPC_BOOL;
        value->as.boolean = strcmp(text, "1") == 0;
        return true;
    }
    value->type = element == TEXT_INT ? VT_XMLRPC_INT : VT_XMLRPC_DOUBLE;
    bool ok = element == TEXT_INT ? vt_xmlrpc_get_int(&as_text, &value->as.integer)
                                  : vt_xmlrpc_get_double(&as_text, &value->as.real);
    return ok || (broken(decoder, "not a number"), false);
}

static bool set_text(struct vt_xmlrpc_decoder *decoder, struct vt_xmlrpc_value *value, enum vt_xmlrpc_type type)
{
    value->type = type;
    value->size = (uint32_t)decoder->text.size;
    if (value->size == 0)
        return true;
    value->as.text = vt_arena_text(&decoder->out->arena, decoder->text.data, decoder->text.size);
    return value->as.text || (no_memory(decoder), false);
}

static bool end_text(struct vt_xmlrpc_decoder *decoder, struct frame *frame)
{
    struct vt_xmlrpc_value *value = frame[-1].value;

    switch (frame->element) {
    case TEXT_STRING: return set_text(decoder, value, VT_XMLRPC_STRING);
    case TEXT_DATETIME: return set_text(decoder, value, VT_XMLRPC_DATETIME);
    case TEXT_BASE64: return set_text(decoder, value, VT_XMLRPC_BASE64);
    default: return set_number(decoder, value, frame->element);
    }
}

static bool end_value(struct vt_xmlrpc_decoder *decoder, struct frame *frame)
{
    if (!frame->typed && !set_text(decoder, frame->value, VT_XMLRPC_STRING))
        return false;
    if (frame->typed && !blank(&decoder->text))
        return broken(decoder, "text between elements"), false;
    if (!frame->item)
        return true;
    if (!decoder->item_fn(decoder->item_context, frame->value, &decoder->err))
        return stop(decoder), false;
    vt_arena_release(&decoder->out->arena, frame->mark);
    return true;
}

static bool end_element(struct vt_xmlrpc_decoder *decoder, struct frame *frame)
{
    switch (frame->element) {
    case METHOD_NAME:
        decoder->out->message.method = vt_arena_text(&decoder->out->arena, decoder->text.data, decoder->text.size);
        return decoder->out->message.method || (no_memory(decoder), false);
    case NAME:
        frame[-1].name = keep_name(decoder, &decoder->text);
        return frame[-1].name || (no_memory(decoder), false);
    case VALUE:
        decoder->depth--;
        return end_value(decoder, frame);
    case NIL: frame[-1].value->type = VT_XMLRPC_NIL; break;
    case TEXT_STRING: case TEXT_INT: case TEXT_BOOL: case TEXT_DOUBLE: case TEXT_DATETIME: case TEXT_BASE64:
        return end_text(decoder, frame);
    case MEMBER: case PARAM:
        if (!frame->filled)
            return broken(decoder, "a member or parameter without a value"), false;
        break;
    default: break;
    }
    return blank(&decoder->text) || (broken(decoder, "text between elements"), false);
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct vt_xmlrpc_decoder *decoder = context;

    (void)name, (void)prefix, (void)uri;
    if (decoder->failed || decoder->top == 0)
        return;
    if (end_element(decoder, &decoder->frames[decoder->top]))
        decoder->top--;
    vt_buf_reset(&decoder->text);
}

static void on_text(void *context, const xmlChar *text, int size)
{
    struct vt_xmlrpc_decoder *decoder = context;

    if (decoder->failed || size <= 0)
        return;
    struct vt_err err = { 0 };
    if (vt_buf_append(&decoder->text, text, (size_t)size, &err))
        return;
    if (err.code == VT_E_NOMEM)
        no_memory(decoder);
    else
        exceeded(decoder, "bytes");
}

static void on_doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    broken(context, "a document type declaration");
}

struct vt_xmlrpc_decoder *vt_xmlrpc_decoder_new(const struct vt_xmlrpc_limits *limits, struct vt_err *err)
{
    static const xmlSAXHandler handler = {
        .initialized = XML_SAX2_MAGIC, .startElementNs = on_start, .endElementNs = on_end, .characters = on_text,
        .ignorableWhitespace = on_text, .cdataBlock = on_text, .internalSubset = on_doctype,
    };
    VT_AUTO(vt_xmlrpc_decoder) decoder = calloc(1, sizeof *decoder);

    pthread_once(&once, xmlInitParser);
    if (decoder)
        decoder->out = calloc(1, sizeof *decoder->out);
    if (decoder && decoder->out)
        decoder->parser = xmlCreatePushParserCtxt((xmlSAXHandlerPtr)&handler, decoder, NULL, 0, NULL);
    if (!decoder || !decoder->parser) {
        vt_fail(err, VT_E_NOMEM, "no memory for an XML-RPC message");
        return NULL;
    }
    xmlCtxtUseOptions(decoder->parser, XML_PARSE_NONET | XML_PARSE_NOWARNING | XML_PARSE_NOERROR);
    decoder->limits = *limits;
    if (decoder->limits.depth > VT_XMLRPC_DEPTH_MAX)
        decoder->limits.depth = VT_XMLRPC_DEPTH_MAX;
    decoder->text.limit = limits->bytes < VT_XMLRPC_BYTES_MAX ? limits->bytes : VT_XMLRPC_BYTES_MAX;
    decoder->frames[0].tail = &decoder->out->message.params;
    return vt_take(&decoder);
}

void vt_xmlrpc_decoder_stream(struct vt_xmlrpc_decoder *decoder, const char *const *path, uint32_t path_length,
                              vt_xmlrpc_item_fn fn, void *context)
{
    for (uint32_t i = 0; i < path_length && i < VT_XMLRPC_PATH_MAX; i++)
        decoder->path[i] = path[i];
    decoder->path_length = path_length;
    decoder->item_fn = fn;
    decoder->item_context = context;
}

void vt_xmlrpc_decoder_free(struct vt_xmlrpc_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->parser)
        xmlFreeParserCtxt(decoder->parser);
    vt_buf_fini(&decoder->text);
    vt_xmlrpc_message_free((struct vt_xmlrpc_message *)decoder->out);
    free(decoder);
}

/* A declaration that names an encoding is believed when it is Latin-1, and refused when it is an unusual one. */
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
    return decoder->latin1 || (broken(decoder, "an encoding other than UTF-8 and ISO-8859-1"), false);
}

static bool parse(struct vt_xmlrpc_decoder *decoder, const void *bytes, size_t size, bool last)
{
    if (decoder->failed)
        return false;
    int code = xmlParseChunk(decoder->parser, bytes, (int)size, last);
    if (decoder->failed)
        return false;
    if (code == XML_ERR_NO_MEMORY)
        return no_memory(decoder), false;
    if (code == XML_ERR_OK)
        return true;
    const xmlError *error = xmlCtxtGetLastError(decoder->parser);
    char text[120] = "";
    snprintf(text, sizeof text, "%s", error && error->message ? error->message : "ill-formed");
    text[strcspn(text, "\r\n")] = '\0';
    broken(decoder, text);
    return false;
}

/* Gives the parser what is staged; a character cut at the end waits, unless this is the last call. */
static bool drain(struct vt_xmlrpc_decoder *decoder, bool last)
{
    size_t run = 0, i = 0;

    if (!decoder->begun && !sniff_encoding(decoder))
        return false;
    decoder->begun = true;
    while (i < decoder->staged) {
        size_t length = decoder->latin1 ? 1 : vt_utf8_length(decoder->stage + i, decoder->staged - i);
        if (length == VT_UTF8_CUT && !last)
            break;
        if (length == 0 || length == VT_UTF8_CUT) {
            const uint8_t byte = decoder->stage[i];
            const uint8_t two[2] = { (uint8_t)(0xc0 | byte >> 6), (uint8_t)(0x80 | (byte & 0x3f)) };
            if ((i > run && !parse(decoder, decoder->stage + run, i - run, false)) ||
                !parse(decoder, two, sizeof two, false))
                return false;
            decoder->out->message.latin1_bytes++;
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

bool vt_xmlrpc_decoder_push(struct vt_xmlrpc_decoder *decoder, const void *bytes, size_t size, struct vt_err *err)
{
    const uint8_t *from = bytes;

    if (size > decoder->limits.bytes - decoder->bytes)
        exceeded(decoder, "bytes");
    decoder->bytes += decoder->failed ? 0 : size;
    while (size > 0 && !decoder->failed) {
        size_t part = STAGE_SIZE - decoder->staged;
        part = part < size ? part : size;
        memcpy(decoder->stage + decoder->staged, from, part);
        decoder->staged += part;
        from += part;
        size -= part;
        if (decoder->staged == STAGE_SIZE)
            drain(decoder, false);
    }
    if (decoder->failed)
        *err = decoder->err;
    return !decoder->failed;
}

static bool complete(struct vt_xmlrpc_decoder *decoder)
{
    const struct vt_xmlrpc_message *message = &decoder->out->message;

    if (decoder->top != 0)
        return broken(decoder, "it ends too early"), false;
    if (message->kind == VT_XMLRPC_CALL ? !message->method : message->count != 1)
        return broken(decoder, "no method, or not one value in the reply"), false;
    return true;
}

struct vt_xmlrpc_message *vt_xmlrpc_decoder_finish(struct vt_xmlrpc_decoder *decoder, struct vt_err *err)
{
    if (decoder->failed || !drain(decoder, true) || !parse(decoder, "", 0, true) || !complete(decoder)) {
        *err = decoder->err;
        return NULL;
    }
    struct owned_message *owned = vt_take(&decoder->out);
    decoder->failed = true;   /* nothing may be pushed any more */
    return &owned->message;
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
