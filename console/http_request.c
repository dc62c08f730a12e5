/* What was asked: path, parameters, headers, and whether host and origin are ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/http_inside.h"
#include "console/http_rules.h"
#include "core/err.h"

static const char *const role_names[] = { "nobody", "viewer", "operator", "admin" };

const char *vt_user_role_name(enum vt_user_role role)
{
    return role_names[role];
}

bool vt_user_role_parse(const char *name, enum vt_user_role *out_role)
{
    for (size_t i = VT_USER_VIEWER; i < VT_COUNT(role_names); i++)
        if (strcmp(role_names[i], name) == 0) {
            *out_role = (enum vt_user_role)i;
            return true;
        }
    return false;
}

/* ---- decoding ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Well-formed UTF-8 without control characters (RFC 3629). */
static bool is_text(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xf0 && *p < 0xf5 ? 3 : -1;
        if (more < 0 || *p < 0x20 || *p == 0x7f || (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

char *vt_http_decode(const char *text, size_t size, bool plus_is_space)
{
    char *out = size <= VT_HTTP_TEXT_MAX ? malloc(size + 1) : NULL;
    size_t length = 0;

    for (size_t i = 0; out && i < size; i++) {
        int high = text[i] == '%' && i + 2 < size + 0 ? hex(text[i + 1]) : -1;
        int low = high >= 0 ? hex(text[i + 2]) : -1;
        if (low >= 0) {
            out[length++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[length++] = plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    if (!out)
        return NULL;
    out[length] = '\0';
    if (strlen(out) == length && is_text(out))
        return out;
    free(out);
    return NULL;
}

/* ---- routes ---- */

struct slice {
    const char *begin;
    size_t size;
};

static bool match(const char *pattern, const char *path, struct slice parts[VT_HTTP_PARTS_MAX], size_t *count)
{
    *count = 0;
    for (;;) {
        if (*pattern != '/' || *path != '/')
            return *pattern == '\0' && *path == '\0';
        pattern++, path++;
        bool rest = strcmp(pattern, "**") == 0;
        size_t want = strcspn(pattern, "/"), have = rest ? strlen(path) : strcspn(path, "/");
        if (rest || (want == 1 && *pattern == '*')) {
            if ((have == 0 && !rest) || *count == VT_HTTP_PARTS_MAX)
                return false;
            parts[(*count)++] = (struct slice){ path, have };
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += rest ? 2 : want;
        path += have;
    }
}

bool vt_http_match(const struct vt_route *route, struct vt_request *request)
{
    struct slice parts[VT_HTTP_PARTS_MAX];
    size_t count;

    if (!match(route->path, request->url, parts, &count))
        return false;
    for (size_t i = 0; i < request->part_count; i++)
        free(request->parts[i]);
    request->part_count = 0;
    for (size_t i = 0; i < count; i++) {
        char *part = vt_http_decode(parts[i].begin, parts[i].size, false);
        if (!part)
            return false;
        request->parts[request->part_count++] = part;
    }
    return true;
}

/* ---- whose pages ---- */

bool vt_http_host_is_ours(const struct vt_request *request)
{
    const struct vt_http *http = request->http;

    return vt_host_is_one_of(vt_request_header(request, "Host"), http->address, http->options.hosts, http->options.host_count);
}

bool vt_http_origin_is_ours(const struct vt_request *request)
{
    return vt_origin_is_same(vt_request_header(request, "Sec-Fetch-Site"), vt_request_header(request, "Origin"),
                             vt_request_header(request, "Host"));
}

/* ---- what handlers ask ---- */

void *vt_request_context(const struct vt_request *request)
{
    return request->http->options.context;
}

const char *vt_request_method(const struct vt_request *request)
{
    return request->method;
}

const char *vt_request_path(const struct vt_request *request)
{
    return request->url;
}

const char *vt_request_part(const struct vt_request *request, size_t i)
{
    return i < request->part_count ? request->parts[i] : "";
}

const char *vt_request_header(const struct vt_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *vt_request_cookie(const struct vt_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, name);
}

const char *vt_request_address(const struct vt_request *request)
{
    return request->address;
}

bool vt_request_is_tls(const struct vt_request *request)
{
    return request->http->options.certificate;
}

const char *vt_request_query(const struct vt_request *request, const char *key)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (strcmp(request->queries[i].key, key) == 0)
            return request->queries[i].value;
    return NULL;
}

bool vt_request_query_at(const struct vt_request *request, size_t i, const char **out_key, const char **out_value)
{
    if (i >= request->query_count)
        return false;
    *out_key = request->queries[i].key;
    *out_value = request->queries[i].value;
    return true;
}

const struct vt_buf *vt_request_body(const struct vt_request *request)
{
    return &request->body;
}

void vt_request_set_state(struct vt_request *request, void *state, void (*free_state)(void *state))
{
    request->state = state;
    request->state_free = free_state;
}

void *vt_request_state(const struct vt_request *request)
{
    return request->state;
}

const char *vt_request_user(const struct vt_request *request)
{
    return request->user;
}

enum vt_user_role vt_request_role(const struct vt_request *request)
{
    return request->role;
}

void vt_request_set_user(struct vt_request *request, const char *user, enum vt_user_role role)
{
    snprintf(request->user, sizeof request->user, "%s", user);
    request->role = role;
}

void vt_request_set_login(struct vt_request *request, uint64_t session, uint64_t stamp)
{
    request->session = session;
    request->stamp = stamp;
}

void vt_request_login(const struct vt_request *request, uint64_t *out_session, uint64_t *out_stamp)
{
    *out_session = request->session;
    *out_stamp = request->stamp;
}

bool vt_request_ending(const struct vt_request *request)
{
    return atomic_load(&request->http->ending);
}
