#include "console/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/accept.h"
#include "console/api_inside.h"
#include "console/live_pool.h"
#include "console/web_trail.h"
#include "core/err.h"

static const struct vt_route *const tables[] = { vt_qido_routes,    vt_wado_routes,  vt_stow_routes,    vt_api_routes,   vt_archive_routes,
                                                vt_users_routes,   vt_jobs_routes,  vt_screen_routes,  vt_vms_routes,   vt_pool_routes,
                                                vt_live_routes,    vt_nodes_routes, vt_exports_routes, vt_verbs_routes, vt_now_routes,
                                                vt_log_routes,     vt_ohif_routes,  vt_page_routes };

bool vt_console_base_url(const struct vt_request *request, char *out, size_t room)
{
    const char *host = vt_request_header(request, "Host");
    int length = snprintf(out, room, "%s://%s" VT_DICOM_WEB, vt_request_is_tls(request) ? "https" : "http",
                          host ? host : "localhost");

    return length > 0 && (size_t)length < room;
}

static void request_over(const struct vt_request *request, unsigned status, bool whole)
{
    const struct vt_console *console = vt_request_context(request);

    vt_web_trail_answered(console->trail, request, status, whole);
}

bool vt_console_takes_json(struct vt_request *request)
{
    const char *accept = vt_request_header(request, "Accept");
    bool taken = vt_accept_takes(accept, "application/dicom+json") || vt_accept_takes(accept, "application/json");

    if (!taken)
        vt_answer_error(request, 406, "This is application/dicom+json.");
    return taken;
}

struct vt_console *vt_console_start(const struct vt_console_options *options, struct vt_err *err)
{
    struct vt_console *console = calloc(1, sizeof *console);

    if (!console) {
        vt_fail(err, VT_E_NOMEM, "no memory for the console");
        return NULL;
    }
    console->options = *options;
    vt_api_log_keep();
    console->frames = vt_frame_cache_new(options->archive);
    console->login = vt_login_new(options->users, options->session_idle, options->events);
    console->pool = vt_pool_view_new();
    console->tickets = vt_tickets_new();
    console->trail = options->audit ? vt_web_trail_new(options->audit, options->archive, options->ae_title) : NULL;
    struct vt_http_options http = {
        .listen = options->listen,
        .port = options->port,
        .certificate = options->certificate,
        .key = options->key,
        .hosts = options->hosts,
        .host_count = options->host_count,
        .shared = VT_DICOM_WEB "/",
        .origins = options->origins,
        .origin_count = options->origin_count,
        .tables = tables,
        .table_count = VT_COUNT(tables),
        .gate = vt_login_gate,
        .gate_context = console->login,
        .context = console,
        .over = options->audit ? request_over : NULL,
    };
    if (!console->frames || !console->login || !console->pool || !console->tickets || (options->audit && !console->trail))
        vt_fail(err, VT_E_NOMEM, "no memory for the console");
    else if (vt_live_listen(options->events, err) && vt_now_listen(options->events, err) &&
             (console->live_pool = vt_live_pool_start(console->options.pool_socket, err)))
        console->http = vt_http_start(&http, err);
    if (console->http)
        return console;
    vt_console_stop(console);
    return NULL;
}

uint16_t vt_console_port(const struct vt_console *console)
{
    return vt_http_port(console->http);
}

void vt_console_stop(struct vt_console *console)
{
    if (!console)
        return;
    vt_http_stop(console->http);
    vt_live_pool_stop(console->live_pool);
    vt_frame_cache_free(console->frames);
    vt_login_free(console->login);
    vt_pool_view_free(console->pool);
    vt_tickets_free(console->tickets);
    vt_web_trail_free(console->trail);
    free(console);
}
