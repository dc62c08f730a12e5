/* scu/client_retrieve.h: what C-GET and C-MOVE share: the answers with their counters, cancel. Only
 * for scu/client*.c. */
#pragma once

#include "scu/client_wire.h"

struct vt_retrieve {
    const struct vt_client *client;
    const struct vt_retrieve_request *request;
    vt_retrieve_progress progress;
    void *context;
    struct vt_assoc *assoc;
    const struct vt_context *presentation;
    struct vt_command command; /* the request as it was sent */
    bool cancelled;
    /* Anything but an answer to the command; NULL: that is VT_E_PROTOCOL. */
    bool (*other)(struct vt_retrieve *retrieve, uint8_t context_id,
                  const struct vt_command *command, struct vt_err *err);
    const struct vt_sink *sink; /* of `other` */
};

/* Reads until the final answer, then releases. */
bool vt_retrieve_run(struct vt_retrieve *retrieve, struct vt_retrieve_counts *out,
                     struct vt_err *err);
