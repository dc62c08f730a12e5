#include "console/web_trail.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "archive/study_patient.h"
#include "console/console_inside.h"
#include "console/http_inside.h"
#include "core/audit.h"
#include "core/clock.h"
#include "core/err.h"

#define STUDY_ROOT_FIND "1.2.840.10008.5.1.4.1.2.2.1" /* what a search would be by DIMSE */

struct slot {
    uint64_t key;
    int64_t until; /* monotonic ns */
};

struct vt_web_trail {
    struct vt_audit *audit;
    struct vt_archive *archive;
    const char *ae_title;
    pthread_mutex_t lock;
    struct slot slots[VT_WEB_TRAIL_SLOTS]; /* guarded by lock */
};

struct vt_web_trail *vt_web_trail_new(struct vt_audit *audit, struct vt_archive *archive, const char *ae_title)
{
    struct vt_web_trail *trail = calloc(1, sizeof *trail);

    if (!trail)
        return NULL;
    trail->audit = audit;
    trail->archive = archive;
    trail->ae_title = ae_title;
    pthread_mutex_init(&trail->lock, NULL);
    return trail;
}

void vt_web_trail_free(struct vt_web_trail *trail)
{
    if (!trail)
        return;
    pthread_mutex_destroy(&trail->lock);
    free(trail);
}

/* ---- once in a while ---- */

/* FNV-1a. Two that meet are written once where it should be twice: one in 2^64. */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (hash ^ 0xff) * UINT64_C(1099511628211);
}

static bool is_new(struct vt_web_trail *trail, const struct vt_request *request, const char *what, const char *which)
{
    uint64_t key = UINT64_C(14695981039346656037);
    int64_t now = vt_clock_mono();

    key = mix(mix(mix(mix(key, vt_request_user(request)), vt_request_address(request)), what), which);
    pthread_mutex_lock(&trail->lock);
    struct slot *slot = &trail->slots[key % VT_WEB_TRAIL_SLOTS];
    bool fresh = slot->key != key || now >= slot->until;
    if (fresh)
        *slot = (struct slot){ key, now + VT_WEB_TRAIL_WINDOW_S * VT_NS_PER_S };
    pthread_mutex_unlock(&trail->lock);
    return fresh;
}

/* ---- messages ---- */

static void put_people(const struct vt_web_trail *trail, const struct vt_request *request, struct vt_audit_message *message)
{
    const char *user = vt_request_user(request);

    message->participants[0] = (struct vt_audit_participant){ .user = *user ? user : "anonymous",
                                                              .network = vt_request_address(request),
                                                              .requestor = true };
    message->participants[1] = (struct vt_audit_participant){ .user = trail->ae_title, .ae_title = trail->ae_title };
}

static void put_study(struct vt_audit_message *message, const char *study_uid, uint64_t instances,
                      const struct vt_study_patient *patient)
{
    message->objects[0] = (struct vt_audit_object){ .kind = VT_AUDIT_STUDY, .id = study_uid, .instances = instances };
    message->objects[1] = (struct vt_audit_object){ .kind = VT_AUDIT_PATIENT, .id = patient->id, .name = patient->name };
}

static void write_read(struct vt_web_trail *trail, const struct vt_request *request, enum vt_audit_event event, bool whole)
{
    struct vt_audit_message message = { .event = event, .action = 'R', .outcome = whole ? VT_AUDIT_SUCCESS : VT_AUDIT_MINOR,
                                        .text = whole ? NULL : "it broke off" };
    struct vt_study_patient patient;

    put_people(trail, request, &message);
    if (event == VT_AUDIT_TRANSFERRED) {
        message.participants[0].role = VT_AUDIT_ROLE_DESTINATION;
        message.participants[1].role = VT_AUDIT_ROLE_SOURCE;
    }
    vt_study_patient(trail->archive, vt_request_part(request, 0), &patient);
    put_study(&message, vt_request_part(request, 0), *vt_request_part(request, 2) ? 1 : 0, &patient);
    vt_audit_write(trail->audit, &message);
}

/* As it was asked, the parameters decoded. */
static bool query_text(const struct vt_request *request, struct vt_buf *out)
{
    const char *key, *value;
    struct vt_err err = { 0 };
    bool ok = vt_buf_append_text(out, vt_request_path(request), &err);

    for (size_t i = 0; ok && vt_request_query_at(request, i, &key, &value); i++)
        ok = vt_buf_printf(out, &err, "%c%s=%s", i == 0 ? '?' : '&', key, value);
    return ok && vt_buf_string(out, &err);
}

static void write_query(struct vt_web_trail *trail, const struct vt_request *request)
{
    struct vt_audit_message message = { .event = VT_AUDIT_QUERY, .action = 'E' };
    VT_AUTO_BUF(text, VT_HTTP_MEMORY * 2);

    if (!query_text(request, &text) || !is_new(trail, request, "query", (const char *)text.data))
        return;
    put_people(trail, request, &message);
    message.participants[0].role = VT_AUDIT_ROLE_SOURCE;
    message.participants[1].role = VT_AUDIT_ROLE_DESTINATION;
    message.objects[0] =
        (struct vt_audit_object){ .kind = VT_AUDIT_QUERIED, .id = STUDY_ROOT_FIND, .query = text.data, .query_size = text.size };
    vt_audit_write(trail->audit, &message);
}

void vt_web_trail_stored(struct vt_web_trail *trail, const struct vt_request *request, const char *study_uid, uint64_t instances)
{
    struct vt_audit_message message = { .event = VT_AUDIT_TRANSFERRED, .action = 'C' };
    struct vt_study_patient patient;

    if (!trail)
        return;
    put_people(trail, request, &message);
    message.participants[0].role = VT_AUDIT_ROLE_SOURCE;
    message.participants[1].role = VT_AUDIT_ROLE_DESTINATION;
    vt_study_patient(trail->archive, study_uid, &patient);
    put_study(&message, study_uid, instances, &patient);
    vt_audit_write(trail->audit, &message);
}

void vt_web_trail_deleted(struct vt_web_trail *trail, const struct vt_request *request, const char *study_uid,
                          const struct vt_study_patient *patient, uint64_t instances, bool done)
{
    struct vt_audit_message message = { .event = VT_AUDIT_STUDY_DELETED, .action = 'D',
                                        .outcome = done ? VT_AUDIT_SUCCESS : VT_AUDIT_MINOR };

    if (!trail)
        return;
    message.text = done ? NULL : "nothing was deleted";
    put_people(trail, request, &message);
    put_study(&message, study_uid, instances, patient);
    vt_audit_write(trail->audit, &message);
}

/* ---- which request is what ---- */

enum reading { NOT_READ, SEARCHED, LOOKED_AT, FETCHED };

/* By what the route's path ends with; the longest that fits stands first. */
static enum reading reading_of(const struct vt_route *route)
{
    static const struct {
        const char *end;
        enum reading reading;
    } rows[] = {
        { "/studies", SEARCHED },     { "/series", SEARCHED },       { "/instances", SEARCHED }, { "/metadata", LOOKED_AT },
        { "/rendered", LOOKED_AT },   { "/thumbnail", LOOKED_AT },   { "/frames/*", LOOKED_AT }, { "/bulkdata/**", LOOKED_AT },
        { "/file", FETCHED },         { "/original", FETCHED },      { "/studies/*", FETCHED },  { "/series/*", FETCHED },
        { "/instances/*", FETCHED },
    };
    size_t length = strlen(route->path);

    if (strncmp(route->path, VT_DICOM_WEB "/", strlen(VT_DICOM_WEB "/")) != 0 || strcmp(route->method, "GET") != 0)
        return NOT_READ;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        size_t end = strlen(rows[i].end);
        if (length >= end && strcmp(route->path + length - end, rows[i].end) == 0)
            return rows[i].reading;
    }
    return NOT_READ;
}

void vt_web_trail_answered(struct vt_web_trail *trail, const struct vt_request *request, unsigned status, bool whole)
{
    bool given = status == 200 || status == 204 || status == 206 || status == 304;

    if (!trail || !request->route || !given || strcmp(vt_request_method(request), "HEAD") == 0)
        return;
    enum reading reading = reading_of(request->route);
    if (reading == SEARCHED)
        write_query(trail, request);
    else if (reading == LOOKED_AT && is_new(trail, request, "look", vt_request_part(request, 0)))
        write_read(trail, request, VT_AUDIT_ACCESSED, true);
    else if (reading == FETCHED && is_new(trail, request, whole ? "fetch" : "part", vt_request_path(request)))
        write_read(trail, request, VT_AUDIT_TRANSFERRED, whole);
}
