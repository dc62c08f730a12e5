/* The archive under /api: how it is, its studies and series to the trash and back. */
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

/* ---- studies: by the verbs of the command line, which the audit trail knows ---- */

static void run(struct vt_request *request, const struct vt_console_verb *verb)
{
    json_t *result = NULL;
    struct vt_err err = { 0 };

    if (vt_api_verb(request, verb, &result, &err))
        vt_answer_json(request, 200, json_incref(result));
    else
        vt_answer_err(request, &err);
    json_decref(result);
}

/* A study, or a series of it; ?reason= */
static void discard(struct vt_request *request, size_t parts)
{
    const char *args[] = { vt_request_part(request, 0), vt_request_part(request, 1) };
    const char *reason = vt_request_query(request, "reason");

    for (size_t i = 0; i < parts; i++)
        if (!vt_uid_usable(args[i])) {
            vt_answer_error(request, 400, "The UID of a study is needed, or of a series of it.");
            return;
        }
    if (reason && strlen(reason) > REASON_MAX) {
        vt_answer_error(request, 400, "A reason has no more than %d bytes.", REASON_MAX);
        return;
    }
    json_t *options = json_pack("{s:s}", "reason", reason ? reason : "");
    const struct vt_console_verb verb = { .words = { "study", "delete" }, .word_count = 2, .args = args, .arg_count = parts, .options = options };
    run(request, &verb);
    json_decref(options);
}

static void delete_study(struct vt_request *request)
{
    discard(request, 1);
}

static void delete_series(struct vt_request *request)
{
    discard(request, 2);
}

static void restore(struct vt_request *request)
{
    const char *number = vt_request_part(request, 0);
    const struct vt_console_verb verb = { .words = { "study", "restore" }, .word_count = 2, .args = &number, .arg_count = 1 };

    if (*number && strspn(number, "0123456789") == strlen(number))
        run(request, &verb);
    else
        vt_answer_error(request, 400, "The trash is numbered from 1.");
}

const struct vt_route vt_archive_routes[] = {
    { "GET", "/api/status", VT_USER_VIEWER, status, NULL, 0 },
    { "DELETE", "/api/studies/*", VT_USER_ADMIN, delete_study, NULL, 0 },
    { "DELETE", "/api/studies/*/series/*", VT_USER_ADMIN, delete_series, NULL, 0 },
    { "GET", "/api/trash", VT_USER_ADMIN, trash, NULL, 0 },
    { "POST", "/api/trash/*/restore", VT_USER_ADMIN, restore, NULL, 1 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
