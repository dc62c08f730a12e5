#include "media/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "core/err.h"
#include "media/image.h"

struct vt_zip {
    struct vt_image *image;
    struct archive *archive;
    bool dropped;
    struct vt_err fault;      /* of the image */
};

static bool trouble(const struct vt_zip *zip, struct vt_err *err)
{
    const char *text = archive_error_string(zip->archive);

    if (vt_failed(&zip->fault)) {
        *err = zip->fault;
        return false;
    }
    return vt_fail(err, archive_errno(zip->archive) == ENOMEM ? VT_E_NOMEM : VT_E_IO, "the ZIP file: %.160s",
                   text ? text : "cannot be written");
}

/* What is given up is closed like any other, so that nothing leaks, but its bytes go nowhere. */
static la_ssize_t write_out(struct archive *archive, void *context, const void *bytes, size_t size)
{
    struct vt_zip *zip = context;

    if (!zip->dropped && vt_image_write(zip->image, bytes, size, &zip->fault))
        return (la_ssize_t)size;
    archive_set_error(archive, ECANCELED, "it was given up");
    return -1;
}

struct vt_zip *vt_zip_new(struct vt_image *image, struct vt_err *err)
{
    VT_AUTO(vt_zip) zip = calloc(1, sizeof *zip);

    if (!zip || !(zip->archive = archive_write_new())) {
        vt_fail(err, VT_E_NOMEM, "no memory for a ZIP file");
        return NULL;
    }
    zip->image = image;
    if (archive_write_set_format_zip(zip->archive) != ARCHIVE_OK ||
        archive_write_set_options(zip->archive, "zip:compression=store") != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(zip->archive, 0) != ARCHIVE_OK ||
        archive_write_open(zip->archive, zip, NULL, write_out, NULL) != ARCHIVE_OK) {
        trouble(zip, err);
        return NULL;
    }
    return vt_take(&zip);
}

void vt_zip_free(struct vt_zip *zip)
{
    if (!zip)
        return;
    zip->dropped = true;
    if (zip->archive)
        archive_write_free(zip->archive);
    free(zip);
}

bool vt_zip_begin(struct vt_zip *zip, const char *path, uint64_t size, struct vt_err *err)
{
    struct archive_entry *entry = archive_entry_new();

    if (!entry)
        return vt_fail(err, VT_E_NOMEM, "no memory for an entry");
    archive_entry_set_pathname(entry, path);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0444);
    archive_entry_set_mtime(entry, time(NULL), 0);
    int done = archive_write_header(zip->archive, entry);
    archive_entry_free(entry);
    return done == ARCHIVE_OK || trouble(zip, err);
}

bool vt_zip_write(struct vt_zip *zip, const void *bytes, size_t size, struct vt_err *err)
{
    return archive_write_data(zip->archive, bytes, size) == (la_ssize_t)size || trouble(zip, err);
}

bool vt_zip_end(struct vt_zip *zip, struct vt_err *err)
{
    return archive_write_finish_entry(zip->archive) == ARCHIVE_OK || trouble(zip, err);
}

bool vt_zip_finish(struct vt_zip *zip, struct vt_err *err)
{
    return archive_write_close(zip->archive) == ARCHIVE_OK || trouble(zip, err);
}
