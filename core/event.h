/* core/event.h: what happened, told to whoever asked.
 *
 * Rooms publish, cmd subscribes and forwards (log, console, jobs, hooks). Subscribers are called in the
 * publisher's thread, outside any lock, in the order of subscription: they must be quick and must not
 * publish the same kind again. `detail` is JSON text or NULL, valid during the call only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_events;

enum { VT_EVENT_SUBSCRIBERS_MAX = 16 };

struct vt_event {
    const char *kind;      /* "instance.stored", "study.deleted", "volume.full" ... */
    const char *subject;   /* a UID, a VM, a volume; "" if none */
    const char *detail;    /* JSON or NULL */
    int64_t time;          /* wall ns; filled by vt_events_publish */
};

typedef void (*vt_event_fn)(void *context, const struct vt_event *event);

struct vt_events *vt_events_new(void);   /* NULL when out of memory */
void vt_events_free(struct vt_events *events);
VT_DEFINE_AUTO(vt_events)

/* kind NULL: all; a kind that ends in '.': that family. VT_E_LIMIT. Before threads start or at any time. */
bool vt_events_subscribe(struct vt_events *events, const char *kind, vt_event_fn fn, void *context,
                         struct vt_err *err);

/* events may be NULL: nobody listens. */
void vt_events_publish(struct vt_events *events, const char *kind, const char *subject, const char *detail);
