#include "scp/elsewhere.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "scp/retrieve.h"
#include "scp/seen.h"
#include "scp/session.h"
#include "scp/tell.h"

enum { IDENTIFIER_MAX = 2 << 20, WAIT_STEP_MS = 200 };

/* Element by element from one encoding to another; our title in place of the one they retrieve
 * from. */
static bool reencode(const uint8_t *bytes, size_t size, enum vt_encoding from, enum vt_encoding to,
                     const char *retrieve_from, struct vt_buf *out, struct vt_err *err)
{
    struct vt_writer writer = { .buf = out, .encoding = to };
    struct vt_walk walk;
    struct vt_element element;
    bool more;

    vt_buf_reset(out);
    vt_walk_init(&walk, bytes, size, from);
    while (vt_walk_next(&walk, &element, &more, err) && more) {
        bool ours = retrieve_from && element.tag == VT_TAG_RETRIEVE_AE_TITLE;
        if (ours ? !vt_write_text(&writer, element.tag, "AE", retrieve_from, err)
                 : !vt_write_element(&writer, &element, from, err))
            return false;
    }
    return !vt_failed(err);
}

/* ---- C-FIND ---- */

struct relay {
    struct vt_session *session;
    uint8_t context_id;
    const struct vt_command *command;
    uint64_t matches, max_matches;
    struct vt_seen *seen;
    struct vt_buf answer;
    bool gone; /* the association, with why */
    struct vt_err why;
};

static bool on_match(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct relay *relay = context;
    struct vt_session *session = relay->session;
    struct vt_command response = vt_command_response(
        relay->command, status == VT_STATUS_PENDING_WARNING ? status : VT_STATUS_PENDING);
    bool cancelled = false, new = true;

    if (!vt_seen_add(relay->seen, identifier, size, VT_EXPLICIT_LE, &new, err))
        return false;
    if (!new)
        return true;
    if (relay->matches >= relay->max_matches)
        return vt_fail(err, VT_E_LIMIT, "more matches than query.max_matches");
    if (!reencode(identifier, size, VT_EXPLICIT_LE, vt_session_encoding(session, relay->context_id),
                  vt_session_title(session), &relay->answer, err))
        return false;
    response.has_data_set = true;
    relay->gone =
        !vt_assoc_send(session->assoc, relay->context_id, &response, relay->answer.data,
                       relay->answer.size, &relay->why) ||
        !vt_assoc_cancelled(session->assoc, relay->command->message_id, &cancelled, &relay->why);
    relay->matches += !relay->gone;
    return !relay->gone && (!cancelled || vt_fail(err, VT_E_CANCELLED, "cancelled"));
}

bool vt_elsewhere_find(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *command, uint64_t max_matches,
                       struct vt_seen *seen, uint64_t *in_out_matches, struct vt_err *err)
{
    const struct vt_elsewhere *elsewhere = &session->options->elsewhere;
    const struct vt_context *context = vt_assoc_context(session->assoc, context_id);
    struct relay relay = { .session = session,
                           .context_id = context_id,
                           .command = command,
                           .matches = *in_out_matches,
                           .max_matches = max_matches,
                           .seen = seen,
                           .answer = { .limit = IDENTIFIER_MAX } };
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    struct vt_err why = { 0 };

    bool ok = reencode(session->identifier.data, session->identifier.size,
                       vt_session_encoding(session, context_id), VT_EXPLICIT_LE, NULL, &identifier,
                       &why) &&
              elsewhere->find(elsewhere->context, session->calling_ae_title, *in_out_matches > 0,
                              vt_sop_class_find(context->abstract_syntax)->model, identifier.data,
                              identifier.size, on_match, &relay, &why);
    vt_buf_fini(&relay.answer);
    *in_out_matches = relay.matches;
    if (relay.gone)
        *err = relay.why;
    else if (!ok && why.code != VT_E_CANCELLED)
        vt_tell(session->options->events, "query.elsewhere", session->calling_ae_title, "text",
                why.text, NULL);
    return !relay.gone;
}

/* ---- C-MOVE, C-GET ---- */

/* The studies that the identifier names, cut at backslashes. */
static size_t read_studies(struct vt_retrieval *retrieval,
                           char out[static VT_ELSEWHERE_STUDIES][VT_UID_MAX + 1])
{
    struct vt_session *session = retrieval->session;
    char list[VT_ELSEWHERE_STUDIES * (VT_UID_MAX + 2)], *rest = NULL;
    struct vt_element element;
    size_t count = 0;

    if (!vt_element_find(session->identifier.data, session->identifier.size,
                         vt_session_encoding(session, retrieval->context_id),
                         VT_TAG_STUDY_INSTANCE_UID, &element))
        return 0;
    vt_element_text(&element, list, sizeof list);
    for (char *uid = strtok_r(list, "\\", &rest); uid && count < VT_ELSEWHERE_STUDIES;
         uid = strtok_r(NULL, "\\", &rest))
        if (vt_uid_usable(uid))
            snprintf(out[count++], VT_UID_MAX + 1, "%s", uid);
    return count;
}

/* Until the job has ended; the requestor sees that we are at it. */
static bool wait_for(struct vt_retrieval *retrieval, int64_t job, struct vt_err *err)
{
    const struct vt_elsewhere *elsewhere = &retrieval->session->options->elsewhere;
    int64_t deadline = vt_clock_mono() + VT_ELSEWHERE_WAIT_S * VT_NS_PER_S;
    const struct vt_tally nothing = { .total = 0 };
    bool cancelled = false;

    while (
        !elsewhere->wait(elsewhere->context, job, vt_clock_mono() + WAIT_STEP_MS * VT_NS_PER_MS)) {
        if (vt_clock_mono() > deadline || cancelled || atomic_load(retrieval->session->stopping))
            return true;
        if (!vt_retrieval_pending(retrieval, &nothing, err) ||
            !vt_assoc_cancelled(retrieval->session->assoc, retrieval->command->message_id,
                                &cancelled, err))
            return false;
    }
    return true;
}

bool vt_elsewhere_fetch(struct vt_retrieval *retrieval, bool *out_fetched, struct vt_err *err)
{
    struct vt_session *session = retrieval->session;
    const struct vt_elsewhere *elsewhere = &session->options->elsewhere;
    char studies[VT_ELSEWHERE_STUDIES][VT_UID_MAX + 1];
    int64_t jobs[VT_ELSEWHERE_STUDIES];
    size_t count = read_studies(retrieval, studies), started = 0;

    *out_fetched = false;
    for (size_t i = 0; i < count; i++) {
        struct vt_err why = { 0 };
        if (elsewhere->fetch(elsewhere->context, session->calling_ae_title, studies[i],
                             &jobs[started], &why))
            started++;
        else if (why.code != VT_E_NOTFOUND)
            vt_tell(session->options->events, "retrieve.elsewhere", session->calling_ae_title,
                    "study", studies[i], "text", why.text, NULL);
    }
    for (size_t i = 0; i < started; i++)
        if (!wait_for(retrieval, jobs[i], err))
            return false;
    *out_fetched = started > 0;
    return true;
}
