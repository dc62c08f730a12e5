/* The same UID again in another encoding: what is taken for the same, and what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dicom/dataset.h"
#include "tests/archive/objects.h"

#define RLE "1.2.840.10008.1.2.5"
#define JPEG_LS "1.2.840.10008.1.2.4.80"
#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define JPEG_2000 "1.2.840.10008.1.2.4.91"
#define HTJ2K "1.2.840.10008.1.2.4.201"
#define PRIVATE "1.2.840.113619.5.2"
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

/* What is added to the object before it is encoded. */
struct addition {
    uint32_t tag;
    const char *vr;
    const void *value;
    size_t size;
};

static struct vt_dataset *make(const struct object *object, const struct addition *addition)
{
    VT_AUTO_BUF(bytes, 16 << 20);
    struct vt_err err = { 0 };

    assert_true(object_encode(object, &bytes));
    VT_AUTO(vt_dataset) made = vt_dataset_parse(bytes.data, bytes.size, object->syntax, &err);
    assert_non_null(made);
    if (addition)
        OK(vt_dataset_put_bytes(made, addition->tag, addition->vr, addition->value, addition->size,
                                &err));
    return vt_take(&made);
}

static void encode(const struct object *object, const struct addition *addition, const char *syntax,
                   struct vt_buf *out)
{
    VT_AUTO(vt_dataset) made = make(object, addition);
    struct vt_err err = { 0 };

    OK(vt_dataset_transcode(made, syntax, &err));
    OK(vt_dataset_encode(made, syntax, out, &err));
}

static struct vt_receive_result send_bytes(struct vt_archive *archive, const struct object *object,
                                           const char *syntax, const struct vt_buf *bytes)
{
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(syntax);
    struct vt_receive_from from = { .sop_class_uid = object->sop_class,
                                    .sop_instance_uid = object->sop,
                                    .transfer_syntax_uid = syntax,
                                    .encoding = known ? known->encoding : VT_EXPLICIT_LE,
                                    .encapsulated = known && known->encapsulated };
    struct vt_receive_result result = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    OK(vt_receive_begin(receive, &from, &err));
    OK(vt_receive_write(receive, bytes->data, bytes->size, &err));
    OK(vt_receive_commit(receive, &result, &err));
    return result;
}

static struct vt_receive_result send_as(struct vt_archive *archive, const struct object *object,
                                        const struct addition *addition, const char *syntax)
{
    VT_AUTO_BUF(bytes, 16 << 20);

    encode(object, addition, syntax, &bytes);
    return send_bytes(archive, object, syntax, &bytes);
}

/* Frames that nobody decodes, called by that syntax. */
static struct vt_receive_result send_frame(struct vt_archive *archive, const struct object *object,
                                           const char *syntax, const char *frame)
{
    VT_AUTO(vt_dataset) made = make(object, NULL);
    VT_AUTO_BUF(bytes, 16 << 20);
    const void *frames[] = { frame };
    const size_t sizes[] = { strlen(frame) };
    struct vt_err err = { 0 };

    OK(vt_dataset_put_frames(made, syntax, frames, sizes, 1, &err));
    OK(vt_dataset_encode(made, syntax, &bytes, &err));
    return send_bytes(archive, object, syntax, &bytes);
}

static void expect(struct vt_receive_result result, enum vt_decision decision, uint16_t status)
{
    if (result.decision != decision || result.status != status)
        fail_msg("decision %d %04X %s, expected %d %04X", result.decision, result.status,
                 result.comment, decision, status);
}

static void the_same_pixels_in_every_lossless_encoding_keep_the_first_copy(void **state)
{
    static const char *const syntaxes[] = { VT_UID_IMPLICIT_LE, VT_UID_EXPLICIT_BE,
                                            VT_UID_DEFLATED_LE, RLE, JPEG_LS };
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    expect(send_as(archive, &object, NULL, VT_UID_EXPLICIT_LE), VT_DECISION_STORED, 0);
    for (size_t i = 0; i < VT_COUNT(syntaxes); i++)
        expect(send_as(archive, &object, NULL, syntaxes[i]), VT_DECISION_DUPLICATE, 0);
    assert_int_equal(count_files(*state, "objects"), 1);
    object.shade = 9;
    expect(send_as(archive, &object, NULL, RLE), VT_DECISION_QUARANTINED, 0xC010);
    vt_archive_free(archive);
}

/* The last fragment two zero bytes longer: the decoder does not mind. */
static void lengthen(struct vt_buf *bytes)
{
    static const uint8_t item[] = { 0xFE, 0xFF, 0x00, 0xE0 }, zeroes[2];
    uint8_t end[8];
    struct vt_err err = { 0 };
    size_t at = bytes->size - sizeof end;

    memcpy(end, bytes->data + at, sizeof end);
    bytes->size = at;
    OK(vt_buf_append(bytes, zeroes, sizeof zeroes, &err));
    OK(vt_buf_append(bytes, end, sizeof end, &err));
    while (memcmp(bytes->data + at, item, sizeof item) != 0)
        at--;
    bytes->data[at + 4] = (uint8_t)(bytes->data[at + 4] + 2);
    assert_true(bytes->data[at + 4] >= 2);
}

static void another_encoder_of_the_same_syntax_makes_no_other_pixels(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;
    VT_AUTO_BUF(bytes, 16 << 20);

    encode(&object, NULL, RLE, &bytes);
    expect(send_bytes(archive, &object, RLE, &bytes), VT_DECISION_STORED, 0);
    lengthen(&bytes);
    expect(send_bytes(archive, &object, RLE, &bytes), VT_DECISION_DUPLICATE, 0);
    vt_archive_free(archive);
}

static void what_cannot_be_decoded_becomes_a_version(void **state)
{
    static const char *const syntaxes[] = { JPEG_BASELINE, JPEG_2000, HTJ2K };
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    expect(send_as(archive, &object, NULL, VT_UID_EXPLICIT_LE), VT_DECISION_STORED, 0);
    for (size_t i = 0; i < VT_COUNT(syntaxes); i++)
        expect(send_frame(archive, &object, syntaxes[i], "no image at all."), VT_DECISION_VERSION,
               0);
    assert_int_equal(count_files(*state, "quarantine"), 0);
    expect(send_frame(archive, &object, HTJ2K, "nor is this one."), VT_DECISION_VERSION, 0);
    vt_archive_free(archive);
}

static void a_private_syntax_becomes_a_version(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;
    VT_AUTO_BUF(bytes, 16 << 20);

    encode(&object, NULL, VT_UID_EXPLICIT_LE, &bytes);
    expect(send_bytes(archive, &object, VT_UID_EXPLICIT_LE, &bytes), VT_DECISION_STORED, 0);
    expect(send_bytes(archive, &object, PRIVATE, &bytes), VT_DECISION_VERSION, 0);
    vt_archive_free(archive);
}

static void without_pixels_the_encoding_does_not_count_either(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    object.pixels = 0;
    expect(send_as(archive, &object, NULL, VT_UID_EXPLICIT_LE), VT_DECISION_STORED, 0);
    expect(send_as(archive, &object, NULL, VT_UID_IMPLICIT_LE), VT_DECISION_DUPLICATE, 0);
    object.description = "Abdomen";
    expect(send_as(archive, &object, NULL, VT_UID_IMPLICIT_LE), VT_DECISION_VERSION, 0);
    vt_archive_free(archive);
}

/* Long values and elements behind the ones that are indexed are no less part of the instance. */
static void what_differs_anywhere_is_kept(void **state)
{
    static uint8_t long_one[200000], long_other[200000];
    const struct addition pairs[][2] = {
        { { VT_TAG(0x5400, 0x1010), "OB", "wave", 4 },
          { VT_TAG(0x5400, 0x1010), "OB", "WAVE", 4 } },
        { { VT_TAG(0x0042, 0x0011), "OB", long_one, sizeof long_one },
          { VT_TAG(0x0042, 0x0011), "OB", long_other, sizeof long_other } },
        { { VT_TAG(0xFFFC, 0xFFFC), "OB", "tail", 4 },
          { VT_TAG(0xFFFC, 0xFFFC), "OB", "TAIL", 4 } },
    };

    long_other[150000] = 1;
    for (size_t i = 0; i < VT_COUNT(pairs); i++)
        for (size_t pixels = 0; pixels <= 1000; pixels += 1000) {
            const char *folder = folder_new();
            struct vt_archive *archive = archive_at(folder);
            struct object object = OBJECT;
            object.pixels = pixels;
            expect(send_as(archive, &object, &pairs[i][0], VT_UID_EXPLICIT_LE), VT_DECISION_STORED,
                   0);
            expect(send_as(archive, &object, &pairs[i][0], VT_UID_IMPLICIT_LE),
                   VT_DECISION_DUPLICATE, 0);
            expect(send_as(archive, &object, &pairs[i][1], VT_UID_IMPLICIT_LE), VT_DECISION_VERSION,
                   0);
            vt_archive_free(archive);
            folder_remove(folder);
        }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(the_same_pixels_in_every_lossless_encoding_keep_the_first_copy),
        FOLDER_TEST(another_encoder_of_the_same_syntax_makes_no_other_pixels),
        FOLDER_TEST(what_cannot_be_decoded_becomes_a_version),
        FOLDER_TEST(a_private_syntax_becomes_a_version),
        FOLDER_TEST(without_pixels_the_encoding_does_not_count_either),
        FOLDER_TEST(what_differs_anywhere_is_kept),
    };

    return cmocka_run_group_tests_name("encodings", tests, NULL, NULL);
}
