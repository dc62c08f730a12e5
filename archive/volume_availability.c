/* Instance Availability (0008,0056): where the instances below a match lie, and whether that can be
 * read at once. */
#include <stdio.h>
#include <string.h>

#include "archive/admin_rows.h"
#include "archive/copies.h"
#include "archive/inside.h"
#include "archive/volume_inside.h"
#include "core/err.h"

enum speed { ONLINE, NEARLINE, OFFLINE };

struct looked {
    struct vt_archive *archive;
    enum speed worst;
    char last[VT_VOLUME_NAME_MAX + 1]; /* the volume of the instance before */
    enum speed speed;                  /* of that */
};

static enum speed speed_of(struct vt_archive *archive, const char *name)
{
    const struct vt_volume *volume = vt_volume_find(archive, name);
    struct vt_err away = { 0 };

    if (!vt_volume_is_ready(archive, name, &away))
        return OFFLINE;
    return volume && volume->nearline ? NEARLINE : ONLINE;
}

/* While the first one is away, a copy is read. */
static bool look_at_copy(struct vt_archive *archive, const struct vt_index_entry *entry,
                         enum speed *speed, struct vt_err *err)
{
    char file[VT_FILE_MAX], name[VT_VOLUME_NAME_MAX + 1];
    bool found = false;

    if (!vt_copies_find(archive, entry, NULL, file, &found, err))
        return false;
    if (!found)
        return true;
    vt_volume_of(file, name);
    *speed = speed_of(archive, name);
    return true;
}

static bool look(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct looked *looked = context;
    char name[VT_VOLUME_NAME_MAX + 1];

    vt_volume_of(entry->file, name);
    if (strcmp(name, looked->last) != 0) {
        memcpy(looked->last, name, sizeof name);
        looked->speed = speed_of(looked->archive, name);
    }
    enum speed speed = looked->speed;
    if (speed == OFFLINE && !look_at_copy(looked->archive, entry, &speed, err))
        return false;
    if (speed > looked->worst)
        looked->worst = speed;
    return looked->worst < OFFLINE || vt_fail(err, VT_E_CANCELLED, "nothing is worse");
}

static const char *const names[] = { "ONLINE", "NEARLINE", "OFFLINE" };

bool vt_volume_availability_of(struct vt_archive *archive, const struct vt_index_entry *entry,
                               const char **out, struct vt_err *err)
{
    char name[VT_VOLUME_NAME_MAX + 1];

    vt_volume_of(entry->file, name);
    enum speed speed = speed_of(archive, name);
    if (speed == OFFLINE && !look_at_copy(archive, entry, &speed, err))
        return false;
    *out = names[speed];
    return true;
}

static struct vt_query *query_below(const struct vt_row *row, struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    char study[VT_UID_MAX + 32], series[VT_UID_MAX + 32], sop[VT_UID_MAX + 32];
    const char *words[] = { study, series, sop };
    const size_t count = row->sop_uid ? 3 : row->series_uid ? 2 : 1;

    snprintf(study, sizeof study, "StudyInstanceUID=%s", row->study_uid);
    snprintf(series, sizeof series, "SeriesInstanceUID=%s", row->series_uid ? row->series_uid : "");
    snprintf(sop, sizeof sop, "SOPInstanceUID=%s", row->sop_uid ? row->sop_uid : "");
    return vt_query_from_words(count == 3   ? VT_LEVEL_IMAGE
                               : count == 2 ? VT_LEVEL_SERIES
                                            : VT_LEVEL_STUDY,
                               words, count, &rules, err);
}

/* As long as every volume is there and quick, nobody need look where an instance lies. */
static bool all_online(struct vt_archive *archive)
{
    const struct vt_volumes *volumes = archive->volumes;

    for (size_t i = 0; i < volumes->count; i++)
        if (speed_of(archive, volumes->list[i].name) != ONLINE)
            return false;
    return true;
}

bool vt_volume_availability(struct vt_archive *archive, struct vt_row *row, struct vt_err *err)
{
    struct looked looked = { .archive = archive };

    if (!row->study_uid || all_online(archive))
        return true;
    VT_AUTO(vt_query) query = query_below(row, err);
    if (!query)
        return false;
    if (!vt_admin_each(archive, query, look, &looked, err)) {
        if (err->code != VT_E_CANCELLED)
            return false;
        vt_err_clear(err);
    }
    row->availability = names[looked.worst];
    return true;
}
