/* scp/selection.h: the instances that a retrieval is to send, in their order, in little memory:
 * identities only. The rest of an instance is looked up when its turn comes, so what was deleted
 * meanwhile is missed then, and versions are the newest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_index;
struct vt_plan;
struct vt_selection;

enum {
    VT_SELECTION_MAX = 1000000,    /* instances of one retrieval */
    VT_SELECTION_NAMES_MAX = 4096, /* different SOP classes and transfer syntaxes in it */
};

/* NULL: the index failed (its error), too many (VT_E_LIMIT), no memory. */
struct vt_selection *vt_selection_new(struct vt_index *index, const struct vt_plan *plan,
                                      struct vt_err *err);
void vt_selection_free(struct vt_selection *selection);
VT_DEFINE_AUTO(vt_selection)

size_t vt_selection_count(const struct vt_selection *selection);
/* Borrowed until free; i below count. */
const char *vt_selection_sop_uid(const struct vt_selection *selection, size_t i);
const char *vt_selection_sop_class(const struct vt_selection *selection, size_t i);
const char *vt_selection_transfer_syntax(const struct vt_selection *selection, size_t i);
