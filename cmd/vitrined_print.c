#include "cmd/vitrined_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/admin_rows.h"
#include "archive/archive.h"
#include "cmd/admin_verbs.h"
#include "cmd/job_verbs.h"
#include "cmd/print_run.h"
#include "cmd/printers.h"
#include "cmd/tls.h"
#include "cmd/vitrined_jobs.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"

/* ---- running one ---- */

struct running {
    struct vt_job_world *world;
    struct vt_job_run *run;
    const json_t *instances;
    struct vt_stored open; /* the instance that is printed */
    bool is_open;
    struct vt_err lost;    /* the cursor could not be written */
};

static void close_open(struct running *running)
{
    if (running->is_open)
        vt_stored_close(&running->open);
    running->is_open = false;
}

static bool open_uid(const struct running *running, const char *uid, struct vt_stored *out, struct vt_err *err)
{
    struct vt_archive *archive = running->world->archive;
    struct vt_index_entry entry;
    bool found;

    if (!vt_index_lookup(vt_archive_index(archive), uid, &entry, &found, err))
        return false;
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND, "instance %.64s is not here any more", uid);
    return vt_archive_open_instance(archive, &entry, out, err);
}

static bool on_path(void *context, size_t i, char *out, size_t room, struct vt_err *err)
{
    struct running *running = context;
    const char *uid = json_string_value(json_array_get(running->instances, i));

    close_open(running);
    if (!open_uid(running, uid ? uid : "", &running->open, err))
        return false;
    running->is_open = true;
    snprintf(out, room, "/proc/self/fd/%d", running->open.fd);
    return true;
}

static void on_left_out(void *context, size_t i, const char *why)
{
    struct running *running = context;
    const char *uid = json_string_value(json_array_get(running->instances, i));

    vt_log(VT_LOG_INFO, "print.left-out", "job=%lld instance=%s text=\"%s\"", (long long)vt_job_of(running->run)->id,
           uid ? uid : "", why);
}

static void on_counted(void *context, size_t images)
{
    vt_job_totals(((struct running *)context)->run, images, 0);
}

static void on_status(void *context, const struct vt_printer_status *status)
{
    const struct running *running = context;

    vt_log(VT_LOG_INFO, "print.printer", "job=%lld status=%s info=\"%s\" name=\"%s\"",
           (long long)vt_job_of(running->run)->id, status->status, status->info, status->name);
}

static void on_note(void *context, const char *sentence)
{
    const struct running *running = context;

    vt_log(VT_LOG_WARN, "print.note", "job=%lld text=\"%s\"", (long long)vt_job_of(running->run)->id, sentence);
}

/* What the printer has must not be printed again: the cursor is written before the next film. */
static bool on_printed(void *context, size_t images)
{
    struct running *running = context;
    char cursor[32];

    snprintf(cursor, sizeof cursor, "%zu", images);
    vt_job_progress(running->run, images, 0);
    return vt_job_checkpoint(running->run, cursor, &running->lost) && !vt_job_should_stop(running->run);
}

static enum vt_job_end print(struct running *running, struct vt_printer *printer, struct vt_err *err)
{
    struct vt_client client = { .calling_ae_title = running->world->shs_ae_title,
                                .peer = &printer->peer,
                                .max_pdu = running->world->max_pdu,
                                .stop_fd = vt_job_stop_fd(running->run) };
    const struct vt_print_run run = { .client = &client,
                                      .printer = printer,
                                      .count = json_array_size(running->instances),
                                      .first = strtoul(vt_job_of(running->run)->cursor, NULL, 10),
                                      .path = on_path,
                                      .left_out = on_left_out,
                                      .counted = on_counted,
                                      .status = on_status,
                                      .note = on_note,
                                      .printed = on_printed,
                                      .context = running };
    if (!vt_printer_tls(running->world->conf, printer, &client.tls, err))
        return VT_JOB_END_FAILED;
    bool ok = vt_print_run(&run, err);

    vt_tls_free(client.tls);
    if (ok)
        return VT_JOB_END_DONE;
    if (vt_job_should_stop(running->run))
        return VT_JOB_END_STOPPED;
    if (vt_failed(&running->lost)) {
        *err = running->lost;
        return VT_JOB_END_AGAIN;
    }
    return err->code != VT_E_NOTFOUND && vt_print_may_retry(err) ? VT_JOB_END_AGAIN : VT_JOB_END_FAILED;
}

/* A presentation state of the archive is named by its UID. */
static bool open_state(const struct running *running, struct vt_printer *printer, struct vt_stored *out, bool *out_open,
                       struct vt_err *err)
{
    if (!printer->state[0] || printer->state[0] == '/')
        return true;
    if (!open_uid(running, printer->state, out, err))
        return vt_fail_context(err, "presentation state");
    *out_open = true;
    snprintf(printer->state, sizeof printer->state, "/proc/self/fd/%d", out->fd);
    return true;
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    struct vt_job_world *world = context;
    json_t *arguments = vt_world_arguments(job, err);
    const char *name = json_string_value(json_object_get(arguments, "printer"));
    struct running running = { .world = world, .run = job, .instances = json_object_get(arguments, "instances") };
    enum vt_job_end end = VT_JOB_END_FAILED;
    struct vt_stored state;
    bool has_state = false;
    vt_autofree struct vt_printer *printer = calloc(1, sizeof *printer);

    if (!printer)
        vt_fail(err, VT_E_NOMEM, "no memory to print");
    else if (arguments && (!name || !json_is_array(running.instances)))
        vt_fail(err, VT_E_CORRUPT, "the job names no printer or no instances");
    else if (arguments &&
             vt_printer_read(world->conf, world->peers, name, json_object_get(arguments, "options"), printer, err) &&
             open_state(&running, printer, &state, &has_state, err))
        end = print(&running, printer, err);
    close_open(&running);
    if (has_state)
        vt_stored_close(&state);
    json_decref(arguments);
    return end;
}

bool vt_print_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "print", .run = run, .context = world };

    return vt_printers_check(world->conf, world->peers, err) && vt_jobs_kind(world->jobs, &kind, err);
}

/* ---- making one ---- */

static bool take_instance(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    json_t *instances = context;

    if (json_array_size(instances) >= VT_PRINT_IMAGES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d instances: print less at once", VT_PRINT_IMAGES_MAX);
    return json_array_append_new(instances, json_string(entry->sop_uid)) == 0 ||
           vt_fail(err, VT_E_NOMEM, "no memory for a list of instances");
}

static bool collect(struct vt_admin_call *call, json_t *instances, struct vt_err *err)
{
    struct vt_query_rules rules = *call->rules;

    rules.max_matches = 0;
    rules.relational = true;
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_IMAGE, call->args + 1, call->arg_count - 1, &rules, err);
    if (!query || !vt_admin_each(call->admin.archive, query, take_instance, instances, err))
        return false;
    return json_array_size(instances) > 0 || vt_fail(err, VT_E_NOTFOUND, "the archive has nothing that matches");
}

static bool enqueue(struct vt_admin_call *call, const json_t *instances, int64_t *out_id, struct vt_err *err)
{
    char key[VT_JOB_NAME_MAX + 1], subject[VT_JOB_TEXT_MAX];
    json_t *object = json_pack("{s:s, s:O, s:O}", "printer", call->args[0], "instances", instances, "options",
                               call->options ? call->options : json_null());
    char *arguments = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (!arguments)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    vt_world_key(call->args[0], key);
    snprintf(subject, sizeof subject, "%zu instances", json_array_size(instances));
    const struct vt_job_new job = { .kind = "print",
                                    .key = key,
                                    .subject = subject,
                                    .arguments = arguments,
                                    .who = call->admin.who,
                                    .priority = 1,
                                    .total = json_array_size(instances) };
    bool ok = vt_jobs_add(call->world->jobs, &job, out_id, err);
    free(arguments);
    return ok;
}

bool vt_verb_print(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    vt_autofree struct vt_printer *printer = calloc(1, sizeof *printer);
    json_t *instances = json_array();
    int64_t id = 0;
    char text[96];

    if (!call->world)
        vt_fail(err, VT_E_NOTFOUND, "vitrined does not run on this archive: start it, or print files");
    else if (!printer || !instances)
        vt_fail(err, VT_E_NOMEM, "no memory to print");
    bool ok = !vt_failed(err) &&
              vt_printer_read(call->world->conf, call->world->peers, call->args[0], call->options, printer, err) &&
              collect(call, instances, err) && enqueue(call, instances, &id, err);
    json_decref(instances);
    if (!ok)
        return false;
    json_object_set_new(result, "job", json_integer(id));
    if (!json_is_true(json_object_get(call->options, "background")))
        return vt_verb_wait(call, &id, 1, "printed", result, err);
    snprintf(text, sizeof text, "job %lld: 'vitrine job list' shows how far it is", (long long)id);
    json_object_set_new(result, "text", json_string(text));
    return true;
}
