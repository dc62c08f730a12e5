#include "media/iso.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "media/image.h"
#include "media/iso_inside.h"

enum { SYSTEM_SECTORS = 16, DESCRIPTORS_MAX = 3, PRIMARY = 1, SUPPLEMENTARY = 2, TERMINATOR = 255, TEXT_MAX = 128 };

struct vt_iso {
    struct vt_image *image;
    bool long_names;
    struct tm when;
    struct vt_iso_file *files;
    size_t count, room;
    uint64_t end;               /* where the open file must end */
};

struct vt_iso *vt_iso_new(struct vt_image *image, bool long_names, struct vt_err *err)
{
    VT_AUTO(vt_iso) iso = calloc(1, sizeof *iso);
    time_t now = time(NULL);

    if (!iso) {
        vt_fail(err, VT_E_NOMEM, "no memory for an ISO image");
        return NULL;
    }
    iso->image = image;
    iso->long_names = long_names;
    gmtime_r(&now, &iso->when);
    return vt_image_fill(image, (SYSTEM_SECTORS + DESCRIPTORS_MAX) * VT_ISO_SECTOR, err) ? vt_take(&iso) : NULL;
}

void vt_iso_free(struct vt_iso *iso)
{
    if (!iso)
        return;
    free(iso->files);
    free(iso);
}

/* ---- files ---- */

static bool check_path(const char *path, struct vt_err *err)
{
    size_t depth = 0, length;

    for (const char *at = path;; at += length + 1, depth++) {
        length = strcspn(at, "/");
        if (length == 0 || length > VT_ISO_NAME_MAX || depth >= VT_ISO_DEPTH_MAX - 1)
            return vt_fail(err, VT_E_INVALID, "'%.100s' cannot be a name on an ISO image", path);
        if (!at[length])
            return true;
    }
}

static bool note(struct vt_iso *iso, const struct vt_iso_file *file, struct vt_err *err)
{
    if (iso->count == iso->room) {
        size_t room = iso->room ? 2 * iso->room : 64;
        struct vt_iso_file *grown = reallocarray(iso->files, room, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of files");
        iso->files = grown;
        iso->room = room;
    }
    iso->files[iso->count++] = *file;
    return true;
}

bool vt_iso_begin(struct vt_iso *iso, const char *path, uint64_t size, struct vt_err *err)
{
    uint64_t at = vt_image_size(iso->image);
    const struct vt_iso_file file = { path, (uint32_t)(at / VT_ISO_SECTOR), (uint32_t)size };

    if (!check_path(path, err))
        return false;
    if (size > VT_ISO_FILE_MAX)
        return vt_fail(err, VT_E_LIMIT, "a file of an ISO 9660 image has less than 4 GiB");
    if (at / VT_ISO_SECTOR > UINT32_MAX - VT_ISO_FILE_MAX / VT_ISO_SECTOR)
        return vt_fail(err, VT_E_LIMIT, "an ISO 9660 image has less than 8 TiB");
    iso->end = at + size;
    return note(iso, &file, err);
}

bool vt_iso_end(struct vt_iso *iso, struct vt_err *err)
{
    uint64_t size = vt_image_size(iso->image);

    if (size != iso->end)
        return vt_fail(err, VT_E_INTERNAL, "%s has another size than was said", iso->files[iso->count - 1].path);
    return vt_image_fill(iso->image, (VT_ISO_SECTOR - size % VT_ISO_SECTOR) % VT_ISO_SECTOR, err);
}

/* ---- volume descriptors (ECMA-119 8) ---- */

/* Joliet has UCS-2 where others have bytes. */
static void put_text(uint8_t *out, size_t size, const char *text, bool joliet)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < size; i++) {
        size_t at = joliet ? i / 2 : i;
        uint8_t c = (uint8_t)(at < length ? text[at] : ' ');
        out[i] = joliet && i % 2 == 0 ? 0 : c;
    }
}

static void put_date(uint8_t out[static 17], const struct tm *when)
{
    char text[64];

    memset(out, '0', 16);
    out[16] = 0;
    if (!when)
        return;
    snprintf(text, sizeof text, "%04d%02d%02d%02d%02d%02d00", when->tm_year + 1900, when->tm_mon + 1, when->tm_mday, when->tm_hour,
             when->tm_min, when->tm_sec);
    memcpy(out, text, 16);
}

static void put_descriptor(const struct vt_iso *iso, const struct vt_iso_volume *volume, bool joliet, uint32_t sectors,
                           uint8_t out[static VT_ISO_SECTOR])
{
    static const struct {
        size_t at, size;
        const char *text;
    } texts[] = { { 8, 32, "" }, { 40, 32, "VITRINE" }, { 190, TEXT_MAX, "" }, { 318, TEXT_MAX, "" }, { 446, TEXT_MAX, "" },
                  { 574, TEXT_MAX, "VITRINE" }, { 702, 37, "" }, { 739, 37, "" }, { 776, 37, "" } };

    memset(out, 0, VT_ISO_SECTOR);
    out[0] = joliet ? SUPPLEMENTARY : PRIMARY;
    memcpy(out + 1, "CD001\1", 6);
    for (size_t i = 0; i < VT_COUNT(texts); i++)
        put_text(out + texts[i].at, texts[i].size, texts[i].text, joliet);
    vt_iso_both32(out + 80, sectors);
    if (joliet)
        memcpy(out + 88, "%/E", 3);
    vt_iso_both16(out + 120, 1);
    vt_iso_both16(out + 124, 1);
    vt_iso_both16(out + 128, VT_ISO_SECTOR);
    vt_iso_both32(out + 132, volume->path_table_size);
    vt_iso_little32(out + 140, volume->little);
    vt_iso_big32(out + 148, volume->big);
    memcpy(out + 156, volume->root, sizeof volume->root);
    put_date(out + 813, &iso->when);
    put_date(out + 830, &iso->when);
    put_date(out + 847, NULL);
    put_date(out + 864, NULL);
    out[881] = 1;
}

static bool put_descriptors(struct vt_iso *iso, const struct vt_iso_volume *volumes, size_t count, struct vt_err *err)
{
    uint8_t all[DESCRIPTORS_MAX * VT_ISO_SECTOR] = { 0 }, *end = all + count * VT_ISO_SECTOR;
    uint32_t sectors = (uint32_t)(vt_image_size(iso->image) / VT_ISO_SECTOR);

    for (size_t i = 0; i < count; i++)
        put_descriptor(iso, &volumes[i], i == 1, sectors, all + i * VT_ISO_SECTOR);
    end[0] = TERMINATOR;
    memcpy(end + 1, "CD001\1", 6);
    return vt_image_replace(iso->image, SYSTEM_SECTORS * VT_ISO_SECTOR, all, sizeof all, err);
}

/* ---- the end ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct vt_iso_file *)a)->path, ((const struct vt_iso_file *)b)->path);
}

bool vt_iso_finish(struct vt_iso *iso, struct vt_err *err)
{
    const enum vt_iso_names names[] = { iso->long_names ? VT_ISO_ROCK_RIDGE : VT_ISO_PLAIN, VT_ISO_JOLIET };
    struct vt_iso_volume volumes[VT_COUNT(names)];
    size_t count = iso->long_names ? 2 : 1;

    if (iso->count)
        qsort(iso->files, iso->count, sizeof *iso->files, by_path);
    VT_AUTO(vt_iso_tree) tree = vt_iso_tree_new(iso->files, iso->count, err);
    if (!tree)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!vt_iso_tree_name(tree, names[i], err) || !vt_iso_put_tree(iso->image, tree, &iso->when, &volumes[i], err))
            return false;
    return vt_image_fill(iso->image, VT_ISO_PADDING * VT_ISO_SECTOR, err) && put_descriptors(iso, volumes, count, err);
}
