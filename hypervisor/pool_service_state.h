/* hypervisor/pool_service_state.h: what the files of the service share; nobody else includes it. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/un.h>

#include "core/buf.h"
#include "hypervisor/client.h"
#include "hypervisor/pool_service.h"

struct json_t;

enum { VT_CALL_CHATTER_MAX = 4096 }; /* behind the request only {"cancel":true} is said */

/* One caller. */
struct vt_pool_call {
    struct vt_service *service;
    pthread_t thread;
    int fd; /* the accepting thread opens and closes it */
    uid_t uid;
    bool is_console;
    bool used;            /* of the accepting thread: fd and thread are there */
    atomic_bool finished; /* the thread is about to end */

    /* of the caller's thread */
    char who[VT_SERVICE_WHO_MAX];
    const struct vt_pool_verb *verb;
    struct json_t *request;
    const char **args;
    size_t arg_count;
    struct vt_buf in, out;
    size_t in_used;
    bool gone, cancelled, hold, asked;
    bool raw; /* the verb speaks to the caller itself */
    bool lost; /* something that was said, for lack of memory */
    int status;
    char *question, *word; /* asked instead of answered */
};

/* A reader of events (pool_events.c). */
struct vt_reader {
    struct vt_reader *next;
    char *lines[VT_SERVICE_EVENTS_MAX]; /* a ring */
    size_t first, count, lost;
    int wake;
};

struct vt_service {
    struct sockaddr_un address; /* fixed after _start, as is all up to the lock */
    int folder, listener, wake;
    bool bound, running;
    pthread_t thread;
    int64_t begun; /* wall ns */
    struct vt_keeper *keepers[VT_SERVICE_POOLS_MAX];
    size_t keeper_count;
    const struct vt_pool_module *modules[VT_SERVICE_MODULES_MAX];
    size_t module_count, started;
    atomic_bool stopping;

    struct vt_pool_call callers[VT_SERVICE_CALLERS]; /* of the accepting thread */

    pthread_mutex_t lock; /* guards what follows */
    struct vt_service_options options; /* .socket is ours */
    double allowance;                  /* changes the console may still make */
    int64_t allowance_at;              /* mono ns */
    struct vt_reader *readers;
    size_t serving;
};

/* ---- pool_call.c ---- */

/* Serves one caller to its end. */
void vt_call_serve(struct vt_pool_call *call);
/* {"event":<json>} */
bool vt_call_event(struct vt_pool_call *call, const char *json, size_t size);

/* ---- pool_events.c ---- */

/* "status", "events", "task.list", "task.cancel"; ends with a NULL name. */
extern const struct vt_pool_verb vt_service_verbs[];

/* Publishes what the keeper tells. */
bool vt_service_watch(struct vt_service *service, struct vt_keeper *keeper, struct vt_err *err);

/* ---- pool_audit.c ---- */

/* May this caller do that? VT_E_DENIED, VT_E_BUSY (too many). Names the person in call->who. */
bool vt_call_may(struct vt_pool_call *call, const struct vt_pool_verb *verb, struct vt_err *err);
/* A line in audit.log of the first pool's folder, and in the log. err: how it ended. */
void vt_call_audit(struct vt_pool_call *call, const struct vt_pool_verb *verb,
                   const struct vt_err *err);
