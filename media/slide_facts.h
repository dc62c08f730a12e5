/* media/slide_facts.h: what a slide's Image Description tells. Pure text in, facts out; whatever does not make sense is left
 * out, nothing is invented. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "media/slide.h"

/* "Aperio Image Library v11.2.1 ..." with key = value parts behind bars. */
bool vt_slide_is_aperio(const char *description);
void vt_slide_facts_aperio(const char *description, struct vt_slide_facts *out);
/* Decimal point or comma; false: no number, or text behind it. */
bool vt_slide_decimal(const char *text, double *out);
/* The role that an Aperio page without tiles names in its second line; false: it names none. */
bool vt_slide_role_aperio(const char *description, enum vt_slide_role *out);
/* "YYYY:MM:DD hh:mm:ss" of a TIFF tag to DICOM DT; "" when it is none. */
void vt_slide_date_tiff(const char *text, char out[static 27]);
