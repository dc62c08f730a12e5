#include "cmd/vitrined_through.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/vitrined_fetch.h"
#include "cmd/vitrined_jobs.h"
#include "core/buf.h"
#include "core/conf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "scp/server.h"
#include "scu/peers.h"

enum { IDENTIFIER_MAX = 1024, PRIORITY = 10 };

/* yes is the older word for empty. */
enum through { THROUGH_NO, THROUGH_YES, THROUGH_EMPTY, THROUGH_ALWAYS };

static bool read_through(const struct vt_conf *conf, const char *name, enum through *out,
                         struct vt_err *err)
{
    static const char *const words[] = { "no", "yes", "empty", "always", NULL };
    size_t word;

    if (!vt_conf_choice(conf, "peer", name, "query_through", words, THROUGH_NO, &word, err))
        return false;
    *out = (enum through)word;
    return true;
}

static bool is_through(const struct vt_job_world *world, const struct vt_peer *peer,
                       const char *calling, bool always)
{
    struct vt_err err = { 0 };
    enum through through = THROUGH_NO;

    return peer->host && strcmp(peer->ae_title, calling) != 0 &&
           read_through(world->conf, peer->name, &through, &err) &&
           (through == THROUGH_ALWAYS || (through != THROUGH_NO && !always));
}

/* The i-th that is to be asked, with what its client needs; *i goes behind it. */
static bool next_peer(const struct vt_job_world *world, const char *calling, bool always,
                      size_t *i, struct vt_job_peer *out)
{
    const struct vt_peer *peer;
    struct vt_err err = { 0 };

    while ((peer = vt_peers_at(world->peers, (*i)++)))
        if (is_through(world, peer, calling, always) && vt_world_peer(world, peer->name, out, &err))
            return true;
    return false;
}

struct counting {
    vt_find_match match;
    void *context;
    size_t count;
};

static bool on_match(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct counting *counting = context;

    counting->count++;
    return !counting->match || counting->match(counting->context, identifier, size, status, err);
}

/* Of the first that has a match; when there are some here, of all that are always asked. */
static bool find(void *context, const char *calling, bool matched, enum vt_model model,
                 const uint8_t *identifier, size_t size, vt_find_match match, void *match_context,
                 struct vt_err *err)
{
    const struct vt_job_world *world = context;
    struct counting counting = { .match = match, .context = match_context };
    const struct vt_find_request request = { .model = model,
                                             .identifier = identifier,
                                             .size = size };
    struct vt_job_peer peer;
    uint16_t status;

    vt_err_clear(err);
    for (size_t i = 0;
         (counting.count == 0 || matched) && next_peer(world, calling, matched, &i, &peer);) {
        vt_err_clear(err);
        vt_client_find(&peer.client, &request, on_match, &counting, &status, err);
    }
    return !vt_failed(err);
}

static bool has_study(const struct vt_job_peer *peer, const char *study_uid, bool *out_has,
                      struct vt_err *err)
{
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    struct vt_writer writer = { .buf = &identifier, .encoding = VT_EXPLICIT_LE };
    struct counting counting = { .match = NULL };
    uint16_t status;

    if (!vt_write_text(&writer, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY", err) ||
        !vt_write_text(&writer, VT_TAG_STUDY_INSTANCE_UID, "UI", study_uid, err))
        return false;
    const struct vt_find_request request = { .model = VT_MODEL_STUDY_ROOT,
                                             .identifier = identifier.data,
                                             .size = identifier.size,
                                             .limit = 1 };
    if (!vt_client_find(&peer->client, &request, on_match, &counting, &status, err))
        return false;
    *out_has = counting.count > 0;
    return true;
}

static bool fetch(void *context, const char *calling, const char *study_uid, int64_t *out_job,
                  struct vt_err *err)
{
    struct vt_job_world *world = context;
    struct vt_job_peer peer;

    vt_err_clear(err);
    for (size_t i = 0; next_peer(world, calling, false, &i, &peer);) {
        const struct vt_fetch_new new = { .peer = peer.peer.name,
                                          .study_uid = study_uid,
                                          .who = "query-through",
                                          .priority = PRIORITY };
        bool has = false;
        vt_err_clear(err);
        if (has_study(&peer, study_uid, &has, err) && has)
            return vt_fetch_enqueue(world, &new, 1, out_job, err);
    }
    return vt_failed(err) ? false : vt_fail(err, VT_E_NOTFOUND, "no peer has study %s", study_uid);
}

static bool wait_for(void *context, int64_t job, int64_t deadline)
{
    const struct vt_job_world *world = context;
    enum vt_job_state state;
    struct vt_err err = { 0 };

    return vt_jobs_wait(world->jobs, job, deadline, &state, &err) || err.code != VT_E_TIMEOUT;
}

bool vt_through_open(struct vt_job_world *world, struct vt_elsewhere *out, struct vt_err *err)
{
    const struct vt_peer *peer;
    enum through through;
    bool any = false, always = false;

    for (size_t i = 0; (peer = vt_peers_at(world->peers, i)); i++) {
        if (!read_through(world->conf, peer->name, &through, err))
            return false;
        if (through != THROUGH_NO && !peer->host)
            return vt_fail(err, VT_E_INVALID, "peer.%s.query_through: the peer has no host",
                           peer->name);
        any = any || through != THROUGH_NO;
        always = always || through == THROUGH_ALWAYS;
    }
    if (any)
        *out = (struct vt_elsewhere){
            .find = find, .fetch = fetch, .wait = wait_for, .context = world,
            .always = always,
        };
    return true;
}
