/* tests/bench/images.h: the instances of the load generator, as data sets in memory whose identity is patched.
 *
 *   ct     525 KB  512 x 512 x 16 bit, 300 a series            tiny   1.5 KB, 20 a series, 50 a study, 100 a patient
 *   wsi    60 MB, 4000 JPEG-like fragments, one a series       huge   multi-frame of any size, sent as it is made
 *
 * Instance n of a run always has the same identity, so finds know what a load has stored. Names: 1.5 % of patients are
 * SMITH, 3 % hold MIT; dates spread over 7000 days, so a week is 0.1 %. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind { IMAGE_CT, IMAGE_TINY, IMAGE_WSI, IMAGE_HUGE };

enum { IMAGE_UID = 26, IMAGE_DAYS = 7000, IMAGE_HEAD_MAX = 4096 };

struct image_set {
    enum image_kind kind;
    const char *name, *sop_class, *transfer_syntax;
    uint32_t per_series, per_study, per_patient;
};
const struct image_set *image_set_of(const char *name);      /* NULL: no such set */

struct identity {
    char sop_uid[IMAGE_UID + 1], series_uid[IMAGE_UID + 1], study_uid[IMAGE_UID + 1];
    char patient_id[11], accession[11], name[25], date[9], number[11];
};
/* `run` keeps loads apart; the same run and n give the same identity. */
void identity_of(const struct image_set *set, uint32_t run, uint64_t n, struct identity *out);

/* Data set (Explicit VR LE) with the places of its identity. The fields lie in the first IMAGE_HEAD_MAX bytes. */
struct image {
    uint8_t *bytes;
    size_t size;               /* of IMAGE_HUGE: up to and with the head of Pixel Data */
    uint64_t pixels_to_come;   /* IMAGE_HUGE: bytes that follow and are not held */
    struct { size_t sop_uid, series_uid, study_uid, patient_id, accession, name, date, number; } at;
};
bool image_make(const struct image_set *set, uint64_t huge_bytes, struct image *out);
void image_free(struct image *image);
/* `bytes` are the image's or a copy's. */
void image_patch(const struct image *image, uint8_t *bytes, const struct identity *identity);
