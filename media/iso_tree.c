/* The folders of an image, out of its files' paths; identifiers in their order (ECMA-119 9.3), folders in that of the path table. */
#include <stdlib.h>

#include "core/err.h"
#include "media/iso_inside.h"

enum { IDS_MAX = 256 << 20, PASSES_MAX = 1000 };

/* ---- out of paths ---- */

static bool add(struct vt_iso_tree *tree, const struct vt_iso_node *node, uint32_t *out, struct vt_err *err)
{
    if (tree->count == tree->room) {
        size_t room = tree->room ? 2 * tree->room : 64;
        struct vt_iso_node *grown = reallocarray(tree->nodes, room, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for the folders of an image");
        tree->nodes = grown;
        tree->room = room;
    }
    *out = (uint32_t)tree->count;
    tree->nodes[tree->count++] = *node;
    if (node->folder && ++tree->folder_count > VT_ISO_FOLDERS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d folders on one ISO image: choose a capacity", VT_ISO_FOLDERS_MAX);
    return true;
}

static bool same(const struct vt_iso_node *node, const char *name, size_t length)
{
    return node->folder && node->length == length && memcmp(node->name, name, length) == 0;
}

/* trail: the folders of the path before, from the root on. What lies in one folder stands side by side, so it is there or has never been. */
static bool add_file(struct vt_iso_tree *tree, const struct vt_iso_file *file, uint32_t trail[static VT_ISO_DEPTH_MAX], size_t *inout_depth,
                     struct vt_err *err)
{
    const char *at = file->path, *slash;
    size_t depth = 0;
    uint32_t ignored;

    for (; (slash = strchr(at, '/')); at = slash + 1, depth++) {
        size_t length = (size_t)(slash - at);
        struct vt_iso_node folder = { .name = at, .length = (uint8_t)length, .parent = trail[depth], .folder = true };
        if (depth < *inout_depth && same(&tree->nodes[trail[depth + 1]], at, length))
            continue;
        *inout_depth = depth;
        if (!add(tree, &folder, &trail[depth + 1], err))
            return false;
        *inout_depth = depth + 1;
    }
    *inout_depth = depth;
    struct vt_iso_node node = { .name = at, .length = (uint8_t)strlen(at), .parent = trail[depth], .sector = file->sector, .size = file->size };
    return add(tree, &node, &ignored, err);
}

/* Each folder's children side by side. */
static bool gather(struct vt_iso_tree *tree, struct vt_err *err)
{
    uint32_t first = 0;

    tree->order = calloc(tree->count, sizeof *tree->order);
    tree->folders = calloc(tree->folder_count, sizeof *tree->folders);
    if (!tree->order || !tree->folders)
        return vt_fail(err, VT_E_NOMEM, "no memory for the folders of an image");
    for (size_t i = 1; i < tree->count; i++)
        tree->nodes[tree->nodes[i].parent].children++;
    for (size_t i = 0; i < tree->count; i++) {
        struct vt_iso_node *node = &tree->nodes[i];
        node->first = first;
        first += node->children;
        node->children = 0;
    }
    for (size_t i = 1; i < tree->count; i++) {
        struct vt_iso_node *parent = &tree->nodes[tree->nodes[i].parent];
        tree->order[parent->first + parent->children++] = (uint32_t)i;
    }
    return true;
}

struct vt_iso_tree *vt_iso_tree_new(const struct vt_iso_file *files, size_t count, struct vt_err *err)
{
    VT_AUTO(vt_iso_tree) tree = calloc(1, sizeof *tree);
    const struct vt_iso_node root = { .name = "", .folder = true };
    uint32_t trail[VT_ISO_DEPTH_MAX] = { 0 };
    size_t depth = 0;

    if (!tree) {
        vt_fail(err, VT_E_NOMEM, "no memory for the folders of an image");
        return NULL;
    }
    vt_buf_init(&tree->ids, IDS_MAX);
    bool ok = add(tree, &root, &trail[0], err);
    for (size_t i = 0; ok && i < count; i++)
        ok = add_file(tree, &files[i], trail, &depth, err);
    return ok && gather(tree, err) ? vt_take(&tree) : NULL;
}

void vt_iso_tree_free(struct vt_iso_tree *tree)
{
    if (!tree)
        return;
    vt_buf_fini(&tree->ids);
    free(tree->folders);
    free(tree->order);
    free(tree->nodes);
    free(tree);
}

/* ---- identifiers ---- */

static int compare_bytes(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

    return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* First what stands before the extension, a shorter one first, then the extension. */
static int by_id(const void *left, const void *right, void *context)
{
    const struct vt_iso_tree *tree = context;
    const struct vt_iso_node *a = &tree->nodes[*(const uint32_t *)left], *b = &tree->nodes[*(const uint32_t *)right];
    const uint8_t *a_id = tree->ids.data + a->id, *b_id = tree->ids.data + b->id;
    int order = compare_bytes(a_id, a->stem, b_id, b->stem);

    return order ? order : compare_bytes(a_id + a->stem, (size_t)(a->id_length - a->stem), b_id + b->stem, (size_t)(b->id_length - b->stem));
}

/* In order; of those with one identifier all but the first get numbers. *out_changed: some did. */
static bool settle_once(struct vt_iso_tree *tree, const struct vt_iso_node *folder, bool *out_changed, struct vt_err *err)
{
    uint32_t *order = tree->order + folder->first, twins = 0;

    qsort_r(order, folder->children, sizeof *order, by_id, tree);
    *out_changed = false;
    for (uint32_t i = 1; i < folder->children; i++) {
        twins = by_id(&order[i - 1 - twins], &order[i], tree) == 0 ? twins + 1 : 0;
        tree->nodes[order[i]].attempt += twins;
        *out_changed |= twins > 0;
    }
    for (uint32_t i = 0; *out_changed && i < folder->children; i++)
        if (tree->nodes[order[i]].attempt > 0 && !vt_iso_name(tree, &tree->nodes[order[i]], err))
            return false;
    return true;
}

static bool settle(struct vt_iso_tree *tree, const struct vt_iso_node *folder, struct vt_err *err)
{
    bool changed = true;

    for (unsigned pass = 0; changed; pass++) {
        if (pass == PASSES_MAX)
            return vt_fail(err, VT_E_LIMIT, "too many names of a folder are the same on an ISO image");
        if (!settle_once(tree, folder, &changed, err))
            return false;
    }
    return true;
}

bool vt_iso_tree_name(struct vt_iso_tree *tree, enum vt_iso_names names, struct vt_err *err)
{
    static const uint8_t root_id[] = { 0 };
    size_t folders = 0;

    tree->names = names;
    vt_buf_reset(&tree->ids);
    if (!vt_buf_append(&tree->ids, root_id, sizeof root_id, err))
        return false;
    tree->nodes[0].id_length = sizeof root_id;
    for (size_t i = 1; i < tree->count; i++) {
        tree->nodes[i].attempt = 0;
        if (!vt_iso_name(tree, &tree->nodes[i], err))
            return false;
    }
    tree->folders[folders++] = 0;
    for (size_t i = 0; i < folders; i++) {
        struct vt_iso_node *folder = &tree->nodes[tree->folders[i]];
        folder->number = (uint32_t)i + 1;
        if (!settle(tree, folder, err))
            return false;
        for (uint32_t k = 0; k < folder->children; k++)
            if (tree->nodes[tree->order[folder->first + k]].folder)
                tree->folders[folders++] = tree->order[folder->first + k];
    }
    return true;
}
