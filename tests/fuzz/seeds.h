/* tests/fuzz/seeds.h: first inputs. A target includes this and defines vt_fuzz_seeds(directory);
 * run.sh starts it once with VT_FUZZ_SEEDS set. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
static void vt_fuzz_seeds(const char *directory);

static inline void vt_fuzz_seed(const char *directory, const char *name, const void *bytes,
                                size_t size)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/seed-%s", directory, name);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(bytes, 1, size, file) != size)
        abort();
    fclose(file);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *directory = getenv("VT_FUZZ_SEEDS");

    (void)argc, (void)argv;
    if (directory)
        vt_fuzz_seeds(directory);
    return 0;
}
