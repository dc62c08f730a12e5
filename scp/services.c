#include "scp/session.h"

static const struct vt_service services[] = {
    { VT_C_ECHO_RQ, VT_SOP_VERIFICATION, vt_serve_echo },
    { VT_C_STORE_RQ, VT_SOP_STORAGE, vt_serve_store },
    { VT_C_FIND_RQ, VT_SOP_FIND, vt_serve_find },
    { VT_C_GET_RQ, VT_SOP_GET, vt_serve_get },
    { VT_C_MOVE_RQ, VT_SOP_MOVE, vt_serve_move },
    { VT_N_ACTION_RQ, VT_SOP_COMMITMENT, vt_serve_commit },
    { VT_N_EVENT_REPORT_RQ, VT_SOP_COMMITMENT, vt_serve_commit_report },
    { VT_C_FIND_RQ, VT_SOP_WORKLIST, vt_serve_worklist },
    { VT_N_CREATE_RQ, VT_SOP_MPPS, vt_serve_mpps_create },
    { VT_N_SET_RQ, VT_SOP_MPPS, vt_serve_mpps_set },
};

const struct vt_service *vt_service_find(uint16_t command, enum vt_sop_kind kind)
{
    const struct vt_service *other = NULL;

    for (size_t i = 0; i < VT_COUNT(services); i++) {
        if (services[i].command == command && services[i].kind == kind)
            return &services[i];
        if (services[i].command == command)
            other = &services[i];
    }
    return other;
}
