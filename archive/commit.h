/* archive/commit.h: the group commit.
 *
 * An association's thread brings a request and waits. The first to come leads: it takes all that
 * came while the group before was at work through two stages, each with its own lock, so that one
 * group's index transaction runs beside the next one's sync:
 *
 *   journal   staging folder synced where a name in it is new, records appended, one fdatasync:
 * from here on it happened apply     files renamed or created in objects/, rows in state.db, index
 * transaction
 *
 * No thread of its own: alone, a request costs no change of threads; 64 together cost one of each
 * sync. */
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/journal.h"
#include "archive/record.h"
#include "core/err.h"

struct vt_archive;

struct vt_request {
    enum vt_record kind; /* STORE, VERSION or QUARANTINE */
    const struct vt_record_body *body;
    const struct vt_buf *head; /* body, encoded */
    bool sync_staging;         /* its name in staging/ is not durable yet */

    /* Out. */
    struct vt_err err;  /* code VT_OK: done */
    unsigned put_flags; /* enum vt_put_flags */

    /* The commit's own. */
    struct vt_request *next;
    uint64_t sequence; /* 0: not in the journal */
    bool placed;       /* its file is in its place: ours to remove when the rest fails */
    sem_t done;
};

/* err has the DIMSE status to answer (A700, A701, A703, A704); nothing is kept then. */
bool vt_commit(struct vt_archive *archive, struct vt_request *request, struct vt_err *err);

void vt_stage_init(struct vt_archive *archive);
void vt_stage_fini(struct vt_archive *archive);
