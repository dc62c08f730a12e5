#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>

#include "archive/inside.h"
#include "tests/archive/objects.h"
#include "tests/support/torture.h"

static struct vt_receive_result send(struct vt_archive *archive, const struct object *object)
{
    struct vt_receive_result result = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    assert_non_null(receive);
    if (!object_send(receive, object, &result, &err))
        fail_msg("%04x %s", err.dimse_status, err.text);
    return result;
}

/* The data set in the store is the one that was sent, behind a group 0002 of ours. */
static void assert_stored(struct vt_archive *archive, const struct object *object)
{
    VT_AUTO_BUF(sent, 64 << 20);
    struct vt_index_entry entry;
    struct vt_stored stored;
    struct vt_err err = { 0 };
    bool found = false;

    assert_true(object_encode(object, &sent));
    assert_true(vt_index_lookup(vt_archive_index(archive), object->sop, &entry, &found, &err));
    assert_true(found);
    assert_true(vt_archive_open_instance(archive, &entry, &stored, &err));
    assert_int_equal(stored.data_set_size, sent.size);
    uint8_t *bytes = malloc(sent.size);
    assert_int_equal(pread(stored.fd, bytes, sent.size, (off_t)stored.data_set_offset),
                     (ssize_t)sent.size);
    assert_memory_equal(bytes, sent.data, sent.size);
    free(bytes);
    struct vt_part10 meta;
    assert_true(vt_part10_read_file(stored.fd, "stored", &meta, &err));
    assert_string_equal(meta.sop_instance_uid, object->sop);
    assert_string_equal(meta.source_ae_title, "CT1");
    vt_stored_close(&stored);
}

static void small_medium_and_large_objects_are_stored_as_received(void **state)
{
    static const size_t sizes[] = { 0, 1000, 62000, 65000, 66000, 525000, 1048576, 3500000 };
    struct vt_archive *archive = archive_at(*state);

    for (size_t i = 0; i < VT_COUNT(sizes); i++) {
        struct object object = OBJECT;
        char sop[65];
        snprintf(sop, sizeof sop, "1.2.3.1.1.%zu", i + 1);
        object.sop = sop;
        object.pixels = sizes[i];
        assert_int_equal(send(archive, &object).decision, VT_DECISION_STORED);
        assert_stored(archive, &object);
    }
    assert_int_equal(count_files(*state, "objects/2026/01/02/1.2.3.1/1.2.3.1.1"), VT_COUNT(sizes));
    assert_int_equal(count_files(*state, "staging"), 0);
    vt_archive_free(archive);
}

static void everything_is_there_after_a_clean_stop_and_nothing_is_replayed(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    send(archive, &object);
    vt_archive_free(archive);
    archive = archive_at(*state);
    assert_true(vt_journal_is_empty(archive->journal));
    assert_stored(archive, &object);
    vt_archive_free(archive);
}

static void a_uid_that_differs_from_the_commands_is_refused_with_its_tag(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct vt_receive_from from = { .sop_class_uid = VT_UID_CT_IMAGE,
                                    .sop_instance_uid = "1.2.9",
                                    .encoding = VT_EXPLICIT_LE,
                                    .transfer_syntax_uid = VT_UID_EXPLICIT_LE };
    struct vt_receive_result result;
    struct object object = OBJECT;
    VT_AUTO_BUF(bytes, 1 << 20);

    assert_true(object_encode(&object, &bytes));
    assert_true(vt_receive_begin(receive, &from, &err) &&
                vt_receive_write(receive, bytes.data, bytes.size, &err));
    assert_true(vt_receive_commit(receive, &result, &err));
    assert_int_equal(result.decision, VT_DECISION_REFUSED);
    assert_int_equal(result.status, 0xA900);
    assert_int_equal(result.offending[0], VT_TAG_SOP_INSTANCE_UID);
    assert_int_equal(count_files(*state, "objects"), 0);
    vt_receive_free(vt_take(&receive));
    vt_archive_free(archive);
}

static void a_data_set_that_ends_within_pixel_data_is_refused_as_truncated(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct object object = OBJECT;
    struct vt_receive_from from = { .sop_class_uid = object.sop_class,
                                    .sop_instance_uid = object.sop,
                                    .encoding = VT_EXPLICIT_LE,
                                    .transfer_syntax_uid = VT_UID_EXPLICIT_LE };
    struct vt_receive_result result;
    VT_AUTO_BUF(bytes, 4 << 20);

    object.pixels = 2000000;
    assert_true(object_encode(&object, &bytes));
    assert_true(vt_receive_begin(receive, &from, &err) &&
                vt_receive_write(receive, bytes.data, bytes.size - 100, &err));
    assert_true(vt_receive_commit(receive, &result, &err));
    assert_int_equal(result.decision, VT_DECISION_REFUSED);
    assert_int_equal(result.status, 0xC005);
    assert_int_equal(count_files(*state, "staging"), 0);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_STORED);
    vt_receive_free(vt_take(&receive));
    vt_archive_free(archive);
}

/* As an association does it with large PDVs: the bytes are put where the receiver wants them. */
static void objects_that_land_in_place_are_stored_as_received(void **state)
{
    static const size_t sizes[] = { 1000, 65000, 66000, 525000, 1048576, 3500000 };
    static const size_t pieces[] = { 100, 131066, 1 << 21 };
    struct vt_archive *archive = archive_at(*state);
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    for (size_t i = 0; i < VT_COUNT(sizes) * VT_COUNT(pieces); i++) {
        struct object object = OBJECT;
        struct vt_receive_result result;
        char sop[65];
        VT_AUTO_BUF(bytes, 8 << 20);
        snprintf(sop, sizeof sop, "1.2.3.1.2.%zu", i + 1);
        object.sop = sop;
        object.pixels = sizes[i / VT_COUNT(pieces)];
        struct vt_receive_from from = { .sop_class_uid = object.sop_class,
                                        .sop_instance_uid = sop,
                                        .encoding = VT_EXPLICIT_LE,
                                        .transfer_syntax_uid = VT_UID_EXPLICIT_LE,
                                        .calling_ae_title = "CT1" };
        assert_true(object_encode(&object, &bytes));
        assert_true(vt_receive_begin(receive, &from, &err));
        for (size_t at = 0, room; at < bytes.size; at += room) {
            size_t piece = pieces[i % VT_COUNT(pieces)];
            uint8_t *to = vt_receive_landing(receive, &room);
            assert_non_null(to);
            room = room < piece ? room : piece;
            room = room < bytes.size - at ? room : bytes.size - at;
            memcpy(to, bytes.data + at, room);
            assert_true(vt_receive_write(receive, to, room, &err));
        }
        assert_true(vt_receive_commit(receive, &result, &err));
        assert_int_equal(result.decision, VT_DECISION_STORED);
        assert_stored(archive, &object);
    }
    vt_receive_free(vt_take(&receive));
    vt_archive_free(archive);
}

/* Nobody looks whether a name is free in a folder that was made for arrivals: what someone laid
 * there stays all the same, beside the arrival when that is small; a large one is refused, and goes
 * beside it when it is sent again. */
static void a_foreign_file_in_a_folder_of_ours_is_not_overwritten(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct object first = OBJECT, second = OBJECT;
    struct vt_receive_result result;
    char path[4096], text[8] = "";

    assert_int_equal(send(archive, &first).decision, VT_DECISION_STORED);
    second.sop = "1.2.3.1.1.99";
    second.pixels = 100000;
    snprintf(path, sizeof path, "%s/objects/2026/01/02/1.2.3.1/1.2.3.1.1/1.2.3.1.1.99.dcm",
             (const char *)*state);
    vt_autoclose fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
    assert_int_equal(write(fd, "theirs", 6), 6);

    assert_false(object_send(receive, &second, &result, &err));
    assert_int_equal(err.dimse_status, 0xA701);
    assert_int_equal(send(archive, &second).decision, VT_DECISION_STORED);
    assert_stored(archive, &second);
    assert_int_equal(pread(fd, text, sizeof text, 0), 6);
    assert_string_equal(text, "theirs");
    vt_receive_free(vt_take(&receive));
    vt_archive_free(archive);
}

static void a_foreign_file_in_a_small_arrivals_place_is_put_aside(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object first = OBJECT, second = OBJECT;
    char path[4096], aside[4200], text[8] = "";

    assert_int_equal(send(archive, &first).decision, VT_DECISION_STORED);
    second.sop = "1.2.3.1.1.99";
    snprintf(path, sizeof path, "%s/objects/2026/01/02/1.2.3.1/1.2.3.1.1/1.2.3.1.1.99.dcm",
             (const char *)*state);
    snprintf(aside, sizeof aside, "%s.foreign-1", path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
    assert_int_equal(write(fd, "theirs", 6), 6);
    close(fd);

    assert_int_equal(send(archive, &second).decision, VT_DECISION_STORED);
    assert_stored(archive, &second);
    fd = open(aside, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text), 6);
    close(fd);
    assert_string_equal(text, "theirs");
    vt_archive_free(archive);
}

static void what_is_abandoned_leaves_nothing(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct vt_err err = { 0 };
    struct vt_receive *receive = vt_receive_new(archive, &err);
    struct object object = OBJECT;
    struct vt_receive_from from = { .sop_class_uid = object.sop_class,
                                    .sop_instance_uid = object.sop,
                                    .encoding = VT_EXPLICIT_LE,
                                    .transfer_syntax_uid = VT_UID_EXPLICIT_LE };
    VT_AUTO_BUF(bytes, 8 << 20);

    object.pixels = 4000000;
    assert_true(object_encode(&object, &bytes));
    assert_true(vt_receive_begin(receive, &from, &err) &&
                vt_receive_write(receive, bytes.data, bytes.size, &err));
    assert_int_equal(count_files(*state, "staging"), 1);
    vt_receive_free(receive);
    assert_int_equal(count_files(*state, "staging"), 0);
    vt_archive_free(archive);
}

struct sender {
    pthread_t thread;
    struct vt_archive *archive;
    unsigned number;
    bool same;
    unsigned stored, duplicates;
};

static void *send_many(void *context)
{
    struct sender *sender = context;
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(sender->archive, &err);

    for (unsigned i = 0; receive && i < 60; i++) {
        struct object object = OBJECT;
        struct vt_receive_result result = { 0 };
        char sop[65];
        snprintf(sop, sizeof sop, "1.2.3.1.1.%u.%u", sender->same ? 1 : sender->number + 1, i + 1);
        object.sop = sop;
        object.pixels = i % 4 == 0 ? 100000 : 500;
        if (!object_send(receive, &object, &result, &err) || result.status != 0)
            break;
        sender->stored += result.decision == VT_DECISION_STORED;
        sender->duplicates += result.decision == VT_DECISION_DUPLICATE;
    }
    return NULL;
}

static void send_from(struct vt_archive *archive, struct sender *senders, unsigned count, bool same)
{
    for (unsigned i = 0; i < count; i++) {
        senders[i] = (struct sender){ .archive = archive, .number = i, .same = same };
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(senders[i].thread, NULL);
}

static void sixteen_associations_at_once_lose_nothing_across_segments(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct sender senders[16];
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    send_from(archive, senders, 16, false);
    assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
    assert_int_equal(counts.instances, 16 * 60);
    assert_int_equal(count_files(*state, "objects"), 16 * 60);
    vt_archive_free(archive);
}

static void the_same_instances_from_four_at_once_are_stored_once(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct sender senders[4];
    unsigned stored = 0, duplicates = 0;

    send_from(archive, senders, 4, true);
    for (unsigned i = 0; i < 4; i++) {
        stored += senders[i].stored;
        duplicates += senders[i].duplicates;
    }
    assert_int_equal(stored, 60);
    assert_int_equal(duplicates, 3 * 60);
    assert_int_equal(count_files(*state, "objects"), 60);
    vt_archive_free(archive);
}

static void a_second_opener_is_told_who_holds_the_archive(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct vt_archive_options options = { .path = *state };
    struct vt_err err = { 0 };
    char pid[32];

    assert_null(vt_archive_open(&options, &err));
    assert_int_equal(err.code, VT_E_BUSY);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    vt_archive_free(archive);
}

static void under_the_stop_mark_nothing_is_taken(void **state)
{
    struct vt_archive_options options = {
        .path = *state, .journal_segment = 1 << 20, .stop_free = UINT64_MAX, .warn_free = UINT64_MAX
    };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);
    struct vt_receive *receive = vt_receive_new(archive, &err);
    struct object object = OBJECT;
    struct vt_receive_result result;

    assert_false(object_send(receive, &object, &result, &err));
    assert_int_equal(err.dimse_status, 0xA700);
    assert_non_null(strstr(err.text, "volume full"));
    vt_receive_free(receive);
    vt_archive_free(archive);
}

static void a_file_is_imported_with_the_uids_of_its_data_set(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;
    struct vt_file_meta meta = { VT_UID_CT_IMAGE, "1.2.3.4.5.6.7", VT_UID_EXPLICIT_LE,
                                 NULL }; /* another UID than within */
    struct vt_receive_result result;
    struct vt_err err = { 0 };
    struct vt_receive *receive = vt_receive_new(archive, &err);
    VT_AUTO_BUF(file, 4 << 20);
    char path[300];

    for (int large = 0; large < 2; large++) {
        object.pixels = large ? 2500000 : 100;
        object.sop = large ? "1.2.3.1.1.2" : "1.2.3.1.1.1";
        vt_buf_reset(&file);
        assert_true(vt_write_file_meta(&file, &meta, &err) && object_encode(&object, &file));
        snprintf(path, sizeof path, "%s/a.dcm", (const char *)*state);
        FILE *out = fopen(path, "w");
        assert_int_equal(fwrite(file.data, 1, file.size, out), file.size);
        fclose(out);
        assert_true(vt_archive_import_file(archive, receive, path, &result, &err));
        assert_int_equal(result.decision, VT_DECISION_STORED);
        assert_string_equal(result.sop_uid, object.sop);
    }
    vt_receive_free(receive);
    vt_archive_free(archive);
}

static bool work(void *context, struct vt_err *err)
{
    static unsigned run;
    VT_AUTO(vt_receive) receive = vt_receive_new(context, err);
    struct vt_receive_result result;
    struct object object = OBJECT;
    VT_AUTO_BUF(bytes, 1 << 20);
    char sop[65];

    if (!receive)
        return false;
    snprintf(sop, sizeof sop, "1.2.3.1.1.9.%u", ++run);
    object.sop = sop;
    object.pixels = 70000;
    return object_send(receive, &object, &result, err);
}

static void receiving_survives_every_failing_allocation(void **state)
{
    struct vt_archive *archive = archive_at(*state);

    vt_torture(work, archive);
    assert_int_equal(count_files(*state, "staging"), 0);
    vt_archive_free(archive);
}

static bool open_and_store(void *context, struct vt_err *err)
{
    struct vt_archive_options options = {
        .path = context, .journal_segment = 1 << 20, .warn_free = 1, .stop_free = 1
    };
    VT_AUTO(vt_archive) archive = vt_archive_open(&options, err);
    bool ok = archive && work(archive, err);

    return ok;
}

static void opening_survives_every_failing_allocation(void **state)
{
    vt_torture(open_and_store, *state);
    struct vt_archive *archive = archive_at(*state);
    assert_non_null(archive);
    vt_archive_free(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(small_medium_and_large_objects_are_stored_as_received),
        FOLDER_TEST(everything_is_there_after_a_clean_stop_and_nothing_is_replayed),
        FOLDER_TEST(a_uid_that_differs_from_the_commands_is_refused_with_its_tag),
        FOLDER_TEST(a_data_set_that_ends_within_pixel_data_is_refused_as_truncated),
        FOLDER_TEST(objects_that_land_in_place_are_stored_as_received),
        FOLDER_TEST(a_foreign_file_in_a_folder_of_ours_is_not_overwritten),
        FOLDER_TEST(a_foreign_file_in_a_small_arrivals_place_is_put_aside),
        FOLDER_TEST(what_is_abandoned_leaves_nothing),
        FOLDER_TEST(sixteen_associations_at_once_lose_nothing_across_segments),
        FOLDER_TEST(the_same_instances_from_four_at_once_are_stored_once),
        FOLDER_TEST(a_second_opener_is_told_who_holds_the_archive),
        FOLDER_TEST(under_the_stop_mark_nothing_is_taken),
        FOLDER_TEST(a_file_is_imported_with_the_uids_of_its_data_set),
        FOLDER_TEST(receiving_survives_every_failing_allocation),
        FOLDER_TEST(opening_survives_every_failing_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
