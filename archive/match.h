/* archive/match.h: comparing values as PS3.4 C.2.2.2 says, and bringing dates, times and names into
 * the form in which they compare as text. Pure functions; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_buf;

enum { VT_DATE_ROOM = 9, VT_TIME_ROOM = 14, VT_DATETIME_ROOM = 40, VT_SOUNDEX_ROOM = 5 };

/* '*' any run, '?' one character of UTF-8. */
bool vt_match_wild(const char *pattern, size_t pattern_size, const char *text, size_t text_size);

/* YYYYMMDD from that or YYYY.MM.DD; false when it is no date. */
bool vt_match_date(const char *text, size_t size, char out[VT_DATE_ROOM]);

/* HHMMSS.ffffff from HH[MM[SS[.f]]] or HH:MM:SS; what is missing is the lowest value, or the
 * highest when `upper`. */
bool vt_match_time(const char *text, size_t size, bool upper, char out[VT_TIME_ROOM]);

/* YYYYMMDDHHMMSS.ffffff in UTC from a DT; an offset is taken off when it is there. */
bool vt_match_datetime(const char *text, size_t size, bool upper, char out[VT_DATETIME_ROOM]);

/* IS, DS and the like by value. */
bool vt_match_number(const char *text, size_t size, double *out);

/* Splits a range at its '-'. DT: a '-' that begins an offset does not count. Spaces around are
 * dropped; an open side has size 0. false: no range. */
struct vt_match_range {
    const char *low, *high;
    size_t low_size, high_size;
};
bool vt_match_split_range(const char *text, size_t size, bool datetime, struct vt_match_range *out);

/* Names folded for matching (dicom/text.h), and with accents kept. Appends. */
bool vt_match_fold(const char *utf8, size_t size, bool keep_accents, struct vt_buf *out,
                   struct vt_err *err);

/* Both folded. One group in the pattern: any of the stored groups; several: group by group, an
 * empty one matches all. */
bool vt_match_name(const char *pattern, size_t pattern_size, const char *name, size_t name_size);

/* Every token of the pattern is the prefix of a token of the name or sounds like one, in any order.
 * Both folded. */
bool vt_match_name_fuzzy(const char *pattern, size_t pattern_size, const char *name,
                         size_t name_size);

/* American Soundex of the Latin letters of a token: letter and three digits. false: no Latin letter
 * first. */
bool vt_match_soundex(const char *token, size_t size, char out[VT_SOUNDEX_ROOM]);

/* The next value between backslashes. Start with *at = text; false behind the last. */
bool vt_match_next_value(const char **at, const char *end, const char **out, size_t *out_size);
