#include "core/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"

static void what_goes_in_first_comes_out_first(void **state)
{
    (void)state;
    VT_AUTO(vt_queue) queue = vt_queue_new(3);
    int items[4];
    void *out[4];

    for (int i = 0; i < 3; i++)
        assert_true(vt_queue_push(queue, &items[i], 0));
    assert_int_equal(vt_queue_take(queue, out, 2, 0), 2);
    assert_ptr_equal(out[0], &items[0]);
    assert_true(vt_queue_push(queue, &items[3], 0));
    assert_int_equal(vt_queue_take(queue, out, 4, 0), 2);
    assert_ptr_equal(out[0], &items[2]);
    assert_ptr_equal(out[1], &items[3]);
}

static void a_full_queue_refuses_at_the_deadline(void **state)
{
    (void)state;
    VT_AUTO(vt_queue) queue = vt_queue_new(1);
    int item;

    assert_true(vt_queue_push(queue, &item, 0));
    assert_false(vt_queue_push(queue, &item, vt_clock_mono() + 5 * VT_NS_PER_MS));
    assert_int_equal(vt_queue_length(queue), 1);
}

static void an_empty_queue_gives_nothing_at_the_deadline(void **state)
{
    (void)state;
    VT_AUTO(vt_queue) queue = vt_queue_new(1);
    void *out;

    assert_int_equal(vt_queue_take(queue, &out, 1, vt_clock_mono() + 5 * VT_NS_PER_MS), 0);
}

static void a_closed_queue_still_gives_what_is_in_it(void **state)
{
    (void)state;
    VT_AUTO(vt_queue) queue = vt_queue_new(2);
    int item;
    void *out;

    assert_true(vt_queue_push(queue, &item, 0));
    vt_queue_close(queue);
    assert_false(vt_queue_push(queue, &item, 0));
    assert_int_equal(vt_queue_take(queue, &out, 1, 0), 1);
    assert_int_equal(vt_queue_take(queue, &out, 1, 0), 0);
}

enum { PRODUCERS = 4, EACH = 5000 };

static void *produce(void *queue)
{
    for (uintptr_t i = 1; i <= EACH; i++)
        if (!vt_queue_push(queue, (void *)i, 0))
            return NULL;
    return queue;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    VT_AUTO(vt_queue) queue = vt_queue_new(16);
    pthread_t threads[PRODUCERS];
    uintptr_t sum = 0, count = 0;
    void *out[8];

    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, queue), 0);
    while (count < PRODUCERS * EACH) {
        size_t taken = vt_queue_take(queue, out, 8, vt_clock_mono() + 20 * VT_NS_PER_S);
        assert_true(taken > 0);
        for (size_t i = 0; i < taken; i++)
            sum += (uintptr_t)out[i];
        count += taken;
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sum, (uintptr_t)PRODUCERS * EACH * (EACH + 1) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_first_comes_out_first),
        cmocka_unit_test(a_full_queue_refuses_at_the_deadline),
        cmocka_unit_test(an_empty_queue_gives_nothing_at_the_deadline),
        cmocka_unit_test(a_closed_queue_still_gives_what_is_in_it),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
