#include "cmd/vitrined_worklist.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "archive/archive.h"
#include "archive/worklist.h"
#include "cmd/upkeep.h"
#include "cmd/verbs_worklist.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_routes.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"

enum { FILES_MAX = 50000, DEPTH = 1, PURGE_FIRST_S = 60, PURGE_EVERY_S = 3600 };

struct file {
    char *path;
    struct timespec modified;
    off_t size;
    bool there; /* in this look */
};

struct vt_worklist_watch {
    struct vt_job_world *world;
    const char *folder, *charset; /* the configuration's; NULL: none */
    int64_t keep;
    struct vt_upkeep *upkeep;

    /* the thread's */
    struct file *files;
    size_t count, room;
    bool started; /* the first look was taken */
};

/* ---- files that were seen ---- */

static struct file *find_file(struct vt_worklist_watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->count; i++)
        if (strcmp(watch->files[i].path, path) == 0)
            return &watch->files[i];
    return NULL;
}

static struct file *add_file(struct vt_worklist_watch *watch, const char *path, struct vt_err *err)
{
    if (watch->count == FILES_MAX) {
        vt_fail(err, VT_E_LIMIT, "more than %d worklist files", FILES_MAX);
        return NULL;
    }
    if (watch->count == watch->room) {
        size_t wanted = watch->room ? watch->room * 2 : 64;
        struct file *grown = reallocarray(watch->files, wanted, sizeof *grown);
        if (!grown) {
            vt_fail(err, VT_E_NOMEM, "no memory for %zu worklist files", wanted);
            return NULL;
        }
        watch->files = grown;
        watch->room = wanted;
    }
    char *copy = strdup(path);
    if (!copy) {
        vt_fail(err, VT_E_NOMEM, "no memory for a worklist file");
        return NULL;
    }
    struct file *file = &watch->files[watch->count++];
    *file = (struct file){ .path = copy, .size = -1 };
    return file;
}

/* ---- one look ---- */

static bool on_trouble(void *context, const char *path, uint64_t line, const char *text, struct vt_err *err)
{
    (void)context, (void)err;
    vt_log(VT_LOG_WARN, "worklist.refused", "file=\"%s\" line=%llu text=\"%s\"", path, (unsigned long long)line, text);
    return true;
}

static bool is_wanted(const char *name)
{
    const char *dot = strrchr(name, '.');

    return name[0] != '.' && dot && (strcasecmp(dot, ".wl") == 0 || strcasecmp(dot, ".csv") == 0);
}

/* A file that is not whole yet is refused, and read again once it has changed. */
static bool look_at_file(struct vt_worklist_watch *watch, const char *path, const struct stat *now, struct vt_err *err)
{
    struct file *file = find_file(watch, path);
    struct vt_worklist_counts counts = { 0 };

    if (!file && !(file = add_file(watch, path, err)))
        return false;
    file->there = true;
    if (file->size == now->st_size && file->modified.tv_sec == now->st_mtim.tv_sec &&
        file->modified.tv_nsec == now->st_mtim.tv_nsec)
        return true;
    file->size = now->st_size;
    file->modified = now->st_mtim;
    if (!vt_worklist_take_file(watch->world->archive, path, path, watch->charset, &counts, on_trouble, watch, err))
        return vt_fail_context(err, "%.120s", path);
    if (counts.added + counts.changed > 0)
        vt_log(VT_LOG_INFO, "worklist.read", "file=\"%s\" added=%llu changed=%llu failed=%llu", path,
               (unsigned long long)counts.added, (unsigned long long)counts.changed,
               (unsigned long long)counts.failed);
    return true;
}

static bool look_into(struct vt_worklist_watch *watch, const char *folder, int depth, const atomic_bool *stopping,
                      struct vt_err *err)
{
    DIR *open = opendir(folder);
    struct dirent *entry;
    char path[PATH_MAX];
    struct stat now;
    bool ok = true;

    if (!open)
        return vt_fail_errno(err, "worklist folder %s", folder);
    while (ok && !atomic_load(stopping) && (entry = readdir(open))) {
        if (entry->d_name[0] == '.' ||
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path ||
            lstat(path, &now) != 0)
            continue;
        struct vt_err why = { 0 };
        if (S_ISDIR(now.st_mode) && depth < DEPTH)
            ok = look_into(watch, path, depth + 1, stopping, err);
        else if (S_ISREG(now.st_mode) && is_wanted(entry->d_name) && !look_at_file(watch, path, &now, &why))
            vt_log(VT_LOG_WARN, "worklist.refused", "file=\"%s\" text=\"%s\"", path, why.text);
    }
    closedir(open);
    return ok;
}

/* Entries of files go with them. */
static void forget_missing(struct vt_worklist_watch *watch)
{
    size_t kept = 0;

    for (size_t i = 0; i < watch->count; i++) {
        struct file *file = &watch->files[i];
        struct vt_err err = { 0 };
        bool gone = !file->there && vt_worklist_remove_source(watch->world->archive, file->path, &err);
        if (vt_failed(&err))
            vt_log(VT_LOG_WARN, "worklist.kept", "file=\"%s\" text=\"%s\"", file->path, err.text);
        if (gone)
            free(file->path);
        else
            watch->files[kept++] = *file;
    }
    watch->count = kept;
}

/* What files gave before this start. */
static bool on_known(void *context, const struct vt_worklist_entry *entry, const uint8_t *attributes, size_t size,
                     struct vt_err *err)
{
    struct vt_worklist_watch *watch = context;
    size_t length = strlen(watch->folder);

    (void)attributes, (void)size;
    return strncmp(entry->source, watch->folder, length) != 0 || entry->source[length] != '/' ||
           find_file(watch, entry->source) || add_file(watch, entry->source, err);
}

static void look(void *context, const atomic_bool *stopping)
{
    struct vt_worklist_watch *watch = context;
    struct vt_err err = { 0 };

    if (!watch->started && !vt_worklist_each(watch->world->archive, true, on_known, watch, &err)) {
        vt_log(VT_LOG_WARN, "worklist.watch", "text=\"%s\"", err.text);
        return;
    }
    watch->started = true;
    for (size_t i = 0; i < watch->count; i++)
        watch->files[i].there = false;
    if (!look_into(watch, watch->folder, 0, stopping, &err))
        vt_log(VT_LOG_WARN, "worklist.watch", "text=\"%s\"", err.text);
    else if (!atomic_load(stopping))
        forget_missing(watch);
}

static void purge(void *context, const atomic_bool *stopping)
{
    const struct vt_worklist_watch *watch = context;
    uint64_t count = 0;
    struct vt_err err = { 0 };

    (void)stopping;
    if (watch->keep == 0)
        return;
    if (!vt_worklist_purge(watch->world->archive, vt_clock_wall() - watch->keep, &count, &err))
        vt_log(VT_LOG_WARN, "worklist.kept", "text=\"%s\"", err.text);
    else if (count > 0)
        vt_log(VT_LOG_INFO, "worklist.purged", "entries=%llu", (unsigned long long)count);
}

/* ---- what is new brings priors about ---- */

static void on_added(void *context, const struct vt_event *event)
{
    struct vt_worklist_watch *watch = context;
    struct vt_worklist_entry entry;
    struct vt_err err = { 0 };
    bool there = false;

    if (!vt_worklist_read(watch->world->archive, strtoll(event->subject, NULL, 10), &entry, &there, &err))
        vt_log(VT_LOG_WARN, "worklist.prefetch", "text=\"%s\"", err.text);
    else if (there)
        vt_routes_scheduled(watch->world, &entry);
}

/* ---- life ---- */

static bool read_conf(struct vt_worklist_watch *watch, int64_t *out_every, struct vt_err *err)
{
    const struct vt_conf *conf = watch->world->conf;
    const int64_t day = 86400 * VT_NS_PER_S;

    watch->folder = vt_conf_text(conf, "worklist", NULL, "folder", NULL);
    watch->charset = vt_conf_text(conf, "worklist", NULL, "charset", NULL);
    if (watch->folder && !watch->folder[0])
        watch->folder = NULL;
    return vt_conf_duration(conf, "worklist", NULL, "every", VT_NS_PER_S / 10, 3600 * VT_NS_PER_S, 5 * VT_NS_PER_S,
                            out_every, err) &&
           vt_conf_duration(conf, "worklist", NULL, "keep", 0, 3650 * day, 30 * day, &watch->keep, err) &&
           (!watch->folder || watch->folder[0] == '/' ||
            vt_fail(err, VT_E_INVALID, "worklist.folder must be an absolute path"));
}

bool vt_worklist_watch_start(struct vt_job_world *world, struct vt_worklist_watch **out, struct vt_err *err)
{
    struct vt_worklist_watch *watch = calloc(1, sizeof *watch);
    int64_t every = 0;

    if (!watch)
        return vt_fail(err, VT_E_NOMEM, "no memory for the worklist");
    watch->world = world;
    *out = watch;
    if (!read_conf(watch, &every, err) ||
        !vt_events_subscribe(world->events, "worklist.added", on_added, watch, err))
        return false;
    const struct vt_chore chores[] = {
        { PURGE_FIRST_S * VT_NS_PER_S, PURGE_EVERY_S * VT_NS_PER_S, purge },
        { 0, every, look },
    };
    watch->upkeep = vt_upkeep_start(chores, watch->folder ? 2 : 1, watch, err);
    return watch->upkeep != NULL;
}

void vt_worklist_watch_stop(struct vt_worklist_watch *watch)
{
    if (!watch)
        return;
    vt_upkeep_stop(watch->upkeep);
    watch->upkeep = NULL;
}

void vt_worklist_watch_free(struct vt_worklist_watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; i < watch->count; i++)
        free(watch->files[i].path);
    free(watch->files);
    free(watch);
}
