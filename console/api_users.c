/* Users under /api: who may log in; made, changed and removed by the verbs of the command line, so that the audit trail knows. */
#include "console/api_inside.h"
#include "console/users.h"
#include "core/err.h"

#include <string.h>

enum { BODY_MAX = 4096 };

static struct vt_users *users_of(const struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);

    return console->options.users;
}

static bool user_row(void *rows, const struct vt_user *user)
{
    json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:I}", "name", user->name, "role", vt_user_role_name(user->role),
                                          "created", (json_int_t)(user->created / 1000000), "last_login",
                                          (json_int_t)(user->last_login / 1000000)));
    return true;
}

static void list(struct vt_request *request)
{
    json_t *rows = json_array();
    struct vt_err err = { 0 };

    if (vt_users_list(users_of(request), user_row, rows, &err)) {
        vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
        return;
    }
    json_decref(rows);
    vt_answer_err(request, &err);
}

/* "role" and "password" of the body become options. NULL: answered. */
static json_t *options_of(struct vt_request *request, json_t **out_said)
{
    static const char *const keys[] = { "role", "password" };
    const struct vt_buf *body = vt_request_body(request);
    json_t *said = json_loadb((const char *)body->data, body->size, 0, NULL), *options = json_object();
    bool ok = json_is_object(said) && options;

    for (size_t i = 0; ok && i < VT_COUNT(keys); i++) {
        json_t *value = json_object_get(said, keys[i]);
        ok = !value || (json_is_string(value) && json_object_set(options, keys[i], value) == 0);
    }
    if (ok) {
        *out_said = said;
        return options;
    }
    vt_answer_error(request, 400, "The body is {\"name\":..., \"role\":..., \"password\":...}.");
    json_decref(options);
    json_decref(said);
    return NULL;
}

static void run(struct vt_request *request, const char *word, const char *name, json_t *options)
{
    const struct vt_console_verb verb = { .words = { "user", word }, .word_count = 2, .args = &name, .arg_count = 1, .options = options };
    json_t *result = NULL;
    struct vt_err err = { 0 };

    if (vt_api_verb(request, &verb, &result, &err))
        vt_answer_json(request, 200, json_pack("{s:s}", "name", name));
    else
        vt_answer_err(request, &err);
    json_decref(result);
}

static void add(struct vt_request *request)
{
    json_t *said = NULL, *options = options_of(request, &said);
    const char *name = json_string_value(json_object_get(said, "name"));

    if (options && name)
        run(request, "add", name, options);
    else if (options)
        vt_answer_error(request, 400, "A user has a name.");
    json_decref(options);
    json_decref(said);
}

static void change(struct vt_request *request)
{
    json_t *said = NULL, *options = options_of(request, &said);

    if (options)
        run(request, "change", vt_request_part(request, 0), options);
    json_decref(options);
    json_decref(said);
}

static void drop(struct vt_request *request)
{
    run(request, "remove", vt_request_part(request, 0), NULL);
}

/* {"old":...,"new":...}: one's own. */
static void change_own(struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);
    json_t *said = json_loadb((const char *)body->data, body->size, 0, NULL);
    const char *before = json_string_value(json_object_get(said, "old")), *after = json_string_value(json_object_get(said, "new"));
    struct vt_account account;
    struct vt_err err = { 0 };

    if (!before || !after || !*vt_request_user(request)) {
        vt_answer_error(request, 400, "The body is {\"old\":..., \"new\":...}, of somebody who is logged in.");
    } else if (!vt_users_verify(users_of(request), vt_request_user(request), before, &account, &err)) {
        vt_answer_error(request, err.code == VT_E_DENIED ? 403 : 503, "%s", err.code == VT_E_DENIED ? "The old password is wrong." : err.text);
    } else {
        json_t *options = json_pack("{s:s}", "password", after);
        run(request, "change", vt_request_user(request), options);
        json_decref(options);
    }
    json_decref(said);
}

const struct vt_route vt_users_routes[] = {
    { "GET", "/api/users", VT_USER_ADMIN, list, NULL, 0 },
    { "POST", "/api/users", VT_USER_ADMIN, add, NULL, BODY_MAX },
    { "POST", "/api/users/*", VT_USER_ADMIN, change, NULL, BODY_MAX },
    { "DELETE", "/api/users/*", VT_USER_ADMIN, drop, NULL, 0 },
    { "POST", "/api/password", VT_USER_VIEWER, change_own, NULL, BODY_MAX },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
