/* cmd/vitrined_watch_slides.h: [slides]: the folder that scanners write to, watched in a thread of its own, since a slide takes longer than a
 * chore should. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_archive;
struct vt_conf;
struct vt_err;
struct vt_watch_slides;

struct vt_watch_slides_conf {
    const char *folder;   /* borrowed from the configuration; NULL: nothing is watched */
    int64_t settle, every;
    bool worklist, delete_done;
};
/* Reads: slides.watch settle every worklist delete_done. */
bool vt_watch_slides_conf_read(const struct vt_conf *conf, struct vt_watch_slides_conf *out,
                               struct vt_err *err);

/* *out NULL when nothing is to be watched. */
bool vt_watch_slides_start(const struct vt_watch_slides_conf *conf, struct vt_archive *archive,
                           struct vt_watch_slides **out, struct vt_err *err);
/* Ends what runs, joins the thread. NULL is fine. */
void vt_watch_slides_stop(struct vt_watch_slides *watch);
