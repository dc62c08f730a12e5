/* The classifier by a table of hundreds of rows: words that say what is known, and the class. */
#include "hypervisor/classify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "hypervisor/verbs.h"

static const struct {
    const char *words, *class;
} rows[] = {
#include "tests/hypervisor/classify_rows.def"
};

static void share(struct vt_share *share, uint32_t silent, uint32_t watched)
{
    *share = (struct vt_share){ .watched = watched, .silent = silent };
}

static void dead_host(struct vt_facts *f, enum vt_truth live)
{
    f->host_live = live;
    f->host_answers = VT_NO;
    share(&f->host, 4, 4);
}

static bool take_state(struct vt_facts *f, const char *word)
{
    static const struct {
        const char *word;
        int power;
        enum vt_doing doing;
        enum vt_settling settling;
    } states[] = {
        { "running", VT_POWER_RUNNING, 0, 0 },     { "halted", VT_POWER_HALTED, 0, 0 },
        { "suspended", VT_POWER_SUSPENDED, 0, 0 }, { "paused", VT_POWER_PAUSED, 0, 0 },
        { "moving", 0, VT_DOING_MIGRATION, 0 },    { "working", 0, VT_DOING_OTHER, 0 },
        { "started", 0, 0, VT_SETTLING_START },    { "resumed", 0, 0, VT_SETTLING_RESUME },
        { "moved", 0, 0, VT_SETTLING_MOVE },       { "worked", 0, 0, VT_SETTLING_WORK },
    };

    for (size_t i = 0; i < VT_COUNT(states); i++) {
        if (strcmp(states[i].word, word) != 0)
            continue;
        f->power = states[i].power ? states[i].power : f->power;
        f->doing = f->doing ? f->doing : states[i].doing;
        f->settling = f->settling ? f->settling : states[i].settling;
        return true;
    }
    return false;
}

static bool take_reach(struct vt_facts *f, const char *word)
{
    static const char *const names[] = { "no-address", "answers", "refused", "silent" };

    for (size_t i = 0; i < VT_COUNT(names); i++)
        if (strcmp(names[i], word) == 0) {
            f->reach = (enum vt_reach)i;
            return true;
        }
    return false;
}

static bool take_flag(struct vt_facts *f, const char *word)
{
    struct {
        const char *word;
        bool *at, value;
    } flags[] = {
        { "gone", &f->known, false },         { "maintenance", &f->maintenance, true },
        { "isolated", &f->isolated, true },   { "no-control", &f->control, false },
        { "unplugged", &f->unplugged, true }, { "withdrawn", &f->withdrawn, true },
        { "blocked", &f->blocked, true },
    };

    for (size_t i = 0; i < VT_COUNT(flags); i++)
        if (strcmp(flags[i].word, word) == 0) {
            *flags[i].at = flags[i].value;
            return true;
        }
    return false;
}

static void take_cause(struct vt_facts *f, const char *word)
{
    unsigned silent = 0, watched = 0;

    if (strcmp(word, "host-dead") == 0)
        dead_host(f, VT_NO);
    else if (strcmp(word, "host-silent") == 0)
        dead_host(f, VT_YES);
    else if (strcmp(word, "host-answers") == 0)
        f->host_answers = VT_YES;
    else if (strcmp(word, "host-unknown") == 0)
        f->host_answers = VT_UNKNOWN, share(&f->host, 4, 4);
    else if (strcmp(word, "one-up") == 0)
        share(&f->host, 3, 4);
    else if (strcmp(word, "carrier-down") == 0)
        f->carrier = VT_NO;
    else if (sscanf(word, "link-%u-of-%u", &silent, &watched) == 2)
        share(&f->link, silent, watched);
    else if (sscanf(word, "network-%u-of-%u", &silent, &watched) == 2)
        share(&f->network, silent, watched);
    else
        fail_msg("no such word: %s", word);
}

static struct vt_facts facts_of(const char *words)
{
    struct vt_facts facts = { .control = true,
                              .known = true,
                              .host_live = VT_YES,
                              .host_answers = VT_YES,
                              .carrier = VT_YES,
                              .host = { 4, 1 },
                              .link = { 4, 1 },
                              .network = { 10, 1 } };
    char copy[128], *rest = NULL;

    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (!take_reach(&facts, word) && !take_state(&facts, word) && !take_flag(&facts, word))
            take_cause(&facts, word);
    return facts;
}

static void every_row_of_the_table_has_its_class(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct vt_facts facts = facts_of(rows[i].words);
        struct vt_verdict verdict = vt_classify(&facts, &vt_classify_defaults);
        if (strcmp(vt_loss_name(verdict.loss), rows[i].class) == 0 && *verdict.reason)
            continue;
        print_error("%s: %s, not %s\n", rows[i].words, vt_loss_name(verdict.loss), rows[i].class);
        wrong++;
    }
    assert_int_equal(wrong, 0);
    assert_true(VT_COUNT(rows) > 500);
}

static void every_class_comes_out_of_the_table(void **state)
{
    (void)state;
    for (int loss = 0; loss < VT_LOSSES; loss++) {
        bool found = false;
        for (size_t i = 0; i < VT_COUNT(rows) && !found; i++)
            found = vt_loss_find(rows[i].class) == (enum vt_loss)loss;
        if (!found)
            fail_msg("no row is %s", vt_loss_name((enum vt_loss)loss));
    }
}

static void the_sub_kind_is_in_the_reason(void **state)
{
    struct vt_facts facts = facts_of("silent running unplugged");

    (void)state;
    assert_string_equal(vt_classify(&facts, &vt_classify_defaults).reason,
                        "its virtual interface is unplugged");
    facts = facts_of("silent running withdrawn");
    assert_string_equal(vt_classify(&facts, &vt_classify_defaults).reason,
                        "the guest withdrew its addresses");
}

static void operations_count_as_what_they_do_to_the_guest(void **state)
{
    (void)state;
    assert_int_equal(vt_doing_of("pool_migrate"), VT_DOING_MIGRATION);
    assert_int_equal(vt_doing_of("migrate_send"), VT_DOING_MIGRATION);
    assert_int_equal(vt_doing_of("clean_reboot"), VT_DOING_OTHER);
    assert_int_equal(vt_doing_of("checkpoint"), VT_DOING_OTHER);
    assert_int_equal(vt_doing_of("changing_dynamic_range"), VT_DOING_NOTHING);
    assert_int_equal(vt_doing_of(""), VT_DOING_NOTHING);
}

static void only_losses_are_incidents(void **state)
{
    (void)state;
    assert_false(vt_loss_is_incident(VT_LOSS_NONE));
    assert_false(vt_loss_is_incident(VT_LOSS_SHUT_DOWN));
    assert_false(vt_loss_is_incident(VT_LOSS_MAINTENANCE));
    assert_true(vt_loss_is_incident(VT_LOSS_SERVICE_DOWN));
    assert_true(vt_loss_is_shared(VT_LOSS_LINK_LOST));
    assert_false(vt_loss_is_shared(VT_LOSS_NETWORK_LOST));
    assert_int_equal(vt_loss_find("nothing of the kind"), VT_LOSSES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_has_its_class),
        cmocka_unit_test(every_class_comes_out_of_the_table),
        cmocka_unit_test(the_sub_kind_is_in_the_reason),
        cmocka_unit_test(operations_count_as_what_they_do_to_the_guest),
        cmocka_unit_test(only_losses_are_incidents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
