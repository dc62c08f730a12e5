/* vitrine-poold: holds the sessions with the pools of virtual machines and their picture, and serves
 * one Unix socket. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cmd/notify.h"
#include "cmd/options.h"
#include "cmd/poold_commands.h"
#include "cmd/poold_conf.h"
#include "cmd/poold_modules.h"
#include "cmd/poold_settings.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "hypervisor/client.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum { FIRST_PICTURE_S = 10, ALLOCATOR_ARENAS = 2 };

static const char usage[] =
    "usage: vitrine-poold [-c FILE] [-o section.key=value]... [-v]\n"
    "  -c FILE                configuration (default /etc/vitrine/vitrine.conf when it is there)\n"
    "  -o section.key=value   override, e.g. -o pool.url=https://10.0.0.11\n"
    "  -v                     log at debug\n"
    "The password of a pool is the first line of pool.password_file, mode 0600.\n";

struct daemon {
    struct vt_poold_settings settings;
    struct vt_service_options service_options;
    struct vt_service *service;
    struct vt_poold_commands commands;
    struct vt_pool_module commands_module;
};

/* No core with a password in it, no other process that reads our memory. */
static void keep_memory_private(void)
{
    const struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static sigset_t block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signals;
}

static bool set_log_level(const struct vt_options *options, struct vt_err *err)
{
    const char *text = vt_conf_text(options->conf, "log", NULL, "level", "info");
    enum vt_log_level level = VT_LOG_INFO;

    if (!vt_log_level_parse(text, &level))
        return vt_fail(err, VT_E_INVALID, "log.level '%.20s' is none of error, warn, info, debug",
                       text);
    vt_log_set_level(options->verbose ? VT_LOG_DEBUG : level);
    return true;
}

static bool start(struct daemon *daemon, const struct vt_options *options, struct vt_err *err)
{
    const struct vt_conf *conf = options->conf;

    if (!set_log_level(options, err) ||
        !vt_poold_conf_service(conf, &daemon->service_options, err) ||
        !(daemon->service = vt_service_new(&daemon->service_options, err)) ||
        !vt_poold_conf_pools(conf, daemon->service, err))
        return false;
    daemon->commands.settings = &daemon->settings;
    vt_poold_commands_module(&daemon->commands, &daemon->commands_module);
    return vt_poold_modules_add(daemon->service, &daemon->settings, err) &&
           vt_service_add_module(daemon->service, &daemon->commands_module, err) &&
           vt_service_start(daemon->service, err);
}

/* Callers are served from the start; a pool that answers is waited for, one that does not is not. */
static void say_ready(const struct daemon *daemon)
{
    int64_t deadline = vt_clock_mono() + FIRST_PICTURE_S * VT_NS_PER_S;
    const char *path = daemon->service_options.socket;

    for (size_t i = 0; i < vt_service_pool_count(daemon->service); i++)
        vt_keeper_wait(vt_service_pool(daemon->service, i), deadline);
    fprintf(stderr, "ready socket=%s", path ? path : VT_POOL_SOCKET);
    for (size_t i = 0; i < vt_service_pool_count(daemon->service); i++) {
        struct vt_keeper *keeper = vt_service_pool(daemon->service, i);
        struct vt_keeper_status status;
        vt_keeper_status(keeper, &status);
        fprintf(stderr, " pool=%s:%s", vt_keeper_name(keeper),
                status.answers ? status.master : "away");
    }
    fputc('\n', stderr);
    vt_notify("READY=1");
}

/* What the console may, the log's level, the pools' logins, the modules'. With a mistake in it nothing
 * changes, but for passwords that could be read. */
static bool take_anew(struct daemon *daemon, struct vt_options *fresh, struct vt_err *err)
{
    struct vt_service_options wanted;

    if (!set_log_level(fresh, err) || !vt_poold_conf_service(fresh->conf, &wanted, err) ||
        !vt_poold_conf_logins(fresh->conf, daemon->service, err) ||
        !vt_poold_settings_set(&daemon->settings, fresh, err))
        return false;
    vt_service_reload(daemon->service, &wanted);
    vt_log(VT_LOG_INFO, "pool.reloaded", "console_verbs=%s", wanted.console_verbs ? "yes" : "no");
    return true;
}

static void reload(struct daemon *daemon, int argc, char **argv)
{
    struct vt_options fresh;
    struct vt_err err = { 0 };

    vt_notify("RELOADING=1");
    if (!vt_options_parse(&fresh, argc, argv, &err) || !take_anew(daemon, &fresh, &err))
        vt_log(VT_LOG_ERROR, "pool.reload-failed", "reason=\"%s\"", err.text);
    vt_options_fini(&fresh);
    vt_notify("READY=1");
}

static int run(struct daemon *daemon, int argc, char **argv)
{
    sigset_t signals = block_signals();
    struct vt_err err = { 0 };
    int status = EXIT_DONE, number = 0;

    const struct vt_options *options = vt_poold_settings_take(&daemon->settings);
    bool ok = start(daemon, options, &err);
    if (ok) {
        say_ready(daemon);
        while (sigwait(&signals, &number) == 0 && number == SIGHUP)
            reload(daemon, argc, argv);
        vt_log(VT_LOG_INFO, "pool.stopping", "signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
        vt_notify("STOPPING=1");
    } else {
        fprintf(stderr, "vitrine-poold: %s\n", err.text);
        status = err.code == VT_E_INVALID ? EXIT_USAGE : EXIT_FAILED;
    }
    vt_service_free(daemon->service);
    vt_poold_modules_fini();
    vt_poold_settings_drop(&daemon->settings, options); /* the socket's path is borrowed */
    return status;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct vt_options options;
    struct vt_err err = { 0 };
    int status = EXIT_USAGE;

    vt_poold_settings_init(&daemon.settings);
    keep_memory_private();
    raise_descriptor_limit();
    mallopt(M_ARENA_MAX, ALLOCATOR_ARENAS);
    if (!vt_options_parse(&options, argc, argv, &err)) {
        fprintf(stderr, "vitrine-poold: %s\n", err.text);
        status = err.code == VT_E_INVALID ? EXIT_USAGE : EXIT_FAILED;
    } else if (options.help || options.version) {
        fputs(options.help ? usage : "vitrine-poold " VT_VERSION "\n", stdout);
        status = EXIT_DONE;
    } else if (options.word_count > 0) {
        fprintf(stderr, "vitrine-poold: '%s' is not an option\n%s", options.words[0], usage);
    } else if (!vt_poold_settings_set(&daemon.settings, &options, &err)) {
        fprintf(stderr, "vitrine-poold: %s\n", err.text);
        status = EXIT_FAILED;
    } else {
        status = run(&daemon, argc, argv);
    }
    vt_options_fini(&options);
    vt_poold_settings_fini(&daemon.settings);
    return status;
}
