/* scp/tell.h: events of this room, with a small JSON object as detail. Allocates nothing, so that
 * it can tell of a lack of memory. */
#pragma once

struct vt_events;

/* vt_tell(events, "association.refused", title, "host", host, "reason", "limit", NULL): names and
 * values, all text. What is no printable ASCII becomes '?', since peers choose some of it; a
 * detail that grows too long loses its last pairs. */
void vt_tell(struct vt_events *events, const char *kind, const char *subject, ...)
    __attribute__((sentinel));
