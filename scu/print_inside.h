/* scu/print_inside.h: the data sets of printing (PS3.3 C.13). Only for scu/print*.c. */
#pragma once

#include "dicom/element.h"
#include "scu/print.h"

#define VT_UID_GREY_PRINT "1.2.840.10008.5.1.1.9"
#define VT_UID_COLOUR_PRINT "1.2.840.10008.5.1.1.18"
#define VT_UID_FILM_SESSION "1.2.840.10008.5.1.1.1"
#define VT_UID_FILM_BOX "1.2.840.10008.5.1.1.2"
#define VT_UID_GREY_IMAGE_BOX "1.2.840.10008.5.1.1.4"
#define VT_UID_COLOUR_IMAGE_BOX "1.2.840.10008.5.1.1.4.1"
#define VT_UID_PRINTER "1.2.840.10008.5.1.1.16"
#define VT_UID_PRINTER_INSTANCE "1.2.840.10008.5.1.1.17"
#define VT_UID_PRINT_JOB "1.2.840.10008.5.1.1.14"
#define VT_UID_PRESENTATION_LUT "1.2.840.10008.5.1.1.23"
#define VT_UID_ANNOTATION_BOX "1.2.840.10008.5.1.1.15"

enum {
    VT_PRINT_TAG_PRINTER_STATUS = 0x21100010,
    VT_PRINT_TAG_PRINTER_INFO = 0x21100020,
    VT_PRINT_TAG_PRINTER_NAME = 0x21100030,
    VT_PRINT_TAG_JOB_INFO = 0x21000030,
    VT_PRINT_TAG_IMAGE_BOXES = 0x20100510,
    VT_PRINT_TAG_ANNOTATION_BOXES = 0x20100520,
};

/* In the encoding of the context they go on. */
bool vt_print_write_session(struct vt_writer *w, const struct vt_print_options *options, struct vt_err *err);
/* lut_uid "": no Presentation LUT. annotated: the printer offers annotation. */
bool vt_print_write_film(struct vt_writer *w, const struct vt_print_options *options, const char *session_uid,
                         const char *lut_uid, bool annotated, struct vt_err *err);
bool vt_print_write_lut(struct vt_writer *w, struct vt_err *err);
bool vt_print_write_image(struct vt_writer *w, const struct vt_print_options *options, uint16_t position,
                          const struct vt_print_image *image, struct vt_err *err);
bool vt_print_write_annotation(struct vt_writer *w, uint16_t position, const char *text, struct vt_err *err);

/* The SOP Instance UIDs of a reference sequence (Explicit VR LE), at most `max`. */
size_t vt_print_references(const uint8_t *bytes, size_t size, uint32_t tag, char (*out)[VT_UID_MAX + 1], size_t max);
