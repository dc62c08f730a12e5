#include "console/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "tests/support/torture.h"

enum { CROWD = 4 };

struct guest {
    int ours, theirs;
    struct vt_place *place;
};

static struct guest enter(struct vt_places *places)
{
    struct guest guest;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    guest.ours = pair[0];
    guest.theirs = pair[1];
    guest.place = vt_place_enter(places, guest.ours);
    assert_non_null(guest.place);
    return guest;
}

static void leave(struct vt_places *places, struct guest *guest)
{
    vt_place_leave(places, guest->place);
    close(guest->ours);
    close(guest->theirs);
}

/* The other side reads the end. */
static bool was_ended(const struct guest *guest)
{
    char byte;

    return recv(guest->theirs, &byte, 1, 0) == 0;
}

static void in_a_crowd_who_waits_for_longest_gives_way(void **state)
{
    struct vt_places *places = vt_places_new(CROWD, 3600 * VT_NS_PER_S);
    struct guest guests[CROWD + 2];

    (void)state;
    for (int i = 0; i < CROWD; i++)
        guests[i] = enter(places);
    for (int i = 0; i < CROWD; i++)
        assert_false(was_ended(&guests[i]));
    vt_place_works(places, guests[0].place);      /* is at work: stays */
    vt_place_works(places, guests[1].place);
    vt_place_waits(places, guests[1].place);      /* asked a moment ago: is last */
    guests[CROWD] = enter(places);
    assert_false(was_ended(&guests[0]) || was_ended(&guests[1]) || was_ended(&guests[3]) || was_ended(&guests[4]));
    assert_true(was_ended(&guests[2]));
    guests[CROWD + 1] = enter(places);
    assert_true(was_ended(&guests[3]));
    assert_false(was_ended(&guests[1]));
    for (int i = 0; i < CROWD + 2; i++)
        leave(places, &guests[i]);
    vt_places_free(places);
}

static void who_waits_longer_than_anybody_honest_is_ended_in_any_case(void **state)
{
    struct vt_places *places = vt_places_new(1000, VT_NS_PER_S / 100);
    struct guest old = enter(places), busy = enter(places);

    (void)state;
    vt_place_works(places, busy.place);
    usleep(30000);
    struct guest fresh = enter(places);
    assert_true(was_ended(&old));
    assert_false(was_ended(&busy) || was_ended(&fresh));
    leave(places, &old);
    leave(places, &busy);
    leave(places, &fresh);
    vt_places_free(places);
}

static void when_all_are_at_work_nobody_gives_way(void **state)
{
    struct vt_places *places = vt_places_new(1, VT_NS_PER_S);
    struct guest first = enter(places);

    (void)state;
    vt_place_works(places, first.place);
    struct guest second = enter(places);
    assert_false(was_ended(&first) || was_ended(&second));
    leave(places, &first);
    leave(places, &second);
    vt_places_free(places);
}

static void a_body_is_too_slow_below_a_modem_of_old(void **state)
{
    (void)state;
    assert_false(vt_body_is_too_slow(0, 19 * VT_NS_PER_S));
    assert_true(vt_body_is_too_slow(1, 60 * VT_NS_PER_S));
    assert_false(vt_body_is_too_slow(60 * 256, 60 * VT_NS_PER_S));
    assert_true(vt_body_is_too_slow(1000000, 86400 * VT_NS_PER_S));
    assert_false(vt_body_is_too_slow(UINT64_C(1) << 40, 86400 * VT_NS_PER_S));
}

static bool come_and_go(void *context, struct vt_err *err)
{
    struct vt_places *places = vt_places_new(1, VT_NS_PER_S);
    struct vt_place *place = places ? vt_place_enter(places, -1) : NULL;

    (void)context;
    if (place)
        vt_place_leave(places, place);
    vt_places_free(places);
    return place || vt_fail(err, VT_E_NOMEM, "no memory for a place");
}

static void every_failed_allocation_is_told_without_a_leak(void **state)
{
    (void)state;
    vt_torture(come_and_go, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_crowd_who_waits_for_longest_gives_way),
        cmocka_unit_test(who_waits_longer_than_anybody_honest_is_ended_in_any_case),
        cmocka_unit_test(when_all_are_at_work_nobody_gives_way),
        cmocka_unit_test(a_body_is_too_slow_below_a_modem_of_old),
        cmocka_unit_test(every_failed_allocation_is_told_without_a_leak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
