#include "dicom/command.h"

#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/wire.h"

enum kind { US, UI, AE, LO, AT };

/* Elements of group 0000 (PS3.7 E.1) that the record holds, ascending. `has`: the flag that goes
 * with it, or 0. */
struct element {
    uint16_t element;
    enum kind kind;
    size_t at;
    size_t has;
};

#define AT_(field) offsetof(struct vt_command, field)
static const struct element elements[] = {
    { 0x0002, UI, AT_(sop_class_uid), 0 },
    { 0x0003, UI, AT_(sop_class_uid), 0 },
    { 0x0100, US, AT_(field), 0 },
    { 0x0110, US, AT_(message_id), 0 },
    { 0x0120, US, AT_(responded_id), 0 },
    { 0x0600, AE, AT_(move_destination), 0 },
    { 0x0700, US, AT_(priority), 0 },
    { 0x0800, US, 0, 0 },
    { 0x0900, US, AT_(status), AT_(has_status) },
    { 0x0901, AT, 0, 0 },
    { 0x0902, LO, AT_(comment), 0 },
    { 0x0903, US, AT_(error_id), AT_(has_error_id) },
    { 0x1000, UI, AT_(sop_instance_uid), 0 },
    { 0x1001, UI, AT_(sop_instance_uid), 0 },
    { 0x1002, US, AT_(event_type), AT_(has_event_type) },
    { 0x1008, US, AT_(action_type), AT_(has_action_type) },
    { 0x1020, US, AT_(remaining), AT_(has_remaining) },
    { 0x1021, US, AT_(completed), AT_(has_counters) },
    { 0x1022, US, AT_(failed), AT_(has_counters) },
    { 0x1023, US, AT_(warning), AT_(has_counters) },
    { 0x1030, AE, AT_(originator_ae_title), 0 },
    { 0x1031, US, AT_(originator_id), AT_(has_originator_id) },
};

static const struct {
    uint16_t field;
    const char *name;
    bool requested; /* names class and instance as requested, not affected (PS3.7 10.3) */
    bool priority;
} commands[] = {
    { VT_C_STORE_RQ, "C-STORE-RQ", false, true },
    { VT_C_STORE_RSP, "C-STORE-RSP", false, false },
    { VT_C_GET_RQ, "C-GET-RQ", false, true },
    { VT_C_GET_RSP, "C-GET-RSP", false, false },
    { VT_C_FIND_RQ, "C-FIND-RQ", false, true },
    { VT_C_FIND_RSP, "C-FIND-RSP", false, false },
    { VT_C_MOVE_RQ, "C-MOVE-RQ", false, true },
    { VT_C_MOVE_RSP, "C-MOVE-RSP", false, false },
    { VT_C_ECHO_RQ, "C-ECHO-RQ", false, false },
    { VT_C_ECHO_RSP, "C-ECHO-RSP", false, false },
    { VT_N_EVENT_REPORT_RQ, "N-EVENT-REPORT-RQ", false, false },
    { VT_N_EVENT_REPORT_RSP, "N-EVENT-REPORT-RSP", false, false },
    { VT_N_GET_RQ, "N-GET-RQ", true, false },
    { VT_N_GET_RSP, "N-GET-RSP", false, false },
    { VT_N_SET_RQ, "N-SET-RQ", true, false },
    { VT_N_SET_RSP, "N-SET-RSP", false, false },
    { VT_N_ACTION_RQ, "N-ACTION-RQ", true, false },
    { VT_N_ACTION_RSP, "N-ACTION-RSP", false, false },
    { VT_N_CREATE_RQ, "N-CREATE-RQ", false, false },
    { VT_N_CREATE_RSP, "N-CREATE-RSP", false, false },
    { VT_N_DELETE_RQ, "N-DELETE-RQ", true, false },
    { VT_N_DELETE_RSP, "N-DELETE-RSP", false, false },
    { VT_C_CANCEL_RQ, "C-CANCEL-RQ", false, false },
};

static bool is_response(uint16_t field)
{
    return (field & 0x8000) != 0;
}

const char *vt_command_name(uint16_t field)
{
    for (size_t i = 0; i < VT_COUNT(commands); i++)
        if (commands[i].field == field)
            return commands[i].name;
    return "unknown";
}

static const struct element *find_element(uint16_t number)
{
    for (size_t i = 0; i < VT_COUNT(elements); i++)
        if (elements[i].element == number)
            return &elements[i];
    return NULL;
}

/* ---- decoding ---- */

/* Text without its padding; false when it does not fit. */
static bool copy_text(const uint8_t *value, size_t size, char *out, size_t max)
{
    while (size > 0 && *value == ' ') {
        value++;
        size--;
    }
    const uint8_t *zero = memchr(value, 0, size);
    if (zero)
        size = (size_t)(zero - value);
    while (size > 0 && value[size - 1] == ' ')
        size--;
    if (size > max)
        return false;
    memcpy(out, value, size);
    out[size] = '\0';
    return true;
}

/* One '?' for each character beyond ASCII: continuation bytes of UTF-8 vanish. */
static void copy_comment(const uint8_t *value, size_t size, char *out)
{
    size_t length = 0;

    for (size_t i = 0; i < size && length < VT_COMMENT_MAX && value[i]; i++) {
        if ((value[i] & 0xc0) == 0x80)
            continue;
        out[length++] = value[i] >= ' ' && value[i] <= '~' ? (char)value[i] : '?';
    }
    while (length > 0 && out[length - 1] == ' ')
        length--;
    out[length] = '\0';
}

static bool decode_number(const struct element *element, const uint8_t *value, size_t size,
                          struct vt_command *out, struct vt_err *err)
{
    if (size == 0)
        return true;
    if (size != 2)
        return vt_fail(err, VT_E_PROTOCOL, "(0000,%04x) has %zu bytes, not two", element->element,
                       size);
    uint16_t number = vt_le16(value);
    if (element->element == 0x0800)
        out->has_data_set = number != VT_NO_DATA_SET;
    else
        memcpy((uint8_t *)out + element->at, &number, sizeof number);
    if (element->has)
        *(bool *)((uint8_t *)out + element->has) = true;
    return true;
}

static void decode_tags(const uint8_t *value, size_t size, struct vt_command *out)
{
    for (size_t i = 0; i + 4 <= size && out->offending_count < VT_OFFENDING_MAX; i += 4)
        out->offending[out->offending_count++] =
            (uint32_t)vt_le16(value + i) << 16 | vt_le16(value + i + 2);
}

static bool decode_element(const struct element *element, const uint8_t *value, size_t size,
                           struct vt_command *out, struct vt_err *err)
{
    char *text = (char *)out + element->at;

    switch (element->kind) {
    case US:
        return decode_number(element, value, size, out, err);
    case UI:
        if (!copy_text(value, size, text, VT_UID_MAX))
            *text = '\0';
        return true;
    case AE:
        if (!copy_text(value, size, text, VT_AE_TITLE_MAX))
            return vt_fail(err, VT_E_PROTOCOL, "the AE title in (0000,%04x) is too long",
                           element->element);
        return true;
    case LO:
        copy_comment(value, size, text);
        return true;
    case AT:
        decode_tags(value, size, out);
        return true;
    }
    return true;
}

/* What a command must have. `seen` has a bit for each row of the table. */
static bool check_required(const struct vt_command *command, uint32_t seen, struct vt_err *err)
{
    static const uint16_t names[] = { 0x0100, 0x0800 };

    for (size_t i = 0; i < VT_COUNT(names); i++)
        if (!(seen & 1u << (find_element(names[i]) - elements)))
            return vt_fail(err, VT_E_PROTOCOL, "the command set has no (0000,%04x)", names[i]);
    bool answers = is_response(command->field) || command->field == VT_C_CANCEL_RQ;
    uint16_t id = answers ? 0x0120 : 0x0110;
    if (!(seen & 1u << (find_element(id) - elements)))
        return vt_fail(err, VT_E_PROTOCOL, "%s without a message id (0000,%04x)",
                       vt_command_name(command->field), id);
    return true;
}

bool vt_command_decode(const uint8_t *bytes, size_t size, struct vt_command *out,
                       struct vt_err *err)
{
    struct vt_command command = { 0 };
    uint32_t seen = 0;
    int32_t last = -1;

    if (size > VT_COMMAND_MAX)
        return vt_fail(err, VT_E_PROTOCOL, "a command set of %zu bytes, at most %d are taken", size,
                       VT_COMMAND_MAX);
    for (size_t at = 0; at < size;) {
        if (size - at < 8)
            return vt_fail(err, VT_E_PROTOCOL, "the command set ends within an element");
        uint16_t group = vt_le16(bytes + at), number = vt_le16(bytes + at + 2);
        uint32_t length = vt_le32(bytes + at + 4);
        at += 8;
        if (group != 0)
            return vt_fail(err, VT_E_PROTOCOL, "(%04x,%04x) in a command set", group, number);
        if (number <= last)
            return vt_fail(err, VT_E_PROTOCOL, "(0000,%04x) is out of order", number);
        if (length == UINT32_MAX)
            return vt_fail(err, VT_E_PROTOCOL, "(0000,%04x) is nested", number);
        if (length > size - at)
            return vt_fail(err, VT_E_PROTOCOL, "(0000,%04x) is longer than the command set",
                           number);
        const struct element *element = find_element(number);
        if (element && length > 0)
            seen |= 1u << (element - elements);
        if (element && !decode_element(element, bytes + at, length, &command, err))
            return false;
        last = number;
        at += length;
    }
    if (!check_required(&command, seen, err))
        return false;
    *out = command;
    return true;
}

/* ---- encoding ---- */

/* The longest one: all texts full, all numbers, all offending elements. */
enum { ENCODED_MAX = 1024 };

struct writer {
    uint8_t bytes[ENCODED_MAX];
    size_t size;
};

static uint8_t *put_header(struct writer *w, uint16_t element, size_t length)
{
    uint8_t *p = w->bytes + w->size;

    vt_put_le16(p, 0);
    vt_put_le16(p + 2, element);
    vt_put_le32(p + 4, (uint32_t)length);
    w->size += 8 + length;
    return p + 8;
}

static void put_number(struct writer *w, uint16_t element, uint16_t number)
{
    vt_put_le16(put_header(w, element, 2), number);
}

static void put_text(struct writer *w, uint16_t element, const char *text, size_t max, uint8_t pad)
{
    size_t length = strnlen(text, max);

    if (length == 0)
        return;
    uint8_t *value = put_header(w, element, (length + 1) & ~(size_t)1);
    memcpy(value, text, length);
    if (length & 1)
        value[length] = pad;
}

static void put_comment(struct writer *w, const char *comment)
{
    char text[VT_COMMENT_MAX + 1];

    copy_comment((const uint8_t *)comment, strnlen(comment, VT_COMMENT_MAX), text);
    put_text(w, 0x0902, text, VT_COMMENT_MAX, ' ');
}

static void put_tags(struct writer *w, const struct vt_command *command)
{
    size_t count =
        command->offending_count < VT_OFFENDING_MAX ? command->offending_count : VT_OFFENDING_MAX;
    if (count == 0)
        return;
    uint8_t *value = put_header(w, 0x0901, count * 4);
    for (size_t i = 0; i < count; i++) {
        vt_put_le16(value + 4 * i, (uint16_t)(command->offending[i] >> 16));
        vt_put_le16(value + 4 * i + 2, (uint16_t)command->offending[i]);
    }
}

static void put_head(struct writer *w, const struct vt_command *command, bool requested,
                     bool priority)
{
    bool response = is_response(command->field), cancel = command->field == VT_C_CANCEL_RQ;

    put_text(w, requested ? 0x0003 : 0x0002, command->sop_class_uid, VT_UID_MAX, 0);
    put_number(w, 0x0100, command->field);
    if (!response && !cancel)
        put_number(w, 0x0110, command->message_id);
    if (response || cancel)
        put_number(w, 0x0120, command->responded_id);
    put_text(w, 0x0600, command->move_destination, VT_AE_TITLE_MAX, ' ');
    if (priority)
        put_number(w, 0x0700, command->priority);
    put_number(w, 0x0800, command->has_data_set ? VT_HAS_DATA_SET : VT_NO_DATA_SET);
    if (response)
        put_number(w, 0x0900, command->status);
}

static void put_optional(struct writer *w, const struct vt_command *command, bool requested)
{
    put_tags(w, command);
    put_comment(w, command->comment);
    if (command->has_error_id)
        put_number(w, 0x0903, command->error_id);
    put_text(w, requested ? 0x1001 : 0x1000, command->sop_instance_uid, VT_UID_MAX, 0);
    if (command->has_event_type)
        put_number(w, 0x1002, command->event_type);
    if (command->has_action_type)
        put_number(w, 0x1008, command->action_type);
    if (command->has_remaining)
        put_number(w, 0x1020, command->remaining);
    if (command->has_counters) {
        put_number(w, 0x1021, command->completed);
        put_number(w, 0x1022, command->failed);
        put_number(w, 0x1023, command->warning);
    }
    put_text(w, 0x1030, command->originator_ae_title, VT_AE_TITLE_MAX, ' ');
    if (command->has_originator_id)
        put_number(w, 0x1031, command->originator_id);
}

bool vt_command_encode(const struct vt_command *command, struct vt_buf *out, struct vt_err *err)
{
    struct writer w;
    bool requested = false, priority = false;

    for (size_t i = 0; i < VT_COUNT(commands); i++)
        if (commands[i].field == command->field) {
            requested = commands[i].requested;
            priority = commands[i].priority;
        }
    w.size = 0;
    uint8_t *group_length = put_header(&w, 0x0000, 4);
    put_head(&w, command, requested, priority);
    put_optional(&w, command, requested);
    vt_put_le32(group_length, (uint32_t)(w.size - 12));
    return vt_buf_append(out, w.bytes, w.size, err);
}

struct vt_command vt_command_response(const struct vt_command *request, uint16_t status)
{
    struct vt_command response = {
        .field = request->field | 0x8000,
        .responded_id = request->message_id,
        .has_status = true,
        .status = status,
    };

    memcpy(response.sop_class_uid, request->sop_class_uid, sizeof response.sop_class_uid);
    memcpy(response.sop_instance_uid, request->sop_instance_uid, sizeof response.sop_instance_uid);
    return response;
}
