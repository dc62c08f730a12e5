#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct vt_err *err, const char *format, va_list args)
{
    /* The arguments may point into err->text itself. */
    char text[VT_ERR_TEXT_MAX];

    vsnprintf(text, sizeof text, format, args);
    memcpy(err->text, text, sizeof text);
}

static void reset(struct vt_err *err, enum vt_code code)
{
    err->code = code;
    err->dimse_status = 0;
    err->xapi_code[0] = '\0';
}

bool vt_fail(struct vt_err *err, enum vt_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(err, format, args);
    va_end(args);
    reset(err, code);
    return false;
}

static enum vt_code code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return VT_E_FULL;
    case ENOMEM:
        return VT_E_NOMEM;
    case ENOENT:
        return VT_E_NOTFOUND;
    case EEXIST:
        return VT_E_EXISTS;
    case EACCES:
    case EPERM:
        return VT_E_DENIED;
    case EMFILE:
    case ENFILE:
        return VT_E_LIMIT;
    case ETIMEDOUT:
        return VT_E_TIMEOUT;
    case ECONNREFUSED:
        return VT_E_REFUSED;
    default:
        return VT_E_IO;
    }
}

bool vt_fail_errno(struct vt_err *err, const char *format, ...)
{
    int number = errno;
    va_list args;

    va_start(args, format);
    set_text(err, format, args);
    va_end(args);
    reset(err, code_of_errno(number));

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(number));
    return false;
}

bool vt_fail_dimse(struct vt_err *err, enum vt_code code, uint16_t status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(err, format, args);
    va_end(args);
    reset(err, code);
    err->dimse_status = status;
    return false;
}

bool vt_fail_context(struct vt_err *err, const char *format, ...)
{
    char old[VT_ERR_TEXT_MAX];
    va_list args;

    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    set_text(err, format, args);
    va_end(args);

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", old);
    return false;
}

void vt_err_clear(struct vt_err *err)
{
    memset(err, 0, sizeof *err);
}

const char *vt_code_name(enum vt_code code)
{
    static const char *const names[] = {
        [VT_OK] = "ok",
        [VT_E_INVALID] = "invalid",
        [VT_E_NOMEM] = "no-memory",
        [VT_E_EXISTS] = "exists",
        [VT_E_NOTFOUND] = "not-found",
        [VT_E_IO] = "io",
        [VT_E_FULL] = "full",
        [VT_E_LIMIT] = "limit",
        [VT_E_TIMEOUT] = "timeout",
        [VT_E_CLOSED] = "closed",
        [VT_E_ABORTED] = "aborted",
        [VT_E_REFUSED] = "refused",
        [VT_E_PROTOCOL] = "protocol",
        [VT_E_UNSUPPORTED] = "unsupported",
        [VT_E_BUSY] = "busy",
        [VT_E_CORRUPT] = "corrupt",
        [VT_E_CANCELLED] = "cancelled",
        [VT_E_DENIED] = "denied",
        [VT_E_STATUS] = "status",
        [VT_E_INTERNAL] = "internal",
    };

    return (size_t)code < sizeof names / sizeof names[0] && names[code] ? names[code] : "unknown";
}
