/* cmd/vm_rows.h: objects of the pool as rows: what `list` and `show` print. Main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct json_t;
struct vt_object;
struct vt_pool;

/* people: lists become texts and counts; else the fields of the contract. NULL when out of memory.
 */
struct json_t *vt_row_of_vm(const struct vt_pool *pool, const struct vt_object *vm, bool people);
struct json_t *vt_row_of_snapshot(const struct vt_pool *pool, const struct vt_object *snapshot);
struct json_t *vt_row_of_host(const struct vt_pool *pool, const struct vt_object *host);
struct json_t *vt_row_of_sr(const struct vt_pool *pool, const struct vt_object *sr);

/* "up" an address is known, "down" the guest reports none, "unknown" it reports nothing, "off" it
 * does not run. */
const char *vt_vm_network(const struct vt_pool *pool, const struct vt_object *vm);
/* The longest chain of snapshots behind a disk of the storage; needs the class VDI. */
size_t vt_sr_chain(const struct vt_pool *pool, const struct vt_object *sr);
