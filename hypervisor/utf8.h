/* hypervisor/utf8.h: is this UTF-8? Pure, any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VT_UTF8_CUT SIZE_MAX

/* Bytes of the character at `bytes`: 1 to 4; 0 when no character begins there (overlong, surrogate,
 * stray byte); VT_UTF8_CUT when one begins but `size` ends it. size is at least 1. */
size_t vt_utf8_length(const uint8_t *bytes, size_t size);
