#include "cmd/table.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <utf8proc.h>

enum { CELL_MAX = 1024 };

struct column {
    const char *key;
    const char *title;
    size_t width;
    bool right; /* numbers */
};

struct vt_table {
    struct vt_table_options options;
    json_t *waiting; /* array; NULL once the header is printed */
    struct column columns[VT_TABLE_COLUMNS];
    size_t column_count;
    json_t *first; /* owns the keys when they come from the first row */
    size_t rows;
};

struct vt_table *vt_table_new(const struct vt_table_options *options)
{
    struct vt_table *table = calloc(1, sizeof *table);

    if (!table)
        return NULL;
    table->options = *options;
    table->waiting = json_array();
    if (!table->waiting) {
        free(table);
        return NULL;
    }
    return table;
}

size_t vt_text_width(const char *utf8)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)utf8;
    utf8proc_int32_t code;
    size_t width = 0;

    while (*p) {
        utf8proc_ssize_t length = utf8proc_iterate(p, -1, &code);
        if (length <= 0) {
            p++;
            width++;
            continue;
        }
        p += length;
        width += (size_t)utf8proc_charwidth(code);
    }
    return width;
}

void vt_bytes_text(unsigned long long bytes, char *out, size_t room)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 999.95 && unit + 1 < VT_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(out, room, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* UTF-8 with control characters (C0, DEL, C1) as '?'; cut between characters. */
static void copy_clean(const char *text, char *out, size_t room)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
    utf8proc_int32_t code;
    size_t used = 0;

    while (*p) {
        utf8proc_ssize_t length = utf8proc_iterate(p, -1, &code);
        bool bad = length <= 0 || code < 0x20 || (code >= 0x7f && code < 0xa0);
        size_t step = length > 0 ? (size_t)length : 1;
        if (used + (bad ? 1 : step) >= room)
            break;
        if (bad)
            out[used] = '?';
        else
            memcpy(out + used, p, step);
        used += bad ? 1 : step;
        p += step;
    }
    out[used] = '\0';
}

/* Numbers of bytes by their key: "bytes" and what ends so, and these. */
static bool is_bytes(const char *key)
{
    static const char *const keys[] = { "size", "free", "total", "journal_used", "journal_room" };
    size_t length = strlen(key);

    for (size_t i = 0; i < VT_COUNT(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return length >= 5 && strcmp(key + length - 5, "bytes") == 0;
}

void vt_table_text(const char *key, const struct json_t *value, char *out, size_t room)
{
    size_t used = 0;
    char item[CELL_MAX];

    switch (json_typeof(value)) {
    case JSON_STRING:
        copy_clean(json_string_value(value), out, room);
        return;
    case JSON_INTEGER:
        if (is_bytes(key) && json_integer_value(value) >= 0)
            vt_bytes_text((unsigned long long)json_integer_value(value), out, room);
        else
            snprintf(out, room, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    case JSON_REAL:
        snprintf(out, room, "%.6g", json_real_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(out, room, "%s", json_is_true(value) ? "yes" : "no");
        return;
    case JSON_ARRAY:
        out[0] = '\0';
        for (size_t i = 0; i < json_array_size(value) && used < room; i++) {
            vt_table_text(key, json_array_get(value, i), item, sizeof item);
            used += (size_t)snprintf(out + used, room - used, "%s%s", i ? ", " : "", item);
        }
        return;
    default:
        out[0] = '\0';
    }
}

/* Cut to the column's width with an ellipsis, padded. */
static void print_cell(FILE *out, const char *text, const struct column *column, bool last)
{
    char cut[CELL_MAX];
    size_t width = vt_text_width(text);

    snprintf(cut, sizeof cut, "%s", text);
    while (width > column->width && *cut) {
        size_t end = strlen(cut);
        do
            end--;
        while (end > 0 && (cut[end] & 0xc0) == 0x80);
        cut[end] = '\0';
        width = vt_text_width(cut) + 1;
        if (width <= column->width && end + 4 < sizeof cut)
            memcpy(cut + end, "\xe2\x80\xa6", 4);
    }
    int pad = width < column->width ? (int)(column->width - width) : 0;
    if (column->right)
        fprintf(out, "%*s%s", pad, "", cut);
    else
        fprintf(out, "%s%*s", cut, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

/* The keys of the first row that are worth a column. */
static void columns_of_row(struct vt_table *table, json_t *row)
{
    const char *key;
    json_t *value;

    table->first = json_incref(row);
    json_object_foreach(row, key,
                        value) if (!json_is_object(value) && table->column_count < VT_TABLE_COLUMNS)
        table->columns[table->column_count++] = (struct column){ .key = key, .title = key };
}

/* Width and presence of a column in the rows that wait. */
static bool measure(struct vt_table *table, struct column *column)
{
    char text[CELL_MAX];
    bool present = false, numbers = true;
    size_t i;
    json_t *row;

    column->width = vt_text_width(column->title);
    json_array_foreach(table->waiting, i, row)
    {
        json_t *value = json_object_get(row, column->key);
        if (!value || json_is_null(value))
            continue;
        present = true;
        numbers = numbers && json_is_number(value);
        vt_table_text(column->key, value, text, sizeof text);
        size_t width = vt_text_width(text);
        if (width > column->width)
            column->width = width;
    }
    /* UIDs and paths are for copying: never cut. */
    bool whole = strstr(column->key, "UID") || strstr(column->key, "uid") ||
                 strcmp(column->key, "file") == 0;
    if (column->width > VT_TABLE_COLUMN_MAX && !whole)
        column->width = VT_TABLE_COLUMN_MAX;
    column->right = present && numbers;
    return present;
}

static void choose_columns(struct vt_table *table)
{
    const struct vt_table_options *options = &table->options;
    size_t kept = 0;

    if (options->columns)
        for (size_t i = 0; i < options->column_count && i < VT_TABLE_COLUMNS; i++)
            table->columns[table->column_count++] =
                (struct column){ .key = options->columns[i].key,
                                 .title = options->columns[i].title };
    else
        columns_of_row(table, json_array_get(table->waiting, 0));
    for (size_t i = 0; i < table->column_count; i++) {
        struct column column = table->columns[i];
        if (measure(table, &column))
            table->columns[kept++] = column;
    }
    table->column_count = kept;
}

static void print_row(struct vt_table *table, json_t *row)
{
    char text[CELL_MAX];

    for (size_t i = 0; i < table->column_count; i++) {
        const struct column *column = &table->columns[i];
        json_t *value = json_object_get(row, column->key);
        text[0] = '\0';
        if (value)
            vt_table_text(column->key, value, text, sizeof text);
        print_cell(table->options.out, text, column, i + 1 == table->column_count);
    }
}

static void print_waiting(struct vt_table *table)
{
    size_t i;
    json_t *row;

    if (json_array_size(table->waiting) > 0) {
        choose_columns(table);
        for (size_t c = 0; c < table->column_count; c++)
            print_cell(table->options.out, table->columns[c].title, &table->columns[c],
                       c + 1 == table->column_count);
        json_array_foreach(table->waiting, i, row) print_row(table, row);
    }
    json_decref(table->waiting);
    table->waiting = NULL;
}

/* "key: value" lines; lists of objects below their key, indented. */
static void print_record(FILE *out, json_t *record, int indent)
{
    const char *key;
    char text[CELL_MAX];
    json_t *value, *item;
    size_t i, widest = 0;

    json_object_foreach(record, key, value) if (strlen(key) > widest) widest = strlen(key);
    json_object_foreach(record, key, value)
    {
        bool nested = json_is_object(value) || json_is_object(json_array_get(value, 0));
        if (!nested) {
            vt_table_text(key, value, text, sizeof text);
            fprintf(out, "%*s%-*s %s\n", indent, "", (int)widest, key, text);
            continue;
        }
        fprintf(out, "%*s%s\n", indent, "", key);
        if (json_is_object(value))
            print_record(out, value, indent + 2);
        json_array_foreach(value, i, item)
        {
            if (i > 0)
                fputc('\n', out);
            print_record(out, item, indent + 2);
        }
    }
}

bool vt_table_row(struct vt_table *table, json_t *row)
{
    FILE *out = table->options.out;

    if (table->options.json) {
        if (json_dumpf(row, out, JSON_COMPACT) != 0)
            return false;
        fputc('\n', out);
    } else if (table->options.layout == VT_LAYOUT_RECORD) {
        if (table->rows > 0)
            fputc('\n', out);
        print_record(out, row, 0);
    } else if (table->waiting) {
        if (json_array_append(table->waiting, row) != 0)
            return false;
        if (json_array_size(table->waiting) >= VT_TABLE_AHEAD)
            print_waiting(table);
    } else {
        print_row(table, row);
    }
    table->rows++;
    return !ferror(out);
}

void vt_table_free(struct vt_table *table)
{
    if (!table)
        return;
    if (table->waiting)
        print_waiting(table);
    json_decref(table->first);
    free(table);
}
