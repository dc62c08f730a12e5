/* vitrine fetch PEER KEY=VALUE...: the peer is asked which studies match; each becomes a job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/cli_keys.h"
#include "cmd/job_verbs.h"
#include "cmd/vitrined_fetch.h"
#include "cmd/vitrined_jobs.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"

enum { STUDIES_MAX = 20000 };

struct found {
    char (*studies)[VT_UID_MAX + 1];
    size_t count, room;
};

static bool on_match(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct found *found = context;
    struct vt_element element;
    char uid[VT_UID_MAX + 1] = "";

    (void)status;
    if (vt_element_find(identifier, size, VT_EXPLICIT_LE, VT_TAG_STUDY_INSTANCE_UID, &element))
        vt_element_text(&element, uid, sizeof uid);
    if (!vt_uid_usable(uid))
        return vt_fail(err, VT_E_PROTOCOL,
                       "the peer answered a query for studies without a Study Instance UID");
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->studies[i], uid) == 0)
            return true;
    if (found->count == STUDIES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d studies match: fetch less at once",
                       STUDIES_MAX);
    if (found->count == found->room) {
        size_t wanted = found->room ? found->room * 2 : 16;
        void *grown = reallocarray(found->studies, wanted, sizeof *found->studies);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu studies", wanted);
        found->studies = grown;
        found->room = wanted;
    }
    memcpy(found->studies[found->count++], uid, sizeof uid);
    return true;
}

static bool search(struct vt_admin_call *call, const struct vt_job_peer *peer, struct found *found,
                   struct vt_err *err)
{
    VT_AUTO_BUF(identifier, VT_IDENTIFIER_MAX);
    uint16_t status;

    if (!vt_keys_identifier(VT_LEVEL_STUDY, call->args + 1, call->arg_count - 1, true,
                            peer->peer.charset, &identifier, err))
        return false;
    const struct vt_find_request find = { .model = VT_MODEL_STUDY_ROOT,
                                          .identifier = identifier.data,
                                          .size = identifier.size };
    return vt_client_find(&peer->client, &find, on_match, found, &status, err);
}

static bool enqueue(struct vt_admin_call *call, const struct found *found, int64_t *ids,
                    struct vt_err *err)
{
    vt_autofree struct vt_fetch_new *list = calloc(found->count, sizeof *list);

    if (!list)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu jobs", found->count);
    for (size_t i = 0; i < found->count; i++)
        list[i] = (struct vt_fetch_new){ .peer = call->args[0],
                                         .study_uid = found->studies[i],
                                         .who = call->admin.who,
                                         .priority = 1 };
    return vt_fetch_enqueue(call->world, list, found->count, ids, err);
}

static bool fetch(struct vt_admin_call *call, struct found *found, json_t *result,
                  struct vt_err *err)
{
    struct vt_job_peer peer;
    char text[96];

    if (!vt_world_peer(call->world, call->args[0], &peer, err))
        return false;
    vt_world_ask_as_shs(call->world, &peer);
    if (!search(call, &peer, found, err))
        return false;
    if (found->count == 0)
        return vt_fail(err, VT_E_NOTFOUND, "%s has nothing that matches", call->args[0]);
    vt_autofree int64_t *ids = calloc(found->count, sizeof *ids);
    if (!ids)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of jobs");
    if (!enqueue(call, found, ids, err))
        return false;
    json_object_set_new(result, "jobs", json_integer((json_int_t)found->count));
    if (!json_is_true(json_object_get(call->options, "background")))
        return vt_verb_wait(call, ids, found->count, "fetched", result, err);
    snprintf(text, sizeof text, "%zu studies: 'vitrine job list' shows how far they are",
             found->count);
    json_object_set_new(result, "text", json_string(text));
    return true;
}

bool vt_verb_fetch(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct found found = { 0 };

    if (!call->world)
        return vt_fail(err, VT_E_NOTFOUND,
                       "vitrined does not run on this archive: start it, or use 'vitrine get' to "
                       "fetch into files");
    bool ok = fetch(call, &found, result, err);
    free(found.studies);
    return ok;
}
