#include "scu/send.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/err.h"

enum { STACK = 1 << 20 };

/* The k-th of `step` senders takes the instances k, k + step ... */
struct share {
    const struct vt_client *client;
    const struct vt_source *source;
    const struct vt_store_options *options;
    size_t first, step;
    pthread_t thread;
    bool started, ok;
    struct vt_err err;
};

static size_t place_of(const struct share *share, size_t i)
{
    return share->first + i * share->step;
}

static bool describe(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    const struct share *share = context;

    return share->source->describe(share->source->context, place_of(share, i), out, err);
}

static bool open_one(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    const struct share *share = context;

    return share->source->open(share->source->context, place_of(share, i), out, err);
}

static bool done(void *context, size_t i, struct vt_outgoing *sent, enum vt_sent result,
                 uint16_t status, const char *text)
{
    const struct share *share = context;

    return share->source->done(share->source->context, place_of(share, i), sent, result, status,
                               text);
}

static void *send_share(void *context)
{
    struct share *share = context;
    const struct vt_source source = {
        .count = (share->source->count - share->first + share->step - 1) / share->step,
        .describe = describe,
        .open = open_one,
        .done = done,
        .context = share
    };

    share->ok = vt_client_store(share->client, &source, share->options, &share->err);
    return NULL;
}

static bool start_share(struct share *share)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK);
    share->started = pthread_create(&share->thread, &attributes, send_share, share) == 0;
    pthread_attr_destroy(&attributes);
    return share->started;
}

/* The first share is this thread's; one that gets no thread follows behind it. */
bool vt_send_parallel(const struct vt_client *client, const struct vt_source *source,
                      const struct vt_store_options *options, size_t associations,
                      struct vt_err *err)
{
    struct share shares[VT_SEND_ASSOCIATIONS_MAX];
    size_t count =
        associations < VT_SEND_ASSOCIATIONS_MAX ? associations : VT_SEND_ASSOCIATIONS_MAX;

    if (count > source->count)
        count = source->count;
    if (count <= 1)
        return vt_client_store(client, source, options, err);
    for (size_t k = 0; k < count; k++) {
        shares[k] = (struct share){
            .client = client, .source = source, .options = options, .first = k, .step = count
        };
        if (k > 0)
            start_share(&shares[k]);
    }
    const struct share *failed = NULL;
    for (size_t k = 0; k < count; k++) {
        if (shares[k].started)
            pthread_join(shares[k].thread, NULL);
        else
            send_share(&shares[k]);
        /* That it was stopped says less than why. */
        if (!shares[k].ok && (!failed || failed->err.code == VT_E_CANCELLED))
            failed = &shares[k];
    }
    if (failed)
        *err = failed->err;
    return !failed;
}

enum vt_send_fate vt_send_fate(enum vt_sent result, uint16_t status)
{
    if (result == VT_SENT_OK || result == VT_SENT_WARNING)
        return VT_SEND_KEPT;
    if (result != VT_SENT_FAILED)
        return VT_SEND_NEVER;
    /* No answer at all; A7xx; 0110 processing failure; 0213 resource limitation. */
    return status == 0 || (status & 0xff00) == 0xa700 || status == 0x0110 || status == 0x0213
               ? VT_SEND_LATER
               : VT_SEND_NEVER;
}
