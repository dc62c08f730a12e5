/* cmd/vitrined_print.h: the kind of job "print": instances of the archive on film. Made by `vitrine print PRINTER KEY=VALUE...`.
 *
 * Arguments: {"printer":"LASER1","options":{...},"instances":["1.2.3", ...]}. The cursor is the number of images that are on
 * films which the printer has accepted: what was interrupted goes on with the next film. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;
struct vt_job_world;

/* Reads [printer "NAME"] as well: VT_E_INVALID names what is wrong. */
bool vt_print_kind(struct vt_job_world *world, struct vt_err *err);
bool vt_verb_print(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
