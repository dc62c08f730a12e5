#include "archive/rebuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/admin.h"
#include "archive/copies.h"
#include "archive/apply.h"
#include "archive/inside.h"
#include "archive/late.h"
#include "archive/patient.h"
#include "archive/place.h"
#include "archive/reindex.h"
#include "archive/volume.h"
#include "core/err.h"

enum { WALK_DEPTH = 8, REBUILD_BATCH = 1000 };

/* ---- walking ---- */

struct walk {
    struct vt_archive *archive;
    bool (*each)(void *context, const char *file, struct vt_err *err);
    void *context;
};

static bool walk_folder(const struct walk *walk, char *path, size_t length, int depth,
                        struct vt_err *err);

static bool walk_entry(const struct walk *walk, const struct dirent *entry, DIR *folder, char *path,
                       size_t length, int depth, struct vt_err *err)
{
    unsigned char type = entry->d_type;
    struct stat info;

    /* What was put aside for an arrival is not ours (archive/apply.c). */
    if (strstr(entry->d_name, VT_FOREIGN))
        return true;
    if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || strcmp(entry->d_name, "..") == 0))
        return true;
    int added = snprintf(path + length, VT_FILE_MAX - length, "/%s", entry->d_name);
    if (added >= (int)(VT_FILE_MAX - length))
        return true; /* longer than any name of ours */
    if (type == DT_UNKNOWN &&
        fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        type = S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_UNKNOWN;
    if (type == DT_DIR)
        return walk_folder(walk, path, length + (size_t)added, depth + 1, err);
    return type != DT_REG || walk->each(walk->context, path, err);
}

static bool walk_folder(const struct walk *walk, char *path, size_t length, int depth,
                        struct vt_err *err)
{
    vt_autoclose fd =
        openat(walk->archive->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = true;

    if (depth > WALK_DEPTH)
        return true;
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder)
        return errno == ENOENT || vt_fail_errno(err, "%s", path);
    vt_take_fd(&fd);
    for (struct dirent *entry = readdir(folder); ok && entry; entry = readdir(folder)) {
        ok = walk_entry(walk, entry, folder, path, length, depth, err);
        path[length] = '\0';
    }
    closedir(folder);
    return ok;
}

bool vt_rebuild_walk(struct vt_archive *archive, const char *folder,
                     bool (*each)(void *context, const char *file, struct vt_err *err),
                     void *context, struct vt_err *err)
{
    struct walk walk = { archive, each, context };
    char path[VT_FILE_MAX];

    snprintf(path, sizeof path, "%s", folder);
    return walk_folder(&walk, path, strlen(path), 0, err);
}

static bool stop_at_first(void *context, const char *file, struct vt_err *err)
{
    (void)file;
    *(bool *)context = true;
    return vt_fail(err, VT_E_CANCELLED, "found one");
}

struct looked {
    struct vt_archive *archive;
    bool found;
};

static bool look(void *context, const char *folder, struct vt_err *err)
{
    struct looked *looked = context;

    return vt_rebuild_walk(looked->archive, folder, stop_at_first, &looked->found, err);
}

static bool leave_out(void *context, const char *name, struct vt_err *err)
{
    (void)context, (void)name, (void)err;
    return true;
}

bool vt_rebuild_has_objects(struct vt_archive *archive)
{
    struct looked looked = { archive, false };
    struct vt_err ignored = { 0 };

    vt_volumes_each(archive, look, leave_out, &looked, &ignored);
    return looked.found;
}

/* ---- rebuilding ---- */

struct rebuild {
    struct vt_archive *archive;
    struct vt_index *index;
    const struct vt_admin *admin;
    struct vt_instance instance;
    uint64_t sequence;
    uint64_t done;
    size_t batch;
    bool later_versions; /* the second walk: files of versions behind the first */
    bool elsewhere;      /* on a volume: what lies in the archive's own folder as well is served there */
    bool copies;         /* the third walk: second copies whose first one is gone */
};

static bool end_batch(struct rebuild *rebuild, struct vt_err *err)
{
    const struct vt_admin *admin = rebuild->admin;

    if (rebuild->batch == 0)
        return true;
    rebuild->batch = 0;
    if (!vt_index_commit(rebuild->index, rebuild->sequence, err)) {
        vt_index_rollback(rebuild->index);
        return false;
    }
    return !admin || !admin->progress ||
           admin->progress(admin->context, rebuild->done, 0, "instances") ||
           vt_fail(err, VT_E_CANCELLED, "reindex was cancelled");
}

/* Beside others a file may be half written, or gone again. Files are placed under the apply stage's
 * lock: who held it once sees them whole. */
static bool read_object(const struct rebuild *rebuild, const char *file, bool *out_gone,
                        struct vt_instance *out, struct vt_err *err)
{
    struct vt_archive *archive = rebuild->archive;

    *out_gone = false;
    if (vt_archive_reread(archive, file, out, err))
        return true;
    if (!archive->reindex || err->code == VT_E_NOMEM)
        return false;
    pthread_mutex_lock(&archive->apply_stage.lock);
    pthread_mutex_unlock(&archive->apply_stage.lock);
    vt_err_clear(err);
    if (!vt_late_wait(archive, file, err))
        return false;
    *out_gone = faccessat(archive->root, file, F_OK, 0) < 0 && errno == ENOENT;
    vt_err_clear(err);
    return *out_gone || vt_archive_reread(archive, file, out, err);
}

/* What a walk beside others finds of patients may be older than what they decided. */
static bool note_conflict(const struct rebuild *rebuild, unsigned flags, struct vt_err *err)
{
    struct vt_archive *archive = rebuild->archive;

    return (archive->reindex && vt_reindex_identities_changed(archive)) ||
           vt_patient_note_conflict(archive, &rebuild->instance, flags, err);
}

/* A file that is no object stays where it is and is named. */
static bool tell_unreadable(const struct rebuild *rebuild, const char *file, struct vt_err *err)
{
    const struct vt_admin *admin = rebuild->admin;

    if (err->code == VT_E_NOMEM)
        return false;
    if (admin && admin->row) {
        json_t *row =
            json_pack("{s:s, s:s, s:s}", "fault", "unreadable", "file", file, "reason", err->text);
        bool go_on = row && admin->row(admin->context, row);
        json_decref(row);
        if (!go_on)
            return vt_fail(err, row ? VT_E_CANCELLED : VT_E_NOMEM, "reindex was stopped at %s",
                           file);
    }
    vt_err_clear(err);
    return true;
}

/* First versions, then later ones, then what is a copy of either, in case the first one is lost. */
static bool is_of_this_walk(const struct rebuild *rebuild, const char *file, bool *out_is,
                            struct vt_err *err)
{
    bool copy = false;

    if (rebuild->elsewhere && !vt_copies_is(rebuild->archive, file, &copy, err))
        return false;
    *out_is = copy == rebuild->copies &&
              (copy || (vt_place_version(file) > 1) == rebuild->later_versions);
    return true;
}

static bool put_object(void *context, const char *file, struct vt_err *err)
{
    struct rebuild *rebuild = context;
    struct vt_index_entry there;
    unsigned flags = 0;
    bool found = false, gone = false, mine;

    if (!is_of_this_walk(rebuild, file, &mine, err) || !mine)
        return !vt_failed(err);
    if (!read_object(rebuild, file, &gone, &rebuild->instance, err))
        return tell_unreadable(rebuild, file, err);
    if (gone)
        return true;
    if ((rebuild->later_versions || rebuild->elsewhere || rebuild->copies) &&
        !vt_index_lookup(rebuild->index, rebuild->instance.sop_uid, &there, &found, err))
        return false;
    if (found && (rebuild->copies || there.version > rebuild->instance.version ||
                  (rebuild->elsewhere && there.version == rebuild->instance.version)))
        return true;
    if (rebuild->batch == 0 && !vt_index_begin(rebuild->index, err))
        return false;
    rebuild->batch++;
    if (!vt_index_put(rebuild->index, &rebuild->instance, &flags, err)) {
        vt_index_rollback(rebuild->index);
        rebuild->batch = 0;
        return false;
    }
    rebuild->done += !found;
    bool noted = flags & (VT_PUT_PATIENT_CONFLICT | VT_PUT_PATIENT_MISMATCH);
    /* Later versions ask what is there, which shows what was committed. */
    if ((noted || rebuild->later_versions || rebuild->copies || rebuild->batch >= REBUILD_BATCH) &&
        !end_batch(rebuild, err))
        return false;
    return !noted || note_conflict(rebuild, flags, err);
}

/* Rows of what was walked before are looked up: they must have been committed. */
static bool walk_volume(void *context, const char *folder, struct vt_err *err)
{
    struct rebuild *rebuild = context;

    rebuild->elsewhere = strcmp(folder, "objects") != 0;
    return vt_rebuild_walk(rebuild->archive, folder, put_object, rebuild, err) &&
           end_batch(rebuild, err);
}

bool vt_rebuild_index(struct vt_archive *archive, struct vt_index *index,
                      const struct vt_admin *admin, uint64_t *out_instances, struct vt_err *err)
{
    struct rebuild rebuild = { .archive = archive, .index = index, .admin = admin };
    bool ok = true;

    pthread_mutex_lock(&archive->journal_lock);
    rebuild.sequence = vt_journal_last(archive->journal);
    pthread_mutex_unlock(&archive->journal_lock);

    vt_instance_init(&rebuild.instance);
    for (int pass = 0; ok && pass < 3; pass++) {
        rebuild.later_versions = pass == 1;
        rebuild.copies = pass == 2;
        ok = vt_volumes_each(archive, walk_volume, NULL, &rebuild, err);
    }
    vt_instance_fini(&rebuild.instance);
    if (!ok && rebuild.batch > 0)
        vt_index_rollback(index);
    if (ok)
        *out_instances = rebuild.done;
    return ok && vt_index_checkpoint(index, err);
}
