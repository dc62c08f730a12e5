#include "poolsim/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
    if (memory)
        return memory;
    fputs("vitrine-poolsim: out of memory\n", stderr);
    exit(1);
}

void *vt_sim_alloc(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *vt_sim_grow(void *memory, size_t count, size_t size)
{
    return must(reallocarray(memory, count ? count : 1, size));
}

char *vt_sim_copy(const char *text)
{
    return must(strdup(text));
}

char *vt_sim_print(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return must(length < 0 ? NULL : text);
}
