/* The acceptor's half of negotiation, by DCMTK: out of memory, in the association's thread. What it
 * learns is copied into our own record; once the A-ASSOCIATE-AC is out, DCMTK's association is
 * dropped. */
#include <cstring>
#include <memory>

#include "dicom/transport.hh"

#include <dcmtk/dcmnet/dcuserid.h>
#include <dcmtk/dcmnet/dul.h>
#include <dcmtk/dcmnet/extneg.h>
#include <dcmtk/dcmnet/lst.h>

#include "core/err.h"
/* C++ would have a struct and a function not share their name. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "dicom/assoc_impl.h"
#pragma GCC diagnostic pop
#include "dicom/guard.hh"
#include "dicom/incoming.h"
#include "dicom/request.h"
#include "dicom/wire.h"

namespace
{

constexpr uint32_t least_max_pdu = 128; /* a peer that takes less cannot be served */

T_ASC_Association *negotiation(const struct vt_assoc *assoc)
{
    return static_cast<T_ASC_Association *>(assoc->negotiation);
}

DUL_ASSOCIATESERVICEPARAMETERS &parameters(const struct vt_assoc *assoc)
{
    return negotiation(assoc)->params->DULparams;
}

/* ---- copying what was asked for ---- */

/* DUL_PRESENTATIONCONTEXT, DUL_TRANSFERSYNTAX: nodes of DCMTK's own lists, which remember a
 * position. */
template <typename Node, typename Visit> void each(LST_HEAD *list, Visit &&visit)
{
    if (!list)
        return;
    auto *node = reinterpret_cast<Node *>(LST_Head(&list));
    LST_Position(&list, reinterpret_cast<LST_NODE *>(node));
    for (; node; node = reinterpret_cast<Node *>(LST_Next(&list)))
        visit(*node);
}

enum vt_role role_of(DUL_SC_ROLE role)
{
    switch (role) {
    case DUL_SC_ROLE_SCU:
        return VT_ROLE_SCU;
    case DUL_SC_ROLE_SCP:
        return VT_ROLE_SCP;
    case DUL_SC_ROLE_SCUSCP:
        return VT_ROLE_SCU_SCP;
    default:
        return VT_ROLE_DEFAULT;
    }
}

T_ASC_SC_ROLE asc_role(enum vt_role role)
{
    switch (role) {
    case VT_ROLE_SCU:
        return ASC_SC_ROLE_SCU;
    case VT_ROLE_SCP:
        return ASC_SC_ROLE_SCP;
    case VT_ROLE_SCU_SCP:
        return ASC_SC_ROLE_SCUSCP;
    default:
        return ASC_SC_ROLE_DEFAULT;
    }
}

void copy_uid(char *out, const char *text)
{
    vt_item_uid(reinterpret_cast<const uint8_t *>(text), strnlen(text, VT_UID_MAX), out);
}

bool copy_contexts(struct vt_assoc *assoc, struct vt_err *err)
{
    LST_HEAD *asked = parameters(assoc).requestedPresentationContext;
    size_t contexts = 0, syntaxes = 0;

    each<DUL_PRESENTATIONCONTEXT>(asked, [&](const DUL_PRESENTATIONCONTEXT &context) {
        contexts++;
        each<DUL_TRANSFERSYNTAX>(context.proposedTransferSyntax,
                                 [&](const DUL_TRANSFERSYNTAX &) { syntaxes++; });
    });
    if (contexts == 0 || contexts > VT_CONTEXTS_MAX)
        return vt_fail(err, VT_E_PROTOCOL, "%zu presentation contexts", contexts);
    if (!vt_assoc_make_contexts(assoc, contexts, syntaxes, err))
        return false;

    size_t used = 0;
    each<DUL_PRESENTATIONCONTEXT>(asked, [&](const DUL_PRESENTATIONCONTEXT &from) {
        struct vt_context &to = assoc->contexts[assoc->context_count++];
        to.id = from.presentationContextID;
        copy_uid(to.abstract_syntax, from.abstractSyntax);
        to.proposed = assoc->syntax_list + used;
        to.proposed_role = role_of(from.proposedSCRole);
        to.result = VT_CONTEXT_NO_REASON;
        each<DUL_TRANSFERSYNTAX>(from.proposedTransferSyntax,
                                 [&](const DUL_TRANSFERSYNTAX &syntax) {
                                     copy_uid(assoc->syntaxes[used++], syntax.transferSyntax);
                                     to.proposed_count++;
                                 });
        assoc->context_at[to.id / 2] = static_cast<uint8_t>(assoc->context_count);
    });
    return true;
}

bool copy_extended(struct vt_assoc *assoc, struct vt_err *err)
{
    SOPClassExtendedNegotiationSubItemList *list = parameters(assoc).requestedExtNegList;

    if (!list)
        return true;
    for (auto it = list->begin(); it != list->end(); ++it) {
        char uid[VT_UID_MAX + 1];
        copy_uid(uid, (*it)->sopClassUID.c_str());
        if (!vt_assoc_add_extended(assoc, uid, (*it)->serviceClassAppInfo,
                                   (*it)->serviceClassAppInfoLength, err))
            return false;
    }
    return true;
}

/* DCMTK gives a copy made with new[]. */
bool copy_secret(struct vt_assoc *assoc, int which, char *bytes, size_t size, struct vt_err *err)
{
    std::unique_ptr<char[]> owned(bytes);

    if (!bytes || size == 0)
        return true;
    assoc->identity[which] = static_cast<uint8_t *>(malloc(size));
    if (assoc->identity[which]) {
        memcpy(assoc->identity[which], bytes, size);
        assoc->identity_size[which] = size;
    }
    explicit_bzero(bytes, size);
    return assoc->identity[which] || vt_fail(err, VT_E_NOMEM, "no memory for a user identity");
}

bool copy_identity(struct vt_assoc *assoc, struct vt_err *err)
{
    UserIdentityNegotiationSubItemRQ *identity = parameters(assoc).reqUserIdentNeg;
    char *bytes = nullptr;
    Uint16 size = 0;

    if (!identity)
        return true;
    assoc->info.identity_type = static_cast<uint8_t>(identity->getIdentityType());
    assoc->info.identity_response_wanted = identity->isPosResponseRequested();
    identity->getPrimField(bytes, size);
    if (!copy_secret(assoc, 0, bytes, size, err))
        return false;
    bytes = nullptr;
    size = 0;
    identity->getSecField(bytes, size);
    return copy_secret(assoc, 1, bytes, size, err);
}

void copy_info(struct vt_assoc *assoc)
{
    const T_ASC_Parameters *from = negotiation(assoc)->params;
    struct vt_assoc_info &info = assoc->info;

    info.max_pdu = static_cast<uint32_t>(from->theirMaxPDUReceiveSize);
    copy_uid(info.implementation_uid, from->theirImplementationClassUID);
    snprintf(info.implementation_version, sizeof info.implementation_version, "%s",
             from->theirImplementationVersionName);
}

/* ---- receiving ---- */

/* DCMTK turns an empty title into an error of its own when it answers; the answer's titles mean
 * nothing. */
void fill_blank_title(char *title)
{
    if (strspn(title, " ") == strlen(title))
        strcpy(title, "ANY");
}

bool parse(struct vt_assoc *assoc, struct vt_err *err)
{
    T_ASC_Association *made = nullptr;

    if (!vt::network())
        return vt_fail(err, VT_E_INTERNAL, "the network was not started");
    vt::prepare_connection(assoc->conn);
    OFCondition result = ASC_receiveAssociation(vt::network(), &made, VT_PDU_MAX, nullptr, nullptr,
                                                OFFalse, DUL_NOBLOCK, 1);
    vt::prepare_connection(nullptr);
    assoc->negotiation = made;
    if (result.bad())
        return vt::failed(err, VT_E_PROTOCOL, result, "the association request is not understood");
    fill_blank_title(made->params->DULparams.callingAPTitle);
    fill_blank_title(made->params->DULparams.calledAPTitle);
    copy_info(assoc);
    return copy_contexts(assoc, err) && copy_extended(assoc, err) && copy_identity(assoc, err);
}

/* PS3.8 lets us look at the request's header ourselves: titles as they came. */
struct vt_assoc *start(struct vt_incoming *incoming, struct vt_err *err)
{
    struct vt_assoc_info info = {};

    vt_incoming_titles(incoming, info.calling_ae_title, info.called_ae_title);
    snprintf(info.host, sizeof info.host, "%s", incoming->host);
    info.tls = incoming->tls != nullptr;
    struct vt_conn *conn = vt_incoming_connect(incoming);
    struct vt_assoc *assoc = conn ? vt_assoc_new(conn) : nullptr;
    if (!assoc)
        vt_fail(err, VT_E_NOMEM, "no memory for an association");
    else
        assoc->info = info;
    return assoc;
}

/* ---- answering ---- */

void apply_decisions(const struct vt_assoc *assoc)
{
    T_ASC_Parameters *params = negotiation(assoc)->params;

    for (size_t i = 0; i < assoc->context_count; i++) {
        struct vt_context &context = assoc->contexts[i];
        if (context.result == VT_CONTEXT_ACCEPTED) {
            OFCondition result =
                ASC_acceptPresentationContext(params, context.id, context.transfer_syntax,
                                              asc_role(context.accepted_role), OFTrue);
            if (result.good())
                continue;
            context.result = VT_CONTEXT_NO_REASON;
            context.transfer_syntax[0] = '\0';
        }
        ASC_refusePresentationContext(params, context.id,
                                      static_cast<T_ASC_P_ResultReason>(context.result));
    }
}

void answer_identity(const struct vt_assoc *assoc)
{
    auto *answer = new UserIdentityNegotiationSubItemAC;

    answer->setServerResponse("", 0);
    parameters(assoc).ackUserIdentNeg = answer; /* DCMTK deletes it */
}

bool acknowledge(struct vt_assoc *assoc, bool identity_accepted, struct vt_err *err)
{
    T_ASC_Parameters *params = negotiation(assoc)->params;

    apply_decisions(assoc);
    if (identity_accepted && assoc->info.identity_type != 0 && assoc->info.identity_response_wanted)
        answer_identity(assoc);
    snprintf(params->ourImplementationClassUID, sizeof params->ourImplementationClassUID, "%s",
             VT_UID_IMPLEMENTATION);
    snprintf(params->ourImplementationVersionName, sizeof params->ourImplementationVersionName,
             "%.16s", VT_IMPLEMENTATION_VERSION);
    OFCondition result = ASC_acknowledgeAssociation(negotiation(assoc));
    vt_assoc_drop_negotiation(assoc);
    if (result.bad())
        return vt::failed(err, VT_E_CLOSED, result, "the association could not be acknowledged");
    return true;
}

bool proposes(const struct vt_context &context, const char *transfer_syntax)
{
    for (size_t i = 0; i < context.proposed_count; i++)
        if (strcmp(context.proposed[i], transfer_syntax) == 0)
            return true;
    return false;
}

/* Roles may be confirmed or turned down, never added (PS3.7 D.3.3.4). */
bool role_fits(enum vt_role proposed, enum vt_role granted)
{
    return granted == VT_ROLE_DEFAULT || granted == proposed || proposed == VT_ROLE_SCU_SCP;
}

struct vt_context *undecided(struct vt_assoc *assoc, uint8_t id)
{
    size_t at = assoc->negotiation && id % 2 ? assoc->context_at[id / 2] : 0;
    return at > 0 ? &assoc->contexts[at - 1] : nullptr;
}

} // namespace

extern "C" void vt_assoc_drop_negotiation(struct vt_assoc *assoc)
{
    vt::quietly([&] {
        T_ASC_Association *made = negotiation(assoc);
        assoc->negotiation = nullptr;
        if (!made)
            return;
        ASC_dropAssociation(made);
        ASC_destroyAssociation(&made);
    });
}

extern "C" struct vt_assoc *vt_assoc_receive(struct vt_incoming *incoming, struct vt_err *err)
{
    bool right_context = vt_request_application_context_fits(incoming->bytes, incoming->size);
    VT_AUTO(vt_assoc) assoc = start(incoming, err);

    if (!assoc)
        return nullptr;
    if (!right_context) {
        vt_assoc_reject(assoc, 1, 1, 2);
        vt_fail(err, VT_E_UNSUPPORTED, "another application context than DICOM's");
        return nullptr;
    }
    if (!vt::guarded(err, [&] { return parse(assoc, err); }))
        return nullptr;
    if (assoc->info.max_pdu != 0 && assoc->info.max_pdu < least_max_pdu) {
        vt_assoc_reject(assoc, 1, 1, 1);
        vt_fail(err, VT_E_UNSUPPORTED, "the peer takes PDUs of %u bytes only", assoc->info.max_pdu);
        return nullptr;
    }
    return vt_take(&assoc);
}

extern "C" bool vt_assoc_accept_context(struct vt_assoc *assoc, uint8_t id,
                                        const char *transfer_syntax, enum vt_role role,
                                        struct vt_err *err)
{
    struct vt_context *context = undecided(assoc, id);

    if (!context)
        return vt_fail(err, VT_E_NOTFOUND, "no presentation context %u is being negotiated", id);
    if (!proposes(*context, transfer_syntax))
        return vt_fail(err, VT_E_INVALID, "transfer syntax %s was not proposed for context %u",
                       transfer_syntax, id);
    if (!role_fits(context->proposed_role, role))
        return vt_fail(err, VT_E_INVALID, "a role that was not proposed for context %u", id);
    context->result = VT_CONTEXT_ACCEPTED;
    context->accepted_role = role;
    copy_uid(context->transfer_syntax, transfer_syntax);
    return true;
}

extern "C" void vt_assoc_refuse_context(struct vt_assoc *assoc, uint8_t id,
                                        enum vt_context_result result)
{
    struct vt_context *context = undecided(assoc, id);

    if (!context)
        return;
    context->result = result == VT_CONTEXT_ACCEPTED ? VT_CONTEXT_NO_REASON : result;
    context->transfer_syntax[0] = '\0';
}

extern "C" bool vt_assoc_extended_answer(struct vt_assoc *assoc, const char *sop_class,
                                         const uint8_t *bytes, size_t size, struct vt_err *err)
{
    if (!assoc->negotiation)
        return vt_fail(err, VT_E_INTERNAL, "nothing is being negotiated");
    if (size > UINT16_MAX - VT_UID_MAX - 2)
        return vt_fail(err, VT_E_LIMIT, "extended negotiation of %zu bytes", size);
    return vt::guarded(err, [&] {
        auto item = std::make_unique<SOPClassExtendedNegotiationSubItem>();
        item->sopClassUID = sop_class;
        item->sopClassUIDLength = static_cast<unsigned short>(strlen(sop_class));
        item->serviceClassAppInfo = new unsigned char[size > 0 ? size : 1];
        memcpy(item->serviceClassAppInfo, bytes, size);
        item->serviceClassAppInfoLength = static_cast<unsigned short>(size);
        item->itemLength = static_cast<unsigned short>(2 + item->sopClassUIDLength + size);
        auto *&list = parameters(assoc).acceptedExtNegList;
        if (!list)
            list = new SOPClassExtendedNegotiationSubItemList;
        list->push_back(item.release());
        return true;
    });
}

extern "C" void vt_assoc_set_max_pdu(struct vt_assoc *assoc, uint32_t bytes)
{
    if (!assoc->negotiation || bytes < VT_PDU_MIN || bytes > VT_PDU_MAX)
        return;
    assoc->our_max_pdu = bytes;
    negotiation(assoc)->params->ourMaxPDUReceiveSize = bytes;
    parameters(assoc).maxPDU = bytes;
}

extern "C" bool vt_assoc_acknowledge(struct vt_assoc *assoc, bool identity_accepted,
                                     struct vt_err *err)
{
    if (!assoc->negotiation)
        return vt_fail(err, VT_E_INTERNAL, "nothing is being negotiated");
    return vt::guarded(err, [&] { return acknowledge(assoc, identity_accepted, err); });
}

extern "C" void vt_assoc_reject(struct vt_assoc *assoc, uint8_t result, uint8_t source,
                                uint8_t reason)
{
    uint8_t pdu[VT_SHORT_PDU];

    if (assoc->over)
        return;
    assoc->over = true;
    vt_assoc_drop_negotiation(assoc);
    vt_put_short_pdu(pdu, VT_PDU_ASSOCIATE_RJ, result, source, reason);
    vt_conn_last_words(assoc->conn, pdu, sizeof pdu);
}
