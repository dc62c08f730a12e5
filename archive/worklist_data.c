/* What is scheduled, from words, files and data sets, as the attributes that are kept: Explicit VR LE, UTF-8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/attributes.h"
#include "archive/worklist_inside.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "dicom/text.h"

enum { CHARSET_ROOM = 256, WORD_ROOM = 1024 };

#define STEP "ScheduledProcedureStepSequence[0]."

/* ---- a data set ---- */

struct reading {
    enum vt_encoding encoding;
    const char *fallback;
    struct vt_buf text;
};

static bool is_binary(const char *vr)
{
    static const char names[][3] = { "US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "OF", "OD", "UN" };

    for (size_t i = 0; i < VT_COUNT(names); i++)
        if (vr[0] == names[i][0] && vr[1] == names[i][1])
            return true;
    return false;
}

/* Bytes that mean nothing in their VR must not make UTF-8 ill-formed later: they are left out. */
static bool append_text(struct reading *reading, const struct vt_element *element, const char *vr,
                        const char *charset, struct vt_buf *out, struct vt_err *err)
{
    const char *text;
    size_t size;

    vt_attribute_trim(element->value, (size_t)element->length, &text, &size);
    bool plain = vt_text_is_ascii(text, size) && !memchr(text, 0x1b, size);
    if (!vt_text_vr_has_charset(vr))
        return vt_attributes_append(out, element->tag, vr, text, plain ? size : 0, err);
    if (plain)
        return vt_attributes_append(out, element->tag, vr, text, size, err);
    vt_buf_reset(&reading->text);
    return vt_text_to_utf8(charset[0] ? charset : reading->fallback, reading->fallback, vr, text, size,
                           "\xef\xbf\xbd", &reading->text, err) &&
           vt_attributes_append(out, element->tag, vr, reading->text.data, reading->text.size, err);
}

static bool append_all(struct reading *reading, struct vt_walk *walk, const char *charset, int depth,
                       struct vt_buf *out, struct vt_err *err);

static bool append_items(struct reading *reading, const struct vt_element *sequence, const char *charset, int depth,
                         struct vt_buf *out, struct vt_err *err)
{
    struct vt_walk items, walk;
    struct vt_element item;
    size_t mark, item_mark;
    bool more;

    if (depth >= VT_WORKLIST_DEPTH_MAX)
        return vt_fail(err, VT_E_LIMIT, "sequences are nested more than %d deep", VT_WORKLIST_DEPTH_MAX);
    if (!vt_attributes_sequence_begin(out, sequence->tag, &mark, err))
        return false;
    vt_walk_items(&items, sequence, reading->encoding);
    for (;;) {
        if (!vt_walk_next(&items, &item, &more, err))
            return false;
        if (!more)
            break;
        vt_walk_item(&walk, &item, reading->encoding);
        if (!vt_attributes_item_begin(out, &item_mark, err) ||
            !append_all(reading, &walk, charset, depth + 1, out, err))
            return false;
        vt_attributes_close(out, item_mark);
    }
    vt_attributes_close(out, mark);
    return true;
}

static bool append_element(struct reading *reading, const struct vt_element *element, const char *charset, int depth,
                           struct vt_buf *out, struct vt_err *err)
{
    const char *vr = memcmp(element->vr, "UN", 2) == 0 ? vt_dict_vr(element->tag) : element->vr;

    if (memcmp(vr, "SQ", 2) == 0)
        return append_items(reading, element, charset, depth, out, err);
    if (is_binary(vr))
        return reading->encoding == VT_EXPLICIT_BE ||
               vt_attributes_append(out, element->tag, vr, element->value, (size_t)element->length, err);
    return append_text(reading, element, vr, charset, out, err);
}

static bool append_all(struct reading *reading, struct vt_walk *walk, const char *charset, int depth,
                       struct vt_buf *out, struct vt_err *err)
{
    char own[CHARSET_ROOM];
    struct vt_element element;
    bool more;

    for (;;) {
        if (!vt_walk_next(walk, &element, &more, err))
            return false;
        if (!more)
            return true;
        if (element.tag == VT_TAG_SPECIFIC_CHARACTER_SET) {
            vt_element_text(&element, own, sizeof own);
            charset = own;
        } else if (VT_TAG_GROUP(element.tag) >= 0x0008 && VT_TAG_ELEMENT(element.tag) != 0 &&
                   element.tag != VT_TAG_PIXEL_DATA &&
                   !append_element(reading, &element, charset, depth, out, err)) {
            return false;
        }
    }
}

bool vt_worklist_from_bytes(const uint8_t *bytes, size_t size, enum vt_encoding encoding, const char *charset,
                            struct vt_buf *out, struct vt_err *err)
{
    struct reading reading = { .encoding = encoding,
                               .fallback = charset ? charset : "ISO_IR 100",
                               .text = { .limit = VT_WORKLIST_FILE_MAX } };
    struct vt_walk walk;

    if (!vt_element_check(bytes, size, encoding, &VT_ELEMENT_LIMITS_DEFAULT, err))
        return false;
    vt_walk_init(&walk, bytes, size, encoding);
    bool ok = append_all(&reading, &walk, "", 0, out, err);
    vt_buf_fini(&reading.text);
    return ok;
}

/* ---- a file ---- */

/* Capital letters where a VR would stand: explicit. */
static enum vt_encoding guess_encoding(const uint8_t *bytes, size_t size)
{
    bool letters = size >= 6 && bytes[4] >= 'A' && bytes[4] <= 'Z' && bytes[5] >= 'A' && bytes[5] <= 'Z';

    return letters ? VT_EXPLICIT_LE : VT_IMPLICIT_LE;
}

bool vt_worklist_from_file(const char *path, const char *charset, struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO_BUF(file, VT_WORKLIST_FILE_MAX);
    struct vt_part10 part10 = { .data_set_offset = 0 };
    enum vt_encoding encoding;

    if (!vt_io_read_file(path, &file, err))
        return false;
    if (file.size >= 132 && memcmp(file.data + 128, "DICM", 4) == 0) {
        if (!vt_part10_read(file.data, file.size, &part10, err))
            return false;
        const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(part10.transfer_syntax_uid);
        if (!syntax || syntax->encapsulated || syntax->encoding == VT_DEFLATED_LE || part10.data_set_offset > file.size)
            return vt_fail(err, VT_E_UNSUPPORTED, "a worklist file in %s is not read",
                           syntax ? syntax->name : "an unknown transfer syntax");
        encoding = syntax->encoding;
    } else {
        encoding = guess_encoding(file.data, file.size);
    }
    if (file.size == part10.data_set_offset)
        return vt_fail(err, VT_E_INVALID, "the file is empty");
    return vt_worklist_from_bytes(file.data + part10.data_set_offset, file.size - (size_t)part10.data_set_offset,
                                  encoding, charset, out, err);
}

/* ---- words ---- */

/* What belongs to the scheduled step when nobody says where (PS3.3 C.4.10). */
static bool is_of_step(uint32_t tag)
{
    static const uint32_t tags[] = { VT_TAG_MODALITY, TAG_STATION_AE,  TAG_STEP_DATE,     TAG_STEP_TIME,
                                     0x00400004,      0x00400005,      0x00400006,        TAG_STEP_DESCRIPTION,
                                     0x00400008,      TAG_STEP_ID,     0x0040000b,        0x00400010,
                                     0x00400011,      0x00400012,      TAG_STEP_STATUS,   0x00400400,
                                     0x00321070,      0x00400440 };

    for (size_t i = 0; i < VT_COUNT(tags); i++)
        if (tags[i] == tag)
            return true;
    return false;
}

/* "A.B=x" is "A[0].B" to a data set. */
static bool path_of(const char *word, size_t size, char out[static WORD_ROOM], struct vt_err *err)
{
    char first[WORD_ROOM];
    size_t length = 0;
    uint32_t tag;

    if (size == 0 || size > WORD_ROOM / 4)
        return vt_fail(err, VT_E_INVALID, "'%.60s' is no KEY=VALUE", word);
    snprintf(first, sizeof first, "%.*s", (int)size, word);
    first[strcspn(first, ".[")] = '\0';
    if (!vt_dict_tag(first, &tag))
        return vt_fail(err, VT_E_INVALID, "'%.60s' is no attribute: use a keyword such as PatientName or a tag", first);
    if (is_of_step(tag))
        length = (size_t)snprintf(out, WORD_ROOM, STEP);
    for (size_t i = 0; i < size; i++) {
        if (word[i] == '.' && (i == 0 || word[i - 1] != ']')) {
            memcpy(out + length, "[0]", 3);
            length += 3;
        }
        out[length++] = word[i];
    }
    out[length] = '\0';
    return true;
}

static bool put_word(struct vt_dataset *data_set, const char *word, struct vt_err *err)
{
    const char *equals = strchr(word, '=');
    char path[WORD_ROOM];

    if (!equals)
        return vt_fail(err, VT_E_INVALID, "'%.60s' is no KEY=VALUE", word);
    return path_of(word, (size_t)(equals - word), path, err) && vt_dataset_put(data_set, path, equals + 1, err);
}

/* A day without a time begins at midnight, so that the same line of a table is the same entry tomorrow. */
static bool put_now(struct vt_dataset *data_set, struct vt_err *err)
{
    VT_AUTO_BUF(value, WORD_ROOM);
    time_t now = time(NULL);
    struct tm parts;
    char date[16], clock[16];
    bool there = false;

    if (!vt_dataset_get(data_set, STEP "ScheduledProcedureStepStartDate", &value, &there, err))
        return false;
    if (there && value.size > 0)
        return true;
    if (!localtime_r(&now, &parts) || strftime(date, sizeof date, "%Y%m%d", &parts) == 0 ||
        strftime(clock, sizeof clock, "%H%M%S", &parts) == 0)
        return vt_fail(err, VT_E_INTERNAL, "the local time is not known");
    return vt_dataset_put(data_set, STEP "ScheduledProcedureStepStartDate", date, err) &&
           vt_dataset_put(data_set, STEP "ScheduledProcedureStepStartTime", clock, err);
}

bool vt_worklist_from_words(const char *const words[], size_t count, struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_WORKLIST_FILE_MAX);
    VT_AUTO(vt_dataset) data_set = vt_dataset_new();

    if (!data_set)
        return vt_fail(err, VT_E_NOMEM, "no memory for an entry");
    if (count > VT_WORKLIST_WORDS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d attributes", VT_WORKLIST_WORDS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!put_word(data_set, words[i], err))
            return false;
    return put_now(data_set, err) &&
           vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &bytes, err) &&
           vt_worklist_from_bytes(bytes.data, bytes.size, VT_EXPLICIT_LE, "ISO_IR 192", out, err);
}
