/* media/slide_convert.h: a slide into instances, streaming: fingerprint, plan, write each instance once while SHA-256 is computed beside it, then
 * prove that the original can be given back. Memory does not grow with the slide: one tile, a few blocks, tables of a few bytes a tile.
 *
 * Where the instances go is the target's matter: a folder (media/slide_folder.h), the archive (media/slide_import.h). A target keeps
 * everything back until `settle`: what fails before leaves nothing behind. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/slide.h"
#include "media/slide_original.h"
#include "media/slide_plan.h"

struct vt_err;
struct vt_slide_beside;

struct vt_slide_arrival {
    const char *sop_class, *sop_uid, *transfer_syntax;
    const char *name;                 /* "level-1", "label", "original": for files */
    const struct vt_slide_plan *plan;
};

/* What became of the instances. */
struct vt_slide_tally {
    unsigned stored, duplicates, versions, quarantined;
};

struct vt_slide_target {
    const char *folder;               /* for temporary files: on the volume of the result */
    bool (*begin)(void *context, const struct vt_slide_arrival *arrival, struct vt_err *err);
    /* Of the data set, in large pieces; from another thread than the rest, which waits for it. */
    bool (*write)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err);
    bool (*end)(void *context, struct vt_err *err);
    /* All have come: they are made durable and take their names. */
    bool (*settle)(void *context, struct vt_slide_tally *out, struct vt_err *err);
    struct vt_slide_finder finder;    /* of what was settled */
    void *context;
};

enum { VT_SLIDE_PASSES = 3 };

struct vt_slide_convert_options {
    struct vt_slide_plan_options plan;
    const struct vt_slide_beside *beside;   /* NULL: nothing */
    /* done and total in bytes of work: looking at the file, writing and checking count its size each (VT_SLIDE_PASSES). false stops. NULL: none. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct vt_slide_result {
    char study_uid[VT_UID_MAX + 1], series_uid[VT_UID_MAX + 1], raw_uid[VT_UID_MAX + 1];
    char sha256[2 * VT_SLIDE_SHA256 + 1];
    uint64_t bytes;                   /* of the file */
    unsigned instances, levels;
    struct vt_slide_tally tally;
    bool verified;                    /* the original was rebuilt from what is stored, SHA-256 equal: it may be deleted */
    bool kept;                        /* restore data were written at all */
    bool reencoded;
    unsigned annotations;             /* that became DICOM */
    bool beside;                      /* the file beside the slide is kept */
    unsigned filled;                  /* tiles of no bytes that white stands for */
};

/* VT_E_CANCELLED: progress said so. The slide's file must not change meanwhile: VT_E_BUSY. */
bool vt_slide_convert(struct vt_slide *slide, const struct vt_slide_convert_options *options,
                      const struct vt_slide_target *target, struct vt_slide_result *out,
                      struct vt_err *err);
