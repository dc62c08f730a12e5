/* scu/store_plan.h: which presentation contexts a set of instances needs, and how they are dealt
 * out to associations.
 *
 * Pure: no network. A pair is a (SOP class, stored transfer syntax). Each gets a context of its
 * own; a class with a pair that can be transcoded gets one more with what the peer's row lists.
 * Pairs are dealt out in the order in which they came, as many to a batch as fit in one
 * association. Only for scu/client*.c and its tests. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/assoc.h"
#include "scu/peers.h"

struct vt_err;

struct vt_store_pair {
    char sop_class[VT_UID_MAX + 1], transfer_syntax[VT_UID_MAX + 1];
    const char *syntaxes[1]; /* -> transfer_syntax, for vt_propose */
    uint32_t batch;
    bool other; /* this pair's batch has the class's context for transcoding because of it */
};

struct vt_store_plan {
    const struct vt_transcoding *transcoding; /* borrowed; NULL: the usual */
    struct vt_store_pair **pairs; /* pointers: their text is borrowed by proposals */
    size_t pair_count, pair_capacity;
    size_t last; /* pair found last: instances come in runs */
    uint32_t batch_count;
    size_t contexts; /* in the last batch */
};

void vt_store_plan_fini(struct vt_store_plan *plan);
/* Finds or adds. VT_E_NOMEM. */
bool vt_store_plan_pair(struct vt_store_plan *plan, const char *sop_class,
                        const char *transfer_syntax, size_t *out_pair, struct vt_err *err);
/* Fills at most VT_CONTEXTS_MAX proposals of a batch; borrowed from the plan. */
size_t vt_store_plan_propose(const struct vt_store_plan *plan, uint32_t batch,
                             struct vt_propose out[static VT_CONTEXTS_MAX]);

/* Can what is stored so become anything that the peer's row lists? */
bool vt_store_can_transcode(const struct vt_store_plan *plan, const char *transfer_syntax);
