/* cmd/vitrined_media_inside.h: what the kinds of jobs of discs share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/jobs.h"

struct json_t;
struct vt_admin_call;
struct vt_err;
struct vt_export_call;
struct vt_export_result;
struct vt_job_world;

enum { VT_MEDIA_WORDS_MAX = 4096 };

bool vt_media_import_kind(struct vt_job_world *world, struct vt_err *err);
bool vt_media_export_kind(struct vt_job_world *world, struct vt_err *err);
bool vt_burn_kind(struct vt_job_world *world, struct vt_err *err);

/* A job with {"words":[...],"options":{...}} of the call and what `more` adds (taken); `text` says in the answer what it is. */
struct vt_media_new {
    const char *kind, *key, *subject, *once;
    struct json_t *more;   /* NULL: nothing */
    const char *watch;     /* how to look at it: "vitrine job show" */
};
bool vt_media_enqueue(struct vt_admin_call *call, const struct vt_media_new *job, struct json_t *result, struct vt_err *err);

/* Strings of a JSON array, borrowed from it. VT_E_CORRUPT, VT_E_LIMIT. */
bool vt_media_words(const struct json_t *list, const char *words[static VT_MEDIA_WORDS_MAX], size_t *out_count,
                    struct vt_err *err);
/* Calls `act` with the arguments of job `id` (an object) and its cursor. */
void vt_media_of(struct vt_job_world *world, int64_t id,
                 void (*act)(struct vt_job_world *world, const struct vt_job *job, const struct json_t *arguments));

/* ---- exports in a job ---- */

struct vt_media_exporting {
    struct vt_job_run *run;
    size_t written;                    /* media that an earlier run read back; 0: none */
    uint64_t done, total, matched;     /* instances */
};
/* The options of the arguments as a call; words must hold VT_MEDIA_WORDS_MAX. Its callbacks tell the run. */
bool vt_media_export_call(struct vt_media_exporting *exporting, struct vt_job_world *world, const struct json_t *arguments,
                          const char **words, struct vt_export_call *out, struct vt_err *err);
/* The export, or what an earlier run left of it: *out_media have their names. */
bool vt_media_export_run(struct vt_media_exporting *exporting, const struct vt_export_call *call, size_t *out_media,
                         struct vt_err *err);
/* What becomes of a job whose export failed. */
enum vt_job_end vt_media_export_end(const struct vt_media_exporting *exporting, const struct vt_export_call *call,
                                    const struct vt_err *err);
