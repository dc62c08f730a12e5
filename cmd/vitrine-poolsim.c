/* vitrine-poolsim: a XAPI pool on loopback, and `ctl`, which changes one that runs. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "poolsim/control.h"
#include "poolsim/server.h"
#include "poolsim/sim.h"

enum { EXIT_USAGE = 2, ANSWER_MAX = 1 << 20 };

static int usage(FILE *to, int status)
{
    fprintf(
        to,
        "usage: vitrine-poolsim --port P [--hosts N] [--vms M] [--spares K] [--tls] [--seed S]\n"
        "                       [--password-file F] [--guest-port 11104] [--pace X]\n"
        "       vitrine-poolsim ctl --port P COMMAND\n"
        "Host i answers on 127.0.0.(1+i):P, host 0 is the master; then come K spare hosts that may "
        "join.\n"
        "User root, password vitrine. --pace 0.1 makes tasks ten times faster; --guest-port 0: no "
        "guest listens.\n%s",
        vt_sim_control_help());
    return status;
}

static bool number(const char *text, unsigned long min, unsigned long max, unsigned long *out)
{
    char *end = NULL;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "vitrine-poolsim: '%s' is not a number from %lu to %lu\n", text, min, max);
        return false;
    }
    *out = value;
    return true;
}

static bool read_password(const char *path, struct vt_sim_options *options)
{
    VT_AUTO_BUF(text, sizeof options->password - 1);
    struct vt_err err = { 0 };
    const char *password = vt_io_read_file(path, &text, &err) ? vt_buf_string(&text, &err) : NULL;

    if (!password) {
        fprintf(stderr, "vitrine-poolsim: %s\n", err.text);
        return false;
    }
    snprintf(options->password, sizeof options->password, "%.*s", (int)strcspn(password, "\r\n"),
             password);
    return true;
}

static bool take_option(int option, const char *value, struct vt_sim_options *options)
{
    unsigned long n = 0;

    switch (option) {
    case 'p':
        return number(value, 1, 65535, &n) && (options->port = (uint16_t)n, true);
    case 'h':
        return number(value, 1, VT_SIM_HOSTS_MAX, &n) && (options->hosts = (uint32_t)n, true);
    case 'v':
        return number(value, 0, VT_SIM_VMS_MAX, &n) && (options->vms = (uint32_t)n, true);
    case 'k':
        return number(value, 0, VT_SIM_HOSTS_MAX, &n) && (options->spares = (uint32_t)n, true);
    case 's':
        return number(value, 0, ULONG_MAX, &n) && (options->seed = n, true);
    case 'g':
        return number(value, 0, 65535, &n) && (options->guest_port = (uint16_t)n, true);
    case 'f':
        return read_password(value, options);
    case 't':
        options->tls = true;
        return true;
    case 'x':
        options->pace = strtod(value, NULL);
        return options->pace > 0 && options->pace <= 100;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct vt_sim_options *options)
{
    static const struct option longs[] = {
        { "port", required_argument, NULL, 'p' },
        { "hosts", required_argument, NULL, 'h' },
        { "vms", required_argument, NULL, 'v' },
        { "spares", required_argument, NULL, 'k' },
        { "seed", required_argument, NULL, 's' },
        { "guest-port", required_argument, NULL, 'g' },
        { "password-file", required_argument, NULL, 'f' },
        { "tls", no_argument, NULL, 't' },
        { "pace", required_argument, NULL, 'x' },
        { 0 },
    };
    int option = 0;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1)
        if (!take_option(option, optarg, options))
            return false;
    if (optind != argc || options->port == 0)
        return false;
    return options->hosts + options->spares <= VT_SIM_HOSTS_MAX;
}

static int ctl(int argc, char **argv)
{
    VT_AUTO_BUF(answer, ANSWER_MAX);
    struct vt_err err = { 0 };
    unsigned long port = 0;

    if (argc < 4 || strcmp(argv[1], "--port") != 0)
        return usage(stderr, EXIT_USAGE);
    if (!number(argv[2], 1, 65535, &port))
        return EXIT_USAGE;
    if (!vt_sim_control_call((uint16_t)port, argc - 3, argv + 3, &answer, &err)) {
        fprintf(stderr, "vitrine-poolsim: %s\n", err.text);
        return EXIT_FAILURE;
    }
    fwrite(answer.data, 1, answer.size, stdout);
    return EXIT_SUCCESS;
}

/* SIGTERM and SIGINT end the loop. */
static int stop_descriptor(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(const struct vt_sim_options *options)
{
    struct vt_err err = { 0 };
    vt_autoclose stop = stop_descriptor();
    VT_AUTO(vt_sim_world) world = vt_sim_world_new(options);
    VT_AUTO(vt_sim_server) server = vt_sim_server_new(world, &err);

    if (server) {
        fprintf(stderr, "ready port=%u hosts=%u spares=%u vms=%u url=%s://%s:%u\n", options->port,
                options->hosts, options->spares, options->vms, options->tls ? "https" : "http",
                world->machines[0].address, options->port);
        if (vt_sim_server_run(server, stop, &err))
            return EXIT_SUCCESS;
    }
    fprintf(stderr, "vitrine-poolsim: %s\n", err.text);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct vt_sim_options options = {
        .hosts = 3, .vms = 24, .seed = 1, .guest_port = 11104, .pace = 1.0, .password = "vitrine"
    };

    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, EXIT_SUCCESS);
    if (!parse(argc, argv, &options))
        return usage(stderr, EXIT_USAGE);
    return serve(&options);
}
