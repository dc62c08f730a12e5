#include "scp/trail.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/study_patient.h"
#include "core/audit.h"
#include "core/err.h"
#include "dicom/element.h"
#include "scp/session.h"


struct counted {
    char study_uid[VT_UID_MAX + 1], sop_class[VT_UID_MAX + 1]; /* class "": several */
    uint64_t instances;
};

struct vt_trail {
    pthread_mutex_t lock;
    /* guarded by lock */
    struct counted studies[VT_TRAIL_STUDIES];
    size_t count;
};

struct vt_trail *vt_trail_new(const struct vt_session *session)
{
    struct vt_trail *trail = session->options->audit ? calloc(1, sizeof *trail) : NULL;

    if (trail)
        pthread_mutex_init(&trail->lock, NULL);
    return trail;
}

static void trail_free(struct vt_trail *trail)
{
    if (!trail)
        return;
    pthread_mutex_destroy(&trail->lock);
    free(trail);
}

/* Under the lock. true: it is the study's first. */
static bool count(struct vt_trail *trail, const char *study_uid, const char *sop_class)
{
    struct counted *study = NULL;

    for (size_t i = trail->count; i > 0 && !study; i--)
        if (strcmp(trail->studies[i - 1].study_uid, study_uid) == 0)
            study = &trail->studies[i - 1];
    bool first = !study;
    if (first) {
        study = &trail->studies[trail->count < VT_TRAIL_STUDIES ? trail->count++
                                                                : VT_TRAIL_STUDIES - 1];
        *study = (struct counted){ .instances = 0 };
        snprintf(study->study_uid, sizeof study->study_uid, "%s", study_uid);
        snprintf(study->sop_class, sizeof study->sop_class, "%s", sop_class);
    }
    if (strcmp(study->sop_class, sop_class) != 0)
        study->sop_class[0] = '\0';
    study->instances++;
    return first;
}

void vt_trail_add(struct vt_trail *trail, const char *study_uid, const char *sop_class)
{
    if (!trail || !*study_uid)
        return;
    pthread_mutex_lock(&trail->lock);
    count(trail, study_uid, sop_class);
    pthread_mutex_unlock(&trail->lock);
}

/* ---- messages ---- */

static struct vt_audit_participant peer_of(const struct vt_session *session)
{
    return (struct vt_audit_participant){ .user = session->calling_ae_title,
                                          .ae_title = session->calling_ae_title,
                                          .network = session->host,
                                          .requestor = true };
}

static struct vt_audit_participant us(const struct vt_session *session)
{
    return (struct vt_audit_participant){ .user = session->options->ae_title,
                                          .ae_title = session->options->ae_title };
}

static void write_study(const struct vt_session *session, const struct counted *study,
                        enum vt_audit_event event, bool stored, const char *destination)
{
    struct vt_audit_message message = { .event = event, .action = stored ? 'C' : 'R' };
    struct vt_study_patient patient;

    if (event == VT_AUDIT_BEGIN_TRANSFERRING)
        message.action = 'E';
    vt_study_patient(session->options->archive, study->study_uid, &patient);
    message.participants[0] = peer_of(session);
    message.participants[1] = us(session);
    message.participants[stored ? 0 : 1].role = VT_AUDIT_ROLE_SOURCE;
    message.participants[stored ? 1 : 0].role = VT_AUDIT_ROLE_DESTINATION;
    if (!stored && strcmp(destination, session->calling_ae_title) != 0) {
        message.participants[0].role = 0;
        message.participants[2] = (struct vt_audit_participant){
            .user = destination, .ae_title = destination, .role = VT_AUDIT_ROLE_DESTINATION
        };
    }
    message.objects[0] = (struct vt_audit_object){ .kind = VT_AUDIT_STUDY,
                                                   .id = study->study_uid,
                                                   .sop_class = study->sop_class,
                                                   .instances = study->instances };
    message.objects[1] = (struct vt_audit_object){ .kind = VT_AUDIT_PATIENT,
                                                   .id = patient.id,
                                                   .name = patient.name };
    vt_audit_write(session->options->audit, &message);
}

static void flush(const struct vt_session *session, struct vt_trail *trail, bool stored,
                  const char *destination)
{
    for (size_t i = 0; i < trail->count; i++)
        write_study(session, &trail->studies[i], VT_AUDIT_TRANSFERRED, stored, destination);
    trail->count = 0;
}

/* ---- what came ---- */

void vt_trail_room_stored(struct vt_session *session, struct vt_trail *trail)
{
    if (!trail)
        return;
    pthread_mutex_lock(&trail->lock);
    if (trail->count == VT_TRAIL_STUDIES)
        flush(session, trail, true, NULL);
    pthread_mutex_unlock(&trail->lock);
}

void vt_trail_end_stored(struct vt_session *session, struct vt_trail *trail)
{
    if (trail)
        flush(session, trail, true, NULL);
    trail_free(trail);
}

/* ---- what went ---- */

void vt_trail_sent(struct vt_session *session, struct vt_trail *trail, const char *destination,
                   const char *study_uid, const char *sop_class)
{
    if (!trail)
        return;
    pthread_mutex_lock(&trail->lock);
    if (trail->count == VT_TRAIL_STUDIES)
        flush(session, trail, false, destination);
    if (count(trail, study_uid, sop_class)) {
        struct counted begun = { .instances = 0 };
        snprintf(begun.study_uid, sizeof begun.study_uid, "%s", study_uid);
        write_study(session, &begun, VT_AUDIT_BEGIN_TRANSFERRING, false, destination);
    }
    pthread_mutex_unlock(&trail->lock);
}

void vt_trail_end_sent(struct vt_session *session, struct vt_trail *trail, const char *destination)
{
    if (trail)
        flush(session, trail, false, destination);
    trail_free(trail);
}

/* ---- queries, users ---- */

void vt_trail_query(const struct vt_session *session, uint8_t context_id)
{
    const struct vt_context *context = vt_assoc_context(session->assoc, context_id);
    struct vt_audit_message message = { .event = VT_AUDIT_QUERY, .action = 'E' };

    if (!session->options->audit)
        return;
    message.participants[0] = peer_of(session);
    message.participants[0].role = VT_AUDIT_ROLE_SOURCE;
    message.participants[1] = us(session);
    message.participants[1].role = VT_AUDIT_ROLE_DESTINATION;
    message.objects[0] = (struct vt_audit_object){ .kind = VT_AUDIT_QUERIED,
                                                   .id = context->abstract_syntax,
                                                   .query = session->identifier.data,
                                                   .query_size = session->identifier.size,
                                                   .query_syntax = context->transfer_syntax };
    vt_audit_write(session->options->audit, &message);
}

void vt_trail_user(const struct vt_session *session, const char *user, bool accepted)
{
    struct vt_audit_message message = { .event = VT_AUDIT_USER_AUTHENTICATION,
                                        .type = VT_AUDIT_LOGIN,
                                        .action = 'E',
                                        .outcome = accepted ? VT_AUDIT_SUCCESS : VT_AUDIT_MINOR };

    message.participants[0] = peer_of(session);
    message.participants[0].user = *user ? user : "none";
    message.participants[1] = us(session);
    vt_audit_write(session->options->audit, &message);
}
