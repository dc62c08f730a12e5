#include "poolsim/schema.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

const struct vt_sim_field_info vt_sim_fields[VT_SIM_FIELDS] = {
#define CLASS(class)
#define FIELD(class, name, kind, writable) { #name, VT_SIM_##class, VT_SIM_##kind, writable },
#include "poolsim/schema.def"
#undef CLASS
#undef FIELD
};

static const char *const names[VT_SIM_CLASSES] = {
#define CLASS(class) #class,
#define FIELD(class, name, kind, writable)
#include "poolsim/schema.def"
#undef CLASS
#undef FIELD
};

enum { CLASS_NAME_MAX = 32 };

struct vt_sim_class_info vt_sim_classes[VT_SIM_CLASSES];
static char lower_names[VT_SIM_CLASSES][CLASS_NAME_MAX];

void vt_sim_schema_init(void)
{
    for (int class = 0; class < VT_SIM_CLASSES; class ++) {
        for (size_t i = 0; names[class][i] && i < CLASS_NAME_MAX - 1; i++)
            lower_names[class][i] = (char)tolower((unsigned char)names[class][i]);
        vt_sim_classes[class] =
            (struct vt_sim_class_info){ .name = names[class], .lower = lower_names[class] };
    }
    for (int field = VT_SIM_FIELDS - 1; field >= 0; field--) {
        vt_sim_classes[vt_sim_fields[field].class].first = (enum vt_sim_field)field;
        vt_sim_classes[vt_sim_fields[field].class].count++;
    }
}

enum vt_sim_class vt_sim_class_find(const char *name, bool any_case)
{
    for (int class = 0; class < VT_SIM_CLASSES; class ++)
        if (strcmp(names[class], name) == 0 || (any_case && strcasecmp(names[class], name) == 0))
            return (enum vt_sim_class) class;
    return VT_SIM_CLASSES;
}

enum vt_sim_field vt_sim_field_find(enum vt_sim_class class, const char *name)
{
    const struct vt_sim_class_info *info = &vt_sim_classes[class];

    for (uint32_t i = 0; i < info->count; i++)
        if (strcmp(vt_sim_fields[(uint32_t)info->first + i].name, name) == 0)
            return (enum vt_sim_field)((uint32_t)info->first + i);
    return VT_SIM_FIELDS;
}
