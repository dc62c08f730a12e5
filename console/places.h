/* console/places.h: the connections of a server, and which of them gives way when there are nearly too many.
 *
 * A connection waits (for a whole request line and headers, or for the next request) or is at work. The library closes
 * who says nothing for VT_HTTP_IDLE_S; who says a byte now and then would stay. So each new connection ends those that have waited for
 * longer than anybody honest does, and, when few places are left, the one that has waited for longest. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_place;

struct vt_places;
/* From so many connections on each new one takes the place of one that waits. NULL: no memory. */
struct vt_places *vt_places_new(size_t crowded, int64_t patience_ns);
void vt_places_free(struct vt_places *places);   /* with the places left in it */

/* Borrows the socket until vt_place_leave. NULL: no memory. */
struct vt_place *vt_place_enter(struct vt_places *places, int fd);
void vt_place_leave(struct vt_places *places, struct vt_place *place);
/* NULL is fine. */
void vt_place_works(struct vt_places *places, struct vt_place *place);
void vt_place_waits(struct vt_places *places, struct vt_place *place);

/* Is a body of `seen` bytes that began so long ago slower than anybody's line? Pure. */
bool vt_body_is_too_slow(uint64_t seen, int64_t since_ns);
