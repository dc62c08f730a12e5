/* scu/get_contexts.h: the presentation contexts a C-GET offers for what will come back. Pure. Only
 * for scu/client*.c and its tests.
 *
 * An acceptor takes one syntax of each context, before it knows what it will send. So when the
 * classes are few, each gets a context for every syntax, and everything can come as it is stored;
 * when they are many, the syntaxes that archives hold most have one, and the rest share the last.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dicom/assoc.h"

struct vt_err;

struct vt_get_contexts {
    struct vt_propose proposals[VT_CONTEXTS_MAX]; /* [0] is the C-GET itself */
    size_t count;
    const char **lists; /* what the proposals' syntaxes point into */
};

bool vt_get_contexts_make(struct vt_get_contexts *out, const char *get_class,
                          const char *const *sop_classes, size_t sop_class_count,
                          struct vt_err *err);
void vt_get_contexts_fini(struct vt_get_contexts *contexts);
