/* Objects as XAPI writes them. */
#include <stdio.h>
#include <string.h>

#include "poolsim/sim.h"

void vt_sim_put_ref(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db, uint32_t id)
{
    char ref[VT_SIM_REF_MAX];

    vt_sim_ref_text(db, id, ref);
    vt_xmlrpc_put_string(writer, ref);
}

static void put_refs(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                     const struct vt_sim_object *object, enum vt_sim_field field)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(object, field, &ids);

    vt_xmlrpc_array_begin(writer);
    for (uint32_t i = 0; i < count; i++)
        if (vt_sim_get(db, ids[i]))
            vt_sim_put_ref(writer, db, ids[i]);
    vt_xmlrpc_array_end(writer);
}

static void put_texts(struct vt_xmlrpc_writer *writer, const struct vt_sim_object *object,
                      enum vt_sim_field field)
{
    char *const *texts = NULL;
    uint32_t count = vt_sim_texts(object, field, &texts);

    vt_xmlrpc_array_begin(writer);
    for (uint32_t i = 0; i < count; i++)
        vt_xmlrpc_put_string(writer, texts[i]);
    vt_xmlrpc_array_end(writer);
}

static void put_map(struct vt_xmlrpc_writer *writer, const struct vt_sim_object *object,
                    enum vt_sim_field field)
{
    char *const *texts = NULL;
    uint32_t count = vt_sim_texts(object, field, &texts);

    vt_xmlrpc_struct_begin(writer);
    for (uint32_t i = 0; i + 1 < count; i += 2) {
        vt_xmlrpc_member_begin(writer, texts[i]);
        vt_xmlrpc_put_string(writer, texts[i + 1]);
        vt_xmlrpc_member_end(writer);
    }
    vt_xmlrpc_struct_end(writer);
}

void vt_sim_put_field(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                      const struct vt_sim_object *object, enum vt_sim_field field)
{
    switch (vt_sim_fields[field].kind) {
    case VT_SIM_STRING:
        vt_xmlrpc_put_string(writer, vt_sim_text(object, field));
        break;
    case VT_SIM_INT:
        vt_xmlrpc_put_int(writer, vt_sim_int(object, field));
        break;
    case VT_SIM_BOOL:
        vt_xmlrpc_put_bool(writer, vt_sim_bool(object, field));
        break;
    case VT_SIM_FLOAT:
        vt_xmlrpc_put_double(writer, vt_sim_real(object, field));
        break;
    case VT_SIM_DATE:
        vt_xmlrpc_put_time(writer, vt_sim_int(object, field));
        break;
    case VT_SIM_REF:
        vt_sim_put_ref(writer, db, vt_sim_ref(object, field));
        break;
    case VT_SIM_REFS:
        put_refs(writer, db, object, field);
        break;
    case VT_SIM_STRINGS:
        put_texts(writer, object, field);
        break;
    case VT_SIM_MAP:
        put_map(writer, object, field);
        break;
    }
}

void vt_sim_put_record(struct vt_xmlrpc_writer *writer, const struct vt_sim_db *db,
                       const struct vt_sim_object *object)
{
    const struct vt_sim_class_info *info = &vt_sim_classes[object->class];

    vt_xmlrpc_struct_begin(writer);
    for (uint32_t i = 0; i < info->count; i++) {
        enum vt_sim_field field = (enum vt_sim_field)((uint32_t)info->first + i);
        if (db->hidden[field])
            continue;
        vt_xmlrpc_member_begin(writer, vt_sim_fields[field].name);
        vt_sim_put_field(writer, db, object, field);
        vt_xmlrpc_member_end(writer);
    }
    vt_xmlrpc_struct_end(writer);
}
