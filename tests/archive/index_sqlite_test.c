#include "archive/index.h"

#define DRIVER vt_index_sqlite
#include "tests/archive/index_contract.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "archive/index_sqlite.h"
#include "core/db.h"

/* ---- plans: every named query goes through its index ---- */

static const char *plan_of(struct vt_db *db, enum vt_level level, const char *word)
{
    static char text[4096];
    static char explain[5000];
    struct sq_sql sql = { .binds = { .limit = SQ_BINDS_MAX } };
    struct vt_err err = { 0 };
    bool row = true;

    VT_AUTO(vt_query)
    query = vt_query_from_words(level, &word, 1, &(struct vt_query_rules){ 0 }, &err);
    assert_non_null(query);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    assert_true(sq_sql_make(plan, &sql, &err));
    snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s", sql.text);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, explain, &err);
    if (!stmt)
        fail_msg("%s\n%s", err.text, sql.text);
    text[0] = '\0';
    while (vt_stmt_step(db, stmt, &row, &err) && row) {
        strncat(text, (const char *)sqlite3_column_text(stmt, 3), sizeof text - strlen(text) - 2);
        strcat(text, "\n");
    }
    vt_stmt_free(stmt);
    vt_buf_fini(&sql.binds);
    return text;
}

static void every_named_query_goes_through_its_index(void **state)
{
    static const struct {
        enum vt_level level;
        const char *word, *through;
        bool sorts;
    } rows[] = {
        { VT_LEVEL_STUDY, "PatientID=P1", "SEARCH s USING INDEX study_pid (pid=?)", false },
        { VT_LEVEL_STUDY, "PatientID=P*", "COVERING INDEX study_pid (pid>? AND pid<?)", true },
        { VT_LEVEL_STUDY, "StudyInstanceUID=1.2",
          "SEARCH s USING INDEX sqlite_autoindex_study_1 (uid=?)", false },
        { VT_LEVEL_STUDY, "StudyInstanceUID=1.2\\1.3",
          "USING INDEX sqlite_autoindex_study_1 (uid=?)", true },
        { VT_LEVEL_STUDY, "AccessionNumber=A1",
          "SEARCH s USING INDEX study_accession (accession=?)", false },
        { VT_LEVEL_STUDY, "StudyID=A1", "SEARCH s USING INDEX study_study_id (study_id=?)", false },
        { VT_LEVEL_STUDY, "StudyDate=20200101", "SEARCH s USING INDEX study_date (date=?)", false },
        { VT_LEVEL_STUDY, "StudyDate=20200101-20200107",
          "SEARCH s USING INDEX study_date (date>? AND date<?)", false },
        { VT_LEVEL_STUDY, "StudyDate=20000101-", "SEARCH s USING INDEX study_date (date>?)",
          false },
        { VT_LEVEL_STUDY, "PatientName=SMITH*", "SEARCH k USING PRIMARY KEY (name>? AND name<?)",
          true },
        { VT_LEVEL_STUDY, "PatientName=SMITH^A", "SEARCH k USING PRIMARY KEY (name=?)", true },
        { VT_LEVEL_STUDY, "PatientName=*MIT*", "SCAN w VIRTUAL TABLE INDEX", true },
        { VT_LEVEL_STUDY, "ReferringPhysicianName=HOUSE^G", "SCAN w VIRTUAL TABLE INDEX", true },
        { VT_LEVEL_STUDY, "StudyDescription=*skull*", "SCAN w VIRTUAL TABLE INDEX", true },
        { VT_LEVEL_STUDY, "StudyDescription", "SCAN s USING INDEX study_date", false },
        { VT_LEVEL_STUDY, "PatientBirthDate=19700101", "SEARCH s USING INDEX study_birth (birth=?)",
          false },
        { VT_LEVEL_PATIENT, "PatientID=P1",
          "SEARCH p USING INDEX sqlite_autoindex_patient_1 (pid=?)", false },
        { VT_LEVEL_PATIENT, "PatientName=S*", "SEARCH k USING PRIMARY KEY (name>? AND name<?)",
          true },
        { VT_LEVEL_PATIENT, "PatientName=*MIT*", "SCAN w VIRTUAL TABLE INDEX", true },
        { VT_LEVEL_PATIENT, "PatientName", "SCAN k", false },
        { VT_LEVEL_SERIES, "StudyInstanceUID=1.2", "SEARCH e USING INDEX series_study (study=?)",
          false },
        { VT_LEVEL_SERIES, "SeriesInstanceUID=1.2",
          "SEARCH e USING INDEX sqlite_autoindex_series_1 (uid=?)", false },
        { VT_LEVEL_IMAGE, "SeriesInstanceUID=1.2",
          "SEARCH i USING INDEX instance_series (series=?)", false },
        { VT_LEVEL_IMAGE, "StudyInstanceUID=1.2", "SEARCH i USING INDEX instance_series (series=?)",
          false },
        { VT_LEVEL_IMAGE, "SOPInstanceUID=1.2",
          "SEARCH i USING INDEX sqlite_autoindex_instance_1 (uid=?)", false },
    };
    struct world *world = *state;
    const struct vt_db_options options = { .busy_ms = 1000 };
    struct vt_err err = { 0 };
    char path[128];

    fill(world);
    snprintf(path, sizeof path, "%s/index.db", world->folder);
    VT_AUTO(vt_db) db = vt_db_open(path, &options, &err);
    assert_non_null(db);
    assert_true(sq_functions(db, &err));
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        const char *plan = plan_of(db, rows[i].level, rows[i].word);
        bool walks = strstr(plan, "SCAN i") || strstr(plan, "SCAN e") || strstr(plan, "SCAN p") ||
                     (strstr(plan, "SCAN s") && !strstr(plan, "SCAN s USING INDEX study_date"));
        bool sorts = strstr(plan, "TEMP B-TREE") != NULL;
        if (!strstr(plan, rows[i].through) || walks || sorts != rows[i].sorts)
            fail_msg("%s:\n%s", rows[i].word, plan);
    }
}

/* ---- opening ---- */

static void write_junk(const char *folder)
{
    char path[128], junk[8192];
    int fd;

    snprintf(path, sizeof path, "%s/index.db", folder);
    memset(junk, 'x', sizeof junk);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
    close(fd);
}

static void a_file_that_is_no_index_names_the_way_back(void **state)
{
    struct vt_err err = { 0 };
    char folder[] = "/tmp/vt-index-XXXXXX", path[128];

    (void)state;
    assert_non_null(mkdtemp(folder));
    write_junk(folder);
    assert_null(
        vt_index_open(&vt_index_sqlite, &(struct vt_index_options){ .path = folder }, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    assert_non_null(strstr(err.text, "vitrine reindex"));
    snprintf(path, sizeof path, "%s/index.db", folder);
    unlink(path);
    rmdir(folder);
}

static void a_newer_schema_is_refused(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    char path[128];

    vt_index_free(world->index);
    snprintf(path, sizeof path, "%s/index.db", world->folder);
    struct vt_db *db = vt_db_open(path, &(struct vt_db_options){ .busy_ms = 100 }, &err);
    assert_true(vt_db_exec(db, "PRAGMA user_version=99", &err));
    vt_db_free(db);
    world->index =
        vt_index_open(&vt_index_sqlite, &(struct vt_index_options){ .path = world->folder }, &err);
    assert_null(world->index);
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
}

static void what_was_committed_is_there_after_opening_again(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t applied;

    fill(world);
    assert_true(vt_index_checkpoint(world->index, &err));
    vt_index_free(world->index);
    world->index =
        vt_index_open(&vt_index_sqlite, &(struct vt_index_options){ .path = world->folder }, &err);
    assert_non_null(world->index);
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "PatientID=P2"), "1.3.1.1");
    assert_true(vt_index_applied(world->index, &applied, &err));
    assert_int_equal(applied, world->sequence);
    assert_int_equal(put(world, &small[1]), VT_PUT_REPLACED);
}

static void a_checkpoint_beside_a_reader_still_makes_all_durable(void **state)
{
    struct world *world = *state;
    const char *const words[] = { "StudyDate" };
    struct vt_err err = { 0 };
    struct vt_row row;
    bool more;

    fill(world);
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &(struct vt_query_rules){ 0 }, &err);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    VT_AUTO(vt_cursor) cursor = vt_index_find(world->index, plan, &err);
    assert_true(vt_cursor_next(cursor, &row, &more, &err));
    put(world, &small[0]);
    assert_true(vt_index_checkpoint(world->index, &err));
}

/* ---- many rows ---- */

static void fill_many(struct world *world, int count)
{
    char text[6][64];

    for (int i = 0; i < count; i++) {
        struct made made = small[0];
        if (i % 64 == 0)
            begin(world);
        snprintf(text[0], 64, "P%d", i / 100);
        snprintf(text[1], 64, "NAME%d^X", i / 100);
        snprintf(text[2], 64, "1.9.%d", i / 50);
        snprintf(text[3], 64, "1.9.%d.%d", i / 50, i % 50 / 20);
        snprintf(text[4], 64, "1.9.%d.%d.%d", i / 50, i % 50 / 20, i);
        snprintf(text[5], 64, "%d", i % 20);
        made.patient = text[0];
        made.name = text[1];
        made.study = text[2];
        made.series = text[3];
        made.number = "1";
        made.sop = text[4];
        made.instance_number = text[5];
        put_in(world, &made);
        if (i % 64 == 63 || i + 1 == count)
            commit(world);
    }
}

static size_t count_of(const char *list)
{
    size_t count = list[0] != '\0';
    for (; *list; list++)
        count += *list == ';';
    return count;
}

static void ten_thousand_instances_are_counted_and_found(void **state)
{
    struct world *world = *state;
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    fill_many(world, 10000);
    assert_true(vt_index_counts(world->index, &counts, &err));
    assert_int_equal(counts.patients, 100);
    assert_int_equal(counts.studies, 200);
    assert_int_equal(counts.series, 600);
    assert_int_equal(counts.instances, 10000);
    assert_int_equal(count_of(ASK(world, VT_LEVEL_STUDY, "PatientName=NAME7*")), 22);
    assert_int_equal(count_of(ASK(world, VT_LEVEL_STUDY, "PatientName=*AME7*")), 22);
    assert_int_equal(count_of(ASK(world, VT_LEVEL_STUDY, "StudyDate=20200110")), 200);
    assert_int_equal(count_of(ASK(world, VT_LEVEL_IMAGE, "StudyInstanceUID=1.9.3")), 50);
    assert_int_equal(count_of(ASK(world, VT_LEVEL_IMAGE, "SeriesInstanceUID=1.9.3.0")), 20);
}

/* ---- threads ---- */

static void *read_on(void *context)
{
    struct world *world = context;
    const char *const words[] = { "PatientName=SMITH*" };

    for (int i = 0; i < 200; i++) {
        struct vt_err err = { 0 };
        struct vt_index_entry entry;
        struct vt_row row;
        bool found, more = true;
        VT_AUTO(vt_query)
        query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &(struct vt_query_rules){ 0 }, &err);
        VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
        VT_AUTO(vt_cursor) cursor = vt_index_find(world->index, plan, &err);
        while (cursor && more && vt_cursor_next(cursor, &row, &more, &err))
            ;
        if (!vt_index_lookup(world->index, "1.1.1.2", &entry, &found, &err) || vt_failed(&err))
            return "failed";
    }
    return NULL;
}

static void readers_go_on_beside_the_writer(void **state)
{
    struct world *world = *state;
    pthread_t readers[3];
    void *result;

    fill(world);
    for (size_t i = 0; i < VT_COUNT(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, world), 0);
    fill_many(world, 640);
    for (size_t i = 0; i < VT_COUNT(readers); i++) {
        pthread_join(readers[i], &result);
        assert_null(result);
    }
}

/* ---- memory ---- */

static bool open_put_find(void *context, struct vt_err *err)
{
    struct world *world = context;
    const char *const words[] = { "PatientName=*MIT*" };
    struct vt_index_entry entry;
    unsigned flags;
    bool found, more;
    struct vt_row row;
    VT_AUTO(vt_index)
    index =
        vt_index_open(&vt_index_sqlite, &(struct vt_index_options){ .path = world->folder }, err);

    if (!index || !vt_index_begin(index, err))
        return false;
    bool ok = vt_index_put(index, &world->instance, &flags, err) && vt_index_commit(index, 7, err);
    if (!ok) {
        vt_index_rollback(index);
        return false;
    }
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &(struct vt_query_rules){ 0 }, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_find(index, plan, err) : NULL;
    return cursor && vt_cursor_next(cursor, &row, &more, err) &&
           vt_index_lookup(index, "1.1.1.1", &entry, &found, err);
}

static void opening_putting_and_finding_survive_lost_memory(void **state)
{
    struct world *world = *state;

    vt_instance_init(&world->instance);
    make_instance(&world->instance, &small[0]);
    vt_torture(open_put_find, world);
    vt_instance_fini(&world->instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TESTS,
        CONTRACT(every_named_query_goes_through_its_index),
        cmocka_unit_test(a_file_that_is_no_index_names_the_way_back),
        CONTRACT(a_newer_schema_is_refused),
        CONTRACT(what_was_committed_is_there_after_opening_again),
        CONTRACT(a_checkpoint_beside_a_reader_still_makes_all_durable),
        CONTRACT(ten_thousand_instances_are_counted_and_found),
        CONTRACT(readers_go_on_beside_the_writer),
        CONTRACT(opening_putting_and_finding_survive_lost_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
