/* scu/print.h: printing (PS3.4 Annex H): Basic Grayscale and Color Print Management, with Presentation LUT and annotation
 * where the printer offers them.
 *
 *   N-GET printer ─> N-CREATE session ─┬> N-CREATE film box ─> N-SET each image box ─> N-ACTION print ─> N-DELETE ┬> N-DELETE
 *                                      └─────────────────────── next film ───────────────────────────────────────┘
 *
 * One association for all of it. What the printer says meanwhile (N-EVENT-REPORT) is answered and told. Images come from a
 * callback, ready to be printed: scu never sees where they are from. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "scu/client.h"

struct vt_err;

enum {
    VT_PRINT_BOXES_MAX = 100,          /* images on a film */
    VT_PRINT_IMAGES_MAX = 10000,       /* of one session */
    VT_PRINT_TEXTS_MAX = 16,           /* annotations of a film */
    VT_PRINT_IMAGE_BYTES_MAX = 128 << 20,
    VT_PRINT_EVENTS_MAX = 1000,        /* that a printer may tell while we wait for one answer */
    VT_PRINT_TEXT = 65,
    VT_PRINT_LAYOUT_TEXT = 65,
};

/* ---- layouts ---- */

/* "2x3" (columns x rows) is STANDARD\2,3; "row:1,2" and "col:2,1" are ROW\1,2 and COL\2,1; the standard's own words are taken as
 * they are. out has room for VT_PRINT_LAYOUT_TEXT. VT_E_INVALID. Pure. */
bool vt_print_layout(const char *text, char *out, size_t *out_boxes, struct vt_err *err);

/* ---- the printer ---- */

struct vt_printer_status {
    char status[17];                   /* NORMAL, WARNING, FAILURE */
    char info[17];                     /* SUPPLY EMPTY ...; "" */
    char name[VT_PRINT_TEXT], model[VT_PRINT_TEXT];
};
/* A sentence for a person: what a term of PS3.3 C.13.9.1 means. NULL: unknown. */
const char *vt_printer_info_text(const char *info);
/* What a status of print management means, as part of a sentence. NULL: unknown. */
const char *vt_print_status_text(uint16_t status);
/* Worth another attempt later? Queue full, no memory, not reached, printer in FAILURE: yes; refused attributes: no. */
bool vt_print_may_retry(const struct vt_err *err);

bool vt_client_printer_status(const struct vt_client *client, bool colour, struct vt_printer_status *out, struct vt_err *err);

/* ---- a job ---- */

/* Text "" and numbers -1: not said, the printer's default. */
struct vt_print_options {
    bool colour;                       /* the Color meta class, images RGB */
    bool no_presentation_lut;          /* not asked for */
    char layout[VT_PRINT_LAYOUT_TEXT]; /* Image Display Format, from vt_print_layout */
    size_t boxes;                      /* images of a film, from vt_print_layout */
    int copies;                        /* 0: 1 */
    char priority[17], medium[17], destination[17], label[VT_PRINT_TEXT];   /* of the session */
    char film_size[17], orientation[17], magnification[17], smoothing[17], border[17], empty[17], trim[17];
    char resolution[17], configuration[VT_PRINT_TEXT];
    int min_density, max_density, illumination, reflection;
    char polarity[17];                 /* of image boxes: NORMAL, REVERSE */
    char image_size[17];               /* of image boxes: width of the image on the film, mm */
    char decimate[17];                 /* of image boxes: what becomes of what is too large: DECIMATE, CROP, FAIL */
    char annotation[17];               /* Annotation Display Format ID; "": none */
    char texts[VT_PRINT_TEXTS_MAX][VT_PRINT_TEXT];
    size_t text_count;
};

/* Grey: 8 bits a byte, 12 bits in two (little endian), white is the largest; colour: RGB, 8 bits, by pixel. */
struct vt_print_image {
    uint16_t columns, rows;
    unsigned bits;                     /* 8 or 12 */
    unsigned samples;                  /* 1 or 3 */
    struct vt_buf pixels;              /* empty, with its limit, when the source is asked */
};

struct vt_print_job {
    const struct vt_print_options *options;
    size_t count;                      /* images: boxes on each film, the rest on the last one */
    /* Fills image i; asked for in order, each once. */
    bool (*image)(void *context, size_t i, struct vt_print_image *out, struct vt_err *err);
    /* First of all. */
    void (*status)(void *context, const struct vt_printer_status *status);
    /* A warning, an event: one sentence. */
    void (*note)(void *context, const char *sentence);
    /* So many images are on films that the printer has accepted. false: no more films (VT_E_CANCELLED). */
    bool (*printed)(void *context, size_t images);
    void *context;
};
/* VT_E_STATUS with the printer's status and what it means; VT_E_REFUSED: it does not print (such images), or is in FAILURE. */
bool vt_client_print(const struct vt_client *client, const struct vt_print_job *job, struct vt_err *err);
