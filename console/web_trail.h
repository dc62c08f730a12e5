/* console/web_trail.h: what the audit trail (core/audit.h, PS3.15 A.5) is told of DICOMweb: searches, what was looked at, what came
 * and went, what was deleted, by whom and from where. Who leafs through a study asks thousands of times: the same user at
 * the same address is written once in VT_WEB_TRAIL_WINDOW_S for the same study, file or search. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_archive;
struct vt_audit;
struct vt_request;
struct vt_study_patient;
struct vt_web_trail;

enum { VT_WEB_TRAIL_WINDOW_S = 600, VT_WEB_TRAIL_SLOTS = 4096 };

/* What it is given is borrowed. NULL: out of memory. */
struct vt_web_trail *vt_web_trail_new(struct vt_audit *audit, struct vt_archive *archive, const char *ae_title);
void vt_web_trail_free(struct vt_web_trail *trail);
VT_DEFINE_AUTO(vt_web_trail)

/* For all of these NULL is fine: nothing is written. */

/* A request is over; `whole`: all of the answer was sent. Searches and what was read are written. */
void vt_web_trail_answered(struct vt_web_trail *trail, const struct vt_request *request, unsigned status, bool whole);
/* Instances of a study were stored. */
void vt_web_trail_stored(struct vt_web_trail *trail, const struct vt_request *request, const char *study_uid, uint64_t instances);
/* The patient is that of the study before. */
void vt_web_trail_deleted(struct vt_web_trail *trail, const struct vt_request *request, const char *study_uid,
                          const struct vt_study_patient *patient, uint64_t instances, bool done);
