/* cmd/vitrined_burn.h: discs for a production centre: `vitrine export ... --burn NAME` is a job of the kind "burn".
 *
 *   [burner "ROBOT"]
 *   adapter = folder        a folder that the production centre watches, or: command
 *   folder = /srv/burn      where its jobs lie; for a command: where the image lies meanwhile
 *   command = xorriso -as cdrecord -v dev=/dev/sr0 %i
 *   label = PatientName PatientID StudyDate
 *   copies = 1   capacity = 700M   profile = STD-GEN-CD   poll = 2s   timeout = 2h
 *
 * Each disc is a folder VT<job>-<token>-<disc> with an ISO image of that name and job.ini, which appears whole. The production centre
 * writes status.txt into it: "queued", "burning", "done" (then the folder is removed), or "failed" and the reason. The cursor of the job is
 * {"written":N} while it is exported, then {"discs":N,"states":["queued",...],"reason":"..."}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t;
struct vt_admin_call;
struct vt_conf;
struct vt_err;
struct vt_job_world;

enum { VT_BURN_ARGUMENTS_MAX = 64, VT_BURN_COMMAND_MAX = 2048, VT_BURN_REASON_MAX = 160, VT_BURN_COPIES_MAX = 100, VT_BURN_NAME_MAX = 40 };

enum vt_burn_state { VT_BURN_WAITING, VT_BURN_QUEUED, VT_BURN_BURNING, VT_BURN_DONE, VT_BURN_FAILED, VT_BURN_STATES };
const char *vt_burn_state_name(enum vt_burn_state state);

struct vt_burner {
    const char *name, *folder, *command, *label, *profile;   /* of the configuration */
    bool runs_command;
    uint64_t capacity;
    int64_t copies, poll, timeout;
};
/* VT_E_NOTFOUND: no such section; VT_E_INVALID: what is wrong in it. */
bool vt_burner_read(const struct vt_conf *conf, const char *name, struct vt_burner *out, struct vt_err *err);

/* For the verb `export`: option burn, label, copies. */
bool vt_burn_later(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);

/* What a production centre said: "failed no medium" and so on. What is not understood is as before. Pure. */
enum vt_burn_state vt_burn_status(const char *text, size_t size, enum vt_burn_state before,
                                  char reason[static VT_BURN_REASON_MAX + 1]);

/* ---- one disc ---- */

struct vt_burn_disc {
    const struct vt_burner *burner;
    const char *name;              /* "VT17-8f3a01c2": the job, and what no other archive's job of that number has */
    size_t number, discs;          /* from 1 */
    const char *image;             /* where the export wrote it; moves into the folder of the disc */
    const char *label;             /* lines of job.ini */
    const char *who;
    int64_t copies;
    int stop_fd;                   /* readable: stop */
};
/* Its folder, whole or not at all. Once there, it stays as it is. */
bool vt_burn_put(const struct vt_burn_disc *disc, struct vt_err *err);
/* Folder: reads the status. Command: burns it now. */
bool vt_burn_look(const struct vt_burn_disc *disc, enum vt_burn_state *state, char reason[static VT_BURN_REASON_MAX + 1],
                  struct vt_err *err);
/* One that failed begins anew. */
void vt_burn_again(const struct vt_burn_disc *disc);
/* One that nobody burns goes; one that is being burned gets a file "cancel". */
void vt_burn_withdraw(const struct vt_burn_disc *disc, enum vt_burn_state state);
