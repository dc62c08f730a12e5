/* tests/hypervisor/simulator.h: a vitrine-poolsim process for a test, on a port of its own. */
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct simulator {
    pid_t pid;
    unsigned port;
    char url[64];
};

static inline const char *simulator_program(void)
{
    static char path[512];
    const char *bin = getenv("VT_BIN_DIR");

    snprintf(path, sizeof path, "%s/vitrine-poolsim", bin ? bin : "bin");
    return path;
}

static inline bool simulator_port_free(unsigned port, int hosts)
{
    bool ok = true;

    for (int i = 0; i < hosts && ok; i++) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        address.sin_addr.s_addr = htonl(0x7f000001u + (unsigned)i);
        ok = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
    }
    return ok;
}

enum { SIMULATOR_TRIES = 20 };

/* Its first line: "ready ...", or why it could not start. */
static inline pid_t simulator_run(unsigned number, const char *const *extra, char *line, int size)
{
    char port[8];
    int out[2];

    snprintf(port, sizeof port, "%u", number);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const char *args[24] = {
            simulator_program(), "--port", port, "--guest-port", "0", "--pace", "0.02"
        };
        for (int i = 7; *extra && i < 23; i++)
            args[i] = *extra++;
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        close(out[1]);
        execv(args[0], (char *const *)args);
        _exit(127);
    }
    close(out[1]);
    FILE *from = fdopen(out[0], "r");
    assert_non_null(fgets(line, size, from));
    fclose(from);
    return pid;
}

/* Extra arguments up to NULL. Another process may take the port between the look and the start. */
static inline struct simulator simulator_start(const char *const *extra)
{
    struct simulator simulator = { .port = 32000 - (unsigned)getpid() % 6000 };
    char line[256] = "";

    for (int i = 0; i < SIMULATOR_TRIES && strncmp(line, "ready", 5) != 0; i++) {
        while (!simulator_port_free(simulator.port, 5))
            simulator.port += 7;
        if (simulator.pid)
            waitpid(simulator.pid, NULL, 0);
        simulator.pid = simulator_run(simulator.port, extra, line, sizeof line);
    }
    assert_memory_equal(line, "ready", 5);
    const char *url = strstr(line, "url=");
    snprintf(simulator.url, sizeof simulator.url, "%.*s", (int)strcspn(url + 4, "\n"), url + 4);
    return simulator;
}

static inline void simulator_ctl(const struct simulator *simulator, const char *words)
{
    char command[700];

    snprintf(command, sizeof command, "%s ctl --port %u %s > /dev/null", simulator_program(),
             simulator->port, words);
    assert_int_equal(system(command), 0);
}

static inline void simulator_stop(struct simulator *simulator)
{
    int status = 0;

    kill(simulator->pid, SIGTERM);
    waitpid(simulator->pid, &status, 0);
    simulator->pid = 0;
}
