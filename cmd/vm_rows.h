/* cmd/vm_rows.h: objects of the pool as rows: what `list` and `show` print. Main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct json_t;
struct vt_err;
struct vt_object;
struct vt_pool;

/* people: lists become texts and counts; else the fields of the contract. NULL when out of memory.
 */
struct json_t *vt_row_of_vm(const struct vt_pool *pool, const struct vt_object *vm, bool people);
struct json_t *vt_row_of_snapshot(const struct vt_pool *pool, const struct vt_object *snapshot);
/* A row for each host, in the order of the list; the VMs of all are counted in one go. row: false
 * ends it; it takes the row over. */
bool vt_rows_of_hosts(const struct vt_pool *pool, const struct vt_object *const *hosts,
                      size_t count, bool (*row)(void *context, struct json_t *row, struct vt_err *err),
                      void *context, struct vt_err *err);
struct json_t *vt_row_of_sr(const struct vt_pool *pool, const struct vt_object *sr);

/* "up" an address is known, "down" the guest reports none, "unknown" it reports nothing, "off" it
 * does not run. */
const char *vt_vm_network(const struct vt_pool *pool, const struct vt_object *vm);
/* The longest chain of snapshots behind a disk of the storage; needs the class VDI. */
size_t vt_sr_chain(const struct vt_pool *pool, const struct vt_object *sr);
