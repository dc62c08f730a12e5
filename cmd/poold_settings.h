/* cmd/poold_settings.h: the configuration of vitrine-poold, which SIGHUP changes while callers use it.
 * Who reads takes the current one and gives it back; one that was replaced goes with its last reader. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct vt_err;
struct vt_options;
struct vt_poold_generation;

struct vt_poold_settings {
    pthread_mutex_t lock; /* guards what follows, and the readers of each generation */
    struct vt_poold_generation *current;
};

void vt_poold_settings_init(struct vt_poold_settings *settings);
/* Behind the last reader. */
void vt_poold_settings_fini(struct vt_poold_settings *settings);

/* These are the current ones from here on; what was in *options is taken over. VT_E_NOMEM: all as it
 * was. */
bool vt_poold_settings_set(struct vt_poold_settings *settings, struct vt_options *options,
                           struct vt_err *err);

/* Any thread, between set and fini. */
const struct vt_options *vt_poold_settings_take(struct vt_poold_settings *settings);
void vt_poold_settings_drop(struct vt_poold_settings *settings, const struct vt_options *options);
