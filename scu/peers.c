#include "scu/peers.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"

enum {
    PEERS_MAX = 4096,
    ADDRESS_BYTES =
        16, /* all addresses are compared as IPv6; IPv4 ones are mapped (RFC 4291 2.5.5.2) */
    ADDRESS_TEXT_MAX = 64,
    DICOM_PORT = 104,
};

/* The text of a peer, which its row owns. */
static const size_t peer_texts[] = {
    offsetof(struct vt_peer, name),
    offsetof(struct vt_peer, host),
    offsetof(struct vt_peer, from),
    offsetof(struct vt_peer, charset),
    offsetof(struct vt_peer, local_ae_title),
    offsetof(struct vt_peer, called),
    offsetof(struct vt_peer, certificate.subject),
    offsetof(struct vt_peer, certificate.name),
    offsetof(struct vt_peer, certificate.fingerprint),
    offsetof(struct vt_peer, tls_files[0]),
    offsetof(struct vt_peer, tls_files[1]),
    offsetof(struct vt_peer, tls_files[2]),
};

/* Rows are allocated one by one, so that a borrowed row stays where it is when others are added. */
struct row {
    struct vt_peer peer;
    char *texts[VT_COUNT(peer_texts)]; /* what the pointers of `peer` point to */
    struct row *retired;               /* the next one that was replaced */
};

struct vt_peers {
    pthread_rwlock_t lock;
    /* guarded by lock */
    struct row **rows;
    size_t count;
    struct row *retired; /* kept for those who borrowed them */
};

struct range {
    uint8_t address[ADDRESS_BYTES];
    unsigned bits;
};

/* ---- addresses ---- */

static bool read_address(const char *text, uint8_t out[static ADDRESS_BYTES], bool *out_v4)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, &v4, 4);
        *out_v4 = true;
        return true;
    }
    *out_v4 = false;
    return inet_pton(AF_INET6, text, out) == 1;
}

/* "10.0.0.7", "10.0.0.0/8", "fd00::/8" */
static bool read_range(const char *text, size_t length, struct range *out)
{
    char copy[ADDRESS_TEXT_MAX];
    bool v4;

    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *slash = strchr(copy, '/');
    if (slash)
        *slash = '\0';
    if (!read_address(copy, out->address, &v4))
        return false;

    unsigned whole = v4 ? 32 : 128, bits = whole;
    if (slash) {
        char *end;
        unsigned long number = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || number > whole)
            return false;
        bits = (unsigned)number;
    }
    out->bits = bits + (v4 ? 96 : 0);
    return true;
}

static bool in_range(const struct range *range, const uint8_t address[static ADDRESS_BYTES])
{
    size_t bytes = range->bits / 8;
    unsigned rest = range->bits % 8;

    if (memcmp(range->address, address, bytes) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xffu << (8 - rest));
    return (range->address[bytes] & mask) == (address[bytes] & mask);
}

static const char separators[] = " ,\t";

/* The next word of a list; its length, 0 behind the last. */
static size_t next_word(const char **at)
{
    *at += strspn(*at, separators);
    return strcspn(*at, separators);
}

static bool check_ranges(const char *list)
{
    struct range range;
    size_t length, count = 0;

    for (const char *at = list; (length = next_word(&at)) > 0; at += length, count++)
        if (!read_range(at, length, &range))
            return false;
    return count > 0;
}

static bool list_admits(const char *list, const uint8_t address[static ADDRESS_BYTES])
{
    struct range range;
    size_t length;

    for (const char *at = list; (length = next_word(&at)) > 0; at += length)
        if (read_range(at, length, &range) && in_range(&range, address))
            return true;
    return false;
}

static bool host_has(const char *host, const uint8_t address[static ADDRESS_BYTES])
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    bool has = false;

    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *at = found; at && !has; at = at->ai_next) {
        char text[ADDRESS_TEXT_MAX];
        uint8_t bytes[ADDRESS_BYTES];
        bool v4;
        has = getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0,
                          NI_NUMERICHOST) == 0 &&
              read_address(text, bytes, &v4) && memcmp(bytes, address, ADDRESS_BYTES) == 0;
    }
    freeaddrinfo(found);
    return has;
}

bool vt_peer_admits(const struct vt_peer *peer, const char *address)
{
    uint8_t bytes[ADDRESS_BYTES];
    bool v4;

    if (!peer->from && !peer->host)
        return true;
    if (!read_address(address, bytes, &v4))
        return false;
    return peer->from ? list_admits(peer->from, bytes) : host_has(peer->host, bytes);
}

/* ---- the table ---- */

static void row_free(struct row *row)
{
    if (!row)
        return;
    for (size_t i = 0; i < VT_COUNT(row->texts); i++)
        free(row->texts[i]);
    SSL_CTX_free(row->peer.tls_context);
    free(row);
}
VT_DEFINE_AUTO(row)

struct vt_peers *vt_peers_new(void)
{
    struct vt_peers *peers = calloc(1, sizeof *peers);

    if (peers)
        pthread_rwlock_init(&peers->lock, NULL);
    return peers;
}

void vt_peers_free(struct vt_peers *peers)
{
    if (!peers)
        return;
    for (size_t i = 0; i < peers->count; i++)
        row_free(peers->rows[i]);
    while (peers->retired) {
        struct row *next = peers->retired->retired;
        row_free(peers->retired);
        peers->retired = next;
    }
    free(peers->rows);
    pthread_rwlock_destroy(&peers->lock);
    free(peers);
}

/* The lock is no part of what a table says. */
static void read_lock(const struct vt_peers *peers)
{
    pthread_rwlock_rdlock(&((struct vt_peers *)(uintptr_t)peers)->lock);
}

static void unlock(const struct vt_peers *peers)
{
    pthread_rwlock_unlock(&((struct vt_peers *)(uintptr_t)peers)->lock);
}

const struct vt_peer *vt_peers_at(const struct vt_peers *peers, size_t i)
{
    read_lock(peers);
    const struct vt_peer *peer = i < peers->count ? &peers->rows[i]->peer : NULL;
    unlock(peers);
    return peer;
}

const struct vt_peer *vt_peers_by_title(const struct vt_peers *peers, const char *ae_title)
{
    char trimmed[VT_AE_TITLE_MAX + 1];

    if (!vt_ae_title_trim(ae_title, trimmed))
        return NULL;
    const struct vt_peer *found = NULL;
    read_lock(peers);
    for (size_t i = 0; i < peers->count && !found; i++)
        if (strcmp(peers->rows[i]->peer.ae_title, trimmed) == 0)
            found = &peers->rows[i]->peer;
    unlock(peers);
    return found;
}

const struct vt_peer *vt_peers_by_name(const struct vt_peers *peers, const char *name)
{
    const struct vt_peer *found = NULL;

    read_lock(peers);
    for (size_t i = 0; i < peers->count && !found; i++)
        if (strcmp(peers->rows[i]->peer.name, name) == 0)
            found = &peers->rows[i]->peer;
    unlock(peers);
    return found;
}

static const char **text_at(struct vt_peer *peer, size_t i)
{
    return (const char **)(void *)((char *)peer + peer_texts[i]);
}

static struct row *row_new(const struct vt_peer *peer)
{
    VT_AUTO(row) row = calloc(1, sizeof *row);

    if (!row)
        return NULL;
    row->peer = *peer;
    row->peer.tls_context = NULL;
    for (size_t i = 0; i < VT_COUNT(peer_texts); i++) {
        const char **text = text_at(&row->peer, i);
        if (*text && !(row->texts[i] = strdup(*text)))
            return NULL;
        *text = row->texts[i];
    }
    return vt_take(&row);
}

/* What a row must fulfil alone; trims its title. */
static bool check_peer(struct vt_peer *peer, struct vt_err *err)
{
    char title[VT_AE_TITLE_MAX + 1];

    if (!peer->name || !*peer->name)
        return vt_fail(err, VT_E_INVALID, "a peer has no name");
    if (!vt_ae_title_trim(*peer->ae_title ? peer->ae_title : peer->name, title))
        return vt_fail(err, VT_E_INVALID, "peer '%s': '%s' is not an AE title", peer->name,
                       *peer->ae_title ? peer->ae_title : peer->name);
    memcpy(peer->ae_title, title, sizeof title);
    if (peer->local_ae_title && !vt_ae_title_trim(peer->local_ae_title, title))
        return vt_fail(err, VT_E_INVALID, "peer '%s': '%s' is not an AE title", peer->name,
                       peer->local_ae_title);
    if (peer->from && !check_ranges(peer->from))
        return vt_fail(
            err, VT_E_INVALID,
            "peer '%s': '%s' is no list of addresses and networks (10.0.0.7, 10.1.0.0/16)",
            peer->name, peer->from);
    if (peer->host && peer->port == 0)
        return vt_fail(err, VT_E_INVALID, "peer '%s' has a host and no port", peer->name);
    if (!peer->host && peer->move_destination)
        return vt_fail(err, VT_E_INVALID, "peer '%s' cannot be a move destination: it has no host",
                       peer->name);
    return true;
}

bool vt_peers_add(struct vt_peers *peers, const struct vt_peer *peer, struct vt_err *err)
{
    struct vt_peer checked = *peer;

    if (!check_peer(&checked, err))
        return false;
    if (vt_peers_by_name(peers, checked.name))
        return vt_fail(err, VT_E_EXISTS, "peer '%s' is there twice", checked.name);
    if (vt_peers_by_title(peers, checked.ae_title))
        return vt_fail(err, VT_E_EXISTS, "AE title '%s' is taken", checked.ae_title);
    if (peers->count >= PEERS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d peers", PEERS_MAX);

    VT_AUTO(row) row = row_new(&checked);
    struct row **grown = reallocarray(peers->rows, peers->count + 1, sizeof(struct row *));
    if (grown)
        peers->rows = grown;
    if (!grown || !row)
        return vt_fail(err, VT_E_NOMEM, "no memory for peer '%s'", checked.name);
    peers->rows[peers->count++] = vt_take(&row);
    return true;
}

bool vt_peers_replace(struct vt_peers *peers, struct vt_peers *fresh, struct vt_err *err)
{
    if (fresh->count > PEERS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d peers", PEERS_MAX);
    pthread_rwlock_wrlock(&peers->lock);
    for (size_t i = 0; i < peers->count; i++) {
        peers->rows[i]->retired = peers->retired;
        peers->retired = peers->rows[i];
    }
    free(peers->rows);
    peers->rows = vt_take(&fresh->rows);
    peers->count = fresh->count;
    fresh->count = 0;
    pthread_rwlock_unlock(&peers->lock);
    return true;
}

void vt_peers_set_tls(struct vt_peers *peers, size_t i, struct ssl_ctx_st *tls)
{
    struct vt_peer *peer = &peers->rows[i]->peer;

    if (tls)
        SSL_CTX_up_ref(tls);
    SSL_CTX_free(peer->tls_context);
    peer->tls_context = tls;
}

bool vt_peer_may_call(const struct vt_peer *peer, const char *called)
{
    size_t length;

    if (!peer->called)
        return true;
    for (const char *at = peer->called; (length = next_word(&at)) > 0; at += length)
        if (strlen(called) == length && strncmp(at, called, length) == 0)
            return true;
    return false;
}

/* ---- from the configuration ---- */

static const struct {
    const char *word;
    unsigned bits;
} allow_words[] = {
    { "echo", VT_ALLOW_ECHO },     { "store", VT_ALLOW_STORE },
    { "find", VT_ALLOW_FIND },     { "move", VT_ALLOW_MOVE },
    { "get", VT_ALLOW_GET },       { "all", VT_ALLOW_ALL },
    { "commit", VT_ALLOW_COMMIT }, { "none", 0 },
    { "worklist", VT_ALLOW_WORKLIST }, { "mpps", VT_ALLOW_MPPS },
};

static bool read_allow(const char *name, const char *list, unsigned *out, struct vt_err *err)
{
    unsigned bits = 0;
    size_t length;

    for (const char *at = list; (length = next_word(&at)) > 0; at += length) {
        size_t i = 0;
        while (i < VT_COUNT(allow_words) && (strlen(allow_words[i].word) != length ||
                                             strncasecmp(allow_words[i].word, at, length) != 0))
            i++;
        if (i == VT_COUNT(allow_words))
            return vt_fail(
                err, VT_E_INVALID,
                "peer.%s.allow: '%.*s' is none of echo store find move get commit worklist mpps all none",
                name, (int)length, at);
        bits |= allow_words[i].bits;
    }
    *out = bits;
    return true;
}

static const char *text_of(const struct vt_conf *conf, const char *section, const char *name,
                           const char *key)
{
    const char *text = vt_conf_text(conf, section, name, key, NULL);

    return text && *text ? text : NULL;
}

bool vt_peer_tls_read(const struct vt_conf *conf, const char *section, const char *name,
                      struct vt_peer *out, struct vt_err *err)
{
    out->certificate = (struct vt_certificate_wanted){
        .subject = text_of(conf, section, name, "tls_subject"),
        .name = text_of(conf, section, name, "tls_name"),
        .fingerprint = text_of(conf, section, name, "tls_fingerprint"),
    };
    out->tls_files[0] = text_of(conf, section, name, "tls_certificate");
    out->tls_files[1] = text_of(conf, section, name, "tls_key");
    out->tls_files[2] = text_of(conf, section, name, "tls_ca");
    if (!vt_conf_bool(conf, section, name, "tls", vt_certificate_is_wanted(&out->certificate),
                      &out->tls, err) ||
        !vt_conf_bool(conf, section, name, "tls_any_name", false, &out->tls_any_name, err))
        return false;
    if (!out->tls && vt_certificate_is_wanted(&out->certificate))
        return vt_fail(err, VT_E_INVALID, "%s.%s names a certificate and tls = no: set tls = yes",
                       section, name);
    return true;
}

/* Who it must be, by its certificate, and how much of it is taken. */
static bool read_access(const struct vt_conf *conf, const char *name, struct vt_peer *out,
                        struct vt_err *err)
{
    int64_t instances;

    out->called = text_of(conf, "peer", name, "called");
    if (!vt_peer_tls_read(conf, "peer", name, out, err) ||
        !vt_conf_int(conf, "peer", name, "instances_per_day", 0, INT64_MAX, 0, &instances, err) ||
        !vt_conf_size(conf, "peer", name, "bytes_per_day", 0, UINT64_MAX, 0, &out->bytes_per_day,
                      err))
        return false;
    out->instances_per_day = (uint64_t)instances;
    return true;
}

static bool read_peer(const struct vt_conf *conf, const char *name, struct vt_peer *out,
                      struct vt_err *err)
{
    static const char *const prefer_words[] = { "proposed", "uncompressed", "lossless", NULL };
    const char *title = vt_conf_text(conf, "peer", name, "ae_title", name);
    int64_t port, max_associations;
    size_t prefer;
    bool same = true;

    *out = (struct vt_peer){ .name = name };
    if (!vt_ae_title_trim(title, out->ae_title))
        return vt_fail(err, VT_E_INVALID, "peer.%s.ae_title: '%s' is not an AE title", name, title);
    out->host = vt_conf_text(conf, "peer", name, "host", NULL);
    if (out->host && !*out->host)
        out->host = NULL;
    out->from = vt_conf_text(conf, "peer", name, "from", NULL);
    out->charset = vt_conf_text(conf, "peer", name, "charset", NULL);
    out->local_ae_title = vt_conf_text(conf, "peer", name, "local_ae_title", NULL);
    if (!vt_conf_int(conf, "peer", name, "port", 1, UINT16_MAX, DICOM_PORT, &port, err) ||
        !vt_conf_int(conf, "peer", name, "max_associations", 0, 10000, 0, &max_associations, err) ||
        !vt_conf_bool(conf, "peer", name, "move_destination", out->host != NULL,
                      &out->move_destination, err) ||
        !vt_conf_bool(conf, "peer", name, "commit_same_association", true, &same, err) ||
        !vt_conf_bool(conf, "peer", name, "lossy", false, &out->transcoding.lossy, err) ||
        !vt_conf_choice(conf, "peer", name, "prefer", prefer_words, VT_PREFER_PROPOSED, &prefer,
                        err) ||
        !vt_conf_duration(conf, "peer", name, "timeout", 0, 24 * 3600 * VT_NS_PER_S, 0,
                          &out->timeout, err) ||
        !read_allow(name, vt_conf_text(conf, "peer", name, "allow", "all"), &out->allow, err))
        return false;
    if (!vt_transcoding_read(vt_conf_text(conf, "peer", name, "transcode_to", ""),
                             &out->transcoding, err))
        return vt_fail_context(err, "peer.%s.transcode_to", name);
    if (!read_access(conf, name, out, err))
        return false;
    out->commit_elsewhere = !same;
    out->port = out->host ? (uint16_t)port : 0;
    out->max_associations = (unsigned)max_associations;
    out->prefer = (enum vt_prefer)prefer;
    return true;
}

bool vt_peers_load(struct vt_peers *peers, const struct vt_conf *conf, struct vt_err *err)
{
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(conf, "peer", i)) != NULL; i++) {
        struct vt_peer peer;
        if (!read_peer(conf, name, &peer, err) || !vt_peers_add(peers, &peer, err))
            return false;
    }
    return true;
}

/* ---- what a person typed ---- */

/* "AET@HOST:PORT", the host in brackets when it has colons. Host goes to store. */
static bool read_address_of(const char *text, struct vt_peer *out, char *store, size_t room)
{
    const char *at = strchr(text, '@'), *colon = strrchr(text, ':');
    char title[VT_AE_TITLE_MAX * 2];

    if (!at || !colon || colon < at || (size_t)(at - text) >= sizeof title)
        return false;
    memcpy(title, text, (size_t)(at - text));
    title[at - text] = '\0';

    const char *host = at + 1, *host_end = colon;
    if (*host == '[' && host_end > host && host_end[-1] == ']') {
        host++;
        host_end--;
    } else if (memchr(host, ':', (size_t)(host_end - host))) {
        return false;
    }
    size_t length = (size_t)(host_end - host);
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port == 0 || port > UINT16_MAX || length == 0 ||
        length >= room)
        return false;

    *out = (struct vt_peer){ .allow = VT_ALLOW_ALL, .port = (uint16_t)port };
    if (!vt_ae_title_trim(title, out->ae_title))
        return false;
    memcpy(store, host, length);
    store[length] = '\0';
    out->name = out->host = store;
    return true;
}

bool vt_peers_resolve(const struct vt_peers *peers, const char *text, struct vt_peer *out,
                      char *store, size_t room, struct vt_err *err)
{
    const struct vt_peer *known = vt_peers_by_name(peers, text);

    if (!known)
        known = vt_peers_by_title(peers, text);
    if (known) {
        if (!known->host)
            return vt_fail(err, VT_E_INVALID,
                           "peer '%s' has no host in the configuration: it can only call us", text);
        *out = *known;
        return true;
    }
    if (read_address_of(text, out, store, room))
        return true;
    if (strchr(text, '@'))
        return vt_fail(err, VT_E_INVALID, "'%s' is not AET@HOST:PORT", text);
    return vt_fail(
        err, VT_E_NOTFOUND,
        "no peer '%s' in the configuration; write AET@HOST:PORT to use one without an entry", text);
}
