#include "cmd/vitrined_conf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "archive/query.h"
#include "cmd/options.h"
#include "cmd/shs.h"
#include "core/clock.h"
#include "core/err.h"

static const char gaps[] = " ,\t";

bool vt_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool vt_conf_is_others(const char *key)
{
    static const char *const keys[] = { "dicom.client_timeout", "pool.", "watch.", "workstation." };

    for (size_t i = 0; i < VT_COUNT(keys); i++) {
        size_t length = strlen(keys[i]);
        if (strncmp(key, keys[i], length) == 0 &&
            (keys[i][length - 1] == '.' || key[length] == '\0' || key[length] == ' '))
            return true;
    }
    return false;
}

/* A copy that may be cut into words. */
static bool copy_value(const struct vt_conf *conf, const char *key, const char *fallback,
                       char out[static VT_CONF_TEXT_MAX], struct vt_err *err)
{
    const char *text = vt_conf_text(conf, "dicom", NULL, key, fallback);

    if (strlen(text) >= VT_CONF_TEXT_MAX)
        return vt_fail(err, VT_E_LIMIT, "dicom.%s is too long", key);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* ---- titles ---- */

static bool read_titles(const struct vt_conf *conf, struct vt_dicom_conf *out, struct vt_err *err)
{
    static const char *const compare[] = { "exact", "nocase", NULL };
    char *rest = NULL, trimmed[VT_AE_TITLE_MAX + 1];
    size_t count = 0, chosen;

    if (!vt_ae_title_conf_read(conf, out->ae_title, err) ||
        !vt_shs_title_conf_read(conf, out->shs_ae_title, err) ||
        !copy_value(conf, "more_titles", "", out->titles_text, err) ||
        !vt_conf_choice(conf, "dicom", NULL, "ae_compare", compare, 0, &chosen, err) ||
        !vt_conf_bool(conf, "dicom", NULL, "accept_any_called_ae", false,
                      &out->options.any_called_title, err))
        return false;
    for (char *word = strtok_r(out->titles_text, gaps, &rest); word;
         word = strtok_r(NULL, gaps, &rest)) {
        if (!vt_ae_title_trim(word, trimmed))
            return vt_fail(err, VT_E_INVALID, "dicom.more_titles: '%s' is not an AE title", word);
        if (count == VT_TITLES_MAX)
            return vt_fail(err, VT_E_LIMIT, "dicom.more_titles has more than %d titles",
                           VT_TITLES_MAX);
        out->titles[count++] = word;
    }
    if (strcmp(out->shs_ae_title, out->ae_title) != 0)
        out->titles[count] = out->shs_ae_title;
    out->options.ae_title = out->ae_title;
    out->options.more_titles = out->titles;
    out->options.title_nocase = chosen == 1;
    return true;
}

/* ---- listeners ---- */

static bool add_listeners(struct vt_dicom_conf *out, char *addresses, uint16_t port,
                          struct vt_err *err)
{
    char *rest = NULL;

    for (char *word = strtok_r(addresses, gaps, &rest); word; word = strtok_r(NULL, gaps, &rest)) {
        if (out->options.listener_count == VT_DOOR_LISTENERS_MAX)
            return vt_fail(err, VT_E_LIMIT, "dicom.listen: more than %d listeners",
                           VT_DOOR_LISTENERS_MAX);
        const char *address = strcmp(word, "localhost") == 0 ? "127.0.0.1" : word;
        out->listeners[out->options.listener_count++] =
            (struct vt_door_listener){ .address = address, .port = port };
    }
    return true;
}

/* strtok cuts the list once; the TLS listeners take the same addresses again. */
static bool read_listeners(const struct vt_conf *conf, struct vt_dicom_conf *out,
                           struct vt_err *err)
{
    int64_t port, tls_port;

    if (!vt_conf_int(conf, "dicom", NULL, "port", 0, UINT16_MAX, 11112, &port, err) ||
        !vt_conf_int(conf, "dicom", NULL, "tls_port", 0, UINT16_MAX, 0, &tls_port, err) ||
        !vt_tls_conf_read(conf, &out->tls, err) ||
        !copy_value(conf, "listen", "127.0.0.1", out->listen_text, err) ||
        !add_listeners(out, out->listen_text, (uint16_t)port, err))
        return false;
    if (out->options.listener_count == 0)
        return vt_fail(err, VT_E_INVALID, "dicom.listen names no address");
    out->tls_from = out->options.listener_count;
    out->has_tls = tls_port != 0;
    for (size_t i = 0; out->has_tls && i < out->tls_from; i++) {
        if (out->options.listener_count == VT_DOOR_LISTENERS_MAX)
            return vt_fail(err, VT_E_LIMIT, "dicom.listen: more than %d listeners",
                           VT_DOOR_LISTENERS_MAX);
        out->listeners[out->options.listener_count++] =
            (struct vt_door_listener){ .address = out->listeners[i].address,
                                       .port = (uint16_t)tls_port };
    }
    out->options.listeners = out->listeners;
    return true;
}

/* ---- limits ---- */

static bool read_identities(const struct vt_conf *conf, struct vt_dicom_conf *out,
                            struct vt_err *err)
{
    static const char *const words[] = { "ignore", "check", "require", NULL };
    size_t chosen;

    if (!vt_conf_choice(conf, "dicom", NULL, "identity", words, VT_IDENTITY_IGNORE, &chosen, err))
        return false;
    out->identities = vt_identities_read(conf, err);
    out->options.identity = (enum vt_identity_policy)chosen;
    out->options.identify = vt_identities_know;
    out->options.identify_context = out->identities;
    return out->identities != NULL;
}

static bool read_limits(const struct vt_conf *conf, struct vt_dicom_conf *out, struct vt_err *err)
{
    const int64_t hour = 3600 * VT_NS_PER_S;
    int64_t total, per_peer, parallel;
    uint64_t max_pdu;

    if (!vt_conf_int(conf, "dicom", NULL, "max_associations", 1, 4096, VT_SERVER_ASSOCIATIONS,
                     &total, err) ||
        !vt_conf_int(conf, "dicom", NULL, "max_per_peer", 1, 4096, VT_SERVER_PER_PEER, &per_peer,
                     err) ||
        !vt_conf_int(conf, "dicom", NULL, "move_parallel", 1, 8, 1, &parallel, err) ||
        !vt_conf_size(conf, "dicom", NULL, "max_pdu", VT_PDU_MIN, VT_PDU_MAX, VT_PDU_MAX, &max_pdu,
                      err) ||
        !vt_conf_duration(conf, "dicom", NULL, "idle", VT_NS_PER_S / 10, 24 * hour,
                          60 * VT_NS_PER_S, &out->options.idle, err) ||
        !vt_conf_duration(conf, "dicom", NULL, "artim", VT_NS_PER_S / 10, hour, 30 * VT_NS_PER_S,
                          &out->options.artim, err) ||
        !vt_conf_duration(conf, "dicom", NULL, "stop_grace", 0, hour, 5 * VT_NS_PER_S,
                          &out->stop_grace, err) ||
        !vt_conf_bool(conf, "dicom", NULL, "accept_unknown_storage", false,
                      &out->options.unknown_storage, err))
        return false;
    out->options.max_associations = (unsigned)total;
    out->options.max_per_peer = (unsigned)per_peer;
    out->options.move_parallel = (uint32_t)parallel;
    out->options.max_pdu = (uint32_t)max_pdu;
    return true;
}

static bool read_query(const struct vt_conf *conf, struct vt_dicom_conf *out, struct vt_err *err)
{
    struct vt_query_rules rules;

    if (!vt_query_conf_read(conf, &rules, err))
        return false;
    out->options.strict_query = rules.strict;
    out->options.match_unknown = rules.match_unknown;
    out->options.fuzzy = rules.fuzzy;
    out->options.keep_accents = rules.keep_accents;
    out->options.default_charset = rules.default_charset;
    out->options.max_matches = rules.max_matches ? rules.max_matches : UINT64_MAX;
    return true;
}

/* ---- peers: nothing beyond loopback is served without them ---- */

static bool read_peers(const struct vt_conf *conf, struct vt_dicom_conf *out, struct vt_err *err)
{
    static const char *const unknown[] = { "accept", "refuse", NULL };
    bool beyond = false;
    const char *first = NULL;
    size_t chosen;

    out->peers = vt_peers_new();
    if (!out->peers)
        return vt_fail(err, VT_E_NOMEM, "no memory for the peers");
    for (size_t i = 0; i < out->options.listener_count; i++)
        if (!vt_is_loopback(out->listeners[i].address)) {
            beyond = true;
            first = out->listeners[i].address;
        }
    if (!vt_peers_load(out->peers, conf, err) || !vt_tls_peers(conf, out->peers, err) ||
        !vt_conf_choice(conf, "dicom", NULL, "unknown_peers", unknown, beyond ? 1 : 0, &chosen,
                        err))
        return false;
    if (beyond && !vt_peers_at(out->peers, 0))
        return vt_fail(err, VT_E_DENIED,
                       "dicom.listen = %s is open to the network and there is no peer: add [peer "
                       "\"NAME\"] sections, or listen on "
                       "127.0.0.1",
                       first);
    out->options.refuse_unknown_peers = chosen == 1;
    out->options.peers = out->peers;
    return true;
}

bool vt_dicom_conf_read(const struct vt_conf *conf, struct vt_dicom_conf *out, struct vt_err *err)
{
    *out = (struct vt_dicom_conf){ .stop_grace = 0 };
    if (!vt_private_conf_read(conf, &out->syntaxes, err))
        return false;
    out->options.private_syntaxes = out->syntaxes.list;
    out->options.private_syntax_count = out->syntaxes.count;
    return read_titles(conf, out, err) && read_listeners(conf, out, err) &&
           read_limits(conf, out, err) && read_query(conf, out, err) && read_identities(conf, out, err) &&
           read_peers(conf, out, err);
}

void vt_dicom_conf_fini(struct vt_dicom_conf *dicom)
{
    vt_peers_free(dicom->peers);
    dicom->peers = NULL;
    vt_identities_free(dicom->identities);
    dicom->identities = NULL;
}
