#include "cmd/cli_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/cli.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/text.h"

enum { PATH_MAX_TEXT = 256 };

static const char *const usual_keys[VT_LEVELS][12] = {
    [VT_LEVEL_PATIENT] = { "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
                           "NumberOfPatientRelatedStudies" },
    [VT_LEVEL_STUDY] = { "PatientName", "PatientID", "StudyDate", "StudyTime", "ModalitiesInStudy",
                         "AccessionNumber", "StudyDescription", "NumberOfStudyRelatedSeries",
                         "NumberOfStudyRelatedInstances", "StudyInstanceUID" },
    [VT_LEVEL_SERIES] = { "Modality", "SeriesNumber", "SeriesDescription",
                          "NumberOfSeriesRelatedInstances", "StudyInstanceUID",
                          "SeriesInstanceUID" },
    [VT_LEVEL_IMAGE] = { "InstanceNumber", "SOPClassUID", "NumberOfFrames", "StudyInstanceUID",
                         "SeriesInstanceUID", "SOPInstanceUID" },
};

static const char *const unique_keys[VT_LEVELS] = {
    [VT_LEVEL_PATIENT] = "PatientID",
    [VT_LEVEL_STUDY] = "StudyInstanceUID",
    [VT_LEVEL_SERIES] = "SeriesInstanceUID",
    [VT_LEVEL_IMAGE] = "SOPInstanceUID",
};

const char *vt_keys_usual(enum vt_level level, size_t i)
{
    return i < VT_COUNT(usual_keys[0]) ? usual_keys[level][i] : NULL;
}

bool vt_keys_level(const struct vt_cli *cli, enum vt_level fallback, enum vt_level *out,
                   struct vt_err *err)
{
    const char *text = vt_cli_value(cli, "--level");

    *out = fallback;
    if (!text)
        return true;
    for (enum vt_level level = VT_LEVEL_PATIENT; level < VT_LEVELS; level++) {
        if (strcasecmp(text, vt_level_name(level)) == 0) {
            *out = level;
            return true;
        }
    }
    return vt_fail(err, VT_E_INVALID, "--level %.40s is none of patient, study, series, image",
                   text);
}

bool vt_keys_model(const struct vt_cli *cli, enum vt_level level, enum vt_model *out,
                   struct vt_err *err)
{
    const char *text = vt_cli_value(cli, "--model");

    if (!text)
        *out = level == VT_LEVEL_PATIENT ? VT_MODEL_PATIENT_ROOT : VT_MODEL_STUDY_ROOT;
    else if (strcmp(text, "study") == 0)
        *out = VT_MODEL_STUDY_ROOT;
    else if (strcmp(text, "patient") == 0)
        *out = VT_MODEL_PATIENT_ROOT;
    else
        return vt_fail(err, VT_E_INVALID, "--model %.40s is neither study nor patient", text);
    if (*out == VT_MODEL_STUDY_ROOT && level == VT_LEVEL_PATIENT)
        return vt_fail(err, VT_E_INVALID,
                       "the study root model has no patient level: use --model patient");
    return true;
}

/* "Sequence.Keyword" becomes "Sequence[0].Keyword". */
static bool spell_path(const char *key, size_t length, char *out, struct vt_err *err)
{
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (used + 5 >= PATH_MAX_TEXT)
            return vt_fail(err, VT_E_INVALID, "'%.60s...' is too long for a key", key);
        if (key[i] == '.' && i > 0 && key[i - 1] != ']') {
            memcpy(out + used, "[0]", 3);
            used += 3;
        }
        out[used++] = key[i];
    }
    out[used] = '\0';
    return true;
}

static bool put_word(struct vt_dataset *data_set, const char *word, struct vt_err *err)
{
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    char path[PATH_MAX_TEXT], key[PATH_MAX_TEXT];
    uint32_t tag;

    if (!spell_path(word, length, path, err))
        return false;
    snprintf(key, sizeof key, "%.*s", (int)strcspn(path, "[."), path);
    if (!vt_dict_tag(key, &tag))
        return vt_fail(err, VT_E_INVALID,
                       "'%.60s' is no keyword or tag of DICOM (like PatientID or 0010,0020)", key);
    if (VT_TAG_GROUP(tag) < 0x0008)
        return vt_fail(err, VT_E_INVALID, "'%.60s' cannot be a key", key);
    return vt_dataset_put(data_set, path, equals ? equals + 1 : "", err);
}

static bool names_key(const char *word, const char *keyword)
{
    size_t length = strcspn(word, "=");
    uint32_t tag, wanted;
    char key[PATH_MAX_TEXT];

    snprintf(key, sizeof key, "%.*s", (int)length, word);
    return vt_dict_tag(key, &tag) && vt_dict_tag(keyword, &wanted) && tag == wanted;
}

static bool is_named(const char *const *words, size_t count, const char *keyword)
{
    for (size_t i = 0; i < count; i++)
        if (names_key(words[i], keyword))
            return true;
    return false;
}

static bool make_identifier(enum vt_level level, const char *const *words, size_t count, bool usual,
                            const char *charset, struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO(vt_dataset) data_set = vt_dataset_new();
    const char *key;

    if (!data_set)
        return vt_fail(err, VT_E_NOMEM, "no memory for an identifier");
    if (charset && !vt_dataset_put(data_set, "SpecificCharacterSet", charset, err))
        return false;
    for (size_t i = 0; usual && (key = vt_keys_usual(level, i)); i++)
        if (!is_named(words, count, key) && !vt_dataset_put(data_set, key, "", err))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!put_word(data_set, words[i], err))
            return false;
    return vt_dataset_put(data_set, "QueryRetrieveLevel", vt_level_name(level), err) &&
           vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, out, err);
}

bool vt_keys_identifier(enum vt_level level, const char *const *words, size_t count, bool usual,
                        const char *charset, struct vt_buf *out, struct vt_err *err)
{
    struct vt_err why = { 0 };
    bool ascii = true;

    for (size_t i = 0; i < count; i++)
        ascii = ascii && vt_text_is_ascii(words[i], strlen(words[i]));
    if (ascii)
        return make_identifier(level, words, count, usual, NULL, out, err);
    if (charset && make_identifier(level, words, count, usual, charset, out, &why))
        return true;
    return make_identifier(level, words, count, usual, "ISO_IR 192", out, err);
}

bool vt_keys_are_unique(const char *const *words, size_t count, enum vt_level *out_level)
{
    enum vt_level deepest = VT_LEVEL_PATIENT;

    for (size_t i = 0; i < count; i++) {
        const char *value = strchr(words[i], '=');
        enum vt_level level = VT_LEVEL_PATIENT;
        while (level < VT_LEVELS && !names_key(words[i], unique_keys[level]))
            level++;
        if (level == VT_LEVELS || !value || !value[1] || strpbrk(value, "*?"))
            return false;
        if (level > deepest)
            deepest = level;
    }
    *out_level = deepest;
    return count > 0;
}
