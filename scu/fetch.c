#include "scu/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"

enum { IDENTIFIER_MAX = 16 << 10 };

/* ---- identifiers ---- */

/* Level, study, and below it what is not NULL; `want` is asked for as well (0: nothing). */
static bool write_identifier(const char *level, const char *study, const char *series,
                             const char *sops, uint32_t want, struct vt_buf *out,
                             struct vt_err *err)
{
    struct vt_writer writer = { .buf = out, .encoding = VT_EXPLICIT_LE };
    bool ask_sop = want == VT_TAG_SOP_INSTANCE_UID, ask_series = want == VT_TAG_SERIES_INSTANCE_UID;

    return ((!sops && !ask_sop) ||
            vt_write_text(&writer, VT_TAG_SOP_INSTANCE_UID, "UI", sops ? sops : "", err)) &&
           vt_write_text(&writer, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", level, err) &&
           vt_write_text(&writer, VT_TAG_STUDY_INSTANCE_UID, "UI", study, err) &&
           ((!series && !ask_series) ||
            vt_write_text(&writer, VT_TAG_SERIES_INSTANCE_UID, "UI", series ? series : "", err));
}

/* ---- what is there ---- */

struct listing {
    bool (*instance)(void *context, const char *series_uid, const char *sop_uid,
                     struct vt_err *err);
    void *context;
    char (*series)[VT_UID_MAX + 1];
    size_t count, room;
    const char *now; /* the series whose instances are listed */
    struct vt_err err;
};

static bool read_uid(const uint8_t *identifier, size_t size, uint32_t tag,
                     char out[static VT_UID_MAX + 1])
{
    struct vt_element element;

    if (!vt_element_find(identifier, size, VT_EXPLICIT_LE, tag, &element))
        return false;
    vt_element_text(&element, out, VT_UID_MAX + 1);
    return vt_uid_usable(out);
}

static bool on_series(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                      struct vt_err *err)
{
    struct listing *listing = context;
    char uid[VT_UID_MAX + 1];

    (void)status;
    if (!read_uid(identifier, size, VT_TAG_SERIES_INSTANCE_UID, uid))
        return vt_fail(err, VT_E_PROTOCOL,
                       "the peer answered a query for series without a Series Instance UID");
    if (listing->count == VT_FETCH_SERIES_MAX)
        return vt_fail(err, VT_E_LIMIT, "the study has more than %d series there",
                       VT_FETCH_SERIES_MAX);
    if (listing->count == listing->room) {
        size_t wanted = listing->room ? listing->room * 2 : 16;
        void *grown = reallocarray(listing->series, wanted, sizeof *listing->series);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu series", wanted);
        listing->series = grown;
        listing->room = wanted;
    }
    memcpy(listing->series[listing->count++], uid, sizeof uid);
    return true;
}

static bool on_instance(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                        struct vt_err *err)
{
    struct listing *listing = context;
    char uid[VT_UID_MAX + 1];

    (void)status;
    if (!read_uid(identifier, size, VT_TAG_SOP_INSTANCE_UID, uid))
        return vt_fail(err, VT_E_PROTOCOL,
                       "the peer answered a query for instances without a SOP Instance UID");
    return listing->instance(listing->context, listing->now, uid, err);
}

static bool find(const struct vt_client *client, const char *level, const char *study,
                 const char *series, uint32_t want, vt_find_match match, struct listing *listing,
                 struct vt_err *err)
{
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    uint16_t status;

    if (!write_identifier(level, study, series, NULL, want, &identifier, err))
        return false;
    const struct vt_find_request request = { .model = VT_MODEL_STUDY_ROOT,
                                             .identifier = identifier.data,
                                             .size = identifier.size };
    return vt_client_find(client, &request, match, listing, &status, err);
}

bool vt_fetch_list(const struct vt_client *client, const char *study_uid,
                   bool (*instance)(void *context, const char *series_uid, const char *sop_uid,
                                    struct vt_err *err),
                   void *context, struct vt_err *err)
{
    struct listing listing = { .instance = instance, .context = context };
    bool ok = find(client, "SERIES", study_uid, NULL, VT_TAG_SERIES_INSTANCE_UID, on_series,
                   &listing, err);

    for (size_t i = 0; i < listing.count && ok; i++) {
        listing.now = listing.series[i];
        ok = find(client, "IMAGE", study_uid, listing.now, VT_TAG_SOP_INSTANCE_UID, on_instance,
                  &listing, err);
    }
    free(listing.series);
    return ok;
}

/* ---- retrieving ---- */

static bool join_uids(const struct vt_fetch_request *request, struct vt_buf *out,
                      struct vt_err *err)
{
    for (size_t i = 0; i < request->sop_uid_count; i++)
        if ((i > 0 && !vt_buf_append_byte(out, '\\', err)) ||
            !vt_buf_append_text(out, request->sop_uids[i], err))
            return false;
    return true;
}

bool vt_fetch_run(const struct vt_client *client, const struct vt_fetch_request *request,
                  vt_retrieve_progress progress, void *context, struct vt_retrieve_counts *out,
                  struct vt_err *err)
{
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    VT_AUTO_BUF(list, IDENTIFIER_MAX);
    const char *level = request->sop_uid_count > 0 ? "IMAGE"
                        : request->series_uid      ? "SERIES"
                                                   : "STUDY",
               *sops = NULL;

    if (request->sop_uid_count > VT_FETCH_LIST_MAX)
        return vt_fail(err, VT_E_INVALID, "one request names at most %d instances",
                       VT_FETCH_LIST_MAX);
    if (request->sop_uid_count > 0 &&
        (!join_uids(request, &list, err) || !(sops = vt_buf_string(&list, err))))
        return false;
    if (!write_identifier(level, request->study_uid, request->series_uid, sops, 0, &identifier,
                          err))
        return false;
    const struct vt_retrieve_request retrieve = { .model = VT_MODEL_STUDY_ROOT,
                                                  .identifier = identifier.data,
                                                  .size = identifier.size,
                                                  .destination = request->destination };
    if (request->destination)
        return vt_client_move(client, &retrieve, progress, context, out, err);
    return vt_client_get(client, &retrieve, request->sink, progress, context, out, err);
}
