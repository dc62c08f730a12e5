#include "dicom/dataset_object.hh"

#include <cstdlib>
#include <cstring>
#include <memory>

#include "dicom/element.h"
#include "dicom/text.h"

namespace vt {

constexpr size_t STEPS_MAX = 32;              /* sequences in a path */
constexpr unsigned long ITEMS_MAX = 10000;    /* of one sequence that put makes */
constexpr size_t TEXT_MAX = size_t{ 64 } << 20;

/* "RequestAttributesSequence[0].0040,0007": one step. */
struct step {
    uint32_t tag = 0;
    unsigned long item = 0;
    bool has_item = false;
};

static bool bad_path(const char *path, struct vt_err *err)
{
    return vt_fail(err, VT_E_INVALID, "'%s' is no path of tags or keywords such as Sequence[0].Keyword", path);
}

/* Reads one step and moves `at` behind it and its dot. */
static bool read_step(const char *path, const char *&at, step &out, struct vt_err *err)
{
    size_t length = strcspn(at, "[.");
    char name[128];

    if (length == 0 || length >= sizeof name)
        return bad_path(path, err);
    memcpy(name, at, length);
    name[length] = '\0';
    if (!vt_dict_tag(name, &out.tag))
        return vt_fail(err, VT_E_INVALID, "'%s' is no tag and no keyword of the dictionary", name);
    at += length;
    out.has_item = *at == '[';
    if (out.has_item) {
        char *end = nullptr;
        out.item = strtoul(at + 1, &end, 10);
        if (end == at + 1 || *end != ']' || out.item >= ITEMS_MAX)
            return bad_path(path, err);
        at = end + 1;
    }
    if (*at == '.' && at[1] != '\0' && out.has_item)
        at++;
    else if (*at != '\0' || out.has_item)
        return bad_path(path, err);
    return true;
}

static DcmTagKey key_of(uint32_t tag)
{
    return DcmTagKey(VT_TAG_GROUP(tag), VT_TAG_ELEMENT(tag));
}

/* The item that holds the last element. out_item is NULL when the way is not there (and not made). */
static bool resolve(vt_dataset *data_set, const char *path, bool make, DcmItem *&out_item, uint32_t &out_tag,
                    struct vt_err *err)
{
    DcmItem *item = &data_set->object;
    const char *at = path;
    step next;

    for (size_t depth = 0;; depth++) {
        if (depth > STEPS_MAX)
            return vt_fail(err, VT_E_LIMIT, "'%s' goes deeper than %zu sequences", path, STEPS_MAX);
        if (!read_step(path, at, next, err))
            return false;
        if (!next.has_item)
            break;
        DcmItem *inner = nullptr;
        OFCondition done = EC_Normal;
        if (item && make)
            done = item->findOrCreateSequenceItem(DcmTag(key_of(next.tag)), inner, static_cast<long>(next.item));
        else if (item)
            item->findAndGetSequenceItem(key_of(next.tag), inner, static_cast<long>(next.item));
        if (make && done.bad())
            return failed(err, VT_E_INVALID, done, path);
        item = inner;
    }
    out_item = item;
    out_tag = next.tag;
    return true;
}

std::string charset_of(DcmItem *item)
{
    for (DcmObject *object = item; object; object = object->getParent()) {
        DcmItem *level = dynamic_cast<DcmItem *>(object);
        OFString charset;
        if (level && level->findAndGetOFStringArray(DCM_SpecificCharacterSet, charset).good())
            return std::string(charset.c_str());
    }
    return std::string();
}

static bool get(vt_dataset *data_set, const char *path, struct vt_buf *out, bool *out_there, struct vt_err *err)
{
    DcmItem *item = nullptr;
    DcmElement *element = nullptr;
    uint32_t tag = 0;
    OFString text;

    if (!need_dictionary(err) || !resolve(data_set, path, false, item, tag, err))
        return false;
    bool there = item && item->findAndGetElement(key_of(tag), element).good() && element;
    if (there && element->ident() != EVR_SQ && element->getLength() > TEXT_MAX)
        return vt_fail(err, VT_E_LIMIT, "%s is longer than %zu bytes", path, TEXT_MAX);
    if (there && element->ident() != EVR_SQ)
        element->getOFStringArray(text);
    *out_there = there;
    const char *vr = there ? DcmVR(element->getVR()).getValidVRName() : "UN";
    if (!vt_text_vr_has_charset(vr))
        return vt_buf_append(out, text.data(), text.size(), err);
    return vt_text_to_utf8(charset_of(item).c_str(), nullptr, vr, text.data(), text.size(), "\xEF\xBF\xBD", out,
                           err);
}

bool put_raw(DcmItem *item, uint32_t tag, const char *vr, const void *value, size_t size, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, size + 64);
    struct vt_writer writer = { &bytes, VT_EXPLICIT_LE };
    vt_dataset made;

    if (!vt_write_bytes(&writer, tag, vr, value, size, err) ||
        !parse_into(&made, bytes.data, bytes.size, VT_UID_EXPLICIT_LE, err))
        return false;
    std::unique_ptr<DcmElement> element(made.object.remove(key_of(tag)));
    if (!element)
        return vt_fail(err, VT_E_INVALID, "(%04x,%04x) cannot be an element", VT_TAG_GROUP(tag),
                       VT_TAG_ELEMENT(tag));
    OFCondition done = item->insert(element.get(), OFTrue);
    if (done.bad())
        return failed(err, VT_E_INVALID, done, "putting an element");
    element.release();
    return true;
}

/* The bytes of a text in the character set of its item; a data set without one becomes UTF-8. */
static bool encode_text(vt_dataset *data_set, DcmItem *item, const char *vr, const char *utf8, struct vt_buf *out,
                        struct vt_err *err)
{
    size_t size = strlen(utf8);
    std::string charset = charset_of(item);

    if (vt_text_is_ascii(utf8, size) || !vt_text_vr_has_charset(vr))
        return vt_buf_append(out, utf8, size, err);
    if (charset.empty()) {
        charset = "ISO_IR 192";
        if (!put_raw(&data_set->object, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", charset.data(), charset.size(), err))
            return false;
    }
    return vt_text_from_utf8(charset.c_str(), vr, utf8, size, out, err);
}

static bool put(vt_dataset *data_set, const char *path, const char *utf8, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, TEXT_MAX);
    DcmItem *item = nullptr;
    DcmElement *made = nullptr;
    uint32_t tag = 0;

    if (!need_dictionary(err) || !resolve(data_set, path, true, item, tag, err))
        return false;
    OFCondition done = DcmItem::newDicomElement(made, DcmTag(key_of(tag)));
    std::unique_ptr<DcmElement> element(made);
    if (done.bad() || !element)
        return failed(err, VT_E_INVALID, done, path);
    const char *vr = DcmVR(element->getVR()).getValidVRName();
    if (!encode_text(data_set, item, vr, utf8, &bytes, err))
        return vt_fail_context(err, "%s", path);
    if (*utf8 != '\0' && element->ident() == EVR_SQ)
        return vt_fail(err, VT_E_INVALID, "%s is a sequence; name an element of an item", path);
    if (bytes.size > 0)
        done = element->putString(reinterpret_cast<const char *>(bytes.data), static_cast<Uint32>(bytes.size));
    if (done.good())
        done = item->insert(element.get(), OFTrue);
    if (done.bad())
        return failed(err, VT_E_INVALID, done, path);
    element.release();
    return true;
}

static bool remove(vt_dataset *data_set, const char *path, struct vt_err *err)
{
    DcmItem *item = nullptr;
    uint32_t tag = 0;

    if (!need_dictionary(err) || !resolve(data_set, path, false, item, tag, err))
        return false;
    if (!item || item->findAndDeleteElement(key_of(tag)).bad())
        return vt_fail(err, VT_E_NOTFOUND, "there is no %s", path);
    return true;
}

}

using namespace vt;

bool vt_dataset_get(struct vt_dataset *data_set, const char *path, struct vt_buf *out, bool *out_there,
                    struct vt_err *err)
{
    return guarded(err, [&] { return get(data_set, path, out, out_there, err); });
}

bool vt_dataset_put(struct vt_dataset *data_set, const char *path, const char *utf8, struct vt_err *err)
{
    return guarded(err, [&] { return put(data_set, path, utf8, err); });
}

bool vt_dataset_put_bytes(struct vt_dataset *data_set, uint32_t tag, const char *vr, const void *value, size_t size,
                          struct vt_err *err)
{
    return guarded(err, [&] { return put_raw(&data_set->object, tag, vr, value, size, err); });
}

bool vt_dataset_remove(struct vt_dataset *data_set, const char *path, struct vt_err *err)
{
    return guarded(err, [&] { return vt::remove(data_set, path, err); });
}
