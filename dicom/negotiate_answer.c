#include "dicom/negotiate.h"

#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/assoc_impl.h"
#include "dicom/request.h"
#include "dicom/wire.h"

/* ---- the association as proposed ---- */

bool vt_negotiate_propose(struct vt_assoc *assoc, const struct vt_assoc_request *request,
                          struct vt_err *err)
{
    size_t syntaxes = 0, used = 0;

    for (size_t i = 0; i < request->context_count; i++)
        syntaxes += request->contexts[i].transfer_syntax_count;
    if (!vt_assoc_make_contexts(assoc, request->context_count, syntaxes, err))
        return false;
    for (size_t i = 0; i < request->context_count; i++) {
        const struct vt_propose *from = &request->contexts[i];
        struct vt_context *to = &assoc->contexts[assoc->context_count++];
        to->id = (uint8_t)(2 * i + 1);
        strncpy(to->abstract_syntax, from->abstract_syntax, VT_UID_MAX);
        to->proposed = assoc->syntax_list + used;
        to->proposed_count = from->transfer_syntax_count;
        to->proposed_role = from->role;
        to->result = VT_CONTEXT_NO_REASON;
        for (size_t k = 0; k < from->transfer_syntax_count; k++)
            strncpy(assoc->syntaxes[used++], from->transfer_syntaxes[k], VT_UID_MAX);
        assoc->context_at[i] = (uint8_t)assoc->context_count;
    }
    return true;
}

/* ---- reading the answer ---- */

static bool lies(const char *what, struct vt_err *err)
{
    return vt_fail(err, VT_E_PROTOCOL, "the %s of the answer lies about a length", what);
}

static bool proposes(const struct vt_context *context, const char *transfer_syntax)
{
    for (size_t i = 0; i < context->proposed_count; i++)
        if (strcmp(context->proposed[i], transfer_syntax) == 0)
            return true;
    return false;
}

static bool read_context(struct vt_assoc *assoc, const struct vt_item *item, struct vt_err *err)
{
    if (item->size < 4)
        return lies("presentation context", err);
    uint8_t id = item->value[0], result = item->value[2];
    struct vt_items items = { item->value + 4, item->size - 4 };
    struct vt_item syntax;
    bool broken;
    char uid[VT_UID_MAX + 1] = "";

    while (vt_items_next(&items, &syntax, &broken))
        if (syntax.type == VT_ITEM_TRANSFER_SYNTAX)
            vt_item_uid(syntax.value, syntax.size, uid);
    if (broken)
        return lies("presentation context", err);
    size_t at = id % 2 ? assoc->context_at[id / 2] : 0;
    if (at == 0)
        return vt_fail(err, VT_E_PROTOCOL,
                       "the answer names presentation context %u, which was not proposed", id);
    struct vt_context *context = &assoc->contexts[at - 1];
    if (result != VT_CONTEXT_ACCEPTED) {
        context->result = result <= VT_CONTEXT_TRANSFER_SYNTAXES ? (enum vt_context_result)result
                                                                 : VT_CONTEXT_NO_REASON;
    } else if (proposes(context, uid)) { /* accepted with a syntax nobody proposed is of no use */
        context->result = VT_CONTEXT_ACCEPTED;
        memcpy(context->transfer_syntax, uid, sizeof uid);
    }
    return true;
}

/* The UID in front of roles and extended answers; out_rest is what follows it. */
static bool read_class(const struct vt_item *item, char *out_uid, struct vt_items *out_rest)
{
    size_t length = item->size >= 2 ? vt_be16(item->value) : 0;

    if (item->size < 2 || length > item->size - 2)
        return false;
    vt_item_uid(item->value + 2, length, out_uid);
    *out_rest = (struct vt_items){ item->value + 2 + length, item->size - 2 - length };
    return true;
}

static enum vt_role role_of(bool scu, bool scp)
{
    if (scu)
        return scp ? VT_ROLE_SCU_SCP : VT_ROLE_SCU;
    return scp ? VT_ROLE_SCP : VT_ROLE_DEFAULT;
}

static bool read_role(struct vt_assoc *assoc, const struct vt_item *item, struct vt_err *err)
{
    char uid[VT_UID_MAX + 1];
    struct vt_items rest;

    if (!read_class(item, uid, &rest) || rest.size != 2)
        return lies("role selection", err);
    for (size_t i = 0; i < assoc->context_count; i++) {
        struct vt_context *context = &assoc->contexts[i];
        if (context->proposed_role != VT_ROLE_DEFAULT && strcmp(context->abstract_syntax, uid) == 0)
            context->accepted_role = role_of(rest.bytes[0] != 0, rest.bytes[1] != 0);
    }
    return true;
}

static bool read_extended(struct vt_assoc *assoc, const struct vt_item *item, struct vt_err *err)
{
    char uid[VT_UID_MAX + 1];
    struct vt_items rest;

    if (!read_class(item, uid, &rest))
        return lies("extended negotiation", err);
    return vt_assoc_add_extended(assoc, uid, rest.bytes, rest.size, err);
}

static bool read_user_item(struct vt_assoc *assoc, const struct vt_item *item, struct vt_err *err)
{
    size_t version = sizeof assoc->info.implementation_version - 1;

    switch (item->type) {
    case VT_ITEM_MAX_LENGTH:
        if (item->size != 4)
            return lies("maximum length", err);
        assoc->info.max_pdu = vt_be32(item->value);
        return true;
    case VT_ITEM_IMPLEMENTATION_UID:
        vt_item_uid(item->value, item->size, assoc->info.implementation_uid);
        return true;
    case VT_ITEM_IMPLEMENTATION_VERSION:
        if (item->size < version)
            version = item->size;
        memcpy(assoc->info.implementation_version, item->value, version);
        return true;
    case VT_ITEM_ROLE:
        return read_role(assoc, item, err);
    case VT_ITEM_EXTENDED:
        return read_extended(assoc, item, err);
    default:
        return true;
    }
}

static bool read_user(struct vt_assoc *assoc, const struct vt_item *user, struct vt_err *err)
{
    struct vt_items items = { user->value, user->size };
    struct vt_item item;
    bool broken;

    while (vt_items_next(&items, &item, &broken))
        if (!read_user_item(assoc, &item, err))
            return false;
    return !broken || lies("user information", err);
}

bool vt_negotiate_answer(struct vt_assoc *assoc, const uint8_t *bytes, size_t size,
                         struct vt_err *err)
{
    if (size < VT_REQUEST_FIXED)
        return vt_fail(err, VT_E_PROTOCOL, "an association answer of %zu bytes", size);
    struct vt_items items = { bytes + VT_REQUEST_FIXED, size - VT_REQUEST_FIXED };
    struct vt_item item;
    bool broken, ok = true;

    while (ok && vt_items_next(&items, &item, &broken)) {
        if (item.type == VT_ITEM_CONTEXT_AC)
            ok = read_context(assoc, &item, err);
        else if (item.type == VT_ITEM_USER)
            ok = read_user(assoc, &item, err);
    }
    return ok && (!broken || lies("association answer", err));
}

/* ---- rejection (PS3.8 9.3.4) ---- */

const char *vt_negotiate_reject_reason(uint8_t source, uint8_t reason)
{
    static const struct {
        uint8_t source, reason;
        const char *text;
    } reasons[] = {
        { 1, 1, "no reason given" },
        { 1, 2, "application context not supported" },
        { 1, 3, "calling AE title not recognized" },
        { 1, 7, "called AE title not recognized" },
        { 2, 1, "no reason given" },
        { 2, 2, "protocol version not supported" },
        { 3, 1, "temporary congestion" },
        { 3, 2, "local limit exceeded" },
    };

    for (size_t i = 0; i < VT_COUNT(reasons); i++)
        if (reasons[i].source == source && reasons[i].reason == reason)
            return reasons[i].text;
    return "unknown reason";
}
