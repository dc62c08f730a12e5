/* media/iso_inside.h: what the files of the ISO image writer share: the tree of its names, once for each kind of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "core/auto.h"
#include "core/buf.h"
#include "media/iso.h"

enum { VT_ISO_RECORD_MAX = 255, VT_ISO_ROOT_RECORD = 34 };

struct vt_iso_file {
    const char *path;
    uint32_t sector, size;
};

enum vt_iso_names { VT_ISO_PLAIN, VT_ISO_ROCK_RIDGE, VT_ISO_JOLIET };   /* level 1; the same with Rock Ridge's beside them; UCS-2 */

struct vt_iso_node {
    const char *name;               /* the last component of its path */
    uint32_t parent;
    uint32_t sector, size;          /* a folder's: of the names it is laid out for */
    uint32_t first, children;       /* of a folder, in the tree's order */
    uint32_t number;                /* of a folder, in the path table */
    uint32_t id, attempt;           /* where its identifier is; how often it was taken */
    uint8_t length, id_length, stem;   /* of the name; of the identifier; of that what stands before the extension */
    bool folder;
};

struct vt_iso_tree {
    struct vt_iso_node *nodes;      /* the root first */
    size_t count, room, folder_count;
    uint32_t *order;                /* nodes: the children of each folder side by side, by identifier */
    uint32_t *folders;              /* nodes, in the order of the path table */
    enum vt_iso_names names;
    struct vt_buf ids;
};

/* Where a volume descriptor finds a tree. */
struct vt_iso_volume {
    uint32_t little, big, path_table_size;   /* path tables: sectors, bytes */
    uint8_t root[VT_ISO_ROOT_RECORD];
};

/* ---- media/iso_tree.c ---- */

/* Of files that are sorted by path. */
struct vt_iso_tree *vt_iso_tree_new(const struct vt_iso_file *files, size_t count, struct vt_err *err);
void vt_iso_tree_free(struct vt_iso_tree *tree);
VT_DEFINE_AUTO(vt_iso_tree)
/* Identifiers of that kind for all, in their order. */
bool vt_iso_tree_name(struct vt_iso_tree *tree, enum vt_iso_names names, struct vt_err *err);

/* ---- media/iso_name.c ---- */

/* The identifier of a node and where its extension begins; attempt: the number it gets to be another than the one before. Appended to ids. */
bool vt_iso_name(struct vt_iso_tree *tree, struct vt_iso_node *node, struct vt_err *err);

/* ---- media/iso_folder.c ---- */

/* Path tables and folders at the image's end. */
bool vt_iso_put_tree(struct vt_image *image, struct vt_iso_tree *tree, const struct tm *when, struct vt_iso_volume *out, struct vt_err *err);

/* ---- numbers ---- */

static inline void vt_iso_little32(uint8_t out[static 4], uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

static inline void vt_iso_big32(uint8_t out[static 4], uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[3 - i] = (uint8_t)(value >> 8 * i);
}

static inline void vt_iso_both32(uint8_t out[static 8], uint32_t value)
{
    vt_iso_little32(out, value);
    vt_iso_big32(out + 4, value);
}

static inline void vt_iso_both16(uint8_t out[static 4], uint16_t value)
{
    out[0] = out[3] = (uint8_t)value;
    out[1] = out[2] = (uint8_t)(value >> 8);
}
