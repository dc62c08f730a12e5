/* console/http_inside.h: what the files behind console/http.h share. */
#pragma once

#include <microhttpd.h>
#include <stdatomic.h>

#include "console/http.h"
#include "console/places.h"

struct vt_http {
    struct MHD_Daemon *daemon;
    struct vt_http_options options; /* hosts, tables: copied pointers, owned by the caller */
    char address[64];
    uint16_t port;
    atomic_bool ending;
    struct vt_places *places;
    atomic_int upgraded; /* connections that are WebSockets now, with threads of their own */
};

struct header {
    char name[48];
    char *value;
};

struct vt_request {
    struct vt_http *http;
    struct MHD_Connection *connection;
    const char *method, *url;
    const struct vt_route *route;
    char *parts[VT_HTTP_PARTS_MAX];
    size_t part_count;
    struct { char *key, *value; } *queries;
    size_t query_count, query_room;
    struct vt_buf body;
    uint64_t body_seen;
    int64_t begun;              /* monotonic ns */
    void *state;
    void (*state_free)(void *state);
    char user[64], address[64];
    enum vt_user_role role;
    uint64_t session, stamp;    /* of the login */
    struct header headers[VT_HTTP_HEADERS_MAX];
    size_t header_count;
    bool answered;
    unsigned status;            /* of the answer */
    bool in_body;               /* a piece is being taken: an answer is kept */
    struct MHD_Response *kept;
    unsigned kept_status;
    uint64_t dropped;           /* bytes of the body that came behind the answer */
};

/* Decoded, or NULL: too long, not UTF-8, a zero byte. The caller frees. */
char *vt_http_decode(const char *text, size_t size, bool plus_is_space);
/* Fills parts when the path is the route's. */
bool vt_http_match(const struct vt_route *route, struct vt_request *request);
/* Is the Host one of ours (no rebinding); does a change come from our own pages, or from no page at all? */
bool vt_http_host_is_ours(const struct vt_request *request);
bool vt_http_origin_is_ours(const struct vt_request *request);
/* Adds what lets a page of a listed origin read the answer; true: it only asked whether it may (OPTIONS), and is answered. */
bool vt_http_share(struct vt_request *request);
