#include "cmd/peer_failures.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/admin_rows.h"
#include "cmd/admin_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "dicom/uids.h"

struct failure {
    int64_t at; /* 0: none */
    char ae_title[VT_AE_TITLE_MAX + 1], host[48], what[40], text[160];
};

struct vt_peer_failures {
    pthread_mutex_t lock;
    /* guarded by lock */
    struct failure ring[VT_PEER_FAILURES_MAX];
    size_t next;
};

static const char *field(const json_t *detail, const char *key)
{
    const char *text = json_string_value(json_object_get(detail, key));

    return text ? text : "";
}

static bool is_failure(const char *kind)
{
    static const char *const kinds[] = { "association.refused", "association.failed",
                                         "connection.refused", "commitment.undelivered" };

    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

static void on_event(void *context, const struct vt_event *event)
{
    struct vt_peer_failures *failures = context;
    bool connection = strcmp(event->kind, "connection.refused") == 0;

    if (!is_failure(event->kind))
        return;
    json_t *detail = event->detail ? json_loads(event->detail, 0, NULL) : NULL;
    const char *text = field(detail, "text"), *reason = field(detail, "reason");
    struct failure failure = { .at = event->time };
    snprintf(failure.ae_title, sizeof failure.ae_title, "%s", connection ? "" : event->subject);
    snprintf(failure.host, sizeof failure.host, "%s",
             connection ? event->subject : field(detail, "host"));
    snprintf(failure.what, sizeof failure.what, "%s", event->kind);
    snprintf(failure.text, sizeof failure.text, "%s%s%s", reason, *reason && *text ? ": " : "",
             text);
    json_decref(detail);
    pthread_mutex_lock(&failures->lock);
    failures->ring[failures->next] = failure;
    failures->next = (failures->next + 1) % VT_PEER_FAILURES_MAX;
    pthread_mutex_unlock(&failures->lock);
}

struct vt_peer_failures *vt_peer_failures_open(struct vt_events *events, struct vt_err *err)
{
    struct vt_peer_failures *failures = calloc(1, sizeof *failures);

    if (!failures) {
        vt_fail(err, VT_E_NOMEM, "no memory for the peers' failures");
        return NULL;
    }
    pthread_mutex_init(&failures->lock, NULL);
    if (vt_events_subscribe(events, NULL, on_event, failures, err))
        return failures;
    vt_peer_failures_free(failures);
    return NULL;
}

void vt_peer_failures_free(struct vt_peer_failures *failures)
{
    if (failures)
        pthread_mutex_destroy(&failures->lock);
    free(failures);
}

bool vt_verb_peer_failures(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct vt_peer_failures *failures = call->world ? call->world->failures : NULL;
    const char *title = call->arg_count > 0 ? call->args[0] : NULL;

    (void)result;
    for (size_t i = 1; failures && i <= VT_PEER_FAILURES_MAX; i++) {
        char at[VT_CLOCK_TEXT_MAX];
        pthread_mutex_lock(&failures->lock);
        struct failure failure =
            failures->ring[(failures->next + VT_PEER_FAILURES_MAX - i) % VT_PEER_FAILURES_MAX];
        pthread_mutex_unlock(&failures->lock);
        if (failure.at == 0 || (title && strcmp(title, failure.ae_title) != 0))
            continue;
        vt_clock_text(failure.at, at);
        if (!vt_admin_send(&call->admin,
                           json_pack("{s:s, s:s, s:s, s:s, s:s}", "at", at, "ae_title",
                                     failure.ae_title, "host", failure.host, "what", failure.what,
                                     "text", failure.text),
                           err))
            return false;
    }
    return true;
}
