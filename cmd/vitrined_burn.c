#include "cmd/vitrined_burn.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/verbs_export.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_media_inside.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/io.h"
#include "media/export.h"

enum { LABEL_MAX = 8 << 10, LABEL_FIELDS_MAX = 16, FIELD_MAX = 64, DISCS_MAX = VT_EXPORT_MEDIA_MAX, TOKEN = 8 };

/* ---- the configuration ---- */

static bool has_burner(const struct vt_conf *conf, const char *name)
{
    const char *known;

    for (size_t i = 0; (known = vt_conf_name(conf, "burner", i)); i++)
        if (strcmp(known, name) == 0)
            return true;
    return false;
}

bool vt_burner_read(const struct vt_conf *conf, const char *name, struct vt_burner *out, struct vt_err *err)
{
    static const char *const adapters[] = { "folder", "command", NULL };
    size_t adapter = 0;

    if (!has_burner(conf, name))
        return vt_fail(err, VT_E_NOTFOUND, "there is no [burner \"%.40s\"] in the configuration", name);
    *out = (struct vt_burner){ .name = name,
                               .folder = vt_conf_text(conf, "burner", name, "folder", ""),
                               .command = vt_conf_text(conf, "burner", name, "command", ""),
                               .label = vt_conf_text(conf, "burner", name, "label", "PatientName PatientID StudyDate"),
                               .profile = vt_conf_text(conf, "burner", name, "profile", "STD-GEN-CD") };
    if (!vt_conf_choice(conf, "burner", name, "adapter", adapters, 0, &adapter, err) ||
        !vt_conf_int(conf, "burner", name, "copies", 1, VT_BURN_COPIES_MAX, 1, &out->copies, err) ||
        !vt_conf_size(conf, "burner", name, "capacity", VT_EXPORT_CAPACITY_MIN, UINT64_MAX >> 1, UINT64_C(700) << 20, &out->capacity,
                      err) ||
        !vt_conf_duration(conf, "burner", name, "poll", 10 * VT_NS_PER_MS, 3600 * VT_NS_PER_S, 2 * VT_NS_PER_S, &out->poll, err) ||
        !vt_conf_duration(conf, "burner", name, "timeout", VT_NS_PER_S, 7 * 24 * 3600 * VT_NS_PER_S, 2 * 3600 * VT_NS_PER_S,
                          &out->timeout, err))
        return false;
    out->runs_command = adapter == 1;
    if (out->folder[0] != '/')
        return vt_fail(err, VT_E_INVALID, "burner.%s: folder must be an absolute path", name);
    if (out->runs_command != (*out->command != '\0') || strlen(out->command) >= VT_BURN_COMMAND_MAX)
        return vt_fail(err, VT_E_INVALID, "burner.%s: adapter = command and a command belong together", name);
    return true;
}

/* ---- the label ---- */

struct labelling {
    json_t *fields;
    const char *wanted;
};

/* The first study stands for all. */
static bool on_study(void *context, json_t *row)
{
    struct labelling *labelling = context;
    char copy[LABEL_MAX], *rest = NULL;

    snprintf(copy, sizeof copy, "%s", labelling->wanted);
    for (char *word = strtok_r(copy, " ,", &rest); word; word = strtok_r(NULL, " ,", &rest)) {
        const char *value = json_string_value(json_object_get(row, word));
        if (value && json_object_size(labelling->fields) < LABEL_FIELDS_MAX)
            json_object_set_new(labelling->fields, word, json_string(value));
    }
    return false;
}

/* Of a de-identified disc only what was given for it. */
static json_t *label_of(struct vt_admin_call *call, const struct vt_burner *burner, const char *text)
{
    const char *name = json_string_value(json_object_get(call->options, "patient-name"));
    const char *id = json_string_value(json_object_get(call->options, "patient-id"));
    struct labelling labelling = { json_object(), burner->label };
    struct vt_query_rules rules = *call->rules;
    struct vt_admin admin = call->admin;
    struct vt_err ignored = { 0 };

    if (!labelling.fields)
        return NULL;
    if (json_object_get(call->options, "deidentify")) {
        if (name)
            json_object_set_new(labelling.fields, "PatientName", json_string(name));
        if (id)
            json_object_set_new(labelling.fields, "PatientID", json_string(id));
    } else {
        rules.max_matches = 0;
        admin.row = on_study;
        admin.context = &labelling;
        VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, call->args, call->arg_count, &rules, &ignored);
        if (query)
            vt_admin_study_list(&admin, query, &ignored);
    }
    if (text)
        json_object_set_new(labelling.fields, "Text", json_string(text));
    return labelling.fields;
}

static bool read_copies(const json_t *options, int64_t fallback, int64_t *out, struct vt_err *err)
{
    const char *text = json_string_value(json_object_get(options, "copies"));
    char *end;

    *out = text ? strtoll(text, &end, 10) : fallback;
    return !text || (!*end && *out >= 1 && *out <= VT_BURN_COPIES_MAX) ||
           vt_fail(err, VT_E_INVALID, "--copies is a number from 1 to %d, not '%.20s'", VT_BURN_COPIES_MAX, text);
}

/* Two archives may share a production centre. */
static void make_token(char out[static TOKEN + 1])
{
    char uid[VT_UID_MAX + 1];

    vt_uid_new(uid);
    snprintf(out, TOKEN + 1, "%s", uid + strlen(uid) - TOKEN);
}

bool vt_burn_later(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *name = json_string_value(json_object_get(call->options, "burn"));
    struct vt_export_call export = { .archive = call->admin.archive, .words = call->args, .word_count = call->arg_count };
    struct vt_burner burner;
    char output[PATH_MAX], token[TOKEN + 1];
    int64_t copies;

    if (!call->world)
        return vt_fail(err, VT_E_NOTFOUND, "vitrined does not run on this archive, and it is who burns: start it");
    if (!vt_burner_read(call->world->conf, name, &burner, err) || !vt_export_read_options(call->options, &export, err) ||
        !read_copies(call->options, burner.copies, &copies, err))
        return false;
    if (export.output)
        return vt_fail(err, VT_E_INVALID, "-o and --burn are two ways: choose one");
    snprintf(output, sizeof output, "%s/.new.iso", burner.folder);
    export.output = output;
    export.profile = export.profile ? export.profile : burner.profile;
    if (!vt_export_check(&export, err))
        return false;
    make_token(token);
    json_t *label = label_of(call, &burner, json_string_value(json_object_get(call->options, "label")));
    const struct vt_media_new job = { .kind = "burn", .key = name, .subject = call->args[0], .once = "", .watch = "vitrine burn show",
                                      .more = json_pack("{s:s, s:o, s:I, s:s}", "burner", name, "label", label, "copies", (json_int_t)copies,
                                                        "token", token) };
    return vt_media_enqueue(call, &job, result, err);
}

/* ---- the job ---- */

struct burning {
    struct vt_job_world *world;
    struct vt_job_run *run;
    struct vt_burner burner;
    const json_t *arguments;
    char output[PATH_MAX], name[VT_BURN_NAME_MAX + 1];
    struct vt_buf label;
    size_t discs;
    enum vt_burn_state states[DISCS_MAX];
    char reason[VT_BURN_REASON_MAX + 1];
};

static bool make_label(struct burning *burning, struct vt_err *err)
{
    json_t *fields = json_object_get(burning->arguments, "label");
    const char *key;
    json_t *value;

    json_object_foreach(fields, key, value) {
        if (!vt_buf_printf(&burning->label, err, "%.*s = ", FIELD_MAX, key))
            return false;
        for (const char *at = json_string_value(value); at && *at; at++)
            if (!vt_buf_append_byte(&burning->label, (unsigned char)*at < ' ' ? (uint8_t)' ' : (uint8_t)*at, err))
                return false;
        if (!vt_buf_append_byte(&burning->label, '\n', err))
            return false;
    }
    return vt_buf_string(&burning->label, err) != NULL;
}

static void read_states(struct burning *burning, const char *cursor)
{
    json_t *object = json_loads(cursor, 0, NULL);
    const json_t *states = json_object_get(object, "states");

    burning->discs = (size_t)json_integer_value(json_object_get(object, "discs"));
    burning->discs = burning->discs > DISCS_MAX ? DISCS_MAX : burning->discs;
    for (size_t i = 0; i < burning->discs; i++) {
        const char *name = json_string_value(json_array_get(states, i));
        for (size_t k = 0; name && k < VT_BURN_STATES; k++)
            if (strcmp(vt_burn_state_name((enum vt_burn_state)k), name) == 0)
                burning->states[i] = (enum vt_burn_state)k;
    }
    json_decref(object);
}

static bool keep_states(struct burning *burning, struct vt_err *err)
{
    json_t *states = json_array();
    uint64_t done = 0;

    for (size_t i = 0; i < burning->discs; i++) {
        json_array_append_new(states, json_string(vt_burn_state_name(burning->states[i])));
        done += burning->states[i] == VT_BURN_DONE;
    }
    json_t *object = json_pack("{s:I, s:o, s:s%}", "discs", (json_int_t)burning->discs, "states", states, "reason", burning->reason,
                               strlen(burning->reason));
    if (!object) /* a reason that is no UTF-8 */
        return true;
    vt_autofree char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    vt_job_totals(burning->run, burning->discs, vt_job_of(burning->run)->total_bytes);
    vt_job_progress(burning->run, done, vt_job_of(burning->run)->done_bytes);
    return text ? vt_job_checkpoint(burning->run, text, err) : vt_fail(err, VT_E_NOMEM, "no memory for a cursor");
}

static struct vt_burn_disc disc_of(const struct burning *burning, size_t i, char image[static PATH_MAX])
{
    const struct vt_export_call call = { .output = burning->output };
    const json_int_t copies = json_integer_value(json_object_get(burning->arguments, "copies"));
    struct vt_err ignored = { 0 };

    vt_export_name(&call, i, burning->discs, image, PATH_MAX, &ignored);
    return (struct vt_burn_disc){ .burner = &burning->burner,
                                  .name = burning->name,
                                  .number = i + 1,
                                  .discs = burning->discs,
                                  .image = image,
                                  .label = burning->label.data ? (const char *)burning->label.data : "",
                                  .who = vt_job_of(burning->run)->who,
                                  .copies = copies > 0 ? copies : 1,
                                  .stop_fd = vt_job_stop_fd(burning->run) };
}

/* The images, under hidden names in the burner's folder. */
static enum vt_job_end write_images(struct burning *burning, struct vt_err *err)
{
    struct vt_media_exporting exporting = { .run = burning->run };
    vt_autofree const char **words = calloc(VT_MEDIA_WORDS_MAX, sizeof *words);
    struct vt_export_call call = { .archive = NULL };

    if (!words) {
        vt_fail(err, VT_E_NOMEM, "no memory for an export");
        return VT_JOB_END_AGAIN;
    }
    if (!vt_media_export_call(&exporting, burning->world, burning->arguments, words, &call, err))
        return VT_JOB_END_FAILED;
    call.output = burning->output;
    call.profile = call.profile ? call.profile : burning->burner.profile;
    call.capacity = call.capacity ? call.capacity : burning->burner.capacity;
    if (!vt_media_export_run(&exporting, &call, &burning->discs, err))
        return vt_media_export_end(&exporting, &call, err);
    return keep_states(burning, err) ? VT_JOB_END_DONE : VT_JOB_END_AGAIN;
}

static bool see_disc(struct burning *burning, size_t i, struct vt_err *err)
{
    char image[PATH_MAX];
    const struct vt_burn_disc disc = disc_of(burning, i, image);
    enum vt_burn_state *state = &burning->states[i];

    if (*state == VT_BURN_DONE)
        return true;
    if (*state == VT_BURN_FAILED) {
        vt_burn_again(&disc); /* the job was tried again */
        *state = VT_BURN_QUEUED;
    }
    if (*state == VT_BURN_WAITING) {
        if (!vt_burn_put(&disc, err))
            return false;
        *state = VT_BURN_QUEUED;
    }
    if (burning->burner.runs_command) {
        *state = VT_BURN_BURNING;
        if (!keep_states(burning, err))
            return false;
    }
    return vt_burn_look(&disc, state, burning->reason, err) && keep_states(burning, err);
}

static enum vt_job_end end_of(struct burning *burning, struct vt_err *err)
{
    size_t done = 0;

    for (size_t i = 0; i < burning->discs; i++) {
        if (burning->states[i] == VT_BURN_FAILED) {
            vt_fail(err, VT_E_STATUS, "disc %zu of %zu: %s", i + 1, burning->discs, *burning->reason ? burning->reason : "failed");
            return VT_JOB_END_FAILED;
        }
        done += burning->states[i] == VT_BURN_DONE;
    }
    if (done == burning->discs)
        return VT_JOB_END_DONE;
    vt_job_later(burning->run, vt_clock_wall() + burning->burner.poll);
    return VT_JOB_END_LATER;
}

static enum vt_job_end burn(struct burning *burning, struct vt_err *err)
{
    enum vt_job_end end = VT_JOB_END_DONE;

    if (burning->discs == 0 && (end = write_images(burning, err)) != VT_JOB_END_DONE)
        return end;
    for (size_t i = 0; i < burning->discs; i++)
        if (!see_disc(burning, i, err)) {
            if (vt_job_should_stop(burning->run))
                return VT_JOB_END_STOPPED;
            return err->code == VT_E_NOTFOUND || err->code == VT_E_INVALID ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
        }
    return end_of(burning, err);
}

static void name_it(struct burning *burning, int64_t id)
{
    const char *token = json_string_value(json_object_get(burning->arguments, "token"));

    snprintf(burning->name, sizeof burning->name, "VT%lld-%.8s", (long long)id, token ? token : "");
    snprintf(burning->output, sizeof burning->output, "%s/.%s.iso", burning->burner.folder, burning->name);
}

static bool prepare(struct burning *burning, struct vt_err *err)
{
    const char *name = json_string_value(json_object_get(burning->arguments, "burner"));

    if (!name || !vt_burner_read(burning->world->conf, name, &burning->burner, err) ||
        !vt_io_make_folder(burning->burner.folder, err))
        return name != NULL ? false : vt_fail(err, VT_E_CORRUPT, "the job names no burner");
    read_states(burning, vt_job_of(burning->run)->cursor);
    name_it(burning, vt_job_of(burning->run)->id);
    return make_label(burning, err);
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    vt_autofree struct burning *burning = calloc(1, sizeof *burning);
    json_t *arguments = vt_world_arguments(job, err);
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (burning && arguments) {
        burning->world = context;
        burning->run = job;
        burning->arguments = arguments;
        vt_buf_init(&burning->label, LABEL_MAX);
        if (prepare(burning, err))
            end = burn(burning, err);
        vt_buf_fini(&burning->label);
    }
    json_decref(arguments);
    return end;
}

/* ---- cancelled ---- */

static void withdraw(struct vt_job_world *world, const struct vt_job *job, const json_t *arguments)
{
    vt_autofree struct burning *burning = calloc(1, sizeof *burning);
    const char *name = json_string_value(json_object_get(arguments, "burner"));
    struct vt_export_call call = { .archive = NULL };
    struct vt_err ignored = { 0 };

    if (!burning || !name || !vt_burner_read(world->conf, name, &burning->burner, &ignored))
        return;
    burning->arguments = arguments;
    read_states(burning, job->cursor);
    name_it(burning, job->id);
    call.output = burning->output;
    vt_export_sweep(&call);
    for (size_t i = 0; i < burning->discs; i++) {
        const struct vt_burn_disc disc = { .burner = &burning->burner, .name = burning->name, .discs = burning->discs, .number = i + 1 };
        char image[PATH_MAX];
        if (vt_export_name(&call, i, burning->discs, image, sizeof image, &ignored))
            unlink(image);
        vt_burn_withdraw(&disc, burning->states[i]);
    }
}

static void ended(void *context, int64_t id, enum vt_job_state state)
{
    if (state == VT_JOB_CANCELLED)
        vt_media_of(context, id, withdraw);
}

bool vt_burn_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "burn", .parallel = 4, .per_key = 1, .run = run, .ended = ended, .context = world };
    struct vt_burner burner;
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(world->conf, "burner", i)); i++)
        if (!vt_burner_read(world->conf, name, &burner, err))
            return false;
    return vt_jobs_kind(world->jobs, &kind, err);
}
