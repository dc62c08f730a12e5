/* archive/columns.h: what an index keeps ready for searching (enum vt_column), taken out of the
 * attributes of an instance, in the form in which it compares: names folded, dates YYYYMMDD, times
 * HHMMSS.ffffff, numbers as integers. Both drivers use it, so both find the same. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/instance.h"
#include "archive/match.h"

struct vt_err;

enum { VT_COLUMN_TEXT = 260, VT_COLUMN_NAME = 1024, VT_NAME_GROUPS = 3 };

struct vt_patient_columns {
    char id[VT_COLUMN_TEXT], issuer[VT_COLUMN_TEXT], birth_date[VT_DATE_ROOM], sex[20];
    char name[VT_COLUMN_NAME];
};
struct vt_study_columns {
    char date[VT_DATE_ROOM], time[VT_TIME_ROOM], accession[VT_COLUMN_TEXT],
        study_id[VT_COLUMN_TEXT];
    char description[VT_COLUMN_NAME], referring[VT_COLUMN_NAME];
};
struct vt_series_columns {
    char modality[64];
    bool has_number;
    int64_t number;
};

bool vt_columns_patient(const uint8_t *attributes, size_t size, struct vt_patient_columns *out,
                        struct vt_err *err);
bool vt_columns_study(const uint8_t *attributes, size_t size, struct vt_study_columns *out,
                      struct vt_err *err);
void vt_columns_series(const uint8_t *attributes, size_t size, struct vt_series_columns *out);
bool vt_columns_instance_number(const uint8_t *attributes, size_t size, int64_t *out_number);

/* The component groups of a folded name that are not empty, without repeats. Pieces are borrowed
 * from `name`. */
struct vt_name_groups {
    const char *text[VT_NAME_GROUPS];
    size_t size[VT_NAME_GROUPS];
    size_t count;
};
struct vt_name_groups vt_columns_name_groups(const char *name);

/* Adds a value to a list with backslashes that is sorted and free of repeats; true when it was new.
 * Full lists stay. */
bool vt_columns_list_add(char *list, size_t room, const char *value);
