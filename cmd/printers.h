/* cmd/printers.h: DICOM printers: [printer "NAME"] of the configuration, and what a print is asked to be.
 *
 *   [printer "LASER1"]
 *   ae_title = LASER1           by default the name
 *   host = 10.0.0.60
 *   port = 104
 *   layout = 2x3                columns x rows; row:1,2 and col:2,1 too
 *   film_size = 14INX17IN       and orientation, medium, destination, magnification, smoothing, border, empty, trim,
 *                               resolution, polarity, priority, copies, configuration, annotation, min_density, max_density,
 *                               illumination, reflection: the standard's words, as the printer's conformance statement has them
 *   image_size = 200            width of an image on the film in mm, where the printer takes it; decimate = DECIMATE, CROP or FAIL
 *   tls = yes                   and tls_certificate, tls_key, tls_ca, tls_subject, tls_name, tls_fingerprint, tls_any_name as of a peer
 *   bits = 8                    of a grey value: 8, or 12 where the image has more than 8
 *   colour = no                 a colour printer
 *   presentation_lut = yes      asked for when the printer offers it
 *
 * The same words, with '-' for '_', are options of `vitrine print` and go before the configuration. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "scu/print.h"

struct json_t;
struct ssl_ctx_st;
struct vt_conf;
struct vt_err;
struct vt_peers;

struct vt_printer {
    struct vt_peer peer;
    char store[512];
    struct vt_print_options options;
    int bits;                    /* of a grey value: 8 or 12 */
    bool has_window;             /* asked for; else the image's own */
    double center, width;
    char state[1024];            /* a presentation state whose windows count; "" none */
    long frame;                  /* of multi-frame images, from 1; 0: all */
    bool frame_asked;            /* somebody said so; else tiles of slides are left out */
};

/* A printer by its name, or AET@HOST:PORT. `asked`: an object of options as above, or NULL. Do not move it. VT_E_NOTFOUND: no such
 * printer; VT_E_INVALID: which word is wrong. */
bool vt_printer_read(const struct vt_conf *conf, const struct vt_peers *peers, const char *name, const struct json_t *asked,
                     struct vt_printer *out, struct vt_err *err);
/* The TLS towards it, *out NULL when it is plain; freed by vt_tls_free. */
bool vt_printer_tls(const struct vt_conf *conf, struct vt_printer *printer, struct ssl_ctx_st **out, struct vt_err *err);
/* All sections [printer "NAME"] make sense. */
bool vt_printers_check(const struct vt_conf *conf, const struct vt_peers *peers, struct vt_err *err);
