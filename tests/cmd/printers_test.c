/* What a print is asked to be: the configuration, and the options that go before it. */
#include "cmd/printers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/conf.h"
#include "core/err.h"
#include "scu/peers.h"

struct world {
    struct vt_conf *conf;
    struct vt_peers *peers;
    struct vt_printer printer;
};

static void set(struct world *world, const char *key, const char *value)
{
    struct vt_err err = { 0 };

    assert_true(vt_conf_set(world->conf, "printer", "LASER1", key, value, &err));
}

static int set_up(void **state)
{
    static struct world world;

    world.conf = vt_conf_new();
    world.peers = vt_peers_new();
    set(&world, "host", "127.0.0.1");
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    vt_conf_free(world->conf);
    vt_peers_free(world->peers);
    return 0;
}

static bool read_asked(struct world *world, const char *key, const char *value, struct vt_err *err)
{
    json_t *asked = json_pack("{s:s}", key, value);
    bool ok = vt_printer_read(world->conf, world->peers, "LASER1", asked, &world->printer, err);

    json_decref(asked);
    return ok;
}

static void a_section_with_a_host_is_a_printer(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    assert_true(vt_printer_read(world->conf, world->peers, "LASER1", NULL, &world->printer, &err));
    assert_string_equal(world->printer.peer.ae_title, "LASER1");
    assert_int_equal(world->printer.peer.port, 104);
    assert_string_equal(world->printer.options.layout, "STANDARD\\1,1");
    assert_int_equal(world->printer.options.max_density, -1);
    assert_int_equal(world->printer.frame, 1);
}

static void what_is_asked_goes_before_the_configuration(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    set(world, "film_size", "14INX17IN");
    set(world, "layout", "4x5");
    assert_true(read_asked(world, "film-size", "8INX10IN", &err));
    assert_string_equal(world->printer.options.film_size, "8INX10IN");
    assert_int_equal(world->printer.options.boxes, 20);
    assert_true(read_asked(world, "layout", "2x1", &err));
    assert_string_equal(world->printer.options.film_size, "14INX17IN");
    assert_int_equal(world->printer.options.boxes, 2);
    assert_true(read_asked(world, "window", "-600/1500.5", &err));
    assert_true(world->printer.has_window && world->printer.center < -599 && world->printer.width > 1500);
    assert_true(read_asked(world, "text", "Room 4|round", &err));
    assert_int_equal(world->printer.options.text_count, 2);
    assert_string_equal(world->printer.options.texts[1], "round");
    assert_true(read_asked(world, "frame", "all", &err));
    assert_int_equal(world->printer.frame, 0);
}

static void words_that_make_no_sense_are_named(void **state)
{
    static const struct {
        const char *key, *value;
    } list[] = { { "copies", "0" },       { "copies", "many" },  { "film-size", "14 inch" }, { "medium", "A WORD THAT IS TOO LONG" },
                 { "window", "40" },      { "window", "40/0" },  { "window", "a/b" },        { "frame", "-1" },
                 { "layout", "SLIDE" },   { "priority", "low" }, { "frame", "none" },        { "window", "40/400x" } };
    struct world *world = *state;

    for (size_t i = 0; i < VT_COUNT(list); i++) {
        struct vt_err err = { 0 };
        assert_false(read_asked(world, list[i].key, list[i].value, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

static void a_printer_without_a_section_needs_an_address(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    assert_false(vt_printer_read(world->conf, world->peers, "NOBODY", NULL, &world->printer, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    vt_err_clear(&err);
    assert_true(vt_printer_read(world->conf, world->peers, "TINTE@10.0.0.61:4104", NULL, &world->printer, &err));
    assert_string_equal(world->printer.peer.ae_title, "TINTE");
    assert_int_equal(world->printer.peer.port, 4104);
}

static void the_node_does_not_start_with_a_wrong_section(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    assert_true(vt_printers_check(world->conf, world->peers, &err));
    set(world, "magnification", "cubic");
    assert_false(vt_printers_check(world->conf, world->peers, &err));
    assert_non_null(strstr(err.text, "printer.LASER1"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_section_with_a_host_is_a_printer),
        CASE(what_is_asked_goes_before_the_configuration),
        CASE(words_that_make_no_sense_are_named),
        CASE(a_printer_without_a_section_needs_an_address),
        CASE(the_node_does_not_start_with_a_wrong_section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
