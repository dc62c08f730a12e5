#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/locks.h"

enum { PASSERS = 8, PASSES = 2000, CLOSINGS = 50 };

/* ---- UIDs ---- */

static void *give(void *context)
{
    void **both = context;

    vt_locks_give(both[0], both[1]);
    return NULL;
}

static void a_uid_is_given_back_by_another_thread(void **state)
{
    (void)state;
    VT_AUTO(vt_locks) locks = vt_locks_new();
    struct vt_uid_lock first, second;
    void *both[] = { locks, &first };
    pthread_t thread;

    vt_locks_take(locks, &first, "1.2.3");
    assert_int_equal(pthread_create(&thread, NULL, give, both), 0);
    vt_locks_take(locks, &second, "1.2.3");
    pthread_join(thread, NULL);
    vt_locks_give(locks, &second);
}

/* ---- the gate ---- */

struct world {
    struct vt_gate gate;
    atomic_int inside;
    int alone; /* guarded by the gate */
    atomic_bool wrong;
};

static void *pass(void *context)
{
    struct world *world = context;

    for (int i = 0; i < PASSES; i++) {
        vt_gate_enter(&world->gate);
        atomic_fetch_add(&world->inside, 1);
        if (world->alone % 2 != 0)
            atomic_store(&world->wrong, true);
        atomic_fetch_sub(&world->inside, 1);
        vt_gate_leave(&world->gate);
    }
    return NULL;
}

static void *close_often(void *context)
{
    struct world *world = context;

    for (int i = 0; i < CLOSINGS; i++) {
        vt_gate_close(&world->gate);
        world->alone++;
        if (atomic_load(&world->inside) != 0)
            atomic_store(&world->wrong, true);
        world->alone++;
        vt_gate_open(&world->gate);
    }
    return NULL;
}

static void who_closes_the_gate_is_alone(void **state)
{
    (void)state;
    struct world world = { .alone = 0 };
    pthread_t threads[PASSERS + 2];

    vt_gate_init(&world.gate);
    for (int i = 0; i < PASSERS + 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < PASSERS ? pass : close_often, &world), 0);
    for (int i = 0; i < PASSERS + 2; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&world.wrong));
    assert_int_equal(world.alone, 2 * 2 * CLOSINGS);
    vt_gate_fini(&world.gate);
}

static void *leave(void *context)
{
    vt_gate_leave(context);
    return NULL;
}

static void another_thread_may_leave_for_who_entered(void **state)
{
    (void)state;
    struct vt_gate gate;
    pthread_t thread;

    vt_gate_init(&gate);
    vt_gate_enter(&gate);
    assert_int_equal(pthread_create(&thread, NULL, leave, &gate), 0);
    vt_gate_close(&gate);
    vt_gate_open(&gate);
    pthread_join(thread, NULL);
    vt_gate_fini(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uid_is_given_back_by_another_thread),
        cmocka_unit_test(who_closes_the_gate_is_alone),
        cmocka_unit_test(another_thread_may_leave_for_who_entered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
