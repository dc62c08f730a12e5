/* core/err.h: why something failed, on the caller's stack.
 *
 * What can fail returns bool, or a pointer with NULL for failure, and takes struct vt_err * last, never
 * NULL. Start it as { 0 }. Reporting "no memory" needs no memory. `text` is one sentence without a full
 * stop that names the cause and, where there is one, the remedy. Not shared between threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vt_code {
    VT_OK = 0,
    VT_E_INVALID,     /* an argument, a file or a message is wrong */
    VT_E_NOMEM,
    VT_E_EXISTS,
    VT_E_NOTFOUND,    /* something that must be there is not */
    VT_E_IO,
    VT_E_FULL,        /* no space: disk, quota */
    VT_E_LIMIT,       /* one of our named limits */
    VT_E_TIMEOUT,
    VT_E_CLOSED,      /* the peer closed the connection */
    VT_E_ABORTED,     /* the peer aborted the association */
    VT_E_REFUSED,     /* the peer refused: connection, association, context */
    VT_E_PROTOCOL,    /* the peer broke the protocol */
    VT_E_UNSUPPORTED,
    VT_E_BUSY,
    VT_E_CORRUPT,     /* what we stored is not what we read */
    VT_E_CANCELLED,
    VT_E_DENIED,      /* not allowed */
    VT_E_STATUS,      /* the peer answered with a failure status; dimse_status or xapi_code has it */
    VT_E_INTERNAL,    /* our mistake */
};

enum { VT_ERR_TEXT_MAX = 240, VT_ERR_XAPI_MAX = 64 };

struct vt_err {
    enum vt_code code;
    uint16_t dimse_status;              /* what to answer or what was answered; 0: none chosen */
    char xapi_code[VT_ERR_XAPI_MAX];    /* XAPI failure code, "" if none */
    char text[VT_ERR_TEXT_MAX];
};

/* Sets all of err and returns false. */
bool vt_fail(struct vt_err *err, enum vt_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": <strerror(errno)>" behind the text. The code follows from errno: ENOSPC and EDQUOT
 * VT_E_FULL, ENOMEM VT_E_NOMEM, ENOENT VT_E_NOTFOUND, EEXIST VT_E_EXISTS, EACCES and EPERM VT_E_DENIED, EMFILE and
 * ENFILE VT_E_LIMIT, else VT_E_IO. */
bool vt_fail_errno(struct vt_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same as vt_fail with a DIMSE status (PS3.7 Annex C) to answer. */
bool vt_fail_dimse(struct vt_err *err, enum vt_code code, uint16_t status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the text, keeps the rest. Returns false. */
bool vt_fail_context(struct vt_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline bool vt_failed(const struct vt_err *err)
{
    return err->code != VT_OK;
}

void vt_err_clear(struct vt_err *err);

/* "not-found", "io" ...: for logs and JSON. */
const char *vt_code_name(enum vt_code code);

#ifdef __cplusplus
}
#endif
