/* archive/worklist_csv.h: scheduled steps as a table (RFC 4180): the first line names the attributes, each further one is an
 * entry. Parted by comma, semicolon or tab, whichever the first line has; quoted fields may hold any of these, line ends, and
 * quotes doubled. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;

enum { VT_WORKLIST_CSV_MAX = 32 << 20, VT_WORKLIST_CSV_COLUMNS = 64 };

/* `charset` as in (0008,0005); NULL: UTF-8 (a byte order mark is passed over), and ISO_IR 100 where it is none. `row` gets
 * "Keyword=value" for each field that is not empty, and the number of the line it began in; false stops. VT_E_INVALID: the
 * first line names what is no attribute; a quoted field that does not end. Lines with too many fields are rows with `bad`. */
typedef bool (*vt_worklist_csv_row)(void *context, size_t line, const char *const words[], size_t count, const char *bad,
                                    struct vt_err *err);
bool vt_worklist_csv(const uint8_t *bytes, size_t size, const char *charset, vt_worklist_csv_row row, void *context,
                     struct vt_err *err);
