/* The picture and the members on disk. The first line is a JSON object with a format number; what was
 * written by another format is not read. The picture has a line for each object, so that neither
 * writing nor reading it needs more memory than the text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "hypervisor/picture_state.h"

enum { FORMAT = 1, PICTURE_FORMAT = 2, MODE = 0600, MEMBERS_FILE_MAX = 256 * 1024 };

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

bool vt_picture_save_begin(const struct vt_picture *picture, struct vt_buf *out, struct vt_err *err)
{
    return vt_buf_printf(out, err, "{\"format\":%d,\"time\":%" PRId64 "}\n", PICTURE_FORMAT,
                         vt_picture_time(picture));
}

static int into_buf(const char *bytes, size_t size, void *context)
{
    struct vt_err ignored = { 0 };

    return vt_buf_append(context, bytes, size, &ignored) ? 0 : -1;
}

/* ["VM","OpaqueRef:...",{"uuid":"...",...}] */
static bool put_line(const struct vt_object *object, struct vt_buf *out, struct vt_err *err)
{
    AUTO_JSON *line = json_pack("[s, s, o]", vt_class_name(vt_object_class(object)),
                                vt_object_ref(object), fields_json(object));

    if (!line || json_dump_callback(line, into_buf, out, JSON_COMPACT) != 0)
        return vt_fail(err, VT_E_NOMEM, "no memory to keep the picture");
    return vt_buf_append_byte(out, '\n', err);
}

bool vt_picture_save_class(const struct vt_picture *picture, enum vt_class class,
                           struct vt_buf *out, struct vt_err *err)
{
    VT_PICTURE_EACH(picture, class, object)
    if (!put_line(object, out, err))
        return false;
    return true;
}

bool vt_picture_save_end(const struct vt_buf *text, const char *path, struct vt_err *err)
{
    return vt_io_write_file(path, text->data, text->size, MODE, err);
}

bool vt_picture_save(const struct vt_picture *picture, const char *path, struct vt_err *err)
{
    VT_AUTO_BUF(text, VT_PICTURE_FILE_MAX);

    if (!vt_picture_save_begin(picture, &text, err))
        return false;
    for (size_t class = 0; class < VT_CLASSES; class ++)
        if (!vt_picture_save_class(picture, (enum vt_class) class, &text, err))
            return false;
    return vt_picture_save_end(&text, path, err);
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

static bool unreadable(const char *path, struct vt_err *err)
{
    return vt_fail(err, VT_E_CORRUPT, "%s cannot be read: remove it, it is written anew", path);
}

static bool restore_object(struct vt_picture *picture, enum vt_class class, const char *ref,
                           json_t *fields, struct vt_err *err)
{
    struct vt_region region = { 0 };
    struct vt_xmlrpc_value *record = record_from(&region, fields);
    bool ok = record ? vt_picture_put(picture, class, ref, record, err)
                     : vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");

    vt_region_fini(&region);
    return ok;
}

static bool restore_line(struct vt_picture *picture, const char *text, size_t size,
                         const char *path, struct vt_err *err)
{
    AUTO_JSON *line = json_loadb(text, size, 0, NULL);
    const char *name = json_string_value(json_array_get(line, 0));
    const char *ref = json_string_value(json_array_get(line, 1));
    json_t *fields = json_array_get(line, 2);

    if (!name || !ref || !json_is_object(fields))
        return unreadable(path, err);
    for (size_t class = 0; class < VT_CLASSES; class ++)
        if (strcmp(vt_class_name((enum vt_class) class), name) == 0)
            return restore_object(picture, (enum vt_class) class, ref, fields, err);
    return true;
}

static bool restore_head(struct vt_picture *picture, const char *text, size_t size,
                         const char *path, struct vt_err *err)
{
    AUTO_JSON *head = json_loadb(text, size, 0, NULL);

    if (json_integer_value(json_object_get(head, "format")) != PICTURE_FORMAT)
        return unreadable(path, err);
    vt_picture_set_time(picture, json_integer_value(json_object_get(head, "time")));
    return true;
}

bool vt_picture_restore(struct vt_picture *picture, const char *path, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_PICTURE_FILE_MAX);
    size_t at = 0;

    if (!vt_io_read_file(path, &bytes, err))
        return false;
    while (at < bytes.size) {
        const char *text = (const char *)bytes.data + at;
        const char *end = memchr(text, '\n', bytes.size - at);
        if (!end)
            return unreadable(path, err);
        size_t size = (size_t)(end - text);
        if (!(at == 0 ? restore_head(picture, text, size, path, err)
                      : restore_line(picture, text, size, path, err)))
            return false;
        at += size + 1;
    }
    return at > 0 || unreadable(path, err);
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
