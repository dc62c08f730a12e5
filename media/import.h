/* media/import.h: what can be imported: a table of recognisers. `vitrine import` asks it for each file that it finds; the first kind that
 * recognises the file takes it. To add one: a function that recognises, a function that imports, a line in media/import.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_err;
struct vt_archive;
struct vt_receive;
struct vt_receive_result;
struct json_t;

enum { VT_IMPORT_HEAD = 4096 };

/* Counts of instances, over all files. */
struct vt_import_counts {
    uint64_t stored, duplicates, versions, quarantined, skipped, failed;
};

enum { VT_IMPORT_STUDIES_MAX = 10000 };

/* The studies that an import brought something new of. */
struct vt_import_studies {
    char (*uids)[VT_UID_MAX + 1];
    size_t count, room;
};
bool vt_import_studies_add(struct vt_import_studies *studies, const char *study_uid, struct vt_err *err);

struct vt_import_call {
    struct vt_archive *archive;
    struct vt_receive *receive;            /* for kinds that import instance by instance */
    const struct json_t *options;          /* the verb's: {"metadata":"...","label":"drop"}; may be NULL */
    bool named;                            /* the file was named itself, not found in a folder */
    struct vt_import_counts *counts;
    struct vt_import_studies *studies;     /* NULL: nobody asks */
    /* A row of the answer, borrowed; false stops. */
    bool (*row)(void *context, struct json_t *row);
    /* Of one file; unit "bytes". false stops. NULL: none. */
    bool (*progress)(void *context, uint64_t done, uint64_t total, const char *unit);
    void *context;
};

struct vt_import_kind {
    const char *name;
    /* By the path and the file's first bytes. */
    bool (*recognises)(const char *path, const uint8_t *head, size_t size);
    /* Adds to the counts, gives rows for what people should know. false: this file failed, err tells; VT_E_CANCELLED: stop. */
    bool (*import)(const struct vt_import_call *call, const char *path, struct vt_err *err);
};

/* For kinds: what became of an instance, counted and told; rows for plain success only when the option `report` is there.
 * VT_E_CANCELLED. */
bool vt_import_note(const struct vt_import_call *call, const char *path, const struct vt_receive_result *result,
                    struct vt_err *err);
/* A row of something else: result "failed", "skipped", "missing", "damaged" ...; only with `report` when `quiet`. */
bool vt_import_say(const struct vt_import_call *call, const char *path, const char *result, bool quiet, const char *text,
                   struct vt_err *err);
/* One Part 10 file by a descriptor; text of errors names `path`. What is no DICOM file is counted as skipped, what fails as failed:
 * false only when all is to stop. */
bool vt_import_descriptor(const struct vt_import_call *call, int fd, const char *path, struct vt_err *err);

/* NULL: none of these; it may still be a DICOM file. VT_E_...: the file cannot be read. */
const struct vt_import_kind *vt_import_kind_of(const char *path, struct vt_err *err);
const struct vt_import_kind *vt_import_kind_at(size_t i);   /* NULL behind the last */

/* ISO 9660 and ZIP (media/import_disc.c); a DICOMDIR (media/import_fileset.c). */
extern const struct vt_import_kind vt_import_disc;
extern const struct vt_import_kind vt_import_fileset;

/* The slide kind (media/import_slide.c). */
extern const struct vt_import_kind vt_import_slide;
/* Options of slides out of JSON: mpp, label, metadata, worklist, no-original, concat-bytes, openslide, fill-holes. */
struct vt_slide_options;
struct vt_slide_plan_options;
bool vt_import_slide_options(const struct json_t *options, struct vt_slide_options *out_reading,
                             struct vt_slide_plan_options *out_plan, struct vt_err *err);
