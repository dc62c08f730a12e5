/* cmd/arrivals.h: what arrives, gathered: the instances of one study from one sender, until nothing more of
 * it has come for a while. For routes, notifications, whatever waits for "the study is here".
 *
 * Listens to the archive's events; a C-STORE only pays for a copy of a few UIDs. A thread of its own hands the
 * batches out. Nothing is lost when the process dies: a mark in the queue's database says from
 * when on arrivals may not have been handed out, and the next start takes these up again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_archive;
struct vt_arrivals;
struct vt_err;
struct vt_events;
struct vt_jobs;

enum {
    VT_ARRIVALS_WAITING_MAX = 65536, /* between the archive and the thread; beyond, they are taken up from the index */
    VT_ARRIVALS_BATCH_MAX = 2000,    /* instances of a batch: a larger study comes in several */
    VT_ARRIVALS_OPEN_MAX = 1000,     /* batches at once: one more hands out the oldest */
};

struct vt_arrivals_batch {
    char study_uid[VT_UID_MAX + 1];
    char ae_title[VT_AE_TITLE_MAX + 1]; /* who sent them; "" when imported */
    const char *const *sop_uids;
    size_t count;
    int64_t first; /* wall ns: the first arrived */
};

struct vt_arrivals_options {
    const char *name; /* of the mark; what it does, for jobs: their `who` begins with it */
    struct vt_archive *archive; /* all borrowed */
    struct vt_events *events;
    struct vt_jobs *jobs;
    int64_t quiet;
    /* In the thread. false: kept, and handed out again a second later. */
    bool (*batch)(void *context, const struct vt_arrivals_batch *batch, struct vt_err *err);
    /* The first instance of a study that was not there before; NULL: nobody asks. */
    void (*began)(void *context, const char *study_uid, const char *ae_title);
    void *context;
};

/* Gathers from now on; hands out after start. */
struct vt_arrivals *vt_arrivals_new(const struct vt_arrivals_options *options, struct vt_err *err);
bool vt_arrivals_start(struct vt_arrivals *arrivals, struct vt_err *err);
/* Hands everything out that is there, then ends. Nothing may arrive any more. NULL is fine. The events outlive it. */
void vt_arrivals_free(struct vt_arrivals *arrivals);
