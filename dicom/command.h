/* dicom/command.h: DIMSE command sets (PS3.7 9, E) as a flat record, and their codec: group 0000, Implicit VR LE,
 * at most VT_COMMAND_MAX bytes, no sequences, ascending. Plain C. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_buf;

enum { VT_COMMAND_MAX = 16 << 10, VT_COMMENT_MAX = 64, VT_OFFENDING_MAX = 16 };

enum vt_command_field {
    VT_C_STORE_RQ = 0x0001, VT_C_STORE_RSP = 0x8001,
    VT_C_GET_RQ = 0x0010, VT_C_GET_RSP = 0x8010,
    VT_C_FIND_RQ = 0x0020, VT_C_FIND_RSP = 0x8020,
    VT_C_MOVE_RQ = 0x0021, VT_C_MOVE_RSP = 0x8021,
    VT_C_ECHO_RQ = 0x0030, VT_C_ECHO_RSP = 0x8030,
    VT_N_EVENT_REPORT_RQ = 0x0100, VT_N_EVENT_REPORT_RSP = 0x8100,
    VT_N_GET_RQ = 0x0110, VT_N_GET_RSP = 0x8110,
    VT_N_SET_RQ = 0x0120, VT_N_SET_RSP = 0x8120,
    VT_N_ACTION_RQ = 0x0130, VT_N_ACTION_RSP = 0x8130,
    VT_N_CREATE_RQ = 0x0140, VT_N_CREATE_RSP = 0x8140,
    VT_N_DELETE_RQ = 0x0150, VT_N_DELETE_RSP = 0x8150,
    VT_C_CANCEL_RQ = 0x0fff,
};

enum vt_status {
    VT_STATUS_SUCCESS = 0x0000,
    VT_STATUS_CANCEL = 0xfe00,
    VT_STATUS_PENDING = 0xff00,
    VT_STATUS_PENDING_WARNING = 0xff01,
    VT_STATUS_OUT_OF_RESOURCES = 0xa700,
    VT_STATUS_CANNOT_COUNT = 0xa701,
    VT_STATUS_CANNOT_PERFORM = 0xa702,
    VT_STATUS_DESTINATION_UNKNOWN = 0xa801,
    VT_STATUS_DOES_NOT_MATCH = 0xa900,
    VT_STATUS_SUBOPERATIONS_WARNING = 0xb000,
    VT_STATUS_CANNOT_UNDERSTAND = 0xc000,
    VT_STATUS_PROCESSING_FAILURE = 0x0110,
    VT_STATUS_INVALID_INSTANCE = 0x0117,
    VT_STATUS_NO_SUCH_SOP_CLASS = 0x0118,
    VT_STATUS_SOP_CLASS_NOT_SUPPORTED = 0x0122,
    VT_STATUS_NOT_AUTHORIZED = 0x0124,
    VT_STATUS_DUPLICATE_INVOCATION = 0x0210,
    VT_STATUS_UNRECOGNIZED_OPERATION = 0x0211,
    VT_STATUS_MISTYPED_ARGUMENT = 0x0212,
};
static inline bool vt_status_pending(uint16_t status) { return status == 0xff00 || status == 0xff01; }
static inline bool vt_status_warning(uint16_t status) { return (status & 0xf000) == 0xb000 || status == 0x0001 || status == 0x0107 || status == 0x0116; }

enum { VT_NO_DATA_SET = 0x0101, VT_HAS_DATA_SET = 0x0001 };

struct vt_command {
    uint16_t field;                    /* (0000,0100) */
    uint16_t message_id;               /* (0000,0110), of requests */
    uint16_t responded_id;             /* (0000,0120), of responses and cancels */
    bool has_data_set;                 /* (0000,0800) != 0101H */
    bool has_status;
    uint16_t status;                   /* (0000,0900) */
    uint16_t priority;                 /* (0000,0700) 0 medium, 1 high, 2 low; requests that have it */
    char sop_class_uid[VT_UID_MAX + 1];      /* affected (0000,0002) or requested (0000,0003) */
    char sop_instance_uid[VT_UID_MAX + 1];   /* affected (0000,1000) or requested (0000,1001) */
    char move_destination[VT_AE_TITLE_MAX + 1];
    char originator_ae_title[VT_AE_TITLE_MAX + 1];   /* (0000,1030), "" absent */
    bool has_originator_id;
    uint16_t originator_id;            /* (0000,1031) */
    bool has_remaining;                /* (0000,1020): not in final answers but a cancel's */
    bool has_counters;                 /* (0000,1021) to 1023 */
    uint16_t remaining, completed, failed, warning;
    bool has_event_type, has_action_type;
    uint16_t event_type, action_type;
    bool has_error_id;
    uint16_t error_id;                 /* (0000,0903) */
    uint32_t offending[VT_OFFENDING_MAX];            /* (0000,0901) */
    size_t offending_count;
    char comment[VT_COMMENT_MAX + 1];  /* (0000,0902), LO; longer ones are cut at a character; non-ASCII becomes '?' */
};

/* VT_E_PROTOCOL with what is wrong: not flat, not ascending, a length beyond the end, no command field, a request
 * without message id, a title that is too long. A UID of more than 64 characters is left empty: the service refuses it by a
 * status (0117). Unknown elements of group 0000 are passed over. */
bool vt_command_decode(const uint8_t *bytes, size_t size, struct vt_command *out, struct vt_err *err);
/* Appends, group length included. */
bool vt_command_encode(const struct vt_command *command, struct vt_buf *out, struct vt_err *err);

/* The response to a request: field, responded id, class and instance copied. */
struct vt_command vt_command_response(const struct vt_command *request, uint16_t status);
const char *vt_command_name(uint16_t field);   /* "C-STORE-RQ"; "unknown" */

#ifdef __cplusplus
}
#endif
