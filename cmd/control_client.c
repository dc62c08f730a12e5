#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/control.h"
#include "cmd/control_socket.h"
#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"

static json_t *pack_words(const char *const *words, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(words[i]));
    return list;
}

static bool send_request(int fd, const struct vt_control_request *request, struct vt_err *err)
{
    json_t *object = json_object();
    json_object_set_new(object, "verb", pack_words(request->verb, request->verb_count));
    json_object_set_new(object, "args", pack_words(request->args, request->arg_count));
    if (request->options)
        json_object_set(object, "options", (json_t *)(uintptr_t)request->options);
    char *text = json_dumps(object, JSON_COMPACT);
    size_t size = text ? strlen(text) : 0, sent = 0;

    bool complete = json_array_size(json_object_get(object, "args")) == request->arg_count;
    json_decref(object);
    if (!text || !complete || size >= VT_CONTROL_LINE_MAX) {
        free(text);
        return vt_fail(err, VT_E_INVALID,
                       "the words are too long for the control socket, or not UTF-8");
    }
    text[size++] = '\n';
    while (sent < size) {
        ssize_t step = send(fd, text + sent, size - sent, MSG_NOSIGNAL);
        if (step < 0 && errno != EINTR)
            break;
        sent += step > 0 ? (size_t)step : 0;
    }
    free(text);
    /* An early close has a reason that can be read. */
    return true;
}

static void read_error(const json_t *error, struct vt_err *err)
{
    const char *name = json_string_value(json_object_get(error, "code"));
    const char *text = json_string_value(json_object_get(error, "text"));
    enum vt_code code = VT_E_INTERNAL;

    for (int i = VT_E_INVALID; name && i <= VT_E_INTERNAL; i++)
        if (strcmp(vt_code_name((enum vt_code)i), name) == 0)
            code = (enum vt_code)i;
    vt_fail(err, code, "%s", text ? text : "vitrined failed without a reason");
}

/* One line. *out_last: it was the last one. */
static bool take_line(const json_t *line, const struct vt_control_answer *answer, bool *out_last,
                      json_t **out_result, struct vt_err *err)
{
    json_t *row = json_object_get(line, "row"), *result = json_object_get(line, "result");
    const json_t *progress = json_object_get(line, "progress"),
                 *error = json_object_get(line, "error");
    bool more = true;

    if (error) {
        read_error(error, err);
        return false;
    }
    if (row)
        more = answer->row(answer->context, row);
    if (progress && answer->progress) {
        const char *unit = json_string_value(json_object_get(progress, "unit"));
        more = answer->progress(
            answer->context, (uint64_t)json_integer_value(json_object_get(progress, "done")),
            (uint64_t)json_integer_value(json_object_get(progress, "total")), unit ? unit : "");
    }
    *out_last = result != NULL;
    if (result)
        *out_result = json_incref(result);
    return more || vt_fail(err, VT_E_CANCELLED, "stopped");
}

static int connect_there(const char *archive_path, struct vt_err *err)
{
    struct sockaddr_un address;
    vt_autoclose folder = -1;

    if (!vt_control_address(archive_path, &address, &folder, err))
        return -1;
    vt_autoclose fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        vt_fail_errno(err, "control socket of %s", archive_path);
        return -1;
    }
    return vt_take_fd(&fd);
}

bool vt_control_call(const char *archive_path, const struct vt_control_request *request,
                     const struct vt_control_answer *answer, bool *out_listening,
                     json_t **out_result, struct vt_err *err)
{
    VT_AUTO_BUF(buf, VT_CONTROL_ANSWER_MAX);
    vt_autoclose fd = connect_there(archive_path, err);
    bool last = false, going = true;
    json_t *line;

    *out_listening = fd >= 0 || err->code == VT_E_DENIED;
    if (fd < 0 && !*out_listening) {
        vt_err_clear(err);
        return true;
    }
    if (fd < 0)
        return vt_fail(err, VT_E_DENIED,
                       "the archive %s belongs to another user: run this as that user or as root",
                       archive_path);
    if (!send_request(fd, request, err))
        return false;
    while (going && !last) {
        going = vt_control_read(fd, &buf, 0, &line, err);
        if (going && !line)
            return vt_fail(err, VT_E_CLOSED,
                           "vitrined closed the control socket before it was done");
        going = going && take_line(line, answer, &last, out_result, err);
        json_decref(line);
    }
    return going;
}
