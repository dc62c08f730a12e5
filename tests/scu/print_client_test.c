/* Printing against a printer in this process: the order of the operations, what it warns of and refuses, and a lack of memory. */
#include "tests/scu/client_world.h"

#include "scu/print_inside.h"
#include "tests/support/torture.h"

enum { SEEN_MAX = 64, COLUMNS = 4, ROWS = 4, NOTES_MAX = 1024 };

/* What it was asked, and what it answers. */
struct printer {
    uint16_t seen[SEEN_MAX];
    size_t count, boxes, texts;
    const char *status, *info;
    const char *at_class;   /* an operation on that class ... */
    uint16_t at_field;      /* ... gets `answer` */
    uint16_t answer;
    bool once;              /* and only the first one does */
};

struct told {
    char notes[NOTES_MAX];
    size_t printed;
    size_t stop_at;   /* images; 0: never */
};

static bool put_references(struct vt_writer *w, uint32_t tag, const char *sop_class, size_t count, struct vt_err *err)
{
    char uid[32];

    if (!vt_write_sequence_begin(w, tag, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        snprintf(uid, sizeof uid, "1.9.%zu", i);
        if (!vt_write_item_begin(w, err) || !vt_write_text(w, VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", sop_class, err) ||
            !vt_write_text(w, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", uid, err) || !vt_write_item_end(w, err))
            return false;
    }
    return vt_write_sequence_end(w, err);
}

static bool reply_to(const struct printer *printer, const struct vt_command *command, struct vt_writer *w, struct vt_err *err)
{
    if (command->field == VT_N_GET_RQ)
        return vt_write_text(w, VT_PRINT_TAG_PRINTER_STATUS, "CS", printer->status, err) &&
               vt_write_text(w, VT_PRINT_TAG_PRINTER_INFO, "CS", printer->info, err);
    if (command->field != VT_N_CREATE_RQ || strcmp(command->sop_class_uid, VT_UID_FILM_BOX) != 0)
        return true;
    return put_references(w, VT_PRINT_TAG_IMAGE_BOXES, VT_UID_GREY_IMAGE_BOX, printer->boxes, err) &&
           (printer->texts == 0 ||
            put_references(w, VT_PRINT_TAG_ANNOTATION_BOXES, VT_UID_ANNOTATION_BOX, printer->texts, err));
}

static bool on_operation(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id, const struct vt_command *command,
                         struct vt_err *err)
{
    struct printer *printer = scp->other_context;
    bool meant = printer->at_class && strcmp(printer->at_class, command->sop_class_uid) == 0 && printer->at_field == command->field;
    struct vt_command answer = vt_command_response(command, meant ? printer->answer : VT_STATUS_SUCCESS);
    VT_AUTO_BUF(reply, 8192);
    struct vt_writer w = { &reply, VT_EXPLICIT_LE };

    if (meant && printer->once)
        printer->at_class = NULL;
    if (printer->count < SEEN_MAX)
        printer->seen[printer->count++] = command->field;
    if (!meant && !reply_to(printer, command, &w, err))
        return false;
    answer.has_data_set = reply.size > 0;
    return vt_assoc_send(assoc, id, &answer, reply.size > 0 ? reply.data : NULL, reply.size, err);
}

/* ---- the job ---- */

static bool on_image(void *context, size_t i, struct vt_print_image *out, struct vt_err *err)
{
    (void)context;
    out->columns = COLUMNS;
    out->rows = ROWS;
    for (size_t n = 0; n < COLUMNS * ROWS; n++)
        if (!vt_buf_append_byte(&out->pixels, (uint8_t)(16 * i + n), err))
            return false;
    return true;
}

static void on_status(void *context, const struct vt_printer_status *status)
{
    (void)context;
    assert_true(status->status[0]);
}

static void on_note(void *context, const char *sentence)
{
    struct told *told = context;
    size_t used = strlen(told->notes);

    snprintf(told->notes + used, sizeof told->notes - used, "%s\n", sentence);
}

static bool on_printed(void *context, size_t images)
{
    struct told *told = context;

    told->printed = images;
    return images != told->stop_at;
}

static bool print(struct world *world, struct told *told, size_t images, struct vt_err *err)
{
    const struct vt_print_options options = { .layout = "STANDARD\\1,2",
                                              .boxes = 2,
                                              .min_density = -1,
                                              .max_density = -1,
                                              .illumination = -1,
                                              .reflection = -1,
                                              .image_size = "100",
                                              .annotation = "LABEL",
                                              .texts = { "Room 4" },
                                              .text_count = 1 };
    const struct vt_print_job job = { .options = &options,
                                      .count = images,
                                      .image = on_image,
                                      .status = on_status,
                                      .note = on_note,
                                      .printed = on_printed,
                                      .context = told };

    return vt_client_print(&world->client, &job, err);
}

static void open_printer(struct world *world, struct printer *printer)
{
    world->scp.other = on_operation;
    world->scp.other_context = printer;
    open_world(world);
}

#define PRINTER ((struct printer){ .boxes = 2, .texts = 1, .status = "NORMAL", .info = "NORMAL" })

static void films_come_one_after_the_other_and_all_is_deleted(void **state)
{
    static const uint16_t wanted[] = {
        VT_N_GET_RQ, VT_N_CREATE_RQ, VT_N_CREATE_RQ,                                                          /* session, LUT */
        VT_N_CREATE_RQ, VT_N_SET_RQ, VT_N_SET_RQ, VT_N_SET_RQ, VT_N_ACTION_RQ, VT_N_DELETE_RQ,                 /* film 1 */
        VT_N_CREATE_RQ, VT_N_SET_RQ, VT_N_SET_RQ, VT_N_ACTION_RQ, VT_N_DELETE_RQ, VT_N_DELETE_RQ, VT_N_DELETE_RQ,
    };
    struct printer printer = PRINTER;
    struct world world = { 0 };
    struct told told = { .notes = "" };
    struct vt_err err = { 0 };

    (void)state;
    open_printer(&world, &printer);
    if (!print(&world, &told, 3, &err))
        fail_msg("%s", err.text);
    close_world(&world);
    assert_int_equal(told.printed, 3);
    assert_string_equal(told.notes, "");
    assert_int_equal(printer.count, VT_COUNT(wanted));
    assert_memory_equal(printer.seen, wanted, sizeof wanted);
    assert_int_equal(world.scp.released, 1);
}

static void what_a_printer_does_not_offer_is_left_out(void **state)
{
    struct printer printer = PRINTER;
    struct world world = { .scp.refuse_class = VT_UID_ANNOTATION_BOX };
    struct told told = { .notes = "" };
    struct vt_err err = { 0 };

    (void)state;
    printer.texts = 0;
    open_printer(&world, &printer);
    assert_true(print(&world, &told, 1, &err));
    close_world(&world);
    assert_non_null(strstr(told.notes, "does not offer annotation"));
}

static void warnings_are_told_and_refusals_end_it_with_a_clean_printer(void **state)
{
    static const struct {
        const char *at_class;
        uint16_t field, answer;
        bool ok, retry;
        const char *says;
    } list[] = {
        { VT_UID_GREY_IMAGE_BOX, VT_N_SET_RQ, 0xb604, true, false, "made smaller" },
        { VT_UID_GREY_IMAGE_BOX, VT_N_SET_RQ, 0x0107, true, false, "did not take some attributes" },
        { VT_UID_GREY_IMAGE_BOX, VT_N_SET_RQ, 0x0106, false, false, "image 1" },
        { VT_UID_FILM_BOX, VT_N_CREATE_RQ, 0x0106, false, false, "film box" },
        { VT_UID_FILM_BOX, VT_N_ACTION_RQ, 0xc602, false, true, "queue is full" },
        { VT_UID_GREY_IMAGE_BOX, VT_N_SET_RQ, 0xc603, false, false, "larger than its box" },
        { VT_UID_FILM_SESSION, VT_N_CREATE_RQ, 0x0213, false, true, "no resources" },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        struct printer printer = PRINTER;
        struct world world = { 0 };
        struct told told = { .notes = "" };
        struct vt_err err = { 0 };
        printer.at_class = list[i].at_class;
        printer.at_field = list[i].field;
        printer.answer = list[i].answer;
        open_printer(&world, &printer);
        assert_int_equal(print(&world, &told, 2, &err), list[i].ok);
        close_world(&world);
        assert_non_null(strstr(list[i].ok ? told.notes : err.text, list[i].says));
        assert_int_equal(!list[i].ok && vt_print_may_retry(&err), list[i].retry);
        assert_int_equal(world.scp.released, 1);
    }
}

static void a_printer_in_failure_is_asked_for_nothing(void **state)
{
    struct printer printer = PRINTER;
    struct world world = { 0 };
    struct told told = { .notes = "" };
    struct vt_err err = { 0 };

    (void)state;
    printer.status = "FAILURE";
    printer.info = "SUPPLY EMPTY";
    open_printer(&world, &printer);
    assert_false(print(&world, &told, 1, &err));
    close_world(&world);
    assert_non_null(strstr(err.text, "out of film"));
    assert_true(vt_print_may_retry(&err));
    assert_int_equal(printer.count, 1);
}

static void a_printer_without_sizes_prints_without_them(void **state)
{
    struct printer printer = PRINTER;
    struct world world = { 0 };
    struct told told = { .notes = "" };
    struct vt_err err = { 0 };

    (void)state;
    printer.at_class = VT_UID_GREY_IMAGE_BOX;
    printer.at_field = VT_N_SET_RQ;
    printer.answer = 0x0105;
    printer.once = true;
    open_printer(&world, &printer);
    if (!print(&world, &told, 2, &err))
        fail_msg("%s", err.text);
    close_world(&world);
    assert_non_null(strstr(told.notes, "printed without image_size"));
    assert_null(strstr(strstr(told.notes, "image_size") + 1, "image_size"));
}

static void fewer_boxes_than_the_layout_has_end_it(void **state)
{
    struct printer printer = PRINTER;
    struct world world = { 0 };
    struct told told = { .notes = "" };
    struct vt_err err = { 0 };

    (void)state;
    printer.boxes = 1;
    open_printer(&world, &printer);
    assert_false(print(&world, &told, 2, &err));
    close_world(&world);
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    assert_false(vt_print_may_retry(&err));
}

static void who_says_enough_gets_no_further_film(void **state)
{
    struct printer printer = PRINTER;
    struct world world = { 0 };
    struct told told = { .stop_at = 2 };
    struct vt_err err = { 0 };

    (void)state;
    open_printer(&world, &printer);
    assert_false(print(&world, &told, 4, &err));
    close_world(&world);
    assert_int_equal(err.code, VT_E_CANCELLED);
    assert_int_equal(told.printed, 2);
    assert_int_equal(world.scp.released, 1);
}

static bool work(void *context, struct vt_err *err)
{
    struct told told = { .notes = "" };

    return print(context, &told, 1, err);
}

static void each_allocation_may_fail(void **state)
{
    struct printer printer = PRINTER;
    struct world world = { 0 };

    (void)state;
    open_printer(&world, &printer);
    assert_true(vt_torture(work, &world) > 5);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(films_come_one_after_the_other_and_all_is_deleted),
        cmocka_unit_test(what_a_printer_does_not_offer_is_left_out),
        cmocka_unit_test(warnings_are_told_and_refusals_end_it_with_a_clean_printer),
        cmocka_unit_test(a_printer_in_failure_is_asked_for_nothing),
        cmocka_unit_test(a_printer_without_sizes_prints_without_them),
        cmocka_unit_test(fewer_boxes_than_the_layout_has_end_it),
        cmocka_unit_test(who_says_enough_gets_no_further_film),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, start_net, stop_net);
}
