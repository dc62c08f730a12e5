/* poolsim/http.h: the head of an HTTP/1.x request, with XAPI's limits. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VT_SIM_HEAD_MAX = 1024 }; /* request line and headers together */

struct vt_sim_http {
    char method[12];
    char path[512];
    uint64_t content_length;
    bool has_length, chunked, keep_alive;
};

enum vt_sim_http_result {
    VT_SIM_HTTP_MORE, /* the head is not complete */
    VT_SIM_HTTP_HEAD, /* *out_size bytes of head */
    VT_SIM_HTTP_BAD,  /* malformed or too large */
};

enum vt_sim_http_result vt_sim_http_parse(const char *bytes, size_t size, struct vt_sim_http *out,
                                          size_t *out_size);
