/* core/auto.h: cleanup at the end of a scope.
 *
 *   VT_AUTO(vt_peers) peers = vt_peers_new();   freed by vt_peers_free when the scope ends
 *   vt_autofree char *name = strdup(text);      freed by free()
 *   return vt_take(&name);                      the moment it changes hands: the variable is NULL now
 *
 * A type T joins by VT_DEFINE_AUTO(T) behind the declaration of T_free(struct T *). */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define VT_DEFINE_AUTO(type)                                                                       \
    static inline void type##_auto_free(struct type **p)                                           \
    {                                                                                              \
        type##_free(*p);                                                                           \
    }

#define VT_AUTO(type) __attribute__((cleanup(type##_auto_free))) struct type *

static inline void vt_autofree_cleanup(void *p)
{
    free(*(void **)p);
}

static inline void vt_autoclose_cleanup(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define vt_autofree __attribute__((cleanup(vt_autofree_cleanup)))
#define vt_autoclose __attribute__((cleanup(vt_autoclose_cleanup))) int

#define vt_take(p)                                                                                 \
    __extension__({                                                                                \
        __typeof__(p) vt_take_from = (p);                                                          \
        __typeof__(*vt_take_from) vt_taken = *vt_take_from;                                        \
        *vt_take_from = NULL;                                                                      \
        vt_taken;                                                                                  \
    })

/* The same for a descriptor; the variable is -1 now. */
static inline int vt_take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define VT_COUNT(array) (sizeof(array) / sizeof((array)[0]))
