#include "core/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * VT_NS_PER_S + now.tv_nsec;
}

int64_t vt_clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t vt_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

void vt_clock_sleep(int64_t ns)
{
    struct timespec left = { .tv_sec = ns / VT_NS_PER_S, .tv_nsec = ns % VT_NS_PER_S };

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

int vt_clock_poll_ms(int64_t deadline)
{
    if (deadline == 0)
        return -1;
    int64_t left = deadline - vt_clock_mono();
    if (left <= 0)
        return 0;
    int64_t ms = (left + VT_NS_PER_MS - 1) / VT_NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

void vt_clock_text(int64_t wall_ns, char *out)
{
    time_t seconds = (time_t)(wall_ns / VT_NS_PER_S);
    struct tm utc;
    char date[24];

    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, VT_CLOCK_TEXT_MAX, "%s.%03dZ", date, (int)(wall_ns % VT_NS_PER_S / VT_NS_PER_MS));
}
