/* poolsim/db.h: a pool's database: objects of the schema's classes, found by reference, changed
 * through the setters below so that every change has a generation, which is what event.from counts
 * in.
 *
 * One thread. Objects are borrowed until removed. A field number must be one of the object's class.
 * Text given is copied; text returned is borrowed until the field changes. Setting what is there
 * already is no change and makes no event. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"
#include "poolsim/schema.h"

enum { VT_SIM_REF_MAX = 48, VT_SIM_UUID_MAX = 37, VT_SIM_DELETIONS = 512 };

struct vt_sim_texts {
    uint32_t count; /* of a map: keys and values, so twice the pairs */
    char *items[];
};

struct vt_sim_ids {
    uint32_t count, capacity;
    uint32_t items[];
};

union vt_sim_value {
    char *text;      /* NULL for "" */
    int64_t integer; /* INT, DATE */
    bool boolean;
    double real;
    uint32_t ref;
    struct vt_sim_ids *ids;     /* NULL when empty */
    struct vt_sim_texts *texts; /* STRINGS, MAP; NULL when empty */
};

struct vt_sim_object {
    uint32_t id; /* never 0, never used again */
    enum vt_sim_class class;
    uint64_t created, modified;          /* generations */
    struct vt_sim_object *older, *newer; /* of the class, by last change */
    union vt_sim_value values[];
};

struct vt_sim_deletion {
    uint32_t id;
    uint64_t created, deleted;
};

struct vt_sim_class_rows {
    struct vt_sim_object *oldest, *newest;
    uint32_t count;
    struct vt_sim_deletion deletions[VT_SIM_DELETIONS]; /* a ring */
    uint32_t deletion_next;
};

struct vt_sim_db {
    uint64_t seed;
    uint64_t random; /* state of the generator behind uuids and everything drawn */
    uint64_t generation;
    struct vt_sim_object **objects; /* by id */
    uint32_t next_id, capacity;
    bool hidden[VT_SIM_FIELDS];     /* left out of records, as an older server does */
    struct vt_sim_class_rows rows[VT_SIM_CLASSES];
};

struct vt_sim_db *vt_sim_db_new(uint64_t seed);
void vt_sim_db_free(struct vt_sim_db *db);
VT_DEFINE_AUTO(vt_sim_db)

uint64_t vt_sim_random(struct vt_sim_db *db);
uint32_t vt_sim_random_below(struct vt_sim_db *db, uint32_t bound);
void vt_sim_random_uuid(struct vt_sim_db *db, char out[static VT_SIM_UUID_MAX]);

struct vt_sim_object *vt_sim_add(struct vt_sim_db *db, enum vt_sim_class class); /* with a uuid */
void vt_sim_remove(struct vt_sim_db *db, struct vt_sim_object *object);
/* Marks as changed without a change: event.inject, a removed member of a set. */
void vt_sim_touch(struct vt_sim_db *db, struct vt_sim_object *object);

struct vt_sim_object *vt_sim_get(const struct vt_sim_db *db, uint32_t id); /* NULL: gone */
void vt_sim_ref_text(const struct vt_sim_db *db, uint32_t id, char out[static VT_SIM_REF_MAX]);
uint32_t vt_sim_ref_id(const struct vt_sim_db *db, const char *ref); /* 0: no such object */
struct vt_sim_object *vt_sim_by_uuid(const struct vt_sim_db *db, enum vt_sim_class class,
                                     const char *uuid);
struct vt_sim_object *vt_sim_by_name(const struct vt_sim_db *db, enum vt_sim_class class,
                                     const char *name);

/* For loops; the order is that of the last change. Take `newer` before changing the object. */
#define VT_SIM_EACH(db, class, object)                                                             \
    for (struct vt_sim_object *object = (db)->rows[class].oldest, *object##_next;                  \
         object && (object##_next = object->newer, true); object = object##_next)

const char *vt_sim_text(const struct vt_sim_object *object, enum vt_sim_field field);
bool vt_sim_is(const struct vt_sim_object *object, enum vt_sim_field field, const char *text);
int64_t vt_sim_int(const struct vt_sim_object *object, enum vt_sim_field field);
bool vt_sim_bool(const struct vt_sim_object *object, enum vt_sim_field field);
double vt_sim_real(const struct vt_sim_object *object, enum vt_sim_field field);
uint32_t vt_sim_ref(const struct vt_sim_object *object, enum vt_sim_field field);
/* The object referred to, NULL when null or gone. */
struct vt_sim_object *vt_sim_follow(const struct vt_sim_db *db, const struct vt_sim_object *object,
                                    enum vt_sim_field field);
uint32_t vt_sim_ids(const struct vt_sim_object *object, enum vt_sim_field field,
                    const uint32_t **out_ids);
uint32_t vt_sim_texts(const struct vt_sim_object *object, enum vt_sim_field field,
                      char *const **out_texts);
bool vt_sim_has(const struct vt_sim_object *object, enum vt_sim_field field, const char *text);
const char *vt_sim_map_get(const struct vt_sim_object *object, enum vt_sim_field field,
                           const char *key);

void vt_sim_set_text(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                     const char *text);
void vt_sim_set_int(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    int64_t integer);
void vt_sim_set_bool(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                     bool boolean);
void vt_sim_set_real(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                     double real);
void vt_sim_set_ref(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    uint32_t id);
void vt_sim_ids_add(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    uint32_t id);
void vt_sim_ids_remove(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                       uint32_t id);
/* Replaces the set (or, for a map, keys and values in turn). */
void vt_sim_set_texts(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                      const char *const *texts, uint32_t count);
void vt_sim_texts_add(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                      const char *text);
void vt_sim_texts_remove(struct vt_sim_db *db, struct vt_sim_object *object,
                         enum vt_sim_field field, const char *text);
void vt_sim_map_set(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    const char *key, const char *value);
void vt_sim_map_remove(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                       const char *key);

/* Copies every field of `from` but the uuid; same class, any database (references only make sense
 * in the same). */
void vt_sim_copy_values(struct vt_sim_db *db, struct vt_sim_object *to,
                        const struct vt_sim_object *from);
