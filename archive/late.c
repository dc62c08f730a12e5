#include "archive/late.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "archive/apply.h"
#include "archive/commit.h"
#include "archive/inside.h"
#include "core/err.h"
#include "core/event.h"
#include "core/io.h"

struct vt_late_file {
    struct vt_late_file *next;
    bool cancelled; /* its commit failed after all */
    char file[VT_FILE_MAX];
    size_t size;
    uint8_t bytes[];
};

struct vt_late {
    pthread_t thread;
    bool runs;                        /* changes while nobody stores */
    atomic_uint_fast64_t taken, done; /* written under the lock; equal: nothing is late */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wanted, progress;
    struct vt_late_file *first, **last; /* the first is at work */
    size_t files, bytes;                /* taken and not done */
    bool closing, idle;
    struct vt_err stuck; /* why the first cannot be made; code VT_OK: it can */
};

struct vt_late *vt_late_new(void)
{
    struct vt_late *late = calloc(1, sizeof *late);
    pthread_condattr_t monotonic;

    if (!late)
        return NULL;
    late->last = &late->first;
    pthread_mutex_init(&late->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&late->wanted, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&late->progress, NULL);
    return late;
}

void vt_late_free(struct vt_late *late)
{
    if (!late)
        return;
    for (struct vt_late_file *file = late->first, *next; file; file = next) {
        next = file->next;
        free(file);
    }
    pthread_mutex_destroy(&late->lock);
    pthread_cond_destroy(&late->wanted);
    pthread_cond_destroy(&late->progress);
    free(late);
}

/* ---- the thread ---- */

static bool make(struct vt_archive *archive, const struct vt_late_file *file, struct vt_err *err)
{
    if (file->cancelled)
        return true;
    vt_point("late-file");
    pthread_mutex_lock(&archive->folders_lock);
    bool ok = vt_apply_late_file(archive, file->file, file->bytes, file->size, err);
    if (!ok) { /* the folder itself may be gone */
        vt_folders_forget_made(archive->folders);
        vt_folders_forget(archive->folders);
    }
    pthread_mutex_unlock(&archive->folders_lock);
    return ok;
}

/* Under the lock. */
static void remove_first(struct vt_late *late)
{
    struct vt_late_file *file = late->first;

    late->first = file->next;
    if (!late->first)
        late->last = &late->first;
    late->files--;
    late->bytes -= file->size;
    atomic_fetch_add(&late->done, 1);
    vt_err_clear(&late->stuck);
    pthread_cond_broadcast(&late->progress);
    free(file);
}

/* Entered and left under the lock. Those who wait are told; it is tried again after a while. */
static void get_stuck(struct vt_archive *archive, const struct vt_err *err)
{
    struct vt_late *late = archive->late;
    bool first = late->stuck.code == VT_OK;
    struct timespec until;

    late->stuck = *err;
    pthread_cond_broadcast(&late->progress);
    if (first) {
        pthread_mutex_unlock(&late->lock);
        vt_space_forget(archive);
        vt_events_publish(archive->options.events, "volume.late", err->text, NULL);
        pthread_mutex_lock(&late->lock);
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += VT_LATE_RETRY_S;
    while (!late->closing &&
           pthread_cond_timedwait(&late->wanted, &late->lock, &until) != ETIMEDOUT)
        ;
}

static void *run(void *context)
{
    struct vt_archive *archive = context;
    struct vt_late *late = archive->late;

    pthread_mutex_lock(&late->lock);
    while (late->first || !late->closing) {
        struct vt_late_file *file = late->first;
        struct vt_err err = { 0 };
        late->idle = !file;
        if (!file) {
            pthread_cond_wait(&late->wanted, &late->lock);
            continue;
        }
        pthread_mutex_unlock(&late->lock);
        bool ok = make(archive, file, &err);
        pthread_mutex_lock(&late->lock);
        if (ok)
            remove_first(late);
        else if (late->closing)
            break;
        else
            get_stuck(archive, &err);
    }
    pthread_mutex_unlock(&late->lock);
    return NULL;
}

bool vt_late_start(struct vt_archive *archive, struct vt_err *err)
{
    int result = pthread_create(&archive->late->thread, NULL, run, archive);

    if (result != 0) {
        errno = result;
        return vt_fail_errno(err, "starting the thread that makes late files");
    }
    archive->late->runs = true;
    return true;
}

void vt_late_stop(struct vt_archive *archive)
{
    struct vt_late *late = archive->late;

    if (!late || !late->runs)
        return;
    pthread_mutex_lock(&late->lock);
    late->closing = true;
    pthread_cond_signal(&late->wanted);
    pthread_mutex_unlock(&late->lock);
    pthread_join(late->thread, NULL);
    late->runs = false;
}

/* ---- the commit ---- */

static bool reserve(struct vt_late *late, size_t bytes)
{
    pthread_mutex_lock(&late->lock);
    bool room = late->stuck.code == VT_OK && late->files < VT_LATE_FILES &&
                late->bytes + bytes <= VT_LATE_BYTES;
    if (room) {
        late->files++;
        late->bytes += bytes;
        atomic_fetch_add(&late->taken, 1);
    }
    pthread_mutex_unlock(&late->lock);
    return room;
}

bool vt_late_take(struct vt_archive *archive, struct vt_request *request)
{
    const struct vt_record_body *body = request->body;
    struct vt_late *late = archive->late;

    /* A folder that cannot be made is found before the answer. Whoever had the archive alone since
     * the place was chosen may have put something there. */
    if (!late->runs || request->kind != VT_RECORD_STORE || body->staging != 0 ||
        !vt_folders_made(archive->folders, body->instance->file) ||
        request->exclusives != atomic_load(&archive->exclusives))
        return false;
    struct vt_late_file *file = malloc(sizeof *file + body->size);
    if (!file || !reserve(late, body->size)) {
        free(file);
        return false;
    }
    *file = (struct vt_late_file){ .size = body->size };
    memcpy(file->file, body->instance->file, sizeof file->file);
    memcpy(file->bytes, body->bytes, body->size);
    request->late = file;
    return true;
}

void vt_late_push(struct vt_archive *archive, struct vt_request *list)
{
    struct vt_late *late = archive->late;
    struct vt_late_file *first = NULL, **last = &first;

    for (struct vt_request *request = list; request; request = request->next)
        if (request->late) {
            request->late->cancelled = request->err.code != VT_OK;
            *last = request->late;
            last = &request->late->next;
            request->late = NULL;
        }
    if (!first)
        return;
    pthread_mutex_lock(&late->lock);
    *late->last = first;
    late->last = last;
    if (late->idle)
        pthread_cond_signal(&late->wanted);
    pthread_mutex_unlock(&late->lock);
}

/* ---- readers ---- */

static bool is_none(struct vt_late *late)
{
    return !late || atomic_load(&late->done) == atomic_load(&late->taken);
}

/* Under the lock: `count` of those taken are done. */
static bool wait_for(struct vt_late *late, uint64_t count, struct vt_err *err)
{
    while (atomic_load(&late->done) < count) {
        if (late->stuck.code != VT_OK) {
            *err = late->stuck;
            return vt_fail_context(err, "arrivals wait for their files");
        }
        pthread_cond_wait(&late->progress, &late->lock);
    }
    return true;
}

bool vt_late_settle(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_late *late = archive->late;

    if (is_none(late))
        return true;
    pthread_mutex_lock(&late->lock);
    bool ok = wait_for(late, atomic_load(&late->taken), err);
    pthread_mutex_unlock(&late->lock);
    return ok;
}

/* *out_place counts from 1; 0: it is not among those that were pushed. */
static const struct vt_late_file *find(const struct vt_late *late, const char *file,
                                       uint64_t *out_place, uint64_t *out_pushed)
{
    const struct vt_late_file *found = NULL;

    *out_place = *out_pushed = 0;
    for (const struct vt_late_file *each = late->first; each; each = each->next) {
        ++*out_pushed;
        if (each->cancelled || strcmp(each->file, file) != 0)
            continue;
        found = each;
        *out_place = *out_pushed;
    }
    return found;
}

/* Those that are taken and not pushed yet will stand behind all others: what is not among the
 * pushed ones is made, or one of those. */
bool vt_late_wait(struct vt_archive *archive, const char *file, struct vt_err *err)
{
    struct vt_late *late = archive->late;
    uint64_t place, pushed;

    if (is_none(late))
        return true;
    pthread_mutex_lock(&late->lock);
    uint64_t done = atomic_load(&late->done), taken = atomic_load(&late->taken);
    find(late, file, &place, &pushed);
    bool coming = place == 0 && done + pushed < taken;
    bool ok = wait_for(late, coming ? taken : done + place, err);
    pthread_mutex_unlock(&late->lock);
    return ok;
}

static int copy_of(const struct vt_late_file *file)
{
    vt_autoclose fd = memfd_create("late", MFD_CLOEXEC);
    struct vt_err ignored = { 0 };

    if (fd < 0 || !vt_io_pwrite(fd, file->bytes, file->size, 0, file->file, &ignored))
        return -1;
    return vt_take_fd(&fd);
}

int vt_late_open(struct vt_archive *archive, const char *file)
{
    struct vt_late *late = archive->late;
    uint64_t place, pushed;

    if (is_none(late))
        return -1;
    pthread_mutex_lock(&late->lock);
    const struct vt_late_file *found = find(late, file, &place, &pushed);
    int fd = found ? copy_of(found) : -1;
    pthread_mutex_unlock(&late->lock);
    return fd;
}
