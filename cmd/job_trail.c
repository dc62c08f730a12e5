#include "cmd/job_trail.h"

#include <stddef.h>

#include "archive/study_patient.h"
#include "cmd/vitrined_jobs.h"
#include "core/audit.h"
#include "scu/peers.h"

static void write_message(const struct vt_job_world *world, const struct vt_job_run *run,
                          const struct vt_peer *peer, const char *study_uid, bool fetched,
                          uint64_t instances, struct vt_audit_message *message)
{
    const char *ours = peer->local_ae_title ? peer->local_ae_title : world->ae_title;
    struct vt_study_patient patient;

    if (!world->audit)
        return;
    vt_study_patient(world->archive, study_uid, &patient);
    message->participants[0] = (struct vt_audit_participant){
        .user = ours,
        .ae_title = ours,
        .requestor = true,
        .role = fetched ? VT_AUDIT_ROLE_DESTINATION : VT_AUDIT_ROLE_SOURCE,
    };
    message->participants[1] = (struct vt_audit_participant){
        .user = peer->ae_title,
        .ae_title = peer->ae_title,
        .network = peer->host,
        .role = fetched ? VT_AUDIT_ROLE_SOURCE : VT_AUDIT_ROLE_DESTINATION,
    };
    /* A user, a rule. */
    if (*vt_job_of(run)->who)
        message->participants[2] =
            (struct vt_audit_participant){ .user = vt_job_of(run)->who, .requestor = true };
    message->objects[0] = (struct vt_audit_object){ .kind = VT_AUDIT_STUDY,
                                                    .id = study_uid,
                                                    .instances = instances };
    message->objects[1] = (struct vt_audit_object){ .kind = VT_AUDIT_PATIENT,
                                                    .id = patient.id,
                                                    .name = patient.name };
    vt_audit_write(world->audit, message);
}

void vt_job_trail_begin(const struct vt_job_world *world, const struct vt_job_run *run,
                        const struct vt_peer *peer, const char *study_uid)
{
    struct vt_audit_message message = { .event = VT_AUDIT_BEGIN_TRANSFERRING, .action = 'E' };

    write_message(world, run, peer, study_uid, false, 0, &message);
}

void vt_job_trail_end(const struct vt_job_world *world, const struct vt_job_run *run,
                      const struct vt_peer *peer, const char *study_uid, bool fetched,
                      uint64_t instances, const char *failure)
{
    struct vt_audit_message message = { .event = VT_AUDIT_TRANSFERRED,
                                        .action = fetched ? 'C' : 'R',
                                        .outcome = failure ? VT_AUDIT_MINOR : VT_AUDIT_SUCCESS,
                                        .text = failure };

    if (instances > 0 || failure)
        write_message(world, run, peer, study_uid, fetched, instances, &message);
}
