/* Members, pins and logging in: where the master is, and whether it is ours. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/reach.h"
#include "hypervisor/xapi_state.h"

enum { USER_MAX = 128, PASSWORD_MAX = 256, URL_PATH_MAX = 128 };

struct credentials {
    char user[USER_MAX], password[PASSWORD_MAX];
};

struct vt_xapi {
    /* fixed after _new */
    char scheme[8], path[URL_PATH_MAX], originator[64];
    char *ca_file;
    uint16_t port;
    vt_xapi_sight_fn sight; /* set before threads start */
    void *sight_context;
    pthread_mutex_t login_lock; /* held while somebody logs in, so that only one does */

    pthread_mutex_t lock; /* guards what follows */
    struct credentials login;
    char *fingerprint;
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    size_t count;
    char pool_uuid[VT_XAPI_UUID_MAX];
    char master[VT_XAPI_ADDRESS_MAX]; /* of the session, or of the last one */
    char session[VT_XAPI_REF_MAX];    /* "" when there is none */
    uint64_t logins;
};

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
           strcmp(address, "localhost") == 0;
}

/* ---- members: callers hold the lock ---- */

static struct vt_xapi_member *member_at(struct vt_xapi *xapi, const char *address)
{
    for (size_t i = 0; i < xapi->count; i++)
        if (strcmp(xapi->members[i].address, address) == 0)
            return &xapi->members[i];
    return NULL;
}

/* NULL when there are too many, or the address is none. */
static struct vt_xapi_member *member_add(struct vt_xapi *xapi, const char *address)
{
    struct vt_xapi_member *member = member_at(xapi, address);

    if (member)
        return member;
    if (xapi->count == VT_XAPI_MEMBERS_MAX || *address == '\0' ||
        strlen(address) >= VT_XAPI_ADDRESS_MAX || strpbrk(address, "/@ \t\r\n?#"))
        return NULL;
    member = &xapi->members[xapi->count++];
    *member = (struct vt_xapi_member){ 0 };
    copy(member->address, sizeof member->address, address);
    return member;
}

/* ---- making one ---- */

static bool take_part(CURLU *url, CURLUPart part, char *out, size_t size)
{
    char *text = NULL;
    bool ok = curl_url_get(url, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) ==
                  CURLUE_OK &&
              strlen(text) < size;

    if (ok)
        copy(out, size, text);
    curl_free(text);
    return ok;
}

static bool parse_url(struct vt_xapi *xapi, const char *text, struct vt_err *err)
{
    CURLU *url = curl_url();
    char host[VT_XAPI_ADDRESS_MAX] = "", port[8] = "";

    bool ok = url && curl_url_set(url, CURLUPART_URL, text, CURLU_GUESS_SCHEME) == CURLUE_OK &&
              take_part(url, CURLUPART_SCHEME, xapi->scheme, sizeof xapi->scheme) &&
              take_part(url, CURLUPART_HOST, host, sizeof host) &&
              take_part(url, CURLUPART_PORT, port, sizeof port) &&
              take_part(url, CURLUPART_PATH, xapi->path, sizeof xapi->path);
    bool explicit = strstr(text, "://");
    curl_url_cleanup(url);
    if (!explicit)
        copy(xapi->scheme, sizeof xapi->scheme, "https");
    if (!ok || (strcmp(xapi->scheme, "https") != 0 && strcmp(xapi->scheme, "http") != 0))
        return vt_fail(err, VT_E_INVALID, "'%s' is not the address of a pool: https://HOST", text);
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[') { /* IPv6 */
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
    xapi->port = (uint16_t)strtoul(explicit || strcmp(port, "80") != 0 ? port : "443", NULL, 10);
    if (!member_add(xapi, host))
        return vt_fail(err, VT_E_INVALID, "'%s' is not the address of a pool: https://HOST", text);
    copy(xapi->master, sizeof xapi->master, host);
    return true;
}

static bool check_login(const char *user, const char *password, struct vt_err *err)
{
    return (strlen(password) < PASSWORD_MAX && strlen(user) < USER_MAX) ||
           vt_fail(err, VT_E_INVALID, "the user's name or password is too long");
}

static bool fill(struct vt_xapi *xapi, const struct vt_xapi_options *options, struct vt_err *err)
{
    if (!check_login(options->user, options->password, err))
        return false;
    if (!parse_url(xapi, options->url, err))
        return false;
    if (strcmp(xapi->scheme, "http") == 0 && !is_loopback(xapi->master) && !options->allow_plain)
        return vt_fail(err, VT_E_INVALID, "%s would send the password in clear: use https",
                       options->url);
    copy(xapi->login.user, sizeof xapi->login.user, options->user);
    copy(xapi->login.password, sizeof xapi->login.password, options->password);
    copy(xapi->originator, sizeof xapi->originator,
         options->originator ? options->originator : "vitrine");
    xapi->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    xapi->fingerprint =
        options->fingerprint && *options->fingerprint ? strdup(options->fingerprint) : NULL;
    if ((options->ca_file && !xapi->ca_file) ||
        (options->fingerprint && *options->fingerprint && !xapi->fingerprint))
        return vt_fail(err, VT_E_NOMEM, "no memory for a pool session");
    return true;
}

struct vt_xapi *vt_xapi_new(const struct vt_xapi_options *options, struct vt_err *err)
{
    struct vt_xapi *xapi = calloc(1, sizeof *xapi);

    if (!xapi) {
        vt_fail(err, VT_E_NOMEM, "no memory for a pool session");
        return NULL;
    }
    pthread_mutex_init(&xapi->lock, NULL);
    pthread_mutex_init(&xapi->login_lock, NULL);
    if (fill(xapi, options, err))
        return xapi;
    vt_xapi_free(xapi);
    return NULL;
}

void vt_xapi_free(struct vt_xapi *xapi)
{
    if (!xapi)
        return;
    explicit_bzero(xapi->login.password, sizeof xapi->login.password);
    pthread_mutex_destroy(&xapi->lock);
    pthread_mutex_destroy(&xapi->login_lock);
    free(xapi->ca_file);
    free(xapi->fingerprint);
    free(xapi);
}

bool vt_xapi_set_login(struct vt_xapi *xapi, const char *user, const char *password,
                       const char *fingerprint, bool *out_changed, struct vt_err *err)
{
    char *wanted = fingerprint && *fingerprint ? strdup(fingerprint) : NULL;

    if (fingerprint && *fingerprint && !wanted)
        return vt_fail(err, VT_E_NOMEM, "no memory for a pool session");
    if (!check_login(user, password, err)) {
        free(wanted);
        return false;
    }
    pthread_mutex_lock(&xapi->lock);
    *out_changed = strcmp(xapi->login.user, user) != 0 ||
                   strcmp(xapi->login.password, password) != 0 ||
                   strcmp(xapi->fingerprint ? xapi->fingerprint : "", wanted ? wanted : "") != 0;
    explicit_bzero(xapi->login.password, sizeof xapi->login.password);
    copy(xapi->login.user, sizeof xapi->login.user, user);
    copy(xapi->login.password, sizeof xapi->login.password, password);
    free(xapi->fingerprint);
    xapi->fingerprint = wanted;
    pthread_mutex_unlock(&xapi->lock);
    return true;
}

bool vt_xapi_remember(struct vt_xapi *xapi, const char *pool_uuid,
                      const struct vt_xapi_member *members, size_t count, struct vt_err *err)
{
    bool ok = true;

    pthread_mutex_lock(&xapi->lock);
    copy(xapi->pool_uuid, sizeof xapi->pool_uuid, pool_uuid);
    for (size_t i = 0; i < count && ok; i++) {
        struct vt_xapi_member *member = member_add(xapi, members[i].address);
        ok =
            member || vt_fail(err, VT_E_INVALID, "'%s' is no member's address", members[i].address);
        if (member)
            *member = members[i];
    }
    pthread_mutex_unlock(&xapi->lock);
    return ok;
}

void vt_xapi_members(struct vt_xapi *xapi, struct vt_xapi_member *out_members, size_t *out_count,
                     char out_pool_uuid[static VT_XAPI_UUID_MAX])
{
    pthread_mutex_lock(&xapi->lock);
    memcpy(out_members, xapi->members, xapi->count * sizeof *out_members);
    *out_count = xapi->count;
    copy(out_pool_uuid, VT_XAPI_UUID_MAX, xapi->pool_uuid);
    pthread_mutex_unlock(&xapi->lock);
}

bool vt_xapi_forget_pin(struct vt_xapi *xapi, const char *address, struct vt_err *err)
{
    pthread_mutex_lock(&xapi->lock);
    struct vt_xapi_member *member = member_at(xapi, address);
    if (member)
        member->pin[0] = '\0';
    if (member && strcmp(xapi->master, address) == 0)
        xapi->session[0] = '\0'; /* the pin is learnt by logging in */
    pthread_mutex_unlock(&xapi->lock);
    return member || vt_fail(err, VT_E_NOTFOUND, "no member has the address %s", address);
}

void vt_xapi_see_tasks(struct vt_xapi *xapi, vt_xapi_sight_fn sight, void *context)
{
    xapi->sight = sight;
    xapi->sight_context = context;
}

void vt_xapi_sight(struct vt_xapi *xapi, vt_xapi_sight_fn *out_sight, void **out_context)
{
    *out_sight = xapi->sight;
    *out_context = xapi->sight_context;
}

void vt_xapi_master(struct vt_xapi *xapi, char out_address[static VT_XAPI_ADDRESS_MAX])
{
    pthread_mutex_lock(&xapi->lock);
    copy(out_address, VT_XAPI_ADDRESS_MAX, xapi->session[0] ? xapi->master : "");
    pthread_mutex_unlock(&xapi->lock);
}

uint64_t vt_xapi_login_count(struct vt_xapi *xapi)
{
    pthread_mutex_lock(&xapi->lock);
    uint64_t logins = xapi->logins;
    pthread_mutex_unlock(&xapi->lock);
    return logins;
}

/* ---- the session ---- */

static void point_host(const struct vt_xapi *xapi, struct vt_xapi_session *out)
{
    out->host = (struct vt_line_host){ .scheme = xapi->scheme,
                                       .address = out->address,
                                       .port = xapi->port,
                                       .path = xapi->path,
                                       .ca_file = xapi->ca_file,
                                       .pin = out->pin };
}

bool vt_xapi_session_get(struct vt_xapi *xapi, struct vt_xapi_session *out, struct vt_err *err)
{
    pthread_mutex_lock(&xapi->lock);
    bool there = xapi->session[0];
    const struct vt_xapi_member *member = member_at(xapi, xapi->master);
    copy(out->ref, sizeof out->ref, xapi->session);
    copy(out->address, sizeof out->address, xapi->master);
    copy(out->pin, sizeof out->pin, member ? member->pin : "");
    out->login = xapi->logins;
    pthread_mutex_unlock(&xapi->lock);
    point_host(xapi, out);
    return there || vt_fail(err, VT_E_CLOSED, "the session with the pool ended");
}

void vt_xapi_session_drop(struct vt_xapi *xapi, uint64_t login)
{
    pthread_mutex_lock(&xapi->lock);
    if (xapi->logins == login)
        xapi->session[0] = '\0';
    pthread_mutex_unlock(&xapi->lock);
}

/* The pin of an address: the one that is known, or, at first use, what the host shows now, when
 * that is what was configured (for the configured host) or nothing was. */
static bool learn_pin(struct vt_xapi *xapi, struct vt_xapi_session *at, struct vt_err *err)
{
    VT_AUTO(vt_line) line = NULL;
    struct vt_cert cert = { 0 };

    if (strcmp(xapi->scheme, "https") != 0 || xapi->ca_file || at->pin[0])
        return true;
    if (!(line = vt_line_new(err)) || !vt_line_peek(line, &at->host, VT_XAPI_PROBE_MS, &cert, err))
        return false;
    pthread_mutex_lock(&xapi->lock);
    bool configured = strcmp(xapi->members[0].address, at->address) == 0;
    bool believed = !xapi->fingerprint || !configured || vt_cert_matches(&cert, xapi->fingerprint);
    struct vt_xapi_member *member = believed ? member_add(xapi, at->address) : NULL;
    if (member)
        copy(member->pin, sizeof member->pin, cert.pin);
    pthread_mutex_unlock(&xapi->lock);
    copy(at->pin, sizeof at->pin, cert.pin);
    return believed ||
           vt_fail(err, VT_E_DENIED,
                   "%s shows another certificate than the one that was configured: %.64s",
                   at->address, cert.fingerprint);
}

/* One pool, and the one we know. */
static bool check_pool(struct vt_xapi *xapi, struct vt_line *line, const struct vt_xapi_session *at,
                       const char *session, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!vt_xapi_post(line, &at->host, session, &reply, err, "pool.get_all_records", ""))
        return false;
    const char *uuid = vt_xmlrpc_text(vt_xmlrpc_member(vt_xmlrpc_first(reply.value), "uuid"), "");
    if (*uuid == '\0')
        return vt_fail(err, VT_E_PROTOCOL, "%s does not name its pool", at->address);
    pthread_mutex_lock(&xapi->lock);
    bool ours = xapi->pool_uuid[0] == '\0' || strcmp(xapi->pool_uuid, uuid) == 0;
    if (ours)
        copy(xapi->pool_uuid, sizeof xapi->pool_uuid, uuid);
    pthread_mutex_unlock(&xapi->lock);
    return ours || vt_fail(err, VT_E_REFUSED, "%s belongs to another pool (%s)", at->address, uuid);
}

/* Addresses and uuids of all members; and their keys, as the master tells them over the trusted
 * connection. */
static void learn_members(struct vt_xapi *xapi, struct vt_line *line,
                          const struct vt_xapi_session *at, const char *session)
{
    VT_AUTO_REPLY hosts = { 0 };
    struct vt_err ignored = { 0 };

    if (!vt_xapi_post(line, &at->host, session, &hosts, &ignored, "host.get_all_records", ""))
        return;
    for (const struct vt_xmlrpc_value *host = vt_xmlrpc_first(hosts.value); host;
         host = host->next) {
        VT_AUTO_REPLY pem = { 0 };
        struct vt_cert cert = { 0 };
        const char *address = vt_xmlrpc_text(vt_xmlrpc_member(host, "address"), "");
        bool tls = strcmp(xapi->scheme, "https") == 0 && !xapi->ca_file;
        bool told = tls &&
                    vt_xapi_post(line, &at->host, session, &pem, &ignored,
                                 "host.get_server_certificate", "s", host->name) &&
                    vt_cert_read(vt_xmlrpc_text(pem.value, ""), &cert, &ignored);
        pthread_mutex_lock(&xapi->lock);
        struct vt_xapi_member *member = member_add(xapi, address);
        if (member)
            copy(member->uuid, sizeof member->uuid,
                 vt_xmlrpc_text(vt_xmlrpc_member(host, "uuid"), ""));
        if (member && told &&
            member->pin[0] == '\0') /* a known pin changes by an explicit act only */
            copy(member->pin, sizeof member->pin, cert.pin);
        pthread_mutex_unlock(&xapi->lock);
    }
}

bool vt_xapi_member_session(struct vt_xapi *xapi, const char *address, struct vt_xapi_session *out,
                            struct vt_err *err)
{
    *out = (struct vt_xapi_session){ 0 };
    pthread_mutex_lock(&xapi->lock);
    const struct vt_xapi_member *member = member_at(xapi, address);
    copy(out->pin, sizeof out->pin, member ? member->pin : "");
    pthread_mutex_unlock(&xapi->lock);
    copy(out->address, sizeof out->address, address);
    point_host(xapi, out);
    return learn_pin(xapi, out, err);
}

bool vt_xapi_post_login(struct vt_xapi *xapi, struct vt_line *line, const struct vt_line_host *host,
                        struct vt_xapi_reply *reply, struct vt_err *err, const char *method)
{
    struct credentials login;
    bool whole = strcmp(method, "session.login_with_password") == 0;

    pthread_mutex_lock(&xapi->lock);
    login = xapi->login;
    pthread_mutex_unlock(&xapi->lock);
    bool ok = vt_xapi_post(line, host, NULL, reply, err, method, whole ? "ssss" : "ss", login.user,
                           login.password, "2.21", xapi->originator);
    explicit_bzero(login.password, sizeof login.password);
    return ok;
}

/* A session at one address. *out_next: where HOST_IS_SLAVE sends us. */
static bool login_at(struct vt_xapi *xapi, struct vt_line *line, const char *address,
                     char out_next[static VT_XAPI_ADDRESS_MAX], struct vt_err *err)
{
    struct vt_xapi_session at;
    VT_AUTO_REPLY reply = { 0 };

    out_next[0] = '\0';
    if (!vt_xapi_member_session(xapi, address, &at, err))
        return false;
    if (!vt_xapi_post_login(xapi, line, &at.host, &reply, err, "session.login_with_password")) {
        if (strcmp(err->xapi_code, "HOST_IS_SLAVE") == 0 && reply.failure.count > 0)
            copy(out_next, VT_XAPI_ADDRESS_MAX, reply.failure.params[0]);
        return false;
    }
    const char *session = vt_xmlrpc_text(reply.value, "");
    if (*session == '\0' || strlen(session) >= VT_XAPI_REF_MAX)
        return vt_fail(err, VT_E_PROTOCOL, "%s gave no session", address);
    if (!check_pool(xapi, line, &at, session, err)) {
        VT_AUTO_REPLY bye = { 0 };
        struct vt_err ignored = { 0 };
        vt_xapi_post(line, &at.host, session, &bye, &ignored, "session.logout", "");
        return false;
    }
    learn_members(xapi, line, &at, session);
    pthread_mutex_lock(&xapi->lock);
    member_add(xapi, address);
    copy(xapi->master, sizeof xapi->master, address);
    copy(xapi->session, sizeof xapi->session, session);
    xapi->logins++;
    pthread_mutex_unlock(&xapi->lock);
    return true;
}

/* Authentication and changed certificates are for a person to solve: no other member is tried. */
static bool is_final(const struct vt_err *err)
{
    return err->code == VT_E_CANCELLED || err->code == VT_E_NOMEM || err->code == VT_E_DENIED ||
           strncmp(err->xapi_code, "SESSION_AUTH", 12) == 0;
}

/* From one address along its redirects. */
static bool login_from(struct vt_xapi *xapi, struct vt_line *line, const char *address,
                       struct vt_err *err)
{
    char here[VT_XAPI_ADDRESS_MAX], next[VT_XAPI_ADDRESS_MAX];

    copy(here, sizeof here, address);
    for (int hop = 0; hop <= VT_XAPI_HOPS_MAX; hop++) {
        vt_err_clear(err);
        if (login_at(xapi, line, here, next, err))
            return true;
        if (next[0] == '\0' || strcmp(next, here) == 0)
            return false;
        copy(here, sizeof here, next);
    }
    return vt_fail(err, VT_E_REFUSED, "the members send us in a circle: %s knows no master",
                   address);
}

/* Members that answer, the last master first when it does. */
static size_t find_members(struct vt_xapi *xapi, struct vt_xapi_member *members, size_t *order)
{
    const char *addresses[VT_XAPI_MEMBERS_MAX];
    char last[VT_XAPI_ADDRESS_MAX], uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;

    vt_xapi_members(xapi, members, &count, uuid);
    pthread_mutex_lock(&xapi->lock);
    copy(last, sizeof last, xapi->master);
    pthread_mutex_unlock(&xapi->lock);
    for (size_t i = 0; i < count; i++)
        addresses[i] = members[i].address;
    size_t found = vt_reach(addresses, count, xapi->port, VT_XAPI_PROBE_MS, order);
    for (size_t i = 1; i < found; i++) {
        if (strcmp(addresses[order[i]], last) == 0) {
            size_t index = order[i];
            memmove(order + 1, order, i * sizeof *order);
            order[0] = index;
        }
    }
    return found;
}

static bool login_anywhere(struct vt_xapi *xapi, struct vt_line *line, struct vt_err *err)
{
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    size_t order[VT_XAPI_MEMBERS_MAX];
    size_t count = find_members(xapi, members, order);

    vt_fail(err, VT_E_REFUSED, "no member of the pool answers");
    for (size_t i = 0; i < count; i++) {
        struct vt_err reason = { 0 };
        if (login_from(xapi, line, members[order[i]].address, &reason)) {
            vt_err_clear(err);
            return true;
        }
        if (i == 0 || is_final(&reason))
            *err = reason;
        if (is_final(&reason))
            return false;
    }
    return false;
}

/* Under the login lock from the look to the copy: who drops a session holds a copy of it, so the
 * one we log in to cannot be dropped before we have ours. */
bool vt_xapi_session_need(struct vt_xapi *xapi, struct vt_line *line, struct vt_xapi_session *out,
                          struct vt_err *err)
{
    struct vt_err none = { 0 };

    pthread_mutex_lock(&xapi->login_lock);
    bool ok = vt_xapi_session_get(xapi, out, &none) ||
              (login_anywhere(xapi, line, err) && vt_xapi_session_get(xapi, out, err));
    pthread_mutex_unlock(&xapi->login_lock);
    return ok;
}

bool vt_xapi_login(struct vt_xapi *xapi, struct vt_line *line, struct vt_err *err)
{
    struct vt_xapi_session session;

    return vt_xapi_session_need(xapi, line, &session, err);
}

bool vt_xapi_logout(struct vt_xapi *xapi, struct vt_line *line, struct vt_err *err)
{
    struct vt_xapi_session session;
    struct vt_err none = { 0 };
    VT_AUTO_REPLY reply = { 0 };

    if (!vt_xapi_session_get(xapi, &session, &none))
        return true;
    vt_xapi_session_drop(xapi, session.login);
    return vt_xapi_post(line, &session.host, session.ref, &reply, err, "session.logout", "");
}
