/* A connection that stops being HTTP: checked, answered with 101, and given to a thread of its own. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "console/http_inside.h"
#include "console/websocket.h"
#include "core/clock.h"
#include "core/err.h"

enum { STACK = 512 << 10, WAIT_MS = 20, KEY_TEXT = 24, SHA1_BYTES = 20 };

struct upgraded {
    struct vt_http *http;
    void (*run)(void *state, struct vt_ws_line *line);
    void (*free)(void *state);
    void *state;
    struct vt_ws_line line;
    uint8_t *ahead;
    struct MHD_UpgradeResponseHandle *handle;
};

static bool is_stopping(const struct vt_ws_line *line)
{
    const struct vt_http *http = line->server;

    return atomic_load(&http->ending);
}

static void upgraded_free(struct upgraded *upgraded)
{
    if (upgraded->free)
        upgraded->free(upgraded->state);
    if (upgraded->http)
        atomic_fetch_sub(&upgraded->http->upgraded, 1);
    free(upgraded->ahead);
    free(upgraded);
}

static void *run(void *context)
{
    struct upgraded *upgraded = context;

    upgraded->run(upgraded->state, &upgraded->line);
    MHD_upgrade_action(upgraded->handle, MHD_UPGRADE_ACTION_CLOSE);
    upgraded_free(upgraded);
    return NULL;
}

static bool start(struct upgraded *upgraded)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool ok = pthread_create(&thread, &attributes, run, upgraded) == 0;
    pthread_attr_destroy(&attributes);
    return ok;
}

static void on_upgraded(void *context, struct MHD_Connection *connection, void *con_context, const char *extra, size_t extra_size,
                        MHD_socket socket, struct MHD_UpgradeResponseHandle *handle)
{
    struct upgraded *upgraded = context;

    (void)connection;
    (void)con_context;
    upgraded->handle = handle;
    upgraded->ahead = malloc(extra_size + 1);
    if (upgraded->ahead)
        memcpy(upgraded->ahead, extra, extra_size);
    upgraded->line = (struct vt_ws_line){ .socket = socket, .ahead = upgraded->ahead, .ahead_size = extra_size,
                                          .stopping = is_stopping, .server = upgraded->http };
    if (upgraded->ahead && start(upgraded))
        return;
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    upgraded_free(upgraded);
}

/* ---- the handshake ---- */

bool vt_ws_accept(const char *key, char out[static VT_WS_ACCEPT_MAX])
{
    static const char known[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[KEY_TEXT + sizeof known];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (!key || strlen(key) != KEY_TEXT || strspn(key, digits) != KEY_TEXT - 2 || strcmp(key + KEY_TEXT - 2, "==") != 0)
        return false;
    memcpy(text, key, KEY_TEXT);
    memcpy(text + KEY_TEXT, known, sizeof known);
    if (EVP_Digest(text, sizeof text - 1, digest, &size, EVP_sha1(), NULL) != 1 || size != SHA1_BYTES)
        return false;
    EVP_EncodeBlock((uint8_t *)out, digest, SHA1_BYTES);
    return true;
}

static bool header_says(const struct vt_request *request, const char *name, const char *word)
{
    const char *value = vt_request_header(request, name);

    return value && strcasestr(value, word);
}

static bool is_handshake(const struct vt_request *request, char accept[static VT_WS_ACCEPT_MAX])
{
    const char *version = vt_request_header(request, "Sec-WebSocket-Version");

    return strcmp(request->method, "GET") == 0 && header_says(request, "Upgrade", "websocket") &&
           header_says(request, "Connection", "upgrade") && version && strcmp(version, "13") == 0 &&
           vt_ws_accept(vt_request_header(request, "Sec-WebSocket-Key"), accept);
}

static bool count_in(struct vt_http *http)
{
    if (atomic_fetch_add(&http->upgraded, 1) < VT_WS_CONNECTIONS)
        return true;
    atomic_fetch_sub(&http->upgraded, 1);
    return false;
}

static void answer(struct vt_request *request, struct upgraded *upgraded, const char *accept)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, upgraded);

    if (response && MHD_add_response_header(response, "Upgrade", "websocket") == MHD_YES &&
        MHD_add_response_header(response, "Sec-WebSocket-Accept", accept) == MHD_YES)
        request->answered = MHD_queue_response(request->connection, 101, response) == MHD_YES;
    if (response)
        MHD_destroy_response(response);
    if (!request->answered)
        upgraded_free(upgraded);
}

void vt_answer_websocket(struct vt_request *request, void (*run_it)(void *state, struct vt_ws_line *line), void *state,
                         void (*free_it)(void *state))
{
    char accept[VT_WS_ACCEPT_MAX];
    struct upgraded *upgraded = calloc(1, sizeof *upgraded);

    if (!upgraded) {
        if (free_it)
            free_it(state);
        return;
    }
    *upgraded = (struct upgraded){ .run = run_it, .free = free_it, .state = state };
    if (!is_handshake(request, accept)) {
        vt_answer_error(request, 400, "This address is for a WebSocket.");
    } else if (!vt_http_origin_is_ours(request)) {
        vt_answer_error(request, 403, "Screens are shown on our own pages only.");
    } else if (!count_in(request->http)) {
        vt_answer_error(request, 503, "%d screens are open: no more can.", VT_WS_CONNECTIONS);
    } else {
        upgraded->http = request->http;
        answer(request, upgraded, accept);
        return;
    }
    upgraded_free(upgraded);
}

void vt_ws_wait(struct vt_http *http)
{
    while (atomic_load(&http->upgraded) > 0)
        vt_clock_sleep(WAIT_MS * VT_NS_PER_MS);
}
