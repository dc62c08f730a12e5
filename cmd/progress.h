/* cmd/progress.h: one line that tells how far a long command is: instances, bytes, rate, time left.
 * Only on a terminal; silent otherwise and with --json. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct vt_progress {
    FILE *to;             /* NULL: silent */
    int64_t start, drawn; /* monotonic ns */
    bool visible;
};

/* Standard error, when it is a terminal and `quiet` is not set. */
void vt_progress_init(struct vt_progress *progress, bool quiet);
/* total 0: not known. bytes 0: not counted. Draws ten times a second at most. */
void vt_progress_show(struct vt_progress *progress, uint64_t done, uint64_t total, const char *unit,
                      uint64_t bytes);
/* Takes the line away, so that others can print. */
void vt_progress_clear(struct vt_progress *progress);

/* The line itself: pure, for tests. elapsed in ns. */
void vt_progress_text(uint64_t done, uint64_t total, const char *unit, uint64_t bytes,
                      int64_t elapsed, char *out, size_t room);
