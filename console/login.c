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
#include "core/log.h"
#include "dicom/uids.h"

#define COOKIE "vitrine_session"

enum { TOKEN_BYTES = 32, TOKEN_TEXT = 2 * TOKEN_BYTES + 1, MARKS = 4096, KNOWN = 64, KNOWN_S = 300, BASIC_MAX = 512 };

struct session {
    char token[TOKEN_TEXT];
    char user[VT_USER_NAME_MAX + 1];
    enum vt_user_role role;
    int64_t begun, used; /* monotonic ns; used 0: free */
};

/* Failures of an address or a name, by its hash: two that share a place wait together. */
struct mark {
    unsigned failures;
    int64_t last;
};

/* A Basic header that was right a moment ago: yescrypt costs a tenth of a second. */
struct known {
    char header[BASIC_MAX];
    char user[VT_USER_NAME_MAX + 1];
    int64_t until;
};

struct vt_login {
    struct vt_users *users;
    uint64_t seed; /* of the hashes, so that nobody can aim at a place */
    pthread_mutex_t lock;
    /* guarded by lock */
    struct session sessions[VT_SESSIONS_MAX];
    struct mark marks[MARKS];
    struct known known[KNOWN];
};

struct vt_login *vt_login_new(struct vt_users *users)
{
    struct vt_login *login = calloc(1, sizeof *login);

    if (!login)
        return NULL;
    login->users = users;
    (void)!getrandom(&login->seed, sizeof login->seed, 0);
    pthread_mutex_init(&login->lock, NULL);
    return login;
}

void vt_login_free(struct vt_login *login)
{
    if (!login)
        return;
    pthread_mutex_destroy(&login->lock);
    explicit_bzero(login, sizeof *login);
    free(login);
}

/* FNV-1a from a secret start: for places in tables. */
static uint64_t hash(const struct vt_login *login, const char *text)
{
    uint64_t value = login->seed;

    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return value ^ value >> 29;
}

/* ---- sessions ---- */

static bool is_over(const struct session *session, int64_t now)
{
    return session->used == 0 || now - session->used > VT_SESSION_IDLE_MINUTES * 60 * VT_NS_PER_S ||
           now - session->begun > VT_SESSION_HOURS * 3600 * VT_NS_PER_S;
}

static bool make_token(char out[TOKEN_TEXT])
{
    uint8_t bytes[TOKEN_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* In a free place, or that of the session that was not used for longest. */
static bool begin_session(struct vt_login *login, const char *user, enum vt_user_role role, char token[TOKEN_TEXT])
{
    int64_t now = vt_clock_mono();
    struct session *best = &login->sessions[0];

    if (!make_token(token))
        return false;
    pthread_mutex_lock(&login->lock);
    for (size_t i = 0; i < VT_SESSIONS_MAX && !is_over(best, now); i++)
        if (is_over(&login->sessions[i], now) || login->sessions[i].used < best->used)
            best = &login->sessions[i];
    *best = (struct session){ .role = role, .begun = now, .used = now };
    memcpy(best->token, token, TOKEN_TEXT);
    snprintf(best->user, sizeof best->user, "%s", user);
    pthread_mutex_unlock(&login->lock);
    return true;
}

static bool same_token(const char *a, const char *b)
{
    unsigned char differ = strlen(b) != TOKEN_TEXT - 1;

    for (size_t i = 0; i < TOKEN_TEXT - 1 && b[i]; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static bool find_session(struct vt_login *login, const char *token, char user[VT_USER_NAME_MAX + 1], bool end)
{
    int64_t now = vt_clock_mono();
    bool found = false;

    pthread_mutex_lock(&login->lock);
    for (size_t i = 0; token && i < VT_SESSIONS_MAX && !found; i++) {
        struct session *session = &login->sessions[i];
        if (is_over(session, now) || !same_token(session->token, token))
            continue;
        found = true;
        session->used = end ? 0 : now;
        snprintf(user, VT_USER_NAME_MAX + 1, "%s", session->user);
    }
    pthread_mutex_unlock(&login->lock);
    return found;
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
                   enum vt_user_role *role)
{
    const char *address = vt_request_address(request);
    struct vt_err err = { 0 };

    if (must_wait(login, address, user)) {
        vt_answer_header(request, "Retry-After", "%d", VT_LOGIN_WAIT_S);
        vt_answer_error(request, 429, "Too many wrong passwords: wait %d seconds.", VT_LOGIN_WAIT_S);
        return false;
    }
    bool right = vt_users_verify(login->users, user, password, role, &err);
    if (right || err.code == VT_E_DENIED)
        note(login, address, user, right);
    if (right)
        return true;
    if (err.code == VT_E_DENIED)
        vt_answer_error(request, 401, "%s", err.text);
    else
        vt_answer_err(request, &err);
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

static bool is_known(struct vt_login *login, const char *header, char user[VT_USER_NAME_MAX + 1])
{
    struct known *known = &login->known[hash(login, header) % KNOWN];

    pthread_mutex_lock(&login->lock);
    bool found = known->until > vt_clock_mono() && strcmp(known->header, header) == 0;
    if (found)
        snprintf(user, VT_USER_NAME_MAX + 1, "%s", known->user);
    pthread_mutex_unlock(&login->lock);
    return found;
}

static void remember(struct vt_login *login, const char *header, const char *user)
{
    struct known *known = &login->known[hash(login, header) % KNOWN];

    if (strlen(header) >= sizeof known->header)
        return;
    pthread_mutex_lock(&login->lock);
    snprintf(known->header, sizeof known->header, "%s", header);
    known->until = vt_clock_mono() + KNOWN_S * VT_NS_PER_S;
    snprintf(known->user, sizeof known->user, "%s", user);
    pthread_mutex_unlock(&login->lock);
}

/* The user that an Authorization header names; false: none, or answered. */
static bool basic_user(struct vt_login *login, struct vt_request *request, char user[VT_USER_NAME_MAX + 1])
{
    const char *header = vt_request_header(request, "Authorization");
    char both[BASIC_MAX];
    enum vt_user_role role;

    if (!header || strncasecmp(header, "Basic ", 6) != 0)
        return false;
    if (is_known(login, header, user))
        return true;
    if (!decode_basic(header + 6, both))
        return false;
    char *password = strchr(both, ':');
    if (!password)
        return false;
    *password++ = '\0';
    snprintf(user, VT_USER_NAME_MAX + 1, "%.*s", VT_USER_NAME_MAX, both);
    bool right = verify(login, request, user, password, &role);
    if (right)
        remember(login, header, user);
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

/* A role may have changed, or the user be gone, since the login. */
static bool set_user(struct vt_login *login, struct vt_request *request, const char *user, struct vt_err *err)
{
    enum vt_user_role role;
    bool there = false;

    if (!vt_users_look(login->users, user, &role, &there, err))
        return false;
    if (there)
        vt_request_set_user(request, user, role);
    return true;
}

bool vt_login_gate(void *context, struct vt_request *request, enum vt_user_role needed)
{
    struct vt_login *login = context;
    char user[VT_USER_NAME_MAX + 1];
    struct vt_err err = { 0 };
    bool any = true;

    if (!vt_users_any(login->users, &any, &err)) {
        vt_answer_err(request, &err);
        return false;
    }
    if (!any)
        return open_gate(request);
    if ((find_session(login, vt_request_cookie(request, COOKIE), user, false) || basic_user(login, request, user)) &&
        !set_user(login, request, user, &err))
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

void vt_login_serve(struct vt_login *login, struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);
    const char *type = vt_request_header(request, "Content-Type");
    char token[TOKEN_TEXT];
    enum vt_user_role role = VT_USER_NOBODY;
    const char *user = NULL, *password = NULL;

    json_t *object = type && strncmp(type, "application/json", 16) == 0
                         ? json_loadb((const char *)body->data, body->size, 0, NULL)
                         : NULL;
    if (!object || json_unpack(object, "{s:s, s:s}", "user", &user, "password", &password) != 0) {
        vt_answer_error(request, 400, "A login is a JSON object with \"user\" and \"password\".");
    } else if (verify(login, request, user, password, &role)) {
        if (begin_session(login, user, role, token)) {
            set_cookie(request, token, VT_SESSION_HOURS * 3600);
            vt_log(VT_LOG_INFO, "login.done", "user=\"%.63s\" host=%s", user, vt_request_address(request));
            vt_request_set_user(request, user, role);
            vt_login_tell(login, request);
        } else {
            vt_answer_error(request, 503, "There is no randomness.");
        }
    }
    json_decref(object);
}

void vt_login_leave(struct vt_login *login, struct vt_request *request)
{
    char user[VT_USER_NAME_MAX + 1];

    find_session(login, vt_request_cookie(request, COOKIE), user, true);
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
