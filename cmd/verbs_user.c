#include "cmd/verbs_user.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "console/users.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

enum { PATH_ROOM = 4096 };

static struct vt_users *open_users(const struct vt_admin_call *call, struct vt_err *err)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/state.db", vt_archive_path(call->admin.archive));
    return vt_users_open(path, err);
}

static const char *text_option(const struct vt_admin_call *call, const char *key)
{
    const char *text = json_string_value(json_object_get(call->options, key));

    return text ? text : "";
}

bool vt_verb_user_add(struct vt_admin_call *call, struct json_t *result, struct vt_err *err)
{
    const char *name = text_option(call, "role");
    enum vt_user_role role;

    if (!vt_user_role_parse(name, &role) || role == VT_USER_NOBODY)
        return vt_fail(err, VT_E_INVALID, "--role is viewer, operator or admin");
    VT_AUTO(vt_users) users = open_users(call, err);
    if (!users || !vt_users_add(users, call->args[0], role, text_option(call, "password"), err))
        return false;
    json_object_set_new(result, "user", json_string(call->args[0]));
    json_object_set_new(result, "role", json_string(name));
    return true;
}

bool vt_verb_user_change(struct vt_admin_call *call, struct json_t *result, struct vt_err *err)
{
    const char *name = text_option(call, "role"), *password = json_string_value(json_object_get(call->options, "password"));
    enum vt_user_role role = VT_USER_NOBODY;

    if (*name && (!vt_user_role_parse(name, &role) || role == VT_USER_NOBODY))
        return vt_fail(err, VT_E_INVALID, "--role is viewer, operator or admin");
    if (role == VT_USER_NOBODY && !password)
        return vt_fail(err, VT_E_INVALID, "what is to be changed? --role, --password or both");
    VT_AUTO(vt_users) users = open_users(call, err);
    if (!users || !vt_users_change(users, call->args[0], role, password, err))
        return false;
    json_object_set_new(result, "user", json_string(call->args[0]));
    return true;
}

static json_t *time_text(int64_t wall)
{
    char text[VT_CLOCK_TEXT_MAX] = "";

    if (wall)
        vt_clock_text(wall, text);
    return json_string(text);
}

static bool user_row(void *context, const struct vt_user *user)
{
    struct vt_admin_call *call = context;
    json_t *row = json_pack("{s:s, s:s, s:o, s:o}", "user", user->name, "role", vt_user_role_name(user->role), "created",
                            time_text(user->created), "last_login", time_text(user->last_login));
    bool more = row && call->admin.row(call->admin.context, row);

    json_decref(row);
    return more;
}

bool vt_verb_user_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_users) users = open_users(call, err);

    (void)result;
    return users && vt_users_list(users, user_row, call, err);
}

bool vt_verb_user_remove(struct vt_admin_call *call, struct json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_users) users = open_users(call, err);

    if (!users || !vt_users_remove(users, call->args[0], err))
        return false;
    json_object_set_new(result, "user", json_string(call->args[0]));
    return true;
}

/* ---- the password ---- */

/* A line without its end. */
static bool read_line(struct vt_buf *out, struct vt_err *err)
{
    char byte;

    for (;;) {
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0)
            return vt_fail_errno(err, "reading the password");
        if (got == 0 || byte == '\n')
            break;
        if (!vt_buf_append_byte(out, (uint8_t)byte, err))
            return vt_fail(err, VT_E_INVALID, "a password has up to %d bytes", VT_PASSWORD_MAX);
    }
    return out->size > 0 || vt_fail(err, VT_E_INVALID, "a password is needed: on standard input, or on a terminal");
}

static bool ask(const char *question, struct vt_buf *out, struct vt_err *err)
{
    struct termios before, silent;

    fputs(question, stderr);
    fflush(stderr);
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return vt_fail_errno(err, "the terminal");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
        return vt_fail_errno(err, "the terminal");
    bool ok = read_line(out, err);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return ok;
}

bool vt_read_password(struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO_BUF(again, VT_PASSWORD_MAX + 1);
    bool terminal = isatty(STDIN_FILENO);

    if (!(terminal ? ask("Password: ", out, err) : read_line(out, err)))
        return false;
    if (!terminal)
        return vt_buf_string(out, err) != NULL;
    bool ok = ask("Once more: ", &again, err) &&
              ((again.size == out->size && memcmp(again.data, out->data, out->size) == 0) ||
               vt_fail(err, VT_E_INVALID, "these are two passwords"));
    if (again.data)
        explicit_bzero(again.data, again.size);
    return ok && vt_buf_string(out, err);
}
