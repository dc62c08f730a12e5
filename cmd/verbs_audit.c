#include "cmd/verbs_audit.h"

#include <stdio.h>
#include <string.h>

#include "cmd/admin_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "core/audit.h"
#include "core/auto.h"

/* Which message a verb is; others that change something are activity of the application. */
static const struct {
    const char *words[2];
    enum vt_audit_event event;
    enum vt_audit_type type;
    char action;
    enum vt_audit_kind subject; /* what the first argument names; 0: nothing */
} messages[] = {
    { { "study", "delete" }, VT_AUDIT_STUDY_DELETED, 0, 'D', VT_AUDIT_STUDY },
    { { "trash", "purge" }, VT_AUDIT_STUDY_DELETED, 0, 'D', 0 },
    { { "import", NULL }, VT_AUDIT_IMPORT, 0, 'C', 0 },
    { { "export", NULL }, VT_AUDIT_EXPORT, 0, 'R', 0 },
    { { "print", NULL }, VT_AUDIT_EXPORT, 0, 'R', 0 },
    { { "backup", NULL }, VT_AUDIT_EXPORT, 0, 'R', 0 },
    { { "patient", NULL }, VT_AUDIT_PATIENT_RECORD, 0, 'U', VT_AUDIT_PATIENT },
    { { "user", NULL }, VT_AUDIT_SECURITY_ALERT, VT_AUDIT_USER_CHANGED, 'E', 0 },
};

void vt_verb_audit(const struct vt_admin_verb *verb, const struct vt_admin_call *call, bool done)
{
    struct vt_audit_message message = { .event = VT_AUDIT_APPLICATION, .action = 'E' };
    enum vt_audit_kind subject = 0;
    char text[128];

    if (!verb->changes || !call->world || !call->world->audit)
        return;
    for (size_t i = 0; i < VT_COUNT(messages); i++) {
        if (strcmp(messages[i].words[0], verb->words[0]) != 0 ||
            (messages[i].words[1] &&
             (!verb->words[1] || strcmp(messages[i].words[1], verb->words[1]) != 0)))
            continue;
        message.event = messages[i].event;
        message.type = messages[i].type;
        message.action = messages[i].action;
        subject = messages[i].subject;
        break;
    }
    snprintf(text, sizeof text, "%s%s%s%s", verb->words[0], verb->words[1] ? " " : "",
             verb->words[1] ? verb->words[1] : "", done ? "" : ": failed");
    message.text = text;
    message.outcome = done ? VT_AUDIT_SUCCESS : VT_AUDIT_MINOR;
    message.participants[0] = (struct vt_audit_participant){ .user = call->admin.who ? call->admin.who
                                                                                     : "unknown",
                                                             .requestor = true };
    message.participants[1] = (struct vt_audit_participant){ .user = call->world->ae_title,
                                                             .ae_title = call->world->ae_title };
    if (subject && call->arg_count > 0)
        message.objects[0] =
            (struct vt_audit_object){ .kind = subject, .id = call->args[0] };
    vt_audit_write(call->world->audit, &message);
}
