/* core/audit.h: the audit trail: who did what with whose images, as messages of PS3.15 A.5 (XML).
 *
 * The only place where patient data may be written besides the archive itself. A message is made by the
 * caller's thread and queued; one thread writes: to a file (a message a line), to the local syslog
 * (/dev/log), to a syslog server by UDP (RFC 5424, 5426), or through a `send` function of the caller
 * (cmd has one for TLS, RFC 5425). When the queue is full, messages are counted as lost and that is
 * said in the log and in the trail. Any thread; NULL for the trail: nothing is written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_audit;
struct vt_err;

enum {
    VT_AUDIT_QUEUE_MAX = 8192,       /* messages */
    VT_AUDIT_MESSAGE_MAX = 32 << 10, /* bytes of one */
    VT_AUDIT_OBJECTS_MAX = 4,
    VT_AUDIT_PARTICIPANTS_MAX = 3,
};

/* Event ID (DCM, PS3.16 CID 400). */
enum vt_audit_event {
    VT_AUDIT_APPLICATION = 110100,
    VT_AUDIT_BEGIN_TRANSFERRING = 110102,
    VT_AUDIT_ACCESSED = 110103,
    VT_AUDIT_TRANSFERRED = 110104,
    VT_AUDIT_STUDY_DELETED = 110105,
    VT_AUDIT_EXPORT = 110106,
    VT_AUDIT_IMPORT = 110107,
    VT_AUDIT_PATIENT_RECORD = 110110,
    VT_AUDIT_QUERY = 110112,
    VT_AUDIT_SECURITY_ALERT = 110113,
    VT_AUDIT_USER_AUTHENTICATION = 110114,
};
/* Event Type Code (CID 401); 0: none. */
enum vt_audit_type {
    VT_AUDIT_START = 110120,
    VT_AUDIT_STOP = 110121,
    VT_AUDIT_LOGIN = 110122,
    VT_AUDIT_LOGOUT = 110123,
    VT_AUDIT_NODE_AUTHENTICATION = 110126,
    VT_AUDIT_RESTRICTED_FUNCTION = 110132,
    VT_AUDIT_USER_CHANGED = 110137,
};
enum vt_audit_outcome { VT_AUDIT_SUCCESS = 0, VT_AUDIT_MINOR = 4, VT_AUDIT_SERIOUS = 8 };
/* Role ID Code (CID 402); 0: none. */
enum vt_audit_role {
    VT_AUDIT_ROLE_APPLICATION = 110150,
    VT_AUDIT_ROLE_DESTINATION = 110152,
    VT_AUDIT_ROLE_SOURCE = 110153,
};

/* Text is UTF-8 and may be NULL; what is none becomes '?'. */
struct vt_audit_participant {
    const char *user;     /* a user's name, or the AE title again */
    const char *ae_title;
    const char *network;  /* address */
    bool requestor;
    enum vt_audit_role role;
};
enum vt_audit_kind { VT_AUDIT_STUDY = 1, VT_AUDIT_PATIENT, VT_AUDIT_QUERIED, VT_AUDIT_NODE };
struct vt_audit_object {
    enum vt_audit_kind kind;
    const char *id;         /* Study Instance UID, Patient ID, SOP class of a query, AE title */
    const char *name;       /* of a patient */
    const char *sop_class;  /* of a study's instances; NULL: several */
    uint64_t instances;     /* 0: not known */
    const uint8_t *query;   /* identifier of a query, as it came */
    size_t query_size;
    const char *query_syntax;
};
struct vt_audit_message {
    enum vt_audit_event event;
    enum vt_audit_type type;
    char action; /* C create, R read, U update, D delete, E execute */
    enum vt_audit_outcome outcome;
    const char *text; /* outcome description; NULL: none */
    struct vt_audit_participant participants[VT_AUDIT_PARTICIPANTS_MAX]; /* up to the first without user */
    struct vt_audit_object objects[VT_AUDIT_OBJECTS_MAX];                /* up to the first without kind */
};

struct vt_audit_options {
    /* "file:/path", "syslog", "udp:HOST:PORT", or "send" with the function below. */
    const char *target;
    const char *source; /* Audit Source ID: our AE title */
    /* One whole syslog message; false: not delivered, it is tried again after a while. */
    bool (*send)(void *context, const char *message, size_t size, struct vt_err *err);
    void *send_context;
};

/* NULL: the target makes no sense, or the file cannot be opened. */
struct vt_audit *vt_audit_open(const struct vt_audit_options *options, struct vt_err *err);
/* Writes what is queued (at most a few seconds), closes. */
void vt_audit_free(struct vt_audit *audit);
VT_DEFINE_AUTO(vt_audit)

/* Never waits for the target. */
void vt_audit_write(struct vt_audit *audit, const struct vt_audit_message *message);

/* The XML alone, appended: what the tests read. */
struct vt_buf;
bool vt_audit_xml(const struct vt_audit_message *message, const char *source, int64_t wall,
                  struct vt_buf *out, struct vt_err *err);
