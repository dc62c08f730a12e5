#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/header.h"
#include "dicom/scan.h"

#include <sys/stat.h>

enum { PREAMBLE = 128, META_START = PREAMBLE + 4, FIRST_READ = 4096 };

static void take_text(const struct vt_raw_header *raw, const uint8_t *value, char *out, size_t room)
{
    struct vt_element element = { .tag = raw->tag, .vr = "UI", .value = value, .length = raw->length };

    vt_element_text(&element, out, room);
}

static void take(const struct vt_raw_header *raw, const uint8_t *value, struct vt_part10 *out)
{
    switch (raw->tag) {
    case 0x00020002:
        take_text(raw, value, out->sop_class_uid, sizeof out->sop_class_uid);
        break;
    case 0x00020003:
        take_text(raw, value, out->sop_instance_uid, sizeof out->sop_instance_uid);
        break;
    case 0x00020010:
        take_text(raw, value, out->transfer_syntax_uid, sizeof out->transfer_syntax_uid);
        break;
    case 0x00020016:
        take_text(raw, value, out->source_ae_title, sizeof out->source_ae_title);
        break;
    default:
        break;
    }
}

static bool cut_off(struct vt_err *err)
{
    return vt_fail(err, VT_E_INVALID, "group 0002 does not end within %d bytes", VT_PART10_META_MAX);
}

/* Group 0002 ends where its group length says, if an element ends there too; else before the first element of
 * another group: deflated data behind it could be taken for one of its elements. */
bool vt_part10_read(const uint8_t *bytes, size_t size, struct vt_part10 *out, struct vt_err *err)
{
    struct vt_part10 meta = { 0 };
    struct vt_raw_header raw;
    size_t at = META_START, end = 0;

    if (size < META_START || memcmp(bytes + PREAMBLE, "DICM", 4) != 0)
        return vt_fail(err, VT_E_INVALID, "no DICOM file: no preamble with DICM");
    while (at != end) {
        if (!vt_raw_header_read(bytes + at, size - at, VT_EXPLICIT_LE, &raw)) {
            if (at == size && end <= size)
                break;
            return cut_off(err);
        }
        if (VT_TAG_GROUP(raw.tag) != 0x0002)
            break;
        if (raw.length > size - at - raw.size)
            return cut_off(err);
        const uint8_t *value = bytes + at + raw.size;
        at += raw.size + (size_t)raw.length;
        if (raw.tag == 0x00020000 && raw.length == 4)
            end = at + (value[0] | (size_t)value[1] << 8 | (size_t)value[2] << 16 | (size_t)value[3] << 24);
        take(&raw, value, &meta);
    }
    if (meta.transfer_syntax_uid[0] == '\0')
        return vt_fail(err, VT_E_INVALID, "no transfer syntax in group 0002");
    meta.data_set_offset = at;
    *out = meta;
    return true;
}

bool vt_part10_read_file(int fd, const char *path, struct vt_part10 *out, struct vt_err *err)
{
    VT_AUTO_BUF(buf, VT_PART10_META_MAX);
    struct stat info;

    if (fstat(fd, &info) != 0)
        return vt_fail_errno(err, "reading %s", path);
    for (size_t want = FIRST_READ;; want = VT_PART10_META_MAX) {
        size_t there = (uint64_t)info.st_size < want ? (size_t)info.st_size : want;
        struct vt_err problem = { 0 };
        if (!vt_buf_reserve(&buf, there, err) || !vt_io_pread(fd, buf.data, there, 0, path, err))
            return false;
        if (vt_part10_read(buf.data, there, out, &problem))
            return true;
        if (there < want || want == VT_PART10_META_MAX) {
            *err = problem;
            return vt_fail_context(err, "%s", path);
        }
    }
}
