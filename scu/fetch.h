/* scu/fetch.h: what fetching a study from a remote archive asks of it (reference 7.1): what is there, by
 * C-FIND series by series, and C-MOVE or C-GET of a study, of a series, or of single instances. Which of
 * them are wanted, and where they go, is the caller's business. A call belongs to one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scu/client.h"

struct vt_err;

enum {
    VT_FETCH_SERIES_MAX = 10000,
    VT_FETCH_LIST_MAX = 64, /* UIDs of one request at IMAGE level */
};

/* The instances of a study there. VT_E_LIMIT: too many series. VT_E_PROTOCOL: an answer without UIDs. */
bool vt_fetch_list(const struct vt_client *client, const char *study_uid,
                   bool (*instance)(void *context, const char *series_uid, const char *sop_uid, struct vt_err *err),
                   void *context, struct vt_err *err);

struct vt_fetch_request {
    const char *study_uid;
    const char *series_uid;        /* NULL: the whole study */
    const char *const *sop_uids;   /* of the series, at most VT_FETCH_LIST_MAX; count 0: the whole series */
    size_t sop_uid_count;
    const char *destination;       /* C-MOVE there; NULL: C-GET into the sink */
    const struct vt_sink *sink;
};
/* As vt_client_move and vt_client_get. */
bool vt_fetch_run(const struct vt_client *client, const struct vt_fetch_request *request,
                  vt_retrieve_progress progress, void *context, struct vt_retrieve_counts *out, struct vt_err *err);
