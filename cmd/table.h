/* cmd/table.h: rows on standard output: a JSON object a line for machines, a table or "key: value"
 * lines for people.
 *
 * Rows are JSON objects. A table waits for the first VT_TABLE_AHEAD rows to learn how wide its
 * columns are, then prints as they come. What comes from a peer is shown without control
 * characters, so it cannot play with the terminal. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/auto.h"

struct json_t;
struct vt_table;

enum { VT_TABLE_AHEAD = 200, VT_TABLE_COLUMN_MAX = 48, VT_TABLE_COLUMNS = 24 };

enum vt_layout { VT_LAYOUT_TABLE, VT_LAYOUT_RECORD };

struct vt_column_spec {
    const char *key; /* of the row */
    const char *title;
};

struct vt_table_options {
    FILE *out;
    bool json;
    enum vt_layout layout;
    /* NULL: the keys of the first row that are no lists or objects. A column that no waiting row
     * has is left out. */
    const struct vt_column_spec *columns;
    size_t column_count;
};

struct vt_table *vt_table_new(const struct vt_table_options *options); /* NULL when out of memory */
/* Prints what waits. */
void vt_table_free(struct vt_table *table);
VT_DEFINE_AUTO(vt_table)

/* Borrows the row. false: out of memory, or standard output is closed. */
bool vt_table_row(struct vt_table *table, struct json_t *row);

/* A value as people read it: no quotes, no control characters; bytes of a "...bytes" key with a unit.
 * Cut to room. */
void vt_table_text(const char *key, const struct json_t *value, char *out, size_t room);
/* "1.5 MB" (powers of 1000) */
void vt_bytes_text(unsigned long long bytes, char *out, size_t room);
/* Columns a UTF-8 text takes on a terminal. */
size_t vt_text_width(const char *utf8);
