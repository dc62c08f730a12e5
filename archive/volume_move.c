/* Moves between volumes: copied, read back, indexed, released, a few instances at a time. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "archive/admin_rows.h"
#include "archive/copies.h"
#include "archive/hold.h"
#include "archive/inside.h"
#include "archive/late.h"
#include "archive/volume_copy.h"
#include "archive/volume_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

enum { BATCH = 16, STUDY_MAX = 1 << 18 };

struct step {
    struct vt_index_entry entry; /* as it was when the move began */
    char to[VT_FILE_MAX];
    struct vt_uid_lock lock;
    bool copied, placed, done; /* in staging/, where it is to be, in the index */
    bool there;                /* lay where it is to be before */
};

struct move {
    const struct vt_admin *admin;
    struct vt_archive *archive;
    const char *name; /* where to */
    enum vt_volume_way way;
    bool to_main;
    bool recall; /* may use what is reserved */
    int root; /* of that volume */
    struct vt_folders *folders;
    struct vt_volume_moved *moved;
    struct step steps[BATCH];
    size_t count;
};

/* ---- what stands in state.db while copies are made ---- */

static bool run_for(struct vt_db *db, const char *sql, const struct step *step, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ttt", step->to, step->entry.file, step->entry.sop_uid) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

static bool note(struct move *move, const char *sql, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(move->archive->state);
    struct vt_err ignored = { 0 };
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err);
    bool begun = ok;

    for (size_t i = 0; ok && i < move->count; i++) {
        const struct step *step = &move->steps[i];
        bool moved = step->done && move->way != VT_VOLUME_KEEP;
        ok = (!moved || run_for(db, VT_VOLUME_RENAME, step, err)) && run_for(db, sql, step, err);
    }
    ok = ok && vt_db_exec(db, "COMMIT", err);
    if (!ok && begun)
        vt_db_exec(db, "ROLLBACK", &ignored);
    vt_state_unlock(move->archive->state);
    return ok;
}

/* ---- one batch ---- */

/* The volume keeps what its mark says. */
static bool has_room(const struct move *move, uint64_t bytes, struct vt_err *err)
{
    struct statvfs info;

    if (fstatvfs(move->root, &info) < 0)
        return vt_fail_errno(err, "volume %s", move->name);
    uint64_t room = (uint64_t)info.f_bavail * info.f_frsize;
    uint64_t total = (uint64_t)info.f_blocks * info.f_frsize;
    uint64_t stop = move->recall ? vt_volume_stop(move->archive, move->name, total)
                                 : vt_volume_reserve(move->archive, move->name, total);
    if (room >= bytes && room - bytes >= stop)
        return true;
    vt_events_publish(move->archive->options.events, "volume.full", move->name, NULL);
    return vt_fail(err, VT_E_FULL, "volume %s is full: %llu bytes free, %llu are to stay so",
                   move->name, (unsigned long long)room, (unsigned long long)stop);
}

static bool tell(const struct move *move, const struct step *step, const char *reason,
                 struct vt_err *err)
{
    move->moved->faults++;
    return vt_admin_send(move->admin,
                         json_pack("{s:s, s:s, s:s, s:s}", "fault", "not moved", "file",
                                   step->entry.file, "SOPInstanceUID", step->entry.sop_uid,
                                   "reason", reason),
                         err);
}

/* Is it still what was chosen? */
static bool is_same(struct vt_index *index, const struct vt_index_entry *entry, bool *out_same,
                    struct vt_err *err)
{
    struct vt_index_entry now;
    bool found = false;

    if (!vt_index_lookup(index, entry->sop_uid, &now, &found, err))
        return false;
    *out_same = found && strcmp(now.file, entry->file) == 0 && now.version == entry->version &&
                memcmp(&now.data_set_digest, &entry->data_set_digest,
                       sizeof now.data_set_digest) == 0;
    return true;
}

/* Where a copy is there already and was read, none is made. */
static bool copy_one(const struct move *move, struct step *step, struct vt_err *err)
{
    const char *below = vt_volume_below(step->to);
    struct vt_err wrong = { 0 };

    step->there = vt_volume_check(move->root, below, &step->entry, &wrong);
    if (step->there)
        return true;
    if (move->way == VT_VOLUME_RELEASE) {
        *err = wrong;
        return false;
    }
    return vt_volume_copy(move->archive->root, &step->entry, move->root, below, err);
}

/* What is wrong with one file holds up no other; what is wrong with the volume ends the move. */
static bool copy_all(struct move *move, struct vt_err *err)
{
    for (size_t i = 0; i < move->count; i++) {
        struct step *step = &move->steps[i];
        struct vt_err wrong = { 0 };
        bool same = false;
        if (!is_same(atomic_load(&move->archive->index), &step->entry, &same, err))
            return false;
        if (!same)
            continue; /* deleted or moved meanwhile */
        step->copied = copy_one(move, step, &wrong);
        if (!step->copied && wrong.code != VT_E_CORRUPT && wrong.code != VT_E_NOTFOUND) {
            *err = wrong;
            return vt_fail_context(err, "volume %s", move->name);
        }
        if (!step->copied && !tell(move, step, wrong.text, err))
            return false;
    }
    vt_point("volume-copied");
    return true;
}

/* The copies get their names, which are durable when this returns. */
static bool place_all(struct move *move, struct vt_err *err)
{
    for (size_t i = 0; i < move->count; i++) {
        struct step *step = &move->steps[i];
        struct vt_err wrong = { 0 };
        if (!step->copied || step->there ||
            vt_volume_place(move->root, move->folders, &step->entry, vt_volume_below(step->to),
                            &step->placed, &wrong))
            continue;
        step->copied = false;
        if (wrong.code != VT_E_EXISTS) {
            *err = wrong;
            return false;
        }
        if (!tell(move, step, wrong.text, err))
            return false;
    }
    vt_point("volume-placed");
    return syncfs(move->root) == 0 || vt_fail_errno(err, "volume %s", move->name);
}

static bool write_index(struct move *move, struct vt_index *index, struct vt_err *err)
{
    bool ok = true;

    if (!vt_index_begin(index, err))
        return false;
    for (size_t i = 0; i < move->count; i++) {
        struct step *step = &move->steps[i];
        struct vt_index_entry entry = step->entry;
        bool found = false;
        memcpy(entry.file, step->to, sizeof entry.file);
        if (ok && step->copied)
            ok = vt_index_relocate(index, &entry, &found, err);
        step->done = found;
    }
    if (ok && vt_exclusive_commit(move->archive, err))
        return true;
    vt_index_rollback(index);
    for (size_t i = 0; i < move->count; i++)
        move->steps[i].done = false;
    return false;
}

static void release(const struct move *move, const struct step *step)
{
    if (unlinkat(move->archive->root, step->entry.file, 0) < 0 && errno != ENOENT)
        vt_events_publish(move->archive->options.events, "volume.left", step->entry.file, NULL);
}

/* By the exclusive holder. The journal is empty before: no record of an arrival makes again what
 * goes here. Behind the checkpoint the index stays with the copy, through a power cut as well. */
static bool change_over(struct move *move, struct vt_err *err)
{
    struct vt_archive *archive = move->archive;
    struct vt_index *index = atomic_load(&archive->index);

    for (size_t i = 0; i < move->count; i++)
        if (move->steps[i].copied &&
            !is_same(index, &move->steps[i].entry, &move->steps[i].copied, err))
            return false;
    if (!vt_archive_cut_all(archive, err) || (move->to_main && !place_all(move, err)) ||
        !write_index(move, index, err))
        return false;
    vt_point("volume-indexed");
    if (!vt_index_checkpoint(index, err))
        return vt_archive_break(archive, err);
    /* Of MAIN within: who stores here next finds the names free, or taken. */
    for (size_t i = 0; i < move->count; i++)
        if (move->steps[i].done && !move->to_main)
            release(move, &move->steps[i]);
    for (size_t i = 0; i < move->count; i++)
        if (move->steps[i].done && !move->to_main)
            vt_folders_prune(archive->folders, move->steps[i].entry.file);
    vt_point("volume-released");
    return true;
}

/* By the exclusive holder: the copies that were made become known. */
static bool note_copies(struct move *move, struct vt_err *err)
{
    struct vt_archive *archive = move->archive;
    struct vt_index *index = atomic_load(&archive->index);
    struct vt_err ignored = { 0 };

    for (size_t i = 0; i < move->count; i++)
        if (move->steps[i].copied &&
            !is_same(index, &move->steps[i].entry, &move->steps[i].copied, err))
            return false;
    struct vt_db *db = vt_state_lock(archive->state);
    bool begun = vt_db_exec(db, "BEGIN IMMEDIATE", err), ok = begun;
    for (size_t i = 0; ok && i < move->count; i++)
        if (move->steps[i].copied)
            ok = vt_copies_note(db, &move->steps[i].entry, move->name, move->steps[i].to, err);
    ok = ok && vt_db_exec(db, "COMMIT", err);
    if (!ok && begun)
        vt_db_exec(db, "ROLLBACK", &ignored);
    vt_state_unlock(archive->state);
    for (size_t i = 0; ok && i < move->count; i++)
        move->steps[i].done = move->steps[i].copied;
    vt_point("volume-kept");
    return ok;
}

static bool index_all(struct move *move, struct vt_err *err)
{
    struct vt_archive *archive = move->archive;
    bool ok = move->to_main || place_all(move, err);

    if (!ok)
        return false;
    for (size_t i = 0; i < move->count; i++)
        vt_locks_take(archive->locks, &move->steps[i].lock, move->steps[i].entry.sop_uid);
    ok = vt_exclusive_begin(archive, err);
    if (ok) {
        ok = move->way == VT_VOLUME_KEEP ? note_copies(move, err) : change_over(move, err);
        vt_exclusive_end(archive);
    }
    for (size_t i = 0; i < move->count; i++)
        vt_locks_give(archive->locks, &move->steps[i].lock);
    return ok;
}

/* First copies on other volumes go outside the locks: such a file system may be slow. */
static void settle(struct move *move)
{
    for (size_t i = 0; i < move->count; i++) {
        const struct step *step = &move->steps[i];
        struct vt_err ignored = { 0 };
        if (!step->done)
            vt_volume_drop(move->root, vt_volume_below(step->to), step->placed);
        else if (move->to_main)
            release(move, step);
        /* A row that stays says nothing: the index names that file. */
        if (step->done && step->there && move->way != VT_VOLUME_KEEP)
            vt_copies_forget(move->archive, step->to, &ignored);
        if (step->done) {
            move->moved->instances++;
            move->moved->bytes += step->entry.file_size;
        }
    }
    for (size_t i = 0; move->to_main && i < move->count; i++)
        if (move->steps[i].done)
            vt_volume_prune(move->archive->root, move->steps[i].entry.file);
}

/* That they are gone is durable: on each volume that some of them lay on. */
static bool sync_released(const struct move *move, struct vt_err *err)
{
    char synced[VT_VOLUME_NAME_MAX + 1] = "", name[VT_VOLUME_NAME_MAX + 1];

    for (size_t i = 0; i < move->count && move->way != VT_VOLUME_KEEP; i++) {
        vt_volume_of(move->steps[i].entry.file, name);
        if (!move->steps[i].done || strcmp(name, synced) == 0)
            continue;
        if (!vt_volume_sync(move->archive, move->steps[i].entry.file, err))
            return false;
        memcpy(synced, name, sizeof synced);
    }
    return true;
}

static bool run_batch(struct move *move, struct vt_err *err)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < move->count; i++) {
        bytes += move->steps[i].entry.file_size;
        if (!vt_late_wait(move->archive, move->steps[i].entry.file, err))
            return false;
    }
    if (!has_room(move, bytes, err) || !note(move, VT_VOLUME_NOTE, err))
        return false;
    vt_point("volume-noted");
    bool ok = copy_all(move, err) && index_all(move, err);
    /* The index may or may not have it: the next start looks, with the note. */
    if (!ok && atomic_load(&move->archive->read_only))
        return false;
    settle(move);
    struct vt_err later = { 0 };
    /* As long as a first one may come back after a power cut, its note stays. */
    bool forgotten = sync_released(move, &later) && note(move, VT_VOLUME_FORGET, &later);
    if (ok && !forgotten)
        *err = later;
    return ok && forgotten;
}

/* ---- a study ---- */

struct chosen {
    struct vt_archive *archive;
    const struct vt_volume_turn *turn;
    struct vt_index_entry *entries;
    size_t count, room;
};

/* A copy is kept where none is, and a first one released where one is. */
static bool is_wanted(const struct chosen *chosen, const struct vt_index_entry *entry,
                      bool *out_wanted, struct vt_err *err)
{
    char name[VT_VOLUME_NAME_MAX + 1], file[VT_FILE_MAX];
    const struct vt_volume_turn *turn = chosen->turn;
    bool there = false;

    vt_volume_of(entry->file, name);
    *out_wanted = strcmp(name, turn->to) != 0 && (!turn->from || strcmp(name, turn->from) == 0);
    if (!*out_wanted || turn->way == VT_VOLUME_MOVE)
        return true;
    if (!vt_copies_find(chosen->archive, entry, turn->to, file, &there, err))
        return false;
    *out_wanted = there == (turn->way == VT_VOLUME_RELEASE);
    return !*out_wanted || turn->way == VT_VOLUME_KEEP ||
           vt_hold_allows(chosen->archive, entry, out_wanted, err);
}

static bool choose(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct chosen *chosen = context;
    bool wanted;

    if (!is_wanted(chosen, entry, &wanted, err))
        return false;
    if (!wanted)
        return true;
    if (chosen->count == STUDY_MAX)
        return vt_fail(err, VT_E_LIMIT, "a study of more than %d instances", STUDY_MAX);
    if (chosen->count == chosen->room) {
        size_t room = chosen->room ? 2 * chosen->room : 64;
        void *grown = reallocarray(chosen->entries, room, sizeof *chosen->entries);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu instances", room);
        chosen->entries = grown;
        chosen->room = room;
    }
    chosen->entries[chosen->count++] = *entry;
    return true;
}

static bool add_step(struct move *move, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct step *step = &move->steps[move->count];
    char name[VT_VOLUME_NAME_MAX + 1];

    *step = (struct step){ .entry = *entry };
    vt_volume_of(entry->file, name);
    int length = move->to_main ? snprintf(step->to, sizeof step->to, "%s",
                                          vt_volume_below(entry->file))
                               : snprintf(step->to, sizeof step->to, "volumes/%s/%s", move->name,
                                          vt_volume_below(entry->file));
    if (length >= (int)sizeof step->to)
        return vt_fail(err, VT_E_LIMIT, "path is too long: %s", entry->file);
    move->count++;
    return vt_volume_is_ready(move->archive, name, err);
}

static bool open_move(struct move *move, struct vt_err *err)
{
    move->root = vt_volume_root(move->archive, move->name, err);
    if (move->root < 0)
        return false;
    move->folders = vt_folders_new(move->root);
    return move->folders != NULL || vt_fail(err, VT_E_NOMEM, "no memory to move files");
}

/* Who stores goes first. */
static bool move_chosen(struct move *move, const struct chosen *chosen, struct vt_err *err)
{
    static const struct timespec pause = { 0, 100 * VT_NS_PER_MS };
    bool ok = true;

    for (size_t at = 0; ok && at < chosen->count;) {
        move->count = 0;
        while (ok && at < chosen->count && move->count < BATCH)
            ok = add_step(move, &chosen->entries[at++], err);
        uint64_t stored = atomic_load(&move->archive->stored);
        ok = ok && vt_volumes_hold(move->archive, false, err);
        if (ok) {
            ok = run_batch(move, err);
            vt_volumes_release(move->archive);
        }
        if (ok && atomic_load(&move->archive->stored) != stored)
            nanosleep(&pause, NULL);
        ok = ok &&
             vt_admin_tell_progress(move->admin, move->moved->instances, 0, "instances", err);
    }
    return ok;
}

/* Who was told that it is ONLINE, or not, may want to hear of it. */
static void tell_moved(const struct move *move, const struct chosen *chosen, const char *study_uid)
{
    const struct vt_volume *to = vt_volume_find(move->archive, move->name);
    bool slow = to && to->nearline, changed = false;
    char name[VT_VOLUME_NAME_MAX + 1];

    if (move->way == VT_VOLUME_KEEP || move->moved->instances == 0)
        return;
    for (size_t i = 0; i < chosen->count && !changed; i++) {
        vt_volume_of(chosen->entries[i].file, name);
        const struct vt_volume *from = vt_volume_find(move->archive, name);
        changed = (from && from->nearline) != slow;
    }
    if (changed)
        vt_events_publish(move->archive->options.events, "study.moved", study_uid, NULL);
}

static void count_chosen(const struct chosen *chosen, struct vt_volume_moved *moved)
{
    moved->instances += chosen->count;
    for (size_t i = 0; i < chosen->count; i++)
        moved->bytes += chosen->entries[i].file_size;
}

bool vt_admin_volume_turn_study(const struct vt_admin *admin, const char *study_uid,
                                const struct vt_volume_turn *turn, struct vt_volume_moved *moved,
                                struct vt_err *err)
{
    struct chosen chosen = { .archive = admin->archive, .turn = turn };
    vt_autofree struct move *move = calloc(1, sizeof *move);
    bool ok = move || vt_fail(err, VT_E_NOMEM, "no memory to move files");

    ok = ok && vt_admin_each_of_study(admin->archive, study_uid, choose, &chosen, err);
    if (ok && turn->dry) {
        count_chosen(&chosen, moved);
    } else if (ok && chosen.count > 0) {
        *move = (struct move){ .admin = admin,
                               .archive = admin->archive,
                               .name = turn->to,
                               .way = turn->way,
                               .recall = turn->recall,
                               .to_main = strcmp(turn->to, VT_VOLUME_MAIN) == 0,
                               .root = -1,
                               .moved = moved };
        ok = open_move(move, err) && move_chosen(move, &chosen, err);
        tell_moved(move, &chosen, study_uid);
        vt_folders_free(move->folders);
        if (move->root >= 0)
            close(move->root);
    }
    free(chosen.entries);
    return ok;
}

bool vt_admin_volume_move_study(const struct vt_admin *admin, const char *study_uid, const char *to,
                                struct vt_volume_moved *moved, struct vt_err *err)
{
    const struct vt_volume_turn turn = { .way = VT_VOLUME_MOVE, .to = to };

    return vt_admin_volume_turn_study(admin, study_uid, &turn, moved, err);
}
