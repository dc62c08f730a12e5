/* The services we ask of others, against an SCP that does what a test wants. */
#include "scu/client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/scu/fake_scp.h"

#define HTJ2K "1.2.840.10008.1.2.4.201"
#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define MR_IMAGE "1.2.840.10008.5.1.4.1.1.4"

struct world {
    struct fake_scp scp;
    struct vt_peer peer;
    struct vt_client client;
};

static void open_world(struct world *world)
{
    struct vt_err err = { 0 };

    if (!fake_scp_start(&world->scp, &err))
        fail_msg("%s", err.text);
    world->peer = (struct vt_peer){
        .name = "FAKE", .ae_title = "FAKE", .host = "127.0.0.1", .port = world->scp.port
    };
    world->client = (struct vt_client){ .calling_ae_title = "TESTER",
                                        .peer = &world->peer,
                                        .timeout = 5 * VT_NS_PER_S };
}

static void close_world(struct world *world)
{
    fake_scp_stop(&world->scp);
    fake_scp_fini(&world->scp);
}

/* ---- echo ---- */

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

/* A small CT data set, Explicit VR LE. */
static void write_data_set(struct vt_buf *out)
{
    struct vt_writer writer = { .buf = out, .encoding = VT_EXPLICIT_LE };
    const uint8_t pixels[64] = { 1, 2, 3 };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&writer, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE, &err) &&
                vt_write_text(&writer, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.4", &err) &&
                vt_write_text(&writer, VT_TAG_PATIENT_NAME, "PN", "Doe^John", &err) &&
                vt_write_us(&writer, VT_TAG_ROWS, 8, &err) &&
                vt_write_us(&writer, VT_TAG_COLUMNS, 8, &err) &&
                vt_write_us(&writer, VT_TAG_BITS_ALLOCATED, 8, &err) &&
                vt_write_bytes(&writer, VT_TAG_PIXEL_DATA, "OB", pixels, sizeof pixels, &err));
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
    struct sending sending = { .count = 2,
                               .items = { { VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE },
                                          { VT_UID_CT_IMAGE, HTJ2K } } };
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

static void statuses_of_the_peer_are_told_with_their_comment(void **state)
{
    (void)state;
    struct world world = { .scp = { .store_status = { 0x0000, 0xb000, 0xa700, 0x0111 },
                                    .store_status_count = 4,
                                    .comment = "volume full" } };
    struct sending sending = { .count = 4 };
    struct vt_err err = { 0 };

    for (size_t i = 0; i < 4; i++)
        sending.items[i] =
            (struct item){ .sop_class = VT_UID_CT_IMAGE, .transfer_syntax = VT_UID_EXPLICIT_LE };
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

    for (size_t i = 0; i < 4; i++)
        sending.items[i] =
            (struct item){ .sop_class = VT_UID_CT_IMAGE, .transfer_syntax = VT_UID_EXPLICIT_LE };
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

    for (size_t i = 0; i < 8; i++)
        sending.items[i] =
            (struct item){ .sop_class = VT_UID_CT_IMAGE, .transfer_syntax = VT_UID_EXPLICIT_LE };
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

    for (size_t i = 0; i < 4; i++)
        sending.items[i] =
            (struct item){ .sop_class = VT_UID_CT_IMAGE, .transfer_syntax = VT_UID_EXPLICIT_LE };
    open_world(&world);
    assert_false(store(&world, &sending, NULL, &err));
    fake_scp_stop(&world.scp);
    assert_int_equal(err.code, VT_E_CANCELLED);
    assert_int_equal(world.scp.stored_count, 2);
    assert_int_equal(world.scp.released, 1);
    fake_scp_fini(&world.scp);
}

/* ---- find ---- */

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

static int start_net(void **state)
{
    const struct vt_net_options options = { 0 };
    struct vt_err err = { 0 };

    (void)state;
    return vt_net_start(&options, &err) ? 0 : -1;
}

static int stop_net(void **state)
{
    (void)state;
    vt_net_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_is_timed_and_the_association_released),
        cmocka_unit_test(a_peer_that_does_not_answer_is_given_up_in_time),
        cmocka_unit_test(a_refused_service_is_told_with_the_reason),
        cmocka_unit_test(nobody_listening_is_refused_and_says_where),
        cmocka_unit_test(instances_go_out_byte_for_byte_in_their_stored_syntax),
        cmocka_unit_test(
            an_uncompressed_instance_is_re_encoded_for_a_peer_that_takes_only_implicit),
        cmocka_unit_test(statuses_of_the_peer_are_told_with_their_comment),
        cmocka_unit_test(an_instance_without_a_class_does_not_cost_the_others_their_association),
        cmocka_unit_test(what_cannot_be_read_does_not_stop_the_rest),
        cmocka_unit_test(a_lost_association_costs_one_instance_and_is_opened_again),
        cmocka_unit_test(a_peer_that_always_aborts_is_given_up),
        cmocka_unit_test(done_can_stop_the_sending),
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
