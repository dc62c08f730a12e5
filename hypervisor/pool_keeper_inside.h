/* hypervisor/pool_keeper_inside.h: what the files of vt_keeper share: pool_keeper.c its life and its
 * readers, pool_keeper_follow.c the thread that follows the events, pool_keeper_save.c what is
 * written to the state folder and read from it. For them alone. */
#pragma once

#include <pthread.h>

#include "hypervisor/pool_keeper.h"

enum { VT_KEEPER_CHANGES_MAX = 4096 }; /* of one batch; more are told as a picture that came anew */

struct vt_keeper {
    /* fixed after _new */
    char name[VT_KEEPER_NAME_MAX], folder[VT_KEEPER_PATH_MAX], url[512];
    int64_t save_every;
    const struct vt_driver *driver;
    void *session; /* of a driver that is not xapi: then there is no xapi */
    struct vt_xapi *xapi;
    int lock_fd;
    struct vt_keeper_listener listeners[VT_KEEPER_LISTENERS_MAX]; /* fixed after _start */
    size_t listener_count;
    struct vt_line *events; /* of the following thread; stopped by vt_keeper_free */
    pthread_t follower, saver;
    bool following, saving, ended; /* ended: of the thread that ends it */

    pthread_rwlock_t picture_lock; /* guards the picture */
    struct vt_picture *picture;

    /* of the following thread */
    struct vt_keeper_change changes[VT_KEEPER_CHANGES_MAX];
    size_t change_count;
    bool overflowed, first_of_life;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved; /* a batch was taken, the state changed, or it ends */
    bool stop, again, ready, answers, dirty;
    int64_t away_since;
    uint64_t events_seen, batches;
    char why[200];
    char token[VT_XAPI_TOKEN_MAX];
};

/* ---- pool_keeper.c ---- */

/* Holding the lock: until something moved, or so long. false: it ends. */
bool vt_keeper_wait_moved(struct vt_keeper *keeper, int64_t ns);

/* ---- pool_keeper_follow.c ---- */

/* The thread. */
void *vt_keeper_follow(void *keeper);
/* Holding the lock: what the thread waits for ends, until it goes on of its own. */
void vt_keeper_interrupt(struct vt_keeper *keeper);
/* Of vt_xapi_see_tasks: has this task ended, as the picture shows it? */
bool vt_keeper_see_task(void *keeper, const char *task, int64_t wait_ns, double *out_progress);

/* ---- pool_keeper_save.c ---- */

/* The thread. */
void *vt_keeper_save_now_and_then(void *keeper);
/* What was saved. A picture that cannot be read is left out and said; members are not. */
bool vt_keeper_remember(struct vt_keeper *keeper, struct vt_err *err);
