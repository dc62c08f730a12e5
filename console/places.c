#include "console/places.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/clock.h"

enum { BODY_GRACE_S = 20, BODY_BYTES_PER_S = 256 };

struct vt_place {
    struct vt_place *before, *next;   /* of those that wait, the longest first; or itself nowhere */
    int fd;
    int64_t since;
    bool waits, ended;
};

struct vt_places {
    size_t crowded;
    int64_t patience;
    pthread_mutex_t lock;
    /* guarded by lock */
    size_t count;
    struct vt_place *first, *last;
};

struct vt_places *vt_places_new(size_t crowded, int64_t patience_ns)
{
    struct vt_places *places = calloc(1, sizeof *places);

    if (!places)
        return NULL;
    places->crowded = crowded;
    places->patience = patience_ns;
    pthread_mutex_init(&places->lock, NULL);
    return places;
}

void vt_places_free(struct vt_places *places)
{
    if (!places)
        return;
    while (places->first) {
        struct vt_place *next = places->first->next;
        free(places->first);
        places->first = next;
    }
    pthread_mutex_destroy(&places->lock);
    free(places);
}

/* What follows holds the lock. */

static void put_last(struct vt_places *places, struct vt_place *place)
{
    place->waits = true;
    place->since = vt_clock_mono();
    place->before = places->last;
    place->next = NULL;
    *(places->last ? &places->last->next : &places->first) = place;
    places->last = place;
}

static void take_out(struct vt_places *places, struct vt_place *place)
{
    if (!place->waits)
        return;
    place->waits = false;
    *(place->before ? &place->before->next : &places->first) = place->next;
    *(place->next ? &place->next->before : &places->last) = place->before;
}

/* The library's thread sees the end and closes. */
static void end_connection(struct vt_place *place)
{
    place->ended = true;
    shutdown(place->fd, SHUT_RDWR);
}

static void make_room(struct vt_places *places)
{
    int64_t now = vt_clock_mono();
    bool crowded = places->count >= places->crowded;

    for (struct vt_place *place = places->first; place; place = place->next) {
        bool too_long = now - place->since > places->patience;
        if (!too_long && !crowded)
            return;
        if (place->ended)
            continue;
        end_connection(place);
        crowded = crowded && too_long; /* those had left in truth: one more gives way */
    }
}

struct vt_place *vt_place_enter(struct vt_places *places, int fd)
{
    struct vt_place *place = calloc(1, sizeof *place);

    if (!place)
        return NULL;
    place->fd = fd;
    pthread_mutex_lock(&places->lock);
    make_room(places);
    places->count++;
    put_last(places, place);
    pthread_mutex_unlock(&places->lock);
    return place;
}

void vt_place_leave(struct vt_places *places, struct vt_place *place)
{
    if (!place)
        return;
    pthread_mutex_lock(&places->lock);
    take_out(places, place);
    places->count--;
    pthread_mutex_unlock(&places->lock);
    free(place);
}

void vt_place_works(struct vt_places *places, struct vt_place *place)
{
    if (!place)
        return;
    pthread_mutex_lock(&places->lock);
    take_out(places, place);
    pthread_mutex_unlock(&places->lock);
}

void vt_place_waits(struct vt_places *places, struct vt_place *place)
{
    if (!place)
        return;
    pthread_mutex_lock(&places->lock);
    take_out(places, place);
    put_last(places, place);
    pthread_mutex_unlock(&places->lock);
}

bool vt_body_is_too_slow(uint64_t seen, int64_t since_ns)
{
    int64_t seconds = since_ns / VT_NS_PER_S;

    return seconds > BODY_GRACE_S && seen < (uint64_t)(seconds - BODY_GRACE_S) * BODY_BYTES_PER_S;
}
