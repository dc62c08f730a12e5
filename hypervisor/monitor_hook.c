/* The hook: a program of the administrator that gets an incident as JSON on its standard input, at
 * its opening, its snapshot and its end. One at a time, killed when it takes too long; what comes
 * too fast is dropped and counted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/monitor_state.h"

enum { LOOK_MS = 20 };

extern char **environ;

void vt_hook_send(struct vt_monitor *monitor, const json_t *detail)
{
    struct vt_hook *hook = NULL;

    pthread_mutex_lock(&monitor->hook_lock);
    bool wanted = monitor->hook[0] && detail;
    pthread_mutex_unlock(&monitor->hook_lock);
    if (!wanted || !(hook = calloc(1, sizeof *hook)))
        return;
    hook->json = json_dumps(detail, JSON_COMPACT);
    pthread_mutex_lock(&monitor->hook_lock);
    if (monitor->hook_count >= VT_MONITOR_HOOKS_WAITING || !hook->json) {
        monitor->hooks_dropped++;
        pthread_mutex_unlock(&monitor->hook_lock);
        free(hook->json);
        free(hook);
        return;
    }
    *(monitor->last_hook ? &monitor->last_hook->next : &monitor->hooks) = hook;
    monitor->last_hook = hook;
    monitor->hook_count++;
    pthread_cond_signal(&monitor->hook_wake);
    pthread_mutex_unlock(&monitor->hook_lock);
}

static pid_t spawn(const char *program, int in)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    char *argv[] = { (char *)(uintptr_t)program, NULL };
    sigset_t none;
    pid_t pid = -1;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    if (posix_spawn(&pid, program, &actions, &attr, argv, environ) != 0)
        pid = -1;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* As much as it takes before the deadline; one that does not read gets no more. */
static void feed(int out, const char *text, int64_t deadline)
{
    size_t size = strlen(text), done = 0;

    fcntl(out, F_SETFL, O_NONBLOCK);
    while (done < size) {
        struct pollfd poller = { .fd = out, .events = POLLOUT };
        if (poll(&poller, 1, vt_clock_poll_ms(deadline)) <= 0)
            return;
        ssize_t sent = write(out, text + done, size - done);
        if (sent <= 0 && errno != EAGAIN && errno != EINTR)
            return;
        done += sent > 0 ? (size_t)sent : 0;
    }
}

static bool hook_stops(struct vt_monitor *monitor)
{
    pthread_mutex_lock(&monitor->hook_lock);
    bool stop = monitor->hook_stop;
    pthread_mutex_unlock(&monitor->hook_lock);
    return stop;
}

static bool wait_for(struct vt_monitor *monitor, pid_t pid, int64_t deadline)
{
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (vt_clock_mono() >= deadline || hook_stops(monitor)) {
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return false;
        }
        vt_clock_sleep(LOOK_MS * VT_NS_PER_MS);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_one(struct vt_monitor *monitor, const char *program, const char *json)
{
    int64_t deadline = vt_clock_mono() + VT_MONITOR_HOOK_S * VT_NS_PER_S;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = spawn(program, ends[0]);
    close(ends[0]);
    if (pid > 0)
        feed(ends[1], json, deadline);
    close(ends[1]);
    return pid > 0 && wait_for(monitor, pid, deadline);
}

static struct vt_hook *next_hook(struct vt_monitor *monitor,
                                 char program[static VT_MONITOR_PATH_MAX])
{
    struct vt_hook *hook = NULL;

    pthread_mutex_lock(&monitor->hook_lock);
    while (!monitor->hooks && !monitor->hook_stop)
        pthread_cond_wait(&monitor->hook_wake, &monitor->hook_lock);
    hook = monitor->hook_stop ? NULL : monitor->hooks;
    if (hook) {
        monitor->hooks = hook->next;
        if (!monitor->hooks)
            monitor->last_hook = NULL;
        monitor->hook_count--;
        strcpy(program, monitor->hook);
    }
    pthread_mutex_unlock(&monitor->hook_lock);
    return hook;
}

void *vt_hook_run(void *context)
{
    struct vt_monitor *monitor = context;
    char program[VT_MONITOR_PATH_MAX];
    sigset_t pipes;

    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, NULL);
    for (struct vt_hook *hook = next_hook(monitor, program); hook;
         hook = next_hook(monitor, program)) {
        bool ok = run_one(monitor, program, hook->json);
        pthread_mutex_lock(&monitor->hook_lock);
        monitor->hooks_run++;
        monitor->hooks_failed += !ok;
        pthread_mutex_unlock(&monitor->hook_lock);
        if (!ok)
            vt_monitor_publish(monitor, "hook.failed", "", json_pack("{s:s}", "program", program));
        free(hook->json);
        free(hook);
    }
    return NULL;
}
