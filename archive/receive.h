/* archive/receive.h: the inside of struct vt_receive, for receive.c (bytes) and receive_commit.c
 * (decision). One thread; between vt_receive_commit_then and the answer that of the commit. */
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/apply.h"
#include "archive/commit.h"
#include "archive/inside.h"
#include "core/err.h"
#include "dicom/element.h"

enum {
    VT_RECEIVE_META_MAX = 1024
}; /* group 0002 of ours is shorter: three UIDs, a title, our own name */

enum vt_receive_phase {
    VT_RECEIVE_IDLE,
    VT_RECEIVE_DATA,
    VT_RECEIVE_REFUSED, /* the data set is not to be stored; `fault` tells why */
    VT_RECEIVE_FAILED,  /* disk or memory; `fault` tells why */
};

struct vt_receive {
    struct vt_archive *archive;
    struct vt_header *header;
    struct vt_instance instance;
    struct vt_buf record, meta;
    char sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1],
        transfer_syntax[VT_UID_MAX + 1]; /* as the command says */
    enum vt_receive_phase phase;
    struct vt_err fault;

    /* File bytes: in `small` until they outgrow it, then in `block`; what is full goes to the
     * staging file. */
    uint8_t *small;     /* options.small_object bytes */
    uint8_t *block;     /* from the pool */
    size_t used;        /* bytes in the buffer in use */
    uint64_t written;   /* bytes in the staging file */
    uint64_t data_size; /* bytes of data set */
    bool offset_known; /* group 0002 stands before the data; else VT_RECEIVE_META_MAX bytes are kept
                          free for it */
    uint64_t staging;  /* 0: no file */
    bool name_synced;  /* its name in staging/ is durable already */
    int fd;
    bool direct;
    bool read_soon;      /* through the page cache, and on to the disk without waiting */

    /* From vt_receive_commit_then until the answer. */
    bool committing; /* the owner's: not waited for yet */
    sem_t concluded;
    vt_receive_answer answer;
    void *answer_context;
    struct vt_receive_result result;
    struct vt_record_body body;
    struct vt_request request;
    struct vt_uid_lock lock;
};

/* Writes group 0002 before the data when the command did not name the UIDs. */
bool vt_receive_place_meta(struct vt_receive *receive, struct vt_err *err);
/* Writes what is buffered to the staging file, which is made if need be. */
bool vt_receive_spill(struct vt_receive *receive, struct vt_err *err);
/* Disk or memory failed: nothing is kept, err gets `status` if it has none. false. */
bool vt_receive_fail(struct vt_receive *receive, uint16_t status, struct vt_err *err);
