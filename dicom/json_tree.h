/* dicom/json_tree.h: a JSON text (RFC 8259) as a list of nodes in the order in which they stand: what json_read.c reads data sets
 * from. Numbers stay as they were spelled, strings are borrowed from the text and undone when they are asked for. Names and
 * strings are well-formed UTF-8. Any thread; a tree is not changed once it is made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_buf;
struct vt_err;

enum {
    VT_JSON_TEXT_MAX = 64 << 20,  /* bytes of a text */
    VT_JSON_NODES_MAX = 4 << 20,  /* values and names */
    VT_JSON_DEPTH_MAX = 128,      /* objects and arrays in each other */
};

enum vt_json_kind { VT_JSON_NULL, VT_JSON_TRUE, VT_JSON_FALSE, VT_JSON_NUMBER, VT_JSON_STRING, VT_JSON_ARRAY, VT_JSON_OBJECT };

struct vt_json_node {
    uint32_t begin, size; /* in the text; of a string what is between its quotes */
    uint32_t next;        /* the node behind this one and all that is in it */
    uint8_t kind;         /* enum vt_json_kind */
    bool escaped;         /* the string has a backslash */
};

/* What is in an array begins at its index + 1 and ends before its `next`, and each one's `next` leads to the one behind it; an
 * object has names, which are strings, and values in turn. */
struct vt_json_tree {
    const char *text; /* borrowed */
    struct vt_json_node *nodes;
    uint32_t count, room;
    bool ascii;       /* no string has another character */
};

/* VT_E_INVALID: it is no JSON, and where; VT_E_LIMIT. *out is for vt_json_tree_fini in any case. */
bool vt_json_tree_read(const char *text, size_t size, struct vt_json_tree *out, struct vt_err *err);
void vt_json_tree_fini(struct vt_json_tree *tree);

/* Of a string: its characters, appended. VT_E_INVALID: one of them is the zero character. */
bool vt_json_tree_string(const struct vt_json_tree *tree, uint32_t node, struct vt_buf *out, struct vt_err *err);
/* The same of a number or a plain word: false when it is neither, has an escape or does not fit. */
bool vt_json_tree_short(const struct vt_json_tree *tree, uint32_t node, char *out, size_t room);
/* The value behind that name of an object; 0: there is none. */
uint32_t vt_json_tree_member(const struct vt_json_tree *tree, uint32_t object, const char *name);

#ifdef __cplusplus
}
#endif
