/* archive/row_value.h: the value of a key in a row, whether it is in the attributes, in a column or
 * a count. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "archive/keys.h"
#include "archive/query.h"

enum { VT_ROW_VALUE_ROOM = 192 };

/* false: the row has none. `scratch` holds values that are made here; the rest is borrowed from the
 * row. */
bool vt_row_value(const struct vt_row *row, const struct vt_key *key,
                  char scratch[VT_ROW_VALUE_ROOM], struct vt_bytes *out);
