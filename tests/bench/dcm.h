/* tests/bench/dcm.h: the load generator's own DICOM peer: sockets, PDUs and commands, nothing of the product.
 *
 * One struct dcm belongs to one thread. What goes wrong leaves a sentence in `why`; the association is then of no
 * further use but to dcm_close. TCP_NODELAY is set and every message leaves in one send(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DCM_VERIFICATION "1.2.840.10008.1.1"
#define DCM_CT           "1.2.840.10008.5.1.4.1.1.2"
#define DCM_SLIDE        "1.2.840.10008.5.1.4.1.1.77.1.6"
#define DCM_MULTIFRAME   "1.2.840.10008.5.1.4.1.1.7.3"
#define DCM_STUDY_FIND   "1.2.840.10008.5.1.4.1.2.2.1"
#define DCM_STUDY_MOVE   "1.2.840.10008.5.1.4.1.2.2.2"
#define DCM_STUDY_GET    "1.2.840.10008.5.1.4.1.2.2.3"
#define DCM_IMPLICIT     "1.2.840.10008.1.2"
#define DCM_EXPLICIT     "1.2.840.10008.1.2.1"
#define DCM_JPEG         "1.2.840.10008.1.2.4.50"

enum {
    DCM_OFFERS_MAX = 8,
    DCM_BUFFER = 1 << 20,
    DCM_COMMAND_MAX = 1024,
    DCM_PDV_HEAD = 12,         /* PDU head and PDV head in front of the bytes of a PDV */
    DCM_UID_MAX = 64,
    DCM_MY_MAX_PDU = 131072,
};

enum { DCM_C_STORE_RQ = 0x0001, DCM_C_GET_RQ = 0x0010, DCM_C_FIND_RQ = 0x0020, DCM_C_MOVE_RQ = 0x0021, DCM_C_ECHO_RQ = 0x0030,
       DCM_C_STORE_RSP = 0x8001, DCM_NO_DATA_SET = 0x0101 };

struct dcm_offer {
    const char *abstract, *syntax;
    bool scp_role;             /* we take instances of this class (C-GET) */
};

struct dcm {
    int fd;
    struct ssl_st *tls;                /* NULL: plain */
    uint32_t peer_max_pdu;
    uint8_t context[DCM_OFFERS_MAX];   /* accepted id of each offer; 0: refused */
    uint16_t message_id;
    uint8_t *in;                       /* DCM_BUFFER bytes received, [in_at, in_end) unread */
    size_t in_at, in_end;
    uint64_t received;                 /* bytes of data sets */
    char why[160];
};

/* What the load generator reads of a command; the data set is counted and dropped but its first bytes. */
struct dcm_message {
    uint8_t context;
    uint16_t command, status, id, answered_id;
    char sop_class[DCM_UID_MAX + 2], sop_uid[DCM_UID_MAX + 2];
    uint16_t completed, failed;
    size_t data_set_size;
    bool has_data_set;
};

/* The fields of a command we send; NULL and 0 leave an element out where that is lawful. */
struct dcm_command {
    uint16_t command, id, answered_id, status;
    const char *sop_class, *sop_uid, *destination;
    bool has_data_set;
};

bool dcm_connect(struct dcm *dcm, const char *host, uint16_t port, int timeout_seconds);
/* TLS on a connection that was made, with whatever certificate the other side has. */
bool dcm_secure(struct dcm *dcm);
bool dcm_associate(struct dcm *dcm, const struct dcm_offer *offers, size_t count, const char *called, const char *calling);
/* SCP: takes over an accepted socket, reads the request and accepts every context in its first transfer syntax. */
bool dcm_accept(struct dcm *dcm, int fd, int timeout_seconds);
bool dcm_send(struct dcm *dcm, const void *bytes, size_t size);
bool dcm_send_command(struct dcm *dcm, uint8_t context, const struct dcm_command *command);
/* A short data set (an identifier) after its command, in one send. */
bool dcm_send_message(struct dcm *dcm, uint8_t context, const struct dcm_command *command, const uint8_t *data, size_t size);
/* One whole message. false with an empty `why`: the peer released the association (answered). */
bool dcm_receive(struct dcm *dcm, struct dcm_message *out);
bool dcm_release(struct dcm *dcm);
void dcm_close(struct dcm *dcm);

/* Writes a command PDU (P-DATA-TF with one PDV) to out, DCM_COMMAND_MAX bytes are enough; its size. out_uid_at: where
 * sop_uid begins, may be NULL. */
size_t dcm_command_pdu(uint8_t *out, uint8_t context, const struct dcm_command *command, size_t *out_uid_at);
/* PDU and PDV head in front of `size` data set bytes. */
void dcm_pdv_head(uint8_t out[DCM_PDV_HEAD], uint8_t context, size_t size, bool last);
