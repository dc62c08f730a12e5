/* console/users.h: who may use the console: names, roles and passwords (yescrypt) in state.db, table web_user. Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "console/http.h"
#include "core/auto.h"

struct vt_err;
struct vt_users;

enum { VT_USER_NAME_MAX = 63, VT_PASSWORD_MIN = 8, VT_PASSWORD_MAX = 256 };

/* What a login holds on to: a role counts as it is now; the stamp is another one when the password was changed, also by removing the
 * user and making him again. */
struct vt_account {
    enum vt_user_role role;
    uint64_t stamp;
};

struct vt_user {
    char name[VT_USER_NAME_MAX + 1];
    enum vt_user_role role;
    int64_t created, last_login;   /* wall ns; 0: never */
};

/* A connection of its own to the database, which has the table. */
struct vt_users *vt_users_open(const char *path, struct vt_err *err);
void vt_users_free(struct vt_users *users);
VT_DEFINE_AUTO(vt_users)

/* VT_E_EXISTS; VT_E_INVALID: a name of other than letters, digits, '.', '-', '_', '@', or too short a password. */
bool vt_users_add(struct vt_users *users, const char *name, enum vt_user_role role, const char *password,
                  struct vt_err *err);
/* Another role, another password, or both; VT_USER_NOBODY and NULL leave it. VT_E_NOTFOUND, VT_E_INVALID; VT_E_DENIED: of the last
 * admin the role stays. */
bool vt_users_change(struct vt_users *users, const char *name, enum vt_user_role role, const char *password, struct vt_err *err);
/* VT_E_NOTFOUND. The last admin stays while there are others: VT_E_DENIED. */
bool vt_users_remove(struct vt_users *users, const char *name, struct vt_err *err);
/* In order of names; false of `row` ends it. */
bool vt_users_list(struct vt_users *users, bool (*row)(void *context, const struct vt_user *user), void *context,
                   struct vt_err *err);
/* As long as nobody is there, everybody on loopback is an admin. */
bool vt_users_any(struct vt_users *users, bool *out_any, struct vt_err *err);
/* The same time for a wrong name as for a wrong password. VT_E_DENIED. */
bool vt_users_verify(struct vt_users *users, const char *name, const char *password, struct vt_account *out,
                     struct vt_err *err);
/* Still there, and as what? */
bool vt_users_look(struct vt_users *users, const char *name, struct vt_account *out, bool *out_there, struct vt_err *err);
