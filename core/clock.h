/* core/clock.h: time. Deadlines use the monotonic clock, records use the wall clock.
 * All functions may be called from any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VT_NS_PER_S INT64_C(1000000000)
#define VT_NS_PER_MS INT64_C(1000000)

int64_t vt_clock_mono(void);   /* nanoseconds since some start, never backwards */
int64_t vt_clock_wall(void);   /* nanoseconds since 1970 UTC */
void vt_clock_sleep(int64_t ns);

/* Milliseconds until the deadline (monotonic ns) for poll(): 0 when it is past, at most INT_MAX,
 * rounded up, and -1 for a deadline of 0 (none). */
int vt_clock_poll_ms(int64_t deadline);

enum { VT_CLOCK_TEXT_MAX = 32 };
/* "2026-11-22T12:00:00.123Z" */
void vt_clock_text(int64_t wall_ns, char *out);   /* room for VT_CLOCK_TEXT_MAX */

#ifdef __cplusplus
}
#endif
