/* tests/archive/index_world.h: an index and instances made in words, for the contract of the drivers (index_contract.h).
 * DRIVER is the one under test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/attributes.h"
#include "archive/index.h"
#include "archive/query.h"
#include "core/err.h"
#include "dicom/tags.h"
#include "tests/support/torture.h"

struct world {
    char folder[64];
    struct vt_index *index;
    uint64_t sequence;
    struct vt_instance instance; /* of the torture tests */
};

/* One instance in words; NULL is left out. */
struct made {
    const char *patient, *issuer, *name, *birth;
    const char *study, *date, *time, *accession, *description, *study_id;
    const char *series, *modality, *number;
    const char *sop, *instance_number, *sop_class;
};

static inline void put_text(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_err err = { 0 };
    if (text)
        assert_true(vt_attributes_append(buf, tag, vr, text, strlen(text), &err));
}

static inline void make_instance(struct vt_instance *out, const struct made *made)
{
    struct vt_buf *at = out->attributes;

    vt_instance_reset(out);
    put_text(&at[0], VT_TAG_PATIENT_NAME, "PN", made->name);
    put_text(&at[0], VT_TAG_PATIENT_ID, "LO", made->patient);
    put_text(&at[0], VT_TAG_ISSUER_OF_PATIENT_ID, "LO", made->issuer);
    put_text(&at[0], VT_TAG_PATIENT_BIRTH_DATE, "DA", made->birth);
    put_text(&at[1], VT_TAG_STUDY_DATE, "DA", made->date);
    put_text(&at[1], VT_TAG_STUDY_TIME, "TM", made->time);
    put_text(&at[1], VT_TAG_ACCESSION_NUMBER, "SH", made->accession);
    put_text(&at[1], VT_TAG_STUDY_DESCRIPTION, "LO", made->description);
    put_text(&at[1], VT_TAG_STUDY_ID, "SH", made->study_id);
    put_text(&at[2], VT_TAG_MODALITY, "CS", made->modality ? made->modality : "CT");
    put_text(&at[2], VT_TAG_SERIES_NUMBER, "IS", made->number);
    put_text(&at[3], VT_TAG_INSTANCE_NUMBER, "IS", made->instance_number);
    snprintf(out->study_uid, sizeof out->study_uid, "%s", made->study);
    snprintf(out->series_uid, sizeof out->series_uid, "%s", made->series);
    snprintf(out->sop_uid, sizeof out->sop_uid, "%s", made->sop);
    snprintf(out->sop_class, sizeof out->sop_class, "%s",
             made->sop_class ? made->sop_class : VT_UID_CT_IMAGE);
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s", VT_UID_EXPLICIT_LE);
    snprintf(out->file, sizeof out->file, "objects/2026/11/22/%s/%s/%s.dcm", made->study,
             made->series, made->sop);
    out->version = 1;
    out->file_size = 1000;
    out->data_set_offset = 400;
    out->data_set_size = 600;
    out->has_pixels = true;
    out->pixel_offset = 500;
    out->pixel_length = 100;
    out->arrived = 42;
    memset(out->data_set_digest.bytes, 7, 16);
    memset(out->pixel_digest.bytes, 9, 16);
}

static inline unsigned put_in(struct world *world, const struct made *made)
{
    struct vt_instance instance;
    struct vt_err err = { 0 };
    unsigned flags = 0;

    vt_instance_init(&instance);
    make_instance(&instance, made);
    assert_true(vt_index_put(world->index, &instance, &flags, &err));
    vt_instance_fini(&instance);
    return flags;
}

static inline void begin(struct world *world)
{
    struct vt_err err = { 0 };
    assert_true(vt_index_begin(world->index, &err));
}

static inline void commit(struct world *world)
{
    struct vt_err err = { 0 };
    if (!vt_index_commit(world->index, ++world->sequence, &err))
        fail_msg("%s", err.text);
}

static inline unsigned put(struct world *world, const struct made *made)
{
    begin(world);
    unsigned flags = put_in(world, made);
    commit(world);
    return flags;
}

/* The wanted attribute of each match, joined by ';', in the order of the answers. `words` ends with
 * NULL. */
static inline const char *ask_with(struct world *world, enum vt_level level,
                                   const struct vt_query_rules *rules, const char *const *words)
{
    static char found[65536];
    struct vt_err err = { 0 };
    size_t count = 0, used = 0;
    struct vt_row row;
    bool more = true;

    found[0] = '\0';
    while (words[count])
        count++;
    VT_AUTO(vt_query) query = vt_query_from_words(level, words, count, rules, &err);
    if (!query)
        fail_msg("%s", err.text);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    VT_AUTO(vt_cursor) cursor = vt_index_find(world->index, plan, &err);
    if (!cursor)
        fail_msg("%s", err.text);
    while (vt_cursor_next(cursor, &row, &more, &err) && more) {
        const char *uid = level == VT_LEVEL_PATIENT  ? row.patient_id
                          : level == VT_LEVEL_STUDY  ? row.study_uid
                          : level == VT_LEVEL_SERIES ? row.series_uid
                                                     : row.sop_uid;
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", used ? ";" : "", uid);
        assert_true(used < sizeof found);
    }
    if (vt_failed(&err))
        fail_msg("%s", err.text);
    return found;
}

#define ASK(world, level, ...)                                                                     \
    ask_with(world, level, &(struct vt_query_rules){ .model = VT_MODEL_NONE },                     \
             (const char *const[]){ __VA_ARGS__, NULL })

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct vt_err err = { 0 };

    if (!vt_dict_load(&err))
        fail_msg("%s", err.text);
    snprintf(world->folder, sizeof world->folder, "/tmp/vt-index-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->index = vt_index_open(
        &DRIVER, &(struct vt_index_options){ .path = world->folder, .readers = 4 }, &err);
    if (!world->index)
        fail_msg("%s", err.text);
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm" };
    char path[128];

    vt_index_free(world->index);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", world->folder, names[i]);
        unlink(path);
    }
    rmdir(world->folder);
    free(world);
    return 0;
}

/* Three studies of two patients; 1.1 has two series, 1.3 is the newest. */
static const struct made small[] = {
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.1", "20200110", "101500", "A1", "Head CT", "S1",
      "1.1.1", "CT", "1", "1.1.1.1", "1", NULL },
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.1", "20200110", "101500", "A1", "Head CT", "S1",
      "1.1.1", "CT", "1", "1.1.1.2", "2", NULL },
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.1", "20200110", "101500", "A1", "Head CT", "S1",
      "1.1.2", "SR", "10", "1.1.2.1", "1", "1.2.840.10008.5.1.4.1.1.88.11" },
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.2", "20200112", "0800", "A2", "Chest", "S2", "1.2.1",
      "CT", "2", "1.2.1.1", "1", NULL },
    { "P2", NULL, "Müller^Eva", "19800202", "1.3", "20210601", "235959.5", "B3", "Knee MR", "S3",
      "1.3.1", "MR", "1", "1.3.1.1", "1", NULL },
};

static inline void fill(struct world *world)
{
    begin(world);
    for (size_t i = 0; i < VT_COUNT(small); i++)
        put_in(world, &small[i]);
    commit(world);
}
