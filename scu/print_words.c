/* Layouts, and what printers say in words for a person. Pure. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/auto.h"
#include "core/err.h"
#include "scu/print.h"

/* ---- layouts ---- */

/* "2,3": up to ten numbers above 0. */
static size_t read_numbers(const char *text, unsigned long out[static 10])
{
    size_t count = 0;

    for (char *end; count < 10; text = end + 1) {
        if (!isdigit((unsigned char)*text))
            return 0;
        out[count++] = strtoul(text, &end, 10);
        if (out[count - 1] == 0 || out[count - 1] > VT_PRINT_BOXES_MAX)
            return 0;
        if (*end == '\0')
            return count;
        if (*end != ',')
            return 0;
    }
    return 0;
}

bool vt_print_layout(const char *text, char *out, size_t *out_boxes, struct vt_err *err)
{
    static const struct {
        const char *word, *standard;
    } ways[] = { { "STANDARD\\", "STANDARD" }, { "ROW\\", "ROW" }, { "COL\\", "COL" }, { "row:", "ROW" }, { "col:", "COL" } };
    unsigned long numbers[10], boxes = 0;
    const char *standard = "STANDARD";
    char rest[VT_PRINT_LAYOUT_TEXT];
    size_t skip = 0, count;

    for (size_t i = 0; i < VT_COUNT(ways) && skip == 0; i++)
        if (strncasecmp(text, ways[i].word, strlen(ways[i].word)) == 0) {
            skip = strlen(ways[i].word);
            standard = ways[i].standard;
        }
    snprintf(rest, sizeof rest, "%s", text + skip);
    char *cross = skip == 0 ? strpbrk(rest, "xX") : NULL;
    if (cross)
        *cross = ',';
    count = read_numbers(rest, numbers);
    bool grid = strcmp(standard, "STANDARD") == 0;
    if (grid && count == 2)
        boxes = numbers[0] * numbers[1];
    for (size_t i = 0; i < count && !grid; i++)
        boxes += numbers[i];
    if (boxes == 0 || boxes > VT_PRINT_BOXES_MAX)
        return vt_fail(err, VT_E_INVALID,
                       "'%.40s' is no layout of up to %d images: say 2x3 (columns x rows), row:1,2 or col:2,1", text,
                       VT_PRINT_BOXES_MAX);
    snprintf(out, VT_PRINT_LAYOUT_TEXT, "%s\\%.50s", standard, rest);
    *out_boxes = boxes;
    return true;
}

/* ---- printers ---- */

const char *vt_printer_info_text(const char *info)
{
    static const struct {
        const char *term, *text;
    } terms[] = {
        { "SUPPLY EMPTY", "it is out of film: load its supply magazine" },
        { "SUPPLY LOW", "its supply magazine is nearly empty" },
        { "SUPPLY MGZ", "its supply magazine is not in place" },
        { "SUPPLY MGZ ERR", "its supply magazine cannot be opened or is the wrong one" },
        { "NO SUPPLY MGZ", "it has no supply magazine for this film size and medium" },
        { "RECEIVER FULL", "its receive magazine is full: empty it" },
        { "NO RECEIVE MGZ", "its receive magazine is missing" },
        { "RECEIVE MGZ", "its receive magazine is not in place" },
        { "FILM JAM", "a film is jammed in it" },
        { "COVER OPEN", "its cover is open" },
        { "CHEMICALS LOW", "its chemicals are nearly used up" },
        { "CHEMICALS EMPTY", "its chemicals are used up" },
        { "CALIBRATION ERR", "its calibration failed" },
        { "CHECK PRINTER", "look at the printer: it wants an operator" },
        { "ELEC DOWN", "its electronics failed" },
        { "FILM TRANSP ERR", "its film transport failed" },
        { "PRINTER DOWN", "it is down" },
        { "PRINTER OFFLINE", "it is switched off line" },
        { "PRINTER INIT", "it is warming up" },
        { "PROC DOWN", "its film processor is down" },
        { "QUEUED", "the job waits in its queue" },
        { "EMPTY 8X10", "it is out of 8x10 inch film" },
        { "EMPTY 14X17", "it is out of 14x17 inch film" },
    };

    for (size_t i = 0; i < VT_COUNT(terms); i++)
        if (strcmp(terms[i].term, info) == 0)
            return terms[i].text;
    return NULL;
}

const char *vt_print_status_text(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *text;
    } list[] = {
        { 0x0105, "it knows no such attribute" },
        { 0x0106, "an attribute has a value that it does not take" },
        { 0x0107, "it did not take some attributes" },
        { 0x0110, "it failed to process the request" },
        { 0x0111, "there is such an object already" },
        { 0x0112, "it knows no such object any more" },
        { 0x0116, "a value is out of its range: it takes its own" },
        { 0x0117, "the UID is not valid to it" },
        { 0x0118, "it knows no such class" },
        { 0x0119, "object and class do not agree" },
        { 0x0120, "an attribute is missing" },
        { 0x0121, "an attribute has no value" },
        { 0x0122, "it does not support the class" },
        { 0x0124, "we are not allowed to: enter our AE title at the printer" },
        { 0x0213, "it has no resources left" },
        { 0xb600, "it cannot reserve the memory asked for" },
        { 0xb601, "it prints the films without collating them" },
        { 0xb602, "a film of the session is empty" },
        { 0xb603, "the film is empty" },
        { 0xb604, "an image is larger than its box: it was made smaller" },
        { 0xb605, "the density asked for is outside its range: it takes its own" },
        { 0xb609, "an image is larger than its box: it was cropped" },
        { 0xb60a, "an image is larger than its box: lines and columns were left out" },
        { 0xc600, "the session has no film" },
        { 0xc601, "its print queue is full" },
        { 0xc602, "its print queue is full" },
        { 0xc603, "an image is larger than its box: choose a layout with fewer images, or a larger film" },
        { 0xc605, "it has not enough memory for the image" },
        { 0xc613, "the images together are larger than the film" },
        { 0xc616, "an earlier film of the session is not printed yet" },
    };

    for (size_t i = 0; i < VT_COUNT(list); i++)
        if (list[i].status == status)
            return list[i].text;
    return NULL;
}

bool vt_print_may_retry(const struct vt_err *err)
{
    static const uint16_t passing[] = { 0x0110, 0x0112, 0x0213, 0xc600, 0xc601, 0xc602, 0xc605, 0xc616 };

    if (err->code == VT_E_INVALID || err->code == VT_E_UNSUPPORTED || err->code == VT_E_LIMIT || err->code == VT_E_CORRUPT)
        return false;
    if (err->code != VT_E_STATUS)
        return true;
    for (size_t i = 0; i < VT_COUNT(passing); i++)
        if (passing[i] == err->dimse_status)
            return true;
    return false;
}
