/* archive/journal.h: the commit point of the files driver.
 *
 * Two preallocated segments, written in turn; a record is on disk when vt_journal_sync returned. Records carry a sequence
 * number, a checksum (XXH3-64 over the record and the segment's generation) and a body; replay stops at the first that does not fit,
 * unless those behind it prove that it was synced: then that is damage, told, and what is intact is replayed.
 * A segment may be used again only when everything in it is durable elsewhere (vt_journal_release, after syncfs and an index
 * checkpoint). Calls are serialised by the caller, vt_journal_prepare excepted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_journal;

enum vt_record {
    VT_RECORD_STORE = 1,        /* body: instance record, perhaps with the object's bytes */
    VT_RECORD_VERSION,
    VT_RECORD_QUARANTINE,
    VT_RECORD_DELETE,           /* body: int64_t, the operation of state.db that moves files (archive/operation.h) */
    VT_RECORD_RESTORE,          /* the same, of one that gives files back to the index */
    VT_RECORD_ABORT,            /* body: uint64_t; the record with that sequence number did not happen */
};

enum {
    VT_JOURNAL_SEGMENT = 32 << 20,          /* default bytes of a segment */
    VT_JOURNAL_SEGMENT_MIN = 1 << 20,
    VT_JOURNAL_RESERVE = 64 << 10,          /* of each segment, for abort records when nothing else fits */
    VT_JOURNAL_DAMAGE_MAX = 2,              /* one of each segment */
    VT_JOURNAL_COPIES_MAX = 9,              /* of damaged segments kept; then the journal is not opened any more */
};

struct vt_journal_entry {
    uint64_t sequence;
    enum vt_record kind;
    const uint8_t *body;        /* borrowed during the callback */
    size_t size;
    bool doubtful;              /* from a segment whose header is damaged: whether it was released before is not known */
};

/* What opening found wrong with a segment; a copy of it as it was lies beside it. */
struct vt_journal_damage {
    char file[16], copy[32];    /* names in the journal's folder */
    const char *reason;
    uint64_t records;           /* proved by their own checksums, replayed */
    uint64_t missing;           /* numbers that should be there, between what is */
    uint64_t first_missing;     /* the first of them; 0: none */
};

/* Opens or makes both segments (written with zeros once, so that later syncs are data only). What is damaged is copied
 * ("0.damaged", synced) before any of it is written over. */
struct vt_journal *vt_journal_open(const char *folder, uint64_t segment_bytes, struct vt_err *err);
void vt_journal_free(struct vt_journal *journal);
VT_DEFINE_AUTO(vt_journal)

/* What vt_journal_open found damaged. Borrowed until the journal is freed. */
size_t vt_journal_damages(const struct vt_journal *journal, const struct vt_journal_damage **out);

/* All whole records with sequence > after, in order. The callback returns false to fail. */
bool vt_journal_replay(struct vt_journal *journal, uint64_t after,
                       bool (*each)(void *context, const struct vt_journal_entry *entry, struct vt_err *err), void *context,
                       struct vt_err *err);
/* The records that are missing, as far as they can still be told: what they hold may be wrong anywhere. */
bool vt_journal_broken(struct vt_journal *journal,
                       bool (*each)(void *context, const struct vt_journal_entry *entry, struct vt_err *err), void *context,
                       struct vt_err *err);
/* Behind the last record. VT_E_FULL: neither segment has room (release first). VT_E_LIMIT: larger than a segment. */
bool vt_journal_append(struct vt_journal *journal, enum vt_record kind, const void *head, size_t head_size,
                       const void *tail, size_t tail_size, uint64_t *out_sequence, struct vt_err *err);
/* Writes what was appended and fdatasyncs. An error is final: the journal takes nothing more. */
bool vt_journal_sync(struct vt_journal *journal, struct vt_err *err);
/* Writes what was appended and leaves the rest to the kernel (durability relaxed): survives a crash of ours only. */
bool vt_journal_write(struct vt_journal *journal, struct vt_err *err);
/* The second segment is made on a new journal only when this is called (from any one thread, beside the writer): it
 * takes its time, and the first start need not wait. Quick when it is there. */
bool vt_journal_prepare(struct vt_journal *journal, struct vt_err *err);
/* The segment before the current one holds records up to this; 0: it is free. Then release. */
uint64_t vt_journal_to_release(struct vt_journal *journal);
bool vt_journal_release(struct vt_journal *journal, struct vt_err *err);
uint64_t vt_journal_last(const struct vt_journal *journal);
/* Numbers go on behind this one if it is higher than the last: a new journal beside an old index. Only while empty. */
void vt_journal_continue(struct vt_journal *journal, uint64_t sequence);
/* No record in either segment. */
bool vt_journal_is_empty(const struct vt_journal *journal);
/* Bytes of records in both segments, and the room there is in all: for status. */
void vt_journal_usage(const struct vt_journal *journal, uint64_t *out_used, uint64_t *out_room);
/* After a clean close of everything else: nothing to replay next time. */
bool vt_journal_empty(struct vt_journal *journal, struct vt_err *err);
