/* The memory driver: rows that come, change and go. The rules are those of the SQLite driver, which
 * the contract tests hold both to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/index_memory.h"
#include "core/err.h"

enum { NOWHERE = -1 };

static bool grow(void **rows, size_t count, size_t size, struct vt_err *err)
{
    void *grown = reallocarray(*rows, count + 1, size);
    if (!grown)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu rows", count + 1);
    *rows = grown;
    memset((uint8_t *)grown + count * size, 0, size);
    return true;
}

static bool set_bytes(struct vt_buf *buf, const void *bytes, size_t size, struct vt_err *err)
{
    buf->limit = VT_FRAMES_BYTES_MAX;
    vt_buf_reset(buf);
    return vt_buf_append(buf, bytes, size, err);
}

/* newer over older, in `buf`, which is one of the two. */
static bool merge_into(struct vt_buf *buf, const uint8_t *newer, size_t newer_size,
                       const uint8_t *older, size_t older_size, struct vt_err *err)
{
    VT_AUTO_BUF(merged, 2 * (size_t)VT_ATTRIBUTES_MAX);
    return vt_attributes_merge(newer, newer_size, older, older_size, &merged, err) &&
           set_bytes(buf, merged.data, merged.size, err);
}

/* ---- finding ---- */

static ptrdiff_t patient_at(const struct mem_world *world, const struct vt_patient_columns *columns,
                            const char *anonymous)
{
    for (size_t i = 0; i < world->patient_count; i++) {
        const struct mem_patient *patient = &world->patients[i];
        if (!patient->gone && strcmp(patient->columns.id, columns->id) == 0 &&
            strcmp(patient->columns.issuer, columns->issuer) == 0 &&
            strcmp(patient->anonymous, anonymous) == 0)
            return (ptrdiff_t)i;
    }
    return NOWHERE;
}

static ptrdiff_t study_at(const struct mem_world *world, const char *uid)
{
    for (size_t i = 0; i < world->study_count; i++)
        if (!world->studies[i].gone && strcmp(world->studies[i].uid, uid) == 0)
            return (ptrdiff_t)i;
    return NOWHERE;
}

static ptrdiff_t series_at(const struct mem_world *world, size_t study, const char *uid)
{
    for (size_t i = 0; i < world->series_count; i++)
        if (!world->series[i].gone && world->series[i].study == study &&
            strcmp(world->series[i].uid, uid) == 0)
            return (ptrdiff_t)i;
    return NOWHERE;
}

static ptrdiff_t instance_at(const struct mem_world *world, const char *uid)
{
    for (size_t i = 0; i < world->instance_count; i++)
        if (!world->instances[i].gone && strcmp(world->instances[i].entry.sop_uid, uid) == 0)
            return (ptrdiff_t)i;
    return NOWHERE;
}

/* ---- patients ---- */

static bool differ(const char *a, const char *b)
{
    return a[0] && b[0] && strcmp(a, b) != 0;
}

static bool put_patient(struct mem_world *world, const struct vt_patient_columns *columns,
                        const uint8_t *attributes, size_t size, const char *study_uid,
                        size_t *out_patient, unsigned *flags, struct vt_err *err)
{
    const char *anonymous = columns->id[0] ? "" : study_uid;
    ptrdiff_t at = patient_at(world, columns, anonymous);

    if (at != NOWHERE) {
        struct mem_patient *patient = &world->patients[at];
        if (differ(patient->columns.name, columns->name) ||
            differ(patient->columns.birth_date, columns->birth_date))
            *flags |= VT_PUT_PATIENT_MISMATCH;
        *out_patient = (size_t)at;
        return merge_into(&patient->attributes, attributes, size, patient->attributes.data,
                          patient->attributes.size, err) &&
               vt_columns_patient(patient->attributes.data, patient->attributes.size,
                                  &patient->columns, err);
    }
    if (!grow((void **)&world->patients, world->patient_count, sizeof *world->patients, err))
        return false;
    struct mem_patient *patient = &world->patients[world->patient_count];
    patient->columns = *columns;
    snprintf(patient->anonymous, sizeof patient->anonymous, "%s", anonymous);
    *out_patient = world->patient_count++;
    *flags |= VT_PUT_NEW_PATIENT;
    return set_bytes(&patient->attributes, attributes, size, err);
}

/* ---- studies ---- */

static bool refresh_study(struct mem_world *world, size_t at, const struct vt_instance *instance,
                          bool replaces, const struct vt_patient_columns *columns, unsigned *flags,
                          struct vt_err *err)
{
    struct mem_study *study = &world->studies[at];
    const struct vt_buf *own = &instance->attributes[VT_LEVEL_STUDY],
                        *about = &instance->attributes[VT_LEVEL_PATIENT];
    size_t patient;

    if (strcmp(study->about.id, columns->id) != 0 ||
        strcmp(study->about.issuer, columns->issuer) != 0) {
        *flags |= VT_PUT_PATIENT_CONFLICT;
    } else {
        if (!put_patient(world, columns, about->data, about->size, instance->study_uid, &patient,
                         flags, err))
            return false;
        if (replaces) {
            study->about = *columns;
            if (!set_bytes(&study->patient_attributes, about->data, about->size, err))
                return false;
        }
    }
    bool ok = replaces ? merge_into(&study->attributes, own->data, own->size,
                                    study->attributes.data, study->attributes.size, err)
                       : merge_into(&study->attributes, study->attributes.data,
                                    study->attributes.size, own->data, own->size, err);
    return ok &&
           vt_columns_study(study->attributes.data, study->attributes.size, &study->columns, err);
}

static bool new_study(struct mem_world *world, const struct vt_instance *instance,
                      const struct vt_patient_columns *columns, unsigned *flags, struct vt_err *err)
{
    const struct vt_buf *own = &instance->attributes[VT_LEVEL_STUDY],
                        *about = &instance->attributes[VT_LEVEL_PATIENT];
    size_t patient;

    if (!put_patient(world, columns, about->data, about->size, instance->study_uid, &patient, flags,
                     err) ||
        !grow((void **)&world->studies, world->study_count, sizeof *world->studies, err))
        return false;
    struct mem_study *study = &world->studies[world->study_count++];
    study->patient = patient;
    study->about = *columns;
    memcpy(study->uid, instance->study_uid, sizeof study->uid);
    *flags |= VT_PUT_NEW_STUDY;
    return vt_columns_study(own->data, own->size, &study->columns, err) &&
           set_bytes(&study->patient_attributes, about->data, about->size, err) &&
           set_bytes(&study->attributes, own->data, own->size, err);
}

/* ---- series ---- */

static bool put_series(struct mem_world *world, size_t study, const struct vt_instance *instance,
                       bool replaces, size_t *out_series, unsigned *flags, struct vt_err *err)
{
    const struct vt_buf *own = &instance->attributes[VT_LEVEL_SERIES];
    ptrdiff_t at = series_at(world, study, instance->series_uid);

    if (at == NOWHERE) {
        if (!grow((void **)&world->series, world->series_count, sizeof *world->series, err))
            return false;
        at = (ptrdiff_t)world->series_count++;
        world->series[at].study = study;
        memcpy(world->series[at].uid, instance->series_uid, sizeof world->series[at].uid);
        *flags |= VT_PUT_NEW_SERIES;
    }
    struct mem_series *series = &world->series[at];
    bool ok = replaces ? merge_into(&series->attributes, own->data, own->size,
                                    series->attributes.data, series->attributes.size, err)
                       : merge_into(&series->attributes, series->attributes.data,
                                    series->attributes.size, own->data, own->size, err);
    vt_columns_series(series->attributes.data, series->attributes.size, &series->columns);
    *out_series = (size_t)at;
    return ok;
}

/* ---- instances ---- */

static struct vt_index_entry entry_of(const struct vt_instance *instance)
{
    struct vt_index_entry entry = {
        .version = instance->version,
        .file_size = instance->file_size,
        .data_set_offset = instance->data_set_offset,
        .data_set_size = instance->data_set_size,
        .has_pixels = instance->has_pixels,
        .pixel_offset = instance->has_pixels ? instance->pixel_offset : 0,
        .pixel_length = instance->has_pixels ? instance->pixel_length : 0,
        .data_set_digest = instance->data_set_digest,
        .arrived = instance->arrived,
    };

    if (instance->has_pixels)
        entry.pixel_digest = instance->pixel_digest;
    memcpy(entry.study_uid, instance->study_uid, sizeof entry.study_uid);
    memcpy(entry.series_uid, instance->series_uid, sizeof entry.series_uid);
    memcpy(entry.sop_uid, instance->sop_uid, sizeof entry.sop_uid);
    memcpy(entry.sop_class, instance->sop_class, sizeof entry.sop_class);
    memcpy(entry.transfer_syntax, instance->transfer_syntax, sizeof entry.transfer_syntax);
    memcpy(entry.file, instance->file, sizeof entry.file);
    return entry;
}

static bool put_row(struct mem_world *world, size_t series, const struct vt_instance *instance,
                    struct vt_err *err)
{
    const struct vt_buf *own = &instance->attributes[VT_LEVEL_IMAGE];

    if (!grow((void **)&world->instances, world->instance_count, sizeof *world->instances, err))
        return false;
    struct mem_instance *row = &world->instances[world->instance_count++];
    row->series = series;
    row->entry = entry_of(instance);
    row->has_number = vt_columns_instance_number(own->data, own->size, &row->number);
    return set_bytes(&row->attributes, own->data, own->size, err) &&
           set_bytes(&row->frames, instance->frames.data, instance->frames.size, err);
}

bool mem_put(struct mem_world *world, const struct vt_instance *instance, unsigned *out_flags,
             struct vt_err *err)
{
    const struct vt_buf *about = &instance->attributes[VT_LEVEL_PATIENT];
    struct vt_patient_columns columns;
    unsigned flags = 0;
    bool replaced = false;
    size_t series;

    mem_remove(world, instance->sop_uid, &replaced);
    if (!vt_columns_patient(about->data, about->size, &columns, err))
        return false;
    ptrdiff_t study = study_at(world, instance->study_uid);
    if (study == NOWHERE) {
        if (!new_study(world, instance, &columns, &flags, err))
            return false;
        study = (ptrdiff_t)world->study_count - 1;
    } else if (!refresh_study(world, (size_t)study, instance, replaced, &columns, &flags, err)) {
        return false;
    }
    if (!put_series(world, (size_t)study, instance, replaced, &series, &flags, err) ||
        !put_row(world, series, instance, err))
        return false;
    struct mem_study *row = &world->studies[study];
    vt_columns_list_add(row->modalities, sizeof row->modalities,
                        world->series[series].columns.modality);
    vt_columns_list_add(row->classes, sizeof row->classes, instance->sop_class);
    if (replaced)
        flags = (flags & ~(unsigned)(VT_PUT_NEW_PATIENT | VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES)) |
                VT_PUT_REPLACED;
    *out_flags = flags;
    return true;
}

/* ---- going ---- */

static void leave_study(struct mem_world *world, size_t study)
{
    struct mem_study *row = &world->studies[study];
    bool any = false, patient_any = false;

    row->modalities[0] = row->classes[0] = '\0';
    for (size_t i = 0; i < world->series_count; i++)
        if (!world->series[i].gone && world->series[i].study == study) {
            any = true;
            vt_columns_list_add(row->modalities, sizeof row->modalities,
                                world->series[i].columns.modality);
        }
    for (size_t i = 0; i < world->instance_count; i++)
        if (!world->instances[i].gone && world->series[world->instances[i].series].study == study)
            vt_columns_list_add(row->classes, sizeof row->classes,
                                world->instances[i].entry.sop_class);
    row->gone = !any;
    for (size_t i = 0; i < world->study_count; i++)
        patient_any =
            patient_any || (!world->studies[i].gone && world->studies[i].patient == row->patient);
    world->patients[row->patient].gone = !patient_any;
}

void mem_remove(struct mem_world *world, const char *sop_uid, bool *out_removed)
{
    ptrdiff_t at = instance_at(world, sop_uid);
    bool any = false;

    *out_removed = at != NOWHERE;
    if (at == NOWHERE)
        return;
    size_t series = world->instances[at].series;
    world->instances[at].gone = true;
    for (size_t i = 0; i < world->instance_count; i++)
        any = any || (!world->instances[i].gone && world->instances[i].series == series);
    world->series[series].gone = !any;
    leave_study(world, world->series[series].study);
}

/* ---- moving ---- */

static bool move_one(struct mem_world *world, size_t at, const struct vt_patient_columns *to,
                     const uint8_t *attributes, size_t size, struct vt_err *err)
{
    size_t from = world->studies[at].patient, patient;
    unsigned flags = 0;
    bool any = false;

    if (!put_patient(world, to, attributes, size, world->studies[at].uid, &patient, &flags, err) ||
        !set_bytes(&world->studies[at].patient_attributes, attributes, size, err))
        return false;
    world->studies[at].about = *to;
    world->studies[at].patient = patient;
    for (size_t i = 0; i < world->study_count; i++)
        any = any || (!world->studies[i].gone && world->studies[i].patient == from);
    world->patients[from].gone = !any;
    return true;
}

bool mem_move_study(struct mem_world *world, const char *study_uid, const uint8_t *attributes,
                    size_t size, struct vt_err *err)
{
    struct vt_patient_columns to;

    if (!vt_columns_patient(attributes, size, &to, err))
        return false;
    if (study_uid[0]) {
        ptrdiff_t at = study_at(world, study_uid);
        return at == NOWHERE ? vt_fail(err, VT_E_NOTFOUND, "no study %s", study_uid)
                             : move_one(world, (size_t)at, &to, attributes, size, err);
    }
    ptrdiff_t patient = patient_at(world, &to, "");
    for (size_t i = 0; i < world->study_count; i++)
        if (!world->studies[i].gone && (ptrdiff_t)world->studies[i].patient == patient &&
            !move_one(world, i, &to, attributes, size, err))
            return false;
    return true;
}
