/* console/api_inside.h: what the handlers under /api share. */
#pragma once

#include <jansson.h>

#include "console/console_inside.h"

/* Takes `value`; NULL: no memory. */
void vt_answer_json(struct vt_request *request, unsigned status, json_t *value);
/* A callback of the lists in archive/admin.h: appends the row, which it borrows, to the array `rows`. */
bool vt_api_row(void *rows, json_t *row);

extern const struct vt_route vt_archive_routes[], vt_jobs_routes[], vt_pool_routes[], vt_live_routes[], vt_page_routes[];

/* The last answers of the pool's daemon (console/api_pool.c), shown with their age when it is away. */
struct vt_pool_view;
struct vt_pool_view *vt_pool_view_new(void);   /* NULL: no memory */
void vt_pool_view_free(struct vt_pool_view *view);

/* Events to the pages (console/live.c); once in a process, since nobody can unsubscribe. */
bool vt_live_listen(struct vt_events *events, struct vt_err *err);
