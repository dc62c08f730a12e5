/* Values that stand in for others: dummies by VR, replaced UIDs, moved dates, cleaned text. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/auto.h"
#include "core/err.h"
#include "media/deidentify_inside.h"

enum { DATE = 8, VALUE_MAX = 1 << 20, DIGITS_IN_A_NUMBER = 4 };

/* The context was made with the export: to begin anew takes no memory, and so cannot fail. */
void vt_deid_digest(const struct vt_deid *deid, const char *purpose, const void *text, size_t size,
                    uint8_t out[static VT_DEID_DIGEST])
{
    EVP_DigestInit_ex(deid->digest, NULL, NULL);
    EVP_DigestUpdate(deid->digest, deid->secret, strlen(deid->secret) + 1);
    EVP_DigestUpdate(deid->digest, purpose, strlen(purpose) + 1);
    EVP_DigestUpdate(deid->digest, text, size);
    EVP_DigestFinal_ex(deid->digest, out, NULL);
}

/* ---- UIDs ---- */

/* Those of the standard name no instance: coordinate systems, classes. */
static bool well_known(const char *uid)
{
    return strncmp(uid, "1.2.840.10008.", 14) == 0;
}

void vt_deid_uid(const struct vt_deid *deid, const char *uid, char out[static VT_UID_MAX + 1])
{
    uint8_t digest[VT_DEID_DIGEST];
    char text[2 * VT_DEID_DIGEST + 1];

    if (deid->options & VT_DEID_RETAIN_UIDS || well_known(uid)) {
        snprintf(out, VT_UID_MAX + 1, "%.*s", VT_UID_MAX, uid);
        return;
    }
    vt_deid_digest(deid, "uid", uid, strlen(uid), digest);
    for (size_t i = 0; i < VT_DEID_DIGEST; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    vt_uid_derive(text, out);
}

bool vt_deid_put_uids(struct vt_writer *w, const struct vt_deid *deid, const struct vt_element *element, struct vt_err *err)
{
    const char *at = (const char *)element->value, *end = at + element->length;
    char uid[VT_UID_MAX + 1], other[VT_UID_MAX + 1];
    VT_AUTO_BUF(list, VALUE_MAX);

    while (at < end) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        while (length > 0 && (at[length - 1] == '\0' || at[length - 1] == ' '))
            length--;
        snprintf(uid, sizeof uid, "%.*s", (int)(length > VT_UID_MAX ? VT_UID_MAX : length), at);
        if (*uid)
            vt_deid_uid(deid, uid, other);
        if ((list.size > 0 && !vt_buf_append_byte(&list, '\\', err)) ||
            (*uid && !vt_buf_append_text(&list, other, err)))
            return false;
        at = stop ? stop + 1 : end;
    }
    return vt_write_bytes(w, element->tag, "UI", list.data ? (const void *)list.data : "", list.size, err);
}

/* ---- dummies ---- */

static const struct {
    char vr[3];
    const char *text;
} dummies[] = {
    { "AE", "REMOVED" }, { "AS", "000Y" },     { "CS", "REMOVED" }, { "DA", "19000101" }, { "DS", "0" },
    { "DT", "19000101000000" }, { "IS", "0" }, { "LO", "REMOVED" }, { "LT", "REMOVED" },  { "PN", "REMOVED" },
    { "SH", "REMOVED" }, { "ST", "REMOVED" },  { "TM", "000000" },  { "UC", "REMOVED" },  { "UR", "removed:" },
    { "UT", "REMOVED" },
};

bool vt_deid_put_dummy(struct vt_writer *w, const struct vt_deid *deid, const struct vt_element *element, const char *vr,
                       struct vt_err *err)
{
    static const uint8_t zeroes[8];

    if (memcmp(vr, "UI", 2) == 0)
        return vt_deid_put_uids(w, deid, element, err);
    for (size_t i = 0; i < VT_COUNT(dummies); i++)
        if (memcmp(dummies[i].vr, vr, 2) == 0)
            return vt_write_text(w, element->tag, vr, dummies[i].text, err);
    if (vr[0] == 'O' || memcmp(vr, "UN", 2) == 0 || memcmp(vr, "SQ", 2) == 0)
        return vt_write_bytes(w, element->tag, vr, "", 0, err);
    size_t size = element->length < sizeof zeroes ? (size_t)element->length : sizeof zeroes;
    return vt_write_bytes(w, element->tag, vr, zeroes, size, err);
}

/* ---- dates ---- */

/* Days since 0000-03-01 and back, in the Gregorian calendar (years up to 9999). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return year * 365 + year / 4 - year / 100 + year / 400 + of_year;
}

static void date_of(int64_t days, char out[static DATE + 1])
{
    int64_t year = (10000 * days + 14780) / 3652425, of_year = days - days_of(year, 3, 1);

    if (of_year < 0) {
        year--;
        of_year = days - days_of(year, 3, 1);
    }
    int64_t month = (100 * of_year + 52) / 3060, day = of_year - (month * 306 + 5) / 10 + 1;
    year += month >= 10;
    month += month < 10 ? 3 : -9;
    snprintf(out, DATE + 1, "%04u%02u%02u", (unsigned)(year % 10000), (unsigned)(month % 100), (unsigned)(day % 100));
}

static int64_t number_of(const char *digits, size_t count)
{
    int64_t number = 0;

    for (size_t i = 0; i < count; i++)
        number = number * 10 + (digits[i] - '0');
    return number;
}

static bool moved(const char *text, size_t length, unsigned days, char out[static DATE + 1])
{
    if (length < DATE)
        return false;
    for (size_t i = 0; i < DATE; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    int64_t year = number_of(text, 4), month = number_of(text + 4, 2), day = number_of(text + 6, 2);
    if (year < 100 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    date_of(days_of(year, month, day) - (int64_t)days, out);
    return true;
}

bool vt_deid_put_moved(struct vt_writer *w, const struct vt_deid *deid, const struct vt_element *element, const char *vr,
                       unsigned days, struct vt_err *err)
{
    const char *at = (const char *)element->value, *end = at + element->length;
    char date[DATE + 1];
    VT_AUTO_BUF(list, VALUE_MAX);

    if (memcmp(vr, "DA", 2) != 0 && memcmp(vr, "DT", 2) != 0)
        return vt_write_bytes(w, element->tag, vr, element->value, (size_t)element->length, err);
    while (at < end) {
        const char *stop = memchr(at, '\\', (size_t)(end - at));
        const char *last = stop ? stop : end;
        while (at < last && *at == ' ')
            at++;
        if (at < last && !moved(at, (size_t)(last - at), days, date))
            return vt_deid_put_dummy(w, deid, element, vr, err);
        if (at < last && (!vt_buf_append(&list, date, DATE, err) ||
                          !vt_buf_append(&list, at + DATE, (size_t)(last - at) - DATE, err)))
            return false;
        if (stop && !vt_buf_append_byte(&list, '\\', err))
            return false;
        at = stop ? stop + 1 : end;
    }
    return vt_write_bytes(w, element->tag, vr, list.data ? (const void *)list.data : "", list.size, err);
}

/* ---- text without words ---- */

/* Bytes of other character sets and escapes count as letters. */
static bool is_word(uint8_t byte)
{
    return isalnum(byte) || byte >= 0x80 || byte == 0x1b;
}

static size_t word_at(const uint8_t *text, size_t size)
{
    size_t length = 0;

    while (length < size && is_word(text[length]))
        length++;
    return length;
}

static bool known(const struct vt_deid_black *black, const uint8_t *word, size_t length)
{
    const char *at = (const char *)black->text.data;

    for (size_t i = 0; i < black->count; i++, at += strlen(at) + 1) {
        size_t same = 0;
        while (same < length && at[same] && at[same] == tolower(word[same]))
            same++;
        if (same == length && !at[same])
            return true;
    }
    return false;
}

bool vt_deid_black_add(struct vt_deid_black *black, const uint8_t *text, size_t size, struct vt_err *err)
{
    for (size_t i = 0; i < size;) {
        size_t length = word_at(text + i, size - i);
        if (length >= VT_DEID_WORD_MIN && !known(black, text + i, length)) {
            if (black->count == VT_DEID_WORDS_MAX)
                return vt_fail(err, VT_E_LIMIT, "more than %d identifying words in one instance", VT_DEID_WORDS_MAX);
            for (size_t k = 0; k < length; k++)
                if (!vt_buf_append_byte(&black->text, (uint8_t)tolower(text[i + k]), err))
                    return false;
            if (!vt_buf_append_byte(&black->text, 0, err))
                return false;
            black->count++;
        }
        i += length ? length : 1;
    }
    return true;
}

/* Dates, telephone numbers, record numbers. */
static bool is_a_number(const uint8_t *word, size_t length)
{
    size_t digits = 0;

    for (size_t i = 0; i < length; i++)
        digits += isdigit(word[i]) != 0;
    return digits >= DIGITS_IN_A_NUMBER;
}

bool vt_deid_put_cleaned(struct vt_writer *w, const struct vt_deid_black *black, const struct vt_element *element,
                         const char *vr, struct vt_err *err)
{
    VT_AUTO_BUF(text, VALUE_MAX);

    for (size_t i = 0; i < element->length;) {
        const uint8_t *at = element->value + i;
        size_t length = word_at(at, (size_t)element->length - i);
        bool drop = length > 0 && (known(black, at, length) || is_a_number(at, length));
        if (drop ? !vt_buf_append_byte(&text, '*', err) : !vt_buf_append(&text, at, length ? length : 1, err))
            return false;
        i += length ? length : 1;
    }
    return vt_write_bytes(w, element->tag, vr, text.data ? (const void *)text.data : "", text.size, err);
}
