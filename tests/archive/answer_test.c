#include "tests/archive/identifier.h"

#include "dicom/text.h"

#include "tests/support/torture.h"

static const struct vt_query_rules study_root = { .model = VT_MODEL_STUDY_ROOT };

/* "tag=value" of each element, in order, joined by ';'. Sequences as [items]. */
static void describe(struct vt_walk *walk, char *out, size_t room)
{
    struct vt_element element;
    struct vt_err err = { 0 };
    bool more = true;

    while (vt_walk_next(walk, &element, &more, &err) && more) {
        char text[200];
        size_t used = strlen(out);
        snprintf(out + used, room - used, "%s%08x=", used && out[used - 1] != '[' ? ";" : "",
                 element.tag);
        if (memcmp(element.vr, "SQ", 2) == 0) {
            struct vt_walk items, item_walk;
            struct vt_element item;
            vt_walk_items(&items, &element, walk->encoding);
            while (vt_walk_next(&items, &item, &more, &err) && more) {
                strncat(out, "[", room - strlen(out) - 1);
                vt_walk_item(&item_walk, &item, walk->encoding);
                describe(&item_walk, out, room);
                strncat(out, "]", room - strlen(out) - 1);
            }
        } else {
            vt_element_text(&element, text, sizeof text);
            strncat(out, text, room - strlen(out) - 1);
        }
    }
    assert_false(vt_failed(&err));
}

static const char *answer(enum vt_level level, const struct vt_query_rules *rules,
                          const char *const *words, const struct vt_row *row,
                          enum vt_encoding encoding)
{
    static char text[4096];
    const struct vt_answer_rules answers = { .retrieve_ae_title = "VITRINE", .encoding = encoding };
    struct vt_err err = { 0 };
    struct vt_walk walk;
    size_t count = 0;
    VT_AUTO_BUF(out, 1 << 16);

    while (words[count])
        count++;
    VT_AUTO(vt_query) query = vt_query_from_words(level, words, count, rules, &err);
    assert_non_null(query);
    if (!vt_answer_write(query, row, &answers, &out, &err))
        fail_msg("%s", err.text);
    assert_false(vt_failed(&err));
    assert_true(vt_element_check(out.data, out.size, encoding, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    text[0] = '\0';
    vt_walk_init(&walk, out.data, out.size, encoding);
    describe(&walk, text, sizeof text);
    return text;
}

static void only_what_was_asked_for_is_answered_in_order(void **state)
{
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    const char *const words[] = { "NumberOfStudyRelatedInstances",
                                  "PatientName",
                                  "StudyDate",
                                  "ModalitiesInStudy",
                                  "AccessionNumber",
                                  NULL };
    const char *expected = "00080020=20200101;00080050=;00080052=STUDY;00080054=VITRINE;00080056="
                           "ONLINE;00080061=CT\\SR;"
                           "00100010=Smith^John;0020000d=1.2;00201208=30";

    (void)state;
    stored(&at[0], VT_TAG_PATIENT_NAME, "PN", "Smith^John");
    stored(&at[0], VT_TAG_PATIENT_ID, "LO", "P1");
    stored(&at[1], VT_TAG_STUDY_DATE, "DA", "20200101");
    stored(&at[1], VT_TAG_STUDY_DESCRIPTION, "LO", "not asked for");
    struct vt_row row = row_of(VT_LEVEL_STUDY, at);
    assert_string_equal(answer(VT_LEVEL_STUDY, &study_root, words, &row, VT_EXPLICIT_LE), expected);
    assert_string_equal(answer(VT_LEVEL_STUDY, &study_root, words, &row, VT_IMPLICIT_LE), expected);
    vt_buf_fini(&at[0]);
    vt_buf_fini(&at[1]);
}

static void unique_keys_down_to_the_level_are_always_there(void **state)
{
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    const struct vt_query_rules patient_root = { .model = VT_MODEL_PATIENT_ROOT };
    const char *const words[] = { "SOPClassUID", "AvailableTransferSyntaxUID", NULL };

    (void)state;
    stored(&at[0], VT_TAG_PATIENT_ID, "LO", "P1");
    struct vt_row row = row_of(VT_LEVEL_IMAGE, at);
    assert_string_equal(answer(VT_LEVEL_IMAGE, &patient_root, words, &row, VT_EXPLICIT_LE),
                        "00080016=" VT_UID_CT_IMAGE
                        ";00080018=1.2.3.4;00080052=IMAGE;00080054=VITRINE;00080056=ONLINE;"
                        "00083002=" VT_UID_IMPLICIT_LE "\\" VT_UID_EXPLICIT_LE
                        ";00100020=P1;0020000d=1.2;0020000e=1.2.3");
    vt_buf_fini(&at[0]);
}

static void make_specimens(struct vt_buf *at)
{
    static const char *const names[] = { "S1", "S2" };
    struct vt_err err = { 0 };
    size_t sequence, item;

    at->limit = 4096;
    assert_true(
        vt_attributes_sequence_begin(at, VT_TAG_SPECIMEN_DESCRIPTION_SEQUENCE, &sequence, &err));
    for (size_t i = 0; i < 2; i++) {
        assert_true(vt_attributes_item_begin(at, &item, &err));
        assert_true(vt_attributes_append(at, 0x00400551, "LO", names[i], 2, &err));
        assert_true(vt_attributes_append(at, 0x00400554, "UI", "1.9", 3, &err));
        vt_attributes_close(at, item);
    }
    vt_attributes_close(at, sequence);
}

static void matching_items_are_answered_with_the_requested_attributes(void **state)
{
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    const char *const one[] = { "SpecimenDescriptionSequence.SpecimenIdentifier=S2", NULL };
    const char *const all[] = { "SpecimenDescriptionSequence", NULL };

    (void)state;
    make_specimens(&at[3]);
    struct vt_row row = row_of(VT_LEVEL_IMAGE, at);
    for (int i = 0; i < 2; i++) {
        enum vt_encoding encoding = i ? VT_IMPLICIT_LE : VT_EXPLICIT_LE;
        assert_non_null(strstr(answer(VT_LEVEL_IMAGE, &study_root, one, &row, encoding),
                               "00400560=[00400551=S2]"));
        assert_non_null(strstr(answer(VT_LEVEL_IMAGE, &study_root, all, &row, encoding),
                               "00400560=[00400551=S1;00400554=1.9][00400551=S2;00400554=1.9]"));
    }
    vt_buf_fini(&at[3]);
}

/* ---- character sets of answers (reference 6.5): request, configured, what is stored, what is used
 * ---- */

static void the_character_set_of_an_answer_follows_the_request_then_the_peer_then_utf8(void **state)
{
    static const struct {
        const char *request, *peer, *stored, *used;
    } rows[] = {
        { "ISO_IR 100", NULL, "Smith", "" },
        { "ISO_IR 100", NULL, "Müller", "ISO_IR 100" },
        { "ISO_IR 100", NULL, "Люк", "ISO_IR 192" },
        { "ISO_IR 100", "ISO_IR 144", "Люк", "ISO_IR 144" },
        { "ISO_IR 144", NULL, "Люк", "ISO_IR 144" },
        { "ISO_IR 101", NULL, "Dvořák", "ISO_IR 101" },
        { "ISO_IR 109", NULL, "Ħal", "ISO_IR 109" },
        { "ISO_IR 110", NULL, "Šķēle", "ISO_IR 110" },
        { "ISO_IR 126", NULL, "Διονυσιος", "ISO_IR 126" },
        { "ISO_IR 127", NULL, "قباني", "ISO_IR 127" },
        { "ISO_IR 138", NULL, "שרון", "ISO_IR 138" },
        { "ISO_IR 148", NULL, "Çavuşoğlu", "ISO_IR 148" },
        { "ISO_IR 166", NULL, "สมชาย", "ISO_IR 166" },
        { "ISO_IR 13", NULL, "ﾔﾏﾀﾞ", "ISO_IR 13" },
        { "GB18030", NULL, "王^小东", "GB18030" },
        { "GBK", NULL, "王^小东", "GBK" },
        { "\\ISO 2022 IR 87", NULL, "Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87" },
        { "\\ISO 2022 IR 149", NULL, "Hong^Gildong=洪^吉洞=홍^길동", "\\ISO 2022 IR 149" },
        { "", "ISO_IR 100", "Müller", "ISO_IR 100" },
        { "", NULL, "Müller", "ISO_IR 192" },
        { "NO_SUCH_SET", NULL, "Müller", "ISO_IR 192" },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct vt_buf at[VT_LEVELS] = { { 0 } };
        struct vt_answer_rules rules = { .retrieve_ae_title = "VITRINE",
                                         .peer_charset = rows[i].peer,
                                         .encoding = VT_EXPLICIT_LE };
        struct vt_element element;
        struct vt_err err = { 0 };
        char used[80] = "";
        VT_AUTO_BUF(request, 1024);
        VT_AUTO_BUF(out, 4096);
        VT_AUTO_BUF(back, 4096);

        if (rows[i].request[0])
            with(&request, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", rows[i].request);
        with(&request, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
        with(&request, VT_TAG_PATIENT_NAME, "PN", "");
        stored(&at[0], VT_TAG_PATIENT_NAME, "PN", rows[i].stored);
        struct vt_row row = row_of(VT_LEVEL_STUDY, at);
        VT_AUTO(vt_query) query = parse(&request, &study_root, &err);
        assert_true(vt_answer_write(query, &row, &rules, &out, &err));
        if (vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_SPECIFIC_CHARACTER_SET,
                            &element))
            vt_element_text(&element, used, sizeof used);
        if (strcmp(used, rows[i].used) != 0)
            fail_msg("row %zu: '%s' instead of '%s'", i, used, rows[i].used);
        assert_true(
            vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_PATIENT_NAME, &element));
        char raw[200];
        size_t size = vt_element_text(&element, raw, sizeof raw);
        assert_true(vt_text_to_utf8(used, NULL, "PN", raw, size, "?", &back, &err));
        assert_int_equal(back.size, strlen(rows[i].stored));
        assert_memory_equal(back.data, rows[i].stored, back.size);
        vt_buf_fini(&at[0]);
    }
}

struct torture {
    const struct vt_query *query;
    const struct vt_row *row;
};

static bool write_answer(void *context, struct vt_err *err)
{
    const struct torture *torture = context;
    const struct vt_answer_rules rules = { .retrieve_ae_title = "VITRINE",
                                           .encoding = VT_EXPLICIT_LE };
    VT_AUTO_BUF(out, 4096);

    return vt_answer_write(torture->query, torture->row, &rules, &out, err);
}

static void writing_survives_lost_memory(void **state)
{
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(request, 1024);

    (void)state;
    with(&request, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100");
    with(&request, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&request, VT_TAG_PATIENT_NAME, "PN", "");
    stored(&at[0], VT_TAG_PATIENT_NAME, "PN", "Müller");
    struct vt_row row = row_of(VT_LEVEL_STUDY, at);
    VT_AUTO(vt_query) query = parse(&request, &study_root, &err);
    struct torture torture = { query, &row };
    vt_torture(write_answer, &torture);
    vt_buf_fini(&at[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_asked_for_is_answered_in_order),
        cmocka_unit_test(unique_keys_down_to_the_level_are_always_there),
        cmocka_unit_test(matching_items_are_answered_with_the_requested_attributes),
        cmocka_unit_test(
            the_character_set_of_an_answer_follows_the_request_then_the_peer_then_utf8),
        cmocka_unit_test(writing_survives_lost_memory),
    };

    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
