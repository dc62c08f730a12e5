/* Who may do what, how often, and what is written down of it. */
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "hypervisor/pool_service_state.h"

enum { PER_MINUTE = 60, PERSON_MAX = 64, AUDIT_MAX = 16 << 20, WORDS_SHOWN = 200 };

/* ---- who ---- */

static void name_uid(uid_t uid, char *out, size_t room)
{
    char text[4096];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, text, sizeof text, &found) == 0 && found)
        snprintf(out, room, "%s", found->pw_name);
    else
        snprintf(out, room, "uid %u", (unsigned)uid);
}

/* A person's name as a console gives it: printable, short. */
static bool is_person(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return false;
    return length > 0 && length <= PERSON_MAX;
}

static bool name_caller(struct vt_pool_call *call, struct vt_err *err)
{
    const char *person = json_string_value(json_object_get(call->request, "user"));
    char name[PERSON_MAX];

    name_uid(call->uid, name, sizeof name);
    if (person && !is_person(person))
        return vt_fail(err, VT_E_INVALID, "\"user\" is not a person's name");
    snprintf(call->who, sizeof call->who, "%s%s%s", name, person ? " for " : "",
             person ? person : "");
    return true;
}

/* ---- how often ---- */

static bool take_allowance(struct vt_service *service, struct vt_err *err)
{
    int64_t now = vt_clock_mono();

    pthread_mutex_lock(&service->lock);
    double most = service->options.console_per_minute ? service->options.console_per_minute
                                                      : PER_MINUTE;
    service->allowance += (double)(now - service->allowance_at) / 60e9 * most;
    service->allowance = service->allowance > most ? most : service->allowance;
    service->allowance_at = now;
    bool ok = service->allowance >= 1;
    service->allowance -= ok ? 1 : 0;
    pthread_mutex_unlock(&service->lock);
    return ok || vt_fail(err, VT_E_BUSY,
                         "the console changed more than %.0f things in a minute: wait a little",
                         most);
}

bool vt_call_may(struct vt_pool_call *call, const struct vt_pool_verb *verb, struct vt_err *err)
{
    struct vt_service *service = call->service;

    if (!name_caller(call, err))
        return false;
    if (!call->is_console || verb->need == VT_NEED_READ)
        return true;
    if (verb->need == VT_NEED_ADMIN)
        return vt_fail(err, VT_E_DENIED, "%s is not for the console: ask an administrator",
                       vt_call_verb(call));
    pthread_mutex_lock(&service->lock);
    bool open = service->options.console_verbs;
    pthread_mutex_unlock(&service->lock);
    if (verb->need == VT_NEED_CHANGE && !open)
        return vt_fail(err, VT_E_DENIED,
                       "the console may only look: console_verbs = yes in [pool] changes that");
    if (verb->need == VT_NEED_CHANGE && !json_object_get(call->request, "user"))
        return vt_fail(err, VT_E_DENIED, "for whom? The console must name the person in \"user\"");
    return take_allowance(service, err);
}

/* ---- the record ---- */

/* One generation is kept behind. */
static int open_audit(const char *folder)
{
    char path[VT_KEEPER_PATH_MAX + 16], older[VT_KEEPER_PATH_MAX + 16];
    struct stat file;

    snprintf(path, sizeof path, "%s/audit.log", folder);
    snprintf(older, sizeof older, "%s/audit.log.1", folder);
    if (stat(path, &file) == 0 && file.st_size > AUDIT_MAX)
        (void)!rename(path, older);
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static char *audit_line(struct vt_pool_call *call, const struct vt_err *err)
{
    char now[VT_CLOCK_TEXT_MAX];
    const char *outcome = vt_failed(err) ? err->text : call->status ? "partly failed" : "done";

    vt_clock_text(vt_clock_wall(), now);
    json_t *row = json_pack("{s:s, s:s, s:I, s:s, s:s}", "time", now, "who", call->who, "uid",
                            (json_int_t)call->uid, "verb", vt_call_verb(call), "outcome", outcome);
    json_t *args = json_object_get(call->request, "args"),
           *options = json_object_get(call->request, "options");
    if (args)
        json_object_set(row, "args", args);
    if (options)
        json_object_set(row, "options", options);
    char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;
    json_decref(row);
    return text;
}

void vt_call_audit(struct vt_pool_call *call, const struct vt_pool_verb *verb,
                   const struct vt_err *err)
{
    if (verb->need == VT_NEED_READ && !(vt_failed(err) && err->code == VT_E_DENIED))
        return;
    vt_autofree char *line = audit_line(call, err);
    vt_log(vt_failed(err) ? VT_LOG_WARN : VT_LOG_INFO, "pool.verb",
           "verb=%s by=\"%s\" first=\"%.60s\" of=%zu outcome=\"%.*s\"", vt_call_verb(call),
           call->who, call->arg_count ? call->args[0] : "", call->arg_count, WORDS_SHOWN,
           vt_failed(err) ? err->text : call->status ? "partly failed" : "done");
    if (!line || call->service->keeper_count == 0)
        return;
    vt_autoclose fd = open_audit(vt_keeper_folder(call->service->keepers[0]));
    size_t size = strlen(line);
    line[size] = '\n';
    if (fd < 0 || write(fd, line, size + 1) != (ssize_t)size + 1)
        vt_log(VT_LOG_ERROR, "pool.audit", "not written");
}
