/* Any bytes as an annotation file of ImageScope: groups hold what they count, texts are UTF-8 without controls. */
/* sources: media/slide_marks.c core/buf.c core/err.c */
/* libs: libxml-2.0 */
/* max-length: 4096 */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "media/slide_marks.h"
#include "tests/fuzz/seeds.h"

static const char whole[] =
    "<?xml version=\"1.0\"?><Annotations><Annotation Id=\"1\" Name=\"a\" LineColor=\"65280\"><Regions><Region Type=\"0\" Text=\"b\"><Vertices>"
    "<Vertex X=\"1\" Y=\"2\"/><Vertex X=\"3,5\" Y=\"4\"/><Vertex X=\"5\" Y=\"6e1\"/></Vertices></Region><Region Type=\"2\" NegativeROA=\"1\"><Vertices>"
    "<Vertex X=\"1\" Y=\"2\"/><Vertex X=\"3\" Y=\"4\"/></Vertices></Region></Regions></Annotation></Annotations>";
static const char declared[] = "<!DOCTYPE Annotations [<!ENTITY a \"b\">]><Annotations><Annotation Name=\"&a;\"/></Annotations>";

static void must(bool right)
{
    if (!right)
        abort();
}

static void vt_fuzz_seeds(const char *directory)
{
    vt_fuzz_seed(directory, "whole", whole, sizeof whole - 1);
    vt_fuzz_seed(directory, "declared", declared, sizeof declared - 1);
}

static void check(const struct vt_mark_group *group)
{
    size_t points = group->points.size / 8;
    bool line = group->kind == VT_MARK_POLYLINE || group->kind == VT_MARK_POLYGON;

    must(group->count > 0 && points >= group->count && group->points.size % 8 == 0);
    must(group->indices.size == (line ? 4 * (size_t)group->count : 0));
    must(group->kind != VT_MARK_POINT || points == group->count);
    must((group->kind != VT_MARK_RECTANGLE && group->kind != VT_MARK_ELLIPSE) || points == 4 * (size_t)group->count);
    for (const char *p = group->label; *p; p++)
        must((unsigned char)*p >= ' ' && *p != '\\');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct vt_slide_marks marks;
    struct vt_err err = { 0 };
    uint32_t shapes = 0;

    if (vt_slide_marks_read(bytes, size, "fuzz.xml", &marks, &err)) {
        for (size_t i = 0; i < marks.count; i++) {
            check(&marks.groups[i]);
            shapes += marks.groups[i].count;
        }
        must(shapes == marks.shapes);
    } else {
        must(err.code != VT_OK);
    }
    vt_slide_marks_fini(&marks);
    return 0;
}
