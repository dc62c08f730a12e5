#include "dicom/echo_bytes.h"

#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/assoc.h"
#include "dicom/command.h"
#include "dicom/negotiate.h"
#include "dicom/wire.h"

enum { ECHO_CONTEXT = 1, ECHO_MESSAGE_ID = 1, ANSWER_MAX = 64 << 10 };

bool vt_echo_bytes_request(const char *calling_ae_title, const char *called_ae_title,
                           struct vt_buf *out, struct vt_err *err)
{
    static const char *const syntaxes[] = { VT_UID_IMPLICIT_LE };
    const struct vt_propose context = { VT_UID_VERIFICATION, syntaxes, 1, VT_ROLE_DEFAULT };
    const struct vt_assoc_request request = {
        .calling_ae_title = calling_ae_title,
        .called_ae_title = called_ae_title,
        .contexts = &context,
        .context_count = 1,
        .max_pdu = VT_PDU_MIN * 4,
    };

    return vt_negotiate_request(&request, out, err);
}

bool vt_echo_bytes_echo(struct vt_buf *out, struct vt_err *err)
{
    struct vt_command echo = { .field = VT_C_ECHO_RQ, .message_id = ECHO_MESSAGE_ID };
    uint8_t header[VT_PDU_HEADER + VT_PDV_HEADER] = { VT_PDU_P_DATA };
    size_t at = out->size;

    strcpy(echo.sop_class_uid, VT_UID_VERIFICATION);
    if (!vt_buf_append(out, header, sizeof header, err) || !vt_command_encode(&echo, out, err))
        return false;
    size_t size = out->size - at - sizeof header;
    uint8_t *p = out->data + at;
    vt_put_be32(p + 2, (uint32_t)size + VT_PDV_HEADER);
    vt_put_be32(p + 6, (uint32_t)size + 2);
    p[10] = ECHO_CONTEXT;
    p[11] = VT_PDV_COMMAND | VT_PDV_LAST;
    return true;
}

bool vt_echo_bytes_release(struct vt_buf *out, struct vt_err *err)
{
    uint8_t pdu[VT_SHORT_PDU];

    vt_put_short_pdu(pdu, VT_PDU_RELEASE_RQ, 0, 0, 0);
    return vt_buf_append(out, pdu, sizeof pdu, err);
}

static enum vt_echo_answer judge_answer(uint8_t type)
{
    if (type == VT_PDU_ASSOCIATE_AC)
        return VT_ECHO_ACCEPTED;
    return type == VT_PDU_ASSOCIATE_RJ ? VT_ECHO_REJECTED : VT_ECHO_WRONG;
}

/* One PDU with one PDV, which is how everybody answers an echo. */
static enum vt_echo_answer judge_echo(const uint8_t *bytes, size_t size)
{
    struct vt_command command;
    struct vt_err err = { 0 };
    size_t overhead = VT_PDU_HEADER + VT_PDV_HEADER;

    if (bytes[0] != VT_PDU_P_DATA || size < overhead ||
        vt_be32(bytes + 6) != size - VT_PDU_HEADER - 4)
        return VT_ECHO_WRONG;
    if (!vt_command_decode(bytes + overhead, size - overhead, &command, &err))
        return VT_ECHO_WRONG;
    bool right = command.field == VT_C_ECHO_RSP && command.responded_id == ECHO_MESSAGE_ID &&
                 command.has_status && command.status == VT_STATUS_SUCCESS;
    return right ? VT_ECHO_DONE : VT_ECHO_WRONG;
}

enum vt_echo_answer vt_echo_bytes_judge(const uint8_t *bytes, size_t size, bool after_echo)
{
    if (size > 0 && (bytes[0] < VT_PDU_ASSOCIATE_AC || bytes[0] > VT_PDU_ABORT))
        return VT_ECHO_WRONG;
    if (size < VT_PDU_HEADER)
        return VT_ECHO_MORE;
    size_t whole = (size_t)vt_be32(bytes + 2) + VT_PDU_HEADER;
    if (whole > ANSWER_MAX)
        return VT_ECHO_WRONG;
    if (size < whole)
        return VT_ECHO_MORE;
    return after_echo ? judge_echo(bytes, whole) : judge_answer(bytes[0]);
}
