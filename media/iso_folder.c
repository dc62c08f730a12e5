/* Folders and path tables (ECMA-119 9.1, 9.4; Rock Ridge: SUSP 1.10, RRIP 1991A). The same lines measure them and write them. */
#include "core/err.h"
#include "media/image.h"
#include "media/iso_inside.h"

enum { RECORD = 33, FOLDER_FLAG = 2, PX = 36, NM = 5, PATH_RECORD = 8 };
enum { MODE_FOLDER = 040555, MODE_FILE = 0100444 };

struct laying {
    struct vt_iso_tree *tree;
    struct vt_image *image;        /* NULL: it is only measured */
    uint8_t when[7];
    bool big;                      /* the path table that is written */
    uint8_t sector[VT_ISO_SECTOR];
    size_t used;
    uint32_t full;                 /* sectors behind it */
};

/* ---- bytes in sectors ---- */

static bool flush(struct laying *laying, struct vt_err *err)
{
    if (laying->image && (!vt_image_write(laying->image, laying->sector, laying->used, err) ||
                          !vt_image_fill(laying->image, VT_ISO_SECTOR - laying->used, err)))
        return false;
    laying->used = 0;
    laying->full++;
    return true;
}

/* split: it may go on in the next sector. */
static bool put(struct laying *laying, const uint8_t *bytes, size_t size, bool split, struct vt_err *err)
{
    while (size > 0) {
        size_t room = VT_ISO_SECTOR - laying->used, part = size <= room ? size : split ? room : 0;
        memcpy(laying->sector + laying->used, bytes, part);
        laying->used += part;
        bytes += part;
        size -= part;
        if ((laying->used == VT_ISO_SECTOR || size > 0) && !flush(laying, err))
            return false;
    }
    return true;
}

static bool finish(struct laying *laying, uint32_t *out_sectors, struct vt_err *err)
{
    bool ok = laying->used == 0 || flush(laying, err);

    *out_sectors = laying->full;
    laying->full = 0;
    return ok;
}

/* ---- records of folders ---- */

static size_t put_record(const struct laying *laying, const struct vt_iso_node *node, const uint8_t *id, size_t id_length, uint8_t *out)
{
    size_t length = RECORD + id_length + (id_length % 2 == 0);

    memset(out, 0, length);
    out[0] = (uint8_t)length;
    vt_iso_both32(out + 2, node->sector);
    vt_iso_both32(out + 10, node->size);
    memcpy(out + 18, laying->when, sizeof laying->when);
    out[25] = node->folder ? FOLDER_FLAG : 0;
    vt_iso_both16(out + 28, 1);
    out[32] = (uint8_t)id_length;
    memcpy(out + RECORD, id, id_length);
    return length;
}

static size_t put_entry(uint8_t *out, const char *sign, size_t length)
{
    memset(out, 0, length);
    memcpy(out, sign, 2);
    out[2] = (uint8_t)length;
    out[3] = 1;
    return length;
}

/* Who may do what, and the name; of the root itself also that there are such entries. */
static size_t put_rock_ridge(const struct vt_iso_node *node, bool root, bool named, uint8_t *out)
{
    static const char extension[] = "RRIP_1991A";
    const size_t extension_length = sizeof extension - 1;
    size_t used = 0;

    if (root) {
        used += put_entry(out, "SP", 7);
        out[4] = 0xbe;
        out[5] = 0xef;
    }
    uint8_t *px = out + used;
    used += put_entry(px, "PX", PX);
    vt_iso_both32(px + 4, node->folder ? MODE_FOLDER : MODE_FILE);
    vt_iso_both32(px + 12, 1);
    if (root) {
        uint8_t *er = out + used;
        used += put_entry(er, "ER", 8 + extension_length);
        er[4] = (uint8_t)extension_length;
        er[7] = 1;
        memcpy(er + 8, extension, extension_length);
    }
    if (named) {
        uint8_t *nm = out + used;
        used += put_entry(nm, "NM", NM + (size_t)node->length);
        memcpy(nm + NM, node->name, node->length);
    }
    return used;
}

/* The i-th record of a folder: itself, its parent, its children. */
static size_t make_record(const struct laying *laying, const struct vt_iso_node *folder, uint32_t i, uint8_t out[static VT_ISO_RECORD_MAX])
{
    const struct vt_iso_tree *tree = laying->tree;
    const struct vt_iso_node *node = i == 0   ? folder
                                     : i == 1 ? &tree->nodes[folder->parent]
                                              : &tree->nodes[tree->order[folder->first + i - 2]];
    const uint8_t dots = (uint8_t)i, *id = i < 2 ? &dots : tree->ids.data + node->id;
    size_t length = put_record(laying, node, id, i < 2 ? 1 : node->id_length, out);

    if (tree->names == VT_ISO_ROCK_RIDGE)
        length += put_rock_ridge(node, i == 0 && folder == tree->nodes, i >= 2, out + length);
    if (length % 2)
        out[length++] = 0;
    out[0] = (uint8_t)length;
    return length;
}

static bool put_folder(struct laying *laying, const struct vt_iso_node *folder, uint32_t *out_sectors, struct vt_err *err)
{
    uint8_t record[VT_ISO_RECORD_MAX + 1];

    for (uint32_t i = 0; i < folder->children + 2; i++) {
        size_t length = make_record(laying, folder, i, record);
        if (!put(laying, record, length, false, err))
            return false;
    }
    return finish(laying, out_sectors, err);
}

/* ---- path tables ---- */

static bool put_path_table(struct laying *laying, uint32_t *out_size, uint32_t *out_sectors, struct vt_err *err)
{
    const struct vt_iso_tree *tree = laying->tree;
    uint8_t record[PATH_RECORD + VT_ISO_RECORD_MAX + 1];

    *out_size = 0;
    for (size_t i = 0; i < tree->folder_count; i++) {
        const struct vt_iso_node *node = &tree->nodes[tree->folders[i]];
        uint16_t parent = (uint16_t)tree->nodes[node->parent].number;
        size_t length = PATH_RECORD + node->id_length;
        record[0] = node->id_length;
        record[1] = 0;
        (laying->big ? vt_iso_big32 : vt_iso_little32)(record + 2, node->sector);
        record[laying->big ? 7 : 6] = (uint8_t)parent;
        record[laying->big ? 6 : 7] = (uint8_t)(parent >> 8);
        memcpy(record + PATH_RECORD, tree->ids.data + node->id, node->id_length);
        if (length % 2)
            record[length++] = 0;
        if (!put(laying, record, length, true, err))
            return false;
        *out_size += (uint32_t)length;
    }
    return finish(laying, out_sectors, err);
}

/* ---- all of it ---- */

/* Where everything will be. */
static bool lay_out(struct laying *laying, uint64_t at, struct vt_iso_volume *out, struct vt_err *err)
{
    struct vt_iso_tree *tree = laying->tree;
    uint32_t sectors;

    if (!put_path_table(laying, &out->path_table_size, &sectors, err))
        return false;
    out->little = (uint32_t)at;
    out->big = out->little + sectors;
    at += 2 * (uint64_t)sectors;
    for (size_t i = 0; i < tree->folder_count; i++) {
        struct vt_iso_node *node = &tree->nodes[tree->folders[i]];
        if (!put_folder(laying, node, &sectors, err))
            return false;
        node->sector = (uint32_t)at;
        node->size = sectors * VT_ISO_SECTOR;
        at += sectors;
    }
    return at + VT_ISO_PADDING <= UINT32_MAX || vt_fail(err, VT_E_LIMIT, "an ISO 9660 image has less than 8 TiB");
}

bool vt_iso_put_tree(struct vt_image *image, struct vt_iso_tree *tree, const struct tm *when, struct vt_iso_volume *out, struct vt_err *err)
{
    static const uint8_t root_id[] = { 0 };
    uint32_t ignored;
    struct laying laying = { .tree = tree,
                             .when = { (uint8_t)when->tm_year, (uint8_t)(when->tm_mon + 1), (uint8_t)when->tm_mday, (uint8_t)when->tm_hour,
                                       (uint8_t)when->tm_min, (uint8_t)when->tm_sec, 0 } };

    if (!lay_out(&laying, vt_image_size(image) / VT_ISO_SECTOR, out, err))
        return false;
    put_record(&laying, &tree->nodes[0], root_id, sizeof root_id, out->root);
    laying.image = image;
    for (unsigned i = 0; i < 2; i++) {
        laying.big = i == 1;
        if (!put_path_table(&laying, &out->path_table_size, &ignored, err))
            return false;
    }
    for (size_t i = 0; i < tree->folder_count; i++)
        if (!put_folder(&laying, &tree->nodes[tree->folders[i]], &ignored, err))
            return false;
    return true;
}
