/* C-FIND (PS3.4 C.4.1): identifier -> query -> plan -> rows of the index -> pending answers,
 * streamed from a read snapshot.
 *
 * The first match goes out at once; then answers fill the association's buffer and leave when it
 * is full, or at each look for a C-CANCEL, which comes after so many answers or so much time. */
#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/volume.h"
#include "core/clock.h"
#include "core/err.h"
#include "scp/elsewhere.h"
#include "scp/seen.h"
#include "scp/session.h"
#include "scp/tell.h"
#include "scp/trail.h"

enum {
    FIND_MATCHES_MAX = 50000,  /* query.max_matches */
    FIND_ANSWER_MAX = 1 << 20, /* bytes of one answer */
    FIND_LOOK_EVERY = 64,      /* answers */
    FIND_LOOK_MS = 100,
};

struct find {
    struct vt_session *session;
    uint8_t context_id;
    const struct vt_command *command;
    struct vt_query *query;
    struct vt_plan *plan;
    struct vt_cursor *cursor;
    struct vt_answer_rules rules;
    struct vt_query_offending offending; /* elements of a request that was refused */
    struct vt_buf answer;
    uint64_t matches, max_matches;
    int64_t looked; /* for a cancel, monotonic */
    bool availability; /* is asked for */
    struct vt_seen seen; /* where others are asked as well */
    bool cancelled;
};

static void find_fini(struct find *find)
{
    vt_cursor_free(find->cursor);
    vt_plan_free(find->plan);
    vt_query_free(find->query);
    vt_buf_fini(&find->answer);
    vt_seen_fini(&find->seen);
}

static bool answer_failure(struct find *find, const struct vt_err *why, struct vt_err *err)
{
    uint16_t otherwise =
        why->code == VT_E_INVALID ? VT_STATUS_DOES_NOT_MATCH : VT_STATUS_OUT_OF_RESOURCES;
    struct vt_command response =
        vt_command_response(find->command, vt_session_status(why, otherwise));

    snprintf(response.comment, sizeof response.comment, "%.*s", VT_COMMENT_MAX, why->text);
    for (size_t i = 0; i < find->offending.count && i < VT_OFFENDING_MAX; i++)
        response.offending[response.offending_count++] = find->offending.tags[i];
    return vt_assoc_send_command(find->session->assoc, find->context_id, &response, err);
}

/* false: *why has the status to answer. */
static bool open_cursor(struct find *find, struct vt_err *why)
{
    struct vt_session *session = find->session;
    const struct vt_server_options *options = session->options;
    const struct vt_context *context = vt_assoc_context(session->assoc, find->context_id);
    struct vt_query_rules rules = {
        .model = vt_sop_class_find(context->abstract_syntax)->model,
        .relational = vt_session_extended(session, find->context_id, VT_EXTENDED_RELATIONAL),
        .combined_date_time = vt_session_extended(session, find->context_id, VT_EXTENDED_COMBINED),
        .fuzzy = vt_session_extended(session, find->context_id, VT_EXTENDED_FUZZY),
        .strict = options->strict_query,
        .match_unknown = options->match_unknown,
        .keep_accents = options->keep_accents,
        .default_charset = vt_session_charset(session),
        .offending = &find->offending,
    };

    find->query = vt_query_parse(session->identifier.data, session->identifier.size,
                                 find->rules.encoding, &rules, why);
    if (find->query)
        find->seen.level = vt_query_level(find->query);
    if (find->query)
        find->plan = vt_plan_make(find->query, why);
    if (find->plan)
        find->cursor = vt_index_find(vt_archive_index(options->archive), find->plan, why);
    find->availability =
        find->plan && vt_plan_wants(find->plan, VT_TAG_INSTANCE_AVAILABILITY);
    return find->cursor != NULL;
}

static bool send_match(struct find *find, const struct vt_row *row, struct vt_err *why,
                       struct vt_err *err)
{
    struct vt_command response = vt_command_response(
        find->command,
        vt_query_has_unsupported(find->query) ? VT_STATUS_PENDING_WARNING : VT_STATUS_PENDING);

    vt_buf_reset(&find->answer);
    if (!vt_answer_write(find->query, row, &find->rules, &find->answer, why))
        return false;
    bool new;
    if (find->session->options->elsewhere.always &&
        !vt_seen_add(&find->seen, find->answer.data, find->answer.size, find->rules.encoding, &new,
                     why))
        return false;
    response.has_data_set = true;
    if (!vt_assoc_queue(find->session->assoc, find->context_id, &response, find->answer.data,
                        find->answer.size, err))
        return false;
    return find->matches++ > 0 || vt_assoc_flush(find->session->assoc, err);
}

static bool look_for_cancel(struct find *find, struct vt_err *err)
{
    int64_t now = vt_clock_mono();

    if (find->matches % FIND_LOOK_EVERY != 0 && now - find->looked < FIND_LOOK_MS * VT_NS_PER_MS)
        return true;
    find->looked = now;
    return vt_assoc_flush(find->session->assoc, err) &&
           vt_assoc_cancelled(find->session->assoc, find->command->message_id, &find->cancelled,
                              err);
}

/* false: *why has a failure of ours to answer, or *err one of the association. */
static bool send_matches(struct find *find, struct vt_err *why, struct vt_err *err)
{
    for (;;) {
        struct vt_row row;
        bool more;

        if (!vt_cursor_next(find->cursor, &row, &more, why))
            return false;
        if (!more)
            return true;
        if (find->matches >= find->max_matches)
            return vt_fail_dimse(why, VT_E_LIMIT, VT_STATUS_OUT_OF_RESOURCES,
                                 "more than %llu matches: narrow the query",
                                 (unsigned long long)find->max_matches);
        if (find->availability &&
            !vt_volume_availability(find->session->options->archive, &row, why))
            return false;
        if (!send_match(find, &row, why, err) || !look_for_cancel(find, err))
            return false;
        if (find->cancelled)
            return true;
    }
}

static void tell_answered(const struct find *find, uint16_t status)
{
    char matches[24], code[8];

    snprintf(matches, sizeof matches, "%llu", (unsigned long long)find->matches);
    snprintf(code, sizeof code, "%04X", status);
    vt_tell(find->session->options->events, "query.answered", find->session->calling_ae_title,
            "host", find->session->host, "level",
            find->query ? vt_level_name(vt_query_level(find->query)) : "", "matches", matches,
            "status", code, NULL);
}

static bool is_for_others(const struct find *find)
{
    const struct vt_elsewhere *elsewhere = &find->session->options->elsewhere;

    return elsewhere->find && (find->matches == 0 || elsewhere->always);
}

static bool run(struct find *find, struct vt_err *err)
{
    struct vt_err why = { 0 };

    if (open_cursor(find, &why) && send_matches(find, &why, err)) {
        if (is_for_others(find) && !find->cancelled &&
            !vt_elsewhere_find(find->session, find->context_id, find->command, find->max_matches,
                               &find->seen, &find->matches, err))
            return false;
        uint16_t status = find->cancelled ? VT_STATUS_CANCEL : VT_STATUS_SUCCESS;
        tell_answered(find, status);
        return vt_session_answer(find->session, find->context_id, find->command, status, NULL, err);
    }
    if (vt_failed(err))
        return false;
    tell_answered(find, vt_session_status(&why, VT_STATUS_OUT_OF_RESOURCES));
    return answer_failure(find, &why, err);
}

bool vt_serve_find(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err)
{
    const struct vt_server_options *options = session->options;
    struct find find = {
        .session = session,
        .context_id = context_id,
        .command = command,
        .rules = { .retrieve_ae_title = vt_session_title(session),
                   .peer_charset = session->peer ? session->peer->charset : NULL,
                   .encoding = vt_session_encoding(session, context_id) },
        .answer = { .limit = FIND_ANSWER_MAX },
        .max_matches = options->max_matches ? options->max_matches : FIND_MATCHES_MAX,
        .looked = vt_clock_mono(),
    };
    bool read;

    if (!vt_session_identifier(session, context_id, command, &read, err) || !read)
        return !vt_failed(err);
    atomic_fetch_add(&session->traffic->queries, 1);
    vt_trail_query(session, context_id);
    bool ok = run(&find, err);
    find_fini(&find);
    return ok;
}
