#include "dicom/dataset_object.hh"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "dicom/text.h"

/* The DICOM JSON model (PS3.18 F.2). Our own writer: DcmItem::writeJson of 3.6.7 keeps the data set's character
 * set and cannot leave out bulk data. Recursion is as deep as the data set, which was checked on the way in. */

namespace vt {

struct json {
    struct vt_buf *out;
    struct vt_err *err;
    uint64_t bulk_above;
    const char *bulk_prefix;     /* NULL: bulk data are left out */
    std::string charset;         /* of the item being written */
    std::string path;            /* of the element being written: "00400275/1/00091001" */

    bool text(const char *plain) { return vt_buf_append_text(out, plain, err); }
    bool bytes(const char *plain, size_t size) { return vt_buf_append(out, plain, size, err); }
    bool string(const char *utf8, size_t size);
    bool item(DcmItem *from);
    bool element(DcmElement *from, bool &first);
    bool value(DcmElement *from, const char *vr);
    bool sequence(DcmElement *from);
    bool strings(DcmElement *from, const char *vr);
    bool one_string(const char *vr, const char *raw, size_t size);
    bool person_name(const char *utf8, size_t size);
    bool decimal(const char *raw, size_t size);
    bool numbers(DcmElement *from);
    bool inline_binary(DcmElement *from);
};

bool json::string(const char *utf8, size_t size)
{
    if (!text("\""))
        return false;
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        unsigned char c = i < size ? static_cast<unsigned char>(utf8[i]) : '"';
        if (i < size && c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (!bytes(utf8 + start, i - start))
            return false;
        start = i + 1;
        if (i == size)
            break;
        bool ok = c == '"' || c == '\\' ? vt_buf_printf(out, err, "\\%c", c)
                                        : vt_buf_printf(out, err, "\\u%04x", c);
        if (!ok)
            return false;
    }
    return text("\"");
}

/* Is it a number as JSON spells them? */
static bool is_json_number(const char *p, size_t size)
{
    size_t i = 0;
    auto digits = [&] {
        size_t start = i;
        while (i < size && p[i] >= '0' && p[i] <= '9')
            i++;
        return i - start;
    };

    if (i < size && p[i] == '-')
        i++;
    size_t whole = digits();
    if (whole == 0 || (whole > 1 && p[i - whole] == '0'))
        return false;
    if (i < size && p[i] == '.' && (i++, digits() == 0))
        return false;
    if (i < size && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < size && (p[i] == '+' || p[i] == '-'))
            i++;
        if (digits() == 0)
            return false;
    }
    return i == size;
}

/* IS and DS: as a number when they are one (also "+1", "01", ".5"), else as the text that is there. */
bool json::decimal(const char *raw, size_t size)
{
    std::string number(raw, size);
    char *end = nullptr;

    if (is_json_number(raw, size))
        return bytes(raw, size);
    double value = strtod(number.c_str(), &end);
    if (number.find_first_not_of("+-.0123456789eE") == std::string::npos && *end == '\0' && std::isfinite(value))
        return vt_buf_printf(out, err, "%.17g", value);
    return string(raw, size);
}

bool json::person_name(const char *utf8, size_t size)
{
    static const char *const groups[] = { "Alphabetic", "Ideographic", "Phonetic" };
    bool first = true;

    if (!text("{"))
        return false;
    for (size_t i = 0, start = 0; i < 3 && start <= size; i++) {
        size_t length = 0;
        while (start + length < size && utf8[start + length] != '=')
            length++;
        size_t shown = length;
        while (shown > 0 && (utf8[start + shown - 1] == ' ' || utf8[start + shown - 1] == '\0'))
            shown--;
        if (shown > 0) {
            if (!vt_buf_printf(out, err, "%s\"%s\":", first ? "" : ",", groups[i]) || !string(utf8 + start, shown))
                return false;
            first = false;
        }
        start += length + 1;
    }
    return text("}");
}

static bool one_value_only(const char *vr)
{
    return strcmp(vr, "LT") == 0 || strcmp(vr, "ST") == 0 || strcmp(vr, "UT") == 0 || strcmp(vr, "UR") == 0;
}

/* Already UTF-8. Padding goes, an empty value is null. */
bool json::one_string(const char *vr, const char *raw, size_t size)
{
    while (size > 0 && (raw[size - 1] == ' ' || raw[size - 1] == '\0'))
        size--;
    if (!one_value_only(vr) && strcmp(vr, "UC") != 0)
        while (size > 0 && *raw == ' ') {
            raw++;
            size--;
        }
    if (size == 0)
        return text("null");
    if (strcmp(vr, "PN") == 0)
        return person_name(raw, size);
    if (strcmp(vr, "IS") == 0 || strcmp(vr, "DS") == 0)
        return decimal(raw, size);
    return string(raw, size);
}

bool json::strings(DcmElement *from, const char *vr)
{
    VT_AUTO_BUF(utf8, out->limit);
    char *raw = nullptr;

    from->getString(raw);
    size_t size = raw ? strlen(raw) : 0;
    if (from->getTag() == DCM_SpecificCharacterSet)
        return text("\"ISO_IR 192\"");
    const char *set = vt_text_vr_has_charset(vr) ? charset.c_str() : "";
    if (!vt_text_to_utf8(set, nullptr, vr, raw ? raw : "", size, "\xEF\xBF\xBD", &utf8, err))
        return false;
    const char *at = reinterpret_cast<const char *>(utf8.data), *end = at + utf8.size;
    if (one_value_only(vr))
        return one_string(vr, at, utf8.size);
    for (bool first = true;; first = false) {
        auto *stop = static_cast<const char *>(memchr(at, '\\', static_cast<size_t>(end - at)));
        if ((!first && !text(",")) || !one_string(vr, at, static_cast<size_t>((stop ? stop : end) - at)))
            return false;
        if (!stop)
            return true;
        at = stop + 1;
    }
}

static std::string number_text(DcmElement *from, unsigned long i)
{
    char text[48] = "";

    switch (from->getVR()) {
    case EVR_FL: case EVR_FD: {
        Float64 wide = 0;
        Float32 narrow = 0;
        bool is_narrow = from->getVR() == EVR_FL;
        if (is_narrow ? from->getFloat32(narrow, i).bad() : from->getFloat64(wide, i).bad())
            break;
        double value = is_narrow ? static_cast<double>(narrow) : wide;
        if (std::isfinite(value))
            snprintf(text, sizeof text, is_narrow ? "%.9g" : "%.17g", value);
        else
            snprintf(text, sizeof text, std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        break;
    }
    case EVR_AT: {
        DcmTagKey key;
        if (static_cast<DcmAttributeTag *>(from)->getTagVal(key, i).good())
            snprintf(text, sizeof text, "\"%04X%04X\"", key.getGroup(), key.getElement());
        break;
    }
    default: {
        OFString plain;
        if (from->getOFString(plain, i).good())
            snprintf(text, sizeof text, "%s", plain.c_str());
        break;
    }
    }
    return text[0] ? std::string(text) : std::string("null");
}

bool json::numbers(DcmElement *from)
{
    unsigned long count = from->getVM();

    for (unsigned long i = 0; i < count; i++)
        if ((i > 0 && !text(",")) || !text(number_text(from, i).c_str()))
            return false;
    return true;
}

static bool base64(struct vt_buf *out, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (!vt_buf_reserve(out, (size + 2) / 3 * 4, err))
        return false;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = static_cast<uint32_t>(bytes[i]) << 16;
        if (i + 1 < size)
            three |= static_cast<uint32_t>(bytes[i + 1]) << 8;
        if (i + 2 < size)
            three |= bytes[i + 2];
        for (size_t j = 0; j < 4; j++)
            out->data[out->size++] = static_cast<uint8_t>(
                i + j > size ? '=' : alphabet[three >> (18 - 6 * j) & 0x3f]);
    }
    return true;
}

/* Numbers of OW, OL ... are in little endian there, as in memory here. */
bool json::inline_binary(DcmElement *from)
{
    VT_AUTO_BUF(bytes, out->limit);
    size_t size = from->getLength();

    if (!vt_buf_reserve(&bytes, size, err))
        return false;
    OFCondition done = from->getPartialValue(bytes.data, 0, static_cast<Uint32>(size), nullptr, EBO_LittleEndian);
    if (done.bad())
        return failed(err, VT_E_INVALID, done, "reading a binary value");
    return text(",\"InlineBinary\":\"") && base64(out, bytes.data, size, err) && text("\"");
}

bool json::sequence(DcmElement *from)
{
    auto *items = static_cast<DcmSequenceOfItems *>(from);
    std::string here = path, around = charset;
    size_t number = 0;

    for (DcmObject *next = items->nextInContainer(nullptr); next; next = items->nextInContainer(next)) {
        path = here + "/" + std::to_string(++number) + "/";
        if ((number > 1 && !text(",")) || !item(static_cast<DcmItem *>(next)))
            return false;
        charset = around;
    }
    path = here;
    return true;
}

static bool is_binary(const char *vr)
{
    return vr[0] == 'O' || strcmp(vr, "UN") == 0;
}

static bool is_numeric(const char *vr)
{
    static const char *const vrs[] = { "US", "SS", "UL", "SL", "FL", "FD", "AT", "SV", "UV" };

    for (const char *numeric : vrs)
        if (strcmp(vr, numeric) == 0)
            return true;
    return false;
}

bool json::value(DcmElement *from, const char *vr)
{
    if (strcmp(vr, "SQ") == 0)
        return text(",\"Value\":[") && sequence(from) && text("]");
    if (is_binary(vr))
        return inline_binary(from);
    return text(",\"Value\":[") && (is_numeric(vr) ? numbers(from) : strings(from, vr)) && text("]");
}

bool json::element(DcmElement *from, bool &first)
{
    const DcmTag &tag = from->getTag();
    bool fragments = false;
    const char *vr = DcmVR(from->getVR()).getValidVRName();

    if (tag.getElement() == 0 || tag.getGroup() <= 0x0002)
        return true;
    if (tag == DCM_PixelData) {
        DcmPixelSequence *sequence_there = nullptr;
        E_TransferSyntax syntax = EXS_Unknown;
        const DcmRepresentationParameter *parameter = nullptr;
        auto *pixels = static_cast<DcmPixelData *>(from);
        pixels->getCurrentRepresentationKey(syntax, parameter);
        fragments = pixels->getEncapsulatedRepresentation(syntax, parameter, sequence_there).good();
        vr = fragments ? "OB" : vr;
    }
    bool bulk = fragments || (strcmp(vr, "SQ") != 0 && from->getLength() > bulk_above);
    if (bulk && !bulk_prefix)
        return true;
    char key[16];
    snprintf(key, sizeof key, "%04X%04X", tag.getGroup(), tag.getElement());
    if (!vt_buf_printf(out, err, "%s\"%s\":{\"vr\":\"%s\"", first ? "" : ",", key, vr))
        return false;
    first = false;
    std::string here = path;
    path += key;
    bool ok = true;
    if (bulk)
        ok = text(",\"BulkDataURI\":") && string((bulk_prefix + path).c_str(), strlen(bulk_prefix) + path.size());
    else if (from->getLength() > 0 || (strcmp(vr, "SQ") == 0 && static_cast<DcmSequenceOfItems *>(from)->card() > 0))
        ok = value(from, vr);
    path = here;
    return ok && text("}");
}

bool json::item(DcmItem *from)
{
    bool first = true;
    OFString own;

    if (from->findAndGetOFStringArray(DCM_SpecificCharacterSet, own).good())
        charset = own.c_str();
    if (!text("{"))
        return false;
    for (DcmObject *next = from->nextInContainer(nullptr); next; next = from->nextInContainer(next))
        if (!element(static_cast<DcmElement *>(next), first))
            return false;
    return text("}");
}

}

using namespace vt;

bool vt_dataset_json(struct vt_dataset *data_set, uint64_t bulk_above, const char *bulk_prefix, struct vt_buf *out,
                     struct vt_err *err)
{
    size_t before = out->size;

    bool ok = guarded(err, [&] {
        json writer = { out, err, bulk_above, bulk_prefix, {}, {} };
        return writer.item(&data_set->object);
    });
    if (!ok)
        out->size = before;
    return ok;
}
