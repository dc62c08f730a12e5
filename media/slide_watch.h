/* media/slide_watch.h: a folder that scanners drop slides into: what came to rest there is imported, then moved to done/ or, with a
 * reason beside it, to failed/.
 *
 *   IN/scan.svs      its size and time did not change for `settle`: imported
 *   IN/done/scan.svs, IN/failed/scan.svs, IN/failed/scan.svs.reason.txt
 *
 * What lies beside a slide (NAME.json, NAME.csv, NAME.xml) goes with it. Called from time to time by one thread; keeps what it saw at the last
 * call. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_archive;
struct vt_slide_watch;

enum { VT_WATCH_FILES_MAX = 4096 };

struct vt_slide_watch_options {
    struct vt_archive *archive;     /* borrowed */
    const char *folder;             /* copied */
    int64_t settle;                 /* ns that a file must lie still */
    bool worklist;                  /* patients come from the node's worklist; a slide without an order fails */
    bool delete_done;               /* removes an original that was verified, instead of moving it to done/ */
    /* Told of each slide; text is what `vitrine import` would say. NULL: not told. */
    void (*told)(void *context, const char *name, bool ok, const char *text);
    void *context;
};

/* Makes folder, done/ and failed/ where they are not there. */
struct vt_slide_watch *vt_slide_watch_new(const struct vt_slide_watch_options *options, struct vt_err *err);
void vt_slide_watch_free(struct vt_slide_watch *watch);
VT_DEFINE_AUTO(vt_slide_watch)

/* Looks once, imports what is ripe. *stopping true ends it between and within slides. false: the folder cannot be read. */
bool vt_slide_watch_look(struct vt_slide_watch *watch, const atomic_bool *stopping, struct vt_err *err);
