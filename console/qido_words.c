#include "console/qido_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/http.h"
#include "core/auto.h"
#include "core/err.h"
#include "dicom/tags.h"

void vt_qido_words_init(struct vt_qido_words *words)
{
    *words = (struct vt_qido_words){ .limit = VT_QIDO_RESULTS };
}

void vt_qido_words_fini(struct vt_qido_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->words[i]);
    words->count = 0;
}

bool vt_qido_words_add(struct vt_qido_words *words, const char *key, const char *value, struct vt_err *err)
{
    char *word = NULL;

    if (words->count == VT_QIDO_WORDS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d attributes are asked for", VT_QIDO_WORDS_MAX);
    int length = value ? asprintf(&word, "%s=%s", key, value) : asprintf(&word, "%s", key);
    if (length < 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for a query");
    words->words[words->count++] = word;
    return true;
}

static bool is_attribute(const char *key)
{
    char first[128];
    uint32_t tag;

    snprintf(first, sizeof first, "%.*s", (int)strcspn(key, "."), key);
    return vt_dict_tag(first, &tag);
}

static bool read_number(const char *text, uint64_t max, uint64_t *out, struct vt_err *err)
{
    char *end = NULL;
    unsigned long long number = strtoull(text, &end, 10);

    if (end == text || *end || *text < '0' || *text > '9')
        return vt_fail(err, VT_E_INVALID, "'%s' is not a number", text);
    *out = number < max ? number : max;
    return true;
}

/* Lists of UIDs come with commas (PS3.18 8.3.4.1); the archive's words have backslashes. */
static bool add_match(struct vt_qido_words *words, const char *key, const char *value, struct vt_err *err)
{
    char text[VT_HTTP_TEXT_MAX + 1];
    uint32_t tag;

    snprintf(text, sizeof text, "%s", value);
    bool is_uid = vt_dict_tag(key, &tag) && strcmp(vt_dict_vr(tag), "UI") == 0;
    for (char *p = text; is_uid && *p; p++)
        if (*p == ',')
            *p = '\\';
    return vt_qido_words_add(words, key, text, err);
}

static bool add_fields(struct vt_qido_words *words, const char *list, struct vt_err *err)
{
    char key[128];

    while (*list) {
        size_t length = strcspn(list, ",");
        snprintf(key, sizeof key, "%.*s", (int)length, list);
        if (is_attribute(key) && !vt_qido_words_add(words, key, NULL, err))
            return false;
        list += length + (list[length] == ',');
    }
    return true;
}

bool vt_qido_words_parameter(struct vt_qido_words *words, const char *key, const char *value, struct vt_err *err)
{
    if (strcmp(key, "limit") == 0)
        return read_number(value, VT_QIDO_RESULTS_MAX, &words->limit, err);
    if (strcmp(key, "offset") == 0)
        return read_number(value, UINT64_MAX, &words->offset, err);
    if (strcmp(key, "fuzzymatching") == 0) {
        words->fuzzy = strcmp(value, "true") == 0;
        return true;
    }
    if (strcmp(key, "includefield") == 0)
        return strcmp(value, "all") == 0 || add_fields(words, value, err);
    if (is_attribute(key))
        return add_match(words, key, value, err);
    words->ignored = true;
    return true;
}

bool vt_qido_words_usual(struct vt_qido_words *words, enum vt_level level, bool with_study, struct vt_err *err)
{
    static const char *const usual[VT_LEVELS][6] = {
        [VT_LEVEL_STUDY] = { "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
                             "InstanceAvailability" },
        [VT_LEVEL_SERIES] = { "NumberOfSeriesRelatedInstances" },
        [VT_LEVEL_IMAGE] = { "InstanceAvailability" },
    };
    bool ok = true;

    for (size_t i = 0; ok && usual[level][i]; i++)
        ok = vt_qido_words_add(words, usual[level][i], NULL, err);
    for (size_t i = 0; ok && with_study && level != VT_LEVEL_STUDY && usual[VT_LEVEL_STUDY][i]; i++)
        ok = vt_qido_words_add(words, usual[VT_LEVEL_STUDY][i], NULL, err);
    return ok;
}

