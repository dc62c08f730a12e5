/* cmd/arrivals_recover.h: arrivals that the index has and no job knows: what a process that died had gathered
 * and not handed out. Only for cmd/arrivals*.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_archive;
struct vt_err;
struct vt_jobs;

struct vt_arrival {
    char study_uid[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1], ae_title[VT_AE_TITLE_MAX + 1];
    int64_t at; /* wall ns */
    bool new_study;
};

/* All that arrived at `since` or later (wall ns), but what stands in the "instances" of jobs made since by `who...`. */
bool vt_arrivals_recover(struct vt_archive *archive, struct vt_jobs *jobs, const char *who, int64_t since,
                         bool (*arrival)(void *context, const struct vt_arrival *arrival), void *context,
                         struct vt_err *err);
