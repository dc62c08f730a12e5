/* scp/recode.h: a stored instance in another transfer syntax, for a receiver that did not accept
 * the stored one. In memory, so bounded: what is larger fails, and large ones wait for each other.
 * Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct vt_buf;
struct vt_err;
struct vt_stored;

enum {
    VT_RECODE_STORED_MAX = 64 << 20, /* bytes of the stored data set */
    VT_RECODE_MAX = 128 << 20,       /* bytes of what it becomes, decoded pixel data included */
    VT_RECODE_ALONE = 8 << 20,       /* from here on one at a time in the whole process */
};

/* Could its pixels be shown in an uncompressed syntax without loss? */
bool vt_recode_possible(const char *stored_syntax);
/* `out` is emptied first. VT_E_LIMIT: too large; VT_E_UNSUPPORTED: not decoded here. */
bool vt_recode(const struct vt_stored *stored, const char *transfer_syntax, struct vt_buf *out,
               struct vt_err *err);
