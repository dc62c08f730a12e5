/* archive/worklist_step_rules.h: what a performed procedure step must say (PS3.4 Table F.7.2-1), as pure functions on
 * attributes. Room only. */
#pragma once

#include "archive/worklist_step.h"

struct vt_buf;

enum {
    VT_STEP_TAG_SCHEDULED = 0x00400270,
    VT_STEP_TAG_SERIES = 0x00400340,
    VT_STEP_TAG_IMAGES = 0x00081140,
    VT_STEP_TAG_OTHERS = 0x00400220,
};
enum {
    VT_STEP_STATUS_INVALID_VALUE = 0x0106,
    VT_STEP_STATUS_LIST_ERROR = 0x0107,
    VT_STEP_STATUS_FAILURE = 0x0110,
    VT_STEP_STATUS_DUPLICATE = 0x0111,
    VT_STEP_STATUS_NO_SUCH_INSTANCE = 0x0112,
    VT_STEP_STATUS_OUT_OF_RANGE = 0x0116,
    VT_STEP_STATUS_MISSING_ATTRIBUTE = 0x0120,
    VT_STEP_STATUS_MISSING_VALUE = 0x0121,
};

/* tag 0: none. */
void vt_step_say(struct vt_step_answer *out, uint16_t status, uint32_t tag, const char *comment);
void vt_step_study(const uint8_t *attributes, size_t size, char out[static VT_UID_MAX + 1]);

/* Of an N-CREATE; false: *out says why not. */
bool vt_step_may_begin(const uint8_t *attributes, size_t size, struct vt_step_answer *out);
/* Of the whole after an N-SET: the state it is in then. A warning may be in *out. */
bool vt_step_may_be(const uint8_t *attributes, size_t size, enum vt_step_state *out_state, struct vt_step_answer *out);
/* Attributes that an N-SET must not change: those that would are left out, which is a warning (0107). */
bool vt_step_take_out_fixed(const uint8_t *attributes, size_t size, const struct vt_buf *earlier, struct vt_buf *out_allowed,
                            struct vt_step_answer *out, struct vt_err *err);
