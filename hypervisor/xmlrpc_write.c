/* The writer: each function appends its tags; a failure sticks in the writer. */
#include "hypervisor/xmlrpc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/utf8.h"

bool vt_xmlrpc_written(const struct vt_xmlrpc_writer *writer)
{
    return !writer->failed;
}

static void put(struct vt_xmlrpc_writer *writer, const char *bytes, size_t size)
{
    if (!writer->failed && !vt_buf_append(writer->buf, bytes, size, writer->err))
        writer->failed = true;
}

void vt_xmlrpc_put_raw(struct vt_xmlrpc_writer *writer, const char *xml)
{
    put(writer, xml, strlen(xml));
}

static const char *escape_of(unsigned char byte)
{
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\t':
    case '\n':
    case '\r':
        return NULL;
    default:
        return byte < ' ' || byte == 0x7f ? "" : NULL;
    }
}

void vt_xmlrpc_put_escaped(struct vt_xmlrpc_writer *writer, const char *text)
{
    size_t size = strlen(text), run = 0;

    for (size_t i = 0; i < size;) {
        const char *escape = escape_of((unsigned char)text[i]);
        size_t length = vt_utf8_length((const uint8_t *)text + i, size - i);
        if (length == 0 || length == VT_UTF8_CUT) {
            if (!writer->failed)
                vt_fail(writer->err, VT_E_INVALID, "text for the server is not UTF-8");
            writer->failed = true;
            return;
        }
        if (escape) {
            put(writer, text + run, i - run);
            vt_xmlrpc_put_raw(writer, escape);
            run = i + 1;
        }
        i += length;
    }
    put(writer, text + run, size - run);
}

void vt_xmlrpc_put_string(struct vt_xmlrpc_writer *writer, const char *text)
{
    vt_xmlrpc_put_raw(writer, writer->bare_strings ? "<value>" : "<value><string>");
    vt_xmlrpc_put_escaped(writer, text);
    vt_xmlrpc_put_raw(writer, writer->bare_strings ? "</value>" : "</string></value>");
}

void vt_xmlrpc_put_int(struct vt_xmlrpc_writer *writer, int64_t integer)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, integer);
    vt_xmlrpc_put_string(writer, text);
}

void vt_xmlrpc_put_i4(struct vt_xmlrpc_writer *writer, int32_t integer)
{
    char text[48];

    snprintf(text, sizeof text, "<value><i4>%" PRId32 "</i4></value>", integer);
    vt_xmlrpc_put_raw(writer, text);
}

void vt_xmlrpc_put_bool(struct vt_xmlrpc_writer *writer, bool boolean)
{
    vt_xmlrpc_put_raw(writer, boolean ? "<value><boolean>1</boolean></value>"
                                      : "<value><boolean>0</boolean></value>");
}

void vt_xmlrpc_put_double(struct vt_xmlrpc_writer *writer, double real)
{
    char text[64];

    if (isnan(real))
        snprintf(text, sizeof text, "<value><double>nan</double></value>");
    else
        snprintf(text, sizeof text, "<value><double>%.16g</double></value>", real);
    vt_xmlrpc_put_raw(writer, text);
}

static void put_tagged(struct vt_xmlrpc_writer *writer, const char *tag, const char *text)
{
    vt_xmlrpc_put_raw(writer, "<value><");
    vt_xmlrpc_put_raw(writer, tag);
    vt_xmlrpc_put_raw(writer, ">");
    vt_xmlrpc_put_escaped(writer, text);
    vt_xmlrpc_put_raw(writer, "</");
    vt_xmlrpc_put_raw(writer, tag);
    vt_xmlrpc_put_raw(writer, "></value>");
}

void vt_xmlrpc_put_time(struct vt_xmlrpc_writer *writer, int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm tm = { 0 };
    char text[40] = "19700101T00:00:00Z";

    if (gmtime_r(&when, &tm))
        strftime(text, sizeof text, "%Y%m%dT%H:%M:%SZ", &tm);
    put_tagged(writer, "dateTime.iso8601", text);
}

void vt_xmlrpc_array_begin(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "<value><array><data>");
}

void vt_xmlrpc_array_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</data></array></value>");
}

void vt_xmlrpc_struct_begin(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "<value><struct>");
}

void vt_xmlrpc_struct_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</struct></value>");
}

void vt_xmlrpc_member_begin(struct vt_xmlrpc_writer *writer, const char *name)
{
    vt_xmlrpc_put_raw(writer, "<member><name>");
    vt_xmlrpc_put_escaped(writer, name);
    vt_xmlrpc_put_raw(writer, "</name>");
}

void vt_xmlrpc_member_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</member>");
}

/* Recursion is bounded: values come from a decoder, which nests at most VT_XMLRPC_DEPTH_MAX. */
static void put_children(struct vt_xmlrpc_writer *writer, const struct vt_xmlrpc_value *value)
{
    for (const struct vt_xmlrpc_value *child = value->as.first; child; child = child->next) {
        if (value->type == VT_XMLRPC_STRUCT)
            vt_xmlrpc_member_begin(writer, child->name);
        vt_xmlrpc_put_value(writer, child);
        if (value->type == VT_XMLRPC_STRUCT)
            vt_xmlrpc_member_end(writer);
    }
}

void vt_xmlrpc_put_value(struct vt_xmlrpc_writer *writer, const struct vt_xmlrpc_value *value)
{
    char text[48];

    switch (value->type) {
    case VT_XMLRPC_STRING:
        vt_xmlrpc_put_string(writer, value->as.text);
        break;
    case VT_XMLRPC_BOOL:
        vt_xmlrpc_put_bool(writer, value->as.boolean);
        break;
    case VT_XMLRPC_DOUBLE:
        vt_xmlrpc_put_double(writer, value->as.real);
        break;
    case VT_XMLRPC_DATETIME:
        put_tagged(writer, "dateTime.iso8601", value->as.text);
        break;
    case VT_XMLRPC_BASE64:
        put_tagged(writer, "base64", value->as.text);
        break;
    case VT_XMLRPC_NIL:
        vt_xmlrpc_put_raw(writer, "<value><nil/></value>");
        break;
    case VT_XMLRPC_INT:
        snprintf(text, sizeof text, "%" PRId64, value->as.integer);
        put_tagged(writer, "i4", text);
        break;
    case VT_XMLRPC_ARRAY:
        vt_xmlrpc_array_begin(writer);
        put_children(writer, value);
        vt_xmlrpc_array_end(writer);
        break;
    case VT_XMLRPC_STRUCT:
        vt_xmlrpc_struct_begin(writer);
        put_children(writer, value);
        vt_xmlrpc_struct_end(writer);
        break;
    }
}

void vt_xmlrpc_call_begin(struct vt_xmlrpc_writer *writer, const char *method)
{
    vt_xmlrpc_put_raw(writer, "<?xml version=\"1.0\"?><methodCall><methodName>");
    vt_xmlrpc_put_escaped(writer, method);
    vt_xmlrpc_put_raw(writer, "</methodName><params>");
}

void vt_xmlrpc_param_begin(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "<param>");
}

void vt_xmlrpc_param_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</param>");
}

void vt_xmlrpc_call_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</params></methodCall>");
}

void vt_xmlrpc_response_begin(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "<?xml version=\"1.0\"?><methodResponse><params><param>");
}

void vt_xmlrpc_response_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</param></params></methodResponse>");
}

void vt_xmlrpc_success_begin(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_response_begin(writer);
    vt_xmlrpc_put_raw(writer,
                      "<value><struct><member><name>Status</name><value>Success</value></member>"
                      "<member><name>Value</name>");
}

void vt_xmlrpc_success_end(struct vt_xmlrpc_writer *writer)
{
    vt_xmlrpc_put_raw(writer, "</member></struct></value>");
    vt_xmlrpc_response_end(writer);
}

void vt_xmlrpc_put_failure(struct vt_xmlrpc_writer *writer, const char *code,
                           const char *const *params, size_t count)
{
    vt_xmlrpc_response_begin(writer);
    vt_xmlrpc_put_raw(writer,
                      "<value><struct><member><name>Status</name><value>Failure</value></member>"
                      "<member><name>ErrorDescription</name>");
    vt_xmlrpc_array_begin(writer);
    vt_xmlrpc_put_string(writer, code);
    for (size_t i = 0; i < count; i++)
        vt_xmlrpc_put_string(writer, params[i]);
    vt_xmlrpc_array_end(writer);
    vt_xmlrpc_put_raw(writer, "</member></struct></value>");
    vt_xmlrpc_response_end(writer);
}

void vt_xmlrpc_put_fault(struct vt_xmlrpc_writer *writer, int32_t code, const char *text)
{
    vt_xmlrpc_put_raw(writer, "<?xml version=\"1.0\"?><methodResponse><fault>");
    vt_xmlrpc_struct_begin(writer);
    vt_xmlrpc_member_begin(writer, "faultCode");
    vt_xmlrpc_put_i4(writer, code);
    vt_xmlrpc_member_end(writer);
    vt_xmlrpc_member_begin(writer, "faultString");
    vt_xmlrpc_put_string(writer, text);
    vt_xmlrpc_member_end(writer);
    vt_xmlrpc_struct_end(writer);
    vt_xmlrpc_put_raw(writer, "</fault></methodResponse>");
}

void vt_xmlrpc_put_message(struct vt_xmlrpc_writer *writer, const struct vt_xmlrpc_message *message)
{
    switch (message->kind) {
    case VT_XMLRPC_CALL:
        vt_xmlrpc_call_begin(writer, message->method);
        for (const struct vt_xmlrpc_value *param = message->params; param; param = param->next) {
            vt_xmlrpc_param_begin(writer);
            vt_xmlrpc_put_value(writer, param);
            vt_xmlrpc_param_end(writer);
        }
        vt_xmlrpc_call_end(writer);
        break;
    case VT_XMLRPC_RESPONSE:
        vt_xmlrpc_response_begin(writer);
        vt_xmlrpc_put_value(writer, message->params);
        vt_xmlrpc_response_end(writer);
        break;
    case VT_XMLRPC_FAULT:
        vt_xmlrpc_put_raw(writer, "<?xml version=\"1.0\"?><methodResponse><fault>");
        vt_xmlrpc_put_value(writer, message->params);
        vt_xmlrpc_put_raw(writer, "</fault></methodResponse>");
        break;
    case VT_XMLRPC_BARE:
        vt_xmlrpc_put_value(writer, message->params);
        break;
    }
}
