/* scu/client.h: the services we ask of others: C-ECHO, C-FIND, C-STORE, C-GET, C-MOVE. Each call
 * opens what associations it needs and closes them. Callbacks run in the caller's thread; returning
 * false stops (C-CANCEL where the service has it). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/assoc.h"
#include "scu/peers.h"

struct vt_err;
struct vt_buf;

struct vt_client {
    const char *calling_ae_title;
    const struct vt_peer *peer; /* host and port are there */
    struct ssl_ctx_st *tls;     /* NULL: plain */
    uint32_t max_pdu;           /* 0: default */
    int64_t timeout;            /* ns, of one answer; 0: 60 s */
    int stop_fd;                /* borrowed; readable: whatever is waited for ends with VT_E_CANCELLED. 0: none */
};

struct vt_echo_times {
    int64_t associate, echo; /* ns */
    char implementation_version[17];
};
bool vt_client_echo(const struct vt_client *client, struct vt_echo_times *out, struct vt_err *err);

/* ---- find ---- */
struct vt_find_request {
    enum vt_model model;
    const uint8_t *identifier; /* Explicit VR LE, with level */
    size_t size;
    uint64_t limit;                   /* cancel after so many; 0: none */
    bool relational, combined, fuzzy; /* offered by extended negotiation when set */
};
/* One match: Explicit VR LE whatever was negotiated. */
typedef bool (*vt_find_match)(void *context, const uint8_t *identifier, size_t size,
                              uint16_t status, struct vt_err *err);
/* true with 0000, or with FE00 when the limit was reached. A failure status is VT_E_STATUS. */
bool vt_client_find(const struct vt_client *client, const struct vt_find_request *request,
                    vt_find_match match, void *context, uint16_t *out_status, struct vt_err *err);

/* ---- store ---- */
/* The instances to send, from a callback, so that scu never sees the archive. */
struct vt_outgoing {
    char sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1], transfer_syntax[VT_UID_MAX + 1];
    int fd;                /* open while it is sent; closed by the source's `done` */
    uint64_t offset, size; /* of the data set */
    void *item;            /* the source's own */
};
enum vt_sent {
    VT_SENT_OK,
    VT_SENT_WARNING,
    VT_SENT_FAILED,
    VT_SENT_NO_CONTEXT,
    VT_SENT_UNREADABLE
};
struct vt_source {
    size_t count; /* of instances */
    /* class and syntax only: asked for all before the association is opened; false: told to `done`
     * as VT_SENT_UNREADABLE */
    bool (*describe)(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err);
    bool (*open)(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err);
    /* exactly once for each that was come to, also after a failed open (sent->fd -1); false stops.
     * `status` is the peer's, or 0 with text why it never got there. sent has class and syntax as
     * described. */
    bool (*done)(void *context, size_t i, struct vt_outgoing *sent, enum vt_sent result,
                 uint16_t status, const char *text);
    void *context;
};
struct vt_store_options {
    const char *originator_ae_title; /* of a C-MOVE; NULL: none */
    uint16_t originator_message_id;
    uint16_t priority;
};
/* A context for each (class, syntax) pair; more than 128 in several associations in turn. What can
 * be decoded here also offers what the peer's row lists (peers.h, struct vt_transcoding), and is
 * transcoded (dicom/transcode.h) when only such a one was accepted. An association lost in
 * the middle is opened again, VT_STORE_LOSSES_MAX times without an answer in between. true even
 * when instances failed: done() was told. false: no association (what was not told was not sent);
 * VT_E_CANCELLED: done() stopped it. */
enum { VT_STORE_LOSSES_MAX = 2 };
bool vt_client_store(const struct vt_client *client, const struct vt_source *source,
                     const struct vt_store_options *options, struct vt_err *err);

/* ---- get, move ---- */
struct vt_retrieve_request {
    enum vt_model model;
    const uint8_t *identifier; /* Explicit VR LE */
    size_t size;
    const char *destination; /* C-MOVE */
    /* C-GET: the storage classes to offer. NULL: what a C-FIND of the same keys says is there, and
     * the usual ones if it says nothing. */
    const char *const *sop_classes;
    size_t sop_class_count;
    /* NULL, or gets the Failed SOP Instance UID List (0008,0058) appended, with backslashes */
    struct vt_buf *failed_uids;
};
struct vt_retrieve_counts {
    uint16_t status, remaining, completed, failed, warning;
    char comment[65];
};
/* C-GET: where an instance goes. begin gives an object, write is fed, end answers the status. */
struct vt_sink {
    bool (*begin)(void *context, const struct vt_command *command, const char *transfer_syntax,
                  struct vt_err *err);
    bool (*write)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err);
    uint16_t (*end)(void *context, bool complete);
    void *context;
};
/* After each pending answer. false: C-CANCEL. NULL: nobody asks. */
typedef bool (*vt_retrieve_progress)(void *context, const struct vt_retrieve_counts *counts);
/* true when the peer gave a final answer: out->status says which (A801, B000 ...). false: it never
 * came to that. */
bool vt_client_get(const struct vt_client *client, const struct vt_retrieve_request *request,
                   const struct vt_sink *sink, vt_retrieve_progress progress, void *context,
                   struct vt_retrieve_counts *out, struct vt_err *err);
bool vt_client_move(const struct vt_client *client, const struct vt_retrieve_request *request,
                    vt_retrieve_progress progress, void *context, struct vt_retrieve_counts *out,
                    struct vt_err *err);
