/* hypervisor/explain.h: what XAPI's failure codes mean for a person, and what to do about them.
 * Pure, any thread. */
#pragma once

#include <stddef.h>

struct vt_err;
struct vt_picture;

/* "VM_BAD_POWER_STATE" and its parameters as one sentence with the remedy; the code stands behind
 * in brackets. References become names when the picture (may be NULL) has them. A code that is not
 * in the table is shown as it is. */
void vt_explain_code(const char *code, const char *const *params, size_t count,
                     const struct vt_picture *names, char *out, size_t room);

/* Rewrites the text of an error that has a XAPI code; others stay as they are. */
void vt_explain(struct vt_err *err, const struct vt_picture *names);
