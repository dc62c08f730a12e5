/* cmd/poold_commands.h: the commands of the command line as verbs of vitrine-poold: the same functions
 * run here, on the keeper's session and picture, for a caller of the socket; so what they print, ask
 * and refuse is the same. */
#pragma once

#include "hypervisor/pool_service.h"

struct vt_poold_settings;

/* Borrowed by the module; json and words are the call's own. */
struct vt_poold_commands {
    struct vt_poold_settings *settings;
};

/* Fills a module that borrows `commands`. */
void vt_poold_commands_module(struct vt_poold_commands *commands, struct vt_pool_module *out);
