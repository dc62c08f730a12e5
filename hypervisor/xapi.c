/* Calls: arguments, the session in front, renewal, the retry of what only reads. */
#include "hypervisor/xapi.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/xapi_state.h"

/* A login fits: a buffer that moves when it grows would leave a password behind. */
enum { TEXT_FIRST = 2048 };

void vt_xapi_reply_fini(struct vt_xapi_reply *reply)
{
    vt_xmlrpc_message_free(reply->message);
    *reply = (struct vt_xapi_reply){ 0 };
}

bool vt_xapi_is_read(const char *method)
{
    const char *dot = strchr(method, '.');

    if (!dot || strncmp(method, "Async.", 6) == 0)
        return false;
    return strncmp(dot, ".get_", 5) == 0 || strcmp(method, "event.from") == 0 ||
           strcmp(method, "event.inject") == 0 || strncmp(method, "session.login", 13) == 0 ||
           strncmp(dot, ".assert_", 8) == 0 || strcmp(method, "host.compute_free_memory") == 0;
}

static void put_texts(struct vt_xmlrpc_writer *writer, const char *const *texts, size_t count)
{
    vt_xmlrpc_array_begin(writer);
    for (size_t i = 0; i < count; i++)
        vt_xmlrpc_put_string(writer, texts[i]);
    vt_xmlrpc_array_end(writer);
}

static void put_map(struct vt_xmlrpc_writer *writer, const char *const *pairs, size_t count)
{
    vt_xmlrpc_struct_begin(writer);
    for (size_t i = 0; i + 1 < count; i += 2) {
        vt_xmlrpc_member_begin(writer, pairs[i]);
        vt_xmlrpc_put_string(writer, pairs[i + 1]);
        vt_xmlrpc_member_end(writer);
    }
    vt_xmlrpc_struct_end(writer);
}

/* Each argument as a whole <param>. */
static bool write_args(struct vt_xmlrpc_writer *writer, const char *format, va_list args)
{
    for (; *format; format++) {
        const char *const *texts = NULL;
        vt_xmlrpc_param_begin(writer);
        switch (*format) {
        case 's':
            vt_xmlrpc_put_string(writer, va_arg(args, const char *));
            break;
        case 'i':
            vt_xmlrpc_put_int(writer, va_arg(args, int64_t));
            break;
        case 'b':
            vt_xmlrpc_put_bool(writer, va_arg(args, int));
            break;
        case 'd':
            vt_xmlrpc_put_double(writer, va_arg(args, double));
            break;
        case 'e':
            put_map(writer, NULL, 0);
            break;
        case 'S':
            texts = va_arg(args, const char *const *);
            put_texts(writer, texts, va_arg(args, size_t));
            break;
        case 'm':
            texts = va_arg(args, const char *const *);
            put_map(writer, texts, va_arg(args, size_t));
            break;
        default:
            vt_fail(writer->err, VT_E_INTERNAL, "no argument is called '%c'", *format);
            writer->failed = true;
            break;
        }
        vt_xmlrpc_param_end(writer);
    }
    return vt_xmlrpc_written(writer);
}

static void wipe(struct vt_buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->capacity);
}

static bool write_call(struct vt_xmlrpc_writer *writer, const char *session, const char *method,
                       const struct vt_buf *args)
{
    vt_xmlrpc_call_begin(writer, method);
    if (session) {
        vt_xmlrpc_param_begin(writer);
        vt_xmlrpc_put_string(writer, session);
        vt_xmlrpc_param_end(writer);
    }
    if (!vt_xmlrpc_written(writer) || !vt_buf_append(writer->buf, args->data, args->size, writer->err))
        return false;
    vt_xmlrpc_call_end(writer);
    return vt_xmlrpc_written(writer);
}

/* method(session, args...) on that member. */
static bool post(struct vt_line *line, const struct vt_line_host *host, const char *session,
                 const char *method, const struct vt_buf *args, const struct vt_xapi_stream *stream,
                 struct vt_xapi_reply *reply, struct vt_err *err)
{
    VT_AUTO_BUF(body, VT_LINE_REQUEST_MAX);
    struct vt_xmlrpc_writer writer = { .buf = &body, .err = err };
    int64_t timeout = stream && stream->timeout_ms ? stream->timeout_ms : VT_XAPI_CALL_MS;

    bool ok = vt_buf_reserve(&body, TEXT_FIRST, err) && write_call(&writer, session, method, args);
    vt_xapi_reply_fini(reply);
    reply->message = ok ? vt_line_post(line, host, &body, timeout, !vt_xapi_is_read(method),
                                       stream && stream->line.fn ? &stream->line : NULL, err)
                        : NULL;
    wipe(&body); /* a login has the password in it, a join too */
    if (!reply->message)
        return false;
    reply->value = vt_xmlrpc_open(reply->message, &reply->failure, err);
    return reply->value;
}

bool vt_xapi_post(struct vt_line *line, const struct vt_line_host *host, const char *session,
                  struct vt_xapi_reply *reply, struct vt_err *err, const char *method,
                  const char *format, ...)
{
    VT_AUTO_BUF(args, VT_LINE_REQUEST_MAX);
    struct vt_xmlrpc_writer writer = { .buf = &args, .err = err };
    /* A wrong password waits 5 s; a daemon that ends waits for nobody. */
    bool leaves = strcmp(method, "session.logout") == 0;
    struct vt_xapi_stream probe = { .timeout_ms = leaves ? VT_XAPI_LOGOUT_MS : VT_XAPI_PROBE_MS * 4 };
    va_list list;

    va_start(list, format);
    bool ok = vt_buf_reserve(&args, TEXT_FIRST, err) && write_args(&writer, format, list);
    va_end(list);
    ok = ok && post(line, host, session, method, &args, &probe, reply, err);
    wipe(&args);
    return ok;
}

static bool is_code(const struct vt_err *err, const char *code)
{
    return err->code == VT_E_STATUS && strcmp(err->xapi_code, code) == 0;
}

/* Failed before the server can have begun: nothing was sent, or somebody refused to take it. */
static bool never_arrived(const struct vt_err *err)
{
    return err->code == VT_E_REFUSED || is_code(err, "SESSION_INVALID") ||
           is_code(err, "HOST_IS_SLAVE") || is_code(err, "HOST_STILL_BOOTING");
}

static bool try_once(struct vt_xapi *xapi, struct vt_line *line,
                     const struct vt_xapi_stream *stream, const char *method,
                     const struct vt_buf *args, struct vt_xapi_reply *reply, struct vt_err *err)
{
    struct vt_xapi_session session;

    if (!vt_xapi_session_need(xapi, line, &session, err))
        return false;
    bool ok = post(line, &session.host, session.ref, method, args, stream, reply, err);
    reply->login = session.login;
    if (!ok && (never_arrived(err) || err->code == VT_E_CLOSED || err->code == VT_E_TIMEOUT))
        vt_xapi_session_drop(xapi, session.login);
    return ok;
}

static bool call_args(struct vt_xapi *xapi, struct vt_line *line,
                      const struct vt_xapi_stream *stream, const char *method,
                      const struct vt_buf *args, struct vt_xapi_reply *reply, struct vt_err *err)
{
    if (try_once(xapi, line, stream, method, args, reply, err))
        return true;
    if (stream && stream->new_login_fails)
        return false;
    bool again = never_arrived(err) || (vt_xapi_is_read(method) && err->code == VT_E_CLOSED);
    if (!again)
        return false;
    vt_err_clear(err);
    return try_once(xapi, line, stream, method, args, reply, err);
}

bool vt_xapi_call(struct vt_xapi *xapi, struct vt_line *line, struct vt_xapi_reply *reply,
                  struct vt_err *err, const char *method, const char *format, ...)
{
    VT_AUTO_BUF(args, VT_LINE_REQUEST_MAX);
    struct vt_xmlrpc_writer writer = { .buf = &args, .err = err };
    va_list list;

    va_start(list, format);
    bool ok = vt_buf_reserve(&args, TEXT_FIRST, err) && write_args(&writer, format, list);
    va_end(list);
    ok = ok && call_args(xapi, line, NULL, method, &args, reply, err);
    wipe(&args); /* pool.join has the password in it */
    return ok;
}

bool vt_xapi_call_stream(struct vt_xapi *xapi, struct vt_line *line,
                         const struct vt_xapi_stream *stream, struct vt_xapi_reply *reply,
                         struct vt_err *err, const char *method, const char *format, ...)
{
    VT_AUTO_BUF(args, VT_LINE_REQUEST_MAX);
    struct vt_xmlrpc_writer writer = { .buf = &args, .err = err };
    va_list list;

    va_start(list, format);
    bool ok = vt_buf_reserve(&args, TEXT_FIRST, err) && write_args(&writer, format, list);
    va_end(list);
    return ok && call_args(xapi, line, stream, method, &args, reply, err);
}
