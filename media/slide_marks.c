/* Reading ImageScope's .xml: layers ("Annotation") of shapes ("Region") of points ("Vertex"). */
#include "media/slide_marks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/xmlreader.h>

#include "core/err.h"

enum { CORNERS = 4, SHAPE_POINTS_MAX = 1 << 20, DEPTH_MAX = 32, TEXT_CHARACTERS = 64 };

struct point {
    float x, y;
};

/* One file on its way. */
struct reading {
    xmlTextReaderPtr reader;
    struct vt_slide_marks *marks;
    struct vt_err *err;
    bool any;                        /* the outermost element was ImageScope's */
    uint32_t layers, colour;
    char layer_name[VT_MARKS_TEXT];
    bool in_region, excluded, bad_point;
    char type[16], text[VT_MARKS_TEXT];
    struct vt_buf points;            /* of the shape that is read: struct point */
};

static void group_fini(struct vt_mark_group *group)
{
    vt_buf_fini(&group->points);
    vt_buf_fini(&group->indices);
}

void vt_slide_marks_fini(struct vt_slide_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++)
        group_fini(&marks->groups[i]);
    free(marks->groups);
    *marks = (struct vt_slide_marks){ 0 };
}

/* ---- attributes ---- */

/* At most 64 characters, none that a DICOM text must not hold. */
static void clean(const char *text, char out[static VT_MARKS_TEXT])
{
    size_t size = 0, characters = 0;

    for (const char *p = text; *p && size < VT_MARKS_TEXT - 1; p++) {
        bool begins = ((unsigned char)*p & 0xc0) != 0x80;
        if (begins && ++characters > TEXT_CHARACTERS)
            break;
        out[size++] = *p;
        if (*p == '\\' || (unsigned char)*p < ' ')
            out[size - 1] = ' ';
    }
    out[size] = '\0';
}

static void attribute(const struct reading *reading, const char *name, char out[static VT_MARKS_TEXT])
{
    xmlChar *text = xmlTextReaderGetAttribute(reading->reader, (const xmlChar *)name);

    clean(text ? (const char *)text : "", out);
    xmlFree(text);
}

static bool coordinate(const struct reading *reading, const char *name, float *out)
{
    char text[VT_MARKS_TEXT], *end;

    attribute(reading, name, text);
    for (char *p = text; *p; p++)
        if (*p == ',')
            *p = '.';
    *out = strtof(text, &end);
    return end > text && *end == '\0' && isfinite(*out);
}

/* ---- groups ---- */

static struct vt_mark_group *add_group(struct reading *reading, const struct vt_mark_group *like)
{
    struct vt_slide_marks *marks = reading->marks;

    if (marks->count == VT_MARKS_GROUPS_MAX) {
        vt_fail(reading->err, VT_E_LIMIT, "more than %d layers and texts", VT_MARKS_GROUPS_MAX);
        return NULL;
    }
    struct vt_mark_group *grown = reallocarray(marks->groups, marks->count + 1, sizeof *grown);
    if (!grown) {
        vt_fail(reading->err, VT_E_NOMEM, "no memory for annotations");
        return NULL;
    }
    marks->groups = grown;
    struct vt_mark_group *group = &marks->groups[marks->count++];
    *group = *like;
    vt_buf_init(&group->points, VT_MARKS_POINTS_MAX * sizeof(struct point));
    vt_buf_init(&group->indices, VT_MARKS_SHAPES_MAX * sizeof(uint32_t));
    return group;
}

/* The last ones are the likeliest. */
static struct vt_mark_group *group_for(struct reading *reading, enum vt_mark_kind kind)
{
    struct vt_mark_group like = { .kind = kind,
                                  .layer = reading->layers,
                                  .colour = reading->colour,
                                  .excluded = reading->excluded };

    snprintf(like.layer_name, sizeof like.layer_name, "%s", reading->layer_name);
    snprintf(like.label, sizeof like.label, "%s", reading->text[0] ? reading->text : reading->layer_name);
    for (size_t i = reading->marks->count; i-- > 0;) {
        struct vt_mark_group *group = &reading->marks->groups[i];
        if (group->kind == kind && group->layer == like.layer && group->excluded == like.excluded &&
            strcmp(group->label, like.label) == 0)
            return group;
    }
    return add_group(reading, &like);
}

static bool put_float(struct vt_buf *buf, float value, struct vt_err *err)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    const uint8_t bytes[4] = { (uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24) };
    return vt_buf_append(buf, bytes, sizeof bytes, err);
}

static bool put_shape(struct reading *reading, enum vt_mark_kind kind, const struct point *points, size_t count)
{
    struct vt_slide_marks *marks = reading->marks;
    struct vt_mark_group *group = group_for(reading, kind);

    if (!group)
        return false;
    if (marks->shapes == VT_MARKS_SHAPES_MAX || count > VT_MARKS_POINTS_MAX - marks->points)
        return vt_fail(reading->err, VT_E_LIMIT, "more than %d shapes or %d points", VT_MARKS_SHAPES_MAX,
                       VT_MARKS_POINTS_MAX);
    uint32_t first = (uint32_t)(group->points.size / sizeof(float)) + 1;
    const uint8_t index[4] = { (uint8_t)first, (uint8_t)(first >> 8), (uint8_t)(first >> 16), (uint8_t)(first >> 24) };
    if ((kind == VT_MARK_POLYLINE || kind == VT_MARK_POLYGON) &&
        !vt_buf_append(&group->indices, index, sizeof index, reading->err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!put_float(&group->points, points[i].x, reading->err) ||
            !put_float(&group->points, points[i].y, reading->err))
            return false;
    group->count++;
    marks->shapes++;
    marks->points += (uint32_t)count;
    return true;
}

/* ---- shapes ---- */

/* Rectangles and ellipses are drawn along the axes: by two corners or four. */
static bool put_box(struct reading *reading, enum vt_mark_kind kind, const struct point *points, size_t count)
{
    struct point low = points[0], high = points[0];

    for (size_t i = 1; i < count; i++) {
        low = (struct point){ fminf(low.x, points[i].x), fminf(low.y, points[i].y) };
        high = (struct point){ fmaxf(high.x, points[i].x), fmaxf(high.y, points[i].y) };
    }
    float x = (low.x + high.x) / 2, y = (low.y + high.y) / 2;
    const struct point corners[] = { low, { high.x, low.y }, high, { low.x, high.y } };
    const struct point wide[] = { { low.x, y }, { high.x, y }, { x, low.y }, { x, high.y } };
    const struct point high_one[] = { { x, low.y }, { x, high.y }, { low.x, y }, { high.x, y } };
    /* The major axis comes first. */
    const struct point *axes = high.x - low.x >= high.y - low.y ? wide : high_one;
    return put_shape(reading, kind, kind == VT_MARK_RECTANGLE ? corners : axes, CORNERS);
}

static bool leave_out(struct reading *reading, const char *why)
{
    struct vt_slide_marks *marks = reading->marks;

    if (marks->left++ == 0)
        snprintf(marks->why, sizeof marks->why, "%.*s", (int)sizeof marks->why - 1, why);
    return true;
}

/* A freehand that ends where it began is closed all the same. */
static size_t without_last(const struct point *points, size_t count)
{
    bool closed = count > 1 && points[0].x == points[count - 1].x && points[0].y == points[count - 1].y;

    return count - closed;
}

static bool end_region(struct reading *reading)
{
    const struct point *points = (const struct point *)(const void *)reading->points.data;
    size_t count = reading->points.size / sizeof *points;
    const char type = strlen(reading->type) == 1 ? reading->type[0] : '?';

    reading->in_region = false;
    if (reading->bad_point)
        return leave_out(reading, "a coordinate is no number");
    if (count == 0)
        return leave_out(reading, "a shape has no points");
    if (count == 1)
        return put_shape(reading, VT_MARK_POINT, points, 1);
    switch (type) {
    case '0':
        count = without_last(points, count);
        return count < 3 ? leave_out(reading, "a polygon has fewer than three points")
                         : put_shape(reading, VT_MARK_POLYGON, points, count);
    case '1':
        return put_box(reading, VT_MARK_RECTANGLE, points, count);
    case '2':
        return put_box(reading, VT_MARK_ELLIPSE, points, count);
    case '3':      /* an arrow: its text is the group's label */
    case '4':
        return put_shape(reading, VT_MARK_POLYLINE, points, count);
    default:
        return leave_out(reading, "DICOM has no such shape");
    }
}

/* ---- elements ---- */

static bool begin_layer(struct reading *reading)
{
    char text[VT_MARKS_TEXT];

    attribute(reading, "LineColor", text);
    /* As Windows has it: red in the lowest byte. */
    uint32_t colour = (uint32_t)strtoul(text, NULL, 10);
    reading->colour = (colour & 0xff) << 16 | (colour & 0xff00) | (colour >> 16 & 0xff);
    attribute(reading, "Name", reading->layer_name);
    reading->layers++;
    if (!reading->layer_name[0])
        snprintf(reading->layer_name, sizeof reading->layer_name, "Layer %u", reading->layers);
    return true;
}

static bool begin_region(struct reading *reading)
{
    char text[VT_MARKS_TEXT];

    attribute(reading, "Type", text);
    snprintf(reading->type, sizeof reading->type, "%.15s", text);
    attribute(reading, "Text", reading->text);
    attribute(reading, "NegativeROA", text);
    reading->excluded = strcmp(text, "1") == 0;
    reading->bad_point = false;
    reading->in_region = true;
    vt_buf_reset(&reading->points);
    return !xmlTextReaderIsEmptyElement(reading->reader) || end_region(reading);
}

static bool take_vertex(struct reading *reading)
{
    struct point point;

    if (!reading->in_region)
        return true;
    if (!coordinate(reading, "X", &point.x) || !coordinate(reading, "Y", &point.y)) {
        reading->bad_point = true;
        return true;
    }
    return vt_buf_append(&reading->points, &point, sizeof point, reading->err);
}

static const struct {
    const char *name;
    bool (*begin)(struct reading *reading);
    bool (*end)(struct reading *reading);
} elements[] = {
    { "Annotation", begin_layer, NULL },
    { "Region", begin_region, end_region },
    { "Vertex", take_vertex, NULL },
};

static bool take_node(struct reading *reading)
{
    int type = xmlTextReaderNodeType(reading->reader);
    const char *name = (const char *)xmlTextReaderConstLocalName(reading->reader);

    if (type == XML_READER_TYPE_DOCUMENT_TYPE || type == XML_READER_TYPE_ENTITY_REFERENCE)
        return vt_fail(reading->err, VT_E_INVALID, "it declares a document type");
    if (xmlTextReaderDepth(reading->reader) > DEPTH_MAX)
        return vt_fail(reading->err, VT_E_LIMIT, "elements are nested too deeply");
    if (type == XML_READER_TYPE_ELEMENT && !reading->any) {
        if (strcmp(name, "Annotations") != 0)
            return vt_fail(reading->err, VT_E_INVALID, "it is not what ImageScope writes");
        reading->any = true;
    }
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        if (!name || strcmp(name, elements[i].name) != 0)
            continue;
        if (type == XML_READER_TYPE_ELEMENT)
            return elements[i].begin(reading);
        if (type == XML_READER_TYPE_END_ELEMENT && elements[i].end)
            return elements[i].end(reading);
    }
    return true;
}

static void silent(void *context, const xmlError *error)
{
    (void)context;
    (void)error;
}

static bool read_all(struct reading *reading)
{
    int more;

    xmlTextReaderSetStructuredErrorHandler(reading->reader, (xmlStructuredErrorFunc)silent, NULL);
    while ((more = xmlTextReaderRead(reading->reader)) == 1)
        if (!take_node(reading))
            return false;
    return (more == 0 && reading->any) || vt_fail(reading->err, VT_E_INVALID, "it is no whole XML file");
}

bool vt_slide_marks_read(const uint8_t *bytes, size_t size, const char *name, struct vt_slide_marks *out,
                         struct vt_err *err)
{
    struct reading reading = { .marks = out, .err = err };

    *out = (struct vt_slide_marks){ 0 };
    if (size > VT_MARKS_FILE_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s is larger than %d bytes", name, VT_MARKS_FILE_MAX);
    reading.reader = xmlReaderForMemory((const char *)bytes, (int)size, NULL, NULL,
                                        XML_PARSE_NONET | XML_PARSE_NOWARNING | XML_PARSE_NOERROR);
    if (!reading.reader)
        return vt_fail(err, VT_E_NOMEM, "no memory for %s", name);
    vt_buf_init(&reading.points, SHAPE_POINTS_MAX * sizeof(struct point));
    bool ok = read_all(&reading);
    vt_buf_fini(&reading.points);
    xmlFreeTextReader(reading.reader);
    return ok || vt_fail_context(err, "%s", name);
}
