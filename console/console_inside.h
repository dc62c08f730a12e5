/* console/console_inside.h: what the handlers share: vt_request_context gives the console. */
#pragma once

#include "console/console.h"
#include "console/frames.h"
#include "console/login.h"

#define VT_DICOM_WEB "/dicom-web"

struct vt_live_pool;
struct vt_pool_view;
struct vt_tickets;
struct vt_web_trail;

struct vt_console {
    struct vt_console_options options;
    struct vt_http *http;
    struct vt_frame_cache *frames;
    struct vt_login *login;
    struct vt_pool_view *pool;
    struct vt_tickets *tickets;
    struct vt_live_pool *live_pool;
    struct vt_web_trail *trail; /* NULL: there is no audit trail */
};

extern const struct vt_route vt_qido_routes[], vt_wado_routes[], vt_stow_routes[], vt_api_routes[];

/* Search results and metadata are DICOM JSON, also for who calls it JSON. false: neither is taken, 406 answered. */
bool vt_console_takes_json(struct vt_request *request);
/* "http://host:port/dicom-web" as the client named us. */
bool vt_console_base_url(const struct vt_request *request, char *out, size_t room);
