/* scu/send.h: many instances to one peer over several associations, and what each answer means for
 * whoever keeps a queue (reference 4.7). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scu/client.h"

struct vt_err;

enum { VT_SEND_ASSOCIATIONS_MAX = 8 };

/* As vt_client_store, with up to `associations` at once, each in a thread of its own that sends its share in
 * the order of the source. The source's callbacks come from these threads, `describe` from several at a
 * time; `open` and `done` of one instance from one thread. false when one of them failed: its error. */
bool vt_send_parallel(const struct vt_client *client, const struct vt_source *source,
                      const struct vt_store_options *options, size_t associations, struct vt_err *err);

enum vt_send_fate {
    VT_SEND_KEPT,       /* the peer has it: success, a warning, or it had it already (0111) */
    VT_SEND_LATER,      /* out of resources, processing failure, association lost: once more */
    VT_SEND_NEVER,      /* the peer does not want it, or we cannot read it */
};
enum vt_send_fate vt_send_fate(enum vt_sent result, uint16_t status);
