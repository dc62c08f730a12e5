/* dicom/negotiate.h: the requestor's half of negotiation as bytes: A-ASSOCIATE-RQ out,
 * A-ASSOCIATE-AC or -RJ in (PS3.8 9.3). Ours, not DCMTK's, which resolves names itself, takes no
 * IPv6 literal, and has one connect timeout for the whole process. Pure but for memory. Room only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_assoc;
struct vt_assoc_request;
struct vt_buf;
struct vt_err;

/* Appends the request. VT_E_INVALID: a title or UID that is none; VT_E_LIMIT: more than fits. */
bool vt_negotiate_request(const struct vt_assoc_request *request, struct vt_buf *out,
                          struct vt_err *err);

/* Fills the association's contexts from what is proposed. */
bool vt_negotiate_propose(struct vt_assoc *assoc, const struct vt_assoc_request *request,
                          struct vt_err *err);
/* Reads the whole A-ASSOCIATE-AC into contexts, roles, extended answers and info. */
bool vt_negotiate_answer(struct vt_assoc *assoc, const uint8_t *bytes, size_t size,
                         struct vt_err *err);

/* "called AE title not recognized" */
const char *vt_negotiate_reject_reason(uint8_t source, uint8_t reason);

#ifdef __cplusplus
}
#endif
