#include "cmd/shed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Resident pages of this process that are some file's. */
static long file_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0, shared = -1;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld %ld", &size, &resident, &shared), 3);
    fclose(file);
    return shared;
}

static int by_value(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void code_leaves_the_memory_and_comes_back(void **state)
{
    (void)state;
    int numbers[64];
    char text[32];
    long before = file_pages();

    vt_shed_start();
    long after = file_pages();
    assert_true(after < before);
    for (int i = 0; i < 64; i++)
        numbers[i] = (i * 37) % 64;
    qsort(numbers, 64, sizeof *numbers, by_value);
    for (int i = 0; i < 64; i++)
        assert_int_equal(numbers[i], i);
    snprintf(text, sizeof text, "%.3f", 2.5);
    assert_string_equal(text, "2.500");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(code_leaves_the_memory_and_comes_back) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
