/* A message as XML of PS3.15 A.5.1: the schema's attribute names are csd-code and codeSystemName. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "core/audit.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

struct xml {
    struct vt_buf *out;
    struct vt_err *err;
    bool ok;
};

static void raw(struct xml *xml, const char *text)
{
    xml->ok = xml->ok && vt_buf_append_text(xml->out, text, xml->err);
}

/* Length of the UTF-8 character at p; 0: it is none. */
static size_t character(const unsigned char *p)
{
    size_t length = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static void escaped(struct xml *xml, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p && xml->ok;) {
        size_t length = character(p);
        if (*p == '&')
            raw(xml, "&amp;");
        else if (*p == '<')
            raw(xml, "&lt;");
        else if (*p == '"')
            raw(xml, "&quot;");
        else if (length == 0 || *p < ' ')
            raw(xml, "?");
        else
            xml->ok = vt_buf_append(xml->out, p, length, xml->err);
        p += length ? length : 1;
    }
}

static void attribute(struct xml *xml, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    raw(xml, " ");
    raw(xml, name);
    raw(xml, "=\"");
    escaped(xml, value);
    raw(xml, "\"");
}

static const struct {
    int code;
    const char *meaning;
} meanings[] = {
    { VT_AUDIT_APPLICATION, "Application Activity" },
    { VT_AUDIT_BEGIN_TRANSFERRING, "Begin Transferring DICOM Instances" },
    { VT_AUDIT_ACCESSED, "DICOM Instances Accessed" },
    { VT_AUDIT_TRANSFERRED, "DICOM Instances Transferred" },
    { VT_AUDIT_STUDY_DELETED, "DICOM Study Deleted" },
    { VT_AUDIT_EXPORT, "Export" },
    { VT_AUDIT_IMPORT, "Import" },
    { VT_AUDIT_PATIENT_RECORD, "Patient Record" },
    { VT_AUDIT_QUERY, "Query" },
    { VT_AUDIT_SECURITY_ALERT, "Security Alert" },
    { VT_AUDIT_USER_AUTHENTICATION, "User Authentication" },
    { VT_AUDIT_START, "Application Start" },
    { VT_AUDIT_STOP, "Application Stop" },
    { VT_AUDIT_LOGIN, "Login" },
    { VT_AUDIT_LOGOUT, "Logout" },
    { VT_AUDIT_NODE_AUTHENTICATION, "Node Authentication" },
    { VT_AUDIT_RESTRICTED_FUNCTION, "Use of Restricted Function" },
    { VT_AUDIT_USER_CHANGED, "User Security Attributes Changed" },
    { VT_AUDIT_ROLE_APPLICATION, "Application" },
    { VT_AUDIT_ROLE_DESTINATION, "Destination Role ID" },
    { VT_AUDIT_ROLE_SOURCE, "Source Role ID" },
};

static void code(struct xml *xml, const char *element, int number)
{
    const char *meaning = "";

    if (number == 0 || !xml->ok)
        return;
    for (size_t i = 0; i < VT_COUNT(meanings); i++)
        if (meanings[i].code == number)
            meaning = meanings[i].meaning;
    xml->ok = vt_buf_printf(xml->out, xml->err,
                            "<%s csd-code=\"%d\" codeSystemName=\"DCM\" originalText=\"%s\"/>",
                            element, number, meaning);
}

static void event(struct xml *xml, const struct vt_audit_message *message, int64_t wall)
{
    char time[VT_CLOCK_TEXT_MAX];

    vt_clock_text(wall, time);
    xml->ok = xml->ok && vt_buf_printf(xml->out, xml->err,
                                       "<EventIdentification EventActionCode=\"%c\" "
                                       "EventDateTime=\"%s\" EventOutcomeIndicator=\"%d\">",
                                       message->action, time, (int)message->outcome);
    code(xml, "EventID", (int)message->event);
    code(xml, "EventTypeCode", (int)message->type);
    if (message->text) {
        raw(xml, "<EventOutcomeDescription>");
        escaped(xml, message->text);
        raw(xml, "</EventOutcomeDescription>");
    }
    raw(xml, "</EventIdentification>");
}

static void participant(struct xml *xml, const struct vt_audit_participant *who)
{
    raw(xml, "<ActiveParticipant");
    attribute(xml, "UserID", who->user);
    if (who->ae_title && *who->ae_title) {
        raw(xml, " AlternativeUserID=\"AETITLES=");
        escaped(xml, who->ae_title);
        raw(xml, "\"");
    }
    attribute(xml, "UserIsRequestor", who->requestor ? "true" : "false");
    if (who->network && *who->network) {
        attribute(xml, "NetworkAccessPointID", who->network);
        attribute(xml, "NetworkAccessPointTypeCode", "2");
    }
    raw(xml, ">");
    code(xml, "RoleIDCode", (int)who->role);
    raw(xml, "</ActiveParticipant>");
}

static void base64(struct xml *xml, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t at = 0; at < size && xml->ok; at += 3) {
        size_t left = size - at;
        uint32_t group = (uint32_t)bytes[at] << 16 | (left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0) |
                         (left > 2 ? bytes[at + 2] : 0);
        char out[5] = { digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '=',
                        '\0' };
        raw(xml, out);
    }
}

/* Object type and role, and the code of its identifier (PS3.15 A.5.2). */
static const struct {
    const char *type, *role, *id_type;
} kinds[] = {
    [VT_AUDIT_STUDY] = { "2", "3",
                         "csd-code=\"110180\" codeSystemName=\"DCM\" originalText=\"Study Instance UID\"" },
    [VT_AUDIT_PATIENT] = { "1", "1",
                           "csd-code=\"2\" codeSystemName=\"RFC-3881\" originalText=\"Patient Number\"" },
    [VT_AUDIT_QUERIED] = { "2", "3",
                           "csd-code=\"110181\" codeSystemName=\"DCM\" originalText=\"SOP Class UID\"" },
    [VT_AUDIT_NODE] = { "2", "13",
                        "csd-code=\"110182\" codeSystemName=\"DCM\" originalText=\"Node ID\"" },
};

enum { QUERY_SHOWN_MAX = 12 << 10 };

static void query(struct xml *xml, const struct vt_audit_object *object)
{
    if (!object->query)
        return;
    raw(xml, "<ParticipantObjectQuery>");
    base64(xml, object->query, object->query_size < QUERY_SHOWN_MAX ? object->query_size : QUERY_SHOWN_MAX);
    raw(xml, "</ParticipantObjectQuery>");
    if (object->query_syntax) {
        raw(xml, "<ParticipantObjectDetail type=\"TransferSyntax\" value=\"");
        base64(xml, (const uint8_t *)object->query_syntax, strlen(object->query_syntax));
        raw(xml, "\"/>");
    }
}

static void instances(struct xml *xml, const struct vt_audit_object *object)
{
    if (object->kind != VT_AUDIT_STUDY || object->instances == 0)
        return;
    raw(xml, "<ParticipantObjectDescription><SOPClass");
    attribute(xml, "UID", object->sop_class);
    xml->ok = xml->ok && vt_buf_printf(xml->out, xml->err, " NumberOfInstances=\"%" PRIu64 "\"/>",
                                       object->instances);
    raw(xml, "</ParticipantObjectDescription>");
}

static void object(struct xml *xml, const struct vt_audit_object *object)
{
    raw(xml, "<ParticipantObjectIdentification");
    attribute(xml, "ParticipantObjectID", object->id && *object->id ? object->id : "none");
    attribute(xml, "ParticipantObjectTypeCode", kinds[object->kind].type);
    attribute(xml, "ParticipantObjectTypeCodeRole", kinds[object->kind].role);
    raw(xml, "><ParticipantObjectIDTypeCode ");
    raw(xml, kinds[object->kind].id_type);
    raw(xml, "/>");
    if (object->kind == VT_AUDIT_PATIENT && object->name && *object->name) {
        raw(xml, "<ParticipantObjectName>");
        escaped(xml, object->name);
        raw(xml, "</ParticipantObjectName>");
    }
    query(xml, object);
    instances(xml, object);
    raw(xml, "</ParticipantObjectIdentification>");
}

bool vt_audit_xml(const struct vt_audit_message *message, const char *source, int64_t wall,
                  struct vt_buf *out, struct vt_err *err)
{
    struct xml xml = { out, err, true };

    raw(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>");
    event(&xml, message, wall);
    for (size_t i = 0; i < VT_AUDIT_PARTICIPANTS_MAX && message->participants[i].user; i++)
        participant(&xml, &message->participants[i]);
    raw(&xml, "<AuditSourceIdentification");
    attribute(&xml, "AuditSourceID", source);
    raw(&xml, "><AuditSourceTypeCode csd-code=\"4\"/></AuditSourceIdentification>");
    for (size_t i = 0; i < VT_AUDIT_OBJECTS_MAX && message->objects[i].kind; i++)
        object(&xml, &message->objects[i]);
    raw(&xml, "</AuditMessage>");
    return xml.ok;
}
