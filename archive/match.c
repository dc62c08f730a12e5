#include "archive/match.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"

bool vt_match_next_value(const char **at, const char *end, const char **out, size_t *out_size)
{
    const char *from = *at;

    if (!from || from > end)
        return false;
    const char *stop = memchr(from, '\\', (size_t)(end - from));
    if (!stop)
        stop = end;
    *at = stop < end ? stop + 1 : end + 1;
    while (stop > from && (stop[-1] == ' ' || stop[-1] == '\0'))
        stop--;
    while (from < stop && *from == ' ')
        from++;
    *out = from;
    *out_size = (size_t)(stop - from);
    return true;
}

static const char *next_character(const char *p, const char *end)
{
    p++;
    while (p < end && ((unsigned char)*p & 0xc0) == 0x80)
        p++;
    return p;
}

/* Goes back to the last '*' only, so the time is bounded by pattern size times text size. */
bool vt_match_wild(const char *pattern, size_t pattern_size, const char *text, size_t text_size)
{
    const char *p = pattern, *p_end = pattern + pattern_size;
    const char *t = text, *t_end = text + text_size;
    const char *star = NULL, *star_text = NULL;

    while (t < t_end) {
        if (p < p_end && *p == '*') {
            star = ++p;
            star_text = t;
        } else if (p < p_end && *p == '?') {
            p++;
            t = next_character(t, t_end);
        } else if (p < p_end && *p == *t) {
            p++;
            t++;
        } else if (star) {
            p = star;
            star_text = next_character(star_text, t_end);
            t = star_text;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}

static bool all_digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

static int two_digits(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

bool vt_match_date(const char *text, size_t size, char out[VT_DATE_ROOM])
{
    char digits[8];

    if (size == 10 && text[4] == '.' && text[7] == '.') {
        memcpy(digits, text, 4);
        memcpy(digits + 4, text + 5, 2);
        memcpy(digits + 6, text + 8, 2);
    } else if (size == 8) {
        memcpy(digits, text, 8);
    } else {
        return false;
    }
    if (!all_digits(digits, 8))
        return false;
    int month = two_digits(digits + 4), day = two_digits(digits + 6);
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    memcpy(out, digits, 8);
    out[8] = '\0';
    return true;
}

/* "HHMMSS" out of up to six digits, with or without colons; returns how many characters were read.
 */
static size_t clock_digits(const char *text, size_t size, char digits[6], size_t *out_count)
{
    size_t at = 0, count = 0;

    while (at < size && count < 6) {
        if (text[at] == ':' && count > 0 && count % 2 == 0 && at + 1 < size) {
            at++;
            continue;
        }
        if (text[at] < '0' || text[at] > '9')
            break;
        digits[count++] = text[at++];
    }
    *out_count = count;
    return at;
}

bool vt_match_time(const char *text, size_t size, bool upper, char out[VT_TIME_ROOM])
{
    static const char lowest[] = "000000.000000", highest[] = "235959.999999";
    char digits[6];
    size_t count, at = clock_digits(text, size, digits, &count);

    if (count == 0 || count % 2 != 0)
        return false;
    memcpy(out, upper ? highest : lowest, VT_TIME_ROOM);
    memcpy(out, digits, count);
    if (two_digits(out) > 23 || two_digits(out + 2) > 59 || two_digits(out + 4) > 60)
        return false;
    if (at == size)
        return true;
    size_t fraction = size - at - 1;
    if (text[at] != '.' || count != 6 || fraction < 1 || fraction > 6 ||
        !all_digits(text + at + 1, fraction))
        return false;
    memcpy(out + 7, text + at + 1, fraction);
    return true;
}

static bool parse_offset(const char *text, size_t size, int *out_minutes)
{
    if (size != 5 || (text[0] != '+' && text[0] != '-') || !all_digits(text + 1, 4))
        return false;
    int minutes = two_digits(text + 1) * 60 + two_digits(text + 3);
    *out_minutes = text[0] == '-' ? -minutes : minutes;
    return minutes <= 14 * 60;
}

static void shift_to_utc(char *stamp, int minutes)
{
    struct tm tm = { 0 };

    tm.tm_year = two_digits(stamp) * 100 + two_digits(stamp + 2) - 1900;
    tm.tm_mon = two_digits(stamp + 4) - 1;
    tm.tm_mday = two_digits(stamp + 6);
    tm.tm_hour = two_digits(stamp + 8);
    tm.tm_min = two_digits(stamp + 10) - minutes;
    tm.tm_sec = two_digits(stamp + 12);
    time_t when = timegm(&tm);
    struct tm utc;
    char text[32];
    if (gmtime_r(&when, &utc) && strftime(text, sizeof text, "%Y%m%d%H%M%S", &utc) == 14)
        memcpy(stamp, text, 14);
}

bool vt_match_datetime(const char *text, size_t size, bool upper, char out[VT_DATETIME_ROOM])
{
    const char *low = "00000101", *high = "99991231";
    char clock[VT_TIME_ROOM];
    int offset = 0;

    if (size > 5 && parse_offset(text + size - 5, 5, &offset))
        size -= 5;
    else
        offset = 0;
    size_t date = size < 8 ? size : 8;
    if (date < 4 || date % 2 != 0 || !all_digits(text, date))
        return false;
    memcpy(out, upper ? high : low, 8);
    memcpy(out, text, date);
    int month = two_digits(out + 4), day = two_digits(out + 6);
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    if (size == date)
        memcpy(clock, upper ? "235959.999999" : "000000.000000", sizeof clock);
    else if (date < 8 || !vt_match_time(text + 8, size - 8, upper, clock))
        return false;
    memcpy(out + 8, clock, sizeof clock);
    if (offset != 0)
        shift_to_utc(out, offset);
    return true;
}

bool vt_match_number(const char *text, size_t size, double *out)
{
    char copy[64], *end;

    if (size == 0 || size >= sizeof copy)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789+-.eE", text[i]))
            return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    double value = strtod(copy, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

static void trim(const char **text, size_t *size)
{
    while (*size > 0 && (*text)[*size - 1] == ' ')
        (*size)--;
    while (*size > 0 && **text == ' ') {
        (*text)++;
        (*size)--;
    }
}

static size_t count_dashes(const char *text, size_t size, size_t positions[static 3])
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        if (text[i] == '-') {
            if (count < 3)
                positions[count] = i;
            count++;
        }
    return count;
}

/* "-0500" at the end, with at least a year before it. "YYYY-HHMM" is taken as a range of years, and
 * "YYYY-" too. */
static bool dash_is_offset(const char *text, size_t size, size_t dash)
{
    int minutes;
    return dash > 4 && size - dash >= 5 && parse_offset(text + dash, 5, &minutes) &&
           (dash + 5 == size || text[dash + 5] == '-' || text[dash + 5] == ' ');
}

bool vt_match_split_range(const char *text, size_t size, bool datetime, struct vt_match_range *out)
{
    size_t at[3], count = count_dashes(text, size, at), cut = 0;

    if (count == 0 || count > 3)
        return false;
    if (!datetime && count > 1)
        return false;
    if (datetime) {
        /* The one dash that begins no offset. With two candidates the first wins. */
        while (cut < count && dash_is_offset(text, size, at[cut]))
            cut++;
        if (cut == count)
            return false;
    }
    out->low = text;
    out->low_size = at[cut];
    out->high = text + at[cut] + 1;
    out->high_size = size - at[cut] - 1;
    trim(&out->low, &out->low_size);
    trim(&out->high, &out->high_size);
    return true;
}
