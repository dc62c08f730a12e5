/* The kind of job "import". Cursor: {"after":PATH,"counts":[...],"studies":[...]}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/verbs_import.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_media.h"
#include "cmd/vitrined_media_inside.h"
#include "core/clock.h"
#include "core/err.h"

enum { STUDIES_MAX = 800 };   /* a cursor has no room for more */
#define CHECKPOINT_EVERY (50 * VT_NS_PER_MS)

struct importing {
    struct vt_job_world *world;
    struct vt_job_run *run;
    const char *const *paths;
    size_t path_count;
    struct vt_import_counts counts;
    struct vt_import_studies studies;
    uint64_t files, bytes;
    int64_t checkpointed;
};

/* ---- the cursor ---- */

static uint64_t *count_at(struct vt_import_counts *counts, size_t i)
{
    uint64_t *const list[] = { &counts->stored, &counts->duplicates, &counts->versions,
                               &counts->quarantined, &counts->skipped, &counts->failed };

    return i < VT_COUNT(list) ? list[i] : NULL;
}

static bool read_cursor(struct importing *importing, const json_t *cursor, struct vt_err *err)
{
    const json_t *counts = json_object_get(cursor, "counts"), *studies = json_object_get(cursor, "studies");
    uint64_t *count;

    for (size_t i = 0; (count = count_at(&importing->counts, i)); i++)
        *count = (uint64_t)json_integer_value(json_array_get(counts, i));
    importing->files = (uint64_t)json_integer_value(json_object_get(cursor, "files"));
    importing->bytes = (uint64_t)json_integer_value(json_object_get(cursor, "bytes"));
    for (size_t i = 0; i < json_array_size(studies); i++) {
        const char *uid = json_string_value(json_array_get(studies, i));
        if (uid && !vt_import_studies_add(&importing->studies, uid, err))
            return false;
    }
    return true;
}

static json_t *make_cursor(struct importing *importing, const char *path)
{
    json_t *counts = json_array(), *studies = json_array();
    uint64_t *count;

    for (size_t i = 0; (count = count_at(&importing->counts, i)); i++)
        json_array_append_new(counts, json_integer((json_int_t)*count));
    for (size_t i = 0; i < importing->studies.count; i++)
        json_array_append_new(studies, json_string(importing->studies.uids[i]));
    return json_pack("{s:s%, s:o, s:o, s:I, s:I}", "after", path, strlen(path), "counts", counts, "studies", studies, "files",
                     (json_int_t)importing->files, "bytes", (json_int_t)importing->bytes);
}

static bool handled(void *context, const char *path, uint64_t size, struct vt_err *err)
{
    struct importing *importing = context;
    int64_t now = vt_clock_mono();

    importing->files++;
    importing->bytes += size;
    vt_job_progress(importing->run, importing->files, importing->bytes);
    if (importing->studies.count > STUDIES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d studies go under another patient in one job: import less at once", STUDIES_MAX);
    if (now - importing->checkpointed < CHECKPOINT_EVERY)
        return true;
    importing->checkpointed = now;
    json_t *cursor = make_cursor(importing, path);
    vt_autofree char *text = cursor ? json_dumps(cursor, JSON_COMPACT) : NULL;
    json_decref(cursor);
    /* A name that is no UTF-8 has no cursor: the next run begins before it. */
    return !text || vt_job_checkpoint(importing->run, text, err);
}

/* ---- the medium ---- */

static bool is_there(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0;
}

/* What a scratch made unreadable is still there. */
static bool away(void *context, const char *path)
{
    const struct importing *importing = context;

    for (size_t i = 0; i < importing->path_count; i++)
        if (!is_there(importing->paths[i]))
            return true;
    return !is_there(path);
}

static bool on_row(void *context, json_t *row)
{
    const struct importing *importing = context;
    const char *result = json_string_value(json_object_get(row, "result"));
    const char *file = json_string_value(json_object_get(row, "file"));
    const char *text = json_string_value(json_object_get(row, "text"));
    struct vt_err ignored = { 0 };
    size_t length = file ? strlen(file) : 0;

    if (result && file && (strcmp(result, "failed") == 0 || strcmp(result, "quarantined") == 0))
        vt_job_fail_item(importing->run, file + (length > VT_JOB_TEXT_MAX ? length - VT_JOB_TEXT_MAX : 0), true, text ? text : "",
                         &ignored);
    return true;
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    const struct importing *importing = context;

    (void)total;
    /* Of one large file. */
    if (strcmp(unit, "bytes") == 0)
        vt_job_progress(importing->run, importing->files, importing->bytes + done);
    return !vt_job_should_stop(importing->run);
}

/* ---- the job ---- */

static enum vt_job_end end_of(const struct importing *importing, const struct vt_err *err)
{
    if (vt_job_should_stop(importing->run))
        return VT_JOB_END_STOPPED;
    return err->code == VT_E_INVALID || err->code == VT_E_LIMIT ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
}

static enum vt_job_end import_all(struct importing *importing, const json_t *options, const char *after, struct vt_err *err)
{
    const char *patient = json_string_value(json_object_get(options, "patient-id"));
    const struct vt_admin admin = { .archive = importing->world->archive, .who = vt_job_of(importing->run)->who,
                                    .row = on_row, .progress = on_progress, .context = importing };
    const struct vt_import_walk walk = { .admin = &admin, .paths = importing->paths, .path_count = importing->path_count,
                                         .options = options, .after = after, .handled = handled, .away = away,
                                         .context = importing };

    for (size_t i = 0; i < importing->path_count; i++)
        if (!is_there(importing->paths[i])) {
            vt_fail(err, VT_E_NOTFOUND, "the medium is away: there is no %s", importing->paths[i]);
            return VT_JOB_END_AGAIN;
        }
    if (!vt_import_walk(&walk, &importing->counts, patient ? &importing->studies : NULL, err) ||
        (patient && !vt_import_coerce(&admin, options, &importing->studies, patient, err)))
        return end_of(importing, err);
    if (importing->counts.failed > 0)
        vt_fail(err, VT_E_STATUS, "%llu of %llu files failed", (unsigned long long)importing->counts.failed,
                (unsigned long long)importing->files);
    return VT_JOB_END_DONE;
}

static enum vt_job_end run_arguments(struct importing *importing, const json_t *arguments, struct vt_err *err)
{
    vt_autofree const char **paths = calloc(VT_MEDIA_WORDS_MAX, sizeof *paths);
    json_t *cursor = json_loads(vt_job_of(importing->run)->cursor, 0, NULL);
    const char *after = json_string_value(json_object_get(cursor, "after"));
    enum vt_job_end end = VT_JOB_END_FAILED;

    importing->paths = paths;
    if (!paths)
        vt_fail(err, VT_E_NOMEM, "no memory for an import");
    else if (after && !is_there(after)) {
        /* Another medium, or none: nothing says what of it was handled. */
        vt_fail(err, VT_E_NOTFOUND, "the medium is away: there is no %s", after);
        end = VT_JOB_END_AGAIN;
    } else if (vt_media_words(json_object_get(arguments, "words"), paths, &importing->path_count, err) &&
               read_cursor(importing, cursor, err))
        end = import_all(importing, json_object_get(arguments, "options"), after, err);
    json_decref(cursor);
    free(importing->studies.uids);
    return end;
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    struct importing importing = { .world = context, .run = job };
    json_t *arguments = vt_world_arguments(job, err);

    if (!arguments)
        return VT_JOB_END_FAILED;
    enum vt_job_end end = run_arguments(&importing, arguments, err);
    json_decref(arguments);
    return end;
}

bool vt_media_import_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "import", .parallel = 2, .per_key = 2, .run = run, .context = world };

    return vt_jobs_kind(world->jobs, &kind, err);
}

bool vt_media_import_later(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    for (size_t i = 0; i < call->arg_count; i++)
        if (!is_there(call->args[i]))
            return vt_fail_errno(err, "%s", call->args[i]);
    const struct vt_media_new job = { .kind = "import", .key = "import", .subject = call->args[0], .once = "",
                                      .watch = "vitrine job show" };
    return vt_media_enqueue(call, &job, result, err);
}
