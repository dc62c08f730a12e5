/* poolsim/schema.h: the classes and fields of the simulated pool database, as numbers and as a
 * table.
 *
 * VT_SIM_VM is the class VM; VT_VM_power_state is the number of VM.power_state inside a VM's
 * record. Every class begins with its uuid, which is therefore field 0. Constant data, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum vt_sim_kind {
    VT_SIM_STRING, /* also enumerations */
    VT_SIM_INT,
    VT_SIM_BOOL,
    VT_SIM_FLOAT,
    VT_SIM_DATE, /* seconds since 1970 */
    VT_SIM_REF,  /* an object's id, 0 for the null reference */
    VT_SIM_REFS,
    VT_SIM_STRINGS,
    VT_SIM_MAP, /* text to text */
};

enum vt_sim_class {
#define CLASS(class) VT_SIM_##class,
#define FIELD(class, name, kind, writable)
#include "poolsim/schema.def"
#undef CLASS
#undef FIELD
    VT_SIM_CLASSES
};

/* The numbers run through all classes; a class knows its first. */
enum vt_sim_field {
#define CLASS(class)
#define FIELD(class, name, kind, writable) VT_##class##_##name,
#include "poolsim/schema.def"
#undef CLASS
#undef FIELD
    VT_SIM_FIELDS
};

struct vt_sim_field_info {
    const char *name;
    enum vt_sim_class class;
    enum vt_sim_kind kind;
    bool writable;
};

struct vt_sim_class_info {
    const char *name;  /* "VM_guest_metrics" */
    const char *lower; /* "vm_guest_metrics", as events spell it */
    enum vt_sim_field first;
    uint32_t count;
};

extern const struct vt_sim_field_info vt_sim_fields[VT_SIM_FIELDS];
/* Filled by vt_sim_schema_init, which may be called again. */
extern struct vt_sim_class_info vt_sim_classes[VT_SIM_CLASSES];
void vt_sim_schema_init(void);

/* VT_SIM_CLASSES when there is none; any_case as event.from wants it. */
enum vt_sim_class vt_sim_class_find(const char *name, bool any_case);
/* VT_SIM_FIELDS when the class has no such field. */
enum vt_sim_field vt_sim_field_find(enum vt_sim_class class, const char *name);
