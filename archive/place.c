#include "archive/place.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"

enum { DAY_TEXT = 16, COMPONENT_MAX = VT_UID_MAX + 2 };

static void day_of_arrival(int64_t arrived, char out[static DAY_TEXT])
{
    time_t seconds = (time_t)(arrived / VT_NS_PER_S);
    struct tm day;

    gmtime_r(&seconds, &day);
    strftime(out, DAY_TEXT, "%Y/%m/%d", &day);
}

static bool day_of_study(const char *date, char out[static DAY_TEXT])
{
    for (size_t i = 0; i < 8; i++)
        if (!isdigit((unsigned char)date[i]))
            return false;
    int month = (date[4] - '0') * 10 + date[5] - '0', day = (date[6] - '0') * 10 + date[7] - '0';
    if (date[8] != '\0' || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    snprintf(out, DAY_TEXT, "%.4s/%.2s/%.2s", date, date + 4, date + 6);
    return true;
}

/* Lenient UIDs may begin with a dot, which would be a hidden file, or the parent. */
static const char *component(const char *uid, char out[static COMPONENT_MAX])
{
    snprintf(out, COMPONENT_MAX, "%s%s", uid[0] == '.' ? "_" : "", uid);
    return out;
}

void vt_place_object(struct vt_instance *instance, const char *study_date)
{
    char day[DAY_TEXT], study[COMPONENT_MAX], series[COMPONENT_MAX], sop[COMPONENT_MAX],
        version[16] = "";

    if (!day_of_study(study_date, day))
        day_of_arrival(instance->arrived, day);
    if (instance->version > 1)
        snprintf(version, sizeof version, "~%" PRIu32, instance->version);
    snprintf(instance->file, sizeof instance->file, "objects/%s/%s/%s/%s%s.dcm", day,
             component(instance->study_uid, study), component(instance->series_uid, series),
             component(instance->sop_uid, sop), version);
}

void vt_place_quarantine(struct vt_instance *instance)
{
    char day[DAY_TEXT], sop[COMPONENT_MAX];

    day_of_arrival(instance->arrived, day);
    snprintf(instance->file, sizeof instance->file, "quarantine/%s/%s-%016" PRIx64 ".dcm", day,
             component(instance->sop_uid, sop), (uint64_t)instance->arrived);
}

bool vt_place_is_object(const char *file)
{
    static const char volumes[] = "volumes/";

    if (strncmp(file, volumes, sizeof volumes - 1) == 0) {
        file = strchr(file + sizeof volumes - 1, '/');
        file = file ? file + 1 : "";
    }
    return strncmp(file, "objects/", sizeof "objects/" - 1) == 0;
}

uint32_t vt_place_version(const char *file)
{
    const char *tilde = strrchr(file, '~');
    unsigned long version = tilde ? strtoul(tilde + 1, NULL, 10) : 1;

    return version >= 1 && version <= UINT32_MAX ? (uint32_t)version : 1;
}
