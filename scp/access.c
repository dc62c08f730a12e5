#include "scp/access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/peer_days.h"
#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/certificate.h"
#include "scp/negotiate.h"
#include "scp/session.h"
#include "scp/trail.h"

/* ---- who ---- */

const struct vt_rejection *vt_access_judge(const struct vt_session *session, const char **out_text)
{
    static const struct vt_rejection called = { 1, 1, 7, "called-aet" };
    const struct vt_assoc_info *info = vt_assoc_info(session->assoc);
    const struct vt_peer *peer = session->peer;

    if (!peer)
        return NULL;
    *out_text = "the peer's entry does not admit this address";
    if (!vt_peer_admits(peer, session->host))
        return &vt_rejection_calling;
    *out_text = "the peer's entry asks for TLS";
    if (peer->tls && !info->tls)
        return &vt_rejection_calling;
    *out_text = "the certificate is not the one of the peer's entry";
    if (info->tls && !vt_assoc_certificate_is(session->assoc, &peer->certificate))
        return &vt_rejection_calling;
    *out_text = "the peer's entry does not allow this called AE title";
    if (!vt_peer_may_call(peer, info->called_ae_title))
        return &called;
    return NULL;
}

enum { IDENTITY_MAX = 256 };

/* false: too long, or a zero byte in it. */
static bool copy_field(const uint8_t *bytes, size_t size, char out[static IDENTITY_MAX])
{
    if (size >= IDENTITY_MAX || memchr(bytes ? bytes : (const uint8_t *)"", 0, bytes ? size : 0))
        return false;
    if (size > 0)
        memcpy(out, bytes, size);
    out[size] = '\0';
    return true;
}

static bool is_known(struct vt_session *session, bool with_passcode)
{
    const struct vt_server_options *options = session->options;
    const uint8_t *primary, *secondary;
    size_t primary_size, secondary_size;
    char user[IDENTITY_MAX], passcode[IDENTITY_MAX];

    vt_assoc_identity(session->assoc, &primary, &primary_size, &secondary, &secondary_size);
    if (!copy_field(primary, primary_size, user)) {
        vt_trail_user(session, "too long", false);
        return false;
    }
    bool known = copy_field(secondary, secondary_size, passcode) && options->identify &&
                 options->identify(options->identify_context, user,
                                   with_passcode ? passcode : NULL);
    explicit_bzero(passcode, sizeof passcode);
    vt_trail_user(session, user, known);
    return known;
}

const struct vt_rejection *vt_access_identify(struct vt_session *session, const char **out_text)
{
    static const struct vt_rejection refused = { 1, 1, 1, "user-identity" };
    static const char *const unnamed[] = {
        [VT_IDENTITY_NONE] = "no user was named",
        [VT_IDENTITY_KERBEROS] = "the user is named by a Kerberos ticket: names and passcodes only",
        [VT_IDENTITY_SAML] = "the user is named by a SAML assertion: names and passcodes only",
        [VT_IDENTITY_JWT] = "the user is named by a JSON web token: names and passcodes only",
    };
    uint8_t type = vt_assoc_info(session->assoc)->identity_type;
    bool named = type == VT_IDENTITY_USER || type == VT_IDENTITY_USER_PASSCODE;

    if (session->options->identity == VT_IDENTITY_IGNORE)
        return NULL;
    *out_text = (size_t)type < VT_COUNT(unnamed) && unnamed[type]
                    ? unnamed[type]
                    : "no user was named in a way that is known here";
    if (!named)
        return session->options->identity == VT_IDENTITY_REQUIRE ? &refused : NULL;
    *out_text = "the user is not known, or the passcode is wrong";
    session->identified = is_known(session, type == VT_IDENTITY_USER_PASSCODE);
    return session->identified ? NULL : &refused;
}

/* ---- how much ---- */

#define DAY (24 * 3600 * VT_NS_PER_S)

enum { USAGE_PEERS_MAX = 4096 };

struct spent {
    char ae_title[VT_AE_TITLE_MAX + 1];
    int64_t day;
    uint64_t instances, bytes;
    bool changed; /* since it was written */
};

struct vt_usage {
    pthread_mutex_t lock;
    /* guarded by lock */
    struct spent *items;
    size_t count, capacity;
};

struct vt_usage *vt_usage_new(void)
{
    struct vt_usage *usage = calloc(1, sizeof *usage);

    if (usage)
        pthread_mutex_init(&usage->lock, NULL);
    return usage;
}

void vt_usage_free(struct vt_usage *usage)
{
    if (!usage)
        return;
    pthread_mutex_destroy(&usage->lock);
    free(usage->items);
    free(usage);
}

static bool is_bounded(const struct vt_usage *usage, const struct vt_peer *peer)
{
    return usage && peer && (peer->instances_per_day > 0 || peer->bytes_per_day > 0);
}

/* Under the lock; its counters begin anew each day. NULL: no memory. */
static struct spent *spent_of(struct vt_usage *usage, const char *ae_title, int64_t wall)
{
    int64_t day = wall / DAY;
    struct spent *spent = NULL;

    for (size_t i = 0; i < usage->count && !spent; i++)
        if (strcmp(usage->items[i].ae_title, ae_title) == 0)
            spent = &usage->items[i];
    if (!spent && usage->count == usage->capacity && usage->count < USAGE_PEERS_MAX) {
        size_t wanted = usage->capacity ? usage->capacity * 2 : 16;
        struct spent *grown = reallocarray(usage->items, wanted, sizeof *grown);
        if (!grown)
            return NULL;
        usage->items = grown;
        usage->capacity = wanted;
    }
    if (!spent && usage->count < usage->capacity) {
        spent = &usage->items[usage->count++];
        *spent = (struct spent){ .day = day };
        snprintf(spent->ae_title, sizeof spent->ae_title, "%s", ae_title);
    }
    if (spent && spent->day != day) {
        spent->day = day;
        spent->instances = spent->bytes = 0;
    }
    return spent;
}

bool vt_usage_may_store(struct vt_usage *usage, const struct vt_peer *peer, int64_t wall)
{
    if (!is_bounded(usage, peer))
        return true;
    pthread_mutex_lock(&usage->lock);
    const struct spent *spent = spent_of(usage, peer->ae_title, wall);
    bool may = spent &&
               (peer->instances_per_day == 0 || spent->instances < peer->instances_per_day) &&
               (peer->bytes_per_day == 0 || spent->bytes < peer->bytes_per_day);
    pthread_mutex_unlock(&usage->lock);
    return may;
}

void vt_usage_add(struct vt_usage *usage, const struct vt_peer *peer, int64_t wall, uint64_t bytes)
{
    if (is_bounded(usage, peer))
        vt_usage_count(usage, peer->ae_title, wall, bytes);
}

void vt_usage_count(struct vt_usage *usage, const char *ae_title, int64_t wall, uint64_t bytes)
{
    pthread_mutex_lock(&usage->lock);
    struct spent *spent = spent_of(usage, ae_title, wall);
    if (spent) {
        spent->instances++;
        spent->bytes += bytes;
        spent->changed = true;
    }
    pthread_mutex_unlock(&usage->lock);
}

/* ---- over a restart ---- */

static bool load_one(void *context, const struct vt_peer_day *day)
{
    struct vt_usage *usage = context;
    struct spent *spent = spent_of(usage, day->ae_title, day->day * DAY);

    if (spent) {
        spent->instances += day->instances;
        spent->bytes += day->bytes;
    }
    return true;
}

bool vt_usage_load(struct vt_usage *usage, struct vt_archive *archive, int64_t wall,
                   struct vt_err *err)
{
    pthread_mutex_lock(&usage->lock);
    bool ok = vt_peer_days_each(archive, wall / DAY, load_one, usage, err);
    pthread_mutex_unlock(&usage->lock);
    return ok;
}

/* What comes while it is written is written the next time. */
bool vt_usage_save(struct vt_usage *usage, struct vt_archive *archive, struct vt_err *err)
{
    size_t count = 0;

    pthread_mutex_lock(&usage->lock);
    vt_autofree struct vt_peer_day *days = calloc(usage->count + 1, sizeof *days);
    for (size_t i = 0; days && i < usage->count; i++) {
        struct spent *spent = &usage->items[i];
        if (!spent->changed)
            continue;
        days[count] = (struct vt_peer_day){ .day = spent->day,
                                            .instances = spent->instances,
                                            .bytes = spent->bytes };
        memcpy(days[count++].ae_title, spent->ae_title, sizeof spent->ae_title);
        spent->changed = false;
    }
    pthread_mutex_unlock(&usage->lock);
    return days ? vt_peer_days_write(archive, days, count, err)
                : vt_fail(err, VT_E_NOMEM, "no memory to note what peers sent");
}
