/* cmd/samples.h: a few small studies of our own, for the first look and for tests: a CT series, an
 * MR series, a multi-frame ultrasound loop and a radiograph in JPEG Lossless. Drawn phantoms,
 * invented people; every byte and UID is the same each time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct vt_err;

/* Told after each file. */
typedef void (*vt_samples_told)(void *context, const char *path, size_t done, size_t total);

/* Writes DIR/ct/0001.dcm ... Files that are there are left as they are. vt_dict_load must have been
 * called. */
bool vt_samples_write(const char *folder, vt_samples_told told, void *context, size_t *out_count,
                      struct vt_err *err);

/* 2.25.<number> made of a text: always the same. out has room for VT_UID_MAX + 1. */
void vt_samples_uid(const char *text, char *out);
