/* What an identifier of the Composite Instance Root asks for (PS3.4 Y.3.2, Y.4). */
#include <string.h>

#include "core/err.h"
#include "scp/frames.h"

enum { NUMBER = 4, TRIPLE = 3 };

enum { TAG_SIMPLE = 0x00081161, TAG_CALCULATED = 0x00081162, TAG_TIME_RANGE = 0x00081163 };

void vt_frame_request_init(struct vt_frame_request *request)
{
    *request = (struct vt_frame_request){ .frames = false };
    vt_buf_init(&request->word, VT_FRAMES_UIDS_MAX);
    vt_buf_init(&request->numbers, VT_FRAMES_LISTED_MAX * NUMBER);
}

void vt_frame_request_fini(struct vt_frame_request *request)
{
    vt_buf_fini(&request->word);
    vt_buf_fini(&request->numbers);
}

/* ---- reading ---- */

struct keys {
    struct vt_element level, uids, list;
    bool has_level, has_uids;
    unsigned lists;      /* how many kinds of them */
    uint32_t list_tag;
};

static void find_list(const uint8_t *identifier, size_t size, enum vt_encoding encoding, uint32_t tag, struct keys *keys)
{
    struct vt_element element;

    if (!vt_element_find(identifier, size, encoding, tag, &element) || element.length == 0)
        return;
    keys->lists++;
    keys->list = element;
    keys->list_tag = tag;
}

static bool find_keys(const uint8_t *identifier, size_t size, enum vt_encoding encoding, struct keys *out,
                      struct vt_err *err)
{
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    *out = (struct keys){ .lists = 0 };
    if (!vt_element_check(identifier, size, encoding, &limits, err))
        return false;
    out->has_level = vt_element_find(identifier, size, encoding, VT_TAG_QUERY_RETRIEVE_LEVEL, &out->level);
    out->has_uids = vt_element_find(identifier, size, encoding, VT_TAG_SOP_INSTANCE_UID, &out->uids) &&
                    out->uids.length > 0;
    find_list(identifier, size, encoding, TAG_SIMPLE, out);
    find_list(identifier, size, encoding, TAG_CALCULATED, out);
    find_list(identifier, size, encoding, TAG_TIME_RANGE, out);
    return true;
}

static bool refuse(struct vt_err *err, uint16_t status, const char *why)
{
    return vt_fail_dimse(err, VT_E_INVALID, status, "%s", why);
}

static uint32_t number_at(const uint8_t *bytes, size_t i)
{
    bytes += NUMBER * i;
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool take_numbers(const struct keys *keys, struct vt_frame_request *out, struct vt_err *err)
{
    size_t count = (size_t)keys->list.length / NUMBER;

    out->calculated = keys->list_tag == TAG_CALCULATED;
    if (keys->list.length % NUMBER != 0 || (out->calculated && count % TRIPLE != 0))
        return refuse(err, VT_STATUS_INVALID_FRAMES, "the frame list is no list of numbers");
    for (size_t i = 0; i < count; i++) {
        uint32_t number = number_at(keys->list.value, i);
        uint32_t last = i > 0 ? number_at(keys->list.value, i - 1) : 0;
        if (!out->calculated && number <= last)
            return refuse(err, VT_STATUS_INVALID_FRAMES, "frame numbers begin at 1 and increase");
        if (!vt_buf_append(&out->numbers, &number, sizeof number, err))
            return false;
    }
    return true;
}

static bool take_frames(const struct keys *keys, struct vt_frame_request *out, struct vt_err *err)
{
    if (keys->lists != 1)
        return refuse(err, VT_STATUS_INVALID_FRAMES, "level FRAME needs one frame list, and one only");
    if (keys->list_tag == TAG_TIME_RANGE)
        return refuse(err, VT_STATUS_NOT_TIME_BASED, "frames are not found by time here");
    size_t length = vt_element_text(&keys->uids, out->sop_uid, sizeof out->sop_uid);
    if (length >= sizeof out->sop_uid || strchr(out->sop_uid, '\\'))
        return refuse(err, VT_STATUS_INVALID_FRAMES, "level FRAME takes one SOP Instance UID");
    return take_numbers(keys, out, err);
}

bool vt_frame_request_read(const uint8_t *identifier, size_t size, enum vt_encoding encoding,
                           struct vt_frame_request *out, struct vt_err *err)
{
    struct keys keys;
    char level[17] = "";

    if (!find_keys(identifier, size, encoding, &keys, err))
        return false;
    if (keys.has_level)
        vt_element_text(&keys.level, level, sizeof level);
    out->frames = strcmp(level, "FRAME") == 0;
    if (!out->frames && strcmp(level, "IMAGE") != 0)
        return refuse(err, 0xA900, "the level is IMAGE or FRAME");
    if (!keys.has_uids)
        return refuse(err, 0xA900, "SOP Instance UID is missing");
    size_t length = (size_t)keys.uids.length;
    while (length > 0 && (keys.uids.value[length - 1] == '\0' || keys.uids.value[length - 1] == ' '))
        length--;
    return vt_buf_append_text(&out->word, "SOPInstanceUID=", err) &&
           vt_buf_append(&out->word, keys.uids.value, length, err) && vt_buf_append_byte(&out->word, 0, err) &&
           (!out->frames || take_frames(&keys, out, err));
}

/* ---- which frames these are ---- */

static bool add_range(const uint32_t triple[static TRIPLE], uint32_t total, uint32_t *last, struct vt_buf *out,
                      struct vt_err *err)
{
    uint64_t step = triple[2];
    uint64_t end = triple[1] < total ? triple[1] : total;

    if (triple[0] == 0 || step == 0 || triple[1] < triple[0] || triple[0] <= *last)
        return refuse(err, VT_STATUS_INVALID_FRAMES, "ranges of frames do not overlap, increase and have a step");
    for (uint64_t frame = triple[0]; frame <= end; frame += step) {
        *last = (uint32_t)frame;
        if (!vt_buf_append(out, last, sizeof *last, err))
            return false;
    }
    return true;
}

bool vt_frame_request_resolve(const struct vt_frame_request *request, uint32_t total, struct vt_buf *out,
                              struct vt_err *err)
{
    const uint32_t *numbers = (const uint32_t *)(const void *)request->numbers.data;
    size_t count = request->numbers.size / sizeof *numbers;
    uint32_t last = 0;

    for (size_t i = 0; i < count; i += request->calculated ? TRIPLE : 1) {
        if (request->calculated ? !add_range(&numbers[i], total, &last, out, err)
                                : numbers[i] <= total && !vt_buf_append(out, &numbers[i], sizeof *numbers, err))
            return false;
    }
    return out->size > 0 || vt_fail_dimse(err, VT_E_NOTFOUND, VT_STATUS_NO_SUCH_FRAMES,
                                          "the instance has %u frames, none of those asked for", total);
}
