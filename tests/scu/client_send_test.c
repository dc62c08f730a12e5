/* C-STORE as requestor. */
#include "tests/scu/client_world.h"

enum { ITEMS_MAX = 8 };

struct item {
    const char *sop_class, *transfer_syntax;
    bool missing; /* describe works, open does not */
    bool indescribable;
    enum vt_sent result;
    uint16_t status;
    unsigned told;
    char text[VT_ERR_TEXT_MAX];
};

struct sending {
    struct item items[ITEMS_MAX];
    size_t count;
    size_t stop_after; /* done() stops behind so many; 0: never */
    size_t told;
    char path[64]; /* the file that all send */
    uint64_t size;
};

static bool describe(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    const struct item *item = &((struct sending *)context)->items[i];

    if (item->indescribable)
        return vt_fail(err, VT_E_CORRUPT, "not a DICOM file");
    snprintf(out->sop_class, sizeof out->sop_class, "%s", item->sop_class);
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s", item->transfer_syntax);
    return true;
}

static bool open_item(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    struct sending *sending = context;

    if (sending->items[i].missing)
        return vt_fail(err, VT_E_NOTFOUND, "gone");
    out->fd = open(sending->path, O_RDONLY | O_CLOEXEC);
    out->size = sending->size;
    snprintf(out->sop_uid, sizeof out->sop_uid, "1.2.3.%zu", i);
    return out->fd >= 0 || vt_fail_errno(err, "opening");
}

static bool on_done(void *context, size_t i, struct vt_outgoing *sent, enum vt_sent result,
                    uint16_t status, const char *text)
{
    struct sending *sending = context;
    struct item *item = &sending->items[i];

    if (sent->fd >= 0)
        close(sent->fd);
    item->result = result;
    item->status = status;
    item->told++;
    snprintf(item->text, sizeof item->text, "%s", text);
    sending->told++;
    return sending->stop_after == 0 || sending->told < sending->stop_after;
}

static void open_sending(struct sending *sending)
{
    VT_AUTO_BUF(data_set, 4096);

    write_data_set(&data_set);
    snprintf(sending->path, sizeof sending->path, "/tmp/vitrine-client-XXXXXX");
    vt_autoclose fd = mkstemp(sending->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data_set.data, data_set.size), data_set.size);
    sending->size = data_set.size;
}

static bool store(struct world *world, struct sending *sending,
                  const struct vt_store_options *options, struct vt_err *err)
{
    const struct vt_source source = { .count = sending->count,
                                      .describe = describe,
                                      .open = open_item,
                                      .done = on_done,
                                      .context = sending };

    open_sending(sending);
    bool fine = vt_client_store(&world->client, &source, options, err);
    unlink(sending->path);
    return fine;
}

static void instances_go_out_byte_for_byte_in_their_stored_syntax(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sending sending = { .count = 3,
                               .items = { { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE },
                                          { VT_UID_CT_IMAGE, JPEG_BASELINE },
                                          { MR_IMAGE, VT_UID_EXPLICIT_LE } } };
    const struct vt_store_options options = { .originator_ae_title = "MOVER",
                                              .originator_message_id = 9 };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(expected, 4096);

    open_world(&world);
    if (!store(&world, &sending, &options, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world.scp);
    write_data_set(&expected);
    assert_int_equal(world.scp.stored_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct fake_stored *stored = &world.scp.stored[i];
        assert_int_equal(sending.items[i].result, VT_SENT_OK);
        assert_int_equal(sending.items[i].told, 1);
        assert_string_equal(stored->transfer_syntax, sending.items[i].transfer_syntax);
        assert_string_equal(stored->command.sop_class_uid, sending.items[i].sop_class);
        assert_string_equal(stored->command.originator_ae_title, "MOVER");
        assert_int_equal(stored->command.originator_id, 9);
        assert_int_equal(stored->size, expected.size);
        assert_memory_equal(stored->data, expected.data, expected.size);
    }
    assert_int_equal(world.scp.associations, 1);
    assert_int_equal(world.scp.released, 1);
    fake_scp_fini(&world.scp);
}

static void an_uncompressed_instance_is_re_encoded_for_a_peer_that_takes_only_implicit(void **state)
{
    (void)state;
    struct world world = { .scp.only_syntax = VT_UID_IMPLICIT_LE };
    struct sending sending = {
        .count = 2, .items = { { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE }, { VT_UID_CT_IMAGE, HTJ2K } }
    };
    struct vt_err err = { 0 };
    struct vt_element name;

    open_world(&world);
    if (!store(&world, &sending, NULL, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world.scp);
    if (sending.items[0].result != VT_SENT_OK)
        fail_msg("%s", sending.items[0].text);
    assert_int_equal(world.scp.stored_count, 1);
    assert_string_equal(world.scp.stored[0].transfer_syntax, VT_UID_IMPLICIT_LE);
    assert_true(vt_element_find(world.scp.stored[0].data, world.scp.stored[0].size, VT_IMPLICIT_LE,
                                VT_TAG_PATIENT_NAME, &name));
    assert_memory_equal(name.value, "Doe^John", 8);
    assert_int_equal(sending.items[1].result, VT_SENT_NO_CONTEXT);
    assert_non_null(strstr(sending.items[1].text, "High-Throughput JPEG 2000"));
    fake_scp_fini(&world.scp);
}

static void fill(struct sending *sending)
{
    for (size_t i = 0; i < sending->count; i++)
        sending->items[i] =
            (struct item){ .sop_class = VT_UID_CT_IMAGE, .transfer_syntax = VT_UID_EXPLICIT_LE };
}

static void statuses_of_the_peer_are_told_with_their_comment(void **state)
{
    (void)state;
    struct world world = { .scp = { .store_status = { 0x0000, 0xb000, 0xa700, 0x0111 },
                                    .store_status_count = 4,
                                    .comment = "volume full" } };
    struct sending sending = { .count = 4 };
    struct vt_err err = { 0 };

    fill(&sending);
    open_world(&world);
    assert_true(store(&world, &sending, NULL, &err));
    assert_int_equal(sending.items[0].result, VT_SENT_OK);
    assert_int_equal(sending.items[1].result, VT_SENT_WARNING);
    assert_int_equal(sending.items[2].result, VT_SENT_FAILED);
    assert_int_equal(sending.items[2].status, 0xa700);
    assert_string_equal(sending.items[2].text, "status A700H: volume full");
    assert_int_equal(sending.items[3].result, VT_SENT_WARNING);
    close_world(&world);
}

static void an_instance_without_a_class_does_not_cost_the_others_their_association(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sending sending = { .count = 3,
                               .items = { { "", VT_UID_EXPLICIT_LE },
                                          { VT_UID_CT_IMAGE, "" },
                                          { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE } } };
    struct vt_err err = { 0 };

    open_world(&world);
    if (!store(&world, &sending, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sending.items[0].result, VT_SENT_UNREADABLE);
    assert_int_equal(sending.items[1].result, VT_SENT_UNREADABLE);
    assert_int_equal(sending.items[2].result, VT_SENT_OK);
    close_world(&world);
}

static void what_cannot_be_read_does_not_stop_the_rest(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sending sending = { .count = 3,
                               .items = {
                                   { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE, .indescribable = true },
                                   { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE, .missing = true },
                                   { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE } } };
    struct vt_err err = { 0 };

    open_world(&world);
    assert_true(store(&world, &sending, NULL, &err));
    assert_int_equal(sending.items[0].result, VT_SENT_UNREADABLE);
    assert_string_equal(sending.items[0].text, "not a DICOM file");
    assert_int_equal(sending.items[1].result, VT_SENT_UNREADABLE);
    assert_int_equal(sending.items[2].result, VT_SENT_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(sending.items[i].told, 1);
    close_world(&world);
}

static void a_lost_association_costs_one_instance_and_is_opened_again(void **state)
{
    (void)state;
    struct world world = { .scp.abort_every = 2 };
    struct sending sending = { .count = 4 };
    struct vt_err err = { 0 };

    fill(&sending);
    open_world(&world);
    assert_true(store(&world, &sending, NULL, &err));
    fake_scp_stop(&world.scp);
    assert_int_equal(sending.items[0].result, VT_SENT_OK);
    assert_int_equal(sending.items[1].result, VT_SENT_FAILED);
    assert_int_equal(sending.items[2].result, VT_SENT_OK);
    assert_int_equal(sending.items[3].result, VT_SENT_FAILED);
    assert_int_equal(world.scp.associations, 2);
    fake_scp_fini(&world.scp);
}

static void a_peer_that_always_aborts_is_given_up(void **state)
{
    (void)state;
    struct world world = { .scp.abort_every = 1 };
    struct sending sending = { .count = 8 };
    struct vt_err err = { 0 };

    fill(&sending);
    open_world(&world);
    assert_false(store(&world, &sending, NULL, &err));
    fake_scp_stop(&world.scp);
    assert_int_equal(err.code, VT_E_CLOSED);
    assert_int_equal(world.scp.associations, VT_STORE_LOSSES_MAX + 1);
    assert_int_equal(sending.told, VT_STORE_LOSSES_MAX + 1);
    fake_scp_fini(&world.scp);
}

static void done_can_stop_the_sending(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sending sending = { .count = 4, .stop_after = 2 };
    struct vt_err err = { 0 };

    fill(&sending);
    open_world(&world);
    assert_false(store(&world, &sending, NULL, &err));
    fake_scp_stop(&world.scp);
    assert_int_equal(err.code, VT_E_CANCELLED);
    assert_int_equal(world.scp.stored_count, 2);
    assert_int_equal(world.scp.released, 1);
    fake_scp_fini(&world.scp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_go_out_byte_for_byte_in_their_stored_syntax),
        cmocka_unit_test(
            an_uncompressed_instance_is_re_encoded_for_a_peer_that_takes_only_implicit),
        cmocka_unit_test(statuses_of_the_peer_are_told_with_their_comment),
        cmocka_unit_test(an_instance_without_a_class_does_not_cost_the_others_their_association),
        cmocka_unit_test(what_cannot_be_read_does_not_stop_the_rest),
        cmocka_unit_test(a_lost_association_costs_one_instance_and_is_opened_again),
        cmocka_unit_test(a_peer_that_always_aborts_is_given_up),
        cmocka_unit_test(done_can_stop_the_sending),
    };

    return cmocka_run_group_tests(tests, start_net, stop_net);
}
