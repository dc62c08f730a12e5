/* tests/archive/objects.h: small instances made of nothing, in folders of their own; for the tests
 * of archive/. */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/late.h"
#include "archive/receive.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"

struct object {
    const char *patient, *study, *series, *sop, *sop_class, *syntax;
    const char *description; /* Study Description: something to change */
    size_t pixels;           /* bytes; 0: no pixel data */
    uint8_t shade;           /* of the pixels */
};
#define OBJECT                                                                                     \
    ((struct object){ .patient = "P1",                                                             \
                      .study = "1.2.3.1",                                                          \
                      .series = "1.2.3.1.1",                                                       \
                      .sop = "1.2.3.1.1.1",                                                        \
                      .sop_class = VT_UID_CT_IMAGE,                                                \
                      .syntax = VT_UID_EXPLICIT_LE,                                                \
                      .description = "Thorax",                                                     \
                      .pixels = 1000,                                                              \
                      .shade = 7 })

static inline bool object_encode(const struct object *object, struct vt_buf *out)
{
    enum vt_encoding encoding = vt_transfer_syntax_find(object->syntax)->encoding;
    struct vt_writer w = { out, encoding };
    struct vt_err err = { 0 };
    uint8_t *pixels = malloc(object->pixels ? object->pixels : 1);

    if (!pixels)
        return false;
    memset(pixels, object->shade, object->pixels);
    bool ok = vt_write_text(&w, VT_TAG_SOP_CLASS_UID, "UI", object->sop_class, &err) &&
              vt_write_text(&w, VT_TAG_SOP_INSTANCE_UID, "UI", object->sop, &err) &&
              vt_write_text(&w, VT_TAG_STUDY_DATE, "DA", "20260102", &err) &&
              vt_write_text(&w, VT_TAG_MODALITY, "CS", "CT", &err) &&
              vt_write_text(&w, VT_TAG_STUDY_DESCRIPTION, "LO", object->description, &err) &&
              vt_write_text(&w, VT_TAG_PATIENT_NAME, "PN", "Doe^Jane", &err) &&
              vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", object->patient, &err) &&
              vt_write_text(&w, VT_TAG_STUDY_INSTANCE_UID, "UI", object->study, &err) &&
              vt_write_text(&w, VT_TAG_SERIES_INSTANCE_UID, "UI", object->series, &err) &&
              vt_write_text(&w, VT_TAG_INSTANCE_NUMBER, "IS", "1", &err) &&
              vt_write_us(&w, VT_TAG_SAMPLES_PER_PIXEL, 1, &err) &&
              vt_write_text(&w, VT_TAG_PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME2", &err) &&
              vt_write_us(&w, VT_TAG_ROWS, 1, &err) &&
              vt_write_us(&w, VT_TAG_COLUMNS, (uint16_t)(object->pixels / 2 % 65536), &err) &&
              vt_write_us(&w, VT_TAG_BITS_ALLOCATED, 16, &err) &&
              vt_write_us(&w, VT_TAG_BITS_STORED, 16, &err) &&
              vt_write_us(&w, VT_TAG_HIGH_BIT, 15, &err) &&
              vt_write_us(&w, VT_TAG_PIXEL_REPRESENTATION, 0, &err) &&
              (object->pixels == 0 ||
               vt_write_bytes(&w, VT_TAG_PIXEL_DATA, "OW", pixels, object->pixels, &err));
    free(pixels);
    return ok;
}

/* As an association does it, in pieces. */
static inline bool object_pass(struct vt_receive *receive, const struct object *object,
                               struct vt_receive_result *out, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, 256 << 20);
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(object->syntax);
    struct vt_receive_from from = { .sop_class_uid = object->sop_class,
                                    .sop_instance_uid = object->sop,
                                    .transfer_syntax_uid = object->syntax,
                                    .encoding = syntax->encoding,
                                    .encapsulated = syntax->encapsulated,
                                    .calling_ae_title = "CT1",
                                    .host = "127.0.0.1" };

    if (!object_encode(object, &bytes))
        return vt_fail(err, VT_E_NOMEM, "no object");
    if (!vt_receive_begin(receive, &from, err))
        return false;
    for (size_t at = 0; at < bytes.size; at += 40000)
        if (!vt_receive_write(receive, bytes.data + at,
                              bytes.size - at < 40000 ? bytes.size - at : 40000, err)) {
            vt_receive_abandon(receive);
            return false;
        }
    return vt_receive_commit(receive, out, err);
}

/* The same, and its file is in place, for who looks there next. */
static inline bool object_send(struct vt_receive *receive, const struct object *object,
                               struct vt_receive_result *out, struct vt_err *err)
{
    struct vt_err ignored = { 0 };

    if (!object_pass(receive, object, out, err))
        return false;
    vt_late_settle(receive->archive, &ignored);
    return true;
}

static inline int object_remove_one(const char *path, const struct stat *info, int type,
                                    struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void folder_remove(const char *path)
{
    nftw(path, object_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A fresh folder below $TMPDIR or /tmp; borrowed static storage. */
static inline const char *folder_new(void)
{
    static char path[256];
    const char *base = getenv("TMPDIR");

    snprintf(path, sizeof path, "%s/vt-archive-XXXXXX", base ? base : "/tmp");
    return mkdtemp(path);
}

/* Before and after a test whose state is the path of a fresh folder. */
static inline int folder_set_up(void **state)
{
    *state = strdup(folder_new());
    return *state ? 0 : -1;
}

static inline int folder_tear_down(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, folder_set_up, folder_tear_down)

static inline struct vt_archive *archive_at(const char *path)
{
    struct vt_archive_options options = {
        .path = path, .journal_segment = 1 << 20, .warn_free = 1, .stop_free = 1, .readers = 4
    };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);

    if (!archive)
        fprintf(stderr, "archive: %s\n", err.text);
    return archive;
}

static inline size_t count_lines(const char *command)
{
    FILE *pipe = popen(command, "r");
    size_t lines = 0;

    for (int c = pipe ? fgetc(pipe) : EOF; c != EOF; c = fgetc(pipe))
        lines += c == '\n';
    if (pipe)
        pclose(pipe);
    return lines;
}

/* Files below path/sub that hold something: staging/ has empty ones made ahead. */
static inline size_t count_files(const char *path, const char *sub)
{
    char command[1024];

    snprintf(command, sizeof command, "find '%s/%s' -type f -size +0", path, sub);
    return count_lines(command);
}
