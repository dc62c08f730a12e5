/* Nodes under /api: the peers of the configuration; a C-ECHO to one; how one takes us, and what went wrong with it lately. */
#include "console/api_inside.h"
#include "core/err.h"
#include "scu/client.h"
#include "scu/peers.h"
#include "scu/probe.h"

#include <stdlib.h>
#include <string.h>

enum { REMEDY_MAX = 400 };

static const struct {
    unsigned bit;
    const char *word;
} services[] = {
    { VT_ALLOW_ECHO, "echo" }, { VT_ALLOW_STORE, "store" }, { VT_ALLOW_FIND, "find" },
    { VT_ALLOW_MOVE, "move" }, { VT_ALLOW_GET, "get" },     { VT_ALLOW_COMMIT, "commit" },
};

static const struct vt_console_options *options_of(const struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);

    return &console->options;
}

static json_t *row_of(const struct vt_peer *peer)
{
    json_t *allowed = json_array();

    for (size_t i = 0; i < VT_COUNT(services); i++)
        if (peer->allow & services[i].bit)
            json_array_append_new(allowed, json_string(services[i].word));
    return json_pack("{s:s?, s:s, s:s?, s:i, s:b, s:b, s:o, s:s?}", "name", peer->name, "ae_title", peer->ae_title, "host", peer->host,
                     "port", (int)peer->port, "tls", peer->tls, "move_destination", peer->move_destination, "allow", allowed, "from",
                     peer->from);
}

static void list(struct vt_request *request)
{
    const struct vt_peers *peers = options_of(request)->peers;
    const struct vt_peer *peer;
    json_t *rows = json_array();

    for (size_t i = 0; peers && (peer = vt_peers_at(peers, i)); i++)
        json_array_append_new(rows, row_of(peer));
    vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
}

/* NULL: answered. */
static const struct vt_peer *peer_of(struct vt_request *request)
{
    const struct vt_peers *peers = options_of(request)->peers;
    const struct vt_peer *peer = peers ? vt_peers_by_name(peers, vt_request_part(request, 0)) : NULL;

    if (!peer)
        vt_answer_error(request, 404, "There is no node of that name in the configuration.");
    return peer;
}

static bool client_of(struct vt_request *request, const struct vt_peer *peer, struct vt_client *out)
{
    if (peer->host) {
        *out = (struct vt_client){ .calling_ae_title = peer->local_ae_title ? peer->local_ae_title : options_of(request)->ae_title,
                                   .peer = peer,
                                   .tls = peer->tls_context,
                                   .timeout = peer->timeout };
        return true;
    }
    vt_answer_error(request, 409, "%s has no host: it calls us, we never call it.", peer->ae_title);
    return false;
}

static void echo(struct vt_request *request)
{
    const struct vt_peer *peer = peer_of(request);
    struct vt_client client;
    struct vt_echo_times times;
    struct vt_err err = { 0 };

    if (!peer || !client_of(request, peer, &client))
        return;
    bool ok = vt_client_echo(&client, &times, &err);
    json_t *row = json_pack("{s:s?, s:s, s:b}", "name", peer->name, "ae_title", peer->ae_title, "ok", ok);
    if (row && ok) {
        json_object_set_new(row, "associate_ms", json_real((double)times.associate / 1e6));
        json_object_set_new(row, "echo_ms", json_real((double)times.echo / 1e6));
        json_object_set_new(row, "implementation", json_string(times.implementation_version));
    } else if (row) {
        json_object_set_new(row, "error", json_string(err.text));
    }
    vt_answer_json(request, 200, row);
}

/* ---- explain ---- */

static void add_probe(json_t *row, const struct vt_client *client)
{
    struct vt_probe probe = { .count = 0 };
    struct vt_err why = { 0 };
    char remedy[REMEDY_MAX] = "";
    json_t *contexts = json_array();
    bool ok = vt_client_probe(client, &probe, &why);

    for (size_t i = 0; i < probe.count; i++)
        json_array_append_new(contexts, json_pack("{s:s, s:s, s:s}", "service", probe.contexts[i].service, "result",
                                                  probe.contexts[i].result, "transfer_syntax", probe.contexts[i].transfer_syntax));
    json_object_set_new(row, "answers", json_boolean(ok));
    json_object_set_new(row, "contexts", contexts);
    if (ok)
        return;
    vt_probe_remedy(client, &why, remedy, sizeof remedy);
    json_object_set_new(row, "error", json_string(why.text));
    json_object_set_new(row, "remedy", json_string(remedy));
}

static void add_failures(struct vt_request *request, json_t *row, const char *ae_title)
{
    json_t *failures = json_array(), *result = NULL;
    const struct vt_console_verb verb = {
        .words = { "peer", "failures" }, .word_count = 2, .args = &ae_title, .arg_count = 1, .row = vt_api_row, .row_context = failures
    };
    struct vt_err ignored = { 0 };

    vt_api_verb(request, &verb, &result, &ignored);
    json_decref(result);
    json_object_set_new(row, "failures", failures);
}

static void explain(struct vt_request *request)
{
    const struct vt_peer *peer = peer_of(request);
    struct vt_client client;

    if (!peer)
        return;
    json_t *row = row_of(peer);
    if (row && peer->host && client_of(request, peer, &client)) {
        json_object_set_new(row, "local_ae_title", json_string(client.calling_ae_title));
        add_probe(row, &client);
    }
    if (row)
        add_failures(request, row, peer->ae_title);
    vt_answer_json(request, 200, row);
}

const struct vt_route vt_nodes_routes[] = {
    { "GET", "/api/nodes", VT_USER_VIEWER, list, NULL, 0 },
    { "POST", "/api/nodes/*/echo", VT_USER_OPERATOR, echo, NULL, 1 },
    { "POST", "/api/nodes/*/explain", VT_USER_OPERATOR, explain, NULL, 1 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
