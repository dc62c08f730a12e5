/* tests/support/torture.h: fails the n-th allocation, for every n.
 *
 * The test programs are linked with --wrap for the allocation functions, so the library under test (and only code that is
 * linked statically) asks here. `work` runs again and again with the 1st, 2nd, ... allocation failing until a run needs
 * fewer than n; each run must succeed or fail with VT_E_NOMEM. Leaks show under AddressSanitizer. */
#pragma once

#include <stdbool.h>

struct vt_err;

typedef bool (*vt_torture_work)(void *context, struct vt_err *err);

/* Asserts as cmocka does. Returns how many allocations the work needs. */
unsigned long vt_torture(vt_torture_work work, void *context);
