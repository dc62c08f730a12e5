/* hypervisor/pool_keeper.h: one pool kept in sight: the session, a thread that follows its events,
 * and the picture, current within moments, with its age when the pool is away, saved for the day
 * when no master answers.
 *
 * Any thread may read: between vt_keeper_read and vt_keeper_done the picture stands still, so be
 * quick there and wait for nothing. Listeners are told behind each batch of events, in the keeper's
 * thread, outside the lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "hypervisor/picture.h"
#include "hypervisor/xapi.h"

struct vt_driver;
struct vt_err;
struct vt_keeper;

enum { VT_KEEPER_NAME_MAX = 64, VT_KEEPER_PATH_MAX = 4096, VT_KEEPER_LISTENERS_MAX = 8 };

struct vt_keeper_options {
    const char *name;  /* of [pool "NAME"], or "pool" */
    const char *state; /* folder of members.json, picture.json and the lock */
    int64_t save_every; /* ns between two saves of a picture that changed; 0: 60 s */
    struct vt_xapi_options xapi;
};

/* What changed. The object is looked up by who wants it: it may be gone again. */
struct vt_keeper_change {
    enum vt_class class;
    enum vt_xapi_operation operation;
    char ref[VT_XAPI_REF_MAX];
};

struct vt_keeper_listener {
    void *context;
    /* first: the whole state came anew (changes are empty: look at everything). */
    void (*changed)(void *context, struct vt_keeper *keeper, const struct vt_keeper_change *changes,
                    size_t count, bool first);
    /* The pool went away (why) or came back (NULL). May be NULL. */
    void (*state)(void *context, struct vt_keeper *keeper, const struct vt_err *why);
};

/* Copies its options, takes the lock of the state folder (VT_E_BUSY: another daemon has it), reads
 * what was saved. Connects nowhere. */
struct vt_keeper *vt_keeper_new(const struct vt_keeper_options *options, struct vt_err *err);
/* Stops the thread, logs out, saves. NULL is fine. */
void vt_keeper_free(struct vt_keeper *keeper);
VT_DEFINE_AUTO(vt_keeper)
/* Ends its threads: no listener is called any more, the picture stays as it is. Before listeners are
 * freed; one thread. */
void vt_keeper_stop(struct vt_keeper *keeper);

/* Before vt_keeper_start. VT_E_LIMIT. */
bool vt_keeper_listen(struct vt_keeper *keeper, const struct vt_keeper_listener *listener,
                      struct vt_err *err);
bool vt_keeper_start(struct vt_keeper *keeper, struct vt_err *err);
/* Waits until the first whole picture is there, or the deadline (monotonic ns); false: not yet. */
bool vt_keeper_wait(struct vt_keeper *keeper, int64_t deadline);

/* Asks the pool again now instead of when it is time to, and waits until it answers; always true:
 * whether it does says the status. For who changed what was in the way (a key, a password). */
bool vt_keeper_again(struct vt_keeper *keeper, int64_t deadline);

/* Behind a change that was made through `line`: waits until the picture shows what the pool knew
 * when this was called. false: not by the deadline, or the pool is away. */
bool vt_keeper_catch_up(struct vt_keeper *keeper, struct vt_line *line, int64_t deadline);

const char *vt_keeper_name(const struct vt_keeper *keeper);
const char *vt_keeper_url(const struct vt_keeper *keeper);
const char *vt_keeper_folder(const struct vt_keeper *keeper); /* pool.state */
/* Of the url; *out_session is for its table, NULL for xapi. */
const struct vt_driver *vt_keeper_driver(struct vt_keeper *keeper, void **out_session);
/* Shared by threads; each brings a line of its own. Its tasks are followed by events. NULL: the
 * driver is not xapi. */
struct vt_xapi *vt_keeper_xapi(struct vt_keeper *keeper);

/* The picture until vt_keeper_done, always in pairs, in one thread, never one pair inside
 * another. Never NULL; empty when nothing is known yet. */
const struct vt_picture *vt_keeper_read(struct vt_keeper *keeper);
void vt_keeper_done(struct vt_keeper *keeper);
/* A copy of those classes, the caller's: for what takes long. NULL: err. */
struct vt_picture *vt_keeper_copy(struct vt_keeper *keeper, unsigned classes, struct vt_err *err);

struct vt_keeper_status {
    bool answers;      /* a master answers and the picture is current */
    int64_t time;      /* wall ns of the last word of the pool; 0: never */
    int64_t away_since; /* wall ns; 0: it answers */
    uint64_t events, logins;
    char master[VT_XAPI_ADDRESS_MAX];
    char why[200]; /* why it does not answer; "" */
};
void vt_keeper_status(struct vt_keeper *keeper, struct vt_keeper_status *out);

/* Writes members and picture now. */
bool vt_keeper_save(struct vt_keeper *keeper, struct vt_err *err);
