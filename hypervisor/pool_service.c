/* The socket, who gets in, and the life of what belongs to the service. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "hypervisor/pool_service_state.h"
#include "hypervisor/pool_wire.h"

enum { BACKLOG = 1024, STACK = 512 * 1024, SOCKET_MODE = 0666, FOLDER_MODE = 0755 };

/* ---- callers ---- */

static void *serve(void *context)
{
    struct vt_pool_call *call = context;
    uint64_t one = 1;

    vt_call_serve(call);
    shutdown(call->fd, SHUT_RDWR);
    int wake = call->service->wake;
    atomic_store(&call->finished, true);
    (void)!write(wake, &one, sizeof one);
    return NULL;
}

static void reap(struct vt_service *service, bool all)
{
    for (size_t i = 0; i < VT_SERVICE_CALLERS; i++) {
        struct vt_pool_call *call = &service->callers[i];
        if (!call->used || (!all && !atomic_load(&call->finished)))
            continue;
        pthread_join(call->thread, NULL);
        close(call->fd);
        call->used = false;
    }
}

static struct vt_pool_call *free_caller(struct vt_service *service)
{
    reap(service, false);
    for (size_t i = 0; i < VT_SERVICE_CALLERS; i++)
        if (!service->callers[i].used)
            return &service->callers[i];
    return NULL;
}

static size_t consoles(const struct vt_service *service)
{
    size_t count = 0;

    for (size_t i = 0; i < VT_SERVICE_CALLERS; i++)
        count += service->callers[i].used && service->callers[i].is_console;
    return count;
}

/* The console's user may be changed while we run. */
static bool is_console_user(struct vt_service *service, uid_t uid)
{
    pthread_mutex_lock(&service->lock);
    bool console = service->options.console_uid != (uid_t)-1 && uid == service->options.console_uid;
    pthread_mutex_unlock(&service->lock);
    return console && uid != 0 && uid != geteuid();
}

/* One line, as far as it goes: whoever is refused is not waited for. */
static void refuse(int fd, const char *code, const char *text)
{
    char line[256];
    int length = snprintf(line, sizeof line,
                          "{\"error\":{\"code\":\"%s\",\"text\":\"%s\",\"xapi\":\"\"},\"status\":1}\n",
                          code, text);

    (void)!send(fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static bool begin(struct vt_pool_call *call)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    bool ok = pthread_create(&call->thread, &attributes, serve, call) == 0;
    pthread_attr_destroy(&attributes);
    return ok;
}

static void take_caller(struct vt_service *service, struct vt_pool_call *call, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        close(fd);
        return;
    }
    bool console = is_console_user(service, peer.uid);
    if (peer.uid != 0 && peer.uid != geteuid() && !console) {
        vt_log(VT_LOG_WARN, "pool.caller-refused", "uid=%u pid=%d", (unsigned)peer.uid,
               (int)peer.pid);
        refuse(fd, "denied", "vitrine-poold serves its own user, root and the console only");
        return;
    }
    if (console && consoles(service) >= VT_SERVICE_CONSOLE) {
        refuse(fd, "busy", "the console asks too much of vitrine-poold at once: try again");
        return;
    }
    *call = (struct vt_pool_call){
        .service = service, .fd = fd, .uid = peer.uid, .is_console = console, .used = true
    };
    if (!begin(call)) {
        call->used = false;
        refuse(fd, "no-memory", "vitrine-poold has no memory for a thread");
    }
}

/* Who comes when all places are taken waits in the backlog. */
static void *accept_callers(void *context)
{
    struct vt_service *service = context;
    uint64_t count;

    while (!atomic_load(&service->stopping)) {
        struct vt_pool_call *call = free_caller(service);
        struct pollfd polled[] = { { .fd = service->wake, .events = POLLIN },
                                   { .fd = call ? service->listener : -1, .events = POLLIN } };
        if (poll(polled, VT_COUNT(polled), -1) < 0)
            continue;
        if (polled[0].revents)
            (void)!read(service->wake, &count, sizeof count);
        if (!call || !(polled[1].revents & POLLIN))
            continue;
        int fd = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            take_caller(service, call, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            vt_clock_sleep(100 * VT_NS_PER_MS);
    }
    return NULL;
}

/* ---- the socket ---- */

static bool make_parent(const char *path, struct vt_err *err)
{
    char folder[VT_KEEPER_PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path || slash - path >= (int)sizeof folder)
        return true;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return mkdir(folder, FOLDER_MODE) == 0 || errno == EEXIST ||
           vt_fail_errno(err, "%s, for pool.socket", folder);
}

static bool make_socket(struct vt_service *service, const char *path, struct vt_err *err)
{
    struct vt_err none = { 0 };
    struct vt_pool_client *other = vt_pool_client_open(path, vt_clock_mono() + VT_NS_PER_S, &none);

    vt_pool_client_free(other);
    if (other || none.code == VT_E_TIMEOUT)
        return vt_fail(err, VT_E_BUSY, "another vitrine-poold listens at %.150s", path);
    if (!make_parent(path, err) || !vt_wire_address(path, &service->address, &service->folder, err))
        return false;
    service->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (service->listener < 0)
        return vt_fail_errno(err, "a socket");
    unlink(service->address.sun_path);
    if (bind(service->listener, (const struct sockaddr *)&service->address,
             sizeof service->address) != 0)
        return vt_fail_errno(err, "the socket %s", path);
    service->bound = true;
    /* Everybody may knock: who gets in is decided by who they are. */
    if (chmod(service->address.sun_path, SOCKET_MODE) != 0 ||
        listen(service->listener, BACKLOG) != 0)
        return vt_fail_errno(err, "the socket %s", path);
    return true;
}

/* ---- life ---- */

struct vt_service *vt_service_new(const struct vt_service_options *options, struct vt_err *err)
{
    struct vt_service *service = calloc(1, sizeof *service);

    if (!service) {
        vt_fail(err, VT_E_NOMEM, "no memory for the service");
        return NULL;
    }
    pthread_mutex_init(&service->lock, NULL);
    service->folder = service->listener = -1;
    service->begun = vt_clock_wall();
    service->allowance_at = vt_clock_mono();
    service->allowance = UINT32_MAX; /* as many as a minute allows, to begin with */
    service->options = *options;
    service->options.socket = strdup(options->socket ? options->socket : VT_POOL_SOCKET);
    service->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (service->options.socket && service->wake >= 0)
        return service;
    vt_fail(err, VT_E_NOMEM, "no memory for the service");
    vt_service_free(service);
    return NULL;
}

bool vt_service_add_pool(struct vt_service *service, struct vt_keeper *keeper, struct vt_err *err)
{
    if (service->keeper_count == VT_SERVICE_POOLS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d pools", VT_SERVICE_POOLS_MAX);
    service->keepers[service->keeper_count++] = keeper;
    return true;
}

bool vt_service_add_module(struct vt_service *service, const struct vt_pool_module *module,
                           struct vt_err *err)
{
    if (service->module_count == VT_SERVICE_MODULES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d modules", VT_SERVICE_MODULES_MAX);
    service->modules[service->module_count++] = module;
    return true;
}

bool vt_service_start(struct vt_service *service, struct vt_err *err)
{
    for (size_t i = 0; i < service->keeper_count; i++)
        if (!vt_service_watch(service, service->keepers[i], err))
            return false;
    for (; service->started < service->module_count; service->started++) {
        const struct vt_pool_module *module = service->modules[service->started];
        if (module->start && !module->start(module->context, service, err))
            return vt_fail_context(err, "%s", module->name);
    }
    if (!make_socket(service, service->options.socket, err))
        return false;
    for (size_t i = 0; i < service->keeper_count; i++)
        if (!vt_keeper_start(service->keepers[i], err))
            return false;
    service->running = pthread_create(&service->thread, NULL, accept_callers, service) == 0;
    return service->running || vt_fail(err, VT_E_NOMEM, "no memory for a thread");
}

static void stop_callers(struct vt_service *service)
{
    uint64_t one = 1;

    atomic_store(&service->stopping, true);
    (void)!write(service->wake, &one, sizeof one);
    if (service->running)
        pthread_join(service->thread, NULL);
    pthread_mutex_lock(&service->lock);
    for (struct vt_reader *reader = service->readers; reader; reader = reader->next)
        (void)!write(reader->wake, &one, sizeof one);
    pthread_mutex_unlock(&service->lock);
    for (size_t i = 0; i < VT_SERVICE_CALLERS; i++) /* who has not finished asking will not */
        if (service->callers[i].used)
            shutdown(service->callers[i].fd, SHUT_RD);
    reap(service, true);
}

void vt_service_free(struct vt_service *service)
{
    if (!service)
        return;
    stop_callers(service);
    while (service->started > 0) {
        const struct vt_pool_module *module = service->modules[--service->started];
        if (module->stop)
            module->stop(module->context);
    }
    for (size_t i = 0; i < service->keeper_count; i++)
        vt_keeper_free(service->keepers[i]);
    if (service->bound)
        unlink(service->address.sun_path);
    if (service->listener >= 0)
        close(service->listener);
    if (service->folder >= 0)
        close(service->folder);
    if (service->wake >= 0)
        close(service->wake);
    free((char *)(uintptr_t)service->options.socket);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

void vt_service_reload(struct vt_service *service, const struct vt_service_options *options)
{
    pthread_mutex_lock(&service->lock);
    service->options.console_uid = options->console_uid;
    service->options.console_verbs = options->console_verbs;
    service->options.console_per_minute = options->console_per_minute;
    pthread_mutex_unlock(&service->lock);
    for (size_t i = 0; i < service->module_count; i++)
        if (service->modules[i]->reload)
            service->modules[i]->reload(service->modules[i]->context);
}

size_t vt_service_pool_count(const struct vt_service *service)
{
    return service->keeper_count;
}

struct vt_keeper *vt_service_pool(const struct vt_service *service, size_t index)
{
    return service->keepers[index];
}
