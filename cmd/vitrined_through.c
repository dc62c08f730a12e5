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

static bool is_through(const struct vt_job_world *world, const struct vt_peer *peer,
                       const char *calling)
{
    struct vt_err err = { 0 };
    bool through = false;

    return peer->host && strcmp(peer->ae_title, calling) != 0 &&
           vt_conf_bool(world->conf, "peer", peer->name, "query_through", false, &through, &err) &&
           through;
}

/* The i-th that is to be asked, with what its client needs; *i goes behind it. */
static bool next_peer(const struct vt_job_world *world, const char *calling, size_t *i,
                      struct vt_job_peer *out)
{
    const struct vt_peer *peer;
    struct vt_err err = { 0 };

    while ((peer = vt_peers_at(world->peers, (*i)++)))
        if (is_through(world, peer, calling) && vt_world_peer(world, peer->name, out, &err))
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

/* Of the first that has a match. */
static bool find(void *context, const char *calling, enum vt_model model, const uint8_t *identifier,
                 size_t size, vt_find_match match, void *match_context, struct vt_err *err)
{
    const struct vt_job_world *world = context;
    struct counting counting = { .match = match, .context = match_context };
    const struct vt_find_request request = { .model = model,
                                             .identifier = identifier,
                                             .size = size };
    struct vt_job_peer peer;
    uint16_t status;

    vt_err_clear(err);
    for (size_t i = 0; counting.count == 0 && next_peer(world, calling, &i, &peer);) {
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
    for (size_t i = 0; next_peer(world, calling, &i, &peer);) {
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
    bool through, any = false;

    for (size_t i = 0; (peer = vt_peers_at(world->peers, i)); i++) {
        if (!vt_conf_bool(world->conf, "peer", peer->name, "query_through", false, &through, err))
            return false;
        if (through && !peer->host)
            return vt_fail(err, VT_E_INVALID, "peer.%s.query_through: the peer has no host",
                           peer->name);
        any = any || through;
    }
    if (any)
        *out = (struct vt_elsewhere){
            .find = find, .fetch = fetch, .wait = wait_for, .context = world
        };
    return true;
}
