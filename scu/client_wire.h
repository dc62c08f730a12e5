/* scu/client_wire.h: what the services of scu/client.h share: opening an association, waiting for
 * an answer. Only for scu/client*.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scu/client.h"

/* Explicit, then Implicit VR LE: what identifiers are negotiated with. */
extern const char *const vt_wire_plain_syntaxes[2];

/* Everything but contexts and extended negotiation is filled from the client. */
struct vt_assoc *vt_wire_open(const struct vt_client *client, const struct vt_propose *contexts,
                              size_t count, const struct vt_extended *extended,
                              size_t extended_count, struct vt_err *err);

/* Now plus the client's time for one answer. */
int64_t vt_wire_deadline(const struct vt_client *client);

/* A message, or VT_E_CLOSED, VT_E_ABORTED when the peer ended the association, VT_E_TIMEOUT. */
bool vt_wire_next(struct vt_assoc *assoc, int64_t deadline, uint8_t *out_context_id,
                  struct vt_command *out, struct vt_err *err);
/* The response to our message, nothing else. */
bool vt_wire_answer(struct vt_assoc *assoc, int64_t deadline, const struct vt_command *request,
                    struct vt_command *out, struct vt_err *err);

/* The context of a class that is needed, or VT_E_REFUSED with the peer's reason. */
const struct vt_context *vt_wire_context(const struct vt_assoc *assoc, const char *abstract_syntax,
                                         struct vt_err *err);

/* VT_E_STATUS with the peer's status and comment. Returns false. */
bool vt_wire_fail_status(const struct vt_command *answer, struct vt_err *err);

/* An identifier in Explicit VR LE sent in the syntax the context was accepted with. */
bool vt_wire_send_identifier(struct vt_assoc *assoc, const struct vt_context *context,
                             const struct vt_command *command, const uint8_t *identifier,
                             size_t size, struct vt_err *err);
/* An identifier received on that context, to Explicit VR LE; out is reset first, `raw` is room to
 * work in. */
bool vt_wire_read_identifier(struct vt_assoc *assoc, const struct vt_context *context,
                             struct vt_buf *raw, struct vt_buf *out, struct vt_err *err);

bool vt_wire_cancel(struct vt_assoc *assoc, const struct vt_context *context, uint16_t message_id,
                    struct vt_err *err);
