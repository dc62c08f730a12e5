/* Notes are a file without a name: a header each, and what it needs; the instance as a journal
 * record tells it. */
#include "archive/reindex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/inside.h"
#include "archive/late.h"
#include "archive/record.h"
#include "core/err.h"
#include "core/io.h"

#define READY "reindex.ready"

enum {
    NOTE_MAX = VT_FRAMES_BYTES_MAX + VT_LEVELS * VT_ATTRIBUTES_MAX + (1 << 20),
    FOLLOW_BATCH = 1000, /* changes in one transaction of the new index */
};

enum note_kind { NOTE_PUT = 1, NOTE_REMOVE, NOTE_UNDONE, NOTE_MOVE };

struct note {
    uint32_t kind;
    uint32_t size;                /* of what follows */
    char uid[VT_UID_MAX + 1 + 7]; /* of the instance; NOTE_MOVE: of the study */
};

/* Made and freed under the apply stage. */
struct vt_reindex {
    int fd;                 /* fixed */
    uint64_t written, done; /* bytes of notes; `done` is the builder's */
    struct vt_buf record;
    struct vt_err fault; /* the first note that could not be written */
    atomic_bool identities_changed;
};

/* ---- noting ---- */

static void append(struct vt_reindex *reindex, enum note_kind kind, const char *uid,
                   const uint8_t *bytes, size_t size)
{
    struct note note = { .kind = kind, .size = (uint32_t)size };

    if (reindex->fault.code != VT_OK)
        return;
    snprintf(note.uid, sizeof note.uid, "%.64s", uid);
    if (vt_io_pwrite(reindex->fd, &note, sizeof note, reindex->written, "reindex",
                     &reindex->fault) &&
        (size == 0 || vt_io_pwrite(reindex->fd, bytes, size, reindex->written + sizeof note,
                                   "reindex", &reindex->fault)))
        reindex->written += sizeof note + size;
}

void vt_reindex_note_put(struct vt_archive *archive, const struct vt_instance *instance)
{
    struct vt_reindex *reindex = archive->reindex;
    struct vt_instance copy;

    if (!reindex || reindex->fault.code != VT_OK)
        return;
    copy = *instance; /* borrows all of it: encoding only reads */
    struct vt_record_body body = { .instance = &copy };
    vt_buf_reset(&reindex->record);
    if (vt_record_encode(&body, &reindex->record, &reindex->fault))
        append(reindex, NOTE_PUT, instance->sop_uid, reindex->record.data, reindex->record.size);
}

void vt_reindex_note_remove(struct vt_archive *archive, const char *sop_uid)
{
    if (archive->reindex)
        append(archive->reindex, NOTE_REMOVE, sop_uid, NULL, 0);
}

void vt_reindex_note_undone(struct vt_archive *archive, const char *sop_uid)
{
    if (archive->reindex)
        append(archive->reindex, NOTE_UNDONE, sop_uid, NULL, 0);
}

void vt_reindex_note_identities(struct vt_archive *archive)
{
    if (archive->reindex)
        atomic_store(&archive->reindex->identities_changed, true);
}

void vt_reindex_note_move(struct vt_archive *archive, const char *study_uid,
                          const uint8_t *patient_attributes, size_t size)
{
    if (archive->reindex)
        append(archive->reindex, NOTE_MOVE, study_uid, patient_attributes, size);
}

/* ---- beginning, end ---- */

static void reindex_free(struct vt_reindex *reindex)
{
    if (!reindex)
        return;
    if (reindex->fd >= 0)
        close(reindex->fd);
    vt_buf_fini(&reindex->record);
    free(reindex);
}

static struct vt_reindex *reindex_new(struct vt_archive *archive, struct vt_err *err)
{
    static const char name[] = VT_REINDEX_FOLDER "/changes";
    struct vt_reindex *reindex = calloc(1, sizeof *reindex);

    if (!reindex) {
        vt_fail(err, VT_E_NOMEM, "no memory to reindex");
        return NULL;
    }
    vt_buf_init(&reindex->record, NOTE_MAX);
    vt_reindex_remove(archive);
    if (mkdirat(archive->root, VT_REINDEX_FOLDER, 0750) < 0) {
        vt_fail_errno(err, "making %s/" VT_REINDEX_FOLDER, archive->path);
        reindex->fd = -1;
        reindex_free(reindex);
        return NULL;
    }
    reindex->fd = openat(archive->root, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (reindex->fd < 0) {
        vt_fail_errno(err, "%s", name);
        reindex_free(reindex);
        return NULL;
    }
    unlinkat(archive->root, name, 0);
    return reindex;
}

bool vt_reindex_begin(struct vt_archive *archive, struct vt_err *err)
{
    pthread_mutex_lock(&archive->apply_stage.lock);
    bool busy = archive->reindex != NULL;
    if (busy)
        vt_fail(err, VT_E_BUSY, "a reindex is running: wait for its end");
    else
        archive->reindex = reindex_new(archive, err);
    bool ok = !busy && archive->reindex;
    pthread_mutex_unlock(&archive->apply_stage.lock);
    return ok;
}

void vt_reindex_end(struct vt_archive *archive)
{
    pthread_mutex_lock(&archive->apply_stage.lock);
    reindex_free(archive->reindex);
    archive->reindex = NULL;
    pthread_mutex_unlock(&archive->apply_stage.lock);
}

bool vt_reindex_identities_changed(struct vt_archive *archive)
{
    return atomic_load(&archive->reindex->identities_changed);
}

/* ---- following ---- */

struct follower {
    struct vt_archive *archive;
    struct vt_index *fresh;
    struct vt_instance instance;
    struct vt_buf bytes;
    size_t batch; /* changes in the open transaction */
};

static bool end_batch(struct follower *follower, uint64_t sequence, struct vt_err *err)
{
    if (follower->batch == 0)
        return true;
    follower->batch = 0;
    if (vt_index_commit(follower->fresh, sequence, err))
        return true;
    vt_index_rollback(follower->fresh);
    return false;
}

static bool in_batch(struct follower *follower, struct vt_err *err)
{
    if (follower->batch == 0 && !vt_index_begin(follower->fresh, err))
        return false;
    follower->batch++;
    return true;
}

/* The walk may have put a file that is gone, over the row of one that is not. The living index
 * knows what is served; where it knows nothing, objects/ decides. */
static bool follow_undone(struct follower *follower, const char *uid, struct vt_err *err)
{
    struct vt_archive *archive = follower->archive;
    struct vt_index_entry entry;
    bool found = false, removed = false;
    unsigned flags = 0;

    if (!end_batch(follower, 0, err) ||
        !vt_index_lookup(atomic_load(&archive->index), uid, &entry, &found, err))
        return false;
    if (found) {
        struct vt_err wrong = { 0 };
        if (!vt_late_wait(archive, entry.file, err))
            return false;
        if (vt_archive_reread(archive, entry.file, &follower->instance, &wrong))
            return in_batch(follower, err) &&
                   vt_index_put(follower->fresh, &follower->instance, &flags, err);
        if (wrong.code == VT_E_NOMEM)
            return vt_fail(err, VT_E_NOMEM, "no memory to reindex");
    }
    if (!vt_index_lookup(follower->fresh, uid, &entry, &found, err))
        return false;
    if (!found || faccessat(archive->root, entry.file, F_OK, 0) == 0)
        return true;
    return in_batch(follower, err) && vt_index_remove(follower->fresh, uid, &removed, err);
}

static bool follow_put(struct follower *follower, struct vt_err *err)
{
    struct vt_record_body body = { .instance = &follower->instance };
    unsigned flags = 0;

    vt_instance_reset(&follower->instance);
    return vt_record_decode(follower->bytes.data, follower->bytes.size, &body, err) &&
           in_batch(follower, err) &&
           vt_index_put(follower->fresh, &follower->instance, &flags, err);
}

static bool follow(struct follower *follower, const struct note *note, struct vt_err *err)
{
    bool removed = false;

    switch ((enum note_kind)note->kind) {
    case NOTE_PUT:
        return follow_put(follower, err);
    case NOTE_REMOVE:
        return in_batch(follower, err) &&
               vt_index_remove(follower->fresh, note->uid, &removed, err);
    case NOTE_UNDONE:
        return follow_undone(follower, note->uid, err);
    case NOTE_MOVE:
        return in_batch(follower, err) &&
               vt_index_move_study(follower->fresh, note->uid, follower->bytes.data,
                                   follower->bytes.size, err);
    }
    return vt_fail(err, VT_E_INTERNAL, "a note of kind %u", note->kind);
}

static bool read_note(struct follower *follower, struct note *out, struct vt_err *err)
{
    struct vt_reindex *reindex = follower->archive->reindex;

    if (!vt_io_pread(reindex->fd, out, sizeof *out, reindex->done, "reindex", err))
        return false;
    vt_buf_reset(&follower->bytes);
    if (!vt_buf_reserve(&follower->bytes, out->size, err) ||
        (out->size > 0 && !vt_io_pread(reindex->fd, follower->bytes.data, out->size,
                                       reindex->done + sizeof *out, "reindex", err)))
        return false;
    follower->bytes.size = out->size;
    reindex->done += sizeof *out + out->size;
    return true;
}

static bool follow_until(struct follower *follower, uint64_t until, struct vt_err *err)
{
    struct note note;

    while (follower->archive->reindex->done < until)
        if (!read_note(follower, &note, err) || !follow(follower, &note, err) ||
            (follower->batch >= FOLLOW_BATCH && !end_batch(follower, 0, err)))
            return false;
    return true;
}

/* What was noted until now, and whether all of it could be. */
static bool noted(struct vt_archive *archive, bool last, uint64_t *out_written, struct vt_err *err)
{
    if (!last)
        pthread_mutex_lock(&archive->apply_stage.lock);
    *out_written = archive->reindex->written;
    *err = archive->reindex->fault;
    if (!last)
        pthread_mutex_unlock(&archive->apply_stage.lock);
    return err->code == VT_OK || vt_fail_context(err, "what came during the reindex");
}

/* The journal's last number goes in with a transaction of its own when nothing else is left. */
static bool commit_as_of_now(struct follower *follower, struct vt_err *err)
{
    pthread_mutex_lock(&follower->archive->journal_lock);
    uint64_t sequence = vt_journal_last(follower->archive->journal);
    pthread_mutex_unlock(&follower->archive->journal_lock);
    return (follower->batch > 0 || in_batch(follower, err)) && end_batch(follower, sequence, err);
}

bool vt_reindex_follow(struct vt_archive *archive, struct vt_index *fresh, bool last,
                       uint64_t *out_left, struct vt_err *err)
{
    struct follower follower = { .archive = archive, .fresh = fresh };
    uint64_t until = 0, now = 0;

    vt_instance_init(&follower.instance);
    vt_buf_init(&follower.bytes, NOTE_MAX);
    bool ok = noted(archive, last, &until, err) && follow_until(&follower, until, err) &&
              (last ? commit_as_of_now(&follower, err) : end_batch(&follower, 0, err)) &&
              vt_index_checkpoint(fresh, err) && noted(archive, last, &now, err);
    if (!ok && follower.batch > 0)
        vt_index_rollback(fresh);
    vt_instance_fini(&follower.instance);
    vt_buf_fini(&follower.bytes);
    if (ok)
        *out_left = now - until;
    return ok;
}

/* ---- files ---- */

static void remove_folder(struct vt_archive *archive, const char *folder)
{
    static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm", "changes" };
    char path[64];

    for (size_t i = 0; i < VT_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlinkat(archive->root, path, 0);
    }
    unlinkat(archive->root, folder, AT_REMOVEDIR);
}

void vt_reindex_remove(struct vt_archive *archive)
{
    remove_folder(archive, VT_REINDEX_FOLDER);
}

/* Without its new name it would be forgotten at the next start: that lasts before the old file goes.
 * From then on each start finishes what a power cut left, so no sync is needed behind it. */
static bool sync_ready(struct vt_archive *archive, struct vt_err *err)
{
    vt_autoclose folder = openat(archive->root, READY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return vt_fail_errno(err, "%s/" READY, archive->path);
    return vt_io_sync_folder(folder, READY, err) &&
           vt_io_sync_folder(archive->root, archive->path, err);
}

/* Readers of the old file go on in it, though it has no name any more. Its log must be gone before
 * the new file comes, or it would be taken for the new one's. */
bool vt_reindex_take_place(struct vt_archive *archive, struct vt_err *err)
{
    static const char *const old[] = { "index.db", "index.db-wal", "index.db-shm" };
    int root = archive->root;

    if (!sync_ready(archive, err))
        return false;
    for (size_t i = 0; i < VT_COUNT(old); i++) {
        unlinkat(root, old[i], 0);
        vt_point("unnamed");
    }
    if (renameat(root, READY "/index.db", root, "index.db") < 0)
        return vt_fail_errno(err, "putting the new index in place");
    vt_point("renamed");
    remove_folder(archive, READY);
    return true;
}

bool vt_reindex_ready(struct vt_archive *archive, struct vt_err *err)
{
    struct stat log;

    /* Closing folds the log into the file. */
    if (fstatat(archive->root, VT_REINDEX_FOLDER "/index.db-wal", &log, 0) == 0 && log.st_size > 0)
        return vt_fail(err, VT_E_IO, "the new index could not be closed");
    remove_folder(archive, READY);
    if (renameat(archive->root, VT_REINDEX_FOLDER, archive->root, READY) < 0)
        return vt_fail_errno(err, "putting the new index in place");
    vt_point("ready");
    return true;
}

bool vt_reindex_recover(struct vt_archive *archive, struct vt_err *err)
{
    vt_reindex_remove(archive);
    if (faccessat(archive->root, READY "/index.db", F_OK, 0) == 0)
        return vt_reindex_take_place(archive, err);
    if (errno != ENOENT)
        return vt_fail_errno(err, "%s/" READY, archive->path);
    remove_folder(archive, READY);
    return true;
}
