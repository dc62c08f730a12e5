#include "tests/scu/client_world.h"

static void an_echo_is_timed_and_the_association_released(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct vt_echo_times times = { 0 };
    struct vt_err err = { 0 };

    open_world(&world);
    if (!vt_client_echo(&world.client, &times, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world.scp);
    assert_true(times.associate > 0 && times.echo > 0);
    assert_int_equal(world.scp.released, 1);
    fake_scp_fini(&world.scp);
}

static void a_peer_that_does_not_answer_is_given_up_in_time(void **state)
{
    (void)state;
    struct world world = { .scp.silent = true };
    struct vt_echo_times times;
    struct vt_err err = { 0 };

    open_world(&world);
    world.client.timeout = 300 * VT_NS_PER_MS;
    int64_t start = vt_clock_mono();
    assert_false(vt_client_echo(&world.client, &times, &err));
    assert_int_equal(err.code, VT_E_TIMEOUT);
    assert_true(vt_clock_mono() - start < 5 * VT_NS_PER_S);
    close_world(&world);
}

static void a_refused_service_is_told_with_the_reason(void **state)
{
    (void)state;
    struct world world = { .scp.refuse_class = VT_UID_VERIFICATION };
    struct vt_echo_times times;
    struct vt_err err = { 0 };

    open_world(&world);
    assert_false(vt_client_echo(&world.client, &times, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
    assert_non_null(strstr(err.text, "Verification"));
    assert_non_null(strstr(err.text, "not allowed"));
    close_world(&world);
}

static void nobody_listening_is_refused_and_says_where(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct vt_echo_times times;
    struct vt_err err = { 0 };

    open_world(&world);
    fake_scp_stop(&world.scp);
    assert_false(vt_client_echo(&world.client, &times, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
    fake_scp_fini(&world.scp);
}

/* ---- store ---- */

struct finding {
    unsigned matches, stop_after;
    char last[32];
};

static bool on_match(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct finding *finding = context;
    struct vt_element element;

    (void)err;
    assert_true(vt_status_pending(status));
    assert_true(vt_element_find(identifier, size, VT_EXPLICIT_LE, VT_TAG_PATIENT_ID, &element));
    vt_element_text(&element, finding->last, sizeof finding->last);
    finding->matches++;
    return finding->stop_after == 0 || finding->matches < finding->stop_after;
}

static void write_keys(struct vt_buf *out)
{
    struct vt_writer writer = { .buf = out, .encoding = VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&writer, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY", &err) &&
                vt_write_text(&writer, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2.3", &err));
}

static void every_match_arrives_and_the_keys_as_they_were(void **state)
{
    (void)state;
    struct world world = { .scp.matches = 20 };
    struct finding finding = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(keys, 1024);
    uint16_t status = 1;

    write_keys(&keys);
    const struct vt_find_request request = { .model = VT_MODEL_STUDY_ROOT,
                                             .identifier = keys.data,
                                             .size = keys.size };
    open_world(&world);
    if (!vt_client_find(&world.client, &request, on_match, &finding, &status, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world.scp);
    assert_int_equal(status, VT_STATUS_SUCCESS);
    assert_int_equal(finding.matches, 20);
    assert_string_equal(finding.last, "MATCH19");
    assert_int_equal(world.scp.identifier.size, keys.size);
    assert_memory_equal(world.scp.identifier.data, keys.data, keys.size);
    assert_int_equal(world.scp.released, 1);
    fake_scp_fini(&world.scp);
}

static void a_limit_cancels_and_is_no_failure(void **state)
{
    (void)state;
    struct world world = { .scp.matches = 100000 };
    struct finding finding = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(keys, 1024);
    uint16_t status = 1;

    write_keys(&keys);
    const struct vt_find_request request = {
        .model = VT_MODEL_STUDY_ROOT, .identifier = keys.data, .size = keys.size, .limit = 3
    };
    open_world(&world);
    if (!vt_client_find(&world.client, &request, on_match, &finding, &status, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world.scp);
    assert_int_equal(finding.matches, 3);
    assert_int_equal(status, VT_STATUS_CANCEL);
    assert_int_equal(world.scp.cancels, 1);
    fake_scp_fini(&world.scp);
}

static void a_failure_status_is_told_with_its_comment(void **state)
{
    (void)state;
    struct world world = { .scp = { .final_status = 0xa900, .comment = "no level" } };
    struct finding finding = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(keys, 1024);
    uint16_t status = 1;

    write_keys(&keys);
    const struct vt_find_request request = { .model = VT_MODEL_PATIENT_ROOT,
                                             .identifier = keys.data,
                                             .size = keys.size };
    open_world(&world);
    assert_false(vt_client_find(&world.client, &request, on_match, &finding, &status, &err));
    assert_int_equal(err.code, VT_E_STATUS);
    assert_int_equal(err.dimse_status, 0xa900);
    assert_non_null(strstr(err.text, "no level"));
    assert_int_equal(status, 1);
    close_world(&world);
}

/* ---- get, move ---- */

struct sinking {
    unsigned begun, ended;
    struct vt_buf data;
    char transfer_syntax[VT_UID_MAX + 1];
    bool full; /* write() fails */
};

static bool sink_begin(void *context, const struct vt_command *command, const char *transfer_syntax,
                       struct vt_err *err)
{
    struct sinking *sinking = context;

    (void)err;
    assert_string_equal(command->sop_instance_uid, "1.2.3.4");
    snprintf(sinking->transfer_syntax, sizeof sinking->transfer_syntax, "%s", transfer_syntax);
    sinking->begun++;
    return true;
}

static bool sink_write(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct sinking *sinking = context;

    if (sinking->full)
        return vt_fail(err, VT_E_FULL, "disk full");
    return vt_buf_append(&sinking->data, bytes, size, err);
}

static uint16_t sink_end(void *context, bool complete)
{
    struct sinking *sinking = context;

    sinking->ended++;
    assert_int_equal(complete, !sinking->full);
    return VT_STATUS_SUCCESS;
}

static void get_one(struct sinking *sinking, struct world *world, struct vt_retrieve_counts *counts)
{
    static const char *const classes[] = { VT_UID_CT_IMAGE };
    const struct vt_sink sink = { sink_begin, sink_write, sink_end, sinking };
    VT_AUTO_BUF(keys, 1024);
    VT_AUTO_BUF(data_set, 4096);
    struct vt_err err = { 0 };

    write_keys(&keys);
    write_data_set(&data_set);
    world->scp.instance = data_set.data;
    world->scp.instance_size = data_set.size;
    const struct vt_retrieve_request request = { .model = VT_MODEL_STUDY_ROOT,
                                                 .identifier = keys.data,
                                                 .size = keys.size,
                                                 .sop_classes = classes,
                                                 .sop_class_count = 1 };
    vt_buf_init(&sinking->data, 4096);
    open_world(world);
    if (!vt_client_get(&world->client, &request, &sink, NULL, NULL, counts, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world->scp);
    if (!sinking->full) {
        assert_int_equal(sinking->data.size, data_set.size);
        assert_memory_equal(sinking->data.data, data_set.data, data_set.size);
    }
    vt_buf_fini(&sinking->data);
}

static void what_a_get_brings_is_handed_on_as_it_came(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sinking sinking = { 0 };
    struct vt_retrieve_counts counts;

    get_one(&sinking, &world, &counts);
    assert_int_equal(counts.status, 0);
    assert_int_equal(counts.completed, 1);
    assert_int_equal(sinking.begun, 1);
    assert_int_equal(sinking.ended, 1);
    assert_string_equal(sinking.transfer_syntax, VT_UID_EXPLICIT_LE);
    assert_int_equal(world.scp.sub_status, 0);
    fake_scp_fini(&world.scp);
}

static void a_sink_that_fails_answers_out_of_resources_and_the_get_goes_on(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sinking sinking = { .full = true };
    struct vt_retrieve_counts counts;

    get_one(&sinking, &world, &counts);
    assert_int_equal(sinking.ended, 1);
    assert_int_equal(world.scp.sub_status, VT_STATUS_OUT_OF_RESOURCES);
    fake_scp_fini(&world.scp);
}

static void a_move_tells_status_counters_and_what_failed(void **state)
{
    (void)state;
    struct world world = { .scp = { .final_status = 0xb000, .failed_uids = "1.2\\1.3" } };
    struct vt_retrieve_counts counts;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(keys, 1024);
    VT_AUTO_BUF(failed, 1024);

    write_keys(&keys);
    const struct vt_retrieve_request request = { .model = VT_MODEL_STUDY_ROOT,
                                                 .identifier = keys.data,
                                                 .size = keys.size,
                                                 .destination = "WS1",
                                                 .failed_uids = &failed };
    open_world(&world);
    if (!vt_client_move(&world.client, &request, NULL, NULL, &counts, &err))
        fail_msg("%s", err.text);
    fake_scp_stop(&world.scp);
    assert_string_equal(world.scp.destination, "WS1");
    assert_int_equal(counts.status, 0xb000);
    assert_int_equal(counts.completed, 1);
    assert_int_equal(counts.failed, 2);
    assert_int_equal(failed.size, 7);
    assert_memory_equal(failed.data, "1.2\\1.3", 7);
    fake_scp_fini(&world.scp);
}

static void a_destination_must_be_an_ae_title(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct vt_retrieve_counts counts;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(keys, 1024);

    write_keys(&keys);
    const struct vt_retrieve_request request = { .model = VT_MODEL_STUDY_ROOT,
                                                 .identifier = keys.data,
                                                 .size = keys.size,
                                                 .destination = "SEVENTEEN-LETTERS" };
    open_world(&world);
    assert_false(vt_client_move(&world.client, &request, NULL, NULL, &counts, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_is_timed_and_the_association_released),
        cmocka_unit_test(a_peer_that_does_not_answer_is_given_up_in_time),
        cmocka_unit_test(a_refused_service_is_told_with_the_reason),
        cmocka_unit_test(nobody_listening_is_refused_and_says_where),
        cmocka_unit_test(every_match_arrives_and_the_keys_as_they_were),
        cmocka_unit_test(a_limit_cancels_and_is_no_failure),
        cmocka_unit_test(a_failure_status_is_told_with_its_comment),
        cmocka_unit_test(what_a_get_brings_is_handed_on_as_it_came),
        cmocka_unit_test(a_sink_that_fails_answers_out_of_resources_and_the_get_goes_on),
        cmocka_unit_test(a_move_tells_status_counters_and_what_failed),
        cmocka_unit_test(a_destination_must_be_an_ae_title),
    };

    return cmocka_run_group_tests(tests, start_net, stop_net);
}
