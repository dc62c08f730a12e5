#include "console/instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

void vt_instances_fini(struct vt_instances *instances)
{
    free(instances->uids);
    *instances = (struct vt_instances){ 0 };
}

static bool add(struct vt_instances *instances, const char *uid, struct vt_err *err)
{
    if (instances->count == VT_INSTANCES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d instances: ask for its series", VT_INSTANCES_MAX);
    if (instances->count == instances->room) {
        size_t room = instances->room ? instances->room * 2 : 64;
        void *grown = reallocarray(instances->uids, room, sizeof *instances->uids);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of instances");
        instances->uids = grown;
        instances->room = room;
    }
    snprintf(instances->uids[instances->count++], VT_UID_MAX + 1, "%s", uid);
    return true;
}

static struct vt_query *ask(const struct vt_request *request, unsigned levels, struct vt_err *err)
{
    static const char *const keys[] = { "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID" };
    const struct vt_console *console = vt_request_context(request);
    struct vt_query_rules rules = console->options.rules;
    char text[VT_COUNT(keys)][VT_UID_MAX + 32];
    const char *words[VT_COUNT(keys)];

    for (unsigned i = 0; i < levels; i++) {
        if (!vt_uid_usable(vt_request_part(request, i))) {
            vt_fail(err, VT_E_INVALID, "'%.80s' is not a UID", vt_request_part(request, i));
            return NULL;
        }
        snprintf(text[i], sizeof text[i], "%s=%s", keys[i], vt_request_part(request, i));
        words[i] = text[i];
    }
    rules.model = VT_MODEL_NONE;
    rules.relational = true;
    rules.max_matches = 0;
    enum vt_level level = levels == 1 ? VT_LEVEL_STUDY : levels == 2 ? VT_LEVEL_SERIES : VT_LEVEL_IMAGE;
    return vt_query_from_words(level, words, levels, &rules, err);
}

static bool collect(struct vt_cursor *cursor, struct vt_instances *out, struct vt_err *err)
{
    struct vt_index_entry entry;
    bool more = false;

    while (vt_cursor_select_next(cursor, &entry, &more, err)) {
        if (!more)
            return true;
        if (!add(out, entry.sop_uid, err))
            return false;
    }
    return false;
}

/* A cursor looks at its plan, and a plan at its query, until it ends. */
bool vt_instances_select(const struct vt_request *request, unsigned levels, struct vt_instances *out,
                         struct vt_err *err)
{
    const struct vt_console *console = vt_request_context(request);
    VT_AUTO(vt_query) query = ask(request, levels, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor)
    cursor = plan ? vt_index_select(vt_archive_index(console->options.archive), plan, err) : NULL;

    *out = (struct vt_instances){ 0 };
    if (cursor && collect(cursor, out, err) &&
        (out->count > 0 || vt_fail(err, VT_E_NOTFOUND, "There is no such %s.",
                                   levels == 1   ? "study"
                                   : levels == 2 ? "series"
                                                 : "instance")))
        return true;
    vt_instances_fini(out);
    return false;
}

bool vt_instances_open_stored(const struct vt_console *console, const char *sop_uid, struct vt_stored *out,
                              struct vt_err *err)
{
    struct vt_archive *archive = console->options.archive;
    struct vt_index_entry entry;
    bool found = false;

    if (!vt_index_lookup(vt_archive_index(archive), sop_uid, &entry, &found, err))
        return false;
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND, "There is no such instance.");
    if (!vt_archive_open_instance(archive, &entry, out, err))
        return false;
    vt_archive_accessed(archive, &out->entry);
    return true;
}

bool vt_instances_open(const struct vt_console *console, const char *sop_uid, struct vt_stored *out,
                       struct vt_err *err)
{
    if (!vt_instances_open_stored(console, sop_uid, out, err))
        return false;
    if (!out->corrected || vt_archive_outgoing(console->options.archive, out, err))
        return true;
    vt_stored_close(out);
    return false;
}

bool vt_instances_open_header(const struct vt_console *console, const char *sop_uid, struct vt_stored *out,
                              struct vt_err *err)
{
    if (!vt_instances_open_stored(console, sop_uid, out, err))
        return false;
    if (vt_archive_outgoing_header(console->options.archive, out, err))
        return true;
    vt_stored_close(out);
    return false;
}
