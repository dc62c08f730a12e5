#include "tests/archive/identifier.h"

#include <stdlib.h>

#include "tests/support/torture.h"

static const struct vt_query_rules study_root = { .model = VT_MODEL_STUDY_ROOT };

/* ---- checks (reference 6.3) ---- */

static void refused(const struct vt_buf *buf, struct vt_query_rules rules, uint16_t status,
                    uint32_t tag)
{
    struct vt_query_offending offending = { .count = 7 };
    struct vt_err err = { 0 };

    rules.offending = &offending;
    VT_AUTO(vt_query) query = parse(buf, &rules, &err);
    assert_null(query);
    assert_int_equal(err.dimse_status, status);
    assert_int_not_equal(err.code, VT_OK);
    assert_int_equal(offending.count, tag ? 1 : 0);
    if (tag)
        assert_int_equal(offending.tags[0], tag);
}

static void accepted(const struct vt_buf *buf, struct vt_query_rules rules)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_query) query = parse(buf, &rules, &err);

    if (!query)
        fail_msg("%s", err.text);
}

static void a_level_must_be_there_and_be_one_of_the_model(void **state)
{
    VT_AUTO_BUF(none, 1024);
    VT_AUTO_BUF(empty, 1024);
    VT_AUTO_BUF(wrong, 1024);
    VT_AUTO_BUF(patient, 1024);
    VT_AUTO_BUF(series, 1024);

    (void)state;
    with(&none, VT_TAG_STUDY_DATE, "DA", "");
    refused(&none, study_root, 0xa900, VT_TAG_QUERY_RETRIEVE_LEVEL);
    with(&empty, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "");
    refused(&empty, study_root, 0xa900, VT_TAG_QUERY_RETRIEVE_LEVEL);
    with(&wrong, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "FRAME");
    refused(&wrong, study_root, 0xa900, VT_TAG_QUERY_RETRIEVE_LEVEL);
    with(&patient, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "PATIENT");
    refused(&patient, study_root, 0xa900, VT_TAG_QUERY_RETRIEVE_LEVEL);
    accepted(&patient, (struct vt_query_rules){ .model = VT_MODEL_PATIENT_ROOT });
    with(&series, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "SERIES");
    refused(&series, (struct vt_query_rules){ .model = VT_MODEL_PATIENT_STUDY_ONLY }, 0xa900,
            VT_TAG_QUERY_RETRIEVE_LEVEL);
    accepted(&series, study_root);
}

static void strict_wants_the_unique_keys_above_unless_relational(void **state)
{
    VT_AUTO_BUF(buf, 1024);
    VT_AUTO_BUF(good, 1024);

    (void)state;
    with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "SERIES");
    with(&buf, VT_TAG_MODALITY, "CS", "CT");
    accepted(&buf, study_root);
    refused(&buf, (struct vt_query_rules){ .model = VT_MODEL_STUDY_ROOT, .strict = true }, 0xa900,
            VT_TAG_STUDY_INSTANCE_UID);
    accepted(&buf, (struct vt_query_rules){
                       .model = VT_MODEL_STUDY_ROOT, .strict = true, .relational = true });
    with(&good, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "SERIES");
    with(&good, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2.3");
    accepted(&good, (struct vt_query_rules){ .model = VT_MODEL_STUDY_ROOT, .strict = true });
    refused(&good, (struct vt_query_rules){ .model = VT_MODEL_PATIENT_ROOT, .strict = true },
            0xa900, VT_TAG_PATIENT_ID);
}

static void strict_refuses_what_has_no_meaning(void **state)
{
    const struct vt_query_rules strict = { .model = VT_MODEL_STUDY_ROOT, .strict = true };
    static const struct {
        uint32_t tag;
        char vr[3];
        const char *text;
        uint16_t status;
    } rows[] = {
        { VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2*", 0xa900 },
        { VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2-1.3", 0xa900 },
        { VT_TAG_STUDY_DATE, "DA", "yesterday", 0xc002 },
        { VT_TAG_ACCESSION_NUMBER, "SH", "A\\B", 0xa900 },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        VT_AUTO_BUF(buf, 1024);
        if (rows[i].tag < VT_TAG_QUERY_RETRIEVE_LEVEL)
            with(&buf, rows[i].tag, rows[i].vr, rows[i].text);
        with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
        if (rows[i].tag > VT_TAG_QUERY_RETRIEVE_LEVEL)
            with(&buf, rows[i].tag, rows[i].vr, rows[i].text);
        refused(&buf, strict, rows[i].status, rows[i].tag);
        accepted(&buf, study_root);
    }
}

static void unsupported_keys_are_noticed_and_left_out(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO_BUF(plain, 1024);
    VT_AUTO_BUF(odd, 1024);
    VT_AUTO_BUF(count, 1024);

    (void)state;
    with(&plain, 0x00080000, "UL", "\x10\0\0\0");
    with(&plain, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&plain, VT_TAG_STUDY_RELATED_INSTANCES, "IS", "");
    VT_AUTO(vt_query) query = parse(&plain, &study_root, &err);
    assert_false(vt_query_has_unsupported(query));
    with(&odd, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&odd, 0x00181020, "LO", "");
    VT_AUTO(vt_query) second = parse(&odd, &study_root, &err);
    assert_true(vt_query_has_unsupported(second));
    with(&count, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&count, VT_TAG_STUDY_RELATED_INSTANCES, "IS", "7");
    VT_AUTO(vt_query) third = parse(&count, &study_root, &err);
    assert_true(vt_query_has_unsupported(third));
}

static void a_retrieve_must_name_something(void **state)
{
    const struct vt_query_rules retrieve = { .model = VT_MODEL_STUDY_ROOT, .retrieve = true };
    struct vt_query_rules strict = retrieve;
    VT_AUTO_BUF(none, 1024);
    VT_AUTO_BUF(other, 1024);
    VT_AUTO_BUF(above, 1024);

    (void)state;
    strict.strict = true;
    with(&none, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    refused(&none, retrieve, 0xa900, VT_TAG_STUDY_INSTANCE_UID);
    with(&other, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&other, VT_TAG_PATIENT_NAME, "PN", "A*");
    with(&other, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2");
    accepted(&other, retrieve);
    refused(&other, strict, 0xa900, VT_TAG_PATIENT_NAME);
    with(&above, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "SERIES");
    with(&above, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2");
    accepted(&above, retrieve);
    refused(&above, strict, 0xa900, VT_TAG_SERIES_INSTANCE_UID);
}

static void a_pattern_names_nothing_to_retrieve(void **state)
{
    const struct vt_query_rules patients = { .model = VT_MODEL_PATIENT_ROOT, .retrieve = true };
    const struct vt_query_rules studies = { .model = VT_MODEL_STUDY_ROOT, .retrieve = true };
    VT_AUTO_BUF(pattern, 1024);
    VT_AUTO_BUF(one, 1024);
    VT_AUTO_BUF(accession, 1024);
    VT_AUTO_BUF(narrowed, 1024);

    (void)state;
    with(&pattern, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "PATIENT");
    with(&pattern, VT_TAG_PATIENT_ID, "LO", "P*");
    refused(&pattern, patients, 0xa900, VT_TAG_PATIENT_ID);
    with(&one, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "PATIENT");
    with(&one, VT_TAG_PATIENT_ID, "LO", "P1");
    accepted(&one, patients);
    with(&accession, VT_TAG_ACCESSION_NUMBER, "SH", "A?");
    with(&accession, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    refused(&accession, studies, 0xa900, VT_TAG_STUDY_INSTANCE_UID);
    with(&narrowed, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&narrowed, VT_TAG_PATIENT_ID, "LO", "P*");
    with(&narrowed, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2");
    accepted(&narrowed, studies);
}

static void broken_and_huge_identifiers_are_refused_by_status(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO_BUF(buf, 4 << 20);
    VT_AUTO_BUF(deep, 1 << 20);
    struct vt_writer w = { &deep, VT_EXPLICIT_LE };

    (void)state;
    with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    buf.data[6] = 200;
    refused(&buf, study_root, 0xc005, 0);
    with(&deep, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "SERIES");
    for (int i = 0; i < 40; i++)
        assert_true(vt_write_sequence_begin(&w, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, &err) &&
                    vt_write_item_begin(&w, &err));
    for (int i = 0; i < 40; i++)
        assert_true(vt_write_item_end(&w, &err) && vt_write_sequence_end(&w, &err));
    refused(&deep, study_root, 0xc006, 0);
}

static void too_many_values_are_a_limit(void **state)
{
    VT_AUTO_BUF(buf, 1 << 20);
    char *list = malloc(30010);

    (void)state;
    for (size_t i = 0; i < 30000; i += 2)
        memcpy(list + i, "1\\", 2);
    list[30000] = '\0';
    with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    list[29999] = '\0';
    with(&buf, VT_TAG_STUDY_INSTANCE_UID, "UI", list);
    refused(&buf, study_root, 0xa700, 0);
    free(list);
}

/* ---- matching by VR (reference 6.4) ---- */

/* Does a stored value of one attribute match the value asked for? Through parse, plan and the
 * columns' conditions' absence: the tags used here have no column, so all of it is matched on the
 * row. */
static bool matches(enum vt_level level, uint32_t tag, const char *vr, const char *asked,
                    const char *value)
{
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(buf, 4096);

    if (tag < VT_TAG_QUERY_RETRIEVE_LEVEL)
        with(&buf, tag, vr, asked);
    with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", vt_level_name(level));
    if (tag > VT_TAG_QUERY_RETRIEVE_LEVEL)
        with(&buf, tag, vr, asked);
    if (value)
        stored(&at[level], tag, vr, value);
    struct vt_row row = row_of(level, at);
    VT_AUTO(vt_query) query = parse(&buf, &study_root, &err);
    if (!query)
        fail_msg("%s", err.text);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    size_t conditions;
    vt_plan_conditions(plan, &conditions);
    assert_int_equal(conditions, 0);
    bool fits = vt_plan_matches(plan, &row);
    for (int i = 0; i < VT_LEVELS; i++)
        vt_buf_fini(&at[i]);
    return fits;
}

static void every_vr_is_matched_by_its_rule(void **state)
{
    static const struct {
        enum vt_level level;
        uint32_t tag;
        char vr[3];
        const char *asked, *value;
        bool fits;
    } rows[] = {
        /* universal */
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "", "x", true },
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "", NULL, true },
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "*", NULL, true },
        /* single value: case, padding */
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "axial", "axial ", true },
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "Axial", "axial", false },
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "axial", NULL, false },
        { VT_LEVEL_SERIES, 0x00180015, "CS", "HEAD", "HEAD", true },
        { VT_LEVEL_STUDY, 0x00101010, "AS", "045Y", "045Y", true },
        { VT_LEVEL_STUDY, 0x00101010, "AS", "045*", "045Y", false },
        /* wild cards */
        { VT_LEVEL_SERIES, 0x0008103e, "LO", "ax*l", "axial", true },
        { VT_LEVEL_SERIES, 0x00081010, "SH", "CT?", "CT1", true },
        { VT_LEVEL_SERIES, 0x00180015, "CS", "HE*", "HEAD", true },
        { VT_LEVEL_STUDY, 0x001021b0, "LT", "*asthma*", "has asthma\\bronchitis", true },
        { VT_LEVEL_SERIES, 0x00081050, "PN", "house^g*", "HOUSE^GREGORY", true },
        { VT_LEVEL_SERIES, 0x00081050, "PN", "house", "HOUSE^GREGORY", false },
        /* several stored values, several asked */
        { VT_LEVEL_IMAGE, 0x00080008, "CS", "AXIAL", "ORIGINAL\\PRIMARY\\AXIAL", true },
        { VT_LEVEL_IMAGE, 0x00080008, "CS", "DERIVED\\PRIMARY", "ORIGINAL\\PRIMARY", true },
        { VT_LEVEL_IMAGE, 0x00080008, "CS", "DERIVED", "ORIGINAL\\PRIMARY", false },
        /* UIDs: whole ones, or lists */
        { VT_LEVEL_SERIES, 0x00200052, "UI", "1.2.3", "1.2.3", true },
        { VT_LEVEL_SERIES, 0x00200052, "UI", "1.2.4\\1.2.3", "1.2.3", true },
        { VT_LEVEL_SERIES, 0x00200052, "UI", "1.2.*", "1.2.3", false },
        /* dates */
        { VT_LEVEL_SERIES, 0x00080021, "DA", "20200101", "20200101", true },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "2020.01.01", "20200101", true },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "20200101-20200131", "20200131", true },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "20200101-20200131", "20200201", false },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "20200102-", "20200101", false },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "-20200102", "20200101", true },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "20200131-20200101", "20200115", false },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "2020*", "20200101", false },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "-20200102", NULL, false },
        { VT_LEVEL_SERIES, 0x00080021, "DA", "20190101-20190102\\20200101", "20200101", true },
        /* times */
        { VT_LEVEL_SERIES, 0x00080031, "TM", "2230", "223000", true },
        { VT_LEVEL_SERIES, 0x00080031, "TM", "10-11", "115959.9", true },
        { VT_LEVEL_SERIES, 0x00080031, "TM", "10-11", "120000", false },
        { VT_LEVEL_SERIES, 0x00080031, "TM", "2200-0200", "2300", false },
        { VT_LEVEL_SERIES, 0x00080031, "TM", "10:15:00", "101500", true },
        /* date-times */
        { VT_LEVEL_IMAGE, 0x0008002a, "DT", "20200101000000+0100", "20191231230000+0000", true },
        { VT_LEVEL_IMAGE, 0x0008002a, "DT", "2019-2020", "20200615120000", true },
        { VT_LEVEL_IMAGE, 0x0008002a, "DT", "2021-", "20200615120000", false },
        /* numbers */
        { VT_LEVEL_IMAGE, 0x00200012, "IS", "01", "1", true },
        { VT_LEVEL_IMAGE, 0x00200012, "IS", "+1", "1 ", true },
        { VT_LEVEL_IMAGE, 0x00200012, "IS", "1*", "11", false },
        { VT_LEVEL_STUDY, 0x00101030, "DS", "70.0", "70", true },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++)
        if (matches(rows[i].level, rows[i].tag, rows[i].vr, rows[i].asked, rows[i].value) !=
            rows[i].fits)
            fail_msg("row %zu: '%s' and '%s'", i, rows[i].asked,
                     rows[i].value ? rows[i].value : "(none)");
}

static void binary_numbers_match_by_value(void **state)
{
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(buf, 1024);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    const uint8_t rows512[2] = { 0, 2 }, rows256[2] = { 0, 1 };

    (void)state;
    with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "IMAGE");
    assert_true(vt_write_us(&w, VT_TAG_ROWS, 512, &err));
    VT_AUTO(vt_query) query = parse(&buf, &study_root, &err);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    at[3].limit = 64;
    assert_true(vt_attributes_append(&at[3], VT_TAG_ROWS, "US", rows512, 2, &err));
    struct vt_row row = row_of(VT_LEVEL_IMAGE, at);
    assert_true(vt_plan_matches(plan, &row));
    vt_buf_reset(&at[3]);
    assert_true(vt_attributes_append(&at[3], VT_TAG_ROWS, "US", rows256, 2, &err));
    row = row_of(VT_LEVEL_IMAGE, at);
    assert_false(vt_plan_matches(plan, &row));
    vt_buf_fini(&at[3]);
}

static void make_requests(struct vt_buf *at, const char *const ids[][2], size_t count)
{
    struct vt_err err = { 0 };
    size_t sequence, item;

    at->limit = 4096;
    assert_true(
        vt_attributes_sequence_begin(at, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, &sequence, &err));
    for (size_t i = 0; i < count; i++) {
        assert_true(vt_attributes_item_begin(at, &item, &err));
        assert_true(vt_attributes_append(at, 0x00400009, "SH", ids[i][0], strlen(ids[i][0]), &err));
        assert_true(vt_attributes_append(at, 0x00401001, "SH", ids[i][1], strlen(ids[i][1]), &err));
        vt_attributes_close(at, item);
    }
    vt_attributes_close(at, sequence);
}

static void one_item_must_satisfy_all_keys_of_a_sequence(void **state)
{
    const char *const ids[][2] = { { "SPS1", "RP1" }, { "SPS2", "RP2" } };
    static const struct {
        const char *word1, *word2;
        bool fits;
    } rows[] = {
        { "SPS1", "RP1", true }, { "SPS2", "RP*", true }, { "SPS1", "RP2", false },
        { "SPS9", "", false },   { "", "", true },
    };
    struct vt_buf at[VT_LEVELS] = { { 0 } };
    struct vt_err err = { 0 };

    (void)state;
    make_requests(&at[2], ids, 2);
    struct vt_row row = row_of(VT_LEVEL_SERIES, at);
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        char first[80], second[80];
        snprintf(first, sizeof first, "RequestAttributesSequence.ScheduledProcedureStepID=%s",
                 rows[i].word1);
        snprintf(second, sizeof second, "RequestAttributesSequence.RequestedProcedureID=%s",
                 rows[i].word2);
        const char *words[] = { first, second };
        VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_SERIES, words, 2, &study_root, &err);
        assert_non_null(query);
        VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
        assert_int_equal(vt_plan_matches(plan, &row), rows[i].fits);
    }
    vt_buf_fini(&at[2]);
}

/* ---- character sets of requests ---- */

static void a_request_is_decoded_by_its_character_set(void **state)
{
    static const struct {
        const char *charset, *bytes, *stored;
    } rows[] = {
        { "ISO_IR 100", "M\xfcller^*", "Müller^Eva" },
        { "ISO_IR 144", "\xbb\xee\xda*", "Люк" },
        { "ISO_IR 192", "山田*", "山田^太郎" },
        { "", "M\xfcller^*", "Müller^Eva" },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct vt_buf at[VT_LEVELS] = { { 0 } };
        struct vt_err err = { 0 };
        const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT,
                                              .default_charset = "ISO_IR 100",
                                              .keep_accents = true };
        VT_AUTO_BUF(buf, 1024);
        if (rows[i].charset[0])
            with(&buf, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", rows[i].charset);
        with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
        with(&buf, VT_TAG_PATIENT_NAME, "PN", rows[i].bytes);
        stored(&at[0], VT_TAG_PATIENT_NAME, "PN", rows[i].stored);
        struct vt_row row = row_of(VT_LEVEL_STUDY, at);
        VT_AUTO(vt_query) query = parse(&buf, &rules, &err);
        assert_non_null(query);
        assert_string_equal(vt_query_charset(query), rows[i].charset);
        VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
        assert_true(vt_plan_has_residue(plan));
        if (!vt_plan_matches(plan, &row))
            fail_msg("row %zu", i);
        vt_buf_fini(&at[0]);
    }
}

/* ---- words ---- */

static void wrong_words_are_told_by_name(void **state)
{
    static const char *const wrong[] = { "NoSuchKeyword=1", "=5", "PatientName.PatientID=1",
                                         "RequestAttributesSequence=1", "StudyDate..=1" };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_err err = { 0 };
        assert_null(vt_query_from_words(VT_LEVEL_STUDY, &wrong[i], 1, &study_root, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

/* ---- memory ---- */

static bool parse_and_plan(void *context, struct vt_err *err)
{
    VT_AUTO(vt_query) query = parse(context, &study_root, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    return plan != NULL;
}

static void an_attribute_is_asked_for_once(void **state)
{
    static const char *const twice[] = { "PatientName", "PatientName=A*", "PatientName=B*" };
    static const char *const nested[] = { "RequestAttributesSequence.ScheduledProcedureStepID=1",
                                          "00400275.00400009=2" };
    struct vt_err err = { 0 };

    (void)state;
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, twice, 2, &study_root, &err);
    assert_non_null(query);
    assert_null(vt_query_from_words(VT_LEVEL_STUDY, twice, 3, &study_root, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    assert_null(vt_query_from_words(VT_LEVEL_SERIES, nested, 2, &study_root, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void a_value_that_takes_everything_may_stand_behind_others(void **state)
{
    static const char *const words[] = { "PatientName=A\\B\\*" };
    struct vt_err err = { 0 };

    (void)state;
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &study_root, &err);
    assert_non_null(query);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    assert_non_null(plan);
}

static void parsing_and_planning_survive_lost_memory(void **state)
{
    VT_AUTO_BUF(buf, 4096);

    (void)state;
    with(&buf, VT_TAG_STUDY_DATE, "DA", "20200101-20200131");
    with(&buf, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "STUDY");
    with(&buf, VT_TAG_PATIENT_NAME, "PN", "M\xfcller^*");
    with(&buf, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2\\1.3");
    assert_true(vt_torture(parse_and_plan, &buf) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_must_be_there_and_be_one_of_the_model),
        cmocka_unit_test(an_attribute_is_asked_for_once),
        cmocka_unit_test(a_value_that_takes_everything_may_stand_behind_others),
        cmocka_unit_test(strict_wants_the_unique_keys_above_unless_relational),
        cmocka_unit_test(strict_refuses_what_has_no_meaning),
        cmocka_unit_test(unsupported_keys_are_noticed_and_left_out),
        cmocka_unit_test(a_retrieve_must_name_something),
        cmocka_unit_test(a_pattern_names_nothing_to_retrieve),
        cmocka_unit_test(broken_and_huge_identifiers_are_refused_by_status),
        cmocka_unit_test(too_many_values_are_a_limit),
        cmocka_unit_test(every_vr_is_matched_by_its_rule),
        cmocka_unit_test(binary_numbers_match_by_value),
        cmocka_unit_test(one_item_must_satisfy_all_keys_of_a_sequence),
        cmocka_unit_test(a_request_is_decoded_by_its_character_set),
        cmocka_unit_test(wrong_words_are_told_by_name),
        cmocka_unit_test(parsing_and_planning_survive_lost_memory),
    };

    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
