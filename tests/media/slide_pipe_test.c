/* Blocks that pass from one thread to several. */
#include "media/slide_pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "media/slide_hash.h"
#include "tests/support/torture.h"

enum { PIECE = 70001, PIECES = 100, PATTERN = 251 };

struct taker {
    uint64_t bytes, wrong, largest;
    uint64_t fail_at;      /* bytes; 0: never */
};

static bool take(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct taker *taker = context;

    for (size_t i = 0; i < size; i++)
        taker->wrong += bytes[i] != (uint8_t)((taker->bytes + i) % PATTERN);
    taker->bytes += size;
    if (size > taker->largest)
        taker->largest = size;
    return !taker->fail_at || taker->bytes < taker->fail_at || vt_fail(err, VT_E_FULL, "the disk is full");
}

/* So many pieces of a pattern; false: a taker failed. */
static bool write_pieces(struct vt_slide_pipe *pipe, unsigned count, struct vt_err *err)
{
    uint64_t at = 0;
    uint8_t piece[PIECE];

    for (unsigned i = 0; i < count; i++) {
        for (size_t j = 0; j < PIECE; j++)
            piece[j] = (uint8_t)(at++ % PATTERN);
        if (!vt_slide_pipe_write(pipe, piece, PIECE, err))
            return false;
    }
    return vt_slide_pipe_drain(pipe, err);
}

static void every_taker_gets_all_bytes_in_order(void **state)
{
    (void)state;
    struct taker takers[2] = { { 0 }, { 0 } };
    const struct vt_slide_taker both[] = { { take, &takers[0] }, { take, &takers[1] } };
    struct vt_err err = { 0 };
    VT_AUTO(vt_slide_pipe) pipe = vt_slide_pipe_new(both, 2, &err);

    assert_non_null(pipe);
    assert_true(write_pieces(pipe, PIECES, &err));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(takers[i].bytes, PIECE * PIECES);
        assert_int_equal(takers[i].wrong, 0);
        assert_int_equal(takers[i].largest, VT_SLIDE_PIPE_BLOCK);
    }
}

static void after_a_drain_it_goes_on(void **state)
{
    (void)state;
    struct taker taker = { 0 };
    const struct vt_slide_taker one = { take, &taker };
    struct vt_err err = { 0 };
    VT_AUTO(vt_slide_pipe) pipe = vt_slide_pipe_new(&one, 1, &err);
    uint8_t byte = 0;

    assert_non_null(pipe);
    for (unsigned i = 0; i < 1000; i++) {
        byte = (uint8_t)(i % PATTERN);
        assert_true(vt_slide_pipe_write(pipe, &byte, 1, &err));
        if (i % 7 == 0)
            assert_true(vt_slide_pipe_drain(pipe, &err));
    }
    assert_true(vt_slide_pipe_drain(pipe, &err));
    assert_int_equal(taker.bytes, 1000);
    assert_int_equal(taker.wrong, 0);
}

static void what_a_taker_says_stops_the_caller(void **state)
{
    (void)state;
    struct taker takers[2] = { { 0 }, { .fail_at = 3 * VT_SLIDE_PIPE_BLOCK } };
    const struct vt_slide_taker both[] = { { take, &takers[0] }, { take, &takers[1] } };
    struct vt_err err = { 0 };
    VT_AUTO(vt_slide_pipe) pipe = vt_slide_pipe_new(both, 2, &err);

    assert_non_null(pipe);
    assert_false(write_pieces(pipe, 10000, &err));
    assert_int_equal(err.code, VT_E_FULL);
    assert_string_equal(err.text, "the disk is full");
    assert_int_equal(takers[1].bytes, 3 * VT_SLIDE_PIPE_BLOCK);
    err = (struct vt_err){ 0 };
    assert_false(vt_slide_pipe_drain(pipe, &err));
}

static void the_sums_of_a_file_are_those_of_its_bytes(void **state)
{
    (void)state;
    /* echo -n abc | sha256sum; xxh128sum */
    static const uint8_t sha256[4] = { 0xba, 0x78, 0x16, 0xbf };
    static const uint8_t fingerprint[4] = { 0x06, 0xb0, 0x5a, 0xb6 };
    const struct vt_slide_source source = { .size = 3, .fd = -1, .memory = (const uint8_t *)"abc", .name = "abc" };
    struct vt_slide_sums sums;
    struct vt_err err = { 0 };
    VT_AUTO(vt_slide_summing) summing = vt_slide_summing_start(&source, &err);

    assert_non_null(summing);
    assert_true(vt_slide_summing_wait(summing, &sums, &err));
    assert_memory_equal(sums.sha256, sha256, sizeof sha256);
    assert_memory_equal(sums.fingerprint, fingerprint, sizeof fingerprint);
}

static void a_file_that_became_shorter_is_told(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    const struct vt_slide_source source = { .size = 1000, .fd = fileno(file), .name = "short" };
    struct vt_slide_sums sums;
    struct vt_err err = { 0 };
    VT_AUTO(vt_slide_summing) summing = vt_slide_summing_start(&source, &err);

    assert_non_null(summing);
    assert_false(vt_slide_summing_wait(summing, &sums, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    fclose(file);
}

static bool pass_once(void *context, struct vt_err *err)
{
    (void)context;
    struct taker taker = { 0 };
    VT_AUTO(vt_slide_hash) hash = vt_slide_hash_new(true, err);
    const struct vt_slide_taker both[] = { { vt_slide_hash_take, hash }, { take, &taker } };
    VT_AUTO(vt_slide_pipe) pipe = hash ? vt_slide_pipe_new(both, 2, err) : NULL;
    struct vt_slide_sums sums;

    return pipe && write_pieces(pipe, 40, err) && vt_slide_hash_finish(hash, &sums, err);
}

static void out_of_memory_is_said_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(vt_torture(pass_once, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_taker_gets_all_bytes_in_order),
        cmocka_unit_test(after_a_drain_it_goes_on),
        cmocka_unit_test(what_a_taker_says_stops_the_caller),
        cmocka_unit_test(the_sums_of_a_file_are_those_of_its_bytes),
        cmocka_unit_test(a_file_that_became_shorter_is_told),
        cmocka_unit_test(out_of_memory_is_said_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
