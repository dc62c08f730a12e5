/* archive/worklist_inside.h: what the files of the worklist share. Room only. */
#pragma once

#include "archive/worklist.h"

struct vt_db;

enum {
    TAG_STEP_SEQUENCE = 0x00400100,
    TAG_STATION_AE = 0x00400001,
    TAG_STEP_DATE = 0x00400002,
    TAG_STEP_TIME = 0x00400003,
    TAG_STEP_DESCRIPTION = 0x00400007,
    TAG_STEP_ID = 0x00400009,
    TAG_STEP_STATUS = 0x00400020,
    TAG_REQUESTED_PROCEDURE_DESCRIPTION = 0x00321060,
    TAG_REQUESTED_PROCEDURE_ID = 0x00401001,
};

/* Of entries whose state is below `states` and whose start is at or behind (start, id), in this order. `low` and `high`:
 * days, "" open. */
struct vt_worklist_page {
    int states;
    char low[9], high[9], start[24];
    int64_t id; /* of the last one seen; start "" and 0: from the beginning */
};
enum { VT_WORKLIST_PAGE = 64 };
struct vt_worklist_row {
    int64_t id, changed;
    enum vt_worklist_state state;
    char start[24];
    char source[VT_WORKLIST_SOURCE_MAX];
    size_t at, size; /* of its attributes in the buffer */
};
/* The next rows; the page moves on. */
bool vt_worklist_read_page(struct vt_archive *archive, struct vt_worklist_page *page,
                           struct vt_worklist_row rows[static VT_WORKLIST_PAGE], size_t *out_count,
                           struct vt_buf *attributes, struct vt_err *err);

/* What the rows of an entry are found by, checked. VT_E_INVALID says what is missing or wrong. */
struct vt_worklist_keys {
    char study_uid[VT_UID_MAX + 1], step_id[VT_WORKLIST_TEXT], start[24];
};
/* One scheduled step (item `n`) of what came, complete: what was missing and can be made is there. */
bool vt_worklist_complete(const uint8_t *attributes, size_t size, size_t n, struct vt_buf *out,
                          struct vt_worklist_keys *keys, struct vt_err *err);
size_t vt_worklist_steps(const uint8_t *attributes, size_t size);

/* The first item of the step sequence. */
bool vt_worklist_step(const uint8_t *attributes, size_t size, const uint8_t **out_item, size_t *out_size);

/* COMMIT, or ROLLBACK when not ok; returns ok. */
bool vt_worklist_end(struct vt_db *db, bool ok, struct vt_err *err);
