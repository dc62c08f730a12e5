/* Screens of virtual machines under /api: POST .../screen gives a ticket, by which the page opens a WebSocket at /api/screen within
 * half a minute, once. Addresses are written down by others; a ticket that was used is worth nothing to them. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "console/api_inside.h"
#include "console/screen.h"
#include "console/websocket.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"

enum { TICKETS = 64, TICKET_BYTES = 24, TICKET_TEXT = 2 * TICKET_BYTES + 1, TICKET_S = 30 };

struct ticket {
    char text[TICKET_TEXT];
    char vm[VT_API_UUID_MAX + 1], user[64];
    int64_t until; /* monotonic; 0: free */
};

struct vt_tickets {
    pthread_mutex_t lock; /* guards what follows */
    struct ticket tickets[TICKETS];
};

struct vt_tickets *vt_tickets_new(void)
{
    struct vt_tickets *tickets = calloc(1, sizeof *tickets);

    if (tickets)
        pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

void vt_tickets_free(struct vt_tickets *tickets)
{
    if (!tickets)
        return;
    pthread_mutex_destroy(&tickets->lock);
    free(tickets);
}

static bool make_text(char out[static TICKET_TEXT])
{
    uint8_t bytes[TICKET_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* In a free place, or that of the one that ends first. */
static bool give(struct vt_tickets *tickets, const char *vm, const char *user, char out[static TICKET_TEXT])
{
    struct ticket *place = &tickets->tickets[0];

    if (!make_text(out))
        return false;
    pthread_mutex_lock(&tickets->lock);
    for (size_t i = 0; i < TICKETS; i++)
        if (tickets->tickets[i].until < place->until)
            place = &tickets->tickets[i];
    *place = (struct ticket){ .until = vt_clock_mono() + TICKET_S * VT_NS_PER_S };
    snprintf(place->text, sizeof place->text, "%s", out);
    snprintf(place->vm, sizeof place->vm, "%s", vm);
    snprintf(place->user, sizeof place->user, "%s", user);
    pthread_mutex_unlock(&tickets->lock);
    return true;
}

/* Takes it back; false: there is none, or it is somebody else's or too old. */
static bool redeem(struct vt_tickets *tickets, const char *text, const char *user, struct ticket *out)
{
    bool found = false;

    pthread_mutex_lock(&tickets->lock);
    for (size_t i = 0; i < TICKETS && text && !found; i++) {
        struct ticket *ticket = &tickets->tickets[i];
        if (ticket->until == 0 || strcmp(ticket->text, text) != 0)
            continue;
        found = ticket->until > vt_clock_mono() && strcmp(ticket->user, user) == 0;
        *out = *ticket;
        *ticket = (struct ticket){ .until = 0 };
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static void ask_for_screen(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    char text[TICKET_TEXT];

    if (!vt_api_is_uuid(vt_request_part(request, 0)))
        vt_answer_error(request, 404, "There is no such virtual machine.");
    else if (!give(console->tickets, vt_request_part(request, 0), vt_api_person(request), text))
        vt_answer_error(request, 503, "There is no randomness for a ticket.");
    else
        vt_answer_json(request, 200, json_pack("{s:s, s:i}", "ticket", text, "seconds", TICKET_S));
}

/* ---- the WebSocket ---- */

/* One screen that is shown: what it needs, and who looks. */
struct showing {
    struct vt_screen screen;
    const struct vt_console *console;
    struct vt_login_pass pass;
};

static void showing_free(void *state)
{
    struct showing *showing = state;

    free(showing->screen.socket);
    free(showing->screen.vm);
    free(showing->screen.user);
    free(showing);
}

static bool may_look(void *context, bool used, const char **out_why)
{
    struct showing *showing = context;

    return vt_login_holds(showing->console->login, &showing->pass, used, out_why);
}

/* To the log, and by an event to the audit trail. */
static void tell(const struct showing *showing, const char *kind, const char *text)
{
    json_t *detail = json_pack("{s:s, s:s, s:s}", "host", showing->pass.address, "vm", showing->screen.vm, "text", text);
    char *said = detail ? json_dumps(detail, JSON_COMPACT) : NULL;

    vt_log(VT_LOG_INFO, kind, "vm=%s user=\"%s\" host=%s text=\"%s\"", showing->screen.vm, showing->screen.user,
           showing->pass.address, text);
    vt_events_publish(showing->console->options.events, kind, showing->screen.user, said);
    free(said);
    json_decref(detail);
}

static void run(void *state, struct vt_ws_line *line)
{
    struct showing *showing = state;
    char why[VT_SCREEN_WHY_MAX];

    tell(showing, "console.screen-opened", "");
    vt_screen_run(&showing->screen, line, why);
    tell(showing, "console.screen-ended", why);
}

static struct showing *showing_of(const struct vt_request *request, const struct ticket *ticket)
{
    const struct vt_console *console = vt_request_context(request);
    const char *socket = console->options.pool_socket;
    struct showing *showing = calloc(1, sizeof *showing);

    if (!showing)
        return NULL;
    showing->console = console;
    vt_login_pass_of(request, VT_USER_OPERATOR, &showing->pass);
    showing->screen = (struct vt_screen){ .socket = socket ? strdup(socket) : NULL, .vm = strdup(ticket->vm), .user = strdup(ticket->user),
                                          .may = may_look, .context = showing };
    if (showing->screen.vm && showing->screen.user && (showing->screen.socket || !socket))
        return showing;
    showing_free(showing);
    return NULL;
}

static void show_screen(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct ticket ticket;

    if (!redeem(console->tickets, vt_request_query(request, "ticket"), vt_api_person(request), &ticket)) {
        vt_answer_error(request, 403, "The ticket was used already, is too old, or somebody else's.");
        return;
    }
    struct showing *showing = showing_of(request, &ticket);
    if (showing)
        vt_answer_websocket(request, run, showing, showing_free);
    else
        vt_answer_error(request, 503, "There is no memory for a screen.");
}

const struct vt_route vt_screen_routes[] = {
    { "POST", "/api/pool/vms/*/screen", VT_USER_OPERATOR, ask_for_screen, NULL, 1 },
    { "GET", "/api/screen", VT_USER_OPERATOR, show_screen, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
