/* poolsim/faults.h: what the control socket's commands need of the guests. */
#pragma once

#include <stdbool.h>

struct vt_sim_object;
struct vt_sim_pool;

enum vt_sim_guest_fault { VT_SIM_GUEST_CUT, VT_SIM_GUEST_STOPPED };

/* Kept until it is taken back, whatever the VM does meanwhile. */
void vt_sim_guests_fault(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                         enum vt_sim_guest_fault fault, bool on);
