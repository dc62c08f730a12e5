/* console/api_inside.h: what the handlers under /api share. */
#pragma once

#include <jansson.h>

#include "console/console_inside.h"

/* Takes `value`; NULL: no memory. */
void vt_answer_json(struct vt_request *request, unsigned status, json_t *value);
/* A callback of the lists in archive/admin.h: appends the row, which it borrows, to the array `rows`. */
bool vt_api_row(void *rows, json_t *row);

enum { VT_API_UUID_MAX = 64 };
/* For whom the pool is asked: the user, or "console" as long as there are none. */
const char *vt_api_person(const struct vt_request *request);
/* A callback of vt_pool_client_rows: a copy of the row into the array `rows`. */
bool vt_api_take_row(void *rows, const json_t *row);
/* Could it be the uuid of a virtual machine? */
bool vt_api_is_uuid(const char *text);

extern const struct vt_route vt_archive_routes[], vt_jobs_routes[], vt_pool_routes[], vt_vms_routes[], vt_screen_routes[],
    vt_live_routes[], vt_nodes_routes[], vt_verbs_routes[], vt_now_routes[], vt_ohif_routes[], vt_exports_routes[],
    vt_users_routes[], vt_log_routes[], vt_page_routes[];

/* A verb of the command line for who asks (console/api_verbs.c). */
bool vt_api_verb(struct vt_request *request, const struct vt_console_verb *verb, json_t **out_result, struct vt_err *err);

/* The study that a path names, and the series, as words of a search; series NULL: all. false: no UID. */
enum { VT_API_WORDS = 2, VT_API_WORD_MAX = 128 };
struct vt_api_words {
    char text[VT_API_WORDS][VT_API_WORD_MAX];
    const char *words[VT_API_WORDS];   /* into text: do not move it */
    size_t count;
};
bool vt_api_study_words(const struct vt_request *request, const char *series, struct vt_api_words *out);

/* Tickets for screens (console/api_screen.c). */
struct vt_tickets;
struct vt_tickets *vt_tickets_new(void);   /* NULL: no memory */
void vt_tickets_free(struct vt_tickets *tickets);

/* The last answers of the pool's daemon (console/api_pool.c), shown with their age when it is away. */
struct vt_pool_view;
struct vt_pool_view *vt_pool_view_new(void);   /* NULL: no memory */
void vt_pool_view_free(struct vt_pool_view *view);

/* Arrivals and callers (console/api_now.c); once in a process. */
bool vt_now_listen(struct vt_events *events, struct vt_err *err);

/* The last lines of the log (console/api_log.c); once in a process. */
void vt_api_log_keep(void);

/* Events to the pages (console/live.c); once in a process, since nobody can unsubscribe. */
bool vt_live_listen(struct vt_events *events, struct vt_err *err);
void vt_live_tell(const char *kind, const char *subject);
bool vt_live_anybody(void);   /* does a page listen? */
