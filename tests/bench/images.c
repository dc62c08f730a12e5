#include "tests/bench/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/dcm.h"

enum { CT_PIXELS = 512 * 512 * 2, TINY_PIXELS = 1024, WSI_FRAGMENTS = 4000, WSI_FRAGMENT = 15000,
       FIRST_DAY = 946684800 /* 2000-01-01 */, DAY = 86400 };

static const struct image_set sets[] = {
    { IMAGE_CT, "ct", DCM_CT, DCM_EXPLICIT, 300, 300, 300 },
    { IMAGE_TINY, "tiny", DCM_CT, DCM_EXPLICIT, 20, 50, 100 },
    { IMAGE_WSI, "wsi", DCM_SLIDE, DCM_JPEG, 1, 1, 1 },
    { IMAGE_HUGE, "huge", DCM_MULTIFRAME, DCM_EXPLICIT, 1, 1, 1 },
};

const struct image_set *image_set_of(const char *name)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}

/* 2.25 and one number of 21 digits: 1, run, level, count. */
static void make_uid(char out[IMAGE_UID + 1], uint32_t run, unsigned level, uint64_t n)
{
    snprintf(out, IMAGE_UID + 1, "2.25.1%09u%u%010llu", run % 1000000000u, level, (unsigned long long)(n % 10000000000ull));
}

void identity_of(const struct image_set *set, uint32_t run, uint64_t n, struct identity *out)
{
    const uint64_t study = n / set->per_study, patient = n / set->per_patient;
    const uint64_t series = study * (set->per_study / set->per_series + 1) + n % set->per_study / set->per_series;
    const time_t day = FIRST_DAY + (time_t)(study * 7919 % IMAGE_DAYS) * DAY;
    struct tm date;

    make_uid(out->sop_uid, run, 4, n);
    make_uid(out->series_uid, run, 3, series);
    make_uid(out->study_uid, run, 2, study);
    snprintf(out->patient_id, sizeof out->patient_id, "P%09u", (unsigned)(patient % 1000000000u));
    snprintf(out->accession, sizeof out->accession, "A%09u", (unsigned)(study % 1000000000u));
    const unsigned slot = (unsigned)(patient % 200);
    const char *family = slot < 3 ? "SMITH" : slot < 6 ? "DIMITROV" : slot < 100 ? "MILLER" : "JONES";
    snprintf(out->name, sizeof out->name, "%s^%09u", family, (unsigned)(patient % 1000000000u));
    gmtime_r(&day, &date);
    strftime(out->date, sizeof out->date, "%Y%m%d", &date);
    snprintf(out->number, sizeof out->number, "%u", (unsigned)(n % set->per_series + 1));
}

/* ---- building ---- */

static size_t put(struct image *image, uint32_t tag, const char *vr, const void *value, size_t size)
{
    uint8_t *at = image->bytes + image->size;
    const bool wide = strcmp(vr, "OB") == 0 || strcmp(vr, "OW") == 0;
    const uint8_t head[6] = { (uint8_t)(tag >> 16), (uint8_t)(tag >> 24), (uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)vr[0],
                              (uint8_t)vr[1] };
    memcpy(at, head, sizeof head);
    const uint32_t length = (uint32_t)size;
    size_t value_at = image->size + 8;
    if (wide) {
        memset(at + 6, 0, 2);
        memcpy(at + 8, &length, 4);
        value_at += 4;
    } else {
        memcpy(at + 6, &length, 2);
    }
    if (value)
        memcpy(image->bytes + value_at, value, size);
    image->size = value_at + (value ? size : 0);
    return value_at;
}

static size_t put_text(struct image *image, uint32_t tag, const char *vr, const char *text, size_t width)
{
    char padded[128];
    size_t size = strlen(text);
    memset(padded, strcmp(vr, "UI") == 0 ? 0 : ' ', sizeof padded);
    memcpy(padded, text, size);
    size = size > width ? size : width;
    return put(image, tag, vr, padded, size + size % 2);
}

static void put_us(struct image *image, uint32_t tag, uint16_t value)
{
    put(image, tag, "US", &value, sizeof value);
}

static void put_head(struct image *image, const struct image_set *set, const char *frames)
{
    const bool color = set->kind == IMAGE_WSI, wide = set->kind == IMAGE_CT || set->kind == IMAGE_HUGE;
    const uint16_t side = set->kind == IMAGE_TINY ? 32 : 512, bits = wide ? 16 : 8;

    put_text(image, 0x00080005, "CS", "ISO_IR 100", 0);
    put_text(image, 0x00080016, "UI", set->sop_class, 0);
    image->at.sop_uid = put_text(image, 0x00080018, "UI", "", IMAGE_UID);
    image->at.date = put_text(image, 0x00080020, "DA", "", 8);
    put_text(image, 0x00080030, "TM", "101112", 0);
    image->at.accession = put_text(image, 0x00080050, "SH", "", 10);
    put_text(image, 0x00080060, "CS", color ? "SM" : "CT", 0);
    put_text(image, 0x00080070, "LO", "Vitrine bench", 0);
    put_text(image, 0x00080090, "PN", "REFERRER^A", 0);
    put_text(image, 0x00081030, "LO", "Thorax native", 0);
    image->at.name = put_text(image, 0x00100010, "PN", "", 24);
    image->at.patient_id = put_text(image, 0x00100020, "LO", "", 10);
    put_text(image, 0x00100030, "DA", "19500101", 0);
    put_text(image, 0x00100040, "CS", "O", 0);
    image->at.study_uid = put_text(image, 0x0020000D, "UI", "", IMAGE_UID);
    image->at.series_uid = put_text(image, 0x0020000E, "UI", "", IMAGE_UID);
    put_text(image, 0x00200010, "SH", "1", 0);
    put_text(image, 0x00200011, "IS", "1", 0);
    image->at.number = put_text(image, 0x00200013, "IS", "", 6);
    put_us(image, 0x00280002, color ? 3 : 1);
    put_text(image, 0x00280004, "CS", color ? "YBR_FULL_422" : "MONOCHROME2", 0);
    if (color)
        put_us(image, 0x00280006, 0);
    if (frames)
        put_text(image, 0x00280008, "IS", frames, 0);
    put_us(image, 0x00280010, side);
    put_us(image, 0x00280011, side);
    put_us(image, 0x00280100, bits);
    put_us(image, 0x00280101, bits);
    put_us(image, 0x00280102, (uint16_t)(bits - 1));
    put_us(image, 0x00280103, 0);
}

/* Something that is neither zero nor the same on every page. */
static void fill(uint8_t *bytes, size_t size)
{
    uint32_t x = 2463534242u;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = (uint8_t)x;
    }
}

static void put_item(struct image *image, uint16_t element, size_t size, bool with_bytes)
{
    const uint8_t head[8] = { 0xfe, 0xff, (uint8_t)element, (uint8_t)(element >> 8), (uint8_t)size, (uint8_t)(size >> 8),
                              (uint8_t)(size >> 16), 0 };
    memcpy(image->bytes + image->size, head, sizeof head);
    image->size += sizeof head;
    if (with_bytes) {
        uint8_t *at = image->bytes + image->size;
        fill(at, size);
        memcpy(at, "\xff\xd8\xff\xe0", 4);
        memcpy(at + size - 2, "\xff\xd9", 2);
        image->size += size;
    }
}

static void put_fragments(struct image *image)
{
    uint8_t *at = image->bytes + image->size;
    static const uint8_t head[12] = { 0xe0, 0x7f, 0x10, 0, 'O', 'B', 0, 0, 0xff, 0xff, 0xff, 0xff };
    memcpy(at, head, sizeof head);
    image->size += sizeof head;
    put_item(image, 0xe000, 0, false);      /* empty offset table */
    for (int i = 0; i < WSI_FRAGMENTS; i++)
        put_item(image, 0xe000, WSI_FRAGMENT, true);
    put_item(image, 0xe0dd, 0, false);
}

bool image_make(const struct image_set *set, uint64_t huge_bytes, struct image *out)
{
    static const size_t pixels[] = { CT_PIXELS, TINY_PIXELS, (size_t)WSI_FRAGMENTS * (WSI_FRAGMENT + 8) + 64, 0 };
    char frames[16] = "";

    memset(out, 0, sizeof *out);
    out->bytes = malloc(IMAGE_HEAD_MAX + pixels[set->kind]);
    if (!out->bytes)
        return false;
    if (set->kind == IMAGE_WSI)
        snprintf(frames, sizeof frames, "%d", WSI_FRAGMENTS);
    if (set->kind == IMAGE_HUGE) {
        out->pixels_to_come = huge_bytes / CT_PIXELS * CT_PIXELS;
        snprintf(frames, sizeof frames, "%llu", (unsigned long long)(out->pixels_to_come / CT_PIXELS));
    }
    put_head(out, set, frames[0] ? frames : NULL);
    if (set->kind == IMAGE_WSI) {
        put_fragments(out);
    } else if (set->kind == IMAGE_HUGE) {
        put(out, 0x7FE00010, "OW", NULL, (size_t)out->pixels_to_come);
    } else {
        size_t at = put(out, 0x7FE00010, set->kind == IMAGE_CT ? "OW" : "OB", NULL, pixels[set->kind]);
        fill(out->bytes + at, pixels[set->kind]);
        out->size = at + pixels[set->kind];
    }
    return true;
}

void image_free(struct image *image)
{
    free(image->bytes);
    image->bytes = NULL;
}

static void patch(uint8_t *at, const char *text, size_t width, char pad)
{
    size_t size = strnlen(text, width);
    memset(at, pad, width);
    memcpy(at, text, size);
}

void image_patch(const struct image *image, uint8_t *bytes, const struct identity *id)
{
    patch(bytes + image->at.sop_uid, id->sop_uid, IMAGE_UID, '\0');
    patch(bytes + image->at.series_uid, id->series_uid, IMAGE_UID, '\0');
    patch(bytes + image->at.study_uid, id->study_uid, IMAGE_UID, '\0');
    patch(bytes + image->at.patient_id, id->patient_id, 10, ' ');
    patch(bytes + image->at.accession, id->accession, 10, ' ');
    patch(bytes + image->at.name, id->name, 24, ' ');
    patch(bytes + image->at.date, id->date, 8, ' ');
    patch(bytes + image->at.number, id->number, 6, ' ');
}
