/* archive/journal_inside.h: how a segment looks, for journal.c, journal_read.c and journal_mend.c. */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/journal.h"
#include "core/buf.h"

struct vt_err;

enum { HEADER_SIZE = 4096, WRITE_BUFFER = 256 << 10, ZERO_BLOCK = 1 << 20 };

#define MAGIC UINT64_C(0x314c4e524a5456) /* "VTJRNL1" */

struct header {
    uint64_t magic, generation, highest, sequence, bytes, checksum;
};

struct record {
    uint32_t size;
    uint16_t kind;
    uint16_t unsynced; /* this one and those before it that no sync had saved when it was written;
                          0: not known */
    uint64_t sequence, checksum;
};

struct segment {
    int fd;
    atomic_bool made; /* the file is there in its full size */
    bool damaged;     /* its header is neither whole nor blank: archive/journal_mend.c */
    bool holes;       /* records follow behind some that do not fit */
    uint64_t bytes;
    uint64_t generation; /* 0: empty */
    uint64_t first;      /* sequence before its first record */
    uint64_t last;       /* of its last record */
    uint64_t begin;      /* offset of its first record */
    uint64_t end;        /* offset behind its last record */
    uint64_t records;    /* found by the scan */
    uint64_t gap;        /* the first number that is missing; 0: none */
};

struct vt_journal {
    char folder[PATH_MAX - 32];
    uint64_t segment_bytes;
    struct segment segments[2];
    int current;
    uint64_t last;         /* sequence number given last */
    uint64_t synced;       /* numbers up to this are on disk */
    uint64_t generation;   /* highest ever used */
    struct vt_buf waiting; /* appended, not written; goes to the current segment at `waiting_at` */
    uint64_t waiting_at;
    bool unsynced;
    bool broken;
    struct vt_journal_damage damage[VT_JOURNAL_DAMAGE_MAX];
    size_t damage_count;
};

/* ---- journal.c ---- */

void vt_journal_path(const struct vt_journal *journal, int i, char out[static PATH_MAX]);
uint64_t vt_journal_align(uint64_t size);
uint64_t vt_journal_checksum(const struct record *record, uint64_t generation, const void *head,
                             size_t head_size, const void *tail, size_t tail_size);
/* Marks it as empty, synced. */
bool vt_journal_write_empty(struct vt_journal *journal, int i, struct vt_err *err);

/* ---- journal_read.c ---- */

/* The record at `at` into body (made as large as need be); *out_there false: none that fits. */
bool vt_journal_read_record(const struct segment *segment, uint64_t at, struct record *out,
                            struct vt_buf *body, bool *out_there, const char *path,
                            struct vt_err *err);
/* Finds first, last and end from `begin` on. `until` 0: up to the first record that does not
 * follow; else records up to that number are looked for behind what does not fit. */
bool vt_journal_scan(struct vt_journal *journal, int i, uint64_t until, struct vt_err *err);
/* Looks behind the end for what proves that more was synced. *out_until: up to which number a scan
 * finds all of it; 0: a crash tore the end off, or nothing is there. */
bool vt_journal_prove(struct vt_journal *journal, int i, uint64_t *out_until, struct vt_err *err);

/* ---- journal_mend.c ---- */

/* Both segments were read. Keeps a copy of each that is damaged, finds the records in it that their
 * own checksums prove, and compares where one segment ends with where the other begins. */
bool vt_journal_mend(struct vt_journal *journal, struct vt_err *err);
