/* dicom/text.h: character sets (PS3.5 6.1, PS3.3 C.12.1.1.2), to UTF-8 and back, and the folding that
 * matching uses. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_buf;

/* `charset` is the value of (0008,0005), several values with backslashes, "" or NULL for ISO-IR 6. Appends. Bytes
 * that cannot be decoded become `replacement` (e.g. "?" or "\xEF\xBF\xBD"). An unknown or misspelt set ("ISO IR 100",
 * "UTF-8") is read as what was meant if that is clear, else as `fallback`; so are 8-bit
 * bytes when no set is named. Fallback NULL: UTF-8 if they are that, else ISO_IR 100. `vr` decides where
 * escapes reset. Plain ASCII takes no conversion. Fails only for want of memory or room. */
bool vt_text_to_utf8(const char *charset, const char *fallback, const char *vr, const char *bytes, size_t size,
                     const char *replacement, struct vt_buf *out, struct vt_err *err);

/* VT_E_INVALID: a character that the set does not have; out is as before. */
bool vt_text_from_utf8(const char *charset, const char *vr, const char *utf8, size_t size, struct vt_buf *out,
                       struct vt_err *err);

bool vt_text_is_ascii(const char *bytes, size_t size);
bool vt_text_is_utf8(const char *bytes, size_t size);   /* well-formed (RFC 3629) */
bool vt_text_charset_known(const char *charset);
/* VRs that (0008,0005) applies to: LO LT PN SH ST UC UT. */
bool vt_text_vr_has_charset(const char *vr);

/* For matching names (PN) and for infix search: NFKC, case folded, accents removed, runs of spaces one,
 * trailing empty components dropped in each group. '*', '?', '^', '=', '\\' stay. Appends. */
bool vt_text_fold(const char *utf8, size_t size, struct vt_buf *out, struct vt_err *err);

#ifdef __cplusplus
}
#endif
