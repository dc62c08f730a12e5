#include "archive/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/inside.h"
#include "archive/commit.h"
#include "archive/copies.h"
#include "archive/keys.h"
#include "archive/last_access.h"
#include "archive/late.h"
#include "archive/reindex.h"
#include "archive/operation.h"
#include "archive/patient.h"
#include "archive/volume.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/io.h"

#define DEFAULT_SMALL (UINT64_C(64) << 10)
#define DEFAULT_MAX_INSTANCE (UINT64_C(64) << 30)
#define DEFAULT_RETENTION (30 * 24 * 3600 * VT_NS_PER_S)

enum { SMALL_MIN = 4096, SMALL_SHARE = 8, IMPORT_BLOCK = 256 << 10, PID_TEXT = 32, MOVES_WAIT_MS = 10000, MOVES_LOOK_MS = 5 };

/* ---- open ---- */

static void fill_defaults(struct vt_archive_options *options)
{
    if (!options->index)
        options->index = &vt_index_sqlite;
    if (options->journal_segment == 0)
        options->journal_segment = VT_JOURNAL_SEGMENT;
    if (options->journal_segment < VT_JOURNAL_SEGMENT_MIN)
        options->journal_segment = VT_JOURNAL_SEGMENT_MIN;
    if (options->small_object == 0)
        options->small_object = DEFAULT_SMALL;
    if (options->small_object > options->journal_segment / SMALL_SHARE)
        options->small_object = options->journal_segment / SMALL_SHARE;
    options->small_object =
        options->small_object < SMALL_MIN ? SMALL_MIN : options->small_object & ~UINT64_C(4095);
    if (options->max_instance == 0)
        options->max_instance = DEFAULT_MAX_INSTANCE;
    if (options->trash_retention == 0)
        options->trash_retention = DEFAULT_RETENTION;
    if (options->limits.depth == 0)
        options->limits = VT_ELEMENT_LIMITS_DEFAULT;
}

static void init_locks(struct vt_archive *archive)
{
    pthread_mutex_t *locks[] = { &archive->folders_lock,  &archive->durable_lock, &archive->journal_lock,
                                 &archive->progress_lock, &archive->fault_lock,
                                 &archive->space_lock };
    pthread_cond_t *conds[] = { &archive->journal_room, &archive->progress, &archive->cut_wanted };
    pthread_condattr_t monotonic;

    for (size_t i = 0; i < VT_COUNT(locks); i++)
        pthread_mutex_init(locks[i], NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (size_t i = 0; i < VT_COUNT(conds); i++)
        pthread_cond_init(conds[i], &monotonic);
    pthread_condattr_destroy(&monotonic);
    vt_stage_init(archive);
}

static struct vt_archive *make(const struct vt_archive_options *options, struct vt_err *err)
{
    struct vt_archive *archive = calloc(1, sizeof *archive);

    if (!archive) {
        vt_fail(err, VT_E_NOMEM, "no memory for the archive");
        return NULL;
    }
    archive->options = *options;
    fill_defaults(&archive->options);
    archive->root = archive->lock_file = archive->staging = -1;
    archive->opened = vt_clock_wall();
    init_locks(archive);
    archive->path = strdup(options->path);
    if (!archive->path)
        vt_fail(err, VT_E_NOMEM, "no memory for the archive");
    else if (strlen(archive->path) > VT_ARCHIVE_PATH_MAX)
        vt_fail(err, VT_E_INVALID, "the archive's path is longer than %d bytes",
                VT_ARCHIVE_PATH_MAX);
    else
        return archive;
    vt_archive_free(archive);
    return NULL;
}

static bool take_lock(struct vt_archive *archive, struct vt_err *err)
{
    char path[PATH_MAX], pid[PID_TEXT] = "";

    snprintf(path, sizeof path, "%s/lock", archive->path);
    archive->lock_file = vt_io_lock(path, err);
    if (archive->lock_file < 0) {
        vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);
        if (err->code == VT_E_BUSY && fd >= 0 && read(fd, pid, sizeof pid - 1) > 0) {
            pid[strcspn(pid, "\n")] = '\0';
            vt_fail(err, VT_E_BUSY, "archive %s is in use by process %s", archive->path, pid);
        }
        return false;
    }
    snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    return (ftruncate(archive->lock_file, 0) == 0 || vt_fail_errno(err, "%s", path)) &&
           vt_io_pwrite(archive->lock_file, pid, strlen(pid), 0, path, err);
}

/* Their names outlive a power cut that follows the first answer: SQLite syncs the folder in which
 * it begins a log, which is before that answer. */
static bool make_folders(struct vt_archive *archive, struct vt_err *err)
{
    static const char *const names[] = { "staging", "objects", "quarantine", "trash", "journal" };

    if (!vt_io_make_synced_folder(archive->path, err))
        return false;
    archive->root = open(archive->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (archive->root < 0)
        return vt_fail_errno(err, "%s", archive->path);
    if (!take_lock(archive, err))
        return false;
    for (size_t i = 0; i < VT_COUNT(names); i++)
        if (mkdirat(archive->root, names[i], 0750) < 0 && errno != EEXIST)
            return vt_fail_errno(err, "making %s/%s", archive->path, names[i]);
    archive->staging = openat(archive->root, "staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return archive->staging >= 0 || vt_fail_errno(err, "%s/staging", archive->path);
}

/* The damaged one is kept: someone may want to look at it. */
static bool put_index_aside(struct vt_archive *archive, struct vt_err *err)
{
    static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm" };

    for (size_t i = 0; i < VT_COUNT(names); i++) {
        char aside[64];
        snprintf(aside, sizeof aside, "damaged-%s", names[i]);
        if (renameat(archive->root, names[i], archive->root, aside) < 0 && errno != ENOENT)
            return vt_fail_errno(err, "putting %s/%s aside", archive->path, names[i]);
    }
    return true;
}

static bool open_index(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_index_options options = { .path = archive->path,
                                        .readers = archive->options.readers };

    if (archive->options.rebuild_index && !put_index_aside(archive, err))
        return false;
    struct vt_index *index = vt_index_open(archive->options.index, &options, err);
    atomic_store(&archive->index, index);
    if (!index && err->code == VT_E_CORRUPT)
        return vt_fail_context(err, "the index is damaged");
    return index != NULL;
}

static bool open_parts(struct vt_archive *archive, struct vt_err *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/journal", archive->path);
    archive->pool = vt_pool_new(VT_ARCHIVE_BLOCK, VT_ARCHIVE_POOL);
    archive->locks = vt_locks_new();
    archive->folders = vt_folders_new(archive->root);
    archive->accesses = vt_accesses_new();
    archive->late = vt_late_new();
    if (!archive->pool || !archive->locks || !archive->folders || !archive->accesses ||
        !archive->late)
        return vt_fail(err, VT_E_NOMEM, "no memory for the archive");
    archive->state = vt_state_open(archive->path, err);
    if (!archive->state || !vt_volumes_open(archive, err) || !vt_reindex_recover(archive, err) || !open_index(archive, err))
        return false;
    archive->journal = vt_journal_open(path, archive->options.journal_segment, err);
    return archive->journal != NULL;
}

struct vt_archive *vt_archive_open(const struct vt_archive_options *options, struct vt_err *err)
{
    VT_AUTO(vt_archive) archive = make(options, err);

    if (!archive ||
        !vt_keys_set_extra(options->rules.extra_tags, options->rules.extra_count, err) ||
        !make_folders(archive, err) || !open_parts(archive, err) ||
        !vt_archive_recover(archive, err) || !vt_volumes_recover(archive, err) ||
        !vt_patients_recover(archive, err))
        return NULL;
    archive->slots = vt_slots_new(archive->staging, (uint64_t)archive->opened);
    if (!archive->slots) {
        vt_fail(err, VT_E_NOMEM, "no memory for the archive");
        return NULL;
    }
    if (!vt_late_start(archive, err) || !vt_stage_start(archive, err) || !vt_cutter_start(archive, err))
        return NULL;
    return vt_take(&archive);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void vt_archive_free(struct vt_archive *archive)
{
    struct vt_err ignored = { 0 };

    if (!archive)
        return;
    bool ready = archive->cutter_runs;
    vt_cutter_stop(archive);
    vt_stage_stop(archive);
    if (ready && !atomic_load(&archive->read_only))
        vt_archive_cut_all(archive, &ignored);
    vt_late_stop(archive);
    if (ready)
        vt_accesses_flush(archive, &ignored);
    vt_accesses_free(archive->accesses);
    vt_journal_free(archive->journal);
    vt_index_free(atomic_load(&archive->index));
    for (size_t i = 0; i < archive->retired_count; i++)
        vt_index_free(archive->retired[i]);
    vt_patients_free(atomic_load(&archive->patients));
    vt_state_free(archive->state);
    vt_volumes_free(archive->volumes);
    vt_slots_free(archive->slots);
    vt_late_free(archive->late);
    vt_folders_free(archive->folders);
    vt_locks_free(archive->locks);
    vt_pool_free(archive->pool);
    close_fd(archive->staging);
    close_fd(archive->root);
    close_fd(archive->lock_file);
    vt_stage_fini(archive);
    pthread_mutex_destroy(&archive->folders_lock);
    pthread_mutex_destroy(&archive->durable_lock);
    pthread_mutex_destroy(&archive->journal_lock);
    pthread_mutex_destroy(&archive->progress_lock);
    pthread_mutex_destroy(&archive->fault_lock);
    pthread_mutex_destroy(&archive->space_lock);
    pthread_cond_destroy(&archive->journal_room);
    pthread_cond_destroy(&archive->progress);
    pthread_cond_destroy(&archive->cut_wanted);
    free(archive->path);
    free(archive);
}

const char *vt_archive_path(const struct vt_archive *archive)
{
    return archive->path;
}

struct vt_index *vt_archive_index(struct vt_archive *archive)
{
    return atomic_load(&archive->index);
}

struct vt_state *vt_archive_state(struct vt_archive *archive)
{
    return archive->state;
}

/* ---- reading ---- */

static bool corrupt(struct vt_archive *archive, const struct vt_index_entry *entry,
                    struct vt_err *err)
{
    vt_events_publish(archive->options.events, "instance.corrupt", entry->sop_uid, NULL);
    return vt_fail_context(err, "instance %s", entry->sop_uid);
}

static bool open_object(struct vt_archive *archive, const struct vt_index_entry *entry, int *out_fd,
                        bool *out_missing, struct vt_err *err)
{
    vt_autoclose fd = openat(archive->root, entry->file, O_RDONLY | O_CLOEXEC);
    struct stat info;

    *out_missing = fd < 0 && errno == ENOENT;
    if (fd < 0 || fstat(fd, &info) < 0)
        return vt_fail_errno(err, "%s", entry->file);
    if ((uint64_t)info.st_size != entry->file_size)
        return vt_fail(err, VT_E_CORRUPT, "%s has %llu bytes, the index says %llu", entry->file,
                       (unsigned long long)info.st_size, (unsigned long long)entry->file_size);
    *out_fd = vt_take_fd(&fd);
    return true;
}

/* The file of a row may be made a moment behind it: until then what it will hold is read instead. */
static bool open_late_object(struct vt_archive *archive, const struct vt_index_entry *entry,
                             int *out_fd, bool *out_missing, struct vt_err *err)
{
    if (open_object(archive, entry, out_fd, out_missing, err))
        return true;
    if (!*out_missing && err->code != VT_E_CORRUPT)
        return false;
    *out_fd = vt_late_open(archive, entry->file);
    *out_missing = false;
    vt_err_clear(err);
    return *out_fd >= 0 || (vt_late_wait(archive, entry->file, err) &&
                            open_object(archive, entry, out_fd, out_missing, err));
}

/* Its volume is not there: that says nothing of the instance. */
static bool is_away(struct vt_archive *archive, const char *file, struct vt_err *err)
{
    char name[VT_VOLUME_NAME_MAX + 1];
    struct vt_err away = { 0 };

    vt_volume_of(file, name);
    if (vt_volume_is_ready(archive, name, &away))
        return false;
    vt_events_publish(archive->options.events, "volume.away", name, NULL);
    *err = away;
    err->code = VT_E_BUSY;
    return true;
}

/* A deletion moves files before the index forgets them: a row without its file says nothing until that is over. */
static void wait_for_moves(struct vt_archive *archive)
{
    for (unsigned i = 0; i < MOVES_WAIT_MS / MOVES_LOOK_MS && atomic_load(&archive->moving) > 0; i++)
        usleep(1000 * MOVES_LOOK_MS);
}

/* The first copy, which may have been deleted or moved since the row was read. */
static bool open_first(struct vt_archive *archive, struct vt_stored *stored, struct vt_err *err)
{
    char sop_uid[VT_UID_MAX + 1];
    bool missing = false, found = false;

    if (open_late_object(archive, &stored->entry, &stored->fd, &missing, err))
        return true;
    if (!missing)
        return err->code == VT_E_CORRUPT ? corrupt(archive, &stored->entry, err) : false;
    vt_err_clear(err);
    wait_for_moves(archive);
    memcpy(sop_uid, stored->entry.sop_uid, sizeof sop_uid);
    if (!vt_index_lookup(atomic_load(&archive->index), sop_uid, &stored->entry, &found, err))
        return false;
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND, "instance %s is not stored any more", sop_uid);
    if (open_late_object(archive, &stored->entry, &stored->fd, &missing, err))
        return true;
    if (missing && is_away(archive, stored->entry.file, err))
        return false;
    if (missing)
        err->code = VT_E_CORRUPT;
    return corrupt(archive, &stored->entry, err);
}

bool vt_archive_open_instance(struct vt_archive *archive, const struct vt_index_entry *entry,
                              struct vt_stored *out, struct vt_err *err)
{
    struct vt_stored stored = { .fd = -1, .entry = *entry };

    if (!open_first(archive, &stored, err)) {
        if (err->code == VT_E_NOTFOUND || err->code == VT_E_NOMEM)
            return false;
        stored.fd = vt_copies_open(archive, &stored.entry);
        if (stored.fd < 0)
            return false;
        vt_err_clear(err);
    }
    stored.data_set_offset = stored.entry.data_set_offset;
    stored.data_set_size = stored.entry.data_set_size;
    if (!vt_patient_corrected(archive, stored.entry.study_uid, &stored.corrected, err)) {
        vt_stored_close(&stored);
        return false;
    }
    *out = stored;
    return true;
}

void vt_stored_close(struct vt_stored *stored)
{
    close_fd(stored->fd);
    stored->fd = -1;
}

/* ---- importing ---- */

static bool pass_file(struct vt_receive *receive, int fd, const char *path, uint64_t offset,
                      struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(IMPORT_BLOCK);
    ssize_t got = 0;

    if (!block)
        return vt_fail_dimse(err, VT_E_NOMEM, 0xA704, "no memory to read %s", path);
    while ((got = pread(fd, block, IMPORT_BLOCK, (off_t)offset)) > 0) {
        if (!vt_receive_write(receive, block, (size_t)got, err))
            return false;
        offset += (uint64_t)got;
    }
    return got == 0 || vt_fail_errno(err, "reading %s", path);
}

bool vt_archive_import_file(struct vt_archive *archive, struct vt_receive *receive,
                            const char *path, struct vt_receive_result *out, struct vt_err *err)
{
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vt_part10 meta;

    if (fd < 0)
        return vt_fail_errno(err, "%s", path);
    if (!vt_part10_read_file(fd, path, &meta, err))
        return false;
    struct vt_private_syntax syntax =
        vt_archive_syntax(archive, meta.transfer_syntax_uid, fd, meta.data_set_offset);
    /* What a file says of itself in group 0002 is a copy of what its data set says, sometimes a
     * wrong one. */
    struct vt_receive_from from = {
        .transfer_syntax_uid = meta.transfer_syntax_uid,
        .encoding = syntax.encoding,
        .encapsulated = syntax.encapsulated,
        .calling_ae_title = meta.source_ae_title,
        .host = "",
    };
    if (!vt_receive_begin(receive, &from, err))
        return false;
    if (!pass_file(receive, fd, path, meta.data_set_offset, err)) {
        vt_receive_abandon(receive);
        return false;
    }
    return vt_receive_commit(receive, out, err);
}
