/* Stores without end: one message a send, identity patched in place, nothing built in the loop. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/bench/load.h"

enum { HUGE_PIECE = 131066 };

struct message {
    struct image image;
    uint8_t *bytes;            /* command PDU, then P-DATA-TFs */
    size_t size, uid_at, data_at, piece;
};

static bool frame(struct message *m, const struct worker *w, const struct image_set *set)
{
    char blank[IMAGE_UID + 1];
    const uint8_t context = w->dcm.context[0];
    memset(blank, '1', IMAGE_UID);
    blank[IMAGE_UID] = '\0';
    const struct dcm_command command = { .command = DCM_C_STORE_RQ, .id = 1, .sop_class = set->sop_class, .sop_uid = blank,
                                         .has_data_set = true };
    m->piece = w->dcm.peer_max_pdu - 6;
    m->bytes = malloc(DCM_COMMAND_MAX + m->image.size + (m->image.size / m->piece + 1) * DCM_PDV_HEAD);
    if (!m->bytes)
        return false;
    m->size = dcm_command_pdu(m->bytes, context, &command, &m->uid_at);
    m->data_at = m->size + DCM_PDV_HEAD;
    for (size_t at = 0; at < m->image.size; at += m->piece) {
        const size_t left = m->image.size - at, size = left < m->piece ? left : m->piece;
        dcm_pdv_head(m->bytes + m->size, context, size, size == left && m->image.pixels_to_come == 0);
        memcpy(m->bytes + m->size + DCM_PDV_HEAD, m->image.bytes + at, size);
        m->size += DCM_PDV_HEAD + size;
    }
    return true;
}

/* The pixels of a huge instance follow from one buffer. */
static bool send_pixels(struct worker *w, const struct message *m, uint8_t *piece)
{
    for (uint64_t left = m->image.pixels_to_come; left > 0;) {
        const size_t size = left < HUGE_PIECE ? (size_t)left : HUGE_PIECE;
        left -= size;
        dcm_pdv_head(piece, w->dcm.context[0], size, left == 0);
        if (!dcm_send(&w->dcm, piece, DCM_PDV_HEAD + size))
            return false;
    }
    return true;
}

static uint32_t checksum(const struct message *m)
{
    uLong crc = crc32(0, NULL, 0);
    for (size_t at = 0, from = m->data_at; at < m->image.size; at += m->piece, from += m->piece + DCM_PDV_HEAD) {
        const size_t left = m->image.size - at;
        crc = crc32(crc, m->bytes + from, (uInt)(left < m->piece ? left : m->piece));
    }
    return (uint32_t)crc;
}

static void acknowledge(struct worker *w, const struct identity *id, const struct message *m)
{
    struct run *run = w->run;
    pthread_mutex_lock(&run->acks_lock);
    fprintf(run->options->acks, "%s %s %s %08x\n", id->sop_uid, id->study_uid, id->series_uid, checksum(m));
    pthread_mutex_unlock(&run->acks_lock);
}

static bool store_one(struct worker *w, struct message *m, uint8_t *piece, uint64_t n)
{
    const struct options *o = w->run->options;
    struct identity id;
    struct dcm_message answer;

    identity_of(o->set, o->run, n, &id);
    memcpy(m->bytes + m->uid_at, id.sop_uid, IMAGE_UID);
    image_patch(&m->image, m->bytes + m->data_at, &id);
    const double begun = now_ms();
    if (!dcm_send(&w->dcm, m->bytes, m->size) || (piece && !send_pixels(w, m, piece)) || !dcm_receive(&w->dcm, &answer)) {
        w->failed++;
        worker_note(w, w->dcm.why);
        return false;
    }
    const double took = now_ms() - begun;
    if (answer.command != DCM_C_STORE_RSP || answer.status != 0) {
        char why[64];
        snprintf(why, sizeof why, "C-STORE answered %04X", answer.status);
        worker_note(w, why);
        w->failed += worker_timed(w);
        return true;
    }
    if (o->acks)
        acknowledge(w, &id, m);
    if (worker_timed(w)) {
        samples_add(&w->latency, took);
        w->done++;
        w->bytes += m->image.size + m->image.pixels_to_come;
    }
    return true;
}

/* Takes whole patients, so that each association stores studies of its own. */
static void store_all(struct worker *w, struct message *m, uint8_t *piece)
{
    const struct options *o = w->run->options;
    while (worker_goes_on(w)) {
        const uint64_t from = atomic_fetch_add(&w->run->next, o->set->per_patient);
        if (o->count && from >= o->first + o->count)
            return;
        for (uint64_t n = from; n < from + o->set->per_patient && worker_goes_on(w); n++)
            if ((o->count && n >= o->first + o->count) || !store_one(w, m, piece, n))
                return;
    }
}

void *load_store(void *argument)
{
    struct worker *w = argument;
    const struct options *o = w->run->options;
    const struct dcm_offer offer = { .abstract = o->set->sop_class, .syntax = o->set->transfer_syntax };
    struct message m = { 0 };
    uint8_t *piece = o->set->kind == IMAGE_HUGE ? calloc(1, DCM_PDV_HEAD + HUGE_PIECE) : NULL;

    if (!worker_open(w, &offer, 1)) {
        w->failed++;
    } else if (!image_make(o->set, o->huge_bytes, &m.image) || !frame(&m, w, o->set)) {
        worker_note(w, "no memory");
    } else {
        store_all(w, &m, piece);
        dcm_release(&w->dcm);
    }
    dcm_close(&w->dcm);
    image_free(&m.image);
    free(m.bytes);
    free(piece);
    return NULL;
}
