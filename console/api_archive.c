/* The archive under /api: how it is, its studies to the trash and back. */
#include "archive/admin.h"
#include "console/api_inside.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>

enum { REASON_MAX = 240 };

static struct vt_console *console_of(const struct vt_request *request)
{
    return vt_request_context(request);
}

void vt_answer_json(struct vt_request *request, unsigned status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    vt_answer_header(request, "Cache-Control", "no-store");
    if (text)
        vt_answer_bytes(request, status, "application/json", text, strlen(text));
    else
        vt_answer_error(request, 503, "There is no memory for an answer.");
    free(text);
    json_decref(value);
}

bool vt_api_row(void *rows, json_t *row)
{
    return json_array_append(rows, row) == 0;
}

static struct vt_admin admin_of(const struct vt_request *request, json_t *rows)
{
    const char *user = vt_request_user(request);

    return (struct vt_admin){ .archive = console_of(request)->options.archive,
                              .who = *user ? user : "console",
                              .row = vt_api_row,
                              .context = rows };
}

static void list(struct vt_request *request, bool (*fill)(const struct vt_admin *admin, struct vt_err *err))
{
    json_t *rows = json_array();
    const struct vt_admin admin = admin_of(request, rows);
    struct vt_err err = { 0 };

    if (fill(&admin, &err)) {
        vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
        return;
    }
    json_decref(rows);
    vt_answer_err(request, &err);
}

static void status(struct vt_request *request)
{
    list(request, vt_admin_status);
}

static void trash(struct vt_request *request)
{
    list(request, vt_admin_trash_list);
}

/* ---- studies ---- */

static void delete_study(struct vt_request *request)
{
    const char *study_uid = vt_request_part(request, 0), *reason = vt_request_query(request, "reason");
    const struct vt_admin admin = admin_of(request, NULL);
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;

    if (!vt_uid_usable(study_uid) || (reason && strlen(reason) > REASON_MAX))
        vt_answer_error(request, 400, "A study's UID is needed, and no more than %d bytes of a reason.", REASON_MAX);
    else if (!vt_admin_study_delete(&admin, study_uid, reason ? reason : "", &id, &instances, &err))
        vt_answer_err(request, &err);
    else
        vt_answer_json(request, 200, json_pack("{s:I, s:I}", "trash", (json_int_t)id, "instances", (json_int_t)instances));
}

static void restore(struct vt_request *request)
{
    const char *text = vt_request_part(request, 0);
    const struct vt_admin admin = admin_of(request, NULL);
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    char *end;
    long long id = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;

    if (id <= 0 || *end)
        vt_answer_error(request, 400, "The trash is numbered from 1.");
    else if (!vt_admin_study_restore(&admin, id, NULL, &instances, &err))
        vt_answer_err(request, &err);
    else
        vt_answer_json(request, 200, json_pack("{s:I}", "instances", (json_int_t)instances));
}

const struct vt_route vt_archive_routes[] = {
    { "GET", "/api/status", VT_USER_VIEWER, status, NULL, 0 },
    { "DELETE", "/api/studies/*", VT_USER_ADMIN, delete_study, NULL, 0 },
    { "GET", "/api/trash", VT_USER_ADMIN, trash, NULL, 0 },
    { "POST", "/api/trash/*/restore", VT_USER_ADMIN, restore, NULL, 1 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
