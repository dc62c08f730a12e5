#include "poolsim/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poolsim/mem.h"

struct vt_sim_db *vt_sim_db_new(uint64_t seed)
{
    struct vt_sim_db *db = vt_sim_alloc(sizeof *db);

    vt_sim_schema_init();
    db->seed = seed;
    db->random = seed;
    db->next_id = 1;
    db->generation = 1;
    return db;
}

/* splitmix64 */
static uint64_t mix(uint64_t state)
{
    state = (state ^ (state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    state = (state ^ (state >> 27)) * UINT64_C(0x94d049bb133111eb);
    return state ^ (state >> 31);
}

uint64_t vt_sim_random(struct vt_sim_db *db)
{
    db->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(db->random);
}

uint32_t vt_sim_random_below(struct vt_sim_db *db, uint32_t bound)
{
    return (uint32_t)(vt_sim_random(db) % (bound ? bound : 1));
}

static void uuid_text(uint64_t high, uint64_t low, char out[static VT_SIM_UUID_MAX])
{
    snprintf(out, VT_SIM_UUID_MAX, "%08" PRIx32 "-%04x-4%03x-8%03x-%012" PRIx64,
             (uint32_t)(high >> 32), (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xfff),
             (unsigned)(low >> 48 & 0xfff), low & UINT64_C(0xffffffffffff));
}

void vt_sim_random_uuid(struct vt_sim_db *db, char out[static VT_SIM_UUID_MAX])
{
    uint64_t high = vt_sim_random(db);

    uuid_text(high, vt_sim_random(db), out);
}

/* A reference is made from the id: the last group hides it, the others check it. */
void vt_sim_ref_text(const struct vt_sim_db *db, uint32_t id, char out[static VT_SIM_REF_MAX])
{
    if (id == 0) {
        snprintf(out, VT_SIM_REF_MAX, "OpaqueRef:NULL");
        return;
    }
    uint64_t high = mix(db->seed ^ UINT64_C(0xd1b54a32d192ed03) * id);
    uint64_t low =
        (high & UINT64_C(0xffff)) << 48 | ((uint64_t)id << 8 ^ (db->seed & UINT64_C(0xffffffffff)));

    snprintf(out, VT_SIM_REF_MAX, "OpaqueRef:");
    uuid_text(high, low, out + strlen(out));
}

uint32_t vt_sim_ref_id(const struct vt_sim_db *db, const char *ref)
{
    char expected[VT_SIM_REF_MAX];

    if (strlen(ref) != sizeof "OpaqueRef:" - 1 + VT_SIM_UUID_MAX - 1)
        return 0;
    uint64_t low = strtoull(ref + strlen(ref) - 12, NULL, 16);
    uint32_t id = (uint32_t)(((low ^ (db->seed & UINT64_C(0xffffffffff))) >> 8) & UINT32_MAX);
    if (!vt_sim_get(db, id))
        return 0;
    vt_sim_ref_text(db, id, expected);
    return strcmp(expected, ref) == 0 ? id : 0;
}

struct vt_sim_object *vt_sim_get(const struct vt_sim_db *db, uint32_t id)
{
    return id > 0 && id < db->next_id ? db->objects[id] : NULL;
}

static void append(struct vt_sim_class_rows *rows, struct vt_sim_object *object)
{
    object->older = rows->newest;
    object->newer = NULL;
    *(rows->newest ? &rows->newest->newer : &rows->oldest) = object;
    rows->newest = object;
}

static void unlink_object(struct vt_sim_class_rows *rows, struct vt_sim_object *object)
{
    *(object->older ? &object->older->newer : &rows->oldest) = object->newer;
    *(object->newer ? &object->newer->older : &rows->newest) = object->older;
}

struct vt_sim_object *vt_sim_add(struct vt_sim_db *db, enum vt_sim_class class)
{
    struct vt_sim_object *object =
        vt_sim_alloc(sizeof *object + vt_sim_classes[class].count * sizeof(union vt_sim_value));
    char uuid[VT_SIM_UUID_MAX];

    if (db->next_id >= db->capacity) {
        db->capacity = db->capacity ? db->capacity * 2 : 256;
        db->objects = vt_sim_grow(db->objects, db->capacity, sizeof(struct vt_sim_object *));
    }
    object->id = db->next_id++;
    object->class = class;
    object->created = object->modified = ++db->generation;
    db->objects[0] = NULL;
    db->objects[object->id] = object;
    append(&db->rows[class], object);
    db->rows[class].count++;
    vt_sim_random_uuid(db, uuid);
    object->values[0].text = vt_sim_copy(uuid);
    return object;
}

static void free_texts(struct vt_sim_texts *texts)
{
    for (uint32_t i = 0; texts && i < texts->count; i++)
        free(texts->items[i]);
    free(texts);
}

static void free_value(enum vt_sim_kind kind, union vt_sim_value *value)
{
    if (kind == VT_SIM_STRING)
        free(value->text);
    else if (kind == VT_SIM_REFS)
        free(value->ids);
    else if (kind == VT_SIM_STRINGS || kind == VT_SIM_MAP)
        free_texts(value->texts);
    *value = (union vt_sim_value){ 0 };
}

static void free_object(struct vt_sim_object *object)
{
    const struct vt_sim_class_info *info = &vt_sim_classes[object->class];

    for (uint32_t i = 0; i < info->count; i++)
        free_value(vt_sim_fields[(uint32_t)info->first + i].kind, &object->values[i]);
    free(object);
}

void vt_sim_remove(struct vt_sim_db *db, struct vt_sim_object *object)
{
    struct vt_sim_class_rows *rows = &db->rows[object->class];

    rows->deletions[rows->deletion_next++ % VT_SIM_DELETIONS] = (struct vt_sim_deletion){
        .id = object->id, .created = object->created, .deleted = ++db->generation
    };
    rows->count--;
    unlink_object(rows, object);
    db->objects[object->id] = NULL;
    free_object(object);
}

void vt_sim_db_free(struct vt_sim_db *db)
{
    if (!db)
        return;
    for (uint32_t id = 1; id < db->next_id; id++)
        if (db->objects[id])
            free_object(db->objects[id]);
    free(db->objects);
    free(db);
}

void vt_sim_touch(struct vt_sim_db *db, struct vt_sim_object *object)
{
    object->modified = ++db->generation;
    unlink_object(&db->rows[object->class], object);
    append(&db->rows[object->class], object);
}

struct vt_sim_object *vt_sim_by_uuid(const struct vt_sim_db *db, enum vt_sim_class class,
                                     const char *uuid)
{
    VT_SIM_EACH(db, class, object)
    if (strcmp(object->values[0].text, uuid) == 0)
        return object;
    return NULL;
}

struct vt_sim_object *vt_sim_by_name(const struct vt_sim_db *db, enum vt_sim_class class,
                                     const char *name)
{
    enum vt_sim_field field = vt_sim_field_find(class, "name_label");

    if (field == VT_SIM_FIELDS)
        return NULL;
    VT_SIM_EACH(db, class, object)
    if (vt_sim_is(object, field, name))
        return object;
    return NULL;
}

static union vt_sim_value *slot(struct vt_sim_object *object, enum vt_sim_field field)
{
    return &object->values[(uint32_t)field - (uint32_t)vt_sim_classes[object->class].first];
}

static const union vt_sim_value *look(const struct vt_sim_object *object, enum vt_sim_field field)
{
    return &object->values[(uint32_t)field - (uint32_t)vt_sim_classes[object->class].first];
}

const char *vt_sim_text(const struct vt_sim_object *object, enum vt_sim_field field)
{
    const char *text = look(object, field)->text;

    return text ? text : "";
}

bool vt_sim_is(const struct vt_sim_object *object, enum vt_sim_field field, const char *text)
{
    return strcmp(vt_sim_text(object, field), text) == 0;
}

int64_t vt_sim_int(const struct vt_sim_object *object, enum vt_sim_field field)
{
    return look(object, field)->integer;
}

bool vt_sim_bool(const struct vt_sim_object *object, enum vt_sim_field field)
{
    return look(object, field)->boolean;
}

double vt_sim_real(const struct vt_sim_object *object, enum vt_sim_field field)
{
    return look(object, field)->real;
}

uint32_t vt_sim_ref(const struct vt_sim_object *object, enum vt_sim_field field)
{
    return look(object, field)->ref;
}

struct vt_sim_object *vt_sim_follow(const struct vt_sim_db *db, const struct vt_sim_object *object,
                                    enum vt_sim_field field)
{
    return vt_sim_get(db, vt_sim_ref(object, field));
}

uint32_t vt_sim_ids(const struct vt_sim_object *object, enum vt_sim_field field,
                    const uint32_t **out_ids)
{
    const struct vt_sim_ids *ids = look(object, field)->ids;

    *out_ids = ids ? ids->items : NULL;
    return ids ? ids->count : 0;
}

uint32_t vt_sim_texts(const struct vt_sim_object *object, enum vt_sim_field field,
                      char *const **out_texts)
{
    const struct vt_sim_texts *texts = look(object, field)->texts;

    *out_texts = texts ? texts->items : NULL;
    return texts ? texts->count : 0;
}

bool vt_sim_has(const struct vt_sim_object *object, enum vt_sim_field field, const char *text)
{
    char *const *texts = NULL;
    uint32_t count = vt_sim_texts(object, field, &texts);

    for (uint32_t i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

const char *vt_sim_map_get(const struct vt_sim_object *object, enum vt_sim_field field,
                           const char *key)
{
    char *const *texts = NULL;
    uint32_t count = vt_sim_texts(object, field, &texts);

    for (uint32_t i = 0; i + 1 < count; i += 2)
        if (strcmp(texts[i], key) == 0)
            return texts[i + 1];
    return NULL;
}

void vt_sim_set_text(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                     const char *text)
{
    union vt_sim_value *value = slot(object, field);

    if (vt_sim_is(object, field, text))
        return;
    char *copy = *text ? vt_sim_copy(text) : NULL;
    free(value->text);
    value->text = copy;
    vt_sim_touch(db, object);
}

void vt_sim_set_int(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    int64_t integer)
{
    if (slot(object, field)->integer == integer)
        return;
    slot(object, field)->integer = integer;
    vt_sim_touch(db, object);
}

void vt_sim_set_bool(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                     bool boolean)
{
    if (slot(object, field)->boolean == boolean)
        return;
    slot(object, field)->boolean = boolean;
    vt_sim_touch(db, object);
}

void vt_sim_set_real(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                     double real)
{
    slot(object, field)->real = real;
    vt_sim_touch(db, object);
}

void vt_sim_set_ref(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    uint32_t id)
{
    if (slot(object, field)->ref == id)
        return;
    slot(object, field)->ref = id;
    vt_sim_touch(db, object);
}

void vt_sim_ids_add(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    uint32_t id)
{
    struct vt_sim_ids **ids = &slot(object, field)->ids;

    for (uint32_t i = 0; *ids && i < (*ids)->count; i++)
        if ((*ids)->items[i] == id)
            return;
    if (!*ids || (*ids)->count == (*ids)->capacity) {
        uint32_t count = *ids ? (*ids)->count : 0, capacity = count ? count * 2 : 2;
        *ids = vt_sim_grow(*ids, sizeof **ids + capacity * sizeof(uint32_t), 1);
        (*ids)->count = count;
        (*ids)->capacity = capacity;
    }
    (*ids)->items[(*ids)->count++] = id;
    vt_sim_touch(db, object);
}

void vt_sim_ids_remove(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                       uint32_t id)
{
    struct vt_sim_ids *ids = slot(object, field)->ids;

    for (uint32_t i = 0; ids && i < ids->count; i++) {
        if (ids->items[i] == id) {
            memmove(ids->items + i, ids->items + i + 1, (ids->count - i - 1) * sizeof(uint32_t));
            ids->count--;
            vt_sim_touch(db, object);
            return;
        }
    }
}

void vt_sim_set_texts(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                      const char *const *texts, uint32_t count)
{
    struct vt_sim_texts **held = &slot(object, field)->texts;
    bool same = (*held ? (*held)->count : 0) == count;

    for (uint32_t i = 0; same && i < count; i++)
        same = strcmp((*held)->items[i], texts[i]) == 0;
    if (same)
        return;
    struct vt_sim_texts *fresh =
        count ? vt_sim_alloc(sizeof *fresh + count * sizeof(char *)) : NULL;
    for (uint32_t i = 0; i < count; i++)
        fresh->items[i] = vt_sim_copy(texts[i]);
    if (fresh)
        fresh->count = count;
    free_texts(*held);
    *held = fresh;
    vt_sim_touch(db, object);
}

/* Puts `extra` texts behind those that are there, without those at [cut, cut + gone). */
static void splice(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                   uint32_t cut, uint32_t gone, const char *const *extra, uint32_t extras)
{
    char *const *held = NULL;
    uint32_t count = vt_sim_texts(object, field, &held), kept = 0;
    const char **texts = vt_sim_alloc((count + extras) * sizeof *texts);

    for (uint32_t i = 0; i < count; i++)
        if (i < cut || i >= cut + gone)
            texts[kept++] = held[i];
    for (uint32_t i = 0; i < extras; i++)
        texts[kept++] = extra[i];
    vt_sim_set_texts(db, object, field, texts, kept);
    free(texts);
}

static uint32_t position(const struct vt_sim_object *object, enum vt_sim_field field,
                         const char *text, uint32_t step)
{
    char *const *texts = NULL;
    uint32_t count = vt_sim_texts(object, field, &texts);

    for (uint32_t i = 0; i < count; i += step)
        if (strcmp(texts[i], text) == 0)
            return i;
    return UINT32_MAX;
}

void vt_sim_texts_add(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                      const char *text)
{
    if (position(object, field, text, 1) == UINT32_MAX)
        splice(db, object, field, 0, 0, &text, 1);
}

void vt_sim_texts_remove(struct vt_sim_db *db, struct vt_sim_object *object,
                         enum vt_sim_field field, const char *text)
{
    uint32_t at = position(object, field, text, 1);

    if (at != UINT32_MAX)
        splice(db, object, field, at, 1, NULL, 0);
}

void vt_sim_map_set(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    const char *key, const char *value)
{
    const char *held = vt_sim_map_get(object, field, key);
    uint32_t at = position(object, field, key, 2);

    if (held && strcmp(held, value) == 0)
        return;
    splice(db, object, field, at == UINT32_MAX ? 0 : at, at == UINT32_MAX ? 0 : 2,
           (const char *const[]){ key, value }, 2);
}

void vt_sim_map_remove(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                       const char *key)
{
    uint32_t at = position(object, field, key, 2);

    if (at != UINT32_MAX)
        splice(db, object, field, at, 2, NULL, 0);
}

static void copy_value(struct vt_sim_db *db, struct vt_sim_object *to,
                       const struct vt_sim_object *from, enum vt_sim_field field)
{
    const uint32_t *ids = NULL;
    char *const *texts = NULL;
    uint32_t count = 0;

    switch (vt_sim_fields[field].kind) {
    case VT_SIM_STRING:
        vt_sim_set_text(db, to, field, vt_sim_text(from, field));
        break;
    case VT_SIM_REFS:
        count = vt_sim_ids(from, field, &ids);
        for (uint32_t i = 0; i < count; i++)
            vt_sim_ids_add(db, to, field, ids[i]);
        break;
    case VT_SIM_STRINGS:
    case VT_SIM_MAP:
        count = vt_sim_texts(from, field, &texts);
        vt_sim_set_texts(db, to, field, (const char *const *)texts, count);
        break;
    default:
        *slot(to, field) = *look(from, field);
        break;
    }
}

void vt_sim_copy_values(struct vt_sim_db *db, struct vt_sim_object *to,
                        const struct vt_sim_object *from)
{
    const struct vt_sim_class_info *info = &vt_sim_classes[from->class];

    for (uint32_t i = 1; i < info->count; i++)
        copy_value(db, to, from, (enum vt_sim_field)((uint32_t)info->first + i));
    vt_sim_touch(db, to);
}
