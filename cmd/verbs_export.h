/* cmd/verbs_export.h: the archive verb `export`: media/export.h with what the command line says. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;
struct vt_export_call;

/* Words choose the instances; options: output (absolute), profile, capacity ("700M"), deidentify, patient-name, patient-id, icons,
 * viewer; background and burn make it a job (cmd/vitrined_media.h, cmd/vitrined_burn.h). */
bool vt_verb_export(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* The options; texts are borrowed from them. */
bool vt_export_read_options(const struct json_t *options, struct vt_export_call *out, struct vt_err *err);
