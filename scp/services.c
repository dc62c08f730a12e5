#include "scp/session.h"

static const struct vt_service services[] = {
    { VT_C_ECHO_RQ, VT_SOP_VERIFICATION, vt_serve_echo },
    { VT_C_STORE_RQ, VT_SOP_STORAGE, vt_serve_store },
    { VT_C_FIND_RQ, VT_SOP_FIND, vt_serve_find },
    { VT_C_GET_RQ, VT_SOP_GET, vt_serve_get },
    { VT_C_MOVE_RQ, VT_SOP_MOVE, vt_serve_move },
    { VT_N_ACTION_RQ, VT_SOP_COMMITMENT, vt_serve_commit },
    { VT_N_EVENT_REPORT_RQ, VT_SOP_COMMITMENT, vt_serve_commit_report },
};

const struct vt_service *vt_service_find(uint16_t command)
{
    for (size_t i = 0; i < VT_COUNT(services); i++)
        if (services[i].command == command)
            return &services[i];
    return NULL;
}
