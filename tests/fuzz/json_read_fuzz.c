/* Any text as a body of DICOM JSON: what is read passes the check of data sets, and its own JSON is read as well; what is not read
 * has a reason. */
/* sources: dicom/json_tree.c dicom/json_read.c dicom/json_values.c dicom/json.c dicom/element.c dicom/element_write.c dicom/scan.c */
/* sources: dicom/text.c dicom/text_fold.c dicom/charsets.c dicom/uids.c dicom/sop_classes.c core/buf.c core/err.c */
/* libs: libutf8proc libxxhash */
/* max-length: 4096 */
#include "tests/fuzz/dictionary.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/json.h"
#include "dicom/json_read.h"
#include "tests/fuzz/seeds.h"

enum { ROOM = 16 << 20 };

static bool read_nodes(const struct vt_json_tree *tree, uint32_t node, struct vt_json_data_set *out)
{
    struct vt_err err = { 0 };
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    if (!vt_json_data_set_read(tree, node, out, &err)) {
        if (err.code == VT_OK || !*err.text)
            abort();
        return false;
    }
    for (size_t i = 0; i < out->gap_count; i++)
        if (out->gaps[i].at > out->bytes.size || out->gaps[i].uri >= out->uris.size)
            abort();
    /* Unknown values are looked into: they may be wrong inside. */
    if (!vt_element_check(out->bytes.data, out->bytes.size, VT_EXPLICIT_LE, &limits, &err) &&
        !memmem(out->bytes.data, out->bytes.size, "UN", 2))
        abort();
    return true;
}

static void read_again(const struct vt_json_data_set *first)
{
    static const struct vt_json_rules rules = { .utf8 = true };
    VT_AUTO_BUF(json, ROOM);
    struct vt_json_tree tree;
    struct vt_json_data_set second;
    struct vt_err err = { 0 };
    bool none = true;

    if (!vt_buf_append_text(&json, "{", &err) ||
        !vt_json_elements(first->bytes.data, first->bytes.size, VT_EXPLICIT_LE, &rules, &none, &json, &err) ||
        !vt_buf_append_text(&json, "}", &err))
        return;
    vt_json_data_set_init(&second);
    if (!vt_json_tree_read((const char *)json.data, json.size, &tree, &err))
        abort();
    read_nodes(&tree, 0, &second);
    vt_json_tree_fini(&tree);
    vt_json_data_set_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct vt_json_tree tree;
    struct vt_json_data_set data_set;
    struct vt_err err = { 0 };
    uint32_t *nodes = NULL;
    size_t count = 0;

    vt_json_data_set_init(&data_set);
    bool ok = vt_json_tree_read((const char *)bytes, size, &tree, &err) && vt_json_data_sets(&tree, &nodes, &count, &err);
    if (ok != (err.code == VT_OK))
        abort();
    for (size_t i = 0; i < count; i++)
        if (read_nodes(&tree, nodes[i], &data_set) && data_set.gap_count == 0)
            read_again(&data_set);
    free(nodes);
    vt_json_tree_fini(&tree);
    vt_json_data_set_fini(&data_set);
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static const char *const seeds[] = {
        "[{\"00080005\":{\"vr\":\"CS\",\"Value\":[\"ISO_IR 192\"]},\"00080018\":{\"vr\":\"UI\",\"Value\":[\"1.2.3\"]},"
        "\"00100010\":{\"vr\":\"PN\",\"Value\":[{\"Alphabetic\":\"\\u00e9^B\",\"Phonetic\":\"x\"}]},\"00200013\":{\"vr\":\"IS\",\"Value\":[-7,null]}}]",
        "{\"00400275\":{\"vr\":\"SQ\",\"Value\":[{\"00400009\":{\"Value\":[\"S\"],\"vr\":\"SH\"}},{}]},\"00280010\":{\"vr\":\"US\",\"Value\":[512,1.0]},"
        "\"00081163\":{\"vr\":\"FD\",\"Value\":[-0.5e3,\"NaN\"]},\"00281050\":{\"vr\":\"DS\",\"Value\":[0.30000000000000004,\"+2.5\"]}}",
        "{\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"a/b\"},\"00091001\":{\"vr\":\"UN\",\"InlineBinary\":\"AQID+g==\"},"
        "\"00720026\":{\"vr\":\"AT\",\"Value\":[\"7FE00010\"]},\"00720082\":{\"vr\":\"SV\",\"Value\":[\"-9\"]}}",
    };
    char name[] = "seed0";

    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        name[4] = (char)('0' + i);
        vt_fuzz_seed(directory, name, seeds[i], strlen(seeds[i]));
    }
}
