/* cmd/vitrined_audit.h: the audit trail of the node: [audit] of the configuration, what the rooms'
 * events and the administrators' verbs add to what the services write themselves. */
#pragma once

#include <stdbool.h>

struct vt_audit;
struct vt_conf;
struct vt_err;
struct vt_events;
struct vt_node_audit;

/* Also what [audit] wants when it is off: then vt_node_audit_trail gives NULL. */
struct vt_node_audit *vt_node_audit_open(const struct vt_conf *conf, const char *ae_title,
                                         struct vt_events *events, struct vt_err *err);
/* Writes that the application stops, and what is queued. */
void vt_node_audit_close(struct vt_node_audit *audit);
struct vt_audit *vt_node_audit_trail(struct vt_node_audit *audit); /* NULL: off */
