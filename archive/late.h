/* archive/late.h: files of small arrivals, made behind the answer.
 *
 * A small object is durable in the journal and found in the index when its sender is told success. Its file in objects/ is
 * for those who read it, and for the day when its segment of the journal is used again: one thread makes these files in the
 * order of their commits, so that no sender waits for the file system's folders. Whoever reads a row and then its file asks
 * here when the file is not there, or not whole, yet. The journal is not cut before they are in place; after a crash replay
 * makes them.
 *
 * Only in folders that were made for arrivals since the start: what is wrong with a folder is found before the answer.
 * Bounded: what finds no room here, or comes while a file cannot be made (disk full), is made by the commit itself. Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/auto.h"

struct vt_archive;
struct vt_err;
struct vt_late;
struct vt_request;

enum {
    VT_LATE_FILES = 1024,
    VT_LATE_BYTES = 4 << 20,
    VT_LATE_RETRY_S = 1, /* after a file could not be made */
};

struct vt_late *vt_late_new(void);
void vt_late_free(struct vt_late *late); /* what is left is in the journal */
VT_DEFINE_AUTO(vt_late)

bool vt_late_start(struct vt_archive *archive, struct vt_err *err);
/* Makes what it can and ends the thread. Nobody stores any more. */
void vt_late_stop(struct vt_archive *archive);

/* ---- for the commit, under its apply stage ---- */

/* Before the index transaction: true when this request's file is made later. */
bool vt_late_take(struct vt_archive *archive, struct vt_request *request);
/* Behind it: those taken of the list are to be made now, but for those that failed. */
void vt_late_push(struct vt_archive *archive, struct vt_request *list);

/* ---- for readers ---- */

/* The file of a row that was read before the call is whole when this returns true: made, or never late. false: it
 * cannot be made; err says why. */
bool vt_late_wait(struct vt_archive *archive, const char *file, struct vt_err *err);
/* The same of all files. */
bool vt_late_settle(struct vt_archive *archive, struct vt_err *err);
/* What a late file will hold, to be read without waiting for it; -1: it is not late (any more). */
int vt_late_open(struct vt_archive *archive, const char *file);
