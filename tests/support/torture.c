#include "tests/support/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

enum { ALLOCATIONS_MAX = 200000 };

static __thread unsigned long countdown;   /* 0: nothing fails */
static __thread unsigned long seen;

static bool fails(void)
{
    seen++;
    if (countdown > 0 && --countdown == 0) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

#define WRAP(type, name, params, args, failure)                                                    \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        return fails() ? failure : __real_##name args;                                             \
    }

WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(void *, realloc, (void *p, size_t size), (p, size), NULL)
WRAP(void *, reallocarray, (void *p, size_t count, size_t size), (p, count, size), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(char *, strndup, (const char *text, size_t size), (text, size), NULL)
WRAP(int, vasprintf, (char **out, const char *format, va_list args), (out, format, args), -1)
WRAP(int, posix_memalign, (void **out, size_t alignment, size_t size), (out, alignment, size), ENOMEM)

unsigned long vt_torture(vt_torture_work work, void *context)
{
    for (unsigned long n = 1; n < ALLOCATIONS_MAX; n++) {
        struct vt_err err = { 0 };

        seen = 0;
        countdown = n;
        bool ok = work(context, &err);
        bool hit = countdown == 0;
        countdown = 0;
        if (!ok && err.code != VT_E_NOMEM)
            fail_msg("allocation %lu failing gave '%s': %s", n, vt_code_name(err.code), err.text);
        if (!hit) {
            assert_true(ok);
            return n - 1;
        }
    }
    fail_msg("more than %d allocations", ALLOCATIONS_MAX);
    return 0;
}
