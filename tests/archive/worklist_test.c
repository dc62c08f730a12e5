/* What is scheduled: entries made, kept, matched; tables; performed steps that move them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/attributes.h"
#include "archive/query.h"
#include "archive/worklist.h"
#include "archive/worklist_csv.h"
#include "archive/worklist_step.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

enum { ENTRY_MAX = 64 << 10 };

static const char *const smith[] = { "PatientName=Smith^Anna", "PatientID=P1", "Modality=CT",
                                     "ScheduledStationAETitle=CT1", "AccessionNumber=A1",
                                     "ScheduledProcedureStepStartDate=20261123",
                                     "ScheduledProcedureStepStartTime=0930" };

static enum vt_worklist_put put(struct world *world, const char *source, const char *const words[], size_t count,
                                int64_t *out_id)
{
    VT_AUTO_BUF(attributes, ENTRY_MAX);
    enum vt_worklist_put what = VT_WORKLIST_SAME;
    struct vt_err err = { 0 };

    OK(vt_worklist_from_words(words, count, &attributes, &err));
    OK(vt_worklist_put(world->archive, source, attributes.data, attributes.size, out_id, &what, &err));
    return what;
}

static bool read_entry(struct world *world, int64_t id, struct vt_worklist_entry *out)
{
    struct vt_err err = { 0 };
    bool there = false;

    OK(vt_worklist_read(world->archive, id, out, &there, &err));
    return there;
}

/* ---- entries ---- */

static void what_is_missing_is_made_the_same_way_each_time(void **state)
{
    struct world *world = *state;
    struct vt_worklist_entry entry, again;
    int64_t id = 0, second = 0;

    assert_int_equal(put(world, "", smith, VT_COUNT(smith), &id), VT_WORKLIST_NEW);
    assert_true(read_entry(world, id, &entry));
    assert_string_equal(entry.step_id, "A1");
    assert_true(vt_uid_valid(entry.study_uid));
    assert_string_equal(entry.date, "20261123");
    assert_string_equal(entry.time, "093000");
    assert_int_equal(put(world, "", smith, VT_COUNT(smith), &second), VT_WORKLIST_SAME);
    assert_int_equal(second, id);
    assert_true(read_entry(world, second, &again));
    assert_string_equal(again.study_uid, entry.study_uid);
}

static void an_entry_that_comes_changed_takes_the_place_of_the_old_one(void **state)
{
    struct world *world = *state;
    const char *later[VT_COUNT(smith)];
    struct vt_worklist_entry entry;
    int64_t id = 0, second = 0;

    memcpy(later, smith, sizeof smith);
    later[6] = "ScheduledProcedureStepStartTime=1100";
    put(world, "", smith, VT_COUNT(smith), &id);
    assert_int_equal(put(world, "", later, VT_COUNT(later), &second), VT_WORKLIST_CHANGED);
    assert_int_equal(second, id);
    assert_true(read_entry(world, id, &entry));
    assert_string_equal(entry.time, "110000");
}

static void what_must_be_there_is_named(void **state)
{
    static const char *const names[] = { "PatientName", "PatientID", "Modality", "ScheduledStationAETitle" };
    struct world *world = *state;

    for (size_t left = 0; left < VT_COUNT(names); left++) {
        VT_AUTO_BUF(attributes, ENTRY_MAX);
        const char *words[VT_COUNT(smith)];
        size_t count = 0;
        enum vt_worklist_put what;
        struct vt_err err = { 0 };
        int64_t id;
        for (size_t i = 0; i < VT_COUNT(smith); i++)
            if (i != left)
                words[count++] = smith[i];
        OK(vt_worklist_from_words(words, count, &attributes, &err));
        assert_false(vt_worklist_put(world->archive, "", attributes.data, attributes.size, &id, &what, &err));
        assert_int_equal(err.code, VT_E_INVALID);
        assert_non_null(strstr(err.text, names[left]));
    }
}

static bool count_entry(void *context, const struct vt_worklist_entry *entry, const uint8_t *attributes, size_t size,
                        struct vt_err *err)
{
    (void)entry, (void)attributes, (void)size, (void)err;
    ++*(size_t *)context;
    return true;
}

static size_t entries(struct world *world, bool all)
{
    struct vt_err err = { 0 };
    size_t count = 0;

    OK(vt_worklist_each(world->archive, all, count_entry, &count, &err));
    return count;
}

static void entries_of_a_file_go_with_it(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    int64_t id;

    put(world, "/spool/a.wl", smith, VT_COUNT(smith), &id);
    OK(vt_worklist_remove_source(world->archive, "/spool/b.wl", &err));
    assert_int_equal(entries(world, true), 1);
    OK(vt_worklist_remove_source(world->archive, "/spool/a.wl", &err));
    assert_int_equal(entries(world, true), 0);
    assert_false(vt_worklist_remove(world->archive, id, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

/* ---- queries ---- */

/* Matches of an identifier that asks for Patient ID and has one key in the step. */
static size_t find(struct world *world, uint32_t tag, const char *vr, const char *value, const char *time)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    const struct vt_answer_rules answers = { .encoding = VT_EXPLICIT_LE };
    VT_AUTO_BUF(identifier, ENTRY_MAX);
    VT_AUTO_BUF(answer, ENTRY_MAX);
    struct vt_writer w = { .buf = &identifier, .encoding = VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    size_t count = 0;
    bool more = true;

    OK(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "", &err) && vt_write_sequence_begin(&w, 0x00400100, &err) &&
       vt_write_item_begin(&w, &err) && vt_write_text(&w, tag, vr, value, &err) &&
       (!time || vt_write_text(&w, 0x00400003, "TM", time, &err)) && vt_write_item_end(&w, &err) &&
       vt_write_sequence_end(&w, &err));
    VT_AUTO(vt_query) query = vt_worklist_parse(identifier.data, identifier.size, VT_EXPLICIT_LE, &rules, &err);
    VT_AUTO(vt_worklist_cursor) cursor = query ? vt_worklist_find(world->archive, query, &err) : NULL;
    OK(cursor);
    for (;; count++) {
        vt_buf_reset(&answer);
        OK(vt_worklist_next(cursor, &answers, &answer, &more, &err));
        if (!more)
            return count;
    }
}

static void date_and_time_are_one_interval(void **state)
{
    struct world *world = *state;
    int64_t id;

    put(world, "", smith, VT_COUNT(smith), &id); /* on the 23rd at 9:30 */
    assert_int_equal(find(world, 0x00400002, "DA", "20261122-20261123", "1200-1000"), 1);
    assert_int_equal(find(world, 0x00400002, "DA", "20261122-20261123", "1200-0929"), 0);
    assert_int_equal(find(world, 0x00400002, "DA", "20261123-20261124", "0931-0800"), 0);
    assert_int_equal(find(world, 0x00400002, "DA", "20261123-", "0930-"), 1);
    assert_int_equal(find(world, 0x00400002, "DA", "20261123", "0900-1000"), 1);
    assert_int_equal(find(world, 0x00400002, "DA", "20261123", "1000-1100"), 0);
    assert_int_equal(find(world, 0x00400002, "DA", "20261124", NULL), 0);
}

static void a_long_worklist_is_walked_page_by_page(void **state)
{
    struct world *world = *state;
    char accession[32];

    for (int i = 0; i < 150; i++) {
        const char *words[VT_COUNT(smith)];
        int64_t id;
        memcpy(words, smith, sizeof smith);
        snprintf(accession, sizeof accession, "AccessionNumber=B%d", i);
        words[4] = accession;
        put(world, "", words, VT_COUNT(words), &id);
    }
    assert_int_equal(find(world, VT_TAG_MODALITY, "CS", "CT", NULL), 150);
    assert_int_equal(find(world, VT_TAG_MODALITY, "CS", "MR", NULL), 0);
    assert_int_equal(entries(world, false), 150);
}

/* ---- tables ---- */

struct rows {
    size_t count, bad, lines[8];
    char first[160];
};

static bool on_row(void *context, size_t line, const char *const words[], size_t count, const char *bad,
                   struct vt_err *err)
{
    struct rows *rows = context;

    (void)err;
    if (rows->count < VT_COUNT(rows->lines))
        rows->lines[rows->count] = line;
    if (rows->count == 0 && count > 1)
        snprintf(rows->first, sizeof rows->first, "%s %s", words[0], words[1]);
    rows->count++;
    rows->bad += bad != NULL;
    return true;
}

static bool read_table(const char *text, struct rows *out, struct vt_err *err)
{
    *out = (struct rows){ .count = 0 };
    return vt_worklist_csv((const uint8_t *)text, strlen(text), NULL, on_row, out, err);
}

static void tables_are_read_whatever_parts_their_fields(void **state)
{
    static const char *const tables[] = {
        "PatientName,PatientID\nSmith^Anna,P1\n",
        "PatientName;PatientID\r\nSmith^Anna;P1",
        "\xef\xbb\xbfPatientName\tPatientID\n\"Smith^Anna\"\t P1\n",
        "\"PatientName\",\"0010,0020\"\n\"Smith^Anna\",\"P1\"\n\n",
    };
    struct rows rows;
    struct vt_err err = { 0 };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(tables); i++) {
        OK(read_table(tables[i], &rows, &err));
        assert_int_equal(rows.count, 1);
        assert_int_equal(rows.lines[0], 2);
        assert_non_null(strstr(rows.first, "=Smith^Anna "));
        assert_non_null(strstr(rows.first, "=P1"));
    }
}

static void a_quoted_field_may_hold_anything_and_lines_are_counted(void **state)
{
    struct rows rows;
    struct vt_err err = { 0 };

    (void)state;
    OK(read_table("PatientName,PatientID\n\"a, \"\"b\"\"\nc\",1\nx,y,z\nd,2\n", &rows, &err));
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.bad, 1);
    assert_string_equal(rows.first, "PatientName=a, \"b\"\nc PatientID=1");
    assert_int_equal(rows.lines[0], 2);
    assert_int_equal(rows.lines[1], 4);
    assert_int_equal(rows.lines[2], 5);
}

static void tables_that_make_no_sense_are_refused(void **state)
{
    static const char *const tables[] = { "", "Name,PatientID\nx,1\n", "PatientName\n\"x\n" };
    struct rows rows;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(tables); i++) {
        struct vt_err err = { 0 };
        assert_false(read_table(tables[i], &rows, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

/* ---- performed steps ---- */

static void make_step(struct vt_buf *out, const char *study, const char *status, bool ended)
{
    struct vt_writer w = { .buf = out, .encoding = VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    OK(vt_write_text(&w, VT_TAG_MODALITY, "CS", "CT", &err) && vt_write_text(&w, 0x00400241, "AE", "CT1", &err) &&
       vt_write_text(&w, 0x00400244, "DA", "20261123", &err) && vt_write_text(&w, 0x00400245, "TM", "0931", &err) &&
       (!ended || (vt_write_text(&w, 0x00400250, "DA", "20261123", &err) &&
                   vt_write_text(&w, 0x00400251, "TM", "0945", &err))) &&
       vt_write_text(&w, 0x00400252, "CS", status, &err) && vt_write_text(&w, 0x00400253, "SH", "PPS", &err) &&
       vt_write_sequence_begin(&w, 0x00400270, &err) && vt_write_item_begin(&w, &err) &&
       vt_write_text(&w, VT_TAG_STUDY_INSTANCE_UID, "UI", study, &err) &&
       vt_write_text(&w, 0x00400009, "SH", "A1", &err) && vt_write_item_end(&w, &err) &&
       vt_write_sequence_end(&w, &err));
    VT_AUTO_BUF(bytes, ENTRY_MAX);
    OK(vt_buf_append(&bytes, out->data, out->size, &err));
    vt_buf_reset(out);
    OK(vt_worklist_from_bytes(bytes.data, bytes.size, VT_EXPLICIT_LE, NULL, out, &err));
}

static uint16_t begin_step(struct world *world, const char *uid, const char *study, const char *status)
{
    VT_AUTO_BUF(attributes, ENTRY_MAX);
    struct vt_step_answer answer;
    struct vt_err err = { 0 };

    make_step(&attributes, study, status, false);
    OK(vt_step_create(world->archive, uid, "CT1", attributes.data, attributes.size, &answer, &err));
    return answer.status;
}

static struct vt_step_answer set_step(struct world *world, const char *uid, const char *study, const char *status)
{
    VT_AUTO_BUF(attributes, ENTRY_MAX);
    struct vt_step_answer answer;
    struct vt_err err = { 0 };

    make_step(&attributes, study, status, true);
    OK(vt_step_set(world->archive, uid, attributes.data, attributes.size, &answer, &err));
    return answer;
}

static void a_step_moves_its_entry_and_ends_for_good(void **state)
{
    struct world *world = *state;
    struct vt_worklist_entry entry;
    int64_t id;

    put(world, "", smith, VT_COUNT(smith), &id);
    read_entry(world, id, &entry);
    assert_int_equal(begin_step(world, "1.9", entry.study_uid, "IN PROGRESS"), 0);
    read_entry(world, id, &entry);
    assert_int_equal(entry.state, VT_WORKLIST_STARTED);
    assert_int_equal(begin_step(world, "1.9", entry.study_uid, "IN PROGRESS"), 0);
    assert_int_equal(begin_step(world, "1.9", "1.2.3", "IN PROGRESS"), 0x0111);
    assert_int_equal(set_step(world, "1.9", entry.study_uid, "COMPLETED").status, 0x0120);
    assert_int_equal(set_step(world, "1.9", entry.study_uid, "DISCONTINUED").status, 0);
    assert_int_equal(set_step(world, "1.9", entry.study_uid, "DISCONTINUED").status, 0);
    struct vt_step_answer late = set_step(world, "1.9", entry.study_uid, "IN PROGRESS");
    assert_int_equal(late.status, 0x0110);
    assert_int_equal(late.error_id, VT_STEP_NO_LONGER);
    assert_int_equal(entries(world, false), 0);
    assert_int_equal(entries(world, true), 1);
    assert_int_equal(begin_step(world, "1.10", "1.2", "COMPLETED"), 0x0106);
    assert_int_equal(set_step(world, "1.11", "1.2", "COMPLETED").status, 0x0112);
}

static void an_entry_that_is_done_stays_done_when_it_comes_again(void **state)
{
    struct world *world = *state;
    struct vt_worklist_entry entry;
    int64_t id;

    put(world, "", smith, VT_COUNT(smith), &id);
    read_entry(world, id, &entry);
    begin_step(world, "1.9", entry.study_uid, "IN PROGRESS");
    set_step(world, "1.9", entry.study_uid, "DISCONTINUED");
    put(world, "", smith, VT_COUNT(smith), &id);
    assert_int_equal(entries(world, false), 0);
}

/* ---- memory ---- */

static bool put_and_find(void *context, struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    const struct vt_answer_rules answers = { .encoding = VT_EXPLICIT_LE };
    static const uint8_t identifier[] = { 0x40, 0x00, 0x00, 0x01, 'S', 'Q', 0, 0, 0, 0, 0, 0 };
    struct world *world = context;
    VT_AUTO_BUF(attributes, ENTRY_MAX);
    VT_AUTO_BUF(answer, ENTRY_MAX);
    enum vt_worklist_put what;
    int64_t id;
    bool more;

    if (!vt_worklist_from_bytes(identifier, sizeof identifier, VT_EXPLICIT_LE, NULL, &attributes, err))
        return false;
    struct vt_err refused = { 0 };
    if (vt_worklist_put(world->archive, "", attributes.data, attributes.size, &id, &what, &refused) ||
        refused.code != VT_E_INVALID) {
        *err = refused;
        return false;
    }
    VT_AUTO(vt_query) query = vt_worklist_parse(identifier, sizeof identifier, VT_EXPLICIT_LE, &rules, err);
    VT_AUTO(vt_worklist_cursor) cursor = query ? vt_worklist_find(world->archive, query, err) : NULL;
    return cursor && vt_worklist_next(cursor, &answers, &answer, &more, err);
}

static void a_lack_of_memory_is_only_that(void **state)
{
    struct world *world = *state;
    int64_t id;

    put(world, "", smith, VT_COUNT(smith), &id);
    assert_true(vt_torture(put_and_find, world) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(what_is_missing_is_made_the_same_way_each_time),
        WORLD_TEST(an_entry_that_comes_changed_takes_the_place_of_the_old_one),
        WORLD_TEST(what_must_be_there_is_named),
        WORLD_TEST(entries_of_a_file_go_with_it),
        WORLD_TEST(date_and_time_are_one_interval),
        WORLD_TEST(a_long_worklist_is_walked_page_by_page),
        cmocka_unit_test(tables_are_read_whatever_parts_their_fields),
        cmocka_unit_test(a_quoted_field_may_hold_anything_and_lines_are_counted),
        cmocka_unit_test(tables_that_make_no_sense_are_refused),
        WORLD_TEST(a_step_moves_its_entry_and_ends_for_good),
        WORLD_TEST(an_entry_that_is_done_stays_done_when_it_comes_again),
        WORLD_TEST(a_lack_of_memory_is_only_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
