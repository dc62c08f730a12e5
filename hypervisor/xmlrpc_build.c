/* Elements to values: a stack of frames follows which element may stand where, values are built as
 * their end tags come. Nothing recurses. */
#include "hypervisor/xmlrpc_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/region.h"

enum element {
    DOCUMENT,
    METHOD_CALL,
    METHOD_RESPONSE,
    METHOD_NAME,
    PARAMS,
    PARAM,
    FAULT,
    VALUE,
    ARRAY,
    DATA,
    STRUCT,
    MEMBER,
    NAME,
    TEXT_STRING,
    TEXT_INT,
    TEXT_BOOL,
    TEXT_DOUBLE,
    TEXT_DATETIME,
    TEXT_BASE64,
    NIL
};

/* Which element may stand in which, and what it is then. */
static const struct rule {
    enum element parent;
    const char *name;
    enum element element;
} rules[] = {
    { VALUE, "struct", STRUCT },
    { STRUCT, "member", MEMBER },
    { MEMBER, "name", NAME },
    { MEMBER, "value", VALUE },
    { VALUE, "array", ARRAY },
    { ARRAY, "data", DATA },
    { DATA, "value", VALUE },
    { VALUE, "boolean", TEXT_BOOL },
    { VALUE, "string", TEXT_STRING },
    { VALUE, "double", TEXT_DOUBLE },
    { VALUE, "int", TEXT_INT },
    { VALUE, "i4", TEXT_INT },
    { VALUE, "i8", TEXT_INT },
    { VALUE, "dateTime.iso8601", TEXT_DATETIME },
    { VALUE, "base64", TEXT_BASE64 },
    { VALUE, "nil", NIL },
    { PARAMS, "param", PARAM },
    { PARAM, "value", VALUE },
    { DOCUMENT, "methodCall", METHOD_CALL },
    { DOCUMENT, "methodResponse", METHOD_RESPONSE },
    { DOCUMENT, "value", VALUE },
    { METHOD_CALL, "methodName", METHOD_NAME },
    { METHOD_CALL, "params", PARAMS },
    { METHOD_RESPONSE, "params", PARAMS },
    { METHOD_RESPONSE, "fault", FAULT },
    { FAULT, "value", VALUE },
};

/* value, struct, member (or array, data) for each level, and what is around them */
enum { FRAMES_MAX = VT_XMLRPC_DEPTH_MAX * 3 + 8, NAMES_MAX = 1024, NAME_KEPT_MAX = 64 };

struct frame {
    enum element element;
    bool typed;                          /* a VALUE that had a child element */
    bool named;                          /* a MEMBER that had its name, an ARRAY its data */
    bool filled;                         /* a MEMBER or PARAM that had its value */
    const char *name;                    /* of a MEMBER */
    struct vt_xmlrpc_value *value;       /* of a VALUE */
    const struct vt_xmlrpc_value **tail; /* where the next child goes */
    bool item;                           /* a VALUE that is handed out when it ends */
    struct vt_region_mark mark;           /* of an item: the region before it */
};

struct owned_message {
    struct vt_xmlrpc_message message; /* first: what the caller holds */
    struct vt_region region;
    struct vt_region names; /* of members: they stay when an item goes */
};

struct vt_xmlrpc_builder {
    struct vt_xmlrpc_limits limits;
    struct owned_message *out;
    struct frame frames[FRAMES_MAX];
    uint32_t top; /* index of the innermost frame */
    uint32_t depth, values;
    struct vt_buf text;                   /* of the innermost element */
    const char *names[NAMES_MAX];         /* member names seen: each is kept once */
    const char *path[VT_XMLRPC_PATH_MAX]; /* whose children are handed out */
    uint32_t path_length;
    vt_xmlrpc_item_fn item_fn; /* NULL: none is */
    void *item_context;
    bool failed;
    struct vt_err err;
};

void vt_xmlrpc_message_free(struct vt_xmlrpc_message *message)
{
    struct owned_message *owned = (struct owned_message *)message;

    if (!owned)
        return;
    vt_region_fini(&owned->region);
    vt_region_fini(&owned->names);
    free(owned);
}

struct vt_xmlrpc_builder *vt_xmlrpc_builder_new(const struct vt_xmlrpc_limits *limits)
{
    VT_AUTO(vt_xmlrpc_builder) build = calloc(1, sizeof *build);

    if (build)
        build->out = calloc(1, sizeof *build->out);
    if (!build || !build->out)
        return NULL;
    build->limits = *limits;
    if (build->limits.depth > VT_XMLRPC_DEPTH_MAX)
        build->limits.depth = VT_XMLRPC_DEPTH_MAX;
    build->text.limit = limits->bytes < VT_XMLRPC_BYTES_MAX ? limits->bytes : VT_XMLRPC_BYTES_MAX;
    build->frames[0].tail = &build->out->message.params;
    return vt_take(&build);
}

void vt_xmlrpc_builder_free(struct vt_xmlrpc_builder *build)
{
    if (!build)
        return;
    vt_buf_fini(&build->text);
    vt_xmlrpc_message_free((struct vt_xmlrpc_message *)build->out);
    free(build);
}

const struct vt_err *vt_xmlrpc_build_error(const struct vt_xmlrpc_builder *build)
{
    return build->failed ? &build->err : NULL;
}

void vt_xmlrpc_build_latin1(struct vt_xmlrpc_builder *build)
{
    build->out->message.latin1_bytes++;
}

void vt_xmlrpc_build_broken(struct vt_xmlrpc_builder *build, const char *what)
{
    if (!build->failed)
        vt_fail(&build->err, VT_E_PROTOCOL, "not XML-RPC: %s", what);
    build->failed = true;
}

void vt_xmlrpc_build_exceeded(struct vt_xmlrpc_builder *build, const char *what)
{
    if (!build->failed)
        vt_fail(&build->err, VT_E_LIMIT, "the XML-RPC message has too many %s", what);
    build->failed = true;
}

void vt_xmlrpc_build_no_memory(struct vt_xmlrpc_builder *build)
{
    if (!build->failed)
        vt_fail(&build->err, VT_E_NOMEM, "no memory for an XML-RPC message");
    build->failed = true;
}

static bool blank(const struct vt_buf *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (!strchr(" \t\r\n", text->data[i]))
            return false;
    return true;
}

/* A record's member names come again in every record: the first of each hash is kept once. */
static const char *keep_name(struct vt_xmlrpc_builder *build, const struct vt_buf *text)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < text->size; i++)
        hash = (hash ^ text->data[i]) * 16777619u;
    const char **slot = &build->names[hash % NAMES_MAX];
    if (*slot && strlen(*slot) == text->size && memcmp(*slot, text->data, text->size) == 0)
        return *slot;
    if (*slot || text->size > NAME_KEPT_MAX)
        return vt_region_text(&build->out->region, text->data, text->size);
    *slot = vt_region_text(&build->out->names, text->data, text->size);
    return *slot;
}

/* The frame whose children are values: a struct (through its member), an array's data, a list of
 * params. */
static struct frame *container_of(struct vt_xmlrpc_builder *build)
{
    struct frame *frame = &build->frames[build->top];

    if (frame->element == MEMBER || frame->element == PARAM || frame->element == DATA)
        frame -= frame->element == DATA ? 2 : 1;
    if (frame->element == STRUCT)
        frame--;
    return frame;
}

static void count_child(struct vt_xmlrpc_builder *build, struct frame *container)
{
    if (container->element == VALUE)
        container->value->size++;
    else
        build->out->message.count++;
}

/* Is the value that begins a child of the one at the path? The envelope around the path has no
 * name. */
static bool is_item(const struct vt_xmlrpc_builder *build)
{
    uint32_t level = 0;

    if (!build->item_fn || build->depth != build->path_length + 2)
        return false;
    for (uint32_t i = 1; i <= build->top; i++) {
        const struct vt_xmlrpc_value *value = build->frames[i].value;
        if (!value || level++ == 0)
            continue;
        if (!value->name || strcmp(value->name, build->path[level - 2]) != 0)
            return false;
    }
    return true;
}

static bool begin_value(struct vt_xmlrpc_builder *build, struct frame *frame)
{
    struct frame *parent = &build->frames[build->top];
    struct frame *container = container_of(build);

    if (parent->element == MEMBER && !parent->named)
        return vt_xmlrpc_build_broken(build, "a member without a name"), false;
    if (parent->filled)
        return vt_xmlrpc_build_broken(build, "two values where one belongs"), false;
    if (++build->values > build->limits.values)
        return vt_xmlrpc_build_exceeded(build, "values"), false;
    if (++build->depth > build->limits.depth)
        return vt_xmlrpc_build_exceeded(build, "values in values"), false;
    frame->item = is_item(build);
    frame->mark = vt_region_mark(&build->out->region);
    struct vt_xmlrpc_value *value = vt_region_alloc(&build->out->region, sizeof *value);
    if (!value)
        return vt_xmlrpc_build_no_memory(build), false;
    *value = (struct vt_xmlrpc_value){ .name = parent->name, .as.text = "" };
    parent->filled = parent->element != DATA;
    frame->value = value;
    if (frame->item)
        return true;
    *container->tail = value;
    container->tail = &value->next;
    count_child(build, container);
    return true;
}

/* array and struct: the value's children hang on the frame of the value itself. */
static void begin_container(struct frame *parent, enum element element)
{
    parent->value->type = element == ARRAY ? VT_XMLRPC_ARRAY : VT_XMLRPC_STRUCT;
    parent->value->as.first = NULL;
    parent->tail = &parent->value->as.first;
}

static bool once_only(struct vt_xmlrpc_builder *build, struct frame *parent, enum element element)
{
    bool *seen = element == NAME || element == DATA                         ? &parent->named
                 : parent->element == METHOD_CALL && element == METHOD_NAME ? &parent->named
                 : element == PARAMS || element == FAULT                    ? &parent->filled
                 : parent->element == VALUE                                 ? &parent->typed
                                                                            : NULL;

    if (!seen)
        return true;
    if (*seen)
        return vt_xmlrpc_build_broken(build, "an element twice where one belongs"), false;
    *seen = true;
    return true;
}

static void begin_message(struct vt_xmlrpc_builder *build, enum element element)
{
    struct vt_xmlrpc_message *message = &build->out->message;

    message->kind = element == METHOD_CALL ? VT_XMLRPC_CALL
                    : element == VALUE     ? VT_XMLRPC_BARE
                                           : VT_XMLRPC_RESPONSE;
}

static bool begin_element(struct vt_xmlrpc_builder *build, enum element element)
{
    struct frame *parent = &build->frames[build->top];
    struct frame *frame = parent + 1;

    if (build->top + 1 == FRAMES_MAX)
        return vt_xmlrpc_build_exceeded(build, "values in values"), false;
    if (!once_only(build, parent, element))
        return false;
    *frame = (struct frame){ .element = element };
    if (parent->element == DOCUMENT)
        begin_message(build, element);
    if (element == VALUE && !begin_value(build, frame))
        return false;
    if (element == ARRAY || element == STRUCT)
        begin_container(parent, element);
    if (element == PARAMS || element == FAULT)
        frame->tail = &build->out->message.params;
    if (element == FAULT)
        build->out->message.kind = VT_XMLRPC_FAULT;
    build->top++;
    return true;
}

static bool set_number(struct vt_xmlrpc_builder *build, struct vt_xmlrpc_value *value,
                       enum element element)
{
    const char *text = vt_buf_string(&build->text, &build->err);
    struct vt_xmlrpc_value as_text = { .type = VT_XMLRPC_STRING, .as.text = text };

    if (!text)
        return vt_xmlrpc_build_no_memory(build), false;
    text += strspn(text, " \t\r\n");
    size_t size = strcspn(text, " \t\r\n");
    if (size == 0 || text[size + strspn(text + size, " \t\r\n")] != '\0')
        return vt_xmlrpc_build_broken(build, "not a number"), false;
    build->text.data[(size_t)(text - (const char *)build->text.data) + size] = '\0';
    as_text.as.text = text;
    as_text.size = (uint32_t)size;
    if (element == TEXT_BOOL) { /* "true" counts as false, as the server reads it */
        value->type = VT_XMLRPC_BOOL;
        value->as.boolean = strcmp(text, "1") == 0;
        return true;
    }
    value->type = element == TEXT_INT ? VT_XMLRPC_INT : VT_XMLRPC_DOUBLE;
    bool ok = element == TEXT_INT ? vt_xmlrpc_get_int(&as_text, &value->as.integer)
                                  : vt_xmlrpc_get_double(&as_text, &value->as.real);
    return ok || (vt_xmlrpc_build_broken(build, "not a number"), false);
}

static bool set_text(struct vt_xmlrpc_builder *build, struct vt_xmlrpc_value *value,
                     enum vt_xmlrpc_type type)
{
    value->type = type;
    value->size = (uint32_t)build->text.size;
    if (value->size == 0)
        return true;
    value->as.text = vt_region_text(&build->out->region, build->text.data, build->text.size);
    return value->as.text || (vt_xmlrpc_build_no_memory(build), false);
}

static bool end_text(struct vt_xmlrpc_builder *build, struct frame *frame)
{
    struct vt_xmlrpc_value *value = frame[-1].value;

    switch (frame->element) {
    case TEXT_STRING:
        return set_text(build, value, VT_XMLRPC_STRING);
    case TEXT_DATETIME:
        return set_text(build, value, VT_XMLRPC_DATETIME);
    case TEXT_BASE64:
        return set_text(build, value, VT_XMLRPC_BASE64);
    default:
        return set_number(build, value, frame->element);
    }
}

static bool end_value(struct vt_xmlrpc_builder *build, struct frame *frame)
{
    if (!frame->typed && !set_text(build, frame->value, VT_XMLRPC_STRING))
        return false;
    if (frame->typed && !blank(&build->text))
        return vt_xmlrpc_build_broken(build, "text between elements"), false;
    if (!frame->item)
        return true;
    if (!build->item_fn(build->item_context, frame->value, &build->err))
        return build->failed = true, false;
    vt_region_release(&build->out->region, frame->mark);
    return true;
}

static bool end_element(struct vt_xmlrpc_builder *build, struct frame *frame)
{
    switch (frame->element) {
    case METHOD_NAME:
        build->out->message.method =
            vt_region_text(&build->out->region, build->text.data, build->text.size);
        return build->out->message.method || (vt_xmlrpc_build_no_memory(build), false);
    case NAME:
        frame[-1].name = keep_name(build, &build->text);
        return frame[-1].name || (vt_xmlrpc_build_no_memory(build), false);
    case VALUE:
        build->depth--;
        return end_value(build, frame);
    case NIL:
        frame[-1].value->type = VT_XMLRPC_NIL;
        break;
    case TEXT_STRING:
    case TEXT_INT:
    case TEXT_BOOL:
    case TEXT_DOUBLE:
    case TEXT_DATETIME:
    case TEXT_BASE64:
        return end_text(build, frame);
    case MEMBER:
    case PARAM:
        if (!frame->filled)
            return vt_xmlrpc_build_broken(build, "a member or parameter without a value"), false;
        break;
    default:
        break;
    }
    return blank(&build->text) || (vt_xmlrpc_build_broken(build, "text between elements"), false);
}

void vt_xmlrpc_build_start(struct vt_xmlrpc_builder *build, const char *name)
{
    const struct frame *parent = &build->frames[build->top];

    if (build->failed)
        return;
    if (!blank(&build->text)) {
        vt_xmlrpc_build_broken(build, "text between elements");
        return;
    }
    vt_buf_reset(&build->text);
    for (size_t i = 0; i < VT_COUNT(rules); i++) {
        if (rules[i].parent == parent->element && strcmp(rules[i].name, name) == 0) {
            begin_element(build, rules[i].element);
            return;
        }
    }
    vt_xmlrpc_build_broken(build, "an element that does not belong there");
}

void vt_xmlrpc_build_end(struct vt_xmlrpc_builder *build)
{
    if (build->failed || build->top == 0)
        return;
    if (end_element(build, &build->frames[build->top]))
        build->top--;
    vt_buf_reset(&build->text);
}

void vt_xmlrpc_build_text(struct vt_xmlrpc_builder *build, const void *text, size_t size)
{
    struct vt_err err = { 0 };

    if (build->failed || vt_buf_append(&build->text, text, size, &err))
        return;
    if (err.code == VT_E_NOMEM)
        vt_xmlrpc_build_no_memory(build);
    else
        vt_xmlrpc_build_exceeded(build, "bytes");
}

void vt_xmlrpc_build_stream(struct vt_xmlrpc_builder *build, const char *const *path,
                            uint32_t path_length, vt_xmlrpc_item_fn fn, void *context)
{
    for (uint32_t i = 0; i < path_length && i < VT_XMLRPC_PATH_MAX; i++)
        build->path[i] = path[i];
    build->path_length = path_length;
    build->item_fn = fn;
    build->item_context = context;
}

static bool complete(struct vt_xmlrpc_builder *build)
{
    const struct vt_xmlrpc_message *message = &build->out->message;

    if (build->top != 0)
        return vt_xmlrpc_build_broken(build, "it ends too early"), false;
    if (message->kind == VT_XMLRPC_CALL ? !message->method : message->count != 1)
        return vt_xmlrpc_build_broken(build, "no method, or not one value in the reply"), false;
    return true;
}

struct vt_xmlrpc_message *vt_xmlrpc_build_finish(struct vt_xmlrpc_builder *build)
{
    if (build->failed || !complete(build))
        return NULL;
    build->failed = true; /* nothing may be built any more */
    return (struct vt_xmlrpc_message *)vt_take(&build->out);
}
