/* C-FIND on the modality worklist (PS3.4 Annex K): entries that are open, streamed in the order of their start. */
#include <stdio.h>

#include "archive/archive.h"
#include "archive/worklist.h"
#include "core/clock.h"
#include "core/err.h"
#include "scp/session.h"
#include "scp/tell.h"
#include "scp/trail.h"

enum {
    WORKLIST_MATCHES_MAX = 10000,
    WORKLIST_ANSWER_MAX = 1 << 20, /* bytes of one answer */
    WORKLIST_LOOK_EVERY = 16,      /* answers between two looks for a cancel */
};

struct asking {
    struct vt_session *session;
    uint8_t context_id;
    const struct vt_command *command;
    struct vt_answer_rules rules;
    struct vt_query_offending offending;
    struct vt_buf answer;
    uint64_t matches;
    bool cancelled;
};

static bool answer_failure(struct asking *asking, const struct vt_err *why, struct vt_err *err)
{
    uint16_t otherwise = why->code == VT_E_INVALID ? VT_STATUS_DOES_NOT_MATCH : VT_STATUS_OUT_OF_RESOURCES;
    struct vt_command response = vt_command_response(asking->command, vt_session_status(why, otherwise));

    snprintf(response.comment, sizeof response.comment, "%.*s", VT_COMMENT_MAX, why->text);
    for (size_t i = 0; i < asking->offending.count && i < VT_OFFENDING_MAX; i++)
        response.offending[response.offending_count++] = asking->offending.tags[i];
    return vt_assoc_send_command(asking->session->assoc, asking->context_id, &response, err);
}

static bool send_match(struct asking *asking, struct vt_err *err)
{
    struct vt_assoc *assoc = asking->session->assoc;
    struct vt_command response = vt_command_response(asking->command, VT_STATUS_PENDING);

    response.has_data_set = true;
    if (!vt_assoc_queue(assoc, asking->context_id, &response, asking->answer.data, asking->answer.size, err))
        return false;
    if (asking->matches++ % WORKLIST_LOOK_EVERY != 0)
        return true;
    return vt_assoc_flush(assoc, err) &&
           vt_assoc_cancelled(assoc, asking->command->message_id, &asking->cancelled, err);
}

/* false: *why has a failure of ours to answer, or *err one of the association. */
static bool send_matches(struct asking *asking, struct vt_worklist_cursor *cursor, struct vt_err *why,
                         struct vt_err *err)
{
    bool more = true;

    while (!asking->cancelled) {
        vt_buf_reset(&asking->answer);
        if (!vt_worklist_next(cursor, &asking->rules, &asking->answer, &more, why))
            return false;
        if (!more)
            break;
        if (asking->matches >= WORKLIST_MATCHES_MAX)
            return vt_fail_dimse(why, VT_E_LIMIT, VT_STATUS_OUT_OF_RESOURCES, "more than %d matches: narrow the query",
                                 WORKLIST_MATCHES_MAX);
        if (!send_match(asking, err))
            return false;
    }
    return true;
}

static bool run(struct asking *asking, struct vt_err *err)
{
    struct vt_session *session = asking->session;
    const struct vt_query_rules rules = { .strict = session->options->strict_query,
                                          .keep_accents = session->options->keep_accents,
                                          .default_charset = vt_session_charset(session),
                                          .offending = &asking->offending };
    struct vt_err why = { 0 };
    char matches[24];

    VT_AUTO(vt_query)
    query = vt_worklist_parse(session->identifier.data, session->identifier.size, asking->rules.encoding, &rules,
                              &why);
    VT_AUTO(vt_worklist_cursor)
    cursor = query ? vt_worklist_find(session->options->archive, query, &why) : NULL;
    bool ok = cursor && send_matches(asking, cursor, &why, err);
    if (vt_failed(err))
        return false;
    snprintf(matches, sizeof matches, "%llu", (unsigned long long)asking->matches);
    vt_tell(session->options->events, "query.answered", session->calling_ae_title, "host", session->host, "level",
            "WORKLIST", "matches", matches, NULL);
    if (!ok)
        return answer_failure(asking, &why, err);
    return vt_session_answer(session, asking->context_id, asking->command,
                             asking->cancelled ? VT_STATUS_CANCEL : VT_STATUS_SUCCESS, NULL, err);
}

bool vt_serve_worklist(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                       struct vt_err *err)
{
    struct asking asking = {
        .session = session,
        .context_id = context_id,
        .command = command,
        .rules = { .retrieve_ae_title = vt_session_title(session),
                   .peer_charset = session->peer ? session->peer->charset : NULL,
                   .encoding = vt_session_encoding(session, context_id) },
        .answer = { .limit = WORKLIST_ANSWER_MAX },
    };
    bool read;

    if (!vt_session_identifier(session, context_id, command, &read, err) || !read)
        return !vt_failed(err);
    atomic_fetch_add(&session->traffic->queries, 1);
    vt_trail_query(session, context_id);
    bool ok = run(&asking, err);
    vt_buf_fini(&asking.answer);
    return ok;
}
