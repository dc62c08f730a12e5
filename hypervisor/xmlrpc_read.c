/* Readers of decoded values: pure functions on the tree. */
#include "hypervisor/xmlrpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"

static bool is_text(const struct vt_xmlrpc_value *value)
{
    return value && (value->type == VT_XMLRPC_STRING || value->type == VT_XMLRPC_DATETIME ||
                     value->type == VT_XMLRPC_BASE64);
}

const struct vt_xmlrpc_value *vt_xmlrpc_first(const struct vt_xmlrpc_value *value)
{
    bool container = value && (value->type == VT_XMLRPC_ARRAY || value->type == VT_XMLRPC_STRUCT);
    return container ? value->as.first : NULL;
}

const struct vt_xmlrpc_value *vt_xmlrpc_member(const struct vt_xmlrpc_value *record,
                                               const char *name)
{
    if (!record || record->type != VT_XMLRPC_STRUCT)
        return NULL;
    for (const struct vt_xmlrpc_value *member = record->as.first; member; member = member->next)
        if (strcmp(member->name, name) == 0)
            return member;
    return NULL;
}

const char *vt_xmlrpc_text(const struct vt_xmlrpc_value *value, const char *fallback)
{
    if (value && value->type == VT_XMLRPC_NIL)
        return "";
    return is_text(value) ? value->as.text : fallback;
}

static bool decimal(const char *text, int64_t *out_integer)
{
    char *end = NULL;

    if (*text != '-' && *text != '+' && (*text < '0' || *text > '9'))
        return false;
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return false;
    *out_integer = integer;
    return true;
}

bool vt_xmlrpc_get_int(const struct vt_xmlrpc_value *value, int64_t *out_integer)
{
    if (value && value->type == VT_XMLRPC_INT) {
        *out_integer = value->as.integer;
        return true;
    }
    return is_text(value) && decimal(value->as.text, out_integer);
}

bool vt_xmlrpc_get_double(const struct vt_xmlrpc_value *value, double *out_real)
{
    int64_t integer = 0;

    if (value && value->type == VT_XMLRPC_DOUBLE) {
        *out_real = value->as.real;
        return true;
    }
    if (vt_xmlrpc_get_int(value, &integer)) {
        *out_real = (double)integer;
        return true;
    }
    if (!is_text(value) || value->size == 0)
        return false;
    char *end = NULL;
    double real = strtod(value->as.text, &end);
    if (*end != '\0')
        return false;
    *out_real = real;
    return true;
}

int64_t vt_xmlrpc_int(const struct vt_xmlrpc_value *value, int64_t fallback)
{
    int64_t integer = fallback;

    vt_xmlrpc_get_int(value, &integer);
    return integer;
}

double vt_xmlrpc_double(const struct vt_xmlrpc_value *value, double fallback)
{
    double real = fallback;

    vt_xmlrpc_get_double(value, &real);
    return real;
}

bool vt_xmlrpc_bool(const struct vt_xmlrpc_value *value, bool fallback)
{
    if (value && value->type == VT_XMLRPC_BOOL)
        return value->as.boolean;
    int64_t integer = 0;
    if (vt_xmlrpc_get_int(value, &integer) && (integer == 0 || integer == 1))
        return integer == 1;
    return fallback;
}

static int digits(const char **text, int count)
{
    int number = 0;

    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return -1;
        number = number * 10 + (**text - '0');
    }
    return number;
}

static void skip(const char **text, char separator)
{
    if (**text == separator)
        (*text)++;
}

/* "Z", "+hh:mm", "-hhmm", "+hh" or nothing. */
static bool zone_seconds(const char *text, int64_t *out_seconds)
{
    *out_seconds = 0;
    if (*text == '\0' || strcmp(text, "Z") == 0)
        return true;
    if (*text != '+' && *text != '-')
        return false;
    int sign = *text++ == '-' ? -1 : 1;
    int hours = digits(&text, 2);
    skip(&text, ':');
    int minutes = *text ? digits(&text, 2) : 0;
    if (hours < 0 || hours > 18 || minutes < 0 || minutes > 59 || *text)
        return false;
    *out_seconds = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

bool vt_xmlrpc_get_time(const struct vt_xmlrpc_value *value, int64_t *out_seconds)
{
    if (!is_text(value))
        return false;
    const char *text = value->as.text;
    struct tm tm = { 0 };
    int64_t zone = 0;

    tm.tm_year = digits(&text, 4) - 1900;
    skip(&text, '-');
    tm.tm_mon = digits(&text, 2) - 1;
    skip(&text, '-');
    tm.tm_mday = digits(&text, 2);
    if (tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        *text++ != 'T')
        return false;
    tm.tm_hour = digits(&text, 2);
    skip(&text, ':');
    tm.tm_min = digits(&text, 2);
    skip(&text, ':');
    tm.tm_sec = digits(&text, 2);
    if (tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
        tm.tm_sec > 60)
        return false;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    if (!zone_seconds(text, &zone))
        return false;
    *out_seconds = (int64_t)timegm(&tm) - zone;
    return true;
}

bool vt_xmlrpc_is_void(const struct vt_xmlrpc_value *value)
{
    return !value || value->type == VT_XMLRPC_NIL ||
           (value->type == VT_XMLRPC_STRING && value->size == 0);
}

bool vt_xapi_ref_is_null(const char *ref)
{
    return *ref == '\0' || strcmp(ref, "OpaqueRef:NULL") == 0 || strncmp(ref, "Ref:", 4) == 0;
}

/* "VM_BAD_POWER_STATE (OpaqueRef:..., halted, running)": for people and logs; programs take the
 * code. */
static void describe(struct vt_err *err, const struct vt_xapi_failure *failure)
{
    char text[VT_ERR_TEXT_MAX] = "";
    size_t used = 0;

    for (size_t i = 0; i < failure->count && used < sizeof text - 1; i++) {
        int length =
            snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", failure->params[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    vt_fail(err, VT_E_STATUS, failure->count ? "%s (%s)" : "%s%s", failure->code, text);
    snprintf(err->xapi_code, sizeof err->xapi_code, "%s", failure->code);
}

const struct vt_xmlrpc_value *vt_xmlrpc_open(const struct vt_xmlrpc_message *reply,
                                             struct vt_xapi_failure *out_failure,
                                             struct vt_err *err)
{
    if (reply->kind == VT_XMLRPC_FAULT) {
        const struct vt_xmlrpc_value *text = vt_xmlrpc_member(reply->params, "faultString");
        vt_fail(err, VT_E_PROTOCOL, "the server answered with an XML-RPC fault: %s",
                vt_xmlrpc_text(text, "?"));
        return NULL;
    }
    const struct vt_xmlrpc_value *envelope =
        reply->kind == VT_XMLRPC_RESPONSE ? reply->params : NULL;
    const char *status = vt_xmlrpc_text(vt_xmlrpc_member(envelope, "Status"), "");
    const struct vt_xmlrpc_value *value = vt_xmlrpc_member(envelope, "Value");
    if (strcmp(status, "Success") == 0 && value)
        return value;

    const struct vt_xmlrpc_value *item =
        vt_xmlrpc_first(vt_xmlrpc_member(envelope, "ErrorDescription"));
    struct vt_xapi_failure failure = { .code = vt_xmlrpc_text(item, "") };
    if (strcmp(status, "Failure") != 0 || *failure.code == '\0') {
        vt_fail(err, VT_E_PROTOCOL, "the reply has neither a value nor a failure code");
        return NULL;
    }
    for (item = item->next; item && failure.count < VT_XAPI_PARAMS_MAX; item = item->next)
        failure.params[failure.count++] = vt_xmlrpc_text(item, "");
    if (out_failure)
        *out_failure = failure;
    describe(err, &failure);
    return NULL;
}
