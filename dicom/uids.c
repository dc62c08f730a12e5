#include "dicom/uids.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "core/auto.h"
#include "dicom/sop_classes.h"

/* In the order of strcmp. JPIP (.4.94, .4.95) is left out: its pixel data are elsewhere, so storing them keeps
 * nothing; SMPTE ST 2110 (.7.x) never has a data set of its own. */
#define BASE "1.2.840.10008.1.2"
#define PLAIN(number, name, encoding) { BASE number, name, encoding, false, true, false }
#define LOSSLESS(number, name) { BASE number, name, VT_EXPLICIT_LE, true, true, false }
#define LOSSY(number, name) { BASE number, name, VT_EXPLICIT_LE, true, false, false }
#define VIDEO(number, name) { BASE number, name, VT_EXPLICIT_LE, true, false, true }

static const struct vt_transfer_syntax transfer_syntaxes[] = {
    PLAIN("", "Implicit VR Little Endian", VT_IMPLICIT_LE),
    PLAIN(".1", "Explicit VR Little Endian", VT_EXPLICIT_LE),
    LOSSLESS(".1.98", "Encapsulated Uncompressed Explicit VR Little Endian"),
    PLAIN(".1.99", "Deflated Explicit VR Little Endian", VT_DEFLATED_LE),
    PLAIN(".2", "Explicit VR Big Endian", VT_EXPLICIT_BE),
    VIDEO(".4.100", "MPEG2 Main Profile / Main Level"),
    VIDEO(".4.100.1", "Fragmentable MPEG2 Main Profile / Main Level"),
    VIDEO(".4.101", "MPEG2 Main Profile / High Level"),
    VIDEO(".4.101.1", "Fragmentable MPEG2 Main Profile / High Level"),
    VIDEO(".4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    VIDEO(".4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    VIDEO(".4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    VIDEO(".4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    VIDEO(".4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    VIDEO(".4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    VIDEO(".4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    VIDEO(".4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    VIDEO(".4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    VIDEO(".4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    VIDEO(".4.107", "HEVC/H.265 Main Profile / Level 5.1"),
    VIDEO(".4.108", "HEVC/H.265 Main 10 Profile / Level 5.1"),
    LOSSLESS(".4.110", "JPEG XL Lossless"),
    LOSSY(".4.111", "JPEG XL JPEG Recompression"),
    LOSSY(".4.112", "JPEG XL"),
    LOSSLESS(".4.201", "High-Throughput JPEG 2000 Lossless Only"),
    LOSSLESS(".4.202", "High-Throughput JPEG 2000 with RPCL Options Lossless Only"),
    LOSSY(".4.203", "High-Throughput JPEG 2000"),
    LOSSY(".4.50", "JPEG Baseline (Process 1)"),
    LOSSY(".4.51", "JPEG Extended (Process 2 and 4)"),
    LOSSY(".4.52", "JPEG Extended (Process 3 and 5)"),
    LOSSY(".4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)"),
    LOSSY(".4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)"),
    LOSSY(".4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)"),
    LOSSY(".4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)"),
    LOSSLESS(".4.57", "JPEG Lossless, Non-Hierarchical (Process 14)"),
    LOSSLESS(".4.58", "JPEG Lossless, Non-Hierarchical (Process 15)"),
    LOSSY(".4.59", "JPEG Extended, Hierarchical (Process 16 and 18)"),
    LOSSY(".4.60", "JPEG Extended, Hierarchical (Process 17 and 19)"),
    LOSSY(".4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)"),
    LOSSY(".4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)"),
    LOSSY(".4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)"),
    LOSSY(".4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)"),
    LOSSLESS(".4.65", "JPEG Lossless, Hierarchical (Process 28)"),
    LOSSLESS(".4.66", "JPEG Lossless, Hierarchical (Process 29)"),
    LOSSLESS(".4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction"),
    LOSSLESS(".4.80", "JPEG-LS Lossless"),
    LOSSY(".4.81", "JPEG-LS Lossy (Near-Lossless)"),
    LOSSLESS(".4.90", "JPEG 2000 Lossless Only"),
    LOSSY(".4.91", "JPEG 2000"),
    LOSSLESS(".4.92", "JPEG 2000 Part 2 Multi-component Lossless Only"),
    LOSSY(".4.93", "JPEG 2000 Part 2 Multi-component"),
    LOSSLESS(".5", "RLE Lossless"),
    LOSSLESS(".8.1", "Deflated Image Frame Compression"),
};

static int compare_transfer_syntax(const void *uid, const void *entry)
{
    return strcmp(uid, ((const struct vt_transfer_syntax *)entry)->uid);
}

const struct vt_transfer_syntax *vt_transfer_syntax_find(const char *uid)
{
    return bsearch(uid, transfer_syntaxes, VT_COUNT(transfer_syntaxes),
                   sizeof transfer_syntaxes[0], compare_transfer_syntax);
}

const struct vt_transfer_syntax *vt_transfer_syntax_at(size_t i)
{
    return i < VT_COUNT(transfer_syntaxes) ? &transfer_syntaxes[i] : NULL;
}

static int compare_sop_class(const void *uid, const void *entry)
{
    return strcmp(uid, ((const struct vt_sop_class *)entry)->uid);
}

const struct vt_sop_class *vt_sop_class_find(const char *uid)
{
    return bsearch(uid, vt_sop_classes, vt_sop_class_count, sizeof vt_sop_classes[0],
                   compare_sop_class);
}

const struct vt_sop_class *vt_sop_class_at(size_t i)
{
    return i < vt_sop_class_count ? &vt_sop_classes[i] : NULL;
}

const char *vt_sop_class_of_model(enum vt_sop_kind kind, enum vt_model model)
{
    if (model == VT_MODEL_NONE)
        return NULL;
    for (size_t i = 0; i < vt_sop_class_count; i++)
        if (vt_sop_classes[i].kind == kind && vt_sop_classes[i].model == model)
            return vt_sop_classes[i].uid;
    return NULL;
}

bool vt_uid_usable(const char *uid)
{
    size_t length = strspn(uid, "0123456789.");

    return length > 0 && length <= VT_UID_MAX && uid[length] == '\0';
}

bool vt_uid_valid(const char *uid)
{
    if (!vt_uid_usable(uid))
        return false;
    for (const char *component = uid;; component++) {
        size_t digits = strcspn(component, ".");
        if (digits == 0 || (digits > 1 && component[0] == '0'))
            return false;
        component += digits;
        if (*component == '\0')
            return true;
    }
}

/* getrandom fails only where there is no such call or early in the boot; a UID must not repeat, so neither
 * is survivable. */
static void random_bytes(uint8_t bytes[static 16])
{
    for (size_t have = 0; have < 16;) {
        ssize_t got = getrandom(bytes + have, 16 - have, 0);
        if (got > 0)
            have += (size_t)got;
        else if (errno != EINTR)
            abort();
    }
}

/* 2.25 and a UUID as a number (PS3.5 B.2), its version and variant set (RFC 9562). */
static void write_uuid(uint8_t uuid[static 16], unsigned version, char *out)
{
    char digits[40];
    size_t at = sizeof digits;

    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | version << 4);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);

    unsigned __int128 number = 0;
    for (size_t i = 0; i < 16; i++)
        number = number << 8 | uuid[i];
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(number % 10));
        number /= 10;
    } while (number > 0);
    snprintf(out, VT_UID_MAX + 1, "2.25.%s", digits + at);
}

void vt_uid_new(char *out)
{
    uint8_t uuid[16];

    random_bytes(uuid);
    write_uuid(uuid, 4, out);
}

void vt_uid_derive(const char *name, char *out)
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(name, strlen(name)));
    write_uuid(canonical.digest, 8, out);
}

bool vt_ae_title_trim(const char *text, char *out)
{
    text += strspn(text, " ");
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    if (length == 0 || length > VT_AE_TITLE_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '\\')
            return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}
