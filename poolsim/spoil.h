/* poolsim/spoil.h: answers as no server should give them, for clients that must survive them. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct vt_buf;

enum vt_sim_spoil {
    VT_SIM_SPOIL_NONE,
    VT_SIM_SPOIL_STATUS,  /* HTTP 500 with a page */
    VT_SIM_SPOIL_HTML,    /* a page with status 200 */
    VT_SIM_SPOIL_GARBAGE, /* text/xml that is none */
    VT_SIM_SPOIL_CUT,     /* the first half of the answer, then the end of the connection */
    VT_SIM_SPOIL_SHORT,   /* the first half of the answer as if it were whole */
    VT_SIM_SPOIL_DEEP,    /* arrays in arrays */
    VT_SIM_SPOIL_HUGE,    /* a text of 80 MB */
    VT_SIM_SPOIL_TYPES,   /* a number where a record or a list belongs */
    VT_SIM_SPOIL_FAULT,   /* an XML-RPC fault, which XAPI never sends */
};

/* "html"; VT_SIM_SPOIL_NONE for a word that is none. */
enum vt_sim_spoil vt_sim_spoil_find(const char *word);
const char *vt_sim_spoil_words(void); /* "status, html, ..." */

/* What goes out instead of the body: *out_status and *out_type for the head. false: `out` stays
 * empty, half of the true body follows. */
bool vt_sim_spoil_make(enum vt_sim_spoil kind, const struct vt_buf *body, struct vt_buf *out,
                       const char **out_status, const char **out_type);
