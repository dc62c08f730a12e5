/* poolsim/mem.h: memory for the simulator. It is a tool for tests and training: when there is no
 * memory it ends with a sentence, so nothing in this room has to carry that failure. */
#pragma once

#include <stddef.h>

void *vt_sim_alloc(size_t size); /* zeroed; free() */
void *vt_sim_grow(void *memory, size_t count, size_t size);
char *vt_sim_copy(const char *text);
char *vt_sim_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
