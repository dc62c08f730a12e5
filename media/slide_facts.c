#include "media/slide_facts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 256, YEAR_PIVOT = 70 };

bool vt_slide_is_aperio(const char *description)
{
    return strncmp(description, "Aperio", 6) == 0;
}

/* ---- values ---- */

static void trim(char *text)
{
    size_t begin = strspn(text, " \t\r\n"), length = strlen(text + begin);

    memmove(text, text + begin, length + 1);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]))
        text[--length] = '\0';
}

/* "key = value|": the value of the first such part. */
static bool find_value(const char *description, const char *key, char out[static VALUE_MAX])
{
    size_t length = strlen(key);

    for (const char *part = strchr(description, '|'); part; part = strchr(part, '|')) {
        part += 1 + strspn(part + 1, " \t");
        if (strncasecmp(part, key, length) != 0)
            continue;
        const char *value = part + length + strspn(part + length, " \t");
        if (*value != '=')
            continue;
        int size = (int)strcspn(value + 1, "|");
        snprintf(out, VALUE_MAX, "%.*s", size < VALUE_MAX ? size : VALUE_MAX - 1, value + 1);
        trim(out);
        return out[0] != '\0';
    }
    return false;
}

bool vt_slide_decimal(const char *text, double *out)
{
    char copy[64], *end;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; *p; p++)
        if (*p == ',')
            *p = '.';
    /* The programs never leave the C locale, so the point is a point. */
    double value = strtod(copy, &end);
    if (end == copy || end[strspn(end, " \t")] != '\0' || !(value > -1e9 && value < 1e9))
        return false;
    *out = value;
    return true;
}

static void take_number(const char *description, const char *key, double max, double *out)
{
    char value[VALUE_MAX];
    double number;

    if (find_value(description, key, value) && vt_slide_decimal(value, &number) && number > 0 &&
        number <= max)
        *out = number;
}

static void take_text(const char *description, const char *key, char out[static VT_SLIDE_TEXT])
{
    char value[VALUE_MAX];

    if (find_value(description, key, value))
        snprintf(out, VT_SLIDE_TEXT, "%s", value);
}

/* ---- date and time ---- */

static bool valid_moment(int year, int month, int day, int hour, int minute, int second)
{
    return year >= 1970 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
           hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 60;
}

static void put_moment(const int parts[static 6], const char *zone, char out[static 27])
{
    if (valid_moment(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]))
        snprintf(out, 27, "%04d%02d%02d%02d%02d%02d%.5s", parts[0] % 10000, parts[1] % 100,
                 parts[2] % 100, parts[3] % 100, parts[4] % 100, parts[5] % 100, zone);
}

/* "GMT-0400"; some scanners write something else there. */
static bool read_zone(const char *text, char out[static 6])
{
    if (strncmp(text, "GMT", 3) != 0 || (text[3] != '+' && text[3] != '-') || strlen(text) != 8)
        return false;
    for (size_t i = 4; i < 8; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    int hours = (text[4] - '0') * 10 + text[5] - '0', minutes = (text[6] - '0') * 10 + text[7] - '0';
    if (hours > 14 || minutes > 59)
        return false;
    memcpy(out, text + 3, 6);
    return true;
}

/* MM/DD/YY or MM/DD/YYYY, hh:mm:ss. */
static void take_moment(const char *description, char out[static 27])
{
    char date[VALUE_MAX], clock[VALUE_MAX], zone_text[VALUE_MAX], zone[6] = "";
    int parts[6] = { 0 };

    if (!find_value(description, "Date", date) ||
        sscanf(date, "%2d/%2d/%4d", &parts[1], &parts[2], &parts[0]) != 3)
        return;
    if (parts[0] < 100)
        parts[0] += parts[0] < YEAR_PIVOT ? 2000 : 1900;
    if (find_value(description, "Time", clock) &&
        sscanf(clock, "%2d:%2d:%2d", &parts[3], &parts[4], &parts[5]) != 3)
        parts[3] = parts[4] = parts[5] = 0;
    if (find_value(description, "Time Zone", zone_text))
        read_zone(zone_text, zone);
    put_moment(parts, zone, out);
}

void vt_slide_date_tiff(const char *text, char out[static 27])
{
    int parts[6];

    out[0] = '\0';
    if (sscanf(text, "%4d:%2d:%2d %2d:%2d:%2d", &parts[0], &parts[1], &parts[2], &parts[3],
               &parts[4], &parts[5]) == 6)
        put_moment(parts, "", out);
}

/* ---- all ---- */

/* "Aperio Image Library v11.2.1", "Aperio Leica Biosystems GT450 v1.0.1". */
static void take_maker(const char *description, struct vt_slide_facts *out)
{
    int size = (int)strcspn(description, "\r\n|;");
    const char *leica = strstr(description, "Leica Biosystems ");

    snprintf(out->software, sizeof out->software, "%.*s", size < 64 ? size : 64, description);
    trim(out->software);
    snprintf(out->manufacturer, sizeof out->manufacturer, "%s", leica ? "Leica Biosystems" : "Aperio");
    if (leica && leica < description + size) {
        const char *model = leica + strlen("Leica Biosystems ");
        snprintf(out->model, sizeof out->model, "%.*s", (int)strcspn(model, " \r\n|;"), model);
    }
}

void vt_slide_facts_aperio(const char *description, struct vt_slide_facts *out)
{
    char value[VALUE_MAX];
    double mpp = 0;

    take_maker(description, out);
    take_number(description, "MPP", 100, &mpp);
    /* "Scan resolution = 0.25 microns per pixel", where a scanner has no MPP. */
    if (mpp == 0 && find_value(description, "Scan resolution", value)) {
        value[strcspn(value, " ")] = '\0';
        if (!vt_slide_decimal(value, &mpp) || mpp <= 0 || mpp > 100)
            mpp = 0;
    }
    if (mpp > 0)
        out->mpp_x = out->mpp_y = mpp;
    take_number(description, "AppMag", 1000, &out->objective_power);
    take_text(description, "ScanScope ID", out->serial);
    take_text(description, "Title", out->title);
    take_text(description, "Barcode", out->barcode);
    take_moment(description, out->acquired);
    if (out->model[0] == '\0')
        snprintf(out->model, sizeof out->model, "ScanScope");
}

bool vt_slide_role_aperio(const char *description, enum vt_slide_role *out)
{
    const char *line = strchr(description, '\n');

    if (!line)
        return false;
    line += 1 + strspn(line + 1, " \r\n");
    if (strncmp(line, "label", 5) == 0)
        *out = VT_SLIDE_LABEL;
    else if (strncmp(line, "macro", 5) == 0)
        *out = VT_SLIDE_OVERVIEW;
    else
        return false;
    return true;
}
