#include "cmd/arrivals_recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "core/err.h"
#include "core/jobs.h"
#include "dicom/header.h"

enum { KNOWN_MAX = 1000000 };

struct known {
    const char *who;
    int64_t since;
    char (*uids)[VT_UID_MAX + 1];
    size_t count, room;
};

static bool add_known(struct known *known, const char *uid)
{
    if (known->count == known->room) {
        size_t wanted = known->room ? known->room * 2 : 1024;
        void *grown =
            wanted > KNOWN_MAX ? NULL : reallocarray(known->uids, wanted, sizeof *known->uids);
        if (!grown)
            return false;
        known->uids = grown;
        known->room = wanted;
    }
    snprintf(known->uids[known->count++], VT_UID_MAX + 1, "%s", uid);
    return true;
}

static bool on_job(void *context, const struct vt_job *job)
{
    struct known *known = context;
    bool more = true;

    if (job->created < known->since)
        return false; /* newest first */
    if (strncmp(job->who, known->who, strlen(known->who)) != 0)
        return true;
    json_t *arguments = json_loads(job->arguments, 0, NULL);
    const json_t *list = json_object_get(arguments, "instances");
    for (size_t i = 0; i < json_array_size(list) && more; i++) {
        const char *uid = json_string_value(json_array_get(list, i));
        more = !uid || add_known(known, uid);
    }
    json_decref(arguments);
    return more;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The index does not keep who sent it; the file does. */
static void read_sender(struct vt_archive *archive, const struct vt_index_entry *entry, char *out)
{
    struct vt_stored stored;
    struct vt_part10 part10;
    struct vt_err err = { 0 };

    out[0] = '\0';
    if (!vt_archive_open_instance(archive, entry, &stored, &err))
        return;
    if (vt_part10_read_file(stored.fd, entry->file, &part10, &err))
        memcpy(out, part10.source_ae_title, sizeof part10.source_ae_title);
    vt_stored_close(&stored);
}

static struct vt_cursor *select_all(struct vt_archive *archive, struct vt_query **out_query,
                                    struct vt_plan **out_plan, struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };

    *out_query = vt_query_from_words(VT_LEVEL_STUDY, NULL, 0, &rules, err);
    *out_plan = *out_query ? vt_plan_make(*out_query, err) : NULL;
    return *out_plan ? vt_index_select(vt_archive_index(archive), *out_plan, err) : NULL;
}

bool vt_arrivals_recover(struct vt_archive *archive, struct vt_jobs *jobs, const char *who,
                         int64_t since,
                         bool (*arrival)(void *context, const struct vt_arrival *arrival),
                         void *context, struct vt_err *err)
{
    struct known known = { .who = who, .since = since };
    const struct vt_jobs_filter all = { 0 };
    bool ok = vt_jobs_list(jobs, &all, on_job, &known, err), more = true;
    VT_AUTO(vt_query) query = NULL;
    VT_AUTO(vt_plan) plan = NULL;
    VT_AUTO(vt_cursor) cursor = ok ? select_all(archive, &query, &plan, err) : NULL;

    if (known.count > 0)
        qsort(known.uids, known.count, sizeof *known.uids, compare);
    ok = cursor != NULL;
    while (ok && more) {
        struct vt_index_entry entry;
        ok = vt_cursor_select_next(cursor, &entry, &more, err);
        if (!ok || !more || entry.arrived < since ||
            (known.count > 0 &&
             bsearch(entry.sop_uid, known.uids, known.count, sizeof *known.uids, compare)))
            continue;
        struct vt_arrival one = { .at = entry.arrived };
        memcpy(one.study_uid, entry.study_uid, sizeof one.study_uid);
        memcpy(one.sop_uid, entry.sop_uid, sizeof one.sop_uid);
        read_sender(archive, &entry, one.ae_title);
        more = arrival(context, &one);
    }
    free(known.uids);
    return ok;
}
