/* archive/hold.h: studies that nobody may delete until an administrator releases them (a lawsuit, a
 * research series), and what rules must leave alone. Rows in state.db. Any thread. */
#pragma once

#include <stdbool.h>

struct vt_admin;
struct vt_archive;
struct vt_err;
struct vt_index_entry;

/* The study need not be here yet. Again: the newer reason. */
bool vt_hold_study(const struct vt_admin *admin, const char *study_uid, const char *reason,
                   struct vt_err *err);
/* VT_E_NOTFOUND: it was not held. */
bool vt_hold_release(const struct vt_admin *admin, const char *study_uid, struct vt_err *err);
/* A row for each, oldest first. */
bool vt_hold_list(const struct vt_admin *admin, struct vt_err *err);

bool vt_hold_is(struct vt_archive *archive, const char *study_uid, bool *out_held,
                struct vt_err *err);
/* May a rule give up bytes of that instance? Not when its study is held, nor when the instance was
 * committed to others (archive/commitment.h). */
bool vt_hold_allows(struct vt_archive *archive, const struct vt_index_entry *entry,
                    bool *out_allowed, struct vt_err *err);
