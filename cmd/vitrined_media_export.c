/* The kind of job "export". Cursor: {"written":N} when N media are read back and only lack their names. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/verbs_export.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_media.h"
#include "cmd/vitrined_media_inside.h"
#include "core/err.h"
#include "media/export.h"

/* ---- what it tells its run ---- */

static bool on_written(void *context, size_t media, struct vt_err *err)
{
    struct vt_media_exporting *exporting = context;
    char cursor[64];

    exporting->written = media;
    snprintf(cursor, sizeof cursor, "{\"written\":%zu}", media);
    return vt_job_checkpoint(exporting->run, cursor, err);
}

static bool on_row(void *context, json_t *row)
{
    const struct vt_media_exporting *exporting = context;
    const char *result = json_string_value(json_object_get(row, "result"));
    const char *uid = json_string_value(json_object_get(row, "sop_instance_uid"));
    const char *text = json_string_value(json_object_get(row, "text"));
    struct vt_err ignored = { 0 };

    if (result && uid && strcmp(result, "written") != 0)
        vt_job_fail_item(exporting->run, uid, true, text ? text : "", &ignored);
    return !vt_job_should_stop(exporting->run);
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    struct vt_media_exporting *exporting = context;

    (void)unit;
    exporting->done = done;
    exporting->total = total;
    return !vt_job_should_stop(exporting->run);
}

static void on_sizes(void *context, uint64_t done, uint64_t total)
{
    struct vt_media_exporting *exporting = context;

    vt_job_totals(exporting->run, exporting->total, total);
    vt_job_progress(exporting->run, exporting->done, done);
}

/* ---- for this kind and for burning ---- */

bool vt_media_export_call(struct vt_media_exporting *exporting, struct vt_job_world *world, const json_t *arguments,
                          const char **words, struct vt_export_call *out, struct vt_err *err)
{
    json_t *cursor = json_loads(vt_job_of(exporting->run)->cursor, 0, NULL);
    size_t count;

    exporting->written = (size_t)json_integer_value(json_object_get(cursor, "written"));
    json_decref(cursor);
    if (!vt_media_words(json_object_get(arguments, "words"), words, &count, err) ||
        !vt_export_read_options(json_object_get(arguments, "options"), out, err))
        return false;
    out->archive = world->archive;
    out->words = words;
    out->word_count = count;
    out->again = true;
    out->written = on_written;
    out->row = on_row;
    out->progress = on_progress;
    out->sizes = on_sizes;
    out->context = exporting;
    return true;
}

bool vt_media_export_run(struct vt_media_exporting *exporting, const struct vt_export_call *call, size_t *out_media,
                         struct vt_err *err)
{
    struct vt_export_result result = { 0 };
    struct vt_err why = { 0 };

    if (exporting->written > 0 && vt_export_publish(call, exporting->written, &why)) {
        *out_media = exporting->written;
        return true;
    }
    if (exporting->written > 0 && why.code != VT_E_NOTFOUND) {
        *err = why;
        return false;
    }
    bool ok = vt_export(call, &result, err);
    exporting->matched = result.matched;
    if (!ok)
        return err->code == VT_E_NOTFOUND && result.matched > 0 ? vt_fail_context(err, "the medium is away") : false;
    if (result.failed + result.left_out > 0)
        vt_fail(err, VT_E_STATUS, "%llu instances did not go, %llu were left out", (unsigned long long)result.failed,
                (unsigned long long)result.left_out);
    *out_media = (size_t)result.media;
    return true;
}

static bool folder_is_there(const char *output)
{
    char folder[PATH_MAX];

    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(output, '/') - output), output);
    return access(folder[0] ? folder : "/", F_OK) == 0;
}

enum vt_job_end vt_media_export_end(const struct vt_media_exporting *exporting, const struct vt_export_call *call,
                                    const struct vt_err *err)
{
    if (vt_job_should_stop(exporting->run))
        return VT_JOB_END_STOPPED;
    if (err->code == VT_E_INVALID || err->code == VT_E_EXISTS || err->code == VT_E_LIMIT || err->code == VT_E_UNSUPPORTED ||
        err->code == VT_E_DENIED)
        return VT_JOB_END_FAILED;
    /* Nothing matches; or the medium it goes to is away, or was for a moment. */
    return err->code == VT_E_NOTFOUND && exporting->matched == 0 && folder_is_there(call->output) ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
}

/* ---- the kind ---- */

static enum vt_job_end run_arguments(struct vt_job_world *world, struct vt_job_run *run, const json_t *arguments,
                                     struct vt_err *err)
{
    struct vt_media_exporting exporting = { .run = run };
    vt_autofree const char **words = calloc(VT_MEDIA_WORDS_MAX, sizeof *words);
    struct vt_export_call call = { .archive = NULL };
    size_t media;

    if (!words) {
        vt_fail(err, VT_E_NOMEM, "no memory for an export");
        return VT_JOB_END_AGAIN;
    }
    if (!vt_media_export_call(&exporting, world, arguments, words, &call, err))
        return VT_JOB_END_FAILED;
    return vt_media_export_run(&exporting, &call, &media, err) ? VT_JOB_END_DONE : vt_media_export_end(&exporting, &call, err);
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    json_t *arguments = vt_world_arguments(job, err);

    if (!arguments)
        return VT_JOB_END_FAILED;
    enum vt_job_end end = run_arguments(context, job, arguments, err);
    json_decref(arguments);
    return end;
}

/* One that a kill left and that was cancelled before it ran again. */
static void sweep(struct vt_job_world *world, const struct vt_job *job, const json_t *arguments)
{
    struct vt_export_call call = { .archive = world->archive };
    struct vt_err ignored = { 0 };

    (void)job;
    if (vt_export_read_options(json_object_get(arguments, "options"), &call, &ignored))
        vt_export_sweep(&call);
}

static void ended(void *context, int64_t id, enum vt_job_state state)
{
    if (state == VT_JOB_CANCELLED || state == VT_JOB_FAILED)
        vt_media_of(context, id, sweep);
}

bool vt_media_export_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "export", .parallel = 2, .per_key = 2, .run = run, .ended = ended, .context = world };

    return vt_jobs_kind(world->jobs, &kind, err);
}

bool vt_media_export_later(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct vt_export_call export = { .archive = call->admin.archive, .words = call->args, .word_count = call->arg_count };
    const char *output = json_string_value(json_object_get(call->options, "output"));

    if (!vt_export_read_options(call->options, &export, err) || !vt_export_check(&export, err))
        return false;
    const struct vt_media_new job = { .kind = "export", .key = "export", .subject = output, .once = output,
                                      .watch = "vitrine job show" };
    return vt_media_enqueue(call, &job, result, err);
}
