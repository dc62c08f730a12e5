/* poolsim/import.h: moving a host and what belongs to it into another pool's database, as a join
 * does. */
#pragma once

#include <stdint.h>

struct vt_sim_pool;

/* Returns the new id of the host. uuids stay, references are new, networks are matched by bridge.
 */
uint32_t vt_sim_import(struct vt_sim_pool *to, struct vt_sim_pool *from, uint32_t host);
