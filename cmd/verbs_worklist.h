/* cmd/verbs_worklist.h: the verbs `worklist ...` and `mpps ...` of the table in cmd/admin_verbs.c, and reading the files that
 * entries come in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json_t;
struct vt_admin_call;
struct vt_archive;
struct vt_err;

bool vt_verb_worklist_add(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_worklist_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_worklist_remove(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_mpps_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_mpps_show(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);

/* A worklist file, or a table when the name ends in .csv. `trouble` hears of each line that is no entry. */
struct vt_worklist_counts {
    uint64_t added, changed, same, failed;
    int64_t last; /* number of the last entry */
};
bool vt_worklist_take_file(struct vt_archive *archive, const char *path, const char *source, const char *charset,
                           struct vt_worklist_counts *counts,
                           bool (*trouble)(void *context, const char *path, uint64_t line, const char *text,
                                           struct vt_err *err),
                           void *context, struct vt_err *err);
