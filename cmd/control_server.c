#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/control.h"
#include "cmd/control_socket.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

enum { BACKLOG = 16, WHO_MAX = 64, WORDS_MAX = 4096 };

struct caller {
    struct vt_control *control;
    pthread_t thread;
    int fd; /* the accepting thread opens and closes it */
    char who[WHO_MAX];
    bool used;            /* of the accepting thread: fd and thread are there */
    atomic_bool finished; /* the thread is about to end */
};

struct vt_control {
    struct vt_control_options options; /* fixed */
    struct sockaddr_un address;        /* fixed */
    int folder_fd;                     /* of a long path; -1: none */
    int listener, wake;
    pthread_t thread;
    atomic_bool stopping;
    struct caller callers[VT_CONTROL_CLIENTS]; /* of the accepting thread */
};

/* ---- one caller ---- */

static bool gone(struct caller *caller)
{
    struct pollfd poll_fd = { .fd = caller->fd, .events = POLLRDHUP };

    return atomic_load(&caller->control->stopping) ||
           (poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

static bool on_row(void *context, json_t *row)
{
    struct caller *caller = context;

    return !gone(caller) && vt_control_write(caller->fd, "row", json_incref(row));
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    struct caller *caller = context;

    return !gone(caller) && vt_control_write(caller->fd, "progress",
                                             json_pack("{s:I, s:I, s:s}", "done", (json_int_t)done,
                                                       "total", (json_int_t)total, "unit", unit));
}

static void answer_error(struct caller *caller, const struct vt_err *err)
{
    vt_control_write(caller->fd, "error",
                     json_pack("{s:s, s:s}", "code", vt_code_name(err->code), "text", err->text));
}

/* A list of strings, borrowed from the JSON. NULL: it is something else, or out of memory. */
static const char **read_words(const json_t *list, size_t *out_count)
{
    size_t count = json_array_size(list), i;
    const char **words = calloc(count + 1, sizeof *words);
    json_t *item;

    *out_count = count;
    if (!words || count > WORDS_MAX || (list && !json_is_array(list))) {
        free(words);
        return NULL;
    }
    json_array_foreach(list, i, item)
    {
        words[i] = json_string_value(item);
        if (!words[i]) {
            free(words);
            return NULL;
        }
    }
    return words;
}

static bool run_request(struct caller *caller, const json_t *request, json_t **out_result,
                        struct vt_err *err)
{
    const struct vt_control_options *options = &caller->control->options;
    size_t verb_count, arg_count;
    vt_autofree const char **verb_words = read_words(json_object_get(request, "verb"), &verb_count);
    vt_autofree const char **args = read_words(json_object_get(request, "args"), &arg_count);
    const json_t *verb_options = json_object_get(request, "options");

    if (!verb_words || !args || verb_count == 0 || (verb_options && !json_is_object(verb_options)))
        return vt_fail(err, VT_E_PROTOCOL,
                       "a request on the control socket is not as it should be");
    const struct vt_admin_verb *verb = vt_admin_verb_find(verb_words, verb_count);
    if (!verb)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "the running vitrined does not know '%.40s'; restart it after an upgrade",
                       verb_words[0]);
    struct vt_admin_call call = {
        .admin = { .archive = options->archive,
                   .who = caller->who,
                   .row = on_row,
                   .progress = on_progress,
                   .context = caller },
        .args = args,
        .arg_count = arg_count,
        .options = verb_options,
        .rules = &options->rules,
        .world = options->world,
        .status = options->status,
        .status_context = options->context,
    };
    vt_log(verb->changes ? VT_LOG_INFO : VT_LOG_DEBUG, "control.verb", "verb=%s%s%s by=%s",
           verb->words[0], verb->words[1] ? "-" : "", verb->words[1] ? verb->words[1] : "",
           caller->who);
    return vt_admin_verb_run(verb, &call, out_result, err);
}

static void *serve_caller(void *context)
{
    struct caller *caller = context;
    struct vt_err err = { 0 };
    json_t *request = NULL, *result = NULL;
    VT_AUTO_BUF(line, VT_CONTROL_LINE_MAX);
    int64_t deadline = vt_clock_mono() + VT_CONTROL_REQUEST_WAIT * VT_NS_PER_S;

    if (!vt_control_read(caller->fd, &line, deadline, &request, &err) ||
        (request && !run_request(caller, request, &result, &err)))
        answer_error(caller, &err);
    else if (result)
        vt_control_write(caller->fd, "result", result);
    json_decref(request);
    shutdown(caller->fd, SHUT_RDWR);
    atomic_store(&caller->finished, true);
    return NULL;
}

/* ---- the accepting thread ---- */

static void reap(struct vt_control *control, bool all)
{
    for (size_t i = 0; i < VT_CONTROL_CLIENTS; i++) {
        struct caller *caller = &control->callers[i];
        if (!caller->used || (!all && !atomic_load(&caller->finished)))
            continue;
        if (all)
            shutdown(caller->fd, SHUT_RDWR);
        pthread_join(caller->thread, NULL);
        close(caller->fd);
        caller->used = false;
    }
}

/* Same user or root. Fills who. */
static bool allowed(int fd, char who[static WHO_MAX])
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    char room[4096];
    struct passwd entry, *found = NULL;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    if (getpwuid_r(peer.uid, &entry, room, sizeof room, &found) == 0 && found)
        snprintf(who, WHO_MAX, "%s", found->pw_name);
    else
        snprintf(who, WHO_MAX, "uid %u", (unsigned)peer.uid);
    return peer.uid == geteuid() || peer.uid == 0;
}

static void refuse(int fd, enum vt_code code, const char *text)
{
    vt_control_write(fd, "error",
                     json_pack("{s:s, s:s}", "code", vt_code_name(code), "text", text));
    close(fd);
}

static struct caller *free_caller(struct vt_control *control)
{
    reap(control, false);
    for (size_t i = 0; i < VT_CONTROL_CLIENTS; i++)
        if (!control->callers[i].used)
            return &control->callers[i];
    return NULL;
}

static void take_caller(struct vt_control *control, int fd)
{
    const struct timeval wait = { .tv_sec = VT_CONTROL_WRITE_WAIT };
    struct caller *caller = free_caller(control);
    char who[WHO_MAX];

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (!allowed(fd, who)) {
        vt_log(VT_LOG_WARN, "control.refused", "by=%s", who);
        refuse(fd, VT_E_DENIED, "the control socket serves its own user and root only");
        return;
    }
    if (!caller) {
        refuse(fd, VT_E_BUSY, "too many verbs run at once; try again when some have ended");
        return;
    }
    caller->control = control;
    caller->fd = fd;
    memcpy(caller->who, who, sizeof caller->who);
    atomic_store(&caller->finished, false);
    if (pthread_create(&caller->thread, NULL, serve_caller, caller) == 0)
        caller->used = true;
    else
        refuse(fd, VT_E_LIMIT, "no thread for one more verb");
}

static void *accept_callers(void *context)
{
    struct vt_control *control = context;
    struct pollfd fds[] = { { .fd = control->listener, .events = POLLIN },
                            { .fd = control->wake, .events = POLLIN } };

    while (!atomic_load(&control->stopping)) {
        if (poll(fds, VT_COUNT(fds), -1) < 0 && errno != EINTR)
            break;
        if (!(fds[0].revents & POLLIN))
            continue;
        int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take_caller(control, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            vt_clock_sleep(100 * VT_NS_PER_MS);
    }
    reap(control, true);
    return NULL;
}

/* ---- start, stop ---- */

static bool listen_there(struct vt_control *control, struct vt_err *err)
{
    const char *path = control->address.sun_path;

    unlink(path);
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Nobody can connect before listen(): the mode is set in time. */
    if (control->listener < 0 ||
        bind(control->listener, (const struct sockaddr *)&control->address,
             sizeof control->address) != 0 ||
        chmod(path, 0600) != 0 || listen(control->listener, BACKLOG) != 0)
        return vt_fail_errno(err, "control socket %s", path);
    control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return control->wake >= 0 || vt_fail_errno(err, "control socket");
}

static void release(struct vt_control *control)
{
    if (control->listener >= 0) {
        unlink(control->address.sun_path);
        close(control->listener);
    }
    if (control->wake >= 0)
        close(control->wake);
    if (control->folder_fd >= 0)
        close(control->folder_fd);
    free(control);
}

struct vt_control *vt_control_start(const struct vt_control_options *options, struct vt_err *err)
{
    struct vt_control *control = calloc(1, sizeof *control);

    if (!control) {
        vt_fail(err, VT_E_NOMEM, "no memory for the control socket");
        return NULL;
    }
    control->options = *options;
    control->listener = control->wake = control->folder_fd = -1;
    if (!vt_control_address(vt_archive_path(options->archive), &control->address,
                            &control->folder_fd, err) ||
        !listen_there(control, err)) {
        release(control);
        return NULL;
    }
    if (pthread_create(&control->thread, NULL, accept_callers, control) != 0) {
        vt_fail(err, VT_E_LIMIT, "no thread for the control socket");
        release(control);
        return NULL;
    }
    return control;
}

void vt_control_stop(struct vt_control *control)
{
    const uint64_t one = 1;

    if (!control)
        return;
    atomic_store(&control->stopping, true);
    if (write(control->wake, &one, sizeof one) < 0)
        vt_log(VT_LOG_ERROR, "control.stop", "why=%s", strerror(errno));
    pthread_join(control->thread, NULL);
    release(control);
}
