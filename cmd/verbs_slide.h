/* cmd/verbs_slide.h: the archive verb `slide restore`, and what `import` does with files of the table in media/import.h. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;
struct vt_import_counts;
struct vt_import_kind;
struct vt_receive;

/* Words choose the slide, option `output` names the file (absolute). VT_E_INVALID: several slides match. */
bool vt_verb_slide_restore(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* The slides that words choose: a row each. */
bool vt_verb_slide_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* One file that a kind recognised. */
bool vt_verb_import_kind(struct vt_admin_call *call, struct vt_receive *receive,
                         const struct vt_import_kind *kind, const char *path, bool named,
                         struct vt_import_counts *counts, struct vt_err *err);
