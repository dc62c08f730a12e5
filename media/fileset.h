/* media/fileset.h: the DICOMDIR of a file-set (PS3.10 8.6, PS3.3 F) as it is read: which files it names. Every offset, count and name is
 * checked; a directory that is not whole is an error that says what is wrong, and the caller looks at the files instead.
 *
 * Names are components with slashes between them, relative to the folder of the DICOMDIR. One that would leave that folder has no path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/uids.h"

struct vt_err;

enum {
    VT_FILESET_BYTES_MAX = 128 << 20,
    VT_FILESET_RECORDS_MAX = 1 << 20,
    VT_FILESET_COMPONENTS_MAX = 8,
    VT_FILESET_COMPONENT_MAX = 31,   /* 8 by the standard; longer ones are read */
    VT_FILESET_PATH_MAX = VT_FILESET_COMPONENTS_MAX * (VT_FILESET_COMPONENT_MAX + 1),
};

#define VT_UID_MEDIA_DIRECTORY "1.2.840.10008.1.3.10"

struct vt_fileset_file {
    char *path;                      /* NULL: the name leads out of the medium, or is none */
    char sop_uid[VT_UID_MAX + 1];    /* as the record says; may be "" */
    bool seen;                       /* the caller's */
};

struct vt_fileset {
    struct vt_fileset_file *files;   /* by path */
    size_t count;
};

/* bytes: the whole file. VT_E_INVALID: no DICOMDIR; VT_E_CORRUPT: a damaged one. */
struct vt_fileset *vt_fileset_read(const uint8_t *bytes, size_t size, struct vt_err *err);
struct vt_fileset *vt_fileset_load(const char *path, struct vt_err *err);
void vt_fileset_free(struct vt_fileset *fileset);
VT_DEFINE_AUTO(vt_fileset)

/* Capitals and small letters are the same, and so are "NAME", "NAME." and "NAME;1". NULL: not named by it. */
struct vt_fileset_file *vt_fileset_find(struct vt_fileset *fileset, const char *path);
/* By the first bytes of a file. */
bool vt_fileset_is(const uint8_t *head, size_t size);
