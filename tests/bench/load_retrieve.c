/* C-GET, and C-MOVE to a listener of our own. Whole studies in turn; what arrives is counted and dropped. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/load.h"

static size_t study_identifier(uint8_t *out, const struct identity *id)
{
    static const uint8_t level[] = { 8, 0, 0x52, 0, 'C', 'S', 6, 0, 'S', 'T', 'U', 'D', 'Y', ' ' };
    static const uint8_t study[] = { 0x20, 0, 0x0d, 0, 'U', 'I', IMAGE_UID, 0 };
    memcpy(out, level, sizeof level);
    memcpy(out + sizeof level, study, sizeof study);
    memcpy(out + sizeof level + sizeof study, id->study_uid, IMAGE_UID);
    return sizeof level + sizeof study + IMAGE_UID;
}

static bool answer_store(struct dcm *dcm, const struct dcm_message *m)
{
    const struct dcm_command ok = { .command = DCM_C_STORE_RSP, .answered_id = m->id, .sop_class = m->sop_class,
                                    .sop_uid = m->sop_uid };
    return dcm_send_command(dcm, m->context, &ok);
}

static bool count_instance(struct worker *w, const struct dcm_message *m, double *last)
{
    if (worker_timed(w)) {
        const double now = now_ms();
        samples_add(&w->latency, now - *last);
        *last = now;
        w->done++;
        w->bytes += m->data_set_size;
    }
    return true;
}

/* Sends the request for one study and lives through it. */
static bool retrieve_one(struct worker *w, const struct dcm_command *command, const struct identity *id)
{
    uint8_t keys[128];
    struct dcm_message m;
    double last = now_ms();
    if (!dcm_send_message(&w->dcm, w->dcm.context[0], command, keys, study_identifier(keys, id)))
        return false;
    for (;;) {
        if (!dcm_receive(&w->dcm, &m))
            return false;
        if (m.command == DCM_C_STORE_RQ) {
            if (!answer_store(&w->dcm, &m) || !count_instance(w, &m, &last))
                return false;
        } else if ((m.status & 0xff00) != 0xff00) {
            if (m.status != 0)
                snprintf(w->dcm.why, sizeof w->dcm.why, "answered %04X, %u failed", m.status, m.failed);
            if (m.status == 0 && m.completed == 0)
                snprintf(w->dcm.why, sizeof w->dcm.why, "nothing was sent for %s", id->study_uid);
            return m.status == 0 && m.completed > 0;
        }
    }
}

static void *retrieve(struct worker *w, const struct dcm_command *command, const struct dcm_offer *offers, size_t count)
{
    const struct options *o = w->run->options;
    const uint64_t studies = o->stored / o->set->per_study ? o->stored / o->set->per_study : 1;
    bool fine = worker_open(w, offers, count);

    while (fine && worker_goes_on(w)) {
        struct identity id;
        identity_of(o->set, o->run, atomic_fetch_add(&w->run->next, 1) % studies * o->set->per_study, &id);
        fine = retrieve_one(w, command, &id);
    }
    if (!fine) {
        w->failed++;
        worker_note(w, w->dcm.why);
    } else {
        dcm_release(&w->dcm);
    }
    dcm_close(&w->dcm);
    return NULL;
}

void *load_get(void *argument)
{
    struct worker *w = argument;
    const struct image_set *set = w->run->options->set;
    const struct dcm_offer offers[] = { { .abstract = DCM_STUDY_GET, .syntax = DCM_EXPLICIT },
                                        { .abstract = set->sop_class, .syntax = set->transfer_syntax, .scp_role = true } };
    const struct dcm_command command = { .command = DCM_C_GET_RQ, .id = 1, .sop_class = DCM_STUDY_GET, .has_data_set = true };
    return retrieve(w, &command, offers, 2);
}

void *load_move(void *argument)
{
    struct worker *w = argument;
    const struct dcm_offer offer = { .abstract = DCM_STUDY_MOVE, .syntax = DCM_EXPLICIT };
    const struct dcm_command command = { .command = DCM_C_MOVE_RQ, .id = 1, .sop_class = DCM_STUDY_MOVE,
                                         .destination = w->run->options->scp_title, .has_data_set = true };
    return retrieve(w, &command, &offer, 1);
}

/* ---- the listener ---- */

struct sink {
    int fd;
    pthread_t thread;
    atomic_uint_fast64_t instances, bytes;
};

struct guest {
    struct sink *sink;
    int fd;
};

static void *serve(void *argument)
{
    struct guest guest = *(struct guest *)argument;
    struct dcm dcm;
    struct dcm_message m;
    free(argument);
    if (dcm_accept(&dcm, guest.fd, TIMEOUT_SECONDS)) {
        while (dcm_receive(&dcm, &m) && m.command == DCM_C_STORE_RQ && answer_store(&dcm, &m)) {
            atomic_fetch_add(&guest.sink->instances, 1);
            atomic_fetch_add(&guest.sink->bytes, m.data_set_size);
        }
    }
    dcm_close(&dcm);
    return NULL;
}

static void *listen_on(void *argument)
{
    struct sink *sink = argument;
    for (;;) {
        pthread_t thread;
        const int fd = accept4(sink->fd, NULL, NULL, SOCK_CLOEXEC);
        struct guest *guest = fd < 0 ? NULL : malloc(sizeof *guest);
        if (!guest)
            return NULL;
        *guest = (struct guest){ .sink = sink, .fd = fd };
        if (pthread_create(&thread, NULL, serve, guest) != 0)
            return NULL;
        pthread_detach(thread);
    }
}

struct sink *sink_open(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int on = 1;
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(sink->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sink->fd < 0 || bind(sink->fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(sink->fd, 64) != 0 ||
        pthread_create(&sink->thread, NULL, listen_on, sink) != 0) {
        perror("dicombench: C-MOVE listener");
        free(sink);
        return NULL;
    }
    return sink;
}

uint64_t sink_instances(struct sink *sink)
{
    return atomic_load(&sink->instances);
}

uint64_t sink_bytes(struct sink *sink)
{
    return atomic_load(&sink->bytes);
}

void sink_close(struct sink *sink)
{
    if (!sink)
        return;
    shutdown(sink->fd, SHUT_RDWR);
    pthread_join(sink->thread, NULL);
    close(sink->fd);
    /* Guests may still hold it: the program ends next. */
}
