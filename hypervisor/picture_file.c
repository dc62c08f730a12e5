/* The picture and the members on disk. A file is a JSON object with a format number; what was
 * written by a later format is not read. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "hypervisor/picture_state.h"

enum { FORMAT = 1, MODE = 0600, MEMBERS_FILE_MAX = 256 * 1024 };

static inline void json_auto(json_t **json)
{
    json_decref(*json);
}
#define AUTO_JSON __attribute__((cleanup(json_auto))) json_t

static bool write_json(json_t *root, const char *path, struct vt_err *err)
{
    char *text = json_dumps(root, JSON_COMPACT);

    if (!text)
        return vt_fail(err, VT_E_NOMEM, "no memory to write %s", path);
    bool ok = vt_io_write_file(path, text, strlen(text), MODE, err);
    free(text);
    return ok;
}

static json_t *read_json(const char *path, size_t limit, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, limit);

    if (!vt_io_read_file(path, &bytes, err))
        return NULL;
    json_t *root = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
    if (root && json_integer_value(json_object_get(root, "format")) == FORMAT)
        return root;
    json_decref(root);
    vt_fail(err, VT_E_CORRUPT, "%s cannot be read: remove it, it is written anew", path);
    return NULL;
}

/* ---- the picture ---- */

static json_t *fields_json(const struct vt_object *object)
{
    const char *const *fields = vt_class_fields[vt_object_class(object)];
    json_t *json = json_object();

    for (size_t i = 0; fields[i]; i++) {
        const char *const *texts = NULL;
        size_t count = vt_object_list(object, fields[i], &texts);
        json_t *list = count == 1 ? json_string(texts[0]) : json_array();
        for (size_t k = 0; count > 1 && k < count; k++)
            json_array_append_new(list, json_string(texts[k]));
        if (count)
            json_object_set_new(json, fields[i], list);
        else
            json_decref(list);
    }
    return json;
}

bool vt_picture_save(const struct vt_picture *picture, const char *path, struct vt_err *err)
{
    AUTO_JSON *root =
        json_pack("{s:i, s:I}", "format", FORMAT, "time", (json_int_t)vt_picture_time(picture));

    for (size_t class = 0; class < VT_CLASSES; class ++) {
        json_t *objects = json_object();
        VT_PICTURE_EACH(picture, (enum vt_class) class, object)
        json_object_set_new(objects, vt_object_ref(object), fields_json(object));
        json_object_set_new(root, vt_class_name((enum vt_class) class), objects);
    }
    return write_json(root, path, err);
}

static struct vt_xmlrpc_value *make_value(struct vt_region *region, const char *name,
                                          enum vt_xmlrpc_type type)
{
    struct vt_xmlrpc_value *value = vt_region_alloc(region, sizeof *value);

    if (value)
        *value = (struct vt_xmlrpc_value){ .name = name, .type = type };
    return value;
}

/* Text, or a list of texts, as a value that borrows from the JSON. */
static struct vt_xmlrpc_value *value_from(struct vt_region *region, const char *name,
                                          const json_t *json)
{
    struct vt_xmlrpc_value *value =
        make_value(region, name, json_is_array(json) ? VT_XMLRPC_ARRAY : VT_XMLRPC_STRING);
    const struct vt_xmlrpc_value **next = value ? &value->as.first : NULL;

    if (value && value->type == VT_XMLRPC_STRING)
        value->as.text = json_is_string(json) ? json_string_value(json) : "";
    for (size_t i = 0; value && value->type == VT_XMLRPC_ARRAY && i < json_array_size(json); i++) {
        struct vt_xmlrpc_value *item = value_from(region, NULL, json_array_get(json, i));
        if (!item)
            return NULL;
        *next = item;
        next = &item->next;
    }
    return value;
}

static struct vt_xmlrpc_value *record_from(struct vt_region *region, json_t *fields)
{
    struct vt_xmlrpc_value *record = make_value(region, NULL, VT_XMLRPC_STRUCT);
    const struct vt_xmlrpc_value **next = record ? &record->as.first : NULL;
    const char *name;
    json_t *json;

    if (!record)
        return NULL;
    json_object_foreach(fields, name, json)
    {
        struct vt_xmlrpc_value *value = value_from(region, name, json);
        if (!value)
            return NULL;
        *next = value;
        next = &value->next;
    }
    return record;
}

static bool restore_class(struct vt_picture *picture, enum vt_class class, json_t *objects,
                          struct vt_err *err)
{
    const char *ref;
    json_t *fields;

    json_object_foreach(objects, ref, fields)
    {
        struct vt_region region = { 0 };
        struct vt_xmlrpc_value *record = record_from(&region, fields);
        bool ok = record ? vt_picture_put(picture, class, ref, record, err)
                         : vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
        vt_region_fini(&region);
        if (!ok)
            return false;
    }
    return true;
}

bool vt_picture_restore(struct vt_picture *picture, const char *path, struct vt_err *err)
{
    AUTO_JSON *root = read_json(path, VT_PICTURE_FILE_MAX, err);

    if (!root)
        return false;
    for (size_t class = 0; class < VT_CLASSES; class ++)
        if (!restore_class(picture, (enum vt_class) class,
                           json_object_get(root, vt_class_name((enum vt_class) class)), err))
            return false;
    vt_picture_set_time(picture, json_integer_value(json_object_get(root, "time")));
    return true;
}

/* ---- the members ---- */

bool vt_members_save(struct vt_xapi *xapi, const char *path, struct vt_err *err)
{
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    char pool_uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;
    json_t *list = json_array();

    vt_xapi_members(xapi, members, &count, pool_uuid);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "address", members[i].address,
                                              "uuid", members[i].uuid, "pin", members[i].pin));
    AUTO_JSON *root =
        json_pack("{s:i, s:s, s:o}", "format", FORMAT, "pool", pool_uuid, "members", list);
    return write_json(root, path, err);
}

static bool take_text(const json_t *json, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (!text || strlen(text) >= size)
        return false;
    snprintf(out, size, "%s", text);
    return true;
}

bool vt_members_restore(struct vt_xapi *xapi, const char *path, struct vt_err *err)
{
    AUTO_JSON *root = read_json(path, MEMBERS_FILE_MAX, err);
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX] = { 0 };
    char pool_uuid[VT_XAPI_UUID_MAX] = "";
    size_t count = 0;

    if (!root)
        return false;
    const json_t *list = json_object_get(root, "members");
    bool ok = take_text(root, "pool", pool_uuid, sizeof pool_uuid);
    for (; ok && count < json_array_size(list) && count < VT_XAPI_MEMBERS_MAX; count++) {
        const json_t *member = json_array_get(list, count);
        ok = take_text(member, "address", members[count].address, sizeof members[count].address) &&
             take_text(member, "uuid", members[count].uuid, sizeof members[count].uuid) &&
             take_text(member, "pin", members[count].pin, sizeof members[count].pin);
    }
    if (!ok)
        return vt_fail(err, VT_E_CORRUPT, "%s cannot be read: remove it, it is written anew", path);
    return vt_xapi_remember(xapi, pool_uuid, members, count, err);
}
