/* cmd/print_run.h: instances to a printer, for the command line (files) and for jobs (of the archive). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "scu/print.h"

struct vt_err;
struct vt_printer;

struct vt_print_run {
    const struct vt_client *client;
    const struct vt_printer *printer;
    size_t count; /* instances */
    size_t first; /* images that are printed already: begins behind them */
    /* Names the Part 10 file of instance i, until it is asked for the next one. */
    bool (*path)(void *context, size_t i, char *out, size_t room, struct vt_err *err);
    /* Instance i is left out: it has no picture. */
    void (*left_out)(void *context, size_t i, const char *why);
    void (*counted)(void *context, size_t images); /* how many it will be, those in front of `first` included */
    void (*status)(void *context, const struct vt_printer_status *status);
    void (*note)(void *context, const char *sentence);
    bool (*printed)(void *context, size_t images); /* in all; false: no more films */
    void *context;
};
/* VT_E_NOTFOUND: there is no picture among them. Else as vt_client_print. */
bool vt_print_run(const struct vt_print_run *run, struct vt_err *err);
