/* archive/commit.h: the group commit.
 *
 * An association's thread brings a request and goes on. All that came while the group before was at
 * work go through two stages together, each with a thread and a lock of its own, so that one group's
 * index transaction runs beside the next one's sync; then each is told what became of it:
 *
 *   journal   staging folder synced where a name in it is new, records appended, one fdatasync:
 *             from here on it happened
 *   apply     files renamed or created in objects/ (small ones: noted, made later, archive/late.h),
 *             rows in state.db, index transaction
 *
 * The stages' threads go from one group to the next without a change of threads in between. A request
 * that comes while no other is under way, and a large one, is led by the thread that brought it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/journal.h"
#include "archive/record.h"
#include "core/err.h"

struct vt_archive;
struct vt_late_file;

struct vt_request {
    enum vt_record kind; /* STORE, VERSION or QUARANTINE */
    const struct vt_record_body *body;
    const struct vt_buf *head; /* body, encoded */
    bool sync_staging;         /* its name in staging/ is not durable yet */
    uint64_t exclusives;       /* the archive's, when the final path was found free */
    /* Called once, when all is done, by the thread that led its group; it must not wait. The request is the
     * owner's again then. */
    void (*done)(struct vt_request *request);
    void *context; /* of the owner */

    /* Out. */
    struct vt_err err; /* code VT_OK: kept; else err has the DIMSE status to answer (A700, A701,
                          A703, A704) and nothing is kept */
    unsigned put_flags; /* enum vt_put_flags */

    /* The commit's own. */
    struct vt_request *next;
    uint64_t sequence; /* 0: not in the journal */
    bool placed;       /* its file is in its place: ours to remove when the rest fails */
    struct vt_late_file *late; /* its file is made behind the answer */
};

/* `request` and what it points to stay as they are until done. */
void vt_commit(struct vt_archive *archive, struct vt_request *request);

void vt_stage_init(struct vt_archive *archive);
void vt_stage_fini(struct vt_archive *archive);
/* The stages' threads. Before that whoever brings a request leads. */
bool vt_stage_start(struct vt_archive *archive, struct vt_err *err);
void vt_stage_stop(struct vt_archive *archive); /* nobody stores any more */
