#include "cmd/poold_settings.h"

#include <stdint.h>
#include <stdlib.h>

#include "cmd/options.h"
#include "core/err.h"

struct vt_poold_generation {
    struct vt_options options;
    size_t users; /* readers, and being the current one */
};

/* Holding the lock. */
static void leave(struct vt_poold_generation *generation)
{
    if (!generation || --generation->users > 0)
        return;
    vt_options_fini(&generation->options);
    free(generation);
}

void vt_poold_settings_init(struct vt_poold_settings *settings)
{
    pthread_mutex_init(&settings->lock, NULL);
    settings->current = NULL;
}

void vt_poold_settings_fini(struct vt_poold_settings *settings)
{
    leave(settings->current);
    settings->current = NULL;
    pthread_mutex_destroy(&settings->lock);
}

bool vt_poold_settings_set(struct vt_poold_settings *settings, struct vt_options *options,
                           struct vt_err *err)
{
    struct vt_poold_generation *fresh = calloc(1, sizeof *fresh);

    if (!fresh)
        return vt_fail(err, VT_E_NOMEM, "no memory for the configuration");
    fresh->options = *options;
    fresh->users = 1;
    *options = (struct vt_options){ 0 };
    pthread_mutex_lock(&settings->lock);
    struct vt_poold_generation *before = settings->current;
    settings->current = fresh;
    leave(before);
    pthread_mutex_unlock(&settings->lock);
    return true;
}

const struct vt_options *vt_poold_settings_take(struct vt_poold_settings *settings)
{
    pthread_mutex_lock(&settings->lock);
    struct vt_poold_generation *generation = settings->current;
    generation->users++;
    pthread_mutex_unlock(&settings->lock);
    return &generation->options;
}

void vt_poold_settings_drop(struct vt_poold_settings *settings, const struct vt_options *options)
{
    pthread_mutex_lock(&settings->lock);
    leave((struct vt_poold_generation *)(uintptr_t)options); /* its first member */
    pthread_mutex_unlock(&settings->lock);
}
