/* media/directory.h: the DICOMDIR of a file-set that is being written (PS3.10 8.6, PS3.3 F): records are collected while instances
 * go out, the file is made at the end. Memory grows with the number of instances, by a few hundred bytes each. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_buf;
struct vt_directory;
struct vt_err;
struct vt_header;

enum { VT_DIRECTORY_RECORDS_MAX = 400000, VT_DIRECTORY_BYTES_MAX = 256 << 20, VT_DIRECTORY_ID_MAX = 64, VT_DIRECTORY_ICON = 64 };

struct vt_directory_entry {
    const struct vt_header *header;      /* of the data set as it is written: finished */
    const char *sop_class, *sop_uid, *transfer_syntax;
    const uint8_t *icon;                 /* VT_DIRECTORY_ICON * VT_DIRECTORY_ICON bytes of grey; NULL: none */
};

struct vt_directory *vt_directory_new(void);   /* NULL when out of memory */
void vt_directory_free(struct vt_directory *directory);
VT_DEFINE_AUTO(vt_directory)
/* out_path: where the file goes, "DICOM/PA000000/ST000000/SE000000/IM000000". VT_E_UNSUPPORTED: no record type for this class. */
bool vt_directory_add(struct vt_directory *directory, const struct vt_directory_entry *entry,
                      char out_path[static VT_DIRECTORY_ID_MAX], struct vt_err *err);
/* The whole file. */
bool vt_directory_write(struct vt_directory *directory, struct vt_buf *out, struct vt_err *err);
