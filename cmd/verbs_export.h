/* cmd/verbs_export.h: the archive verb `export`: media/export.h with what the command line says. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

/* Words choose the instances; options: output (absolute), profile, capacity ("700M"). */
bool vt_verb_export(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
