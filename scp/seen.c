#include "scp/seen.h"

#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"

enum { FIRST_CAPACITY = 256, KEY_MAX = 512 };

void vt_seen_fini(struct vt_seen *seen)
{
    free(seen->slots);
    seen->slots = NULL;
    seen->count = seen->capacity = 0;
}

/* Where the hash is, or the free slot it goes to. */
static uint64_t *slot_of(uint64_t *slots, size_t capacity, uint64_t hash)
{
    size_t at = (size_t)hash & (capacity - 1);

    while (slots[at] != 0 && slots[at] != hash)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static bool grow(struct vt_seen *seen, struct vt_err *err)
{
    size_t capacity = seen->capacity ? 2 * seen->capacity : FIRST_CAPACITY;
    uint64_t *slots = calloc(capacity, sizeof *slots);

    if (!slots)
        return vt_fail(err, VT_E_NOMEM, "no memory to compare matches");
    for (size_t i = 0; i < seen->capacity; i++)
        if (seen->slots[i] != 0)
            *slot_of(slots, capacity, seen->slots[i]) = seen->slots[i];
    free(seen->slots);
    seen->slots = slots;
    seen->capacity = capacity;
    return true;
}

bool vt_seen_add(struct vt_seen *seen, const uint8_t *identifier, size_t size,
                 enum vt_encoding encoding, bool *out_new, struct vt_err *err)
{
    static const uint32_t keys[VT_LEVELS] = { VT_TAG_PATIENT_ID, VT_TAG_STUDY_INSTANCE_UID,
                                              VT_TAG_SERIES_INSTANCE_UID,
                                              VT_TAG_SOP_INSTANCE_UID };
    struct vt_element element;
    char key[KEY_MAX] = "";

    *out_new = true;
    if (vt_element_find(identifier, size, encoding, keys[seen->level], &element))
        vt_element_text(&element, key, sizeof key);
    if (!*key)
        return true;
    if (2 * seen->count >= seen->capacity && !grow(seen, err))
        return false;
    uint64_t hash = XXH3_64bits(key, strlen(key));
    uint64_t *slot = slot_of(seen->slots, seen->capacity, hash ? hash : 1);
    *out_new = *slot == 0;
    seen->count += *out_new;
    *slot = hash ? hash : 1;
    return true;
}
