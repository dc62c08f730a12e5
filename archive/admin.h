/* archive/admin.h: what an administrator does to the archive. The CLI's archive verbs are thin layers over this, run inside
 * vitrined (control.sock) or by the CLI that holds the lock itself. Lists call back for each row, in order; the callback
 * returns false to stop. Progress callbacks may be NULL. Nothing here destroys bytes but trash and quarantine purges. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"

struct vt_err;
struct json_t;      /* jansson */

/* Rows and results are JSON objects; the callback borrows them. */
typedef bool (*vt_admin_row)(void *context, struct json_t *row);
/* done/total in `unit` ("instances", "bytes"); total 0: not known. false: stop (VT_E_CANCELLED). */
typedef bool (*vt_admin_progress)(void *context, uint64_t done, uint64_t total, const char *unit);

struct vt_admin {
    struct vt_archive *archive;
    const char *who;                   /* user name, for the log of actions */
    bool committed;                    /* delete also what storage commitment promised to keep */
    const char *elsewhere;             /* an AE title: delete only what that archive committed to, as it is here. NULL: all */
    vt_admin_row row;
    vt_admin_progress progress;
    void *context;
};

/* Studies that match (vt_query words), one row each: PatientID, PatientName, StudyDate, ModalitiesInStudy, counts, bytes ... */
bool vt_admin_study_list(const struct vt_admin *admin, const struct vt_query *query, struct vt_err *err);
/* One study: its series and instances, files, digests. */
bool vt_admin_study_show(const struct vt_admin *admin, const char *study_uid, struct vt_err *err);
/* To the trash (retention); durable. out_trash_id names it for restore. VT_E_DENIED: instances of it were committed
 * (archive/commitment.h), and admin->committed is not set. */
bool vt_admin_study_delete(const struct vt_admin *admin, const char *study_uid, const char *reason, int64_t *out_trash_id,
                           uint64_t *out_instances, struct vt_err *err);
/* A series of a study, or an instance of a series: the same. VT_E_NOTFOUND: it is not there. */
struct vt_admin_part {
    const char *study_uid;
    const char *series_uid;            /* NULL: all of the study */
    const char *sop_uid;               /* NULL: all of the series */
};
bool vt_admin_part_delete(const struct vt_admin *admin, const struct vt_admin_part *part, const char *reason,
                          int64_t *out_trash_id, uint64_t *out_instances, struct vt_err *err);
bool vt_admin_trash_list(const struct vt_admin *admin, struct vt_err *err);
/* The instances that the newest deletion of a study moved to the trash, as far as they are still there. */
bool vt_admin_trash_each(const struct vt_admin *admin, const char *study_uid,
                         bool (*each)(void *context, const struct vt_instance *instance, struct vt_err *err), void *context,
                         struct vt_err *err);
/* By trash id or, when trash_id is 0, the newest deletion of that study, series or instance by its UID. */
bool vt_admin_study_restore(const struct vt_admin *admin, int64_t trash_id, const char *study_uid, uint64_t *out_instances,
                            struct vt_err *err);
/* Removes what is past retention, all when `everything`, a few at a time: others go on storing meanwhile. What is held by a
 * commitment stays, unless admin->committed and `everything`. *out_instances
 * says how many, also when it was cancelled; the next purge goes on with the rest. */
bool vt_admin_trash_purge(const struct vt_admin *admin, bool everything, uint64_t *out_instances, struct vt_err *err);

/* quarantine: arrivals refused as C010/C011. resolve: "accept" (becomes a version and is served), "discard" (to the trash). */
bool vt_admin_quarantine_list(const struct vt_admin *admin, struct vt_err *err);
bool vt_admin_quarantine_show(const struct vt_admin *admin, int64_t id, struct vt_err *err);
bool vt_admin_quarantine_resolve(const struct vt_admin *admin, int64_t id, const char *how, struct vt_err *err);

/* version: instances with more than one. resolve: serve version `keep`, the others go to the trash. */
bool vt_admin_version_list(const struct vt_admin *admin, struct vt_err *err);
bool vt_admin_version_show(const struct vt_admin *admin, const char *sop_uid, struct vt_err *err);
bool vt_admin_version_resolve(const struct vt_admin *admin, const char *sop_uid, uint32_t keep, struct vt_err *err);

/* conflict: studies that came under several patients, patients with several names. resolve: "accept" (as it is) or "to:PATIENTID" */
bool vt_admin_conflict_list(const struct vt_admin *admin, struct vt_err *err);
bool vt_admin_conflict_show(const struct vt_admin *admin, int64_t id, struct vt_err *err);
bool vt_admin_conflict_resolve(const struct vt_admin *admin, int64_t id, const char *how, struct vt_err *err);

/* Patients by ID or ID^^^ISSUER. Files stay untouched; the new identity is applied on the way out. Reversible: undo by id. */
bool vt_admin_patient_merge(const struct vt_admin *admin, const char *from, const char *into, const char *reason,
                            int64_t *out_id, struct vt_err *err);
/* words: KEYWORD=VALUE of patient attributes. */
bool vt_admin_patient_correct(const struct vt_admin *admin, const char *patient, const char *const words[], size_t count,
                              const char *reason, int64_t *out_id, struct vt_err *err);
/* One study under another patient, who must be known; undone as a merge is. study_uid NULL: only says whether
 * the patient is known. */
bool vt_admin_study_move(const struct vt_admin *admin, const char *study_uid, const char *patient, const char *reason,
                         int64_t *out_id, struct vt_err *err);
bool vt_admin_patient_undo(const struct vt_admin *admin, int64_t id, struct vt_err *err);
bool vt_admin_patient_log(const struct vt_admin *admin, struct vt_err *err);

/* Every file against its digest and its row, every row against its file, orphans. A row for each fault. true with *out_faults > 0
 * is a finished check that found some. sha256: rows with SHA-256 for all. */
bool vt_admin_verify(const struct vt_admin *admin, const struct vt_query *query, bool sha256, uint64_t *out_checked,
                     uint64_t *out_faults, struct vt_err *err);
/* Builds a fresh index.db from the objects beside the old one, swaps it in. state.db is not touched. */
bool vt_admin_reindex(const struct vt_admin *admin, uint64_t *out_instances, struct vt_err *err);
/* A consistent copy while running: objects (hard links where the target allows, else copies), index.db, state.db, a manifest. */
bool vt_admin_backup(const struct vt_admin *admin, const char *folder, uint64_t *out_instances, struct vt_err *err);
/* One row: counts, bytes, free space, journal, durability, conflicts, quarantine, trash. */
bool vt_admin_status(const struct vt_admin *admin, struct vt_err *err);
