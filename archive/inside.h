/* archive/inside.h: the inside of struct vt_archive, for the files of this room only.
 *
 *   receive (association threads) -> commit (stage 1: journal, stage 2: files + index, a thread each;
 *   one request alone needs neither) -> answers, given by the thread that led the group
 *
 * Small objects get their files behind the answer, from a thread of their own (archive/late.h).
 *
 * Locks, in the order they may be taken: journal_stage, apply_stage, folders_lock, durable_lock,
 * journal_lock; the others are leaves. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "archive/folders.h"
#include "archive/journal.h"
#include "archive/locks.h"
#include "archive/pool.h"
#include "archive/slots.h"
#include "archive/state.h"

struct vt_accesses;
struct vt_err;
struct vt_late;
struct vt_patients;
struct vt_request;
struct vt_volumes;

enum {
    VT_ARCHIVE_BLOCK = 1 << 20, /* a receiver's buffer, and what is written at once */
    VT_ARCHIVE_POOL = 8,        /* buffers kept for the next receiver */
    VT_ARCHIVE_PATH_MAX = 3072, /* of options.path */
};

/* Requests that wait for one stage of the group commit. */
struct vt_stage {
    pthread_mutex_t lock; /* held by who leads a group through it */

    pthread_t thread;
    bool runs; /* changes while nobody stores */

    pthread_mutex_t queue_lock; /* guards the rest */
    pthread_cond_t called;
    struct vt_request *first, **last;
    bool is_called, closing;
};

struct vt_archive {
    /* Fixed after open. */
    struct vt_archive_options options; /* with defaults filled in */
    char *path;
    int root, lock_file, staging; /* descriptors */
    struct vt_state *state;
    _Atomic(struct vt_patients *) patients; /* archive/patient.c; made when first asked for */
    struct vt_volumes *volumes; /* archive/volume.c */
    struct vt_accesses *accesses; /* archive/last_access.c */
    struct vt_pool *pool;
    struct vt_slots *slots;     /* after recovery */
    struct vt_locks *locks;     /* SOP Instance UIDs between decision and answer */
    struct vt_journal *journal; /* calls under journal_lock */

    /* Passed by an arrival from the look at merges and corrections until it is indexed, closed by who
     * changes them: no arrival slips in between under the old identity. Before the stages. */
    struct vt_gate identities;

    struct vt_stage journal_stage;
    struct vt_stage apply_stage;
    atomic_uint under_way; /* requests in either */
    pthread_mutex_t folders_lock; /* guards the next, and what is done to the folders' files */
    struct vt_folders *folders;
    struct vt_late *late; /* archive/late.c */
    atomic_uint_fast64_t exclusives; /* that began; written under both stages */

    /* Held while all that was applied is made durable, and while another index takes the place of this
     * one: no checkpoint looks for a file that is about to be another. */
    pthread_mutex_t durable_lock;

    pthread_mutex_t journal_lock; /* guards the journal's calls and the next three */
    pthread_cond_t journal_room;  /* a segment was released */
    bool closing;
    bool cut_failed;
    char cut_error[160];

    pthread_mutex_t progress_lock; /* guards the next two */
    pthread_cond_t progress;
    uint64_t issued;   /* last sequence given to the apply stage */
    uint64_t finished; /* last sequence that it is done with */

    _Atomic(struct vt_index *) index; /* replaced by reindex, under both stages */
    struct vt_index
        *retired[4]; /* replaced ones: readers may still be in them; freed with the archive */
    size_t retired_count;
    struct vt_reindex *reindex; /* while an index is built beside this one; under apply_stage.lock */

    pthread_t cutter;
    bool cutter_runs;
    pthread_cond_t cut_wanted; /* with journal_lock */

    atomic_uint moving;         /* operations that move files before the index knows */
    atomic_bool read_only;      /* a sync failed; for good */
    pthread_mutex_t fault_lock; /* guards fault */
    char fault[160];

    pthread_mutex_t space_lock; /* guards the next four */
    int64_t space_checked;      /* monotonic */
    uint64_t space_free, space_total;
    int space_state; /* enum vt_space */

    atomic_uint_fast64_t stored, duplicates, versions, quarantined, refused, failed;
    atomic_uint_fast64_t groups;
    int64_t opened; /* wall ns */
};

/* ---- commit.c: the group commit ---- */

/* Nobody stores while it is held: both stages are empty and owned, every arrival has its file. The
 * holder may use the index's writer side, the journal and the folders. false: the archive is
 * read-only, or files of arrivals cannot be made (err), and nothing is held. */
bool vt_exclusive_begin(struct vt_archive *archive, struct vt_err *err);
/* The same for who makes room: files of arrivals may be missing yet. */
bool vt_exclusive_begin_full(struct vt_archive *archive, struct vt_err *err);
void vt_exclusive_end(struct vt_archive *archive);
/* Ends the index transaction of the exclusive holder with the sequence that is applied. */
bool vt_exclusive_commit(struct vt_archive *archive, struct vt_err *err);
/* All that was applied is durable elsewhere and the journal is empty. By the exclusive holder, or
 * with no one else. */
bool vt_archive_cut_all(struct vt_archive *archive, struct vt_err *err);

/* A sync failed: nothing is stored any more. Publishes volume.read-only once. Fills err (A701);
 * returns false. */
bool vt_archive_break(struct vt_archive *archive, struct vt_err *err);
/* err A701 when that has happened. */
bool vt_archive_writable(struct vt_archive *archive, struct vt_err *err);

bool vt_cutter_start(struct vt_archive *archive, struct vt_err *err);
void vt_cutter_stop(struct vt_archive *archive);

/* ---- space.c: disk marks (reference 4.4) ---- */

enum vt_space { VT_SPACE_OK, VT_SPACE_WARN, VT_SPACE_FULL };
/* A700 under the stop mark. Asks the file system at most every 100 ms; publishes changes. */
bool vt_space_check(struct vt_archive *archive, struct vt_err *err);
void vt_space_read(struct vt_archive *archive, uint64_t *out_free, uint64_t *out_total,
                   enum vt_space *out_state);
/* Marks in bytes of a file system with `total`; chosen 0: the default. */
uint64_t vt_space_stop(uint64_t chosen, uint64_t total);
uint64_t vt_space_warn(uint64_t chosen, uint64_t total);
/* The next check asks again: something failed for want of space, or was freed. */
void vt_space_forget(struct vt_archive *archive);

/* ---- recover.c ---- */
bool vt_archive_recover(struct vt_archive *archive, struct vt_err *err);

/* ---- reread.c: what reindex, restore and replay know of an object that is there ---- */

/* Reads the whole file: identity, attributes, digests, frames; file, version, size and arrival (its
 * time) as well. VT_E_CORRUPT: not an object of ours. */
bool vt_archive_reread(struct vt_archive *archive, const char *file, struct vt_instance *out,
                       struct vt_err *err);

/* ---- syntax.c: how the data set of an object is read ---- */

/* Of a public transfer syntax the table says it, of a private one the configuration, else the first
 * element behind `offset` of the file. */
struct vt_private_syntax vt_archive_syntax(const struct vt_archive *archive, const char *uid,
                                           int fd, uint64_t offset);

/* ---- test hook: called at named points of the commit, NULL in programs ---- */
extern void (*vt_archive_point)(const char *name);
static inline void vt_point(const char *name)
{
    if (__builtin_expect(vt_archive_point != NULL, 0))
        vt_archive_point(name);
}
