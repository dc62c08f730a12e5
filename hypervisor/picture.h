/* hypervisor/picture.h: what a pool looks like: hosts, VMs, networks, storage, tasks, by reference
 * and in order.
 *
 * An object keeps the fields of its class that somebody here reads, by XAPI's own names, as text: a
 * value is a list of texts (one for a scalar, each element of a set, keys and values of a map in
 * turn). A field that the server did not send is empty. Filled by vt_picture_load (get_all_records,
 * class by class) or by events (vt_picture_event), kept with its age when the pool is away, saved
 * to a file and loaded from it.
 *
 * No lock inside: one thread at a time. What is borrowed from it is valid until its object changes
 * or goes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "hypervisor/xapi.h"

struct vt_buf;
struct vt_err;
struct vt_object;
struct vt_picture;

enum vt_class {
    VT_CLASS_POOL,
    VT_CLASS_HOST,
    VT_CLASS_HOST_METRICS,
    VT_CLASS_VM,
    VT_CLASS_VM_METRICS,
    VT_CLASS_VM_GUEST_METRICS,
    VT_CLASS_VIF,
    VT_CLASS_NETWORK,
    VT_CLASS_PIF,
    VT_CLASS_SR,
    VT_CLASS_PBD,
    VT_CLASS_VBD,
    VT_CLASS_VDI,
    VT_CLASS_TASK,
    VT_CLASS_PIF_METRICS,
    VT_CLASSES,
};

enum { VT_PICTURE_OBJECTS_MAX = 1000000, VT_PICTURE_FILE_MAX = 512 * 1024 * 1024 };

#define VT_CLASS_BIT(class) (1u << (class))
#define VT_PICTURE_ALL (VT_CLASS_BIT(VT_CLASSES) - 1u)

struct vt_picture *vt_picture_new(void); /* NULL when out of memory */
void vt_picture_free(struct vt_picture *picture);
VT_DEFINE_AUTO(vt_picture)

/* "VM", as XAPI writes it in calls; events write it in lower case. */
const char *vt_class_name(enum vt_class class);

/* Adds the object or replaces what is known of it. VT_E_LIMIT, VT_E_NOMEM. */
bool vt_picture_put(struct vt_picture *picture, enum vt_class class, const char *ref,
                    const struct vt_xmlrpc_value *record, struct vt_err *err);
void vt_picture_remove(struct vt_picture *picture, const char *ref);

/* Adds a copy of every object of the classes, and takes the time over. out must not have them yet.
 * VT_E_NOMEM: some are there. */
bool vt_picture_copy(const struct vt_picture *picture, unsigned classes, struct vt_picture *out,
                     struct vt_err *err);

/* Every record of the classes whose bits are set; what the server no longer has goes. On failure
 * the picture is as old as it was, with some classes newer. A class that the server does not know
 * is empty. */
bool vt_picture_load(struct vt_picture *picture, struct vt_xapi *xapi, struct vt_line *line,
                     unsigned classes, struct vt_err *err);
/* One object anew: after a verb. An object that is gone is removed, which is no failure. */
bool vt_picture_reload(struct vt_picture *picture, struct vt_xapi *xapi, struct vt_line *line,
                       enum vt_class class, const char *ref, struct vt_err *err);

/* For struct vt_xapi_watch. reset marks all as old, the first batch drops what did not come again.
 * An event of a class that is not kept is passed over. */
void vt_picture_reset(struct vt_picture *picture);
bool vt_picture_event(struct vt_picture *picture, const struct vt_xapi_event *event,
                      struct vt_err *err);
void vt_picture_batch(struct vt_picture *picture, bool first);
/* The names of the classes, for vt_xapi_watch: VT_CLASSES of them. */
extern const char *const vt_picture_class_names[];

/* When the pool last told us something: wall clock, ns; 0: never. */
int64_t vt_picture_time(const struct vt_picture *picture);

/* ---- reading ---- */

size_t vt_picture_count(const struct vt_picture *picture, enum vt_class class);
const struct vt_object *vt_picture_first(const struct vt_picture *picture, enum vt_class class);
const struct vt_object *vt_object_next(const struct vt_object *object); /* of the same class */
#define VT_PICTURE_EACH(picture, class, name)                                                      \
    for (const struct vt_object *name = vt_picture_first(picture, class); name;                    \
         name = vt_object_next(name))

/* NULL when there is none, or the reference is null. */
const struct vt_object *vt_picture_get(const struct vt_picture *picture, const char *ref);
const struct vt_object *vt_picture_by_uuid(const struct vt_picture *picture, enum vt_class class,
                                           const char *uuid);
/* The object that a field refers to. */
const struct vt_object *vt_picture_follow(const struct vt_picture *picture,
                                          const struct vt_object *object, const char *field);

const char *vt_object_ref(const struct vt_object *object);
enum vt_class vt_object_class(const struct vt_object *object);
/* Field names are those of the table in picture.c; asking for another one is our mistake and
 * asserted. */
const char *vt_object_text(const struct vt_object *object,
                           const char *field); /* "" when empty; never NULL */
bool vt_object_bool(const struct vt_object *object, const char *field);
int64_t vt_object_int(const struct vt_object *object, const char *field);
size_t vt_object_list(const struct vt_object *object, const char *field,
                      const char *const **out_texts);
bool vt_object_has(const struct vt_object *object, const char *field,
                   const char *text); /* in a set */
const char *vt_object_map(const struct vt_object *object, const char *field,
                          const char *key); /* NULL: no such key */

/* ---- keeping it (picture_file.c) ---- */

/* A JSON object a line: first the format and the time, then an object of the pool each; written
 * beside and renamed. */
bool vt_picture_save(const struct vt_picture *picture, const char *path, struct vt_err *err);
/* The same in pieces, for a picture that must not stand still so long: begin, the classes in any
 * order, end. */
bool vt_picture_save_begin(const struct vt_picture *picture, struct vt_buf *out,
                           struct vt_err *err);
bool vt_picture_save_class(const struct vt_picture *picture, enum vt_class class,
                           struct vt_buf *out, struct vt_err *err);
bool vt_picture_save_end(const struct vt_buf *text, const char *path, struct vt_err *err);
/* VT_E_NOTFOUND: no such file; VT_E_CORRUPT. The picture must be empty. */
bool vt_picture_restore(struct vt_picture *picture, const char *path, struct vt_err *err);

/* The members of a pool and their pins: what is needed to find it again. */
bool vt_members_save(struct vt_xapi *xapi, const char *path, struct vt_err *err);
/* Into vt_xapi_remember. */
bool vt_members_restore(struct vt_xapi *xapi, const char *path, struct vt_err *err);
