/* vitrine echo, peer list|test|explain, and the opening of a peer for all that speak to one. */
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/cli_explain.h"
#include "cmd/table.h"
#include "cmd/tls.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/net.h"

static bool read_timeout(const struct vt_cli *cli, int64_t *out_ns, struct vt_err *err)
{
    return vt_conf_duration(cli->options->conf, "dicom", NULL, "client_timeout", VT_NS_PER_S,
                            3600 * VT_NS_PER_S, 60 * VT_NS_PER_S, out_ns, err);
}

static bool load_peers(const struct vt_cli *cli, struct vt_cli_peer *out, struct vt_err *err)
{
    const struct vt_net_options net = { 0 };

    *out = (struct vt_cli_peer){ .peers = vt_peers_new() };
    if (!out->peers)
        return vt_fail(err, VT_E_NOMEM, "no memory for peers");
    return vt_net_start(&net, err) &&
           vt_ae_title_conf_read(cli->options->conf, out->ae_title, err) &&
           vt_peers_load(out->peers, cli->options->conf, err) &&
           read_timeout(cli, &out->client.timeout, err);
}

/* The peer's entry says it, or the command line. */
static bool use_tls(const struct vt_cli *cli, struct vt_peer *peer, struct vt_client *client,
                    struct vt_err *err)
{
    static const char *const files[] = { "--cert", "--key", "--ca" };

    for (size_t i = 0; i < VT_COUNT(files); i++)
        if (vt_cli_value(cli, files[i])) {
            peer->tls_files[i] = vt_cli_value(cli, files[i]);
            peer->tls = true;
        }
    vt_tls_free(client->tls);
    client->tls = NULL;
    if (!peer->tls && !vt_cli_switch(cli, "--tls"))
        return true;
    client->tls = vt_tls_of_peer(cli->options->conf, peer, err);
    return client->tls != NULL;
}

bool vt_cli_peer_open(const struct vt_cli *cli, const char *text, struct vt_cli_peer *out,
                      struct vt_err *err)
{
    if (!load_peers(cli, out, err) ||
        !vt_peers_resolve(out->peers, text, &out->peer, out->store, sizeof out->store, err))
        return false;
    if (!out->peer.host)
        return vt_fail(err, VT_E_INVALID,
                       "peer %s has no host: it only calls us (set peer.%s.host and .port)", text,
                       text);
    out->client.calling_ae_title = out->ae_title;
    out->client.peer = &out->peer;
    return use_tls(cli, &out->peer, &out->client, err);
}

void vt_cli_peer_close(struct vt_cli_peer *peer)
{
    vt_tls_free(peer->client.tls);
    peer->client.tls = NULL;
    vt_peers_free(peer->peers);
    peer->peers = NULL;
    vt_net_stop();
}

/* Wrong words on the command line or in the configuration are wrong usage. */
static int usage_of(const struct vt_err *err)
{
    return err->code == VT_E_INVALID || err->code == VT_E_NOTFOUND ? VT_EXIT_USAGE : VT_EXIT_FAILED;
}

static json_t *echo_row(const char *name, const struct vt_peer *peer,
                        const struct vt_echo_times *times, const char *error)
{
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:i, s:b}", "peer", name, "ae_title", peer->ae_title, "host",
                  peer->host ? peer->host : "", "port", peer->port, "ok", error == NULL);

    if (row && times) {
        json_object_set_new(row, "associate_ms", json_real((double)times->associate / 1e6));
        json_object_set_new(row, "echo_ms", json_real((double)times->echo / 1e6));
        json_object_set_new(row, "implementation", json_string(times->implementation_version));
    }
    if (row && error)
        json_object_set_new(row, "error", json_string(error));
    return row;
}

int vt_cli_echo(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_cli_peer peer = { 0 };
    struct vt_echo_times times = { 0 };
    int status = VT_EXIT_FAILED;

    if (!vt_cli_peer_open(cli, cli->args[0], &peer, err)) {
        status = usage_of(err);
    } else if (!vt_client_echo(&peer.client, &times, err)) {
        vt_fail_context(err, "%s (%s:%u) did not answer the C-ECHO", peer.peer.ae_title,
                        peer.peer.host, peer.peer.port);
    } else {
        status = VT_EXIT_DONE;
        if (cli->options->json) {
            json_t *row = echo_row(cli->args[0], &peer.peer, &times, NULL);
            json_dumpf(row, cli->out, JSON_COMPACT);
            fputc('\n', cli->out);
            json_decref(row);
        } else {
            fprintf(cli->out, "%s (%s:%u) answered in %.2f ms, association in %.2f ms%s%s\n",
                    peer.peer.ae_title, peer.peer.host, peer.peer.port, (double)times.echo / 1e6,
                    (double)times.associate / 1e6, *times.implementation_version ? ", " : "",
                    times.implementation_version);
        }
    }
    vt_cli_peer_close(&peer);
    return status;
}

/* ---- peer list, explain ---- */

static const struct {
    unsigned bit;
    const char *word;
} services[] = {
    { VT_ALLOW_ECHO, "echo" }, { VT_ALLOW_STORE, "store" }, { VT_ALLOW_FIND, "find" },
    { VT_ALLOW_MOVE, "move" }, { VT_ALLOW_GET, "get" },     { VT_ALLOW_COMMIT, "commit" },
};

static json_t *allowed(const struct vt_peer *peer)
{
    json_t *list = json_array();

    for (size_t i = 0; i < VT_COUNT(services); i++)
        if (peer->allow & services[i].bit)
            json_array_append_new(list, json_string(services[i].word));
    return list;
}

static json_t *peer_row(const struct vt_peer *peer)
{
    static const char *const prefer[] = { "proposed", "uncompressed", "lossless" };
    json_t *row = json_pack("{s:s, s:s}", "name", peer->name, "ae_title", peer->ae_title);

    if (!row)
        return NULL;
    if (peer->host)
        json_object_set_new(row, "host", json_string(peer->host));
    if (peer->port)
        json_object_set_new(row, "port", json_integer(peer->port));
    json_object_set_new(row, "allow", allowed(peer));
    json_object_set_new(row, "move_destination", json_boolean(peer->move_destination));
    json_object_set_new(
        row, "prefer",
        json_string((size_t)peer->prefer < VT_COUNT(prefer) ? prefer[peer->prefer] : ""));
    if (peer->from)
        json_object_set_new(row, "from", json_string(peer->from));
    if (peer->local_ae_title)
        json_object_set_new(row, "local_ae_title", json_string(peer->local_ae_title));
    if (peer->charset)
        json_object_set_new(row, "charset", json_string(peer->charset));
    if (peer->max_associations)
        json_object_set_new(row, "max_associations", json_integer(peer->max_associations));
    return row;
}

int vt_cli_peer_list(struct vt_cli *cli, struct vt_err *err)
{
    const struct vt_table_options layout = { .out = cli->out, .json = cli->options->json };
    VT_AUTO(vt_table) table = vt_table_new(&layout);
    struct vt_cli_peer peers = { 0 };
    const struct vt_peer *peer;
    int status = VT_EXIT_DONE;

    if (!load_peers(cli, &peers, err))
        status = usage_of(err);
    for (size_t i = 0; status == VT_EXIT_DONE && (peer = vt_peers_at(peers.peers, i)); i++) {
        json_t *row = peer_row(peer);
        if (!table || !row || !vt_table_row(table, row))
            status = VT_EXIT_FAILED;
        json_decref(row);
    }
    if (status == VT_EXIT_DONE && !cli->options->json && !vt_peers_at(peers.peers, 0))
        fprintf(cli->errors, "no peers are configured: add [peer \"NAME\"] sections to %s\n",
                cli->options->conf_path ? cli->options->conf_path : "/etc/vitrine/vitrine.conf");
    vt_cli_peer_close(&peers);
    return status;
}

static bool test_peer(struct vt_cli *cli, struct vt_cli_peer *peers, const struct vt_peer *peer,
                      struct vt_table *table)
{
    struct vt_peer with_files = *peer;
    struct vt_client client = { .calling_ae_title = peers->ae_title,
                                .peer = &with_files,
                                .timeout = peers->client.timeout };
    struct vt_echo_times times;
    struct vt_err why = { 0 };
    bool fine = use_tls(cli, &with_files, &client, &why) && vt_client_echo(&client, &times, &why);
    json_t *row = echo_row(peer->name ? peer->name : peer->ae_title, peer, fine ? &times : NULL,
                           fine ? NULL : why.text);

    if (row)
        vt_table_row(table, row);
    json_decref(row);
    vt_tls_free(client.tls);
    return fine;
}

int vt_cli_peer_test(struct vt_cli *cli, struct vt_err *err)
{
    static const struct vt_column_spec columns[] = {
        { "peer", "peer" },       { "ae_title", "ae_title" },
        { "host", "host" },       { "port", "port" },
        { "ok", "ok" },           { "associate_ms", "associate_ms" },
        { "echo_ms", "echo_ms" }, { "implementation", "implementation" },
        { "error", "error" },
    };
    const struct vt_table_options layout = { cli->out, cli->options->json, VT_LAYOUT_TABLE, columns,
                                             VT_COUNT(columns) };
    VT_AUTO(vt_table) table = vt_table_new(&layout);
    struct vt_cli_peer peers = { 0 };
    const struct vt_peer *peer;
    int status = VT_EXIT_DONE;

    if (!table)
        return vt_fail(err, VT_E_NOMEM, "no memory for a table"), VT_EXIT_FAILED;
    if (!load_peers(cli, &peers, err))
        status = usage_of(err);
    for (int i = 0; status != VT_EXIT_USAGE && i < cli->arg_count; i++) {
        if (!vt_peers_resolve(peers.peers, cli->args[i], &peers.peer, peers.store,
                              sizeof peers.store, err))
            status = usage_of(err);
        else if (!test_peer(cli, &peers, &peers.peer, table))
            status = VT_EXIT_FAILED;
    }
    for (size_t i = 0;
         cli->arg_count == 0 && status != VT_EXIT_USAGE && (peer = vt_peers_at(peers.peers, i));
         i++)
        if (peer->host && !test_peer(cli, &peers, peer, table))
            status = VT_EXIT_FAILED;
    vt_cli_peer_close(&peers);
    return status;
}

static void explain_access(FILE *out, const struct vt_peer *peer);

static void explain(FILE *out, const struct vt_peer *peer, const char *our_title,
                    const char *conf_path)
{
    fprintf(out, "peer \"%s\" of %s\n", peer->name ? peer->name : peer->ae_title,
            conf_path ? conf_path : "the command line");
    fprintf(out, "  It is the AE %s.\n", peer->ae_title);
    if (peer->host)
        fprintf(out, "  We reach it at %s port %u, and call ourselves %s there.\n", peer->host,
                peer->port, peer->local_ae_title ? peer->local_ae_title : our_title);
    else
        fputs("  It has no host: it may call us, we never call it.\n", out);
    if (peer->from)
        fprintf(out, "  It may call us from %s only (from).\n", peer->from);
    else if (peer->host)
        fprintf(out, "  It may call us from %s only (host; set `from` to allow other addresses).\n",
                peer->host);
    else
        fputs("  It may call us from any address (set `from` to bound that).\n", out);
    fputs("  Asked of us, it may use:", out);
    for (size_t i = 0; i < VT_COUNT(services); i++)
        if (peer->allow & services[i].bit)
            fprintf(out, " %s", services[i].word);
    fputs(peer->allow & 0x3f ? " (allow).\n" : " nothing (allow).\n", out);
    fprintf(out, "  Others %s send images here by C-MOVE (move_destination).\n",
            peer->move_destination ? "may" : "may not");
    explain_access(out, peer);
}

static void explain_access(FILE *out, const struct vt_peer *peer)
{
    if (peer->tls)
        fprintf(out, "  Associations are by TLS%s%s%s%s%s%s%s.\n",
                vt_certificate_is_wanted(&peer->certificate) ? ", with the certificate" : "",
                peer->certificate.subject ? " " : "",
                peer->certificate.subject ? peer->certificate.subject : "",
                peer->certificate.name ? " " : "",
                peer->certificate.name ? peer->certificate.name : "",
                peer->certificate.fingerprint ? " " : "",
                peer->certificate.fingerprint ? peer->certificate.fingerprint : "");
    if (peer->called)
        fprintf(out, "  It may call us as %s (called).\n", peer->called);
    if (peer->instances_per_day)
        fprintf(out, "  It may store %" PRIu64 " instances a day.\n", peer->instances_per_day);
    if (peer->bytes_per_day)
        fprintf(out, "  It may store %" PRIu64 " bytes a day.\n", peer->bytes_per_day);
}

/* What it says now, and what the node remembers. */
static void explain_live(struct vt_cli *cli, struct vt_cli_peer *peers, const struct vt_peer *peer,
                         json_t *row)
{
    struct vt_peer with_files = *peer;
    struct vt_client client = { .calling_ae_title = peers->ae_title,
                                .peer = &with_files,
                                .timeout = peers->client.timeout };
    struct vt_err why = { 0 };

    if (peer->host && use_tls(cli, &with_files, &client, &why))
        vt_cli_explain_probe(cli, &client, row);
    else if (vt_failed(&why))
        vt_cli_complain(cli, "%s", why.text);
    vt_tls_free(client.tls);
    vt_cli_explain_failures(cli, peer->ae_title, row);
}

int vt_cli_peer_explain(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_cli_peer peers = { 0 };
    const char *from = vt_cli_value(cli, "--from");
    int status = VT_EXIT_DONE;

    if (!load_peers(cli, &peers, err)) {
        status = usage_of(err);
    } else {
        const struct vt_peer *peer = vt_peers_by_name(peers.peers, cli->args[0]);
        if (!peer)
            peer = vt_peers_by_title(peers.peers, cli->args[0]);
        if (!peer && vt_peers_resolve(peers.peers, cli->args[0], &peers.peer, peers.store,
                                      sizeof peers.store, err))
            peer = &peers.peer;
        if (!peer) {
            status = VT_EXIT_USAGE;
        } else if (cli->options->json) {
            json_t *row = peer_row(peer);
            if (row && from)
                json_object_set_new(row, "admitted", json_boolean(vt_peer_admits(peer, from)));
            if (row)
                explain_live(cli, &peers, peer, row);
            json_dumpf(row, cli->out, JSON_COMPACT);
            fputc('\n', cli->out);
            json_decref(row);
        } else {
            explain(cli->out, peer, peers.ae_title, cli->options->conf_path);
            if (from)
                fprintf(cli->out, "  A call from %s as %s %s admitted.\n", from, peer->ae_title,
                        vt_peer_admits(peer, from) ? "is" : "is not");
            explain_live(cli, &peers, peer, NULL);
        }
    }
    vt_cli_peer_close(&peers);
    return status;
}
