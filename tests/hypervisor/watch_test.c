/* Settings, windows, rules and the detector. */
#include "hypervisor/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "tests/support/torture.h"

/* ---- windows ---- */

static void a_window_is_open_between_its_times_on_its_days(void **state)
{
    struct vt_windows windows;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_windows_parse("Sat 02:00-04:30, Mon-Wed 12:00-12:15", &windows, &err));
    assert_true(vt_windows_open(&windows, 6, 2 * 60));
    assert_true(vt_windows_open(&windows, 6, 4 * 60 + 29));
    assert_false(vt_windows_open(&windows, 6, 4 * 60 + 30));
    assert_false(vt_windows_open(&windows, 0, 3 * 60));
    assert_true(vt_windows_open(&windows, 2, 12 * 60 + 1));
    assert_false(vt_windows_open(&windows, 4, 12 * 60 + 1));
}

static void a_window_over_midnight_belongs_to_the_day_it_begins_on(void **state)
{
    struct vt_windows windows;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_windows_parse("Sat 23:00-01:00", &windows, &err));
    assert_true(vt_windows_open(&windows, 6, 23 * 60 + 30));
    assert_true(vt_windows_open(&windows, 0, 30));
    assert_false(vt_windows_open(&windows, 6, 30));
    assert_false(vt_windows_open(&windows, 0, 60));
}

static void what_is_no_window_is_refused(void **state)
{
    static const char *const wrong[] = { "Sat",
                                         "Sat 02:00",
                                         "Sam 02:00-03:00",
                                         "Sat 25:00-26:00",
                                         "Sat 02:00-02:00",
                                         "Sat 02:00-03:00 x",
                                         "Mon-Fry 1:00-2:00" };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_windows windows = { .count = 7 };
        struct vt_err err = { 0 };
        assert_false(vt_windows_parse(wrong[i], &windows, &err));
        assert_int_equal(err.code, VT_E_INVALID);
        assert_int_equal(windows.count, 7);
    }
}

/* ---- settings ---- */

static void settings_are_taken_by_name_and_bounded(void **state)
{
    struct vt_watch_settings settings;
    struct vt_err err = { 0 };

    (void)state;
    vt_watch_defaults(&settings);
    assert_true(vt_watch_set(&settings, "interval", "0.5", &err));
    assert_int_equal(settings.interval, 500 * VT_NS_PER_MS);
    assert_true(vt_watch_set(&settings, "timeout", "250ms", &err));
    assert_true(vt_watch_set(&settings, "threshold", "4", &err));
    assert_int_equal(vt_watch_bound(&settings), 4 * 750 * VT_NS_PER_MS + VT_NS_PER_S);
    assert_true(vt_watch_set(&settings, "probe", "echo", &err));
    assert_true(vt_watch_set(&settings, "always", "", &err));
    assert_true(settings.always && settings.kind == VT_PROBE_EXCHANGE);
    assert_true(vt_watch_set(&settings, "address", "10.0.0.7, fd00::7", &err));
    assert_int_equal(settings.address_count, 2);
    static const char *const wrong[][2] = {
        { "interval", "0.01" },
        { "interval", "x" },
        { "timeout", "-1" },
        { "threshold", "0" },
        { "threshold", "101" },
        { "port", "70000" },
        { "probe", "udp" },
        { "snapshot", "quiesce" },
        { "address", "host.example" },
        { "ae-title", "SEVENTEEN-LETTERS" },
        { "dry-run", "perhaps" },
        { "grace", "nan" },
    };
    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        assert_false(vt_watch_set(&settings, wrong[i][0], wrong[i][1], &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    assert_false(vt_watch_set(&settings, "colour", "red", &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static void the_configuration_names_them_with_underscores(void **state)
{
    VT_AUTO(vt_conf) conf = vt_conf_new();
    struct vt_watch_settings settings;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_conf_override(conf, "watch.dry_run=yes", &err));
    assert_true(vt_conf_override(conf, "watch.ae_title=WS", &err));
    vt_watch_defaults(&settings);
    assert_true(vt_watch_configure(&settings, conf, &err));
    assert_true(settings.dry_run);
    assert_string_equal(settings.ae_title, "WS");
    assert_true(vt_conf_override(conf, "watch.grace=long", &err));
    assert_false(vt_watch_configure(&settings, conf, &err));
    assert_non_null(strstr(err.text, "[watch]: grace"));
}

/* ---- rules ---- */

static void the_most_exact_rule_counts_and_of_two_the_newest(void **state)
{
    static const char *const tags[] = { "imaging" };
    const struct vt_rule_vm vm = { "vm-1", "host-1", tags, 1 };
    struct vt_rule rules[] = {
        { .id = 1, .kind = VT_RULE_ALL },
        { .id = 2, .kind = VT_RULE_HOST, .subject = "host-1" },
        { .id = 3, .kind = VT_RULE_TAG, .subject = "imaging" },
        { .id = 4, .kind = VT_RULE_VM, .subject = "vm-2" },
        { .id = 5, .kind = VT_RULE_VM, .subject = "vm-1" },
    };

    (void)state;
    assert_int_equal(vt_rules_choose(rules, 5, &vm)->id, 5);
    assert_int_equal(vt_rules_choose(rules, 4, &vm)->id, 3);
    assert_int_equal(vt_rules_choose(rules, 2, &vm)->id, 2);
    assert_int_equal(vt_rules_choose(rules, 1, &vm)->id, 1);
    assert_null(vt_rules_choose(rules + 3, 1, &vm));
}

static void a_rules_settings_lie_over_the_configured_ones(void **state)
{
    char text[] = "{\"threshold\":\"7\",\"snapshot\":\"none\"}";
    struct vt_rule rule = { .id = 1, .settings = text };
    struct vt_watch_settings configured, out;
    struct vt_err err = { 0 };

    (void)state;
    vt_watch_defaults(&configured);
    configured.port = 104;
    assert_true(vt_rule_apply(&rule, &configured, &out, &err));
    assert_int_equal(out.threshold, 7);
    assert_int_equal(out.shot, VT_SHOT_NONE);
    assert_int_equal(out.port, 104);
    rule.settings = (char[]){ "[]" };
    assert_false(vt_rule_apply(&rule, &configured, &out, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
}

/* ---- the detector ---- */

static void feed(struct vt_detector *d, const char *results, const char *expected)
{
    static const char ends[] = { [VT_PROBE_LOCAL] = 'l',
                                 [VT_PROBE_SILENT] = 's',
                                 [VT_PROBE_WRONG] = 'w',
                                 [VT_PROBE_REFUSED] = 'r',
                                 [VT_PROBE_ANSWERED] = 'a' };
    static const char said[] = { [VT_DETECTED_NOTHING] = '.',
                                 [VT_DETECTED_SUSPECT] = 'S',
                                 [VT_DETECTED_LOST] = 'L',
                                 [VT_DETECTED_BACK] = 'B' };

    for (size_t i = 0; results[i]; i++) {
        const char *end = memchr(ends, results[i], sizeof ends);
        enum vt_detected got =
            vt_detector_feed(d, (enum vt_probe_end)(end - ends), (int64_t)i + 1, 3, 2);
        if (said[got] != expected[i])
            fail_msg("%s: result %zu is %c, not %c", results, i, said[got], expected[i]);
    }
}

static void a_loss_takes_the_threshold_in_a_row(void **state)
{
    (void)state;
    feed(&(struct vt_detector){ 0 }, "aassa", "..S..");
    feed(&(struct vt_detector){ 0 }, "asss", ".S.L");
    feed(&(struct vt_detector){ 0 }, "ssasss", "S..S.L");
    feed(&(struct vt_detector){ 0 }, "ssss", "S.LL");
}

static void recovery_takes_its_own_number(void **state)
{
    (void)state;
    feed(&(struct vt_detector){ 0 }, "sssaa", "S.L.B");
    feed(&(struct vt_detector){ 0 }, "sssasaa", "S.L.L.B");
}

static void refusals_and_silence_are_counted_apart(void **state)
{
    (void)state;
    feed(&(struct vt_detector){ 0 }, "rrr", "S.L");
    feed(&(struct vt_detector){ 0 }, "rrsss", "S...L");
    feed(&(struct vt_detector){ 0 }, "wrw", "S.L");
}

static void what_was_not_sent_says_nothing(void **state)
{
    struct vt_detector d = { 0 };

    (void)state;
    feed(&d, "sslllls", "S.....L");
    vt_detector_reset(&d);
    assert_false(d.lost);
    feed(&d, "ss", "S.");
}

static bool rule_work(void *context, struct vt_err *err)
{
    char text[] = "{\"threshold\":\"7\"}";
    struct vt_rule rule = { .id = 1, .settings = text };
    struct vt_watch_settings configured, out;

    (void)context;
    vt_watch_defaults(&configured);
    bool ok = vt_rule_apply(&rule, &configured, &out, err);
    if (err->code == VT_E_CORRUPT) /* the parser says no more than that it failed */
        err->code = VT_E_NOMEM;
    return ok;
}

static void a_rule_without_memory_says_so(void **state)
{
    (void)state;
    vt_torture(rule_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_open_between_its_times_on_its_days),
        cmocka_unit_test(a_window_over_midnight_belongs_to_the_day_it_begins_on),
        cmocka_unit_test(what_is_no_window_is_refused),
        cmocka_unit_test(settings_are_taken_by_name_and_bounded),
        cmocka_unit_test(the_configuration_names_them_with_underscores),
        cmocka_unit_test(the_most_exact_rule_counts_and_of_two_the_newest),
        cmocka_unit_test(a_rules_settings_lie_over_the_configured_ones),
        cmocka_unit_test(a_loss_takes_the_threshold_in_a_row),
        cmocka_unit_test(recovery_takes_its_own_number),
        cmocka_unit_test(refusals_and_silence_are_counted_apart),
        cmocka_unit_test(what_was_not_sent_says_nothing),
        cmocka_unit_test(a_rule_without_memory_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
