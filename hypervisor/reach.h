/* hypervisor/reach.h: which of these hosts accept a TCP connection, all asked at once. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VT_REACH_MAX = 128, VT_REACH_GRACE_MS = 500 };

/* Writes the indexes of those that answered, the quickest first, and returns how many. Ends when
 * all have answered or refused, at the time limit, or VT_REACH_GRACE_MS behind the first answer.
 * Addresses that are no numbers are not resolved here: they stand at the end, as ones that might
 * answer. At most VT_REACH_MAX are asked. */
size_t vt_reach(const char *const *addresses, size_t count, uint16_t port, int64_t timeout_ms,
                size_t *out_order);
