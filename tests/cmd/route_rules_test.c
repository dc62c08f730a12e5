#include "cmd/route_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "tests/support/torture.h"

static struct vt_conf *conf_of(const char *key, const char *value)
{
    struct vt_conf *conf = vt_conf_new();
    struct vt_err err = { 0 };

    assert_non_null(conf);
    assert_true(vt_conf_set(conf, "route", "R", key, value, &err));
    return conf;
}

static bool reads(const char *key, const char *value, struct vt_rule *rule, struct vt_err *err)
{
    VT_AUTO(vt_conf) conf = conf_of(key, value);

    return vt_rule_read(conf, "route", "R", rule, err);
}

/* Wall time of a local hour and minute. */
static int64_t at(int hour, int minute)
{
    struct tm day = { .tm_year = 126, .tm_mon = 10, .tm_mday = 22, .tm_hour = hour, .tm_min = minute, .tm_isdst = -1 };

    return (int64_t)mktime(&day) * VT_NS_PER_S;
}

static void wildcards_match_as_in_a_query(void **state)
{
    (void)state;
    assert_true(vt_rule_like("CT*", "CT1"));
    assert_true(vt_rule_like("*", ""));
    assert_true(vt_rule_like("*A*B", "xAxAxB"));
    assert_true(vt_rule_like("SCAN?", "SCAN7"));
    assert_false(vt_rule_like("SCAN?", "SCAN"));
    assert_false(vt_rule_like("CT", "CT1"));
    assert_false(vt_rule_like("*A*B", "xBxA"));
}

static void a_rule_without_conditions_takes_everything(void **state)
{
    (void)state;
    struct vt_rule rule;
    struct vt_err err = { 0 };

    assert_true(reads("to", "X", &rule, &err));
    assert_true(vt_rule_admits(&rule, "ANYBODY", at(3, 0)));
    vt_rule_fini(&rule);
}

static void only_the_senders_that_are_named_are_admitted(void **state)
{
    (void)state;
    struct vt_rule rule;
    struct vt_err err = { 0 };

    assert_true(reads("from", "CT*, MR1", &rule, &err));
    assert_true(vt_rule_admits(&rule, "CT7", at(3, 0)));
    assert_true(vt_rule_admits(&rule, "MR1", at(3, 0)));
    assert_false(vt_rule_admits(&rule, "MR12", at(3, 0)));
    vt_rule_fini(&rule);
}

static void hours_may_go_over_midnight(void **state)
{
    (void)state;
    struct vt_rule day, night;
    struct vt_err err = { 0 };

    assert_true(reads("hours", "07:00-19:00", &day, &err));
    assert_true(reads("hours", "19:00-07:00", &night, &err));
    assert_true(vt_rule_admits(&day, "X", at(7, 0)));
    assert_false(vt_rule_admits(&day, "X", at(19, 0)));
    assert_true(vt_rule_admits(&night, "X", at(23, 59)));
    assert_true(vt_rule_admits(&night, "X", at(6, 59)));
    assert_false(vt_rule_admits(&night, "X", at(12, 0)));
    vt_rule_fini(&day);
    vt_rule_fini(&night);
}

static void what_is_wrong_is_told_at_the_start(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        { "hours", "7-19" },     { "hours", "25:00-26:00" },     { "hours", "07:00-07:00" },
        { "match", "PatientID" }, { "match", "NoSuchKeyword=1" },
    };

    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_rule rule;
        struct vt_err err = { 0 };
        assert_false(reads(wrong[i][0], wrong[i][1], &rule, &err));
        assert_int_equal(err.code, VT_E_INVALID);
        vt_rule_fini(&rule);
    }
}

static bool read_words(void *context, struct vt_err *err)
{
    struct vt_rule_words words;
    bool ok = vt_rule_words_read(context, "route", "R", "from", " ,", &words, err);

    vt_rule_words_fini(&words);
    return ok;
}

static void without_memory_it_fails_and_leaks_nothing(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = conf_of("from", "CT1 CT2");

    assert_true(vt_torture(read_words, conf) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_match_as_in_a_query),
        cmocka_unit_test(a_rule_without_conditions_takes_everything),
        cmocka_unit_test(only_the_senders_that_are_named_are_admitted),
        cmocka_unit_test(hours_may_go_over_midnight),
        cmocka_unit_test(what_is_wrong_is_told_at_the_start),
        cmocka_unit_test(without_memory_it_fails_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
