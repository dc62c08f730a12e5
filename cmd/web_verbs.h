/* cmd/web_verbs.h: archive verbs for the console: the same table (cmd/admin_verbs.h) and the same world as the control socket's. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_console_verb;
struct vt_err;

/* The `verb` of struct vt_console_options; its context is a struct vt_control_options. */
bool vt_web_verb(void *inside, const struct vt_console_verb *verb, struct json_t **out_result, struct vt_err *err);
