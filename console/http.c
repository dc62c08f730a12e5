/* The server: connections, the way of a request from its first line to its handler. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "console/http_inside.h"
#include "core/clock.h"
#include "console/websocket.h"
#include "core/err.h"
#include "core/log.h"

enum {
    STACK_BYTES = 1 << 20,
    BACKLOG = 256,
    DROP_MAX = 64 << 20, /* bytes of a body that was answered already */
    RESERVE = 64,        /* places that are made free before there are none */
    PATIENCE_S = 2 * VT_HTTP_IDLE_S,
    ALLOW_MAX = 64, /* the methods of a path */
};

static void request_free(struct vt_request *request)
{
    if (request->state_free)
        request->state_free(request->state);
    for (size_t i = 0; i < request->part_count; i++)
        free(request->parts[i]);
    for (size_t i = 0; i < request->query_count; i++) {
        free(request->queries[i].key);
        free(request->queries[i].value);
    }
    for (size_t i = 0; i < request->header_count; i++)
        free(request->headers[i].value);
    free(request->queries);
    if (request->kept)
        MHD_destroy_response(request->kept);
    vt_buf_fini(&request->body);
    free(request);
}

static void read_address(struct vt_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (info && info->client_addr)
        getnameinfo(info->client_addr,
                    info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                             : sizeof(struct sockaddr_in),
                    request->address, sizeof request->address, NULL, 0, NI_NUMERICHOST);
}

/* ---- query parameters ---- */

static enum MHD_Result add_query(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct vt_request *request = context;

    (void)kind;
    if (request->query_count == VT_HTTP_QUERIES_MAX)
        return MHD_NO;
    if (request->query_count == request->query_room) {
        size_t room = request->query_room ? request->query_room * 2 : 8;
        void *grown = reallocarray(request->queries, room, sizeof *request->queries);
        if (!grown)
            return MHD_NO;
        request->queries = grown;
        request->query_room = room;
    }
    char *key_copy = vt_http_decode(key, strlen(key), true);
    char *value_copy = value ? vt_http_decode(value, strlen(value), true) : strdup("");
    if (!key_copy || !value_copy) {
        free(key_copy);
        free(value_copy);
        return MHD_NO;
    }
    request->queries[request->query_count].key = key_copy;
    request->queries[request->query_count++].value = value_copy;
    return MHD_YES;
}

static bool read_queries(struct vt_request *request)
{
    int count = MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL);

    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, add_query, request);
    return count >= 0 && request->query_count == (size_t)count;
}

/* ---- from the first line to the route ---- */

/* "GET, HEAD, DELETE": a method more of the path. */
static void allow(char out[ALLOW_MAX], const char *method)
{
    const char *more = strcmp(method, "GET") == 0 ? "GET, HEAD" : method;
    size_t length = strlen(out);

    if (!strstr(out, method))
        snprintf(out + length, ALLOW_MAX - length, "%s%s", length > 0 ? ", " : "", more);
}

/* NULL: *allowed are the methods that the path has. */
static const struct vt_route *find_route(struct vt_request *request, char allowed[ALLOW_MAX])
{
    const struct vt_http_options *options = &request->http->options;
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;

    *allowed = '\0';
    for (size_t t = 0; t < options->table_count; t++)
        for (const struct vt_route *route = options->tables[t]; route->method; route++) {
            if (!vt_http_match(route, request))
                continue;
            if (strcmp(route->method, method) == 0)
                return route;
            allow(allowed, route->method);
        }
    return NULL;
}

static bool changes_something(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "OPTIONS") != 0;
}

/* false: answered. */
static bool admit(struct vt_request *request)
{
    const struct vt_http_options *options = &request->http->options;
    char allowed[ALLOW_MAX];

    if (!vt_http_host_is_ours(request)) {
        vt_answer_error(request, 421, "This server is not known by that name: http.hosts lists its names.");
        return false;
    }
    if (vt_http_share(request))
        return false;
    if (changes_something(request->method) && !vt_http_origin_is_ours(request)) {
        vt_answer_error(request, 403, "Changes are accepted from our own pages only.");
        return false;
    }
    request->route = find_route(request, allowed);
    if (!request->route) {
        bool other = *allowed;
        if (other)
            vt_answer_header(request, "Allow", "%s", allowed);
        vt_answer_error(request, other ? 405 : 404,
                        other ? "There is no %s for this address." : "There is nothing at this address (%s).",
                        request->method);
        return false;
    }
    if (!read_queries(request)) {
        vt_answer_error(request, 400, "The address has too many or too long parameters.");
        return false;
    }
    if (!options->gate) {
        request->role = VT_USER_ADMIN;
        return true;
    }
    return options->gate(options->gate_context, request, request->route->role) && !request->answered;
}

static uint64_t body_max(const struct vt_request *request)
{
    return request->route->body_max ? request->route->body_max : VT_HTTP_BODY_MAX;
}

/* false: too much, answered. */
static bool take_piece(struct vt_request *request, const char *bytes, size_t size)
{
    struct vt_err err = { 0 };

    request->body_seen += size;
    if (request->body_seen > body_max(request)) {
        vt_answer_error(request, 413, "The body is longer than %llu bytes.", (unsigned long long)body_max(request));
        return false;
    }
    if (request->route->piece)
        return request->route->piece(request, (const uint8_t *)bytes, size);
    if (vt_buf_append(&request->body, bytes, size, &err))
        return true;
    vt_answer_err(request, &err);
    return false;
}

/* The library takes an answer before the first piece or behind the last: one that is given in between is kept until
 * then, and what still comes is dropped, up to a bound. */
static enum MHD_Result take_body(struct vt_request *request, const char *bytes, size_t *size)
{
    if (vt_body_is_too_slow(request->body_seen + request->dropped + *size, vt_clock_mono() - request->begun))
        return MHD_NO;
    if (request->answered) {
        request->dropped += *size;
    } else {
        request->in_body = true;
        take_piece(request, bytes, *size);
        request->in_body = false;
    }
    *size = 0;
    return request->dropped > DROP_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result end_request(struct vt_request *request)
{
    if (request->kept) {
        enum MHD_Result queued = MHD_queue_response(request->connection, request->kept_status, request->kept);
        MHD_destroy_response(request->kept);
        request->kept = NULL;
        return queued;
    }
    if (!request->answered) {
        request->route->handle(request);
        if (!request->answered)
            vt_answer_error(request, 500, "This request was not answered.");
    }
    return request->answered ? MHD_YES : MHD_NO;
}

static struct vt_request *request_new(struct vt_http *http, struct MHD_Connection *connection, const char *url,
                                      const char *method)
{
    struct vt_request *request = calloc(1, sizeof *request);

    if (!request)
        return NULL;
    request->http = http;
    request->connection = connection;
    request->url = url;
    request->method = method;
    request->begun = vt_clock_mono();
    vt_buf_init(&request->body, VT_HTTP_BODY_MAX);
    read_address(request);
    return request;
}

/* ---- connections ---- */

static struct vt_place *place_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    const struct vt_http *http = context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context = info ? vt_place_enter(http->places, info->connect_fd) : NULL;
    else
        vt_place_leave(http->places, *socket_context);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload, size_t *upload_size,
                                  void **state)
{
    struct vt_request *request = *state;

    (void)version;
    if (!request) {
        *state = request = request_new(context, connection, url, method);
        if (!request)
            return MHD_NO;
        vt_place_works(request->http->places, place_of(connection));
        admit(request);
        return MHD_YES;
    }
    request->connection = connection;
    return *upload_size > 0 ? take_body(request, upload, upload_size) : end_request(request);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    const struct vt_http *http = context;

    struct vt_request *request = *state;

    if (request && request->route && http->options.over)
        http->options.over(request, request->status, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (request)
        request_free(request);
    *state = NULL;
    vt_place_waits(http->places, place_of(connection));
}

/* Left as it came: decoded by vt_http_decode, which checks what comes out. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void on_log(void *context, const char *format, va_list arguments)
{
    char text[512];

    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    vt_log(VT_LOG_DEBUG, "http.library", "text=\"%s\"", text);
}

/* ---- start and stop ---- */

static bool resolve(const char *text, uint16_t port, struct sockaddr_storage *out, bool *out_v6, struct vt_err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    *out_v6 = inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
    if (*out_v6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return true;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return inet_pton(AF_INET, text, &v4->sin_addr) == 1 ||
           vt_fail(err, VT_E_INVALID, "http.listen: '%s' is not an address", text);
}

static struct MHD_Daemon *start_daemon(struct vt_http *http, const struct sockaddr_storage *address, bool v6)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                     MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG | (v6 ? MHD_USE_IPv6 : 0) | (http->options.certificate ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)http->options.certificate },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)http->options.key },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
        { MHD_OPTION_END, 0, NULL },
    };

    if (!http->options.certificate)
        tls[0] = tls[3];
    return MHD_start_daemon(flags, http->port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, address,
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)VT_HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)VT_HTTP_IDLE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)VT_HTTP_MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
                            (size_t)STACK_BYTES, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
                            MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_NOTIFY_COMPLETED,
                            on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

struct vt_http *vt_http_start(const struct vt_http_options *options, struct vt_err *err)
{
    struct vt_http *http = calloc(1, sizeof *http);
    struct sockaddr_storage address;
    bool v6;

    if (!http) {
        vt_fail(err, VT_E_NOMEM, "no memory for an HTTP server");
        return NULL;
    }
    http->options = *options;
    http->port = options->port;
    snprintf(http->address, sizeof http->address, "%s", options->listen);
    if (!resolve(options->listen, options->port, &address, &v6, err)) {
        free(http);
        return NULL;
    }
    http->places = vt_places_new(VT_HTTP_CONNECTIONS - RESERVE, PATIENCE_S * VT_NS_PER_S);
    http->daemon = http->places ? start_daemon(http, &address, v6) : NULL;
    if (!http->daemon) {
        vt_places_free(http->places);
        vt_fail_errno(err, "HTTP on %s:%u", options->listen, options->port);
        free(http);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info && info->port)
        http->port = info->port;
    return http;
}

uint16_t vt_http_port(const struct vt_http *http)
{
    return http->port;
}

void vt_http_stop(struct vt_http *http)
{
    if (!http)
        return;
    atomic_store(&http->ending, true);
    vt_ws_wait(http);
    MHD_stop_daemon(http->daemon);
    vt_places_free(http->places);
    free(http);
}
