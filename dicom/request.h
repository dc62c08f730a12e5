/* dicom/request.h: reading an A-ASSOCIATE-RQ that vt_request_check has passed (PS3.8 9.3.2). Room
 * only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    VT_ITEM_APPLICATION_CONTEXT = 0x10,
    VT_ITEM_CONTEXT_RQ = 0x20,
    VT_ITEM_CONTEXT_AC = 0x21,
    VT_ITEM_ABSTRACT_SYNTAX = 0x30,
    VT_ITEM_TRANSFER_SYNTAX = 0x40,
    VT_ITEM_USER = 0x50,
    VT_ITEM_MAX_LENGTH = 0x51,
    VT_ITEM_IMPLEMENTATION_UID = 0x52,
    VT_ITEM_ASYNC_WINDOW = 0x53,
    VT_ITEM_ROLE = 0x54,
    VT_ITEM_IMPLEMENTATION_VERSION = 0x55,
    VT_ITEM_EXTENDED = 0x56,
    VT_ITEM_COMMON_EXTENDED = 0x57,
    VT_ITEM_IDENTITY_RQ = 0x58,
    VT_ITEM_IDENTITY_AC = 0x59,
    VT_REQUEST_FIXED = 74, /* bytes before the first item of an RQ or AC */
    VT_REQUEST_CALLED_AT = 10,
    VT_REQUEST_CALLING_AT = 26,
};

/* Items of a PDU or of an item: type, reserved byte, 16-bit length, value. */
struct vt_items {
    const uint8_t *bytes;
    size_t size;
};

struct vt_item {
    uint8_t type;
    const uint8_t *value;
    size_t size;
};

/* Takes the next item off. false: none left, or (out_broken) one that does not fit. */
bool vt_items_next(struct vt_items *items, struct vt_item *out_item, bool *out_broken);

/* A UID without its padding, cut to what fits: out has room for VT_UID_MAX + 1. */
void vt_item_uid(const uint8_t *value, size_t size, char *out);

/* Sixteen bytes on the wire, outer spaces and zero bytes dropped; out has room for 17. */
void vt_request_title(const uint8_t *value, char *out);
bool vt_request_only_verification(const uint8_t *bytes, size_t size);
bool vt_request_application_context_fits(const uint8_t *bytes, size_t size);
bool vt_request_version_fits(const uint8_t *bytes, size_t size);

#ifdef __cplusplus
}
#endif
