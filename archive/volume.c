#include "archive/volume.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "archive/admin_rows.h"
#include "archive/inside.h"
#include "archive/peer_days.h"
#include "archive/volume_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"

enum { HOLD_WAIT_S = 20 }; /* longer than a batch of another move takes */

static const char folder_of_links[] = "volumes", mark_name[] = "vitrine-volume";

/* ---- names ---- */

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return false;
    return length > 0 && length <= VT_VOLUME_NAME_MAX && strcmp(name, VT_VOLUME_MAIN) != 0;
}

void vt_volume_of(const char *file, char out_name[static VT_VOLUME_NAME_MAX + 1])
{
    size_t prefix = sizeof folder_of_links;
    const char *name = file + prefix;
    size_t length = strncmp(file, "volumes/", prefix) == 0 ? strcspn(name, "/") : 0;

    if (length == 0 || length > VT_VOLUME_NAME_MAX) {
        name = VT_VOLUME_MAIN;
        length = strlen(name);
    }
    memcpy(out_name, name, length);
    out_name[length] = '\0';
}

const struct vt_volume *vt_volume_find(const struct vt_archive *archive, const char *name)
{
    const struct vt_volumes *volumes = archive->volumes;

    for (size_t i = 0; volumes && i < volumes->count; i++)
        if (strcmp(volumes->list[i].name, name) == 0)
            return &volumes->list[i];
    return NULL;
}

uint64_t vt_volume_stop(const struct vt_archive *archive, const char *name, uint64_t total)
{
    const struct vt_volume *volume = vt_volume_find(archive, name);

    return vt_space_stop(volume ? volume->stop_free : archive->options.stop_free, total);
}

uint64_t vt_volume_reserve(const struct vt_archive *archive, const char *name, uint64_t total)
{
    const struct vt_volume *volume = vt_volume_find(archive, name);
    uint64_t stop = vt_volume_stop(archive, name, total);
    uint64_t reserve = volume ? volume->reserve_free : archive->options.reserve_free;

    return reserve > stop ? reserve : stop;
}

uint64_t vt_volume_warn(const struct vt_archive *archive, const char *name, uint64_t total)
{
    const struct vt_volume *volume = vt_volume_find(archive, name);

    return vt_space_warn(volume ? volume->warn_free : archive->options.warn_free, total);
}

const char *vt_volume_below(const char *file)
{
    const char *behind = strncmp(file, "volumes/", sizeof folder_of_links) == 0
                             ? strchr(file + sizeof folder_of_links, '/')
                             : NULL;

    return behind ? behind + 1 : file;
}

/* ---- opening ---- */

static bool check_volume(const struct vt_archive *archive, const struct vt_volume *volume,
                         struct vt_err *err)
{
    char path[VT_ARCHIVE_PATH_MAX + 64];

    if (!is_name(volume->name))
        return vt_fail(err, VT_E_INVALID,
                       "'%s' is no name for a volume: up to %d letters, digits, '-' and '_', "
                       "and not MAIN",
                       volume->name, VT_VOLUME_NAME_MAX);
    snprintf(path, sizeof path, "%s/", archive->path);
    if (!volume->path || volume->path[0] != '/')
        return vt_fail(err, VT_E_INVALID, "volume %s: path '%s' is not absolute", volume->name,
                       volume->path ? volume->path : "");
    if (strcmp(volume->path, archive->path) == 0)
        return vt_fail(err, VT_E_INVALID, "volume %s: %s is the archive's own folder", volume->name,
                       volume->path);
    return true;
}

/* A folder in the link's place came with a restored backup: it is used as it is. */
static bool make_link(const struct vt_archive *archive, const struct vt_volume *volume,
                      struct vt_err *err)
{
    char link[VT_FILE_MAX], there[VT_ARCHIVE_PATH_MAX + 1];
    struct stat info;

    snprintf(link, sizeof link, "%s/%s", folder_of_links, volume->name);
    if (fstatat(archive->root, link, &info, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(info.st_mode))
            return true;
        ssize_t size = readlinkat(archive->root, link, there, sizeof there - 1);
        if (size > 0 && (size_t)size == strlen(volume->path) &&
            strncmp(there, volume->path, (size_t)size) == 0)
            return true;
        if (unlinkat(archive->root, link, 0) < 0)
            return vt_fail_errno(err, "%s/%s", archive->path, link);
    }
    return symlinkat(volume->path, archive->root, link) == 0 ||
           vt_fail_errno(err, "making %s/%s", archive->path, link);
}

bool vt_volumes_open(struct vt_archive *archive, struct vt_err *err)
{
    const struct vt_archive_options *options = &archive->options;
    struct vt_volumes *volumes = calloc(1, sizeof *volumes);

    if (!volumes)
        return vt_fail(err, VT_E_NOMEM, "no memory for volumes");
    pthread_mutex_init(&volumes->moving, NULL);
    archive->volumes = volumes;
    if (options->volume_count > VT_VOLUMES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d volumes", VT_VOLUMES_MAX);
    if (options->volume_count == 0)
        return true;
    if (mkdirat(archive->root, folder_of_links, 0750) < 0 && errno != EEXIST)
        return vt_fail_errno(err, "making %s/%s", archive->path, folder_of_links);
    for (size_t i = 0; i < options->volume_count; i++) {
        const struct vt_volume *volume = &options->volumes[i];
        if (!check_volume(archive, volume, err) || !make_link(archive, volume, err))
            return false;
        volumes->list[volumes->count++] = *volume;
    }
    return true;
}

void vt_volumes_free(struct vt_volumes *volumes)
{
    if (!volumes)
        return;
    pthread_mutex_destroy(&volumes->moving);
    free(volumes);
}

bool vt_volumes_hold(struct vt_archive *archive, bool wait, struct vt_err *err)
{
    struct timespec until;

    if (wait)
        return pthread_mutex_lock(&archive->volumes->moving) == 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HOLD_WAIT_S;
    return pthread_mutex_timedlock(&archive->volumes->moving, &until) == 0 ||
           vt_fail(err, VT_E_BUSY,
                   "no file changes its volume while the index is built anew or a backup is made: "
                   "try again later");
}

void vt_volumes_release(struct vt_archive *archive)
{
    pthread_mutex_unlock(&archive->volumes->moving);
}

/* ---- is it there? ---- */

int vt_volume_root(struct vt_archive *archive, const char *name, struct vt_err *err)
{
    char path[VT_FILE_MAX], mark[VT_VOLUME_NAME_MAX + 2] = "";
    struct stat info;

    snprintf(path, sizeof path, strcmp(name, VT_VOLUME_MAIN) == 0 ? "." : "%s/%s", folder_of_links,
             name);
    int root = openat(archive->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || strcmp(name, VT_VOLUME_MAIN) == 0) {
        if (root < 0)
            vt_fail(err, VT_E_NOTFOUND, "volume %s is away: %s", name, strerror(errno));
        return root;
    }
    /* No link but a folder: a restored backup, which has no other file system to wait for. */
    if (fstatat(archive->root, path, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
        return root;
    vt_autoclose fd = openat(root, mark_name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, mark, sizeof mark - 1) > 0)
        mark[strcspn(mark, "\n")] = '\0';
    if (strcmp(mark, name) == 0)
        return root;
    close(root);
    vt_fail(err, VT_E_NOTFOUND,
            "volume %s is away: its folder holds no file vitrine-volume with its name (not mounted? "
            "a new one: 'vitrine volume add %s')",
            name, name);
    return -1;
}

bool vt_volume_sync(struct vt_archive *archive, const char *file, struct vt_err *err)
{
    char name[VT_VOLUME_NAME_MAX + 1];

    vt_volume_of(file, name);
    vt_autoclose root = vt_volume_root(archive, name, err);
    return root >= 0 && (syncfs(root) == 0 || vt_fail_errno(err, "volume %s", name));
}

bool vt_volume_is_ready(struct vt_archive *archive, const char *name, struct vt_err *err)
{
    vt_autoclose root = vt_volume_root(archive, name, err);

    return root >= 0;
}

/* ---- all of them ---- */

static bool visit(struct vt_archive *archive, const char *name,
                  bool (*each)(void *context, const char *folder, struct vt_err *err),
                  bool (*away)(void *context, const char *name, struct vt_err *err), void *context,
                  struct vt_err *err)
{
    char folder[VT_FILE_MAX];

    if (!vt_volume_is_ready(archive, name, err)) {
        if (!away)
            return false;
        vt_err_clear(err);
        return away(context, name, err);
    }
    snprintf(folder, sizeof folder, "%s/%s/objects", folder_of_links, name);
    return each(context, folder, err);
}

bool vt_volumes_each(struct vt_archive *archive,
                     bool (*each)(void *context, const char *folder, struct vt_err *err),
                     bool (*away)(void *context, const char *name, struct vt_err *err),
                     void *context, struct vt_err *err)
{
    if (!each(context, "objects", err))
        return false;
    int fd = openat(archive->root, folder_of_links, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *links = fd >= 0 ? fdopendir(fd) : NULL;
    bool ok = true;
    if (!links) {
        if (fd >= 0)
            close(fd);
        return errno == ENOENT || vt_fail_errno(err, "%s/%s", archive->path, folder_of_links);
    }
    for (struct dirent *entry = readdir(links); ok && entry; entry = readdir(links))
        if (is_name(entry->d_name))
            ok = visit(archive, entry->d_name, each, away, context, err);
    closedir(links);
    return ok;
}

/* ---- the first use ---- */

bool vt_admin_volume_add(const struct vt_admin *admin, const char *name, struct vt_err *err)
{
    const struct vt_volume *volume = vt_volume_find(admin->archive, name);
    char path[PATH_MAX], text[VT_VOLUME_NAME_MAX + 2];
    struct vt_err away = { 0 };

    if (!volume)
        return vt_fail(err, VT_E_NOTFOUND,
                       "the configuration has no volume '%.40s': write [volume \"%.40s\"] with path "
                       "and class, start vitrined again, and add it then",
                       name, name);
    if (vt_volume_is_ready(admin->archive, name, &away))
        return vt_fail(err, VT_E_EXISTS, "volume %s is in use already", name);
    snprintf(path, sizeof path, "%s/objects", volume->path);
    if (!vt_io_make_synced_folder(path, err))
        return false;
    snprintf(path, sizeof path, "%s/staging", volume->path);
    if (!vt_io_make_synced_folder(path, err))
        return false;
    snprintf(path, sizeof path, "%s/%s", volume->path, mark_name);
    if (access(path, F_OK) == 0)
        return vt_fail(err, VT_E_EXISTS, "%s names another volume: each needs a folder of its own",
                       path);
    snprintf(text, sizeof text, "%s\n", name);
    return vt_io_write_file(path, text, strlen(text), 0640, err) &&
           vt_state_log(admin->archive->state, admin->who, "volume.add", name, volume->path, err);
}

/* ---- list ---- */

struct usage {
    char name[VT_VOLUME_NAME_MAX + 1];
    uint64_t instances, bytes;
};

struct usages {
    struct usage list[VT_VOLUMES_MAX + 1];
    size_t count;
    int64_t now, oldest; /* wall; the oldest arrival that counts as recent */
    uint64_t recent;     /* bytes that arrived since */
};

#define DAY (24 * 3600 * VT_NS_PER_S)
#define RECENT (30 * DAY)

static struct usage *usage_of(struct usages *usages, const char *name)
{
    for (size_t i = 0; i < usages->count; i++)
        if (strcmp(usages->list[i].name, name) == 0)
            return &usages->list[i];
    if (usages->count == VT_COUNT(usages->list))
        return NULL;
    struct usage *usage = &usages->list[usages->count++];
    snprintf(usage->name, sizeof usage->name, "%s", name);
    return usage;
}

static bool count_one(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct usages *usages = context;
    char name[VT_VOLUME_NAME_MAX + 1];

    (void)err;
    if (entry->arrived > usages->now - RECENT) {
        usages->recent += entry->file_size;
        usages->oldest = entry->arrived < usages->oldest ? entry->arrived : usages->oldest;
    }
    vt_volume_of(entry->file, name);
    struct usage *usage = usage_of(usages, name);
    if (usage) {
        usage->instances++;
        usage->bytes += entry->file_size;
    }
    return true;
}

/* At the rate at which instances came in the last 30 days, if nothing moves away. */
static json_t *days_until_full(const struct usages *usages, uint64_t free_bytes, uint64_t stop)
{
    int64_t age = usages->oldest < usages->now ? usages->now - usages->oldest : 0;
    int64_t days = age / DAY + 1;
    uint64_t rate = usages->recent / (uint64_t)days;

    if (rate == 0)
        return json_null();
    return json_integer((json_int_t)(free_bytes > stop ? (free_bytes - stop) / rate : 0));
}

/* In all, and of each peer as if it were alone. */
static bool add_forecast(struct vt_archive *archive, const struct usages *usages,
                         uint64_t free_bytes, uint64_t total, json_t *row, struct vt_err *err)
{
    uint64_t stop = vt_volume_stop(archive, VT_VOLUME_MAIN, total);
    json_t *peers =
        vt_peer_days_rates(archive, free_bytes > stop ? free_bytes - stop : 0, err);

    if (!peers)
        return false;
    json_object_set_new(row, "days_until_full", days_until_full(usages, free_bytes, stop));
    json_object_set_new(row, "peers", peers);
    return true;
}

static bool send_volume(const struct vt_admin *admin, const struct usages *usages,
                        const struct usage *usage, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    const struct vt_volume *volume = vt_volume_find(archive, usage->name);
    bool main_one = strcmp(usage->name, VT_VOLUME_MAIN) == 0;
    struct vt_err away = { 0 };
    struct statvfs info = { 0 };
    vt_autoclose root = vt_volume_root(archive, usage->name, &away);
    bool known = root >= 0 && fstatvfs(root, &info) == 0;
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    uint64_t total = (uint64_t)info.f_blocks * info.f_frsize;
    const char *class = volume && volume->class == VT_VOLUME_LONG_TERM ? "long-term" : "short-term";
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "volume", usage->name, "class",
                  main_one || volume ? class : "not configured", "path",
                  main_one ? archive->path : volume ? volume->path : "", "state",
                  !known                                                     ? "away"
                  : free_bytes < vt_volume_stop(archive, usage->name, total) ? "full"
                  : free_bytes < vt_volume_warn(archive, usage->name, total) ? "warn"
                                                                             : "ok",
                  "availability",
                  !known                       ? "OFFLINE"
                  : volume && volume->nearline ? "NEARLINE"
                                               : "ONLINE",
                  "instances", (json_int_t)usage->instances, "bytes", (json_int_t)usage->bytes,
                  "free", (json_int_t)free_bytes, "total", (json_int_t)total);

    if (row && main_one && !add_forecast(archive, usages, free_bytes, total, row, err)) {
        json_decref(row);
        return false;
    }
    if (row && !known)
        json_object_set_new(row, "reason", json_string(away.text));
    return vt_admin_send(admin, row, err);
}

bool vt_admin_volume_list(const struct vt_admin *admin, struct vt_err *err)
{
    const struct vt_volumes *volumes = admin->archive->volumes;
    struct usages usages = { .now = vt_clock_wall(), .oldest = INT64_MAX };

    usage_of(&usages, VT_VOLUME_MAIN);
    for (size_t i = 0; i < volumes->count; i++)
        usage_of(&usages, volumes->list[i].name);
    if (!vt_admin_each(admin->archive, NULL, count_one, &usages, err))
        return false;
    for (size_t i = 0; i < usages.count; i++)
        if (!send_volume(admin, &usages, &usages.list[i], err))
            return false;
    return true;
}
