#include "console/login.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"

#define COOKIE "vitrine_session"

enum { MARKS = 4096, KNOWN = 64, KNOWN_S = 300, BASIC_MAX = 512 };

_Static_assert((int)VT_USER_NAME_MAX == (int)VT_SESSION_USER_MAX, "a session knows its user by name");

/* Failures of an address or a name, by its hash: two that share a place wait together. */
struct mark {
    unsigned failures;
    int64_t last;
};

/* A Basic header that was right a moment ago: yescrypt costs a tenth of a second. */
struct known {
    char header[BASIC_MAX];
    char user[VT_USER_NAME_MAX + 1];
    uint64_t stamp; /* of the account, then */
    int64_t until;
};

struct vt_login {
    struct vt_users *users;
    struct vt_events *events;
    struct vt_sessions *sessions;
    uint64_t seed; /* of the hashes, so that nobody can aim at a place */
    pthread_mutex_t lock;
    /* guarded by lock */
    struct mark marks[MARKS];
    struct known known[KNOWN];
};

struct vt_login *vt_login_new(struct vt_users *users, int64_t idle, struct vt_events *events)
{
    struct vt_login *login = calloc(1, sizeof *login);

    if (!login)
        return NULL;
    login->users = users;
    login->events = events;
    (void)!getrandom(&login->seed, sizeof login->seed, 0);
    pthread_mutex_init(&login->lock, NULL);
    login->sessions = vt_sessions_new(idle);
    if (login->sessions)
        return login;
    vt_login_free(login);
    return NULL;
}

void vt_login_free(struct vt_login *login)
{
    if (!login)
        return;
    vt_sessions_free(login->sessions);
    pthread_mutex_destroy(&login->lock);
    explicit_bzero(login, sizeof *login);
    free(login);
}

/* For the audit trail. */
static void tell_trail(const struct vt_login *login, const struct vt_request *request, const char *kind, const char *user, const char *text)
{
    json_t *detail = json_pack("{s:s, s:s}", "host", vt_request_address(request), "text", text);
    char *said = detail ? json_dumps(detail, JSON_COMPACT) : NULL;

    vt_events_publish(login->events, kind, user, said);
    free(said);
    json_decref(detail);
}

/* FNV-1a from a secret start: for places in tables. */
static uint64_t hash(const struct vt_login *login, const char *text)
{
    uint64_t value = login->seed;

    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return value ^ value >> 29;
}

/* ---- wrong passwords ---- */

static struct mark *mark_of(struct vt_login *login, const char *kind, const char *text)
{
    char both[VT_USER_NAME_MAX + 96];

    snprintf(both, sizeof both, "%s %s", kind, text);
    return &login->marks[hash(login, both) % MARKS];
}

static bool must_wait(struct vt_login *login, const char *address, const char *user)
{
    int64_t now = vt_clock_mono();
    struct mark *marks[] = { mark_of(login, "from", address), mark_of(login, "as", user) };
    bool wait = false;

    pthread_mutex_lock(&login->lock);
    for (size_t i = 0; i < VT_COUNT(marks); i++) {
        if (now - marks[i]->last > VT_LOGIN_WAIT_S * VT_NS_PER_S)
            marks[i]->failures = 0;
        wait |= marks[i]->failures >= VT_LOGIN_FAILURES;
    }
    pthread_mutex_unlock(&login->lock);
    return wait;
}

static void note(struct vt_login *login, const char *address, const char *user, bool right)
{
    struct mark *marks[] = { mark_of(login, "from", address), mark_of(login, "as", user) };

    pthread_mutex_lock(&login->lock);
    for (size_t i = 0; i < VT_COUNT(marks); i++) {
        marks[i]->failures = right ? 0 : marks[i]->failures + 1;
        marks[i]->last = vt_clock_mono();
    }
    pthread_mutex_unlock(&login->lock);
    if (!right)
        vt_log(VT_LOG_WARN, "login.failed", "user=\"%.63s\" host=%s", user, address);
}

/* false: answered. */
static bool verify(struct vt_login *login, struct vt_request *request, const char *user, const char *password,
                   struct vt_account *account)
{
    const char *address = vt_request_address(request);
    struct vt_err err = { 0 };

    if (must_wait(login, address, user)) {
        vt_answer_header(request, "Retry-After", "%d", VT_LOGIN_WAIT_S);
        vt_answer_error(request, 429, "Too many wrong passwords: wait %d seconds.", VT_LOGIN_WAIT_S);
        return false;
    }
    bool right = vt_users_verify(login->users, user, password, account, &err);
    if (right || err.code == VT_E_DENIED)
        note(login, address, user, right);
    if (right)
        return true;
    if (err.code != VT_E_DENIED) {
        vt_answer_err(request, &err);
        return false;
    }
    tell_trail(login, request, "console.refused", user, err.text);
    vt_answer_error(request, 401, "%s", err.text);
    return false;
}

/* ---- Basic ---- */

static int sextet(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? (int)(at - letters) : -1;
}

static bool decode_basic(const char *text, char out[BASIC_MAX])
{
    size_t length = 0;
    uint32_t bits = 0;
    int count = 0;

    for (; *text && *text != '='; text++) {
        int value = sextet(*text);
        if (value < 0 || length + 1 >= BASIC_MAX)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if ((count += 6) >= 8)
            out[length++] = (char)(bits >> (count -= 8) & 0xff);
    }
    out[length] = '\0';
    return strlen(out) == length;
}

static bool is_known(struct vt_login *login, const char *header, struct vt_session *out)
{
    struct known *known = &login->known[hash(login, header) % KNOWN];

    pthread_mutex_lock(&login->lock);
    bool found = known->until > vt_clock_mono() && strcmp(known->header, header) == 0;
    if (found) {
        *out = (struct vt_session){ .stamp = known->stamp };
        snprintf(out->user, sizeof out->user, "%s", known->user);
    }
    pthread_mutex_unlock(&login->lock);
    return found;
}

static void remember(struct vt_login *login, const char *header, const struct vt_session *who)
{
    struct known *known = &login->known[hash(login, header) % KNOWN];

    if (strlen(header) >= sizeof known->header)
        return;
    pthread_mutex_lock(&login->lock);
    snprintf(known->header, sizeof known->header, "%s", header);
    known->until = vt_clock_mono() + KNOWN_S * VT_NS_PER_S;
    known->stamp = who->stamp;
    snprintf(known->user, sizeof known->user, "%s", who->user);
    pthread_mutex_unlock(&login->lock);
}

/* Not so when the password was changed since. */
static bool is_current(struct vt_login *login, const struct vt_session *who)
{
    struct vt_account account;
    struct vt_err ignored = { 0 };
    bool there = false;

    return vt_users_look(login->users, who->user, &account, &there, &ignored) && there && account.stamp == who->stamp;
}

/* Whom an Authorization header names, as a session without a number; false: nobody, or answered. */
static bool basic_user(struct vt_login *login, struct vt_request *request, struct vt_session *out)
{
    const char *header = vt_request_header(request, "Authorization");
    char both[BASIC_MAX];
    struct vt_account account;

    if (!header || strncasecmp(header, "Basic ", 6) != 0)
        return false;
    if (is_known(login, header, out) && is_current(login, out))
        return true;
    if (!decode_basic(header + 6, both))
        return false;
    char *password = strchr(both, ':');
    if (!password)
        return false;
    *password++ = '\0';
    *out = (struct vt_session){ .number = 0 };
    snprintf(out->user, sizeof out->user, "%.*s", VT_USER_NAME_MAX, both);
    bool right = verify(login, request, out->user, password, &account);
    if (right) {
        out->stamp = account.stamp;
        remember(login, header, out);
    }
    explicit_bzero(both, sizeof both);
    return right;
}

/* ---- the gate ---- */

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 || strncmp(address, "::ffff:127.", 11) == 0;
}

/* Nobody has an account yet. */
static bool open_gate(struct vt_request *request)
{
    if (is_loopback(vt_request_address(request))) {
        vt_request_set_user(request, "", VT_USER_ADMIN);
        return true;
    }
    vt_answer_error(request, 403, "There is no user yet: `vitrine user add NAME --role admin` on the server makes one.");
    return false;
}

/* A role may have changed, the password too, or the user be gone, since the login. */
static bool set_user(struct vt_login *login, struct vt_request *request, const struct vt_session *session, struct vt_err *err)
{
    struct vt_account account;
    bool there = false;

    if (!vt_users_look(login->users, session->user, &account, &there, err))
        return false;
    if (there && account.stamp == session->stamp) {
        vt_request_set_user(request, session->user, account.role);
        vt_request_set_login(request, session->number, session->stamp);
    } else if (session->number > 0) {
        vt_sessions_end(login->sessions, session->number);
    }
    return true;
}

bool vt_login_gate(void *context, struct vt_request *request, enum vt_user_role needed)
{
    struct vt_login *login = context;
    struct vt_session session;
    struct vt_err err = { 0 };
    bool any = true;

    if (!vt_users_any(login->users, &any, &err)) {
        vt_answer_err(request, &err);
        return false;
    }
    if (!any)
        return open_gate(request);
    bool used = !vt_request_header(request, VT_UNATTENDED);
    if ((vt_sessions_find(login->sessions, vt_request_cookie(request, COOKIE), used, &session) ||
         basic_user(login, request, &session)) &&
        !set_user(login, request, &session, &err))
        vt_answer_err(request, &err);
    if (vt_answered(request))
        return false;
    if (vt_request_role(request) >= needed)
        return true;
    if (vt_request_role(request) == VT_USER_NOBODY) {
        const char *mode = vt_request_header(request, "Sec-Fetch-Mode");
        if (!mode) /* a browser shows our page, not its own box */
            vt_answer_header(request, "WWW-Authenticate", "Basic realm=\"vitrine\", charset=\"UTF-8\"");
        vt_answer_error(request, 401, "Please log in.");
    } else {
        vt_answer_error(request, 403, "This needs the role %s; %s has %s.", vt_user_role_name(needed),
                        vt_request_user(request), vt_user_role_name(vt_request_role(request)));
    }
    return false;
}

/* ---- login and logout ---- */

static void set_cookie(struct vt_request *request, const char *token, int seconds)
{
    vt_answer_header(request, "Set-Cookie", COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", token,
                     seconds, vt_request_is_tls(request) ? "; Secure" : "");
}

static void let_in(struct vt_login *login, struct vt_request *request, const char *user, const struct vt_account *account)
{
    char token[VT_SESSION_TOKEN_TEXT];

    if (!vt_sessions_begin(login->sessions, user, account->stamp, token)) {
        vt_answer_error(request, 503, "There is no randomness.");
        return;
    }
    set_cookie(request, token, VT_SESSION_HOURS * 3600);
    vt_log(VT_LOG_INFO, "login.done", "user=\"%.63s\" host=%s", user, vt_request_address(request));
    tell_trail(login, request, "console.login", user, vt_user_role_name(account->role));
    vt_request_set_user(request, user, account->role);
    vt_login_tell(login, request);
}

void vt_login_serve(struct vt_login *login, struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);
    const char *type = vt_request_header(request, "Content-Type");
    const char *user = NULL, *password = NULL;
    struct vt_account account;

    json_t *object = type && strncmp(type, "application/json", 16) == 0
                         ? json_loadb((const char *)body->data, body->size, 0, NULL)
                         : NULL;
    if (!object || json_unpack(object, "{s:s, s:s}", "user", &user, "password", &password) != 0)
        vt_answer_error(request, 400, "A login is a JSON object with \"user\" and \"password\".");
    else if (verify(login, request, user, password, &account))
        let_in(login, request, user, &account);
    json_decref(object);
}

void vt_login_leave(struct vt_login *login, struct vt_request *request)
{
    struct vt_session session;

    if (vt_sessions_find(login->sessions, vt_request_cookie(request, COOKIE), true, &session)) {
        vt_sessions_end(login->sessions, session.number);
        tell_trail(login, request, "console.logout", session.user, "logged out");
    }
    set_cookie(request, "", 0);
    vt_answer_bytes(request, 204, NULL, "", 0);
}

void vt_login_tell(struct vt_login *login, struct vt_request *request)
{
    struct vt_err err = { 0 };
    bool any = true;

    if (!vt_users_any(login->users, &any, &err)) {
        vt_answer_err(request, &err);
        return;
    }
    json_t *object = json_pack("{s:s, s:s, s:b}", "user", vt_request_user(request), "role",
                               vt_user_role_name(vt_request_role(request)), "open", !any);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    vt_answer_header(request, "Cache-Control", "no-store");
    if (text)
        vt_answer_bytes(request, 200, "application/json", text, strlen(text));
    free(text);
}

/* ---- what goes on behind its answer ---- */

void vt_login_pass_of(const struct vt_request *request, enum vt_user_role needed, struct vt_login_pass *out)
{
    *out = (struct vt_login_pass){ .needed = needed };
    vt_request_login(request, &out->session, &out->stamp);
    snprintf(out->user, sizeof out->user, "%s", vt_request_user(request));
    snprintf(out->address, sizeof out->address, "%s", vt_request_address(request));
}

/* NULL: it holds. What cannot be found out now does not end it: the next look will. */
static const char *why_not(struct vt_login *login, const struct vt_login_pass *pass, bool used)
{
    struct vt_err ignored = { 0 };
    struct vt_account account;
    bool there = true;

    if (!pass->user[0]) {
        bool any = false;
        return vt_users_any(login->users, &any, &ignored) && any ? "There are users now: please log in." : NULL;
    }
    if (pass->session > 0 && !vt_sessions_holds(login->sessions, pass->session, used))
        return "The login has ended: please log in again.";
    if (!vt_users_look(login->users, pass->user, &account, &there, &ignored))
        return NULL;
    if (!there)
        return "This user was removed.";
    if (account.stamp != pass->stamp)
        return "The password was changed: please log in again.";
    return account.role >= pass->needed ? NULL : "The role of this user was changed.";
}

bool vt_login_holds(struct vt_login *login, const struct vt_login_pass *pass, bool used, const char **out_why)
{
    const char *why = why_not(login, pass, used);

    if (why)
        *out_why = why;
    return !why;
}
