#include "dicom/dataset_object.hh"

#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcistrmf.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dcwcache.h>
#include <dcmtk/oflog/oflog.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "dicom/inflate.h"
#include "dicom/scan.h"

namespace vt {

bool need_dictionary(struct vt_err *err)
{
    static std::once_flag once;
    static bool loaded;

    std::call_once(once, [] {
        /* DCMTK's log is for its developers; who wants it has said so to vt_net_start. */
        if (!OFLog::getLogger("dcmtk.dcmdata").isEnabledFor(OFLogger::DEBUG_LOG_LEVEL))
            OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        /* Known elements that came as UN get their VR back (PS3.5 6.2.2); the check has looked into them. */
        dcmEnableUnknownVRConversion.set(OFTrue);
        loaded = dcmDataDict.isDictionaryLoaded();
    });
    return loaded || vt_fail(err, VT_E_NOTFOUND,
                             "DCMTK's data dictionary is not there; install the package libdcmtk17");
}

E_TransferSyntax syntax_for_dcmtk(const char *uid)
{
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(uid);
    DcmXfer syntax(uid);

    if (syntax.getXfer() != EXS_Unknown && syntax.getXfer() != EXS_PrivateGE_LEI_WithBigEndianPixelData)
        return syntax.getXfer();
    return known && known->encapsulated ? EXS_JPEG2000 : EXS_Unknown;
}

static bool inflate_all(const uint8_t *bytes, size_t size, struct vt_buf *out, struct vt_err *err)
{
    struct vt_inflater inflater = {};
    std::unique_ptr<struct vt_inflater, decltype(&vt_inflater_fini)> guard(&inflater, vt_inflater_fini);
    const uint8_t *plain;
    size_t plain_size;

    if (!vt_inflater_reset(&inflater, err))
        return false;
    do {
        if (!vt_inflater_next(&inflater, &bytes, &size, &plain, &plain_size, err) ||
            !vt_buf_append(out, plain, plain_size, err))
            return false;
    } while (plain_size > 0 || (size > 0 && !inflater.ended));
    return inflater.ended ||
           vt_fail_dimse(err, VT_E_INVALID, 0xc005, "the deflated data set is cut off");
}

static bool parse_plain(vt_dataset *data_set, const uint8_t *bytes, size_t size, E_TransferSyntax syntax,
                        struct vt_err *err)
{
    DcmInputBufferStream stream;

    if (size > static_cast<size_t>(INT64_MAX))
        return vt_fail(err, VT_E_LIMIT, "data set of %zu bytes", size);
    stream.setBuffer(bytes, static_cast<offile_off_t>(size));
    stream.setEos();
    data_set->object.transferInit();
    OFCondition done = data_set->object.read(stream, syntax, EGL_noChange);
    data_set->object.transferEnd();
    return done.good() || failed(err, VT_E_INVALID, done, "reading a data set");
}

/* The whole of it, in memory; then DCMTK may have it. */
static bool check(const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_err *err)
{
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    return vt_element_check(bytes, size, encoding, &limits, err);
}

bool parse_into(vt_dataset *data_set, const uint8_t *bytes, size_t size, const char *uid, struct vt_err *err)
{
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(uid);
    E_TransferSyntax syntax = syntax_for_dcmtk(uid);
    VT_AUTO_BUF(inflated, INFLATED_MAX);

    if (!known || syntax == EXS_Unknown)
        return vt_fail(err, VT_E_UNSUPPORTED, "transfer syntax '%s' is not known", uid);
    if (known->encoding == VT_DEFLATED_LE) {
        if (!inflate_all(bytes, size, &inflated, err))
            return false;
        bytes = inflated.data;
        size = inflated.size;
        syntax = EXS_LittleEndianExplicit;
    }
    if (!need_dictionary(err) || !check(bytes, size, known->encoding, err) ||
        !parse_plain(data_set, bytes, size, syntax, err))
        return false;
    data_set->transfer_syntax = uid;
    return true;
}

/* A file in the address space: checking it costs the pages that hold headers, whatever its size. */
struct mapping {
    void *start = MAP_FAILED;
    size_t size = 0;

    ~mapping()
    {
        if (start != MAP_FAILED)
            munmap(start, size);
    }
    const uint8_t *bytes() const { return static_cast<const uint8_t *>(start); }
    bool map(int fd, const char *path, struct vt_err *err)
    {
        struct stat info;
        if (fstat(fd, &info) != 0)
            return vt_fail_errno(err, "reading %s", path);
        size = static_cast<size_t>(info.st_size);
        start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        return start != MAP_FAILED || vt_fail_errno(err, "reading %s", path);
    }
};

/* How far a data set goes before its pixel data: that much is checked and read for header_only. */
struct head_end {
    uint64_t offset;
    bool there;
};

static bool head_begins(void *context, const struct vt_raw_header *raw, uint64_t value_offset, const uint8_t *,
                        struct vt_err *err)
{
    auto *head = static_cast<head_end *>(context);

    if (raw->tag < VT_TAG_FLOAT_PIXEL_DATA || VT_TAG_GROUP(raw->tag) != VT_TAG_GROUP(VT_TAG_PIXEL_DATA))
        return true;
    head->offset = value_offset - raw->size;
    head->there = true;
    return vt_fail(err, VT_E_CANCELLED, "the pixel data begin here");
}

static bool head_goes_on(void *, uint64_t, const uint8_t *, struct vt_err *)
{
    return true;
}

static bool head_fragment(void *, uint64_t, uint32_t, const uint8_t *, struct vt_err *)
{
    return true;
}

static size_t size_without_pixels(const uint8_t *bytes, size_t size, enum vt_encoding encoding)
{
    static const struct vt_scan_events events = { head_begins, head_goes_on, head_fragment };
    struct vt_scan scan;
    struct vt_err err = {};
    head_end head = {};
    size_t used;

    vt_scan_init(&scan, encoding, nullptr, &events, &head);
    vt_scan_feed(&scan, bytes, size, &used, &err);
    return head.there ? static_cast<size_t>(head.offset) : size;
}

static bool load_plain(vt_dataset *data_set, const char *path, uint64_t offset, E_TransferSyntax syntax,
                       struct vt_err *err)
{
    /* Skipped, not opened at the offset: DCMTK finds large values again by counting from where it opened. */
    DcmInputFileStream stream(path, 0);
    bool there = stream.skip(static_cast<offile_off_t>(offset)) == static_cast<offile_off_t>(offset);

    if (stream.status().bad() || !there)
        return failed(err, VT_E_IO, stream.status(), path);
    data_set->object.transferInit();
    OFCondition done = data_set->object.read(stream, syntax, EGL_noChange, DCM_MaxReadLength);
    data_set->object.transferEnd();
    return done.good() || failed(err, VT_E_INVALID, done, path);
}

static bool load(vt_dataset *data_set, const char *path, bool header_only, struct vt_err *err)
{
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vt_part10 part10;
    mapping file;

    if (fd < 0)
        return vt_fail_errno(err, "opening %s", path);
    if (!vt_part10_read_file(fd, path, &part10, err) || !file.map(fd, path, err))
        return false;
    const char *uid = part10.transfer_syntax_uid;
    const struct vt_transfer_syntax *known = vt_transfer_syntax_find(uid);
    const uint8_t *bytes = file.bytes() + part10.data_set_offset;
    size_t size = file.size - static_cast<size_t>(part10.data_set_offset);
    if (!known)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: transfer syntax '%s' is not known", path, uid);
    if (header_only && known->encoding != VT_DEFLATED_LE)
        size = size_without_pixels(bytes, size, known->encoding);
    if (header_only || known->encoding == VT_DEFLATED_LE)
        return parse_into(data_set, bytes, size, uid, err) || vt_fail_context(err, "%s", path);

    if (!need_dictionary(err) || !check(bytes, size, known->encoding, err))
        return vt_fail_context(err, "%s", path);
    data_set->transfer_syntax = uid;
    return load_plain(data_set, path, part10.data_set_offset, syntax_for_dcmtk(uid), err);
}

static bool can_encode(vt_dataset *data_set, const char *uid, struct vt_err *err)
{
    const struct vt_transfer_syntax *wanted = vt_transfer_syntax_find(uid);
    DcmElement *pixels = nullptr;

    if (!wanted)
        return vt_fail(err, VT_E_UNSUPPORTED, "transfer syntax '%s' is not known", uid);
    if (data_set->transfer_syntax == uid)
        return true;
    bool has_pixels = data_set->object.findAndGetElement(DCM_PixelData, pixels).good();
    const struct vt_transfer_syntax *present = vt_transfer_syntax_find(data_set->transfer_syntax.c_str());
    bool encapsulated = present && present->encapsulated;
    if (has_pixels && (wanted->encapsulated || encapsulated))
        return vt_fail(err, VT_E_UNSUPPORTED, "pixel data in %s cannot be written as %s without transcoding",
                       present ? present->name : "no known transfer syntax", wanted->name);
    return true;
}

bool encode_to(vt_dataset *data_set, const char *uid, sink &out, struct vt_err *err)
{
    constexpr size_t ROOM = 256 << 10;
    std::unique_ptr<uint8_t[]> room(new uint8_t[ROOM]);
    DcmOutputBufferStream stream(room.get(), ROOM);
    DcmWriteCache cache;
    void *bytes = nullptr;
    offile_off_t size = 0;

    if (!need_dictionary(err) || !can_encode(data_set, uid, err))
        return false;
    E_TransferSyntax syntax = syntax_for_dcmtk(uid);
    data_set->object.transferInit();
    for (OFCondition done = EC_StreamNotifyClient; done == EC_StreamNotifyClient;) {
        done = data_set->object.write(stream, syntax, EET_ExplicitLength, &cache, EGL_withoutGL);
        if (done.bad() && done != EC_StreamNotifyClient) {
            data_set->object.transferEnd();
            return failed(err, VT_E_INVALID, done, "encoding a data set");
        }
        if (done.good())
            stream.flush();
        stream.flushBuffer(bytes, size);
        if (!out.take(static_cast<const uint8_t *>(bytes), static_cast<size_t>(size), err)) {
            data_set->object.transferEnd();
            return false;
        }
    }
    data_set->object.transferEnd();
    while (!stream.isFlushed()) {
        stream.flush();
        stream.flushBuffer(bytes, size);
        if (!out.take(static_cast<const uint8_t *>(bytes), static_cast<size_t>(size), err))
            return false;
    }
    return true;
}

struct buffer_sink : sink {
    struct vt_buf *buf;

    explicit buffer_sink(struct vt_buf *to) : buf(to) {}
    bool take(const uint8_t *bytes, size_t size, struct vt_err *err) override
    {
        return vt_buf_append(buf, bytes, size, err);
    }
};

struct file_sink : sink {
    int fd;
    const char *path;
    uint64_t offset = 0;

    file_sink(int to, const char *name) : fd(to), path(name) {}
    bool take(const uint8_t *bytes, size_t size, struct vt_err *err) override
    {
        bool ok = vt_io_pwrite(fd, bytes, size, offset, path, err);
        offset += size;
        return ok;
    }
};

static std::string text_of(DcmDataset &object, const DcmTagKey &tag)
{
    OFString text;

    object.findAndGetOFString(tag, text);
    return std::string(text.c_str());
}

static bool save(vt_dataset *data_set, const char *path, const char *uid, struct vt_err *err)
{
    VT_AUTO_BUF(start, VT_PART10_META_MAX);
    std::string sop_class = text_of(data_set->object, DCM_SOPClassUID);
    std::string sop_instance = text_of(data_set->object, DCM_SOPInstanceUID);
    struct vt_file_meta meta = { sop_class.c_str(), sop_instance.c_str(), uid, nullptr };

    if (!vt_write_file_meta(&start, &meta, err))
        return false;
    vt_autoclose fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return vt_fail_errno(err, "creating %s", path);
    file_sink out(fd, path);
    if (out.take(start.data, start.size, err) && encode_to(data_set, uid, out, err))
        return true;
    unlink(path);
    return false;
}

}

using namespace vt;

struct vt_dataset *vt_dataset_new(void)
{
    return new (std::nothrow) vt_dataset;
}

void vt_dataset_free(struct vt_dataset *data_set)
{
    quietly([&] { delete data_set; });
}

struct vt_dataset *vt_dataset_parse(const uint8_t *bytes, size_t size, const char *transfer_syntax_uid,
                                    struct vt_err *err)
{
    return guarded(err, [&]() -> struct vt_dataset * {
        auto data_set = std::make_unique<vt_dataset>();
        return parse_into(data_set.get(), bytes, size, transfer_syntax_uid, err) ? data_set.release() : nullptr;
    });
}

struct vt_dataset *vt_dataset_load(const char *path, bool header_only, struct vt_err *err)
{
    return guarded(err, [&]() -> struct vt_dataset * {
        auto data_set = std::make_unique<vt_dataset>();
        return load(data_set.get(), path, header_only, err) ? data_set.release() : nullptr;
    });
}

bool vt_dataset_encode(struct vt_dataset *data_set, const char *transfer_syntax_uid, struct vt_buf *out,
                       struct vt_err *err)
{
    size_t before = out->size;

    bool ok = guarded(err, [&] {
        buffer_sink to(out);
        return encode_to(data_set, transfer_syntax_uid, to, err);
    });
    if (!ok)
        out->size = before;
    return ok;
}

bool vt_dataset_save(struct vt_dataset *data_set, const char *path, const char *transfer_syntax_uid,
                     struct vt_err *err)
{
    return guarded(err, [&] { return save(data_set, path, transfer_syntax_uid, err); });
}
