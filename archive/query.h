/* archive/query.h: what is asked of the archive, as pure data (PS3.4 C.2.2, C.4, C.6).
 *
 *   identifier bytes --vt_query_parse--> vt_query --vt_plan_make--> vt_plan --index driver--> rows
 *                                                       row + vt_query --vt_answer_write--> identifier bytes
 *
 * scp/find, QIDO-RS, C-MOVE, C-GET, export and the CLI share it. A plan names columns and operations that a driver can
 * turn into its own language; whatever it cannot express stays in plan.residue and is matched on the row
 * by vt_plan_matches, so every driver gives the same answers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/instance.h"
#include "core/auto.h"
#include "dicom/uids.h"

struct vt_err;
struct vt_query;
struct vt_plan;

enum { VT_QUERY_KEYS_MAX = 512, VT_QUERY_VALUES_MAX = 10000, VT_QUERY_DEPTH_MAX = 8, VT_IDENTIFIER_MAX = 1 << 20 };

/* Tags for (0000,0901) when vt_query_parse refuses. */
enum { VT_QUERY_OFFENDING_MAX = 8 };
struct vt_query_offending {
    uint32_t tags[VT_QUERY_OFFENDING_MAX];
    size_t count;
};

struct vt_query_rules {
    enum vt_model model;         /* VT_MODEL_NONE: any level, relational (QIDO-RS, CLI) */
    bool retrieve;               /* C-MOVE, C-GET: unique keys only; others are ignored (strict: A900) */
    bool relational;             /* negotiated, extended negotiation byte 1 */
    bool combined_date_time;     /* byte 2 */
    bool fuzzy;                  /* byte 3 */
    bool strict;                 /* query.strict: the standard's refusals instead of lenience */
    bool match_unknown;          /* query.match_unknown = required (reference 6.4) */
    bool keep_accents;
    const char *default_charset; /* peer's, when (0008,0005) is absent and bytes >= 80H appear */
    uint64_t max_matches;        /* 0: none */
    struct vt_query_offending *offending;   /* may be NULL; filled when the parse fails */
};

/* From an encoded identifier (checked raw here: depth, lengths). Errors carry the DIMSE status: A900 with the tags in
 * rules->offending, C000 family (C002 bad value, C003 character set, C005 to C007 structure). */
struct vt_query *vt_query_parse(const uint8_t *identifier, size_t size, enum vt_encoding encoding,
                                const struct vt_query_rules *rules, struct vt_err *err);
/* From "KEY=VALUE" or "KEY" words of the CLI (keyword or tag; UTF-8). */
struct vt_query *vt_query_from_words(enum vt_level level, const char *const words[], size_t count,
                                     const struct vt_query_rules *rules, struct vt_err *err);
void vt_query_free(struct vt_query *query);
VT_DEFINE_AUTO(vt_query)

enum vt_level vt_query_level(const struct vt_query *query);
const char *vt_query_charset(const struct vt_query *query);     /* of the request, "" if none */
uint64_t vt_query_max_matches(const struct vt_query *query);
/* Some requested key is not supported: pending answers carry FF01. */
bool vt_query_has_unsupported(const struct vt_query *query);

/* ---- the plan: read by drivers ---- */

enum vt_column {      /* what every driver keeps ready for searching; level in the name */
    VT_COL_PATIENT_ID, VT_COL_PATIENT_ISSUER, VT_COL_PATIENT_NAME /* folded */, VT_COL_PATIENT_BIRTH_DATE, VT_COL_PATIENT_SEX,
    VT_COL_STUDY_UID, VT_COL_STUDY_DATE, VT_COL_STUDY_TIME, VT_COL_STUDY_ACCESSION, VT_COL_STUDY_ID,
    VT_COL_STUDY_DESCRIPTION, VT_COL_STUDY_REFERRING /* folded */, VT_COL_STUDY_MODALITIES /* any of the study's series */,
    VT_COL_SERIES_UID, VT_COL_SERIES_MODALITY, VT_COL_SERIES_NUMBER /* integer */,
    VT_COL_INSTANCE_UID, VT_COL_INSTANCE_CLASS, VT_COL_INSTANCE_NUMBER /* integer */,
    VT_COLUMNS
};
enum vt_level vt_column_level(enum vt_column column);

enum vt_operation {
    VT_OP_EQUAL,         /* any of values */
    VT_OP_PREFIX,        /* starts with values[0] */
    VT_OP_LIKE,          /* wildcard pattern values[0] with * and ?; drivers may use any part of it to narrow */
    VT_OP_RANGE,         /* values[0] <= x <= values[1]; "" is open */
};

struct vt_condition {
    enum vt_column column;
    enum vt_operation operation;
    const char *const *values;     /* owned by the plan; UTF-8, folded where the column is */
    size_t value_count;
    bool exact;                    /* the driver's answer is final; else the row must also pass vt_plan_matches */
    bool or_empty;                 /* match_unknown: an empty column matches too */
};

enum vt_order { VT_ORDER_NONE, VT_ORDER_STANDARD };   /* newest study, name; series number; instance number */

/* One plan a query. Valid as long as the query. */
struct vt_plan *vt_plan_make(const struct vt_query *query, struct vt_err *err);
void vt_plan_free(struct vt_plan *plan);
VT_DEFINE_AUTO(vt_plan)
enum vt_level vt_plan_level(const struct vt_plan *plan);
const struct vt_condition *vt_plan_conditions(const struct vt_plan *plan, size_t *out_count);
enum vt_order vt_plan_order(const struct vt_plan *plan);
bool vt_plan_has_residue(const struct vt_plan *plan);
/* Which counts and lists the answer needs, so that a driver need not read what nobody asked for. */
bool vt_plan_wants(const struct vt_plan *plan, uint32_t tag);

/* ---- rows: made by drivers ---- */

struct vt_bytes {
    const uint8_t *data;
    size_t size;
};

/* One match: the attributes of its level and of all above, and what is computed. Borrowed until the next row. */
struct vt_row {
    enum vt_level level;
    struct vt_bytes attributes[VT_LEVELS];    /* as in vt_instance; empty below the level */
    const char *patient_id, *study_uid, *series_uid, *sop_uid;   /* NULL below the level */
    const char *sop_class, *transfer_syntax;  /* IMAGE level */
    const char *modalities, *sop_classes;     /* STUDY: distinct, sorted, with backslashes */
    uint64_t patient_studies, patient_series, patient_instances;
    uint64_t study_series, study_instances, series_instances;
    const char *availability;                 /* "ONLINE" ... (0008,0056) */
};

bool vt_plan_matches(const struct vt_plan *plan, const struct vt_row *row);

/* The response identifier (reference 6.6) in the encoding given, appended to out. Character set: 6.5 of the reference. */
struct vt_answer_rules {
    const char *retrieve_ae_title;
    const char *peer_charset;      /* NULL: none configured */
    enum vt_encoding encoding;
};
bool vt_answer_write(const struct vt_query *query, const struct vt_row *row, const struct vt_answer_rules *rules,
                     struct vt_buf *out, struct vt_err *err);
