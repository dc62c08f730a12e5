#include "dicom/negotiate.h"

#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/assoc.h"
#include "dicom/request.h"
#include "dicom/wire.h"

enum { IDENTITY_USER = 1, IDENTITY_USER_PASSCODE = 2, ITEM_MAX = 65535 };

/* ---- writing ---- */

/* Items are appended open; close_item writes the length once it is known. */
static bool open_item(struct vt_buf *out, uint8_t type, size_t *out_at, struct vt_err *err)
{
    uint8_t header[4] = { type };

    *out_at = out->size;
    return vt_buf_append(out, header, sizeof header, err);
}

static bool close_item(struct vt_buf *out, size_t at, struct vt_err *err)
{
    size_t length = out->size - at - 4;

    if (length > ITEM_MAX)
        return vt_fail(err, VT_E_LIMIT,
                       "item %02XH of the association request would have %zu bytes", out->data[at],
                       length);
    vt_put_be16(out->data + at + 2, (uint16_t)length);
    return true;
}

static bool put_item(struct vt_buf *out, uint8_t type, const void *value, size_t size,
                     struct vt_err *err)
{
    size_t at;

    return open_item(out, type, &at, err) && vt_buf_append(out, value, size, err) &&
           close_item(out, at, err);
}

static bool put_uid(struct vt_buf *out, uint8_t type, const char *uid, struct vt_err *err)
{
    if (!vt_uid_usable(uid))
        return vt_fail(err, VT_E_INVALID, "'%s' is not a UID", uid);
    return put_item(out, type, uid, strlen(uid), err);
}

static bool put_be16(struct vt_buf *out, size_t value, struct vt_err *err)
{
    uint8_t bytes[2];

    if (value > ITEM_MAX)
        return vt_fail(err, VT_E_LIMIT, "%zu bytes do not fit into an association request", value);
    vt_put_be16(bytes, (uint16_t)value);
    return vt_buf_append(out, bytes, sizeof bytes, err);
}

static bool put_title(const char *title, uint8_t *at, struct vt_err *err)
{
    char trimmed[VT_AE_TITLE_MAX + 1];

    if (!vt_ae_title_trim(title, trimmed))
        return vt_fail(err, VT_E_INVALID, "'%s' is not an AE title", title);
    memset(at, ' ', VT_AE_TITLE_MAX);
    memcpy(at, trimmed, strlen(trimmed));
    return true;
}

static bool put_fixed(const struct vt_assoc_request *request, struct vt_buf *out,
                      struct vt_err *err)
{
    uint8_t fixed[VT_REQUEST_FIXED] = { VT_PDU_ASSOCIATE_RQ };

    vt_put_be16(fixed + 6, 1);
    return put_title(request->called_ae_title, fixed + VT_REQUEST_CALLED_AT, err) &&
           put_title(request->calling_ae_title, fixed + VT_REQUEST_CALLING_AT, err) &&
           vt_buf_append(out, fixed, sizeof fixed, err);
}

static bool put_context(const struct vt_propose *context, size_t i, struct vt_buf *out,
                        struct vt_err *err)
{
    uint8_t head[4] = { (uint8_t)(2 * i + 1) };
    size_t at;

    if (context->transfer_syntax_count == 0 ||
        context->transfer_syntax_count > VT_CONTEXT_SYNTAXES_MAX)
        return vt_fail(err, VT_E_INVALID, "%zu transfer syntaxes for %s",
                       context->transfer_syntax_count, context->abstract_syntax);
    if (!open_item(out, VT_ITEM_CONTEXT_RQ, &at, err) ||
        !vt_buf_append(out, head, sizeof head, err) ||
        !put_uid(out, VT_ITEM_ABSTRACT_SYNTAX, context->abstract_syntax, err))
        return false;
    for (size_t k = 0; k < context->transfer_syntax_count; k++)
        if (!put_uid(out, VT_ITEM_TRANSFER_SYNTAX, context->transfer_syntaxes[k], err))
            return false;
    return close_item(out, at, err);
}

static bool put_role(const struct vt_propose *context, struct vt_buf *out, struct vt_err *err)
{
    bool scu = context->role != VT_ROLE_SCP, scp = context->role != VT_ROLE_SCU;
    size_t at, length = strlen(context->abstract_syntax);

    return open_item(out, VT_ITEM_ROLE, &at, err) && put_be16(out, length, err) &&
           vt_buf_append(out, context->abstract_syntax, length, err) &&
           vt_buf_append_byte(out, scu, err) && vt_buf_append_byte(out, scp, err) &&
           close_item(out, at, err);
}

/* Roles are per SOP class: the first context of a class speaks for it. */
static bool put_roles(const struct vt_assoc_request *request, struct vt_buf *out,
                      struct vt_err *err)
{
    for (size_t i = 0; i < request->context_count; i++) {
        const struct vt_propose *context = &request->contexts[i];
        bool said = context->role == VT_ROLE_DEFAULT;
        for (size_t k = 0; k < i && !said; k++)
            said = request->contexts[k].role != VT_ROLE_DEFAULT &&
                   strcmp(request->contexts[k].abstract_syntax, context->abstract_syntax) == 0;
        if (!said && !put_role(context, out, err))
            return false;
    }
    return true;
}

static bool put_extended(const struct vt_extended *extended, struct vt_buf *out, struct vt_err *err)
{
    size_t at;

    return open_item(out, VT_ITEM_EXTENDED, &at, err) &&
           put_be16(out, strlen(extended->sop_class), err) &&
           vt_buf_append_text(out, extended->sop_class, err) &&
           vt_buf_append(out, extended->bytes, extended->size, err) && close_item(out, at, err);
}

static bool put_identity(const struct vt_assoc_request *request, struct vt_buf *out,
                         struct vt_err *err)
{
    const char *passcode = request->passcode ? request->passcode : "";
    uint8_t type = request->passcode ? IDENTITY_USER_PASSCODE : IDENTITY_USER;
    size_t at;

    return open_item(out, VT_ITEM_IDENTITY_RQ, &at, err) && vt_buf_append_byte(out, type, err) &&
           vt_buf_append_byte(out, 0, err) && put_be16(out, strlen(request->user), err) &&
           vt_buf_append_text(out, request->user, err) && put_be16(out, strlen(passcode), err) &&
           vt_buf_append_text(out, passcode, err) && close_item(out, at, err);
}

static bool put_user(const struct vt_assoc_request *request, struct vt_buf *out, struct vt_err *err)
{
    uint8_t max_pdu[4];
    size_t at, version = strlen(VT_IMPLEMENTATION_VERSION);

    vt_put_be32(max_pdu, request->max_pdu ? request->max_pdu : VT_PDU_MAX);
    if (version > VT_AE_TITLE_MAX)
        version = VT_AE_TITLE_MAX;
    if (!open_item(out, VT_ITEM_USER, &at, err) ||
        !put_item(out, VT_ITEM_MAX_LENGTH, max_pdu, sizeof max_pdu, err) ||
        !put_uid(out, VT_ITEM_IMPLEMENTATION_UID, VT_UID_IMPLEMENTATION, err) ||
        !put_item(out, VT_ITEM_IMPLEMENTATION_VERSION, VT_IMPLEMENTATION_VERSION, version, err) ||
        !put_roles(request, out, err))
        return false;
    for (size_t i = 0; i < request->extended_count; i++)
        if (!put_extended(&request->extended[i], out, err))
            return false;
    if (request->user && !put_identity(request, out, err))
        return false;
    return close_item(out, at, err);
}

bool vt_negotiate_request(const struct vt_assoc_request *request, struct vt_buf *out,
                          struct vt_err *err)
{
    size_t start = out->size;

    if (request->context_count == 0 || request->context_count > VT_CONTEXTS_MAX)
        return vt_fail(err, VT_E_INVALID, "%zu presentation contexts, one to %d can be proposed",
                       request->context_count, VT_CONTEXTS_MAX);
    if (!put_fixed(request, out, err) ||
        !put_uid(out, VT_ITEM_APPLICATION_CONTEXT, VT_UID_APPLICATION_CONTEXT, err))
        return false;
    for (size_t i = 0; i < request->context_count; i++)
        if (!put_context(&request->contexts[i], i, out, err))
            return false;
    if (!put_user(request, out, err))
        return false;
    vt_put_be32(out->data + start + 2, (uint32_t)(out->size - start - VT_PDU_HEADER));
    return true;
}
