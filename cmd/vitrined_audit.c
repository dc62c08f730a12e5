#include "cmd/vitrined_audit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/audit_tls.h"
#include "cmd/tls.h"
#include "core/audit.h"
#include "core/auto.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/event.h"

struct vt_node_audit {
    struct vt_audit *trail;
    struct vt_audit_tls *tls;
    char *ae_title;
};

/* ---- what events tell ---- */

static const char *field(const json_t *detail, const char *key)
{
    const char *text = json_string_value(json_object_get(detail, key));

    return text ? text : "";
}

/* Who was turned away: by the door before it asked, or as an association. */
static void write_refusal(struct vt_node_audit *audit, const struct vt_event *event,
                          const json_t *detail, bool connection)
{
    struct vt_audit_message message = { .event = VT_AUDIT_SECURITY_ALERT,
                                        .type = VT_AUDIT_NODE_AUTHENTICATION,
                                        .action = 'E',
                                        .outcome = VT_AUDIT_MINOR };
    const char *title = connection ? "" : event->subject;
    const char *text = field(detail, "text");

    message.text = *text ? text : field(detail, "reason");
    message.participants[0] =
        (struct vt_audit_participant){ .user = *title ? title : "unknown",
                                       .ae_title = title,
                                       .network = connection ? event->subject : field(detail, "host"),
                                       .requestor = true };
    message.participants[1] =
        (struct vt_audit_participant){ .user = audit->ae_title, .ae_title = audit->ae_title };
    message.objects[0] = (struct vt_audit_object){ .kind = VT_AUDIT_NODE,
                                                   .id = *title ? title : event->subject };
    vt_audit_write(audit->trail, &message);
}

/* Who came to the console by a browser, and whose screen was looked at. */
static const struct {
    const char *kind;
    enum vt_audit_event event;
    enum vt_audit_type type;
    enum vt_audit_outcome outcome;
} of_the_console[] = {
    { "console.login", VT_AUDIT_USER_AUTHENTICATION, VT_AUDIT_LOGIN, VT_AUDIT_SUCCESS },
    { "console.refused", VT_AUDIT_USER_AUTHENTICATION, VT_AUDIT_LOGIN, VT_AUDIT_MINOR },
    { "console.logout", VT_AUDIT_USER_AUTHENTICATION, VT_AUDIT_LOGOUT, VT_AUDIT_SUCCESS },
    { "console.screen-opened", VT_AUDIT_SECURITY_ALERT, VT_AUDIT_RESTRICTED_FUNCTION, VT_AUDIT_SUCCESS },
    { "console.screen-ended", VT_AUDIT_SECURITY_ALERT, VT_AUDIT_RESTRICTED_FUNCTION, VT_AUDIT_SUCCESS },
};

static void write_console(struct vt_node_audit *audit, const struct vt_event *event)
{
    json_t *detail = event->detail ? json_loads(event->detail, 0, NULL) : NULL;
    const char *vm = field(detail, "vm");
    char text[320];

    for (size_t i = 0; i < VT_COUNT(of_the_console); i++) {
        if (strcmp(of_the_console[i].kind, event->kind) != 0)
            continue;
        struct vt_audit_message message = { .event = of_the_console[i].event, .type = of_the_console[i].type, .action = 'E',
                                            .outcome = of_the_console[i].outcome, .text = text };
        snprintf(text, sizeof text, "%s%s%s: %.200s", event->kind + strlen("console."), *vm ? " of " : "", vm, field(detail, "text"));
        message.participants[0] =
            (struct vt_audit_participant){ .user = *event->subject ? event->subject : "unknown", .network = field(detail, "host"), .requestor = true };
        message.participants[1] = (struct vt_audit_participant){ .user = audit->ae_title, .ae_title = audit->ae_title };
        if (*vm)
            message.objects[0] = (struct vt_audit_object){ .kind = VT_AUDIT_NODE, .id = vm };
        vt_audit_write(audit->trail, &message);
    }
    json_decref(detail);
}

static void on_event(void *context, const struct vt_event *event)
{
    struct vt_node_audit *audit = context;

    if (strncmp(event->kind, "console.", strlen("console.")) == 0) {
        write_console(audit, event);
        return;
    }
    bool connection = strcmp(event->kind, "connection.refused") == 0;

    if (!connection && strcmp(event->kind, "association.refused") != 0 &&
        strcmp(event->kind, "association.failed") != 0)
        return;
    json_t *detail = event->detail ? json_loads(event->detail, 0, NULL) : NULL;
    write_refusal(audit, event, detail, connection);
    json_decref(detail);
}

static void write_application(struct vt_node_audit *audit, enum vt_audit_type type)
{
    struct vt_audit_message message = { .event = VT_AUDIT_APPLICATION,
                                        .type = type,
                                        .action = 'E' };

    message.participants[0] = (struct vt_audit_participant){ .user = audit->ae_title,
                                                             .ae_title = audit->ae_title,
                                                             .role = VT_AUDIT_ROLE_APPLICATION };
    vt_audit_write(audit->trail, &message);
}

/* ---- opening and closing ---- */

static bool open_tls(struct vt_node_audit *audit, const struct vt_conf *conf, const char *address,
                     struct vt_err *err)
{
    struct vt_tls_options options;

    if (!vt_tls_conf_read(conf, &options, err))
        return false;
    options.anonymous = false;
    const char *ca = vt_conf_text(conf, "audit", NULL, "tls_ca", "");
    if (*ca)
        options.ca = ca;
    struct ssl_ctx_st *context = vt_tls_client(&options, err);
    if (!context)
        return vt_fail_context(err, "audit.target");
    audit->tls = vt_audit_tls_new(address, context, err);
    vt_tls_free(context);
    return audit->tls != NULL;
}

static bool open_trail(struct vt_node_audit *audit, const struct vt_conf *conf,
                       struct vt_events *events, struct vt_err *err)
{
    const char *target = vt_conf_text(conf, "audit", NULL, "target", "off");
    (void)vt_conf_text(conf, "audit", NULL, "tls_ca", NULL);
    struct vt_audit_options options = { .target = target, .source = audit->ae_title };

    if (strcmp(target, "off") == 0)
        return true;
    if (strncmp(target, "tls:", 4) == 0) {
        if (!open_tls(audit, conf, target + 4, err))
            return false;
        options.target = "send";
        options.send = vt_audit_tls_send;
        options.send_context = audit->tls;
    }
    audit->trail = vt_audit_open(&options, err);
    if (!audit->trail || !vt_events_subscribe(events, NULL, on_event, audit, err))
        return false;
    write_application(audit, VT_AUDIT_START);
    return true;
}

struct vt_node_audit *vt_node_audit_open(const struct vt_conf *conf, const char *ae_title,
                                         struct vt_events *events, struct vt_err *err)
{
    struct vt_node_audit *audit = calloc(1, sizeof *audit);

    if (audit)
        audit->ae_title = strdup(ae_title);
    if (!audit || !audit->ae_title)
        vt_fail(err, VT_E_NOMEM, "no memory for the audit trail");
    else if (open_trail(audit, conf, events, err))
        return audit;
    vt_node_audit_close(audit);
    return NULL;
}

void vt_node_audit_close(struct vt_node_audit *audit)
{
    if (!audit)
        return;
    if (audit->trail)
        write_application(audit, VT_AUDIT_STOP);
    vt_audit_free(audit->trail);
    vt_audit_tls_free(audit->tls);
    free(audit->ae_title);
    free(audit);
}

struct vt_audit *vt_node_audit_trail(struct vt_node_audit *audit)
{
    return audit ? audit->trail : NULL;
}
