/* hypervisor/xmlrpc_build.h: makes a message of the elements that a parser reports. Used by the
 * decoder only; knows no parser. The first failure sticks: what comes behind it is ignored. */
#pragma once

#include "hypervisor/xmlrpc.h"

struct vt_xmlrpc_builder;

struct vt_xmlrpc_builder *vt_xmlrpc_builder_new(
    const struct vt_xmlrpc_limits *limits); /* NULL: no memory */
void vt_xmlrpc_builder_free(struct vt_xmlrpc_builder *build);
VT_DEFINE_AUTO(vt_xmlrpc_builder)

void vt_xmlrpc_build_stream(struct vt_xmlrpc_builder *build, const char *const *path,
                            uint32_t path_length, vt_xmlrpc_item_fn fn, void *context);
void vt_xmlrpc_build_start(struct vt_xmlrpc_builder *build, const char *name);
void vt_xmlrpc_build_end(struct vt_xmlrpc_builder *build);
void vt_xmlrpc_build_text(struct vt_xmlrpc_builder *build, const void *text, size_t size);
void vt_xmlrpc_build_latin1(struct vt_xmlrpc_builder *build); /* counts a byte that was no UTF-8 */

/* What the parser found wrong. */
void vt_xmlrpc_build_broken(struct vt_xmlrpc_builder *build, const char *what);
void vt_xmlrpc_build_exceeded(struct vt_xmlrpc_builder *build, const char *what);
void vt_xmlrpc_build_no_memory(struct vt_xmlrpc_builder *build);
const struct vt_err *vt_xmlrpc_build_error(
    const struct vt_xmlrpc_builder *build); /* NULL: none yet */

/* The caller's; once. NULL: vt_xmlrpc_build_error. */
struct vt_xmlrpc_message *vt_xmlrpc_build_finish(struct vt_xmlrpc_builder *build);
