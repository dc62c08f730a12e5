/* Start-up: what the journal holds is done again as far as it is not done, what lies in staging
 * afterwards goes.
 *
 * Every arrival in the journal has its file looked for, since a file that was renamed or created
 * may be lost by a power cut even when the index kept its row; rows are put only for what the index
 * had not applied. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/apply.h"
#include "archive/inside.h"
#include "archive/operation.h"
#include "archive/patient.h"
#include "archive/rebuild.h"
#include "core/err.h"
#include "core/event.h"
#include "dicom/uids.h"

enum { RECOVER_BATCH = 1000, ABORTED_MAX = 4 << 20 };

struct recovery {
    struct vt_archive *archive;
    uint64_t applied;      /* the index has all up to this */
    struct vt_buf aborted; /* sequence numbers */
    struct vt_instance instance;
    uint64_t last; /* sequence of the record at hand */
    size_t batch;  /* rows put in the open transaction */
    uint64_t records, lost;
    uint64_t first; /* sequence of the first record; 0: none */
};

static bool note_abort(void *context, const struct vt_journal_entry *entry, struct vt_err *err)
{
    struct recovery *recovery = context;

    if (recovery->records++ == 0)
        recovery->first = entry->sequence;
    if (entry->kind != VT_RECORD_ABORT)
        return true;
    if (entry->size != sizeof(uint64_t))
        return vt_fail(err, VT_E_CORRUPT, "an abort record of %zu bytes", entry->size);
    return vt_buf_append(&recovery->aborted, entry->body, entry->size, err);
}

static bool is_aborted(const struct recovery *recovery, uint64_t sequence)
{
    for (size_t at = 0; at < recovery->aborted.size; at += sizeof sequence)
        if (memcmp(recovery->aborted.data + at, &sequence, sizeof sequence) == 0)
            return true;
    return false;
}

static bool end_batch(struct recovery *recovery, uint64_t sequence, struct vt_err *err)
{
    struct vt_index *index = atomic_load(&recovery->archive->index);

    if (recovery->batch == 0)
        return true;
    recovery->batch = 0;
    if (vt_index_commit(index, sequence, err))
        return true;
    vt_index_rollback(index);
    return false;
}

static bool put_row(struct recovery *recovery, enum vt_record kind, struct vt_record_body *body,
                    uint64_t sequence, struct vt_err *err)
{
    struct vt_archive *archive = recovery->archive;
    unsigned flags = 0;

    if (kind == VT_RECORD_QUARANTINE || sequence <= recovery->applied)
        return true;
    if (recovery->batch == 0 && !vt_index_begin(atomic_load(&archive->index), err))
        return false;
    recovery->batch++;
    if (!vt_apply_index(archive, kind, body, &flags, err))
        return false;
    return recovery->batch < RECOVER_BATCH || end_batch(recovery, sequence, err);
}

/* Attributes and frames that the record left out, everything else as the record says. */
static bool reread(struct recovery *recovery, struct vt_record_body *body, struct vt_err *err)
{
    struct vt_instance *instance = body->instance;
    int64_t arrived = instance->arrived;
    uint32_t version = instance->version;
    char file[VT_FILE_MAX], host[sizeof instance->host], title[sizeof instance->calling_ae_title];

    memcpy(file, instance->file, sizeof file);
    memcpy(host, instance->host, sizeof host);
    memcpy(title, instance->calling_ae_title, sizeof title);
    if (!vt_archive_reread(recovery->archive, file, instance, err))
        return false;
    instance->arrived = arrived;
    instance->version = version;
    memcpy(instance->host, host, sizeof host);
    memcpy(instance->calling_ae_title, title, sizeof title);
    return true;
}

/* What the index has had already, and a segment holds that was perhaps released long ago: only what
 * a row still names is made again. Something else may have its place by now, or it was deleted. */
static bool is_wanted(struct recovery *recovery, const struct vt_journal_entry *entry,
                      bool *out_wanted, struct vt_err *err)
{
    *out_wanted = true;
    return !entry->doubtful || entry->sequence > recovery->applied ||
           vt_apply_is_named(recovery->archive, &recovery->instance, VT_NAMED_BY_ITS_ROW,
                             out_wanted, err);
}

static bool redo_arrival(struct recovery *recovery, const struct vt_journal_entry *entry,
                         struct vt_err *err)
{
    struct vt_record_body body = { .instance = &recovery->instance };
    bool there = false, wanted = true;

    vt_instance_reset(&recovery->instance);
    if (!vt_record_decode(entry->body, entry->size, &body, err) ||
        !is_wanted(recovery, entry, &wanted, err))
        return false;
    if (!wanted)
        return true;
    if (!vt_apply_file_again(recovery->archive, &body, &there, err))
        return false;
    if (!there) {
        /* The commit failed and cleaned up before it could say so in the journal: nobody was told
         * success. When the index has the row it was; then the object is lost, and verify names it.
         */
        recovery->lost += entry->sequence <= recovery->applied;
        if (entry->sequence <= recovery->applied)
            vt_events_publish(recovery->archive->options.events, "instance.corrupt",
                              recovery->instance.sop_uid, NULL);
        return true;
    }
    if (!vt_apply_state(recovery->archive, entry->kind, &body, err))
        return false;
    if (body.reread && entry->sequence > recovery->applied && !reread(recovery, &body, err))
        return false;
    return put_row(recovery, entry->kind, &body, entry->sequence, err);
}

/* Undone unless a later arrival took the same place: then a row of that one names the file. */
static bool undo_arrival(struct recovery *recovery, const struct vt_journal_entry *entry,
                         struct vt_err *err)
{
    struct vt_record_body body = { .instance = &recovery->instance };
    bool taken = false;

    vt_instance_reset(&recovery->instance);
    if (!vt_record_decode(entry->body, entry->size, &body, err) ||
        !vt_apply_undo_state(recovery->archive, &body, err) ||
        !vt_apply_is_named(recovery->archive, &recovery->instance, VT_NAMED_BY_ANOTHER, &taken,
                           err))
        return false;
    if (!taken)
        vt_apply_undo_file(recovery->archive, &body);
    return true;
}

static bool redo(void *context, const struct vt_journal_entry *entry, struct vt_err *err)
{
    struct recovery *recovery = context;

    recovery->last = entry->sequence;
    switch (entry->kind) {
    case VT_RECORD_STORE:
    case VT_RECORD_VERSION:
    case VT_RECORD_QUARANTINE:
        return is_aborted(recovery, entry->sequence) || redo_arrival(recovery, entry, err);
    case VT_RECORD_DELETE:
    case VT_RECORD_RESTORE:
        return end_batch(recovery, entry->sequence - 1, err) &&
               vt_operation_redo(recovery->archive, entry->body, entry->size,
                                 entry->doubtful && entry->sequence <= recovery->applied, err);
    case VT_RECORD_ABORT:
        return true;
    }
    return vt_fail(err, VT_E_UNSUPPORTED,
                   "the journal holds a record of kind %d: start the newer program",
                   (int)entry->kind);
}

static bool undo(void *context, const struct vt_journal_entry *entry, struct vt_err *err)
{
    struct recovery *recovery = context;
    bool arrival = entry->kind == VT_RECORD_STORE || entry->kind == VT_RECORD_VERSION ||
                   entry->kind == VT_RECORD_QUARANTINE;

    return !arrival || !is_aborted(recovery, entry->sequence) || undo_arrival(recovery, entry, err);
}

static bool index_was_lost(const struct vt_archive *archive, struct vt_err *err)
{
    return vt_fail(err, VT_E_CORRUPT,
                   "the index of %s is empty, but objects/ is not: run 'vitrine reindex'",
                   archive->path);
}

/* An index that applied nothing, of an archive that has cut its journal before, is not the one that
 * was here: replay would fill it with the last few arrivals, and the rest would seem not to exist.
 */
static bool fits_journal(const struct recovery *recovery, struct vt_err *err)
{
    struct vt_archive *archive = recovery->archive;
    const struct vt_journal_damage *damages;
    size_t count = vt_journal_damages(archive->journal, &damages);
    bool began = recovery->first <= 1;

    for (size_t i = 0; i < count; i++)
        began = began || damages[i].first_missing == 1;
    return recovery->applied > 0 || began || archive->options.rebuild_index ||
           !vt_rebuild_has_objects(archive) || index_was_lost(archive, err);
}

static bool is_in_place(struct recovery *recovery, const char *sop_uid, bool *out_there,
                        struct vt_err *err)
{
    struct vt_archive *archive = recovery->archive;
    struct vt_index_entry row;
    struct stat info;
    bool found = false;

    if (!vt_index_lookup(atomic_load(&archive->index), sop_uid, &row, &found, err))
        return false;
    *out_there = found && fstatat(archive->root, row.file, &info, 0) == 0 &&
                 (uint64_t)info.st_size == row.file_size;
    return true;
}

/* Of a damaged record, which may still say whose it is: named unless what it stood for is in place.
 */
static bool name_lost(void *context, const struct vt_journal_entry *entry, struct vt_err *err)
{
    struct recovery *recovery = context;
    struct vt_instance *instance = &recovery->instance;
    struct vt_record_body body = { .instance = instance };
    struct vt_err wrong = { 0 };
    bool there = false;

    vt_instance_reset(instance);
    if (!vt_record_decode(entry->body, entry->size, &body, &wrong))
        return wrong.code != VT_E_NOMEM || vt_fail(err, VT_E_NOMEM, "%s", wrong.text);
    if (entry->kind == VT_RECORD_QUARANTINE || !vt_uid_usable(instance->sop_uid))
        return true;
    if (!is_in_place(recovery, instance->sop_uid, &there, err))
        return false;
    if (!there)
        vt_events_publish(recovery->archive->options.events, "instance.corrupt", instance->sop_uid,
                          NULL);
    return true;
}

static bool replay(struct recovery *recovery, struct vt_err *err)
{
    struct vt_archive *archive = recovery->archive;

    return vt_journal_replay(archive->journal, 0, note_abort, recovery, err) &&
           fits_journal(recovery, err) &&
           vt_journal_replay(archive->journal, 0, redo, recovery, err) &&
           end_batch(recovery, recovery->last, err) &&
           (recovery->aborted.size == 0 ||
            vt_journal_replay(archive->journal, 0, undo, recovery, err)) &&
           vt_journal_broken(archive->journal, name_lost, recovery, err);
}

/* Everything in staging that replay did not take belongs to nobody. */
static bool sweep(struct vt_archive *archive, struct vt_err *err)
{
    int copy = dup(archive->staging);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;

    if (!folder) {
        vt_fail_errno(err, "%s/staging", archive->path);
        if (copy >= 0)
            close(copy);
        return false;
    }
    rewinddir(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (entry->d_name[0] != '.')
            unlinkat(archive->staging, entry->d_name, 0);
    closedir(folder);
    return true;
}

static bool check_index(struct vt_archive *archive, struct vt_err *err)
{
    bool empty = false;
    uint64_t ignored = 0;

    if (archive->options.rebuild_index)
        return vt_rebuild_index(archive, atomic_load(&archive->index), NULL, &ignored, err);
    if (!vt_index_empty(atomic_load(&archive->index), &empty, err))
        return false;
    return !empty || !vt_rebuild_has_objects(archive) || index_was_lost(archive, err);
}

/* Loud: what was acknowledged may be lost, and only verify can tell. */
static void tell_damages(struct vt_archive *archive)
{
    const struct vt_journal_damage *damages;
    size_t count = vt_journal_damages(archive->journal, &damages);
    char subject[VT_FILE_MAX], detail[320];

    for (size_t i = 0; i < count; i++) {
        snprintf(subject, sizeof subject, "journal/%s", damages[i].file);
        snprintf(detail, sizeof detail,
                 "{\"reason\":\"%s\",\"copy\":\"journal/%s\",\"replayed\":%llu,"
                 "\"missing\":%llu,\"first_missing\":%llu,\"remedy\":\"run vitrine verify\"}",
                 damages[i].reason, damages[i].copy, (unsigned long long)damages[i].records,
                 (unsigned long long)damages[i].missing,
                 (unsigned long long)damages[i].first_missing);
        vt_events_publish(archive->options.events, "journal.damaged", subject, detail);
    }
}

bool vt_archive_recover(struct vt_archive *archive, struct vt_err *err)
{
    struct recovery recovery = { .archive = archive };

    tell_damages(archive);
    vt_instance_init(&recovery.instance);
    vt_buf_init(&recovery.aborted, ABORTED_MAX);
    bool ok = vt_index_applied(atomic_load(&archive->index), &recovery.applied, err) &&
              replay(&recovery, err);
    if (!ok && recovery.batch > 0)
        vt_index_rollback(atomic_load(&archive->index));
    vt_instance_fini(&recovery.instance);
    vt_buf_fini(&recovery.aborted);
    if (!ok)
        return vt_fail_context(err, "replaying the journal of %s", archive->path);
    vt_journal_continue(archive->journal, recovery.applied);
    if (!sweep(archive, err) || !vt_operation_forget_plans(archive, err) ||
        !check_index(archive, err) || !vt_archive_cut_all(archive, err))
        return false;
    /* A damaged journal may have ended before what the index has of it: a number that the index
     * takes for applied must not be given again. */
    vt_journal_continue(archive->journal, recovery.applied);
    archive->issued = archive->finished = vt_journal_last(archive->journal);
    return true;
}
