/* The folder of one disc, and the command that burns it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/vitrined_burn.h"
#include "core/auto.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"

enum { STATUS_MAX = 4096, DESCRIPTION_MAX = 16 << 10, STEP_MS = 100, KILL_AFTER_MS = 5000 };

extern char **environ;

static const char *const state_names[] = { "waiting", "queued", "burning", "done", "failed" };

const char *vt_burn_state_name(enum vt_burn_state state)
{
    return state < VT_BURN_STATES ? state_names[state] : "";
}

enum vt_burn_state vt_burn_status(const char *text, size_t size, enum vt_burn_state before,
                                  char reason[static VT_BURN_REASON_MAX + 1])
{
    size_t word = 0, rest = 0;

    while (word < size && text[word] > ' ' && text[word] != ':')
        word++;
    for (size_t i = VT_BURN_QUEUED; i < VT_BURN_STATES; i++) {
        if (word != strlen(state_names[i]) || memcmp(text, state_names[i], word) != 0)
            continue;
        while (word < size && (text[word] == ' ' || text[word] == ':' || text[word] == '\t'))
            word++;
        while (word + rest < size && rest < VT_BURN_REASON_MAX && (unsigned char)text[word + rest] >= ' ')
            rest++;
        memcpy(reason, text + word, rest);
        reason[rest] = '\0';
        return (enum vt_burn_state)i;
    }
    return before;
}

/* ---- names ---- */

static bool disc_path(const struct vt_burn_disc *disc, const char *prefix, const char *file, char out[static PATH_MAX],
                      struct vt_err *err)
{
    return snprintf(out, PATH_MAX, "%s/%s%s-%zu%s%s", disc->burner->folder, prefix, disc->name, disc->number,
                    *file ? "/" : "", file) < PATH_MAX ||
           vt_fail(err, VT_E_INVALID, "burner %s: the path of its folder is too long", disc->burner->name);
}

static bool image_path(const struct vt_burn_disc *disc, const char *prefix, char out[static PATH_MAX], struct vt_err *err)
{
    char name[VT_BURN_NAME_MAX + 32];

    snprintf(name, sizeof name, "%s-%zu.iso", disc->name, disc->number);
    return disc_path(disc, prefix, name, out, err);
}

static void remove_disc(const struct vt_burn_disc *disc, const char *prefix)
{
    static const char *const files[] = { "job.ini", "status.txt", "cancel" };
    char path[PATH_MAX];
    struct vt_err ignored = { 0 };

    if (image_path(disc, prefix, path, &ignored))
        unlink(path);
    for (size_t i = 0; i < VT_COUNT(files); i++)
        if (disc_path(disc, prefix, files[i], path, &ignored))
            unlink(path);
    if (disc_path(disc, prefix, "", path, &ignored))
        rmdir(path);
}

/* ---- putting it there ---- */

static bool describe(const struct vt_burn_disc *disc, uint64_t bytes, struct vt_buf *out, struct vt_err *err)
{
    return vt_buf_printf(out, err,
                         "[job]\nid = %s-%zu\nimage = %s-%zu.iso\nformat = iso9660\nbytes = %llu\ndisc = %zu\ndiscs = %zu\n"
                         "copies = %lld\nrequested_by = %s\n[label]\n%s",
                         disc->name, disc->number, disc->name, disc->number, (unsigned long long)bytes,
                         disc->number, disc->discs, (long long)disc->copies, disc->who, disc->label);
}

static bool fill(const struct vt_burn_disc *disc, struct vt_err *err)
{
    char hidden[PATH_MAX], image[PATH_MAX], description[PATH_MAX];
    VT_AUTO_BUF(text, DESCRIPTION_MAX);
    struct stat about;

    if (!disc_path(disc, ".", "", hidden, err) || !image_path(disc, ".", image, err) ||
        !disc_path(disc, ".", "job.ini", description, err))
        return false;
    if (mkdir(hidden, 0770) != 0 && errno != EEXIST)
        return vt_fail_errno(err, "%s", hidden);
    if (rename(disc->image, image) != 0 && errno != ENOENT)
        return vt_fail_errno(err, "%s", image);
    if (stat(image, &about) != 0)
        return vt_fail_errno(err, "%s", image);
    return describe(disc, (uint64_t)about.st_size, &text, err) &&
           vt_io_write_file(description, text.data, text.size, 0660, err);
}

bool vt_burn_put(const struct vt_burn_disc *disc, struct vt_err *err)
{
    char hidden[PATH_MAX], path[PATH_MAX];

    if (!disc_path(disc, "", "", path, err) || !disc_path(disc, ".", "", hidden, err))
        return false;
    if (access(path, F_OK) == 0)
        return true;
    if (!fill(disc, err))
        return false;
    if (rename(hidden, path) != 0)
        return vt_fail_errno(err, "%s", path);
    vt_autoclose folder = open(disc->burner->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0 ? vt_io_sync_folder(folder, disc->burner->folder, err) : vt_fail_errno(err, "%s", disc->burner->folder);
}

void vt_burn_again(const struct vt_burn_disc *disc)
{
    char path[PATH_MAX];
    struct vt_err ignored = { 0 };

    if (disc_path(disc, "", "status.txt", path, &ignored))
        unlink(path);
}

void vt_burn_withdraw(const struct vt_burn_disc *disc, enum vt_burn_state state)
{
    char path[PATH_MAX], hidden[PATH_MAX];
    struct vt_err ignored = { 0 };

    remove_disc(disc, ".");
    if (state == VT_BURN_DONE || !disc_path(disc, "", "", path, &ignored) || !disc_path(disc, ".", "", hidden, &ignored))
        return;
    if (state == VT_BURN_BURNING && !disc->burner->runs_command) {
        if (disc_path(disc, "", "cancel", path, &ignored))
            vt_io_write_file(path, "cancel\n", 7, 0660, &ignored);
        return;
    }
    /* Out of sight at once, then away. */
    if (rename(path, hidden) == 0)
        remove_disc(disc, ".");
}

/* ---- a command ---- */

/* %i the image, %j job.ini, %n the disc, %c copies, %% itself. */
static bool expand(const struct vt_burn_disc *disc, const char *word, struct vt_buf *out, struct vt_err *err)
{
    char image[PATH_MAX], description[PATH_MAX];

    if (!image_path(disc, "", image, err) || !disc_path(disc, "", "job.ini", description, err))
        return false;
    for (const char *at = word; *at; at++) {
        bool ok = *at != '%'      ? vt_buf_append_byte(out, (uint8_t)*at, err)
                  : at[1] == 'i'  ? vt_buf_append_text(out, image, err)
                  : at[1] == 'j'  ? vt_buf_append_text(out, description, err)
                  : at[1] == 'n'  ? vt_buf_printf(out, err, "%zu", disc->number)
                  : at[1] == 'c'  ? vt_buf_printf(out, err, "%lld", (long long)disc->copies)
                  : at[1] == '%'  ? vt_buf_append_byte(out, '%', err)
                                  : vt_fail(err, VT_E_INVALID, "burner %s: its command has %%%c", disc->burner->name, at[1]);
        if (!ok)
            return false;
        at += *at == '%';
    }
    return vt_buf_append_byte(out, 0, err);
}

static pid_t start(const struct vt_burn_disc *disc, int output, struct vt_err *err)
{
    char copy[VT_BURN_COMMAND_MAX], *rest = NULL, *words[VT_BURN_ARGUMENTS_MAX + 1] = { NULL };
    size_t places[VT_BURN_ARGUMENTS_MAX], count = 0;
    VT_AUTO_BUF(text, VT_BURN_ARGUMENTS_MAX * PATH_MAX);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    pid_t pid = -1;

    snprintf(copy, sizeof copy, "%s", disc->burner->command);
    for (char *word = strtok_r(copy, " \t", &rest); word && count < VT_BURN_ARGUMENTS_MAX; word = strtok_r(NULL, " \t", &rest)) {
        places[count++] = text.size;
        if (!expand(disc, word, &text, err))
            return -1;
    }
    for (size_t i = 0; i < count; i++)
        words[i] = (char *)text.data + places[i];
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
    errno = posix_spawnp(&pid, words[0], &files, &how, words, environ);
    if (errno != 0) {
        vt_fail_errno(err, "burner %s: %s", disc->burner->name, words[0]);
        pid = -1;
    }
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    return pid;
}

/* Until it ends, its time is over or somebody stops it: then its group is told, and at last killed. */
static int wait_for(const struct vt_burn_disc *disc, pid_t pid, bool *out_stopped, bool *out_late)
{
    int64_t deadline = vt_clock_mono() + disc->burner->timeout, killed = 0;
    struct pollfd stop = { .fd = disc->stop_fd, .events = POLLIN };
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        int64_t now = vt_clock_mono();
        bool stopped = poll(&stop, disc->stop_fd >= 0 && !killed ? 1 : 0, STEP_MS) > 0;
        *out_stopped = *out_stopped || stopped;
        *out_late = *out_late || (!stopped && now > deadline);
        if ((stopped || now > deadline) && !killed) {
            kill(-pid, SIGTERM);
            killed = now;
        } else if (killed && now - killed > KILL_AFTER_MS * VT_NS_PER_MS) {
            kill(-pid, SIGKILL);
        }
    }
    return status;
}

/* The last line that it said. */
static void last_words(int fd, char reason[static VT_BURN_REASON_MAX + 1])
{
    char text[VT_BURN_REASON_MAX + 1];
    off_t size = lseek(fd, 0, SEEK_END);
    ssize_t got = pread(fd, text, sizeof text - 1, size > (off_t)sizeof text - 1 ? size - (off_t)sizeof text + 1 : 0);

    while (got > 0 && (unsigned char)text[got - 1] <= ' ')
        got--;
    text[got > 0 ? got : 0] = '\0';
    const char *line = strrchr(text, '\n');
    snprintf(reason, VT_BURN_REASON_MAX + 1, "%s", line ? line + 1 : text);
}

static bool run_command(const struct vt_burn_disc *disc, enum vt_burn_state *state, char reason[static VT_BURN_REASON_MAX + 1],
                        struct vt_err *err)
{
    vt_autoclose output = open(disc->burner->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bool stopped = false, late = false;

    if (output < 0)
        return vt_fail_errno(err, "%s", disc->burner->folder);
    pid_t pid = start(disc, output, err);
    if (pid < 0)
        return false;
    int status = wait_for(disc, pid, &stopped, &late);
    if (stopped)
        return vt_fail(err, VT_E_CANCELLED, "stopped");
    last_words(output, reason);
    *state = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? VT_BURN_DONE : VT_BURN_FAILED;
    if (late)
        snprintf(reason, VT_BURN_REASON_MAX + 1, "it took longer than its timeout");
    if (*state == VT_BURN_DONE)
        remove_disc(disc, "");
    return true;
}

/* ---- looking ---- */

static bool read_status(const struct vt_burn_disc *disc, enum vt_burn_state *state, char reason[static VT_BURN_REASON_MAX + 1],
                        struct vt_err *err)
{
    char path[PATH_MAX];
    VT_AUTO_BUF(text, STATUS_MAX);
    struct vt_err why = { 0 };

    if (!disc_path(disc, "", "", path, err))
        return false;
    if (access(path, F_OK) != 0)
        return vt_fail(err, VT_E_NOTFOUND, "%s was taken away before it said how it ended", path);
    if (!disc_path(disc, "", "status.txt", path, err))
        return false;
    if (vt_io_read_file(path, &text, &why))
        *state = vt_burn_status((const char *)text.data, text.size, *state, reason);
    if (*state == VT_BURN_DONE)
        remove_disc(disc, "");
    return true;
}

bool vt_burn_look(const struct vt_burn_disc *disc, enum vt_burn_state *state, char reason[static VT_BURN_REASON_MAX + 1],
                  struct vt_err *err)
{
    return disc->burner->runs_command ? run_command(disc, state, reason, err) : read_status(disc, state, reason, err);
}
