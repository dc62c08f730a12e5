#include <ctype.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/assoc.h"
#include "dicom/door.h"
#include "dicom/request.h"
#include "dicom/wire.h"

enum { VERSION_NAME_MAX = 16, IDENTITY_TYPES = 5, IDENTITY_USER_PASSCODE = 2 };

/* What the walk has seen so far; in `strict` mode PS3.8 to the letter. Lengths are never a matter
 * of mode. */
struct check {
    bool strict;
    struct vt_err *err;
    unsigned contexts;
    uint8_t ids[256];
    unsigned application_contexts;
    unsigned user_items;
    uint8_t user_seen[256];
};

bool vt_items_next(struct vt_items *items, struct vt_item *out_item, bool *out_broken)
{
    *out_broken = false;
    if (items->size == 0)
        return false;
    size_t length = items->size >= 4 ? vt_be16(items->bytes + 2) : 0;
    if (items->size < 4 || length > items->size - 4) {
        *out_broken = true;
        return false;
    }
    *out_item = (struct vt_item){ items->bytes[0], items->bytes + 4, length };
    items->bytes += 4 + length;
    items->size -= 4 + length;
    return true;
}

void vt_item_uid(const uint8_t *value, size_t size, char *out)
{
    if (size > VT_UID_MAX)
        size = VT_UID_MAX;
    size = strnlen((const char *)value, size);
    while (size > 0 && value[size - 1] == ' ')
        size--;
    memcpy(out, value, size);
    out[size] = '\0';
}

static bool is_uid(const struct check *check, const uint8_t *value, size_t size)
{
    if (size > 1 && (value[size - 1] == 0 || (!check->strict && value[size - 1] == ' ')))
        size--;
    if (size == 0 || size > VT_UID_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        bool spelt = isdigit(value[i]) || value[i] == '.';
        bool printable = value[i] > ' ' && value[i] <= '~';
        if (check->strict ? !spelt : !printable)
            return false;
    }
    return true;
}

static bool check_uid(const struct check *check, const uint8_t *value, size_t size,
                      const char *what)
{
    if (is_uid(check, value, size))
        return true;
    return vt_fail(check->err, VT_E_PROTOCOL, "the %s in the association request is no UID", what);
}

static bool check_title(const struct check *check, const uint8_t *title, const char *which)
{
    size_t blanks = 0;

    for (size_t i = 0; i < VT_AE_TITLE_MAX; i++) {
        bool padding = title[i] == ' ' || (!check->strict && title[i] == 0);
        bool printable = title[i] > ' ' && title[i] <= '~' && title[i] != '\\';
        bool tolerable = title[i] > ' ' && title[i] != 0x7f;
        if (!padding && !(check->strict ? printable : tolerable))
            return vt_fail(check->err, VT_E_PROTOCOL, "the %s AE title has an unlawful character",
                           which);
        blanks += padding;
    }
    if (check->strict && blanks == VT_AE_TITLE_MAX)
        return vt_fail(check->err, VT_E_PROTOCOL, "the %s AE title is blank", which);
    return true;
}

static bool check_context(struct check *check, const struct vt_item *context)
{
    struct vt_items items = { context->value + 4, context->size - 4 };
    struct vt_item item;
    unsigned abstract = 0, transfer = 0;
    bool broken;

    while (vt_items_next(&items, &item, &broken)) {
        if (item.type == VT_ITEM_ABSTRACT_SYNTAX)
            abstract++;
        else if (item.type == VT_ITEM_TRANSFER_SYNTAX)
            transfer++;
        else
            return vt_fail(check->err, VT_E_PROTOCOL, "item %02XH in a presentation context",
                           item.type);
        if (!check_uid(check, item.value, item.size,
                       abstract && !transfer ? "abstract syntax" : "transfer syntax"))
            return false;
    }
    if (broken)
        return vt_fail(check->err, VT_E_PROTOCOL, "a presentation context lies about a length");
    if (abstract != 1)
        return vt_fail(check->err, VT_E_PROTOCOL,
                       "a presentation context with %u abstract syntaxes", abstract);
    if (transfer == 0 || (check->strict && transfer > VT_CONTEXT_SYNTAXES_MAX))
        return vt_fail(check->err, VT_E_PROTOCOL,
                       "a presentation context with %u transfer syntaxes", transfer);
    return true;
}

static bool check_context_item(struct check *check, const struct vt_item *item)
{
    if (item->size < 4)
        return vt_fail(check->err, VT_E_PROTOCOL, "a presentation context of %zu bytes",
                       item->size);
    uint8_t id = item->value[0];
    if (id % 2 == 0)
        return vt_fail(check->err, VT_E_PROTOCOL, "presentation context id %u is even", id);
    if (check->ids[id]++)
        return vt_fail(check->err, VT_E_PROTOCOL, "presentation context id %u is there twice", id);
    check->contexts++;
    return check_context(check, item);
}

/* ---- user information (PS3.7 D.3.3) ---- */

static bool check_max_length(struct check *check, const struct vt_item *item)
{
    if (item->size != 4)
        return vt_fail(check->err, VT_E_PROTOCOL, "a maximum length item of %zu bytes", item->size);
    return true;
}

static bool check_implementation_uid(struct check *check, const struct vt_item *item)
{
    return check_uid(check, item->value, item->size, "implementation class");
}

static bool check_version_name(struct check *check, const struct vt_item *item)
{
    if (item->size > VERSION_NAME_MAX)
        return vt_fail(check->err, VT_E_PROTOCOL, "an implementation version name of %zu bytes",
                       item->size);
    return true;
}

static bool check_async_window(struct check *check, const struct vt_item *item)
{
    if (item->size != 4)
        return vt_fail(check->err, VT_E_PROTOCOL, "an operations window item of %zu bytes",
                       item->size);
    return true;
}

/* The UID that opens role and extended items, with what must follow it. */
static bool check_uid_item(struct check *check, const struct vt_item *item, size_t rest,
                           bool exactly)
{
    size_t length = item->size >= 2 ? vt_be16(item->value) : 0;

    if (item->size < 2 || length > item->size - 2 || item->size - 2 - length < rest ||
        (exactly && item->size - 2 - length != rest))
        return vt_fail(check->err, VT_E_PROTOCOL, "item %02XH lies about a length", item->type);
    return check_uid(check, item->value + 2, length, "SOP class of an item");
}

static bool check_role(struct check *check, const struct vt_item *item)
{
    return check_uid_item(check, item, 2, true);
}

static bool check_extended(struct check *check, const struct vt_item *item)
{
    return check_uid_item(check, item, 0, false);
}

/* Type, response requested, primary length and field, secondary length and field. */
static bool check_identity(struct check *check, const struct vt_item *item)
{
    size_t primary = item->size >= 6 ? vt_be16(item->value + 2) : 0;

    if (item->size < 6 || primary > item->size - 6 ||
        item->size - 6 - primary != vt_be16(item->value + 4 + primary))
        return vt_fail(check->err, VT_E_PROTOCOL, "the user identity lies about a length");
    if (item->value[0] < 1 || item->value[0] > IDENTITY_TYPES)
        return vt_fail(check->err, VT_E_PROTOCOL, "user identity of type %u", item->value[0]);
    /* DCMTK reads on within a second field that the type has no use for, fails, and leaks. */
    if (item->value[0] != IDENTITY_USER_PASSCODE && vt_be16(item->value + 4 + primary) != 0)
        return vt_fail(check->err, VT_E_PROTOCOL, "user identity of type %u with a passcode",
                       item->value[0]);
    return true;
}

static const struct {
    uint8_t type;
    bool often; /* may be there more than once */
    bool (*check)(struct check *check, const struct vt_item *item);
} user_items[] = {
    { VT_ITEM_MAX_LENGTH, false, check_max_length },
    { VT_ITEM_IMPLEMENTATION_UID, false, check_implementation_uid },
    { VT_ITEM_ASYNC_WINDOW, false, check_async_window },
    { VT_ITEM_ROLE, true, check_role },
    { VT_ITEM_IMPLEMENTATION_VERSION, false, check_version_name },
    { VT_ITEM_EXTENDED, true, check_extended },
    { VT_ITEM_COMMON_EXTENDED, true, check_extended },
    { VT_ITEM_IDENTITY_RQ, false, check_identity },
};

static bool check_user_item(struct check *check, const struct vt_item *item)
{
    if (item->type == VT_ITEM_IDENTITY_AC)
        return vt_fail(check->err, VT_E_PROTOCOL, "a user identity answer in a request");
    for (size_t i = 0; i < VT_COUNT(user_items); i++) {
        if (user_items[i].type != item->type)
            continue;
        if (check->user_seen[item->type]++ && !user_items[i].often)
            return vt_fail(check->err, VT_E_PROTOCOL, "user item %02XH is there twice", item->type);
        check->user_seen[item->type] = 1;
        return user_items[i].check(check, item);
    }
    return true;
}

static bool check_user(struct check *check, const struct vt_item *user)
{
    struct vt_items items = { user->value, user->size };
    struct vt_item item;
    bool broken;

    check->user_items++;
    while (vt_items_next(&items, &item, &broken))
        if (!check_user_item(check, &item))
            return false;
    if (broken)
        return vt_fail(check->err, VT_E_PROTOCOL, "the user information lies about a length");
    if (check->strict && !check->user_seen[VT_ITEM_MAX_LENGTH])
        return vt_fail(check->err, VT_E_PROTOCOL, "the request names no maximum length");
    if (check->strict && !check->user_seen[VT_ITEM_IMPLEMENTATION_UID])
        return vt_fail(check->err, VT_E_PROTOCOL, "the request names no implementation class");
    return true;
}

static bool check_item(struct check *check, const struct vt_item *item)
{
    switch (item->type) {
    case VT_ITEM_APPLICATION_CONTEXT:
        check->application_contexts++;
        return check_uid(check, item->value, item->size, "application context");
    case VT_ITEM_CONTEXT_RQ:
        return check_context_item(check, item);
    case VT_ITEM_USER:
        return check_user(check, item);
    case VT_ITEM_CONTEXT_AC:
        return vt_fail(check->err, VT_E_PROTOCOL, "a presentation context answer in a request");
    default:
        if (check->strict)
            return vt_fail(check->err, VT_E_PROTOCOL, "unknown item %02XH", item->type);
        return true;
    }
}

static bool check_items(struct check *check, const uint8_t *bytes, size_t size)
{
    struct vt_items items = { bytes, size };
    struct vt_item item;
    bool broken;

    while (vt_items_next(&items, &item, &broken))
        if (!check_item(check, &item))
            return false;
    if (broken)
        return vt_fail(check->err, VT_E_PROTOCOL, "an item is longer than the association request");
    if (check->application_contexts != 1)
        return vt_fail(check->err, VT_E_PROTOCOL, "%u application contexts",
                       check->application_contexts);
    if (check->contexts == 0)
        return vt_fail(check->err, VT_E_PROTOCOL, "the request proposes no presentation context");
    if (check->user_items != 1)
        return vt_fail(check->err, VT_E_PROTOCOL, "%u user information items", check->user_items);
    return true;
}

bool vt_request_version_fits(const uint8_t *bytes, size_t size)
{
    return size >= 8 && (vt_be16(bytes + 6) & 1);
}

bool vt_request_check(const uint8_t *bytes, size_t size, bool strict, struct vt_err *err)
{
    struct check check = { .strict = strict, .err = err };

    if (size < VT_REQUEST_FIXED || size > VT_DOOR_RQ_MAX)
        return vt_fail(err, VT_E_PROTOCOL, "an association request of %zu bytes", size);
    if (bytes[0] != VT_PDU_ASSOCIATE_RQ || vt_be32(bytes + 2) != size - VT_PDU_HEADER)
        return vt_fail(err, VT_E_PROTOCOL, "not one whole association request");
    if (!vt_request_version_fits(bytes, size))
        return vt_fail(err, VT_E_PROTOCOL, "protocol version %04XH", vt_be16(bytes + 6));
    return check_title(&check, bytes + VT_REQUEST_CALLED_AT, "called") &&
           check_title(&check, bytes + VT_REQUEST_CALLING_AT, "calling") &&
           check_items(&check, bytes + VT_REQUEST_FIXED, size - VT_REQUEST_FIXED);
}

/* ---- reading what has passed ---- */

void vt_request_title(const uint8_t *value, char *out)
{
    size_t size = strnlen((const char *)value, VT_AE_TITLE_MAX);

    while (size > 0 && value[size - 1] == ' ')
        size--;
    while (size > 0 && *value == ' ') {
        value++;
        size--;
    }
    memcpy(out, value, size);
    out[size] = '\0';
}

static bool is_verification(const struct vt_item *context)
{
    struct vt_items items = { context->value + 4, context->size - 4 };
    struct vt_item item;
    bool broken;
    char uid[VT_UID_MAX + 1];

    while (vt_items_next(&items, &item, &broken)) {
        if (item.type != VT_ITEM_ABSTRACT_SYNTAX)
            continue;
        vt_item_uid(item.value, item.size, uid);
        return strcmp(uid, VT_UID_VERIFICATION) == 0;
    }
    return false;
}

bool vt_request_only_verification(const uint8_t *bytes, size_t size)
{
    struct vt_items items = { bytes + VT_REQUEST_FIXED, size - VT_REQUEST_FIXED };
    struct vt_item item;
    bool broken;

    while (vt_items_next(&items, &item, &broken))
        if (item.type == VT_ITEM_CONTEXT_RQ && !is_verification(&item))
            return false;
    return true;
}

bool vt_request_application_context_fits(const uint8_t *bytes, size_t size)
{
    struct vt_items items = { bytes + VT_REQUEST_FIXED, size - VT_REQUEST_FIXED };
    struct vt_item item;
    bool broken;
    char uid[VT_UID_MAX + 1];

    while (vt_items_next(&items, &item, &broken)) {
        if (item.type != VT_ITEM_APPLICATION_CONTEXT)
            continue;
        vt_item_uid(item.value, item.size, uid);
        return strcmp(uid, VT_UID_APPLICATION_CONTEXT) == 0;
    }
    return false;
}
