/* Objects in a hash by reference and in a list for each class. An object is one block of memory:
 * its values, the pointers to their texts, the texts. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/picture_state.h"

enum { BUCKETS_FIRST = 256, NUMBER_MAX = 40 };

struct value {
    const char *const *texts;
    uint32_t count;
};

struct vt_object {
    struct vt_object *bucket_next;
    struct vt_object *next, *previous; /* of the class, the oldest first */
    const char *ref;
    enum vt_class class;
    uint32_t generation;
    uint32_t size, text_count; /* of the whole block; the pointers behind the values */
    struct value values[];
};

struct vt_picture {
    struct vt_object **buckets;
    size_t bucket_count, count;
    struct vt_object *first[VT_CLASSES], *last[VT_CLASSES];
    size_t counts[VT_CLASSES];
    uint32_t generation; /* objects of an earlier one are no longer sure to exist */
    int64_t time;
};

const char *const vt_picture_class_names[VT_CLASSES] = {
    [VT_CLASS_POOL] = "pool",
    [VT_CLASS_HOST] = "host",
    [VT_CLASS_HOST_METRICS] = "host_metrics",
    [VT_CLASS_VM] = "VM",
    [VT_CLASS_VM_METRICS] = "VM_metrics",
    [VT_CLASS_VM_GUEST_METRICS] = "VM_guest_metrics",
    [VT_CLASS_VIF] = "VIF",
    [VT_CLASS_NETWORK] = "network",
    [VT_CLASS_PIF] = "PIF",
    [VT_CLASS_SR] = "SR",
    [VT_CLASS_PBD] = "PBD",
    [VT_CLASS_VBD] = "VBD",
    [VT_CLASS_VDI] = "VDI",
    [VT_CLASS_TASK] = "task",
    [VT_CLASS_PIF_METRICS] = "PIF_metrics",
};

#define FIELDS(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        "uuid", __VA_ARGS__, NULL                                                                  \
    }

const char *const *const vt_class_fields[VT_CLASSES] = {
    [VT_CLASS_POOL] = FIELDS("name_label", "name_description", "master", "default_SR",
                             "suspend_image_SR", "ha_enabled", "cpu_info", "current_operations",
                             "tls_verification_enabled", "restrictions"),
    [VT_CLASS_HOST] =
        FIELDS("name_label", "name_description", "address", "hostname", "enabled", "metrics",
               "allowed_operations", "current_operations", "resident_VMs", "PIFs", "PBDs", "tags",
               "software_version", "cpu_info", "control_domain", "other_config"),
    [VT_CLASS_HOST_METRICS] = FIELDS("live", "memory_total", "last_updated"),
    [VT_CLASS_VM] = FIELDS("name_label", "name_description", "power_state", "is_a_template",
                           "is_a_snapshot", "is_control_domain", "is_default_template",
                           "resident_on", "affinity", "allowed_operations", "current_operations",
                           "blocked_operations", "memory_static_max", "VCPUs_max", "VIFs", "VBDs",
                           "metrics", "guest_metrics", "snapshot_of", "snapshots", "snapshot_time",
                           "parent", "tags", "other_config", "domid", "suspend_VDI"),
    [VT_CLASS_VM_METRICS] = FIELDS("start_time"),
    [VT_CLASS_VM_GUEST_METRICS] =
        FIELDS("networks", "os_version", "live", "PV_drivers_detected", "other"),
    [VT_CLASS_VIF] = FIELDS("device", "network", "VM", "MAC", "currently_attached", "locking_mode",
                            "ipv4_addresses"),
    [VT_CLASS_NETWORK] = FIELDS("name_label", "bridge", "VIFs", "PIFs", "tags"),
    [VT_CLASS_PIF] =
        FIELDS("device", "network", "host", "MAC", "VLAN", "physical", "currently_attached",
               "ip_configuration_mode", "IP", "management", "bond_slave_of", "bond_master_of",
               "metrics"),
    [VT_CLASS_PIF_METRICS] = FIELDS("carrier"),
    [VT_CLASS_SR] = FIELDS("name_label", "name_description", "type", "content_type", "shared",
                           "physical_size", "physical_utilisation", "virtual_allocation", "PBDs",
                           "VDIs", "is_tools_sr", "allowed_operations", "tags"),
    [VT_CLASS_PBD] = FIELDS("host", "SR", "currently_attached", "device_config"),
    [VT_CLASS_VBD] = FIELDS("VM", "VDI", "device", "type", "mode", "currently_attached", "empty"),
    [VT_CLASS_VDI] = FIELDS("name_label", "SR", "VBDs", "virtual_size", "physical_utilisation",
                            "type", "sm_config", "is_a_snapshot", "snapshot_of", "managed"),
    [VT_CLASS_TASK] =
        FIELDS("name_label", "status", "progress", "created", "resident_on", "error_info"),
};

const char *vt_class_name(enum vt_class class)
{
    return vt_picture_class_names[class];
}

static size_t field_count(enum vt_class class)
{
    size_t count = 0;

    while (vt_class_fields[class][count])
        count++;
    return count;
}

/* ---- the table ---- */

static size_t hash(const char *ref)
{
    uint64_t value = 0xcbf29ce484222325u;

    for (; *ref; ref++)
        value = (value ^ (unsigned char)*ref) * 0x100000001b3u;
    return (size_t)(value ^ (value >> 32));
}

struct vt_picture *vt_picture_new(void)
{
    struct vt_picture *picture = calloc(1, sizeof *picture);

    if (!picture)
        return NULL;
    picture->buckets = calloc(BUCKETS_FIRST, sizeof(struct vt_object *));
    picture->bucket_count = BUCKETS_FIRST;
    if (picture->buckets)
        return picture;
    vt_picture_free(picture);
    return NULL;
}

void vt_picture_free(struct vt_picture *picture)
{
    if (!picture)
        return;
    for (size_t class = 0; class < VT_CLASSES; class ++) {
        struct vt_object *next = NULL;
        for (struct vt_object *object = picture->first[class]; object; object = next) {
            next = object->next;
            free(object);
        }
    }
    free(picture->buckets);
    free(picture);
}

static struct vt_object **slot_of(const struct vt_picture *picture, const char *ref)
{
    struct vt_object **slot = &picture->buckets[hash(ref) % picture->bucket_count];

    while (*slot && strcmp((*slot)->ref, ref) != 0)
        slot = &(*slot)->bucket_next;
    return slot;
}

/* Twice the buckets; without memory for them it stays as it is, only slower. */
static void grow(struct vt_picture *picture)
{
    size_t wider = picture->bucket_count * 2;
    struct vt_object **buckets = calloc(wider, sizeof(struct vt_object *));

    if (!buckets)
        return;
    for (size_t i = 0; i < picture->bucket_count; i++) {
        struct vt_object *next = NULL;
        for (struct vt_object *object = picture->buckets[i]; object; object = next) {
            struct vt_object **slot = &buckets[hash(object->ref) % wider];
            next = object->bucket_next;
            object->bucket_next = *slot;
            *slot = object;
        }
    }
    free(picture->buckets);
    picture->buckets = buckets;
    picture->bucket_count = wider;
}

static void append(struct vt_picture *picture, struct vt_object *object)
{
    enum vt_class class = object->class;

    object->previous = picture->last[class];
    *(object->previous ? &object->previous->next : &picture->first[class]) = object;
    picture->last[class] = object;
    picture->counts[class]++;
    picture->count++;
}

/* The new state takes the old one's place, so that lists keep their order. */
static void replace(struct vt_picture *picture, struct vt_object *old, struct vt_object *object)
{
    object->bucket_next = old->bucket_next;
    object->next = old->next;
    object->previous = old->previous;
    *(old->previous ? &old->previous->next : &picture->first[old->class]) = object;
    *(old->next ? &old->next->previous : &picture->last[old->class]) = object;
    free(old);
}

void vt_picture_remove(struct vt_picture *picture, const char *ref)
{
    struct vt_object **slot = slot_of(picture, ref), *object = *slot;

    if (!object)
        return;
    *slot = object->bucket_next;
    *(object->previous ? &object->previous->next : &picture->first[object->class]) = object->next;
    *(object->next ? &object->next->previous : &picture->last[object->class]) = object->previous;
    picture->counts[object->class]--;
    picture->count--;
    free(object);
}

/* ---- from a record to an object ---- */

/* A scalar as text: borrowed, or written into number. */
static const char *scalar(const struct vt_xmlrpc_value *value, char number[static NUMBER_MAX])
{
    switch (value->type) {
    case VT_XMLRPC_STRING:
    case VT_XMLRPC_DATETIME:
    case VT_XMLRPC_BASE64:
        return value->as.text;
    case VT_XMLRPC_BOOL:
        return value->as.boolean ? "true" : "false";
    case VT_XMLRPC_INT:
        snprintf(number, NUMBER_MAX, "%lld", (long long)value->as.integer);
        return number;
    case VT_XMLRPC_DOUBLE:
        snprintf(number, NUMBER_MAX, "%.16g", value->as.real);
        return number;
    default:
        return "";
    }
}

/* Where the texts of an object go; with texts NULL only what they need is counted. */
struct sink {
    const char **texts;
    char *bytes;
    size_t count, size;
};

static void put_text(struct sink *sink, const char *text)
{
    size_t length = strlen(text) + 1;

    if (sink->texts) {
        sink->texts[sink->count] = memcpy(sink->bytes + sink->size, text, length);
    }
    sink->count++;
    sink->size += length;
}

static void put_value(struct sink *sink, const struct vt_xmlrpc_value *value)
{
    char number[NUMBER_MAX];

    if (!value || value->type == VT_XMLRPC_NIL)
        return;
    if (value->type != VT_XMLRPC_ARRAY && value->type != VT_XMLRPC_STRUCT) {
        put_text(sink, scalar(value, number));
        return;
    }
    for (const struct vt_xmlrpc_value *item = value->as.first; item; item = item->next) {
        if (value->type == VT_XMLRPC_STRUCT)
            put_text(sink, item->name);
        put_text(sink, scalar(item, number));
    }
}

static void put_record(struct sink *sink, struct vt_object *object, enum vt_class class,
                       const struct vt_xmlrpc_value *record, const char *ref)
{
    for (size_t i = 0; vt_class_fields[class][i]; i++) {
        size_t before = sink->count;
        put_value(sink, vt_xmlrpc_member(record, vt_class_fields[class][i]));
        if (object)
            object->values[i] =
                (struct value){ sink->texts + before, (uint32_t)(sink->count - before) };
    }
    put_text(sink, ref);
}

static struct vt_object *object_new(enum vt_class class, const char *ref,
                                    const struct vt_xmlrpc_value *record)
{
    struct sink need = { 0 };
    size_t fields = field_count(class);

    put_record(&need, NULL, class, record, ref);
    size_t head = sizeof(struct vt_object) + fields * sizeof(struct value);
    struct vt_object *object = malloc(head + need.count * sizeof(char *) + need.size);
    if (!object)
        return NULL;
    memset(object, 0, sizeof *object);
    object->size = (uint32_t)(head + need.count * sizeof(char *) + need.size);
    object->text_count = (uint32_t)need.count;
    struct sink sink = { .texts = (const char **)(void *)((char *)object + head) };
    sink.bytes = (char *)(sink.texts + need.count);
    object->class = class;
    put_record(&sink, object, class, record, ref);
    object->ref = sink.texts[sink.count - 1];
    return object;
}

bool vt_picture_put(struct vt_picture *picture, enum vt_class class, const char *ref,
                    const struct vt_xmlrpc_value *record, struct vt_err *err)
{
    struct vt_object **slot = slot_of(picture, ref), *old = *slot;

    if (!old && picture->count >= VT_PICTURE_OBJECTS_MAX)
        return vt_fail(err, VT_E_LIMIT, "the pool has more than %d objects",
                       VT_PICTURE_OBJECTS_MAX);
    struct vt_object *object = object_new(class, ref, record);
    if (!object)
        return vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
    object->generation = picture->generation;
    if (old && old->class == class) {
        replace(picture, old, object);
        *slot = object;
        return true;
    }
    if (old) { /* references are not used twice; the newest word counts */
        vt_picture_remove(picture, ref);
        slot = slot_of(picture, ref);
    }
    *slot = object;
    append(picture, object);
    if (picture->count > picture->bucket_count)
        grow(picture);
    return true;
}

/* The same block elsewhere: what pointed into it points into the copy. */
static struct vt_object *object_copy(const struct vt_object *from)
{
    struct vt_object *object = malloc(from->size);
    size_t fields = field_count(from->class);

    if (!object)
        return NULL;
    memcpy(object, from, from->size);
    const char **texts = (const char **)(void *)&object->values[fields];
    const char *const *before = (const char *const *)(const void *)&from->values[fields];
    for (uint32_t i = 0; i < object->text_count; i++)
        texts[i] = (const char *)object + (before[i] - (const char *)from);
    for (size_t i = 0; i < fields; i++)
        object->values[i].texts = texts + (from->values[i].texts - before);
    object->ref = (const char *)object + (from->ref - (const char *)from);
    return object;
}

bool vt_picture_copy(const struct vt_picture *picture, unsigned classes, struct vt_picture *out,
                     struct vt_err *err)
{
    for (size_t class = 0; class < VT_CLASSES; class ++) {
        if (!(classes & VT_CLASS_BIT(class)))
            continue;
        for (const struct vt_object *from = picture->first[class]; from; from = from->next) {
            struct vt_object *object = object_copy(from);
            if (!object)
                return vt_fail(err, VT_E_NOMEM, "no memory for a copy of the picture");
            object->generation = out->generation;
            struct vt_object **slot = slot_of(out, object->ref);
            object->bucket_next = NULL;
            object->next = NULL;
            *slot = object;
            append(out, object);
            if (out->count > out->bucket_count)
                grow(out);
        }
    }
    out->time = picture->time;
    return true;
}

/* ---- from the pool ---- */

static void sweep(struct vt_picture *picture, size_t class)
{
    struct vt_object *next = NULL;

    for (struct vt_object *object = picture->first[class]; object; object = next) {
        next = object->next;
        if (object->generation != picture->generation)
            vt_picture_remove(picture, object->ref);
    }
}

struct loading {
    struct vt_picture *picture;
    enum vt_class class;
};

static bool on_record(void *context, const struct vt_xmlrpc_value *item, struct vt_err *err)
{
    const struct loading *loading = context;

    return !item->name || vt_picture_put(loading->picture, loading->class, item->name, item, err);
}

bool vt_picture_load(struct vt_picture *picture, struct vt_xapi *xapi, struct vt_line *line,
                     unsigned classes, struct vt_err *err)
{
    static const char *const path[] = { "Value" };

    picture->generation++;
    for (size_t class = 0; class < VT_CLASSES; class ++) {
        struct loading loading = { picture, (enum vt_class) class };
        struct vt_xapi_stream stream = {
            .line = { .path = path, .path_length = 1, .fn = on_record, .context = &loading },
        };
        VT_AUTO_REPLY reply = { 0 };
        char method[64];
        if (!(classes & VT_CLASS_BIT(class)))
            continue;
        snprintf(method, sizeof method, "%s.get_all_records", vt_picture_class_names[class]);
        if (!vt_xapi_call_stream(xapi, line, &stream, &reply, err, method, "")) {
            if (strcmp(err->xapi_code, "MESSAGE_METHOD_UNKNOWN") != 0)
                return false;
            vt_err_clear(err);
        }
        sweep(picture, class);
    }
    picture->time = vt_clock_wall();
    return true;
}

bool vt_picture_reload(struct vt_picture *picture, struct vt_xapi *xapi, struct vt_line *line,
                       enum vt_class class, const char *ref, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    char method[64];

    snprintf(method, sizeof method, "%s.get_record", vt_picture_class_names[class]);
    if (vt_xapi_call(xapi, line, &reply, err, method, "s", ref))
        return vt_picture_put(picture, class, ref, reply.value, err);
    if (strcmp(err->xapi_code, "HANDLE_INVALID") != 0)
        return false;
    vt_err_clear(err);
    vt_picture_remove(picture, ref);
    return true;
}

void vt_picture_reset(struct vt_picture *picture)
{
    picture->generation++;
}

bool vt_picture_event(struct vt_picture *picture, const struct vt_xapi_event *event,
                      struct vt_err *err)
{
    if (event->operation == VT_XAPI_DEL) {
        vt_picture_remove(picture, event->ref);
        return true;
    }
    for (size_t class = 0; class < VT_CLASSES; class ++)
        if (strcasecmp(vt_picture_class_names[class], event->class) == 0)
            return vt_picture_put(picture, (enum vt_class) class, event->ref, event->snapshot, err);
    return true;
}

void vt_picture_batch(struct vt_picture *picture, bool first)
{
    for (size_t class = 0; first && class < VT_CLASSES; class ++)
        sweep(picture, class);
    picture->time = vt_clock_wall();
}

int64_t vt_picture_time(const struct vt_picture *picture)
{
    return picture->time;
}

void vt_picture_set_time(struct vt_picture *picture, int64_t wall_ns)
{
    picture->time = wall_ns;
}

/* ---- reading ---- */

size_t vt_picture_count(const struct vt_picture *picture, enum vt_class class)
{
    return picture->counts[class];
}

const struct vt_object *vt_picture_first(const struct vt_picture *picture, enum vt_class class)
{
    return picture->first[class];
}

const struct vt_object *vt_object_next(const struct vt_object *object)
{
    return object->next;
}

const struct vt_object *vt_picture_get(const struct vt_picture *picture, const char *ref)
{
    return vt_xapi_ref_is_null(ref) ? NULL : *slot_of(picture, ref);
}

const struct vt_object *vt_picture_by_uuid(const struct vt_picture *picture, enum vt_class class,
                                           const char *uuid)
{
    VT_PICTURE_EACH(picture, class, object)
    if (strcmp(vt_object_text(object, "uuid"), uuid) == 0)
        return object;
    return NULL;
}

const struct vt_object *vt_picture_follow(const struct vt_picture *picture,
                                          const struct vt_object *object, const char *field)
{
    return vt_picture_get(picture, vt_object_text(object, field));
}

const char *vt_object_ref(const struct vt_object *object)
{
    return object->ref;
}

enum vt_class vt_object_class(const struct vt_object *object)
{
    return object->class;
}

static const struct value *value_of(const struct vt_object *object, const char *field)
{
    const char *const *fields = vt_class_fields[object->class];
    size_t i = 0;

    while (fields[i] && strcmp(fields[i], field) != 0)
        i++;
    assert(fields[i]);
    return &object->values[i];
}

const char *vt_object_text(const struct vt_object *object, const char *field)
{
    const struct value *value = value_of(object, field);

    return value->count ? value->texts[0] : "";
}

bool vt_object_bool(const struct vt_object *object, const char *field)
{
    const char *text = vt_object_text(object, field);

    return strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

int64_t vt_object_int(const struct vt_object *object, const char *field)
{
    return strtoll(vt_object_text(object, field), NULL, 10);
}

size_t vt_object_list(const struct vt_object *object, const char *field,
                      const char *const **out_texts)
{
    const struct value *value = value_of(object, field);

    *out_texts = value->texts;
    return value->count;
}

bool vt_object_has(const struct vt_object *object, const char *field, const char *text)
{
    const struct value *value = value_of(object, field);

    for (uint32_t i = 0; i < value->count; i++)
        if (strcmp(value->texts[i], text) == 0)
            return true;
    return false;
}

const char *vt_object_map(const struct vt_object *object, const char *field, const char *key)
{
    const struct value *value = value_of(object, field);

    for (uint32_t i = 0; i + 1 < value->count; i += 2)
        if (strcmp(value->texts[i], key) == 0)
            return value->texts[i + 1];
    return NULL;
}
