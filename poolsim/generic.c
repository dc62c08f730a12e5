/* The calls that every class has: get_all, get_all_records, get_record, get_by_uuid,
 * get_by_name_label, get_<field>, set_<field>, add_to_<map>, remove_from_<map>, add_<set>,
 * remove_<set>. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "poolsim/sim.h"

struct request {
    enum vt_sim_class class;
    const char *verb; /* behind the dot */
};

static void put_all(struct vt_sim_call *call, enum vt_sim_class class)
{
    vt_xmlrpc_array_begin(&call->writer);
    VT_SIM_EACH(call->db, class, object)
    vt_sim_put_ref(&call->writer, call->db, object->id);
    vt_xmlrpc_array_end(&call->writer);
}

static void put_all_records(struct vt_sim_call *call, enum vt_sim_class class)
{
    char ref[VT_SIM_REF_MAX];

    vt_xmlrpc_struct_begin(&call->writer);
    VT_SIM_EACH(call->db, class, object)
    {
        vt_sim_ref_text(call->db, object->id, ref);
        vt_xmlrpc_member_begin(&call->writer, ref);
        vt_sim_put_record(&call->writer, call->db, object);
        vt_xmlrpc_member_end(&call->writer);
    }
    vt_xmlrpc_struct_end(&call->writer);
}

static bool by_uuid(struct vt_sim_call *call, enum vt_sim_class class,
                    struct vt_sim_failure *failure)
{
    const struct vt_sim_object *object = vt_sim_by_uuid(call->db, class, vt_sim_arg(call, 0));

    if (!object)
        return vt_sim_refuse(failure, "UUID_INVALID", vt_sim_classes[class].name,
                             vt_sim_arg(call, 0), NULL);
    vt_sim_put_ref(&call->writer, call->db, object->id);
    return true;
}

static void by_name(struct vt_sim_call *call, enum vt_sim_class class)
{
    enum vt_sim_field field = vt_sim_field_find(class, "name_label");

    vt_xmlrpc_array_begin(&call->writer);
    VT_SIM_EACH(call->db, class, object)
    if (vt_sim_is(object, field, vt_sim_arg(call, 0)))
        vt_sim_put_ref(&call->writer, call->db, object->id);
    vt_xmlrpc_array_end(&call->writer);
}

static bool wrong_count(const char *method, uint32_t expected, uint32_t given,
                        struct vt_sim_failure *failure)
{
    char expected_text[12], given_text[12];

    snprintf(expected_text, sizeof expected_text, "%u", expected);
    snprintf(given_text, sizeof given_text, "%u", given);
    return vt_sim_refuse(failure, "MESSAGE_PARAMETER_COUNT_MISMATCH", method, expected_text,
                         given_text, NULL);
}

/* Sets and maps come as containers: their texts, for a map keys and values in turn. Bounded by the
 * request. */
enum { SET_TEXTS_MAX = 1024 };

static void set_container(struct vt_sim_call *call, struct vt_sim_object *object,
                          enum vt_sim_field field)
{
    const char *texts[SET_TEXTS_MAX];
    uint32_t count = 0;
    bool map = vt_sim_fields[field].kind == VT_SIM_MAP;

    for (const struct vt_xmlrpc_value *item = vt_xmlrpc_first(call->args[1]);
         item && count + 2 <= SET_TEXTS_MAX; item = item->next) {
        if (map)
            texts[count++] = item->name ? item->name : "";
        texts[count++] = vt_xmlrpc_text(item, "");
    }
    vt_sim_set_texts(call->db, object, field, texts, count);
}

static bool set_field(struct vt_sim_call *call, struct vt_sim_object *object,
                      enum vt_sim_field field, struct vt_sim_failure *failure)
{
    int64_t integer = 0;

    switch (vt_sim_fields[field].kind) {
    case VT_SIM_STRING:
        vt_sim_set_text(call->db, object, field, vt_sim_arg(call, 1));
        break;
    case VT_SIM_BOOL:
        vt_sim_set_bool(call->db, object, field, vt_xmlrpc_bool(call->args[1], false));
        break;
    case VT_SIM_FLOAT:
        vt_sim_set_real(call->db, object, field, vt_xmlrpc_double(call->args[1], 0));
        break;
    case VT_SIM_REF:
        vt_sim_set_ref(call->db, object, field, vt_sim_ref_id(call->db, vt_sim_arg(call, 1)));
        break;
    case VT_SIM_STRINGS:
    case VT_SIM_MAP:
        set_container(call, object, field);
        break;
    case VT_SIM_INT:
        if (!vt_xmlrpc_get_int(call->args[1], &integer))
            return vt_sim_refuse(failure, "FIELD_TYPE_ERROR", vt_sim_fields[field].name, NULL);
        vt_sim_set_int(call->db, object, field, integer);
        break;
    default:
        break;
    }
    return true;
}

static bool add_to(struct vt_sim_call *call, struct vt_sim_object *object, enum vt_sim_field field,
                   struct vt_sim_failure *failure)
{
    const char *key = vt_sim_arg(call, 1);
    char ref[VT_SIM_REF_MAX];

    if (vt_sim_fields[field].kind == VT_SIM_STRINGS) {
        vt_sim_texts_add(call->db, object, field, key);
        return true;
    }
    if (vt_sim_map_get(object, field, key)) {
        vt_sim_ref_text(call->db, object->id, ref);
        return vt_sim_refuse(failure, "MAP_DUPLICATE_KEY", vt_sim_classes[object->class].name,
                             vt_sim_fields[field].name, ref, key, NULL);
    }
    vt_sim_map_set(call->db, object, field, key, vt_sim_arg(call, 2));
    return true;
}

static void remove_from(struct vt_sim_call *call, struct vt_sim_object *object,
                        enum vt_sim_field field)
{
    if (vt_sim_fields[field].kind == VT_SIM_MAP)
        vt_sim_map_remove(call->db, object, field, vt_sim_arg(call, 1));
    else
        vt_sim_texts_remove(call->db, object, field, vt_sim_arg(call, 1));
}

enum change { GET, SET, ADD, REMOVE };

/* "set_name_label" of VM: which field, and how. VT_SIM_FIELDS: there is no such call. */
static enum vt_sim_field field_call(const struct request *request, enum change *out_change,
                                    uint32_t *out_count)
{
    static const struct {
        const char *prefix;
        enum change change;
        uint32_t count;
        bool map, set;
    } prefixes[] = {
        { "get_", GET, 1, true, true },     { "set_", SET, 2, true, true },
        { "add_to_", ADD, 3, true, false }, { "remove_from_", REMOVE, 2, true, false },
        { "add_", ADD, 2, false, true },    { "remove_", REMOVE, 2, false, true },
    };

    for (size_t i = 0; i < VT_COUNT(prefixes); i++) {
        size_t length = strlen(prefixes[i].prefix);
        if (strncmp(request->verb, prefixes[i].prefix, length) != 0)
            continue;
        enum vt_sim_field field = vt_sim_field_find(request->class, request->verb + length);
        if (field == VT_SIM_FIELDS)
            continue;
        enum vt_sim_kind kind = vt_sim_fields[field].kind;
        bool container = prefixes[i].change == ADD || prefixes[i].change == REMOVE;
        if (container &&
            !(kind == VT_SIM_MAP ? prefixes[i].map : kind == VT_SIM_STRINGS && prefixes[i].set))
            continue;
        if (prefixes[i].change != GET && !vt_sim_fields[field].writable)
            continue;
        *out_change = prefixes[i].change;
        *out_count = prefixes[i].count;
        return field;
    }
    return VT_SIM_FIELDS;
}

static bool run_field_call(struct vt_sim_call *call, const struct request *request,
                           enum vt_sim_field field, enum change change,
                           struct vt_sim_failure *failure)
{
    struct vt_sim_object *object = vt_sim_arg_object(call, 0, request->class, failure);

    if (!object)
        return false;
    switch (change) {
    case GET:
        vt_sim_put_field(&call->writer, call->db, object, field);
        return true;
    case SET:
        return set_field(call, object, field, failure);
    case ADD:
        return add_to(call, object, field, failure);
    case REMOVE:
        remove_from(call, object, field);
        return true;
    }
    return false;
}

static bool run_class_call(struct vt_sim_call *call, const struct request *request, uint32_t given,
                           bool *out_known, struct vt_sim_failure *failure)
{
    bool named = vt_sim_field_find(request->class, "name_label") != VT_SIM_FIELDS;
    bool all = strcmp(request->verb, "get_all") == 0,
         records = strcmp(request->verb, "get_all_records") == 0;
    bool record = strcmp(request->verb, "get_record") == 0,
         uuid = strcmp(request->verb, "get_by_uuid") == 0;
    bool name = named && strcmp(request->verb, "get_by_name_label") == 0;
    uint32_t expected = all || records ? 0 : 1;

    *out_known = all || records || record || uuid || name;
    if (!*out_known)
        return false;
    if (call->count != expected)
        return wrong_count(call->method, expected + 1, given, failure);
    if (all)
        put_all(call, request->class);
    else if (records)
        put_all_records(call, request->class);
    else if (name)
        by_name(call, request->class);
    if (uuid)
        return by_uuid(call, request->class, failure);
    if (!record)
        return true;
    const struct vt_sim_object *object = vt_sim_arg_object(call, 0, request->class, failure);
    if (object)
        vt_sim_put_record(&call->writer, call->db, object);
    return object;
}

bool vt_sim_generic(struct vt_sim_call *call, uint32_t given, bool *out_known,
                    struct vt_sim_failure *failure)
{
    char class[64];
    const char *dot = strchr(call->method, '.');
    enum change change = GET;
    uint32_t expected = 0;

    *out_known = false;
    if (!dot || (size_t)(dot - call->method) >= sizeof class)
        return false;
    memcpy(class, call->method, (size_t)(dot - call->method));
    class[dot - call->method] = '\0';
    struct request request = { vt_sim_class_find(class, false), dot + 1 };
    if (request.class == VT_SIM_CLASSES)
        return false;
    bool ok = run_class_call(call, &request, given, out_known, failure);
    if (*out_known)
        return ok;
    enum vt_sim_field field = field_call(&request, &change, &expected);
    if (field == VT_SIM_FIELDS)
        return false;
    *out_known = true;
    if (call->count != expected)
        return wrong_count(call->method, expected + 1, given, failure);
    return run_field_call(call, &request, field, change, failure);
}

static void put_name(struct vt_xmlrpc_writer *writer, const char *class, const char *prefix,
                     const char *field)
{
    char name[160];

    snprintf(name, sizeof name, "%s.%s%s", class, prefix, field);
    vt_xmlrpc_put_string(writer, name);
}

void vt_sim_generic_names(struct vt_xmlrpc_writer *writer)
{
    static const char *const common[] = { "get_all", "get_all_records", "get_record",
                                          "get_by_uuid" };

    for (int class = 0; class < VT_SIM_CLASSES; class ++)
        for (size_t i = 0; i < VT_COUNT(common); i++)
            put_name(writer, vt_sim_classes[class].name, "", common[i]);
    for (int field = 0; field < VT_SIM_FIELDS; field++) {
        const struct vt_sim_field_info *info = &vt_sim_fields[field];
        put_name(writer, vt_sim_classes[info->class].name, "get_", info->name);
        if (info->writable)
            put_name(writer, vt_sim_classes[info->class].name, "set_", info->name);
        if (info->writable && info->kind == VT_SIM_MAP) {
            put_name(writer, vt_sim_classes[info->class].name, "add_to_", info->name);
            put_name(writer, vt_sim_classes[info->class].name, "remove_from_", info->name);
        }
        if (strcmp(info->name, "name_label") == 0)
            put_name(writer, vt_sim_classes[info->class].name, "get_by_", info->name);
    }
}
