#include "scp/negotiate.h"

#include <string.h>
#include <strings.h>

/* ---- the association ---- */

const struct vt_rejection vt_rejection_calling = { 1, 1, 3, "calling-aet" };

static bool same_title(const struct vt_server_options *options, const char *a, const char *b)
{
    return options->title_nocase ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static bool is_our_title(const struct vt_server_options *options, const char *called)
{
    if (options->any_called_title || same_title(options, options->ae_title, called))
        return true;
    for (size_t i = 0; options->more_titles && options->more_titles[i]; i++)
        if (same_title(options, options->more_titles[i], called))
            return true;
    return false;
}

enum vt_admit vt_negotiate_admission(const struct vt_server_options *options,
                                     const struct vt_admission *admission, struct vt_rejection *out)
{
    static const struct vt_rejection stopping = { 2, 3, 1, "stopping" },
                                     called = { 1, 1, 7, "called-aet" },
                                     total = { 2, 3, 2, "limit" }, peer = { 2, 3, 2, "peer-limit" };
    unsigned max = options->max_associations ? options->max_associations : VT_SERVER_ASSOCIATIONS;

    if (admission->stopping)
        *out = stopping;
    else if (!is_our_title(options, admission->called))
        *out = called;
    else if (options->refuse_unknown_peers && !admission->known)
        *out = vt_rejection_calling;
    else if (admission->total < max && admission->from_peer < admission->per_peer_max)
        return VT_ADMIT;
    else if (admission->only_verification && admission->spare_free)
        return VT_ADMIT_SPARE;
    else
        *out = admission->total < max ? peer : total;
    return VT_ADMIT_REJECT;
}

/* ---- transfer syntaxes ---- */

bool vt_negotiate_syntax(const struct vt_negotiation *rules, const char *uid, struct vt_syntax *out)
{
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(uid);

    if (known) {
        *out = (struct vt_syntax){ known->encoding, known->encapsulated, known->lossless };
        return true;
    }
    for (size_t i = 0; i < rules->private_syntax_count; i++)
        if (strcmp(rules->private_syntaxes[i].uid, uid) == 0) {
            *out = (struct vt_syntax){ rules->private_syntaxes[i].encoding,
                                       rules->private_syntaxes[i].encapsulated, true };
            return true;
        }
    return false;
}

enum want { WANT_ANY, WANT_LOSSLESS, WANT_UNCOMPRESSED };

static const char *first_syntax(const struct vt_context *context,
                                const struct vt_negotiation *rules, enum want want)
{
    for (size_t i = 0; i < context->proposed_count; i++) {
        struct vt_syntax syntax;
        if (!vt_negotiate_syntax(rules, context->proposed[i], &syntax) ||
            (want == WANT_LOSSLESS && !syntax.lossless) ||
            (want == WANT_UNCOMPRESSED && syntax.encapsulated))
            continue;
        return context->proposed[i];
    }
    return NULL;
}

/* The proposer's first syntax that we know, so that nothing is converted on the way in. When that
 * one loses, a lossless one of the same context is taken instead, since the sender would make the
 * lossy form for us; but a slide is JPEG already, and would come decompressed, tens of times as
 * large. Where the peer only receives (C-GET), its order is its wish. */
static const char *storage_syntax(const struct vt_context *context,
                                  const struct vt_negotiation *rules, enum vt_role role)
{
    const char *first = first_syntax(context, rules, WANT_ANY), *better = NULL;
    struct vt_syntax syntax;

    if (!first)
        return NULL;
    vt_negotiate_syntax(rules, first, &syntax);
    if (rules->prefer == VT_PREFER_UNCOMPRESSED)
        better = first_syntax(context, rules, WANT_UNCOMPRESSED);
    else if (rules->prefer == VT_PREFER_LOSSLESS)
        better = first_syntax(context, rules, WANT_LOSSLESS);
    else if (!syntax.lossless && role != VT_ROLE_SCP &&
             strcmp(context->abstract_syntax, VT_UID_WHOLE_SLIDE) != 0)
        better = first_syntax(context, rules, WANT_LOSSLESS);
    return better ? better : first;
}

static const char *plain_syntax(const struct vt_context *context)
{
    static const char *const ours[] = { VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE };

    for (size_t k = 0; k < VT_COUNT(ours); k++)
        for (size_t i = 0; i < context->proposed_count; i++)
            if (strcmp(context->proposed[i], ours[k]) == 0)
                return context->proposed[i];
    return NULL;
}

/* ---- roles (PS3.7 D.3.3.4): what was proposed may be confirmed or turned down, nothing is added
 * ---- */

static bool storage_role(enum vt_role proposed, unsigned allow, enum vt_role *out)
{
    bool store = (allow & VT_ALLOW_STORE) != 0, get = (allow & VT_ALLOW_GET) != 0;

    switch (proposed) {
    case VT_ROLE_SCP:
        *out = VT_ROLE_SCP;
        return get;
    case VT_ROLE_SCU_SCP:
        *out = store && get ? VT_ROLE_SCU_SCP : get ? VT_ROLE_SCP : VT_ROLE_SCU;
        return store || get;
    case VT_ROLE_DEFAULT:
    case VT_ROLE_SCU:
        break;
    }
    *out = proposed;
    return store;
}

static bool service_role(enum vt_sop_kind kind, enum vt_role proposed, enum vt_role *out)
{
    /* As SCU it asks us to commit, as SCP it reports on what we asked of it. */
    if (kind == VT_SOP_COMMITMENT) {
        *out = proposed;
        return true;
    }
    *out = proposed == VT_ROLE_SCU_SCP ? VT_ROLE_SCU : proposed;
    return proposed != VT_ROLE_SCP;
}

/* ---- the context ---- */

static const unsigned allow_of_kind[] = {
    [VT_SOP_VERIFICATION] = VT_ALLOW_ECHO,
    [VT_SOP_FIND] = VT_ALLOW_FIND,
    [VT_SOP_MOVE] = VT_ALLOW_MOVE,
    [VT_SOP_GET] = VT_ALLOW_GET,
    [VT_SOP_OTHER] = 0,
    [VT_SOP_COMMITMENT] = VT_ALLOW_COMMIT,
    [VT_SOP_WORKLIST] = VT_ALLOW_WORKLIST,
    [VT_SOP_MPPS] = VT_ALLOW_MPPS,
};

enum vt_sop_kind vt_negotiate_kind(const char *sop_class)
{
    const struct vt_sop_class *known = vt_sop_class_find(sop_class);

    return !known || known->kind == VT_SOP_UNKNOWN ? VT_SOP_STORAGE : known->kind;
}

static bool is_offered(const char *sop_class, const struct vt_negotiation *rules)
{
    const struct vt_sop_class *known = vt_sop_class_find(sop_class);

    if (!known || known->kind == VT_SOP_UNKNOWN)
        return rules->unknown_storage;
    if (known->kind == VT_SOP_COMMITMENT)
        return rules->commitment;
    return known->kind != VT_SOP_OTHER &&
           (known->model != VT_MODEL_NONE || known->kind == VT_SOP_VERIFICATION ||
            known->kind == VT_SOP_STORAGE || known->kind == VT_SOP_WORKLIST ||
            known->kind == VT_SOP_MPPS);
}

static struct vt_context_answer refused(enum vt_context_result result)
{
    return (struct vt_context_answer){ .result = result };
}

struct vt_context_answer vt_negotiate_context(const struct vt_context *context,
                                              const struct vt_negotiation *rules)
{
    enum vt_sop_kind kind = vt_negotiate_kind(context->abstract_syntax);
    struct vt_context_answer answer = { .result = VT_CONTEXT_ACCEPTED };

    if (!is_offered(context->abstract_syntax, rules))
        return refused(VT_CONTEXT_ABSTRACT_SYNTAX);
    bool allowed = kind == VT_SOP_STORAGE
                       ? storage_role(context->proposed_role, rules->allow, &answer.role)
                       : (rules->allow & allow_of_kind[kind]) != 0 &&
                             service_role(kind, context->proposed_role, &answer.role);
    if (!allowed)
        return refused(VT_CONTEXT_USER_REJECTION);
    answer.transfer_syntax = kind == VT_SOP_STORAGE ? storage_syntax(context, rules, answer.role)
                                                    : plain_syntax(context);
    return answer.transfer_syntax ? answer : refused(VT_CONTEXT_TRANSFER_SYNTAXES);
}

/* ---- extended negotiation ---- */

size_t vt_negotiate_extended(enum vt_sop_kind kind, const struct vt_negotiation *rules,
                             const uint8_t *offer, size_t size, uint8_t out[static VT_EXTENDED_MAX])
{
    /* Relational queries and combined date-time matching; neither timezone adjustment nor
     * multi-frame conversion. */
    static const uint8_t find[VT_EXTENDED_MAX] = { 1, 1 }, retrieve[VT_EXTENDED_MAX] = { 1 };
    size_t answered = size < VT_EXTENDED_MAX ? size : VT_EXTENDED_MAX;

    if (kind == VT_SOP_STORAGE) {
        /* PS3.4 B.3.1: level 2, every attribute kept; no signature support beyond that; nothing
         * coerced. Fixed length. */
        static const uint8_t storage[6] = { 2, 0, 0, 0, 0, 0 };
        memcpy(out, storage, sizeof storage);
        return size > 0 ? sizeof storage : 0;
    }
    if (kind != VT_SOP_FIND && kind != VT_SOP_MOVE && kind != VT_SOP_GET)
        return 0;
    const uint8_t *ours = kind == VT_SOP_FIND ? find : retrieve;
    for (size_t i = 0; i < answered; i++)
        out[i] = offer[i] == 1 && ours[i];
    if (kind == VT_SOP_FIND && answered > VT_EXTENDED_FUZZY)
        out[VT_EXTENDED_FUZZY] = offer[VT_EXTENDED_FUZZY] == 1 && rules->fuzzy;
    return answered;
}
