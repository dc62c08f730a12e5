/* tests/archive/identifier.h: requests and rows made in tests. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "archive/attributes.h"
#include "archive/query.h"
#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"

/* Appends an element in Explicit VR LE. Tests keep tags ascending. */
static inline void with(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    assert_true(vt_write_bytes(&w, tag, vr, text, strlen(text), &err));
}

static inline struct vt_query *parse(const struct vt_buf *buf, const struct vt_query_rules *rules,
                                     struct vt_err *err)
{
    return vt_query_parse(buf->data, buf->size, VT_EXPLICIT_LE, rules, err);
}

/* A row whose attributes are those given. */
static inline struct vt_row row_of(enum vt_level level, const struct vt_buf at[VT_LEVELS])
{
    struct vt_row row = { .level = level,
                          .patient_id = "P1",
                          .study_uid = "1.2",
                          .series_uid = "1.2.3",
                          .sop_uid = "1.2.3.4",
                          .sop_class = VT_UID_CT_IMAGE,
                          .transfer_syntax = VT_UID_IMPLICIT_LE,
                          .modalities = "CT\\SR",
                          .sop_classes = VT_UID_CT_IMAGE,
                          .study_series = 2,
                          .study_instances = 30,
                          .series_instances = 20,
                          .patient_studies = 1,
                          .availability = "ONLINE" };
    for (int i = 0; i < VT_LEVELS; i++)
        row.attributes[i] = (struct vt_bytes){ at[i].data, at[i].size };
    return row;
}

static inline void stored(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_err err = { 0 };
    buf->limit = VT_ATTRIBUTES_MAX;
    assert_true(vt_attributes_append(buf, tag, vr, text, strlen(text), &err));
}

static inline int load_dictionary(void **state)
{
    struct vt_err err = { 0 };
    (void)state;
    assert_true(vt_dict_load(&err));
    return 0;
}
