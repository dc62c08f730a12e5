#include "console/sessions.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/clock.h"

struct place {
    char token[VT_SESSION_TOKEN_TEXT];
    struct vt_session session;
    int64_t begun, used; /* monotonic ns; used 0: free */
};

struct vt_sessions {
    int64_t idle;
    pthread_mutex_t lock; /* guards what follows */
    uint64_t last;        /* number */
    struct place places[VT_SESSIONS_MAX];
};

struct vt_sessions *vt_sessions_new(int64_t idle)
{
    struct vt_sessions *sessions = calloc(1, sizeof *sessions);

    if (!sessions)
        return NULL;
    sessions->idle = idle > 0 ? idle : VT_SESSION_IDLE_MINUTES * 60 * VT_NS_PER_S;
    pthread_mutex_init(&sessions->lock, NULL);
    return sessions;
}

void vt_sessions_free(struct vt_sessions *sessions)
{
    if (!sessions)
        return;
    pthread_mutex_destroy(&sessions->lock);
    explicit_bzero(sessions, sizeof *sessions);
    free(sessions);
}

static bool is_over(const struct vt_sessions *sessions, const struct place *place, int64_t now)
{
    return place->used == 0 || now - place->used > sessions->idle || now - place->begun > VT_SESSION_HOURS * 3600 * VT_NS_PER_S;
}

static bool make_token(char out[static VT_SESSION_TOKEN_TEXT])
{
    uint8_t bytes[VT_SESSION_TOKEN_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

bool vt_sessions_begin(struct vt_sessions *sessions, const char *user, uint64_t stamp, char out_token[static VT_SESSION_TOKEN_TEXT])
{
    int64_t now = vt_clock_mono();
    struct place *best = &sessions->places[0];

    if (!make_token(out_token))
        return false;
    pthread_mutex_lock(&sessions->lock);
    for (size_t i = 0; i < VT_SESSIONS_MAX && !is_over(sessions, best, now); i++)
        if (is_over(sessions, &sessions->places[i], now) || sessions->places[i].used < best->used)
            best = &sessions->places[i];
    *best = (struct place){ .begun = now, .used = now, .session = { .number = ++sessions->last, .stamp = stamp } };
    memcpy(best->token, out_token, VT_SESSION_TOKEN_TEXT);
    snprintf(best->session.user, sizeof best->session.user, "%s", user);
    pthread_mutex_unlock(&sessions->lock);
    return true;
}

static bool same_token(const char *a, const char *b)
{
    unsigned char differ = strlen(b) != VT_SESSION_TOKEN_TEXT - 1;

    for (size_t i = 0; i < VT_SESSION_TOKEN_TEXT - 1 && b[i]; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

/* Holds the lock. By token, or by number when that is NULL. NULL: there is none, or it is over. */
static struct place *find(struct vt_sessions *sessions, const char *token, uint64_t number, bool used)
{
    int64_t now = vt_clock_mono();

    for (size_t i = 0; i < VT_SESSIONS_MAX; i++) {
        struct place *place = &sessions->places[i];
        if (is_over(sessions, place, now) || !(token ? same_token(place->token, token) : place->session.number == number))
            continue;
        if (used)
            place->used = now;
        return place;
    }
    return NULL;
}

bool vt_sessions_find(struct vt_sessions *sessions, const char *token, bool used, struct vt_session *out)
{
    pthread_mutex_lock(&sessions->lock);
    const struct place *place = token ? find(sessions, token, 0, used) : NULL;
    if (place)
        *out = place->session;
    pthread_mutex_unlock(&sessions->lock);
    return place;
}

bool vt_sessions_holds(struct vt_sessions *sessions, uint64_t number, bool used)
{
    pthread_mutex_lock(&sessions->lock);
    bool holds = find(sessions, NULL, number, used);
    pthread_mutex_unlock(&sessions->lock);
    return holds;
}

void vt_sessions_end(struct vt_sessions *sessions, uint64_t number)
{
    pthread_mutex_lock(&sessions->lock);
    struct place *place = find(sessions, NULL, number, false);
    if (place)
        *place = (struct place){ .used = 0 };
    pthread_mutex_unlock(&sessions->lock);
}
