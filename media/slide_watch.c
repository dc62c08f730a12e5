#include "media/slide_watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "media/import.h"

enum { TEXT_MAX = 512, NAMES_TRIED = 1000 };

struct seen {
    char name[NAME_MAX + 1];
    uint64_t size;
    int64_t modified;
    int64_t since;      /* monotonic ns: unchanged from here on */
    bool present;       /* at this look */
};

struct vt_slide_watch {
    struct vt_slide_watch_options options;
    char *folder;
    struct seen *seen;
    size_t count;
};

static bool path_of(const struct vt_slide_watch *watch, const char *sub, const char *name,
                    const char *suffix, char out[static PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/%s%s%s", watch->folder, sub, name, suffix) < PATH_MAX;
}

struct vt_slide_watch *vt_slide_watch_new(const struct vt_slide_watch_options *options, struct vt_err *err)
{
    VT_AUTO(vt_slide_watch) watch = calloc(1, sizeof *watch);
    char path[PATH_MAX];

    if (watch)
        watch->folder = strdup(options->folder);
    if (!watch || !watch->folder) {
        vt_fail(err, VT_E_NOMEM, "no memory to watch a folder");
        return NULL;
    }
    watch->options = *options;
    watch->options.folder = watch->folder;
    if (!path_of(watch, "", "done", "", path) || !vt_io_make_folder(path, err) ||
        !path_of(watch, "", "failed", "", path) || !vt_io_make_folder(path, err))
        return NULL;
    return vt_take(&watch);
}

void vt_slide_watch_free(struct vt_slide_watch *watch)
{
    if (!watch)
        return;
    free(watch->seen);
    free(watch->folder);
    free(watch);
}

/* ---- looking ---- */

static bool note(struct vt_slide_watch *watch, const char *name, const struct stat *status, int64_t now,
                 struct vt_err *err)
{
    int64_t modified = status->st_mtim.tv_sec * VT_NS_PER_S + status->st_mtim.tv_nsec;
    struct seen *seen = NULL;

    for (size_t i = 0; i < watch->count && !seen; i++)
        if (strcmp(watch->seen[i].name, name) == 0)
            seen = &watch->seen[i];
    if (!seen) {
        if (watch->count == VT_WATCH_FILES_MAX)
            return true;
        struct seen *grown = reallocarray(watch->seen, watch->count + 1, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory to watch %s", watch->folder);
        watch->seen = grown;
        seen = &watch->seen[watch->count++];
        *seen = (struct seen){ .since = now };
        snprintf(seen->name, sizeof seen->name, "%s", name);
    } else if (seen->size != (uint64_t)status->st_size || seen->modified != modified) {
        seen->since = now;
    }
    seen->size = (uint64_t)status->st_size;
    seen->modified = modified;
    seen->present = true;
    return true;
}

/* Hidden and temporary names are somebody's unfinished work; what lies beside a slide goes with it. */
static bool wanted(const char *name)
{
    static const char *const others[] = { ".json", ".csv", ".xml", ".part", ".tmp", ".partial", ".txt" };
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < VT_COUNT(others); i++)
        if (strcmp(dot, others[i]) == 0)
            return false;
    return name[0] != '.';
}

static void forget_gone(struct vt_slide_watch *watch)
{
    size_t kept = 0;

    for (size_t i = 0; i < watch->count; i++)
        if (watch->seen[i].present)
            watch->seen[kept++] = watch->seen[i];
    watch->count = kept;
}

static bool list(struct vt_slide_watch *watch, struct vt_err *err)
{
    int64_t now = vt_clock_mono();
    DIR *folder = opendir(watch->folder);
    struct stat status;
    bool ok = true;

    if (!folder)
        return vt_fail_errno(err, "%s", watch->folder);
    for (size_t i = 0; i < watch->count; i++)
        watch->seen[i].present = false;
    for (struct dirent *entry; ok && (entry = readdir(folder));)
        if (wanted(entry->d_name) &&
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode))
            ok = note(watch, entry->d_name, &status, now, err);
    closedir(folder);
    forget_gone(watch);
    return ok;
}

/* ---- one slide ---- */

struct arrival {
    const atomic_bool *stopping;
    char text[TEXT_MAX];
    bool verified;
};

static bool on_row(void *context, json_t *row)
{
    struct arrival *arrival = context;
    const char *text = json_string_value(json_object_get(row, "text"));

    snprintf(arrival->text, sizeof arrival->text, "%s", text ? text : "");
    arrival->verified = json_is_true(json_object_get(row, "verified"));
    return !atomic_load(arrival->stopping);
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    const struct arrival *arrival = context;

    (void)done, (void)total, (void)unit;
    return !atomic_load(arrival->stopping);
}

/* Under a name that is free there. */
static void move_to(const struct vt_slide_watch *watch, const char *sub, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX], number[16] = "";

    if (!path_of(watch, "", name, "", from))
        return;
    for (int i = 1; i < NAMES_TRIED && path_of(watch, sub, name, number, to); i++) {
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 || errno != EEXIST)
            return;
        snprintf(number, sizeof number, ".%d", i);
    }
}

static void move_all(const struct vt_slide_watch *watch, const char *sub, const char *name)
{
    static const char *const beside[] = { ".json", ".csv", ".xml" };
    const char *dot = strrchr(name, '.');
    char other[NAME_MAX + 8];

    for (size_t i = 0; dot && i < VT_COUNT(beside); i++) {
        snprintf(other, sizeof other, "%.*s%s", (int)(dot - name), name, beside[i]);
        move_to(watch, sub, other);
    }
    move_to(watch, sub, name);
}

static void write_reason(const struct vt_slide_watch *watch, const char *name, const char *text)
{
    struct vt_err ignored = { 0 };
    char path[PATH_MAX], line[TEXT_MAX + 1];

    snprintf(line, sizeof line, "%s\n", text);
    if (path_of(watch, "failed/", name, ".reason.txt", path))
        vt_io_write_file(path, line, strlen(line), 0640, &ignored);
}

static void finish(struct vt_slide_watch *watch, const char *name, bool ok, const struct arrival *arrival)
{
    char path[PATH_MAX];

    if (ok && arrival->verified && watch->options.delete_done && path_of(watch, "", name, "", path))
        unlink(path);
    move_all(watch, ok ? "done/" : "failed/", name);
    if (!ok)
        write_reason(watch, name, arrival->text);
    if (watch->options.told)
        watch->options.told(watch->options.context, name, ok, arrival->text);
}

static void import_one(struct vt_slide_watch *watch, const char *name, const atomic_bool *stopping)
{
    struct vt_import_counts counts = { 0 };
    struct arrival arrival = { .stopping = stopping };
    json_t *options = watch->options.worklist ? json_pack("{s:b}", "worklist", true) : NULL;
    const struct vt_import_call call = {
        .archive = watch->options.archive,
        .options = options,
        .named = true,
        .counts = &counts,
        .row = on_row,
        .progress = on_progress,
        .context = &arrival,
    };
    struct vt_err err = { 0 };
    char path[PATH_MAX];

    bool named = path_of(watch, "", name, "", path);
    bool ok = named && vt_import_slide.import(&call, path, &err);
    json_decref(options);
    if (!named)
        return;
    if (atomic_load(stopping) && !ok)
        return; /* it is still there at the next start */
    if (!ok) {
        /* The disk or the archive: that is not the slide's fault, it is tried again. */
        if (err.code == VT_E_FULL || err.code == VT_E_BUSY || err.code == VT_E_NOMEM)
            return;
        snprintf(arrival.text, sizeof arrival.text, "%s", err.text);
    }
    finish(watch, name, ok, &arrival);
}

bool vt_slide_watch_look(struct vt_slide_watch *watch, const atomic_bool *stopping, struct vt_err *err)
{
    if (!list(watch, err))
        return false;
    for (size_t i = 0; i < watch->count && !atomic_load(stopping); i++)
        if (vt_clock_mono() - watch->seen[i].since >= watch->options.settle)
            import_one(watch, watch->seen[i].name, stopping);
    return true;
}
