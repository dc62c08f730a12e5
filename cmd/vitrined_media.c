#include "cmd/vitrined_media.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_media_inside.h"
#include "core/err.h"

bool vt_media_kinds(struct vt_job_world *world, struct vt_err *err)
{
    return vt_media_import_kind(world, err) && vt_media_export_kind(world, err) && vt_burn_kind(world, err);
}

static json_t *words_of(const struct vt_admin_call *call)
{
    json_t *words = json_array();

    for (size_t i = 0; words && i < call->arg_count; i++)
        if (json_array_append_new(words, json_string(call->args[i])) != 0) {
            json_decref(words);
            return NULL;
        }
    return words;
}

static char *arguments_of(const struct vt_admin_call *call, json_t *more)
{
    json_t *words = words_of(call), *options = call->options ? json_deep_copy(call->options) : json_object();
    json_t *object = words && options ? json_pack("{s:o, s:o}", "words", words, "options", options) : NULL;

    if (object && more)
        json_object_update(object, more);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    json_decref(more);
    return text;
}

bool vt_media_enqueue(struct vt_admin_call *call, const struct vt_media_new *job, json_t *result, struct vt_err *err)
{
    char text[160], subject[VT_JOB_TEXT_MAX + 1], once[VT_JOB_TEXT_MAX + 1], key[VT_JOB_NAME_MAX + 1];
    int64_t id = 0;

    if (!call->world) {
        json_decref(job->more);
        return vt_fail(err, VT_E_NOTFOUND, "vitrined does not run on this archive: start it, or leave --background and --burn out");
    }
    vt_autofree char *arguments = arguments_of(call, job->more);
    if (!arguments)
        return vt_fail(err, VT_E_INVALID, "what is asked for is no UTF-8 text");
    snprintf(subject, sizeof subject, "%s", job->subject);
    snprintf(once, sizeof once, "%s", job->once);
    snprintf(key, sizeof key, "%s", job->key);
    const struct vt_job_new new = { .kind = job->kind, .key = key, .subject = subject, .once = once,
                                    .arguments = arguments, .who = call->admin.who, .priority = 1 };
    if (!vt_jobs_add(call->world->jobs, &new, &id, err))
        return false;
    snprintf(text, sizeof text, "job %lld: '%s %lld' shows how far it is", (long long)id, job->watch, (long long)id);
    json_object_set_new(result, "job", json_integer((json_int_t)id));
    json_object_set_new(result, "text", json_string(text));
    return true;
}

bool vt_media_words(const json_t *list, const char *words[static VT_MEDIA_WORDS_MAX], size_t *out_count, struct vt_err *err)
{
    size_t count = json_array_size(list);

    if (count == 0 || count > VT_MEDIA_WORDS_MAX)
        return vt_fail(err, VT_E_CORRUPT, "the arguments of the job name nothing");
    for (size_t i = 0; i < count; i++)
        if (!(words[i] = json_string_value(json_array_get(list, i))))
            return vt_fail(err, VT_E_CORRUPT, "the arguments of the job are damaged");
    *out_count = count;
    return true;
}

struct looking {
    struct vt_job_world *world;
    void (*act)(struct vt_job_world *world, const struct vt_job *job, const json_t *arguments);
};

static bool on_job(void *context, const struct vt_job *job)
{
    const struct looking *looking = context;
    json_t *arguments = json_loads(job->arguments, 0, NULL);

    if (json_is_object(arguments))
        looking->act(looking->world, job, arguments);
    json_decref(arguments);
    return false;
}

void vt_media_of(struct vt_job_world *world, int64_t id,
                 void (*act)(struct vt_job_world *world, const struct vt_job *job, const json_t *arguments))
{
    const struct vt_jobs_filter filter = { .id = id };
    struct looking looking = { world, act };
    struct vt_err ignored = { 0 };

    vt_jobs_list(world->jobs, &filter, on_job, &looking, &ignored);
}
