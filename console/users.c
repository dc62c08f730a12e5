#include "console/users.h"

#include <crypt.h>
#include <ctype.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/db.h"
#include "core/err.h"

enum { BUSY_MS = 10000 };

/* What a password is checked against when nobody has the name: so that it takes as long. */
static const char nobody[] = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

enum { KNOWN_MAX = 64 };

/* Counts the changes in all of the process: only who holds the archive's lock writes users, and every request asks for them. */
static atomic_uint_fast64_t changes = 1;

struct vt_users {
    pthread_mutex_t lock; /* guards the connection and what follows: answers that hold while `seen` is the count of changes */
    struct vt_db *db;
    uint64_t seen;
    bool any_known, any;
    struct { char name[VT_USER_NAME_MAX + 1]; struct vt_account account; } known[KNOWN_MAX];
    size_t known_count, known_next;
};

/* Holds the lock. */
static void forget_what_changed(struct vt_users *users)
{
    uint64_t now = atomic_load(&changes);

    if (users->seen == now)
        return;
    users->seen = now;
    users->any_known = false;
    users->known_count = users->known_next = 0;
}

struct vt_users *vt_users_open(const char *path, struct vt_err *err)
{
    const struct vt_db_options options = { .sync = VT_DB_SYNC_FULL, .busy_ms = BUSY_MS };
    struct vt_users *users = calloc(1, sizeof *users);

    if (!users) {
        vt_fail(err, VT_E_NOMEM, "no memory for the users");
        return NULL;
    }
    pthread_mutex_init(&users->lock, NULL);
    users->db = vt_db_open(path, &options, err);
    if (users->db)
        return users;
    vt_users_free(users);
    return NULL;
}

void vt_users_free(struct vt_users *users)
{
    if (!users)
        return;
    vt_db_free(users->db);
    pthread_mutex_destroy(&users->lock);
    free(users);
}

/* ---- one statement at a time ---- */

/* The first row's columns go to `take`. *out_row: there was one. */
static bool run(struct vt_users *users, const char *sql, bool (*take)(void *context, struct sqlite3_stmt *row),
                void *context, bool *out_row, struct vt_err *err, const char *letters, ...)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(users->db, sql, err);
    bool ok = stmt, row = false, any = false;
    va_list list;

    va_start(list, letters);
    ok = ok && vt_stmt_bind_list(users->db, stmt, err, letters, list);
    va_end(list);
    while (ok && (ok = vt_stmt_step(users->db, stmt, &row, err)) && row) {
        any = true;
        if (take && !take(context, stmt))
            break;
    }
    vt_stmt_free(stmt);
    if (out_row)
        *out_row = any;
    return ok;
}

static bool take_number(void *context, struct sqlite3_stmt *row)
{
    *(int64_t *)context = sqlite3_column_int64(row, 0);
    return false;
}

static bool count(struct vt_users *users, const char *sql, int64_t *out, struct vt_err *err)
{
    *out = 0;
    return run(users, sql, take_number, out, NULL, err, "");
}

/* ---- names and passwords ---- */

static bool name_valid(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr(".-_@", name[i]))
            return false;
    return length > 0 && length <= VT_USER_NAME_MAX;
}

static bool hash(const char *password, char out[CRYPT_OUTPUT_SIZE], struct vt_err *err)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = calloc(1, sizeof *data);

    if (!data)
        return vt_fail(err, VT_E_NOMEM, "no memory for a password");
    const char *made = crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting)
                           ? crypt_r(password, setting, data)
                           : NULL;
    if (made && *made != '*')
        snprintf(out, CRYPT_OUTPUT_SIZE, "%s", made);
    bool ok = (made && *made != '*') || vt_fail(err, VT_E_INTERNAL, "yescrypt is not there");
    explicit_bzero(data, sizeof *data);
    free(data);
    return ok;
}

static bool same(const char *a, const char *b)
{
    size_t length = strlen(a);
    unsigned char differ = length != strlen(b);

    for (size_t i = 0; i < length && b[i]; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static bool make_secret(const char *password, char out[CRYPT_OUTPUT_SIZE], struct vt_err *err)
{
    if (strlen(password) < VT_PASSWORD_MIN || strlen(password) > VT_PASSWORD_MAX)
        return vt_fail(err, VT_E_INVALID, "a password has %d to %d characters", VT_PASSWORD_MIN, VT_PASSWORD_MAX);
    return hash(password, out, err);
}

/* FNV-1a: a secret has a salt of its own, so that each new one has another stamp. */
static uint64_t stamp_of(const char *secret)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);

    for (; *secret; secret++)
        value = (value ^ (unsigned char)*secret) * UINT64_C(0x100000001b3);
    return value;
}

bool vt_users_add(struct vt_users *users, const char *name, enum vt_user_role role, const char *password,
                  struct vt_err *err)
{
    char secret[CRYPT_OUTPUT_SIZE];
    int64_t there = 0;

    if (!name_valid(name))
        return vt_fail(err, VT_E_INVALID, "'%s' is not a user's name: letters, digits, . - _ @", name);
    if (!make_secret(password, secret, err))
        return false;
    pthread_mutex_lock(&users->lock);
    bool ok = run(users, "SELECT count(*) FROM web_user WHERE name = ?", take_number, &there, NULL, err, "t", name);
    if (ok && there)
        ok = vt_fail(err, VT_E_EXISTS, "there is a user %s already", name);
    ok = ok && run(users, "INSERT INTO web_user (name, role, secret, created, last_login) VALUES (?, ?, ?, ?, 0)", NULL,
                   NULL, NULL, err, "titi", name, (int64_t)role, secret, vt_clock_wall());
    atomic_fetch_add(&changes, 1);
    pthread_mutex_unlock(&users->lock);
    explicit_bzero(secret, sizeof secret);
    return ok;
}

/* Holds the lock. There is such a user, and it is not the last admin (while there are others, when others_only). */
static bool can_go(struct vt_users *users, const char *name, bool others_only, struct vt_err *err)
{
    int64_t admins, all, role = 0;
    bool there = false;

    if (!run(users, "SELECT role FROM web_user WHERE name = ?", take_number, &role, &there, err, "t", name))
        return false;
    if (!there)
        return vt_fail(err, VT_E_NOTFOUND, "there is no user %s", name);
    if (!count(users, "SELECT count(*) FROM web_user WHERE role = 3", &admins, err) ||
        !count(users, "SELECT count(*) FROM web_user", &all, err))
        return false;
    return role != VT_USER_ADMIN || admins > 1 || (others_only && all == 1) ||
           vt_fail(err, VT_E_DENIED, "%s is the last admin: make another one first", name);
}

static bool remove_locked(struct vt_users *users, const char *name, struct vt_err *err)
{
    return can_go(users, name, true, err) && run(users, "DELETE FROM web_user WHERE name = ?", NULL, NULL, NULL, err, "t", name);
}

/* secret: NULL: as it is. */
static bool change_locked(struct vt_users *users, const char *name, enum vt_user_role role, const char *secret, struct vt_err *err)
{
    struct vt_err last = { 0 };
    bool may = can_go(users, name, false, &last);

    if (!may && (last.code != VT_E_DENIED || (role != VT_USER_NOBODY && role != VT_USER_ADMIN))) {
        *err = last;
        return false;
    }
    return (role == VT_USER_NOBODY ||
            run(users, "UPDATE web_user SET role = ? WHERE name = ?", NULL, NULL, NULL, err, "it", (int64_t)role, name)) &&
           (!secret || run(users, "UPDATE web_user SET secret = ? WHERE name = ?", NULL, NULL, NULL, err, "tt", secret, name));
}

bool vt_users_change(struct vt_users *users, const char *name, enum vt_user_role role, const char *password, struct vt_err *err)
{
    char secret[CRYPT_OUTPUT_SIZE];

    if (password && !make_secret(password, secret, err))
        return false;
    pthread_mutex_lock(&users->lock);
    bool ok = change_locked(users, name, role, password ? secret : NULL, err);
    atomic_fetch_add(&changes, 1);
    pthread_mutex_unlock(&users->lock);
    if (password)
        explicit_bzero(secret, sizeof secret);
    return ok;
}

bool vt_users_remove(struct vt_users *users, const char *name, struct vt_err *err)
{
    pthread_mutex_lock(&users->lock);
    bool ok = remove_locked(users, name, err);
    atomic_fetch_add(&changes, 1);
    pthread_mutex_unlock(&users->lock);
    return ok;
}

struct listing {
    bool (*row)(void *context, const struct vt_user *user);
    void *context;
};

static bool take_user(void *context, struct sqlite3_stmt *row)
{
    struct listing *listing = context;
    struct vt_user user = { .role = (enum vt_user_role)sqlite3_column_int(row, 1),
                            .created = sqlite3_column_int64(row, 2),
                            .last_login = sqlite3_column_int64(row, 3) };

    snprintf(user.name, sizeof user.name, "%s", (const char *)sqlite3_column_text(row, 0));
    return listing->row(listing->context, &user);
}

bool vt_users_list(struct vt_users *users, bool (*row)(void *context, const struct vt_user *user), void *context,
                   struct vt_err *err)
{
    struct listing listing = { row, context };

    pthread_mutex_lock(&users->lock);
    bool ok = run(users, "SELECT name, role, created, last_login FROM web_user ORDER BY name", take_user, &listing,
                  NULL, err, "");
    pthread_mutex_unlock(&users->lock);
    return ok;
}

bool vt_users_any(struct vt_users *users, bool *out_any, struct vt_err *err)
{
    int64_t all = 0;
    bool ok = true;

    pthread_mutex_lock(&users->lock);
    forget_what_changed(users);
    if (!users->any_known && (ok = count(users, "SELECT EXISTS (SELECT 1 FROM web_user)", &all, err))) {
        users->any_known = true;
        users->any = all;
    }
    *out_any = !ok || users->any;
    pthread_mutex_unlock(&users->lock);
    return ok;
}

struct found {
    char secret[CRYPT_OUTPUT_SIZE];
    int64_t role;
};

static bool take_secret(void *context, struct sqlite3_stmt *row)
{
    struct found *found = context;

    snprintf(found->secret, sizeof found->secret, "%s", (const char *)sqlite3_column_text(row, 0));
    found->role = sqlite3_column_int64(row, 1);
    return false;
}

static bool find(struct vt_users *users, const char *name, struct found *found, bool *out_there, struct vt_err *err)
{
    pthread_mutex_lock(&users->lock);
    bool ok = run(users, "SELECT secret, role FROM web_user WHERE name = ?", take_secret, found, out_there, err, "t",
                  name);
    pthread_mutex_unlock(&users->lock);
    return ok;
}

bool vt_users_verify(struct vt_users *users, const char *name, const char *password, struct vt_account *out,
                     struct vt_err *err)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    struct found found = { .role = VT_USER_NOBODY };
    bool there = false;

    if (!data)
        return vt_fail(err, VT_E_NOMEM, "no memory for a password");
    bool ok = find(users, name, &found, &there, err);
    const char *expected = there ? found.secret : nobody;
    const char *made = ok && strlen(password) <= VT_PASSWORD_MAX ? crypt_r(password, expected, data) : NULL;
    bool right = made && there && same(made, expected);
    struct vt_account account = { .role = (enum vt_user_role)found.role, .stamp = stamp_of(found.secret) };
    explicit_bzero(data, sizeof *data);
    explicit_bzero(found.secret, sizeof found.secret);
    free(data);
    if (!ok)
        return false;
    if (!right)
        return vt_fail(err, VT_E_DENIED, "The name or the password is wrong.");
    *out = account;
    pthread_mutex_lock(&users->lock);
    struct vt_err ignored = { 0 };
    run(users, "UPDATE web_user SET last_login = ? WHERE name = ?", NULL, NULL, NULL, &ignored, "it", vt_clock_wall(),
        name);
    pthread_mutex_unlock(&users->lock);
    return true;
}

/* Holds the lock. */
static bool recall(const struct vt_users *users, const char *name, struct vt_account *out)
{
    for (size_t i = 0; i < users->known_count; i++)
        if (strcmp(users->known[i].name, name) == 0) {
            *out = users->known[i].account;
            return true;
        }
    return false;
}

/* Holds the lock. */
static void remember(struct vt_users *users, const char *name, const struct vt_account *account)
{
    size_t at = users->known_next++ % KNOWN_MAX;

    users->known_count = at < users->known_count ? users->known_count : at + 1;
    snprintf(users->known[at].name, sizeof users->known[at].name, "%s", name);
    users->known[at].account = *account;
}

static bool look_up(struct vt_users *users, const char *name, struct vt_account *out, bool *out_there, struct vt_err *err)
{
    struct found found = { .role = VT_USER_NOBODY };

    if (!run(users, "SELECT secret, role FROM web_user WHERE name = ?", take_secret, &found, out_there, err, "t", name))
        return false;
    *out = (struct vt_account){ .role = (enum vt_user_role)found.role, .stamp = stamp_of(found.secret) };
    explicit_bzero(found.secret, sizeof found.secret);
    if (*out_there)
        remember(users, name, out);
    return true;
}

bool vt_users_look(struct vt_users *users, const char *name, struct vt_account *out, bool *out_there, struct vt_err *err)
{
    bool ok = true;

    pthread_mutex_lock(&users->lock);
    forget_what_changed(users);
    *out_there = recall(users, name, out);
    if (!*out_there)
        ok = look_up(users, name, out, out_there, err);
    pthread_mutex_unlock(&users->lock);
    return ok;
}
