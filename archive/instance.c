#include "archive/instance.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "archive/attributes.h"
#include "archive/keys.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "dicom/text.h"

enum {
    SEQUENCE_DEPTH_MAX = 6, /* of sequences kept as keys; deeper ones are left out */
    CHARSET_ROOM = 256,
    ESCAPE = 0x1b,
};

static const char *const level_names[VT_LEVELS] = { "PATIENT", "STUDY", "SERIES", "IMAGE" };

const char *vt_level_name(enum vt_level level)
{
    return level_names[level];
}

bool vt_level_parse(const char *text, enum vt_level *out_level)
{
    text += strspn(text, " ");
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    for (int i = 0; i < VT_LEVELS; i++)
        if (strlen(level_names[i]) == length && strncasecmp(text, level_names[i], length) == 0) {
            *out_level = (enum vt_level)i;
            return true;
        }
    return false;
}

void vt_instance_init(struct vt_instance *instance)
{
    memset(instance, 0, sizeof *instance);
    for (int i = 0; i < VT_LEVELS; i++)
        vt_buf_init(&instance->attributes[i], VT_ATTRIBUTES_MAX);
    vt_buf_init(&instance->frames, VT_FRAMES_BYTES_MAX);
}

void vt_instance_fini(struct vt_instance *instance)
{
    for (int i = 0; i < VT_LEVELS; i++)
        vt_buf_fini(&instance->attributes[i]);
    vt_buf_fini(&instance->frames);
}

void vt_instance_reset(struct vt_instance *instance)
{
    struct vt_buf attributes[VT_LEVELS], frames = instance->frames;

    memcpy(attributes, instance->attributes, sizeof attributes);
    memset(instance, 0, sizeof *instance);
    memcpy(instance->attributes, attributes, sizeof attributes);
    instance->frames = frames;
    for (int i = 0; i < VT_LEVELS; i++)
        vt_buf_reset(&instance->attributes[i]);
    vt_buf_reset(&instance->frames);
}

/* ---- values ---- */

struct reading {
    const struct vt_instance_rules *rules;
    enum vt_encoding encoding;
    char charset[CHARSET_ROOM];
    struct vt_buf text; /* a value in UTF-8 */
};

static bool is_plain(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] >= 0x80 || bytes[i] == ESCAPE)
            return false;
    return true;
}

static bool is_number(const char *vr)
{
    static const char names[][3] = { "US", "SS", "UL", "SL", "FL", "FD" };

    for (size_t i = 0; i < VT_COUNT(names); i++)
        if (vr[0] == names[i][0] && vr[1] == names[i][1])
            return true;
    return false;
}

/* Binary numbers, little endian. */
static bool append_number(struct vt_buf *out, const char *vr, const struct vt_element *element,
                          size_t size, const struct reading *reading, struct vt_err *err)
{
    uint8_t swapped[64];
    size_t width = vr[0] == 'F' ? (vr[1] == 'D' ? 8 : 4) : (vr[1] == 'S' ? 2 : 4);

    size -= size % width;
    if (reading->encoding != VT_EXPLICIT_BE)
        return vt_attributes_append(out, element->tag, vr, element->value, size, err);
    for (size_t i = 0; i < size; i++)
        swapped[i] = element->value[i - i % width + (width - 1 - i % width)];
    return vt_attributes_append(out, element->tag, vr, swapped, size, err);
}

static bool append_text(struct vt_buf *out, const char *vr, const struct vt_element *element,
                        size_t max, const char *charset, struct reading *reading,
                        struct vt_err *err)
{
    const char *text;
    size_t size;

    vt_attribute_trim(element->value, element->length, &text, &size);
    if (size == 0)
        return true;
    if (vt_text_vr_has_charset(vr) && !is_plain((const uint8_t *)text, size)) {
        const char *fallback =
            reading->rules->default_charset ? reading->rules->default_charset : "ISO_IR 100";
        /* No character takes less than a byte, so what is far beyond the limit need not be
         * converted. */
        size = size < 4 * max ? size : 4 * max;
        vt_buf_reset(&reading->text);
        if (!vt_text_to_utf8(charset[0] ? charset : fallback, fallback, vr, text, size,
                             "\xef\xbf\xbd", &reading->text, err))
            return false;
        vt_attribute_trim(reading->text.data, reading->text.size, &text, &size);
    } else {
        size = size < max ? size : max;
        /* Bytes that have no meaning in this VR must not make UTF-8 ill-formed later. */
        if (!is_plain((const uint8_t *)text, size))
            return true;
    }
    size = vt_utf8_cut(text, size, max);
    return vt_attributes_append(out, element->tag, vr, text, size, err);
}

static bool append_sequence(struct vt_buf *out, const struct vt_element *element,
                            const char *charset, int depth, struct reading *reading,
                            struct vt_err *err);

/* `vr` is what the attribute will have; "" takes the element's own. */
static bool append_value(struct vt_buf *out, const struct vt_element *element, const char *vr,
                         const char *charset, int depth, struct reading *reading,
                         struct vt_err *err)
{
    bool own = memcmp(element->vr, "UN", 2) != 0;

    if (!vr[0])
        vr = own ? element->vr : vt_dict_vr(element->tag);
    size_t max = vt_key_value_max(vr);
    bool same_kind = !own || is_number(vr) == is_number(element->vr);
    bool sequence = memcmp(vr, "SQ", 2) == 0;
    if (max == 0 || !same_kind || sequence != (memcmp(element->vr, "SQ", 2) == 0))
        return true;
    if (sequence)
        return append_sequence(out, element, charset, depth, reading, err);
    if (is_number(vr))
        return append_number(out, vr, element,
                             element->length < max ? (size_t)element->length : max, reading, err);
    return append_text(out, vr, element, max, charset, reading, err);
}

static bool append_item(struct vt_buf *out, const struct vt_element *item, const char *charset,
                        int depth, struct reading *reading, struct vt_err *err)
{
    struct vt_walk walk;
    struct vt_element element;
    char own_charset[CHARSET_ROOM];
    size_t mark;
    bool more;

    if (!vt_attributes_item_begin(out, &mark, err))
        return false;
    for (vt_walk_item(&walk, item, reading->encoding);;) {
        if (!vt_walk_next(&walk, &element, &more, err))
            return false;
        if (!more)
            break;
        if (element.tag == VT_TAG_SPECIFIC_CHARACTER_SET) {
            vt_element_text(&element, own_charset, sizeof own_charset);
            charset = own_charset;
        } else if (VT_TAG_ELEMENT(element.tag) != 0 &&
                   !append_value(out, &element, "", charset, depth, reading, err)) {
            return false;
        }
    }
    vt_attributes_close(out, mark);
    return true;
}

/* Whole, or not at all: what is too deep, too long or broken is no key. */
static bool append_sequence(struct vt_buf *out, const struct vt_element *element,
                            const char *charset, int depth, struct reading *reading,
                            struct vt_err *err)
{
    size_t start = out->size, mark, max = vt_key_value_max("SQ");
    struct vt_walk walk;
    struct vt_element item;
    bool more = true, ok = true;

    if (depth >= SEQUENCE_DEPTH_MAX || element->length == 0 || element->length > 4 * max)
        return true;
    if (!vt_attributes_sequence_begin(out, element->tag, &mark, err))
        return false;
    vt_walk_items(&walk, element, reading->encoding);
    while (ok && (ok = vt_walk_next(&walk, &item, &more, err)) && more)
        ok = append_item(out, &item, charset, depth + 1, reading, err);
    if (ok && out->size - mark > 0 && out->size - mark <= max) {
        vt_attributes_close(out, mark);
        return true;
    }
    out->size = start;
    if (err->code == VT_E_NOMEM)
        return false;
    vt_err_clear(err);
    return true;
}

/* ---- levels ---- */

/* Walks the table, the extra keys and the header side by side: all three ascend. */
static bool read_attributes(struct vt_instance *instance, const struct vt_header *header,
                            struct reading *reading, struct vt_err *err)
{
    const char *issuer = reading->rules->default_issuer;
    struct vt_buf *patient = &instance->attributes[VT_LEVEL_PATIENT];
    bool issuer_due = issuer && issuer[0];
    struct vt_element element;

    for (size_t i = 0; vt_header_at(header, i, &element); i++) {
        if (issuer_due && element.tag >= VT_TAG_ISSUER_OF_PATIENT_ID) {
            struct vt_attribute id;
            bool named = vt_attributes_find(patient->data, patient->size, VT_TAG_PATIENT_ID, &id);
            bool given = element.tag == VT_TAG_ISSUER_OF_PATIENT_ID && element.length > 0;
            issuer_due = false;
            if (named && !given &&
                !vt_attributes_append(patient, VT_TAG_ISSUER_OF_PATIENT_ID, "LO", issuer,
                                      strlen(issuer), err))
                return false;
        }
        const struct vt_key *key = vt_key_find(element.tag);
        if (!key || !vt_key_in_attributes(key) || element.length == 0)
            continue;
        if (!append_value(&instance->attributes[key->level], &element, key->vr, reading->charset, 0,
                          reading, err))
            return false;
    }
    return true;
}

/* A leading zero in a component is against the standard but stored all the same (reference 4.6). */
static bool uid_acceptable(const char *uid, bool lenient)
{
    if (!vt_uid_usable(uid))
        return false;
    return lenient || (uid[0] != '.' && uid[strlen(uid) - 1] != '.' && !strstr(uid, ".."));
}

static bool read_identity(struct vt_instance *instance, const struct vt_header *header,
                          bool lenient, struct vt_err *err)
{
    const struct {
        uint32_t tag;
        char *out;
        uint16_t missing;
        const char *name;
    } uids[] = {
        { VT_TAG_SOP_INSTANCE_UID, instance->sop_uid, 0xc001, "SOP Instance UID" },
        { VT_TAG_STUDY_INSTANCE_UID, instance->study_uid, 0xc002, "Study Instance UID" },
        { VT_TAG_SERIES_INSTANCE_UID, instance->series_uid, 0xc003, "Series Instance UID" },
        { VT_TAG_SOP_CLASS_UID, instance->sop_class, 0xa900, "SOP Class UID" },
    };

    for (size_t i = 0; i < VT_COUNT(uids); i++) {
        char text[VT_UID_MAX + 3]; /* one more than fits, so that a longer one is seen */

        vt_header_text(header, uids[i].tag, text, sizeof text);
        if (!text[0])
            return vt_fail_dimse(err, VT_E_INVALID, uids[i].missing, "no %s", uids[i].name);
        if (!uid_acceptable(text, lenient))
            return vt_fail_dimse(err, VT_E_INVALID, 0xc004, "bad %s", uids[i].name);
        memcpy(uids[i].out, text, strlen(text) + 1);
    }
    return true;
}

bool vt_instance_read(struct vt_instance *instance, const struct vt_header *header,
                      const struct vt_instance_rules *rules, struct vt_err *err)
{
    struct reading reading = { .rules = rules,
                               .encoding = vt_header_encoding(header),
                               .text = { .limit = VT_ATTRIBUTES_MAX } };
    size_t frame_count = 0;

    for (int i = 0; i < VT_LEVELS; i++)
        vt_buf_reset(&instance->attributes[i]);
    vt_buf_reset(&instance->frames);
    if (!read_identity(instance, header, rules->lenient_uids, err))
        return false;
    vt_header_text(header, VT_TAG_SPECIFIC_CHARACTER_SET, reading.charset, sizeof reading.charset);
    bool ok = read_attributes(instance, header, &reading, err);
    vt_buf_fini(&reading.text);
    if (!ok)
        return false;

    instance->data_set_size = vt_header_size(header);
    instance->pixel_offset = instance->pixel_length = 0;
    instance->has_pixels =
        vt_header_pixel_data(header, &instance->pixel_offset, &instance->pixel_length);
    vt_header_digests(header, &instance->data_set_digest, &instance->pixel_digest);
    const struct vt_frame *frames = vt_header_frames(header, &frame_count);
    return frame_count <= 1 || vt_frames_encode(frames, frame_count, &instance->frames, err);
}
