/* Objects in private transfer syntaxes, read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "archive/admin.h"
#include "dicom/dataset.h"
#include "tests/archive/objects.h"

#define PRIVATE "1.2.840.113619.5.2"
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

static const char *const public_syntax[] = { [VT_IMPLICIT_LE] = VT_UID_IMPLICIT_LE,
                                             [VT_EXPLICIT_LE] = VT_UID_EXPLICIT_LE,
                                             [VT_EXPLICIT_BE] = VT_UID_EXPLICIT_BE,
                                             [VT_DEFLATED_LE] = VT_UID_DEFLATED_LE };

static struct vt_archive *open_with(const char *folder, const struct vt_private_syntax *syntaxes,
                                    size_t count)
{
    struct vt_archive_options options = { .path = folder,
                                          .journal_segment = 1 << 20,
                                          .warn_free = 1,
                                          .stop_free = 1,
                                          .private_syntaxes = syntaxes,
                                          .private_syntax_count = count };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);

    if (!archive)
        fail_msg("%s", err.text);
    return archive;
}

static void store(struct vt_archive *archive, enum vt_encoding encoding)
{
    struct object object = OBJECT;
    struct vt_receive_from from = { .sop_class_uid = object.sop_class,
                                    .sop_instance_uid = object.sop,
                                    .transfer_syntax_uid = PRIVATE,
                                    .encoding = encoding,
                                    .calling_ae_title = "CT1",
                                    .host = "127.0.0.1" };
    struct vt_receive_result result;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(plain, 1 << 20);
    VT_AUTO_BUF(bytes, 1 << 20);
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    assert_true(object_encode(&object, &plain));
    VT_AUTO(vt_dataset) data_set = vt_dataset_parse(plain.data, plain.size, object.syntax, &err);
    assert_non_null(data_set);
    OK(vt_dataset_encode(data_set, public_syntax[encoding], &bytes, &err));
    OK(vt_receive_begin(receive, &from, &err));
    OK(vt_receive_write(receive, bytes.data, bytes.size, &err));
    OK(vt_receive_commit(receive, &result, &err));
    if (result.status != 0)
        fail_msg("%04X %s in encoding %d", result.status, result.comment, encoding);
}

static bool look_up(struct vt_archive *archive, struct vt_index_entry *out)
{
    struct vt_err err = { 0 };
    bool found = false;

    OK(vt_index_lookup(vt_archive_index(archive), OBJECT.sop, out, &found, &err));
    return found;
}

static bool count_rows(void *context, json_t *row)
{
    (void)row;
    ++*(unsigned *)context;
    return true;
}

static void reindex(struct vt_archive *archive, unsigned *out_faults)
{
    struct vt_admin admin = {
        .archive = archive, .who = "test", .row = count_rows, .context = out_faults
    };
    struct vt_err err = { 0 };
    uint64_t instances = 0;

    *out_faults = 0;
    OK(vt_admin_reindex(&admin, &instances, &err));
}

static void a_reindex_reads_private_syntaxes_as_they_came(void **state)
{
    (void)state;
    for (enum vt_encoding encoding = VT_IMPLICIT_LE; encoding <= VT_DEFLATED_LE; encoding++)
        for (size_t configured = 0; configured < 2; configured++) {
            const struct vt_private_syntax syntax = { PRIVATE, encoding, false };
            const char *folder = folder_new();
            struct vt_archive *archive = open_with(folder, &syntax, configured);
            struct vt_index_entry before, after;
            unsigned faults;

            store(archive, encoding);
            assert_true(look_up(archive, &before));
            assert_true(before.has_pixels);
            reindex(archive, &faults);
            assert_int_equal(faults, 0);
            assert_true(look_up(archive, &after));
            assert_true(after.has_pixels);
            assert_int_equal(after.pixel_offset, before.pixel_offset);
            assert_int_equal(after.pixel_length, before.pixel_length);
            assert_memory_equal(&after.pixel_digest, &before.pixel_digest,
                                sizeof after.pixel_digest);
            vt_archive_free(archive);
            folder_remove(folder);
        }
}

static void what_the_configuration_says_goes_before_a_guess(void **state)
{
    (void)state;
    const struct vt_private_syntax wrong = { PRIVATE, VT_DEFLATED_LE, false };
    const char *folder = folder_new();
    struct vt_archive *archive = open_with(folder, &wrong, 1);
    struct vt_index_entry entry;
    unsigned faults;

    store(archive, VT_IMPLICIT_LE);
    reindex(archive, &faults);
    assert_int_equal(faults, 1);
    assert_false(look_up(archive, &entry));
    vt_archive_free(archive);
    folder_remove(folder);
}

static void a_correction_reaches_a_private_syntax(void **state)
{
    (void)state;
    static const char *const words[] = { "PatientName=Roe^Mary" };
    const char *folder = folder_new();
    struct vt_archive *archive = open_with(folder, NULL, 0);
    struct vt_admin admin = { .archive = archive, .who = "test" };
    struct vt_index_entry entry;
    struct vt_stored stored;
    struct vt_err err = { 0 };
    int64_t id;
    char head[512] = "";

    store(archive, VT_IMPLICIT_LE);
    OK(vt_admin_patient_correct(&admin, "P1", words, 1, "test", &id, &err));
    assert_true(look_up(archive, &entry));
    OK(vt_archive_open_instance(archive, &entry, &stored, &err));
    assert_true(stored.corrected);
    OK(vt_archive_outgoing(archive, &stored, &err));
    ssize_t size = pread(stored.fd, head, sizeof head, (off_t)stored.data_set_offset);
    assert_true(size > 0 && memmem(head, (size_t)size, "Roe^Mary", 8) != NULL);
    assert_null(memmem(head, 64, "UI", 2)); /* still without value representations */
    vt_stored_close(&stored);
    vt_archive_free(archive);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reindex_reads_private_syntaxes_as_they_came),
        cmocka_unit_test(what_the_configuration_says_goes_before_a_guess),
        cmocka_unit_test(a_correction_reaches_a_private_syntax),
    };

    return cmocka_run_group_tests_name("syntax", tests, NULL, NULL);
}
