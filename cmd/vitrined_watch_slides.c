#include "cmd/vitrined_watch_slides.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cmd/upkeep.h"
#include "core/auto.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "media/slide_watch.h"

struct vt_watch_slides {
    struct vt_slide_watch *watch;
    struct vt_upkeep *upkeep;     /* a thread with this one chore */
};

bool vt_watch_slides_conf_read(const struct vt_conf *conf, struct vt_watch_slides_conf *out,
                               struct vt_err *err)
{
    out->folder = vt_conf_text(conf, "slides", NULL, "watch", NULL);
    return vt_conf_duration(conf, "slides", NULL, "settle", 0, VT_NS_PER_S * 3600, VT_NS_PER_S * 30,
                            &out->settle, err) &&
           vt_conf_duration(conf, "slides", NULL, "every", VT_NS_PER_S / 10, VT_NS_PER_S * 3600,
                            VT_NS_PER_S * 10, &out->every, err) &&
           vt_conf_bool(conf, "slides", NULL, "worklist", false, &out->worklist, err) &&
           vt_conf_bool(conf, "slides", NULL, "delete_done", false, &out->delete_done, err) &&
           (!out->folder || out->folder[0] == '/' ||
            vt_fail(err, VT_E_INVALID, "slides.watch must be an absolute path"));
}

static void told(void *context, const char *name, bool ok, const char *text)
{
    (void)context;
    vt_log(ok ? VT_LOG_INFO : VT_LOG_WARN, ok ? "slide.imported" : "slide.failed", "file=\"%s\" text=\"%s\"",
           name, text);
}

static void look(void *context, const atomic_bool *stopping)
{
    struct vt_watch_slides *watch = context;
    struct vt_err err = { 0 };

    if (!vt_slide_watch_look(watch->watch, stopping, &err))
        vt_log(VT_LOG_WARN, "slide.watch", "text=\"%s\"", err.text);
}

bool vt_watch_slides_start(const struct vt_watch_slides_conf *conf, struct vt_archive *archive,
                           struct vt_watch_slides **out, struct vt_err *err)
{
    const struct vt_slide_watch_options options = { .archive = archive,
                                                    .folder = conf->folder,
                                                    .settle = conf->settle,
                                                    .worklist = conf->worklist,
                                                    .delete_done = conf->delete_done,
                                                    .told = told };
    const struct vt_chore chore = { 0, conf->every, look };

    *out = NULL;
    if (!conf->folder)
        return true;
    struct vt_watch_slides *watch = calloc(1, sizeof *watch);
    if (!watch)
        return vt_fail(err, VT_E_NOMEM, "no memory to watch %s", conf->folder);
    watch->watch = vt_slide_watch_new(&options, err);
    if (watch->watch)
        watch->upkeep = vt_upkeep_start(&chore, 1, watch, err);
    if (!watch->upkeep) {
        vt_watch_slides_stop(watch);
        return false;
    }
    *out = watch;
    return true;
}

void vt_watch_slides_stop(struct vt_watch_slides *watch)
{
    if (!watch)
        return;
    vt_upkeep_stop(watch->upkeep);
    vt_slide_watch_free(watch->watch);
    free(watch);
}
