/* index_bench: the SQLite index alone. index_bench FOLDER [INSTANCES...] builds an index of each
 * size in FOLDER (20 instances a series, 50 a study, 100 a patient; 64 a transaction) and prints
 * the put rate, the size, and p50/p95 of the named queries: to the first row, and for each further
 * one. index_bench FOLDER fill INSTANCES: builds it and asks nothing, for other benches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/attributes.h"
#include "archive/index.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/tags.h"

enum {
    A_SERIES = 20,
    A_STUDY = 50,
    A_PATIENT = 100,
    A_TRANSACTION = 64,
    ROUNDS = 300,
    DATES = 7000
};

static const char *const surnames[] = { "ADAMS",  "BAKER",  "CLARK",  "DAVIS",  "EVANS",  "FISCHER",
                                        "GARCIA", "HUBER",  "IVANOV", "JONES",  "KELLER", "LOPEZ",
                                        "MEYER",  "NOVAK",  "OLSEN",  "PETROV", "QUINN",  "ROSSI",
                                        "SMITH",  "TANAKA", "UNGER",  "VOGEL",  "WAGNER", "XU",
                                        "YAMADA", "ZIMMER" };
static const char *const given[] = { "ANNA",  "BEN",  "CARLA", "DAVID", "EVA",
                                     "FRANK", "GINA", "HANS",  "INES",  "JOHN" };

static void die(const struct vt_err *err)
{
    fprintf(stderr, "index_bench: %s\n", err->text);
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void put_text(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_err err = { 0 };
    if (!vt_attributes_append(buf, tag, vr, text, strlen(text), &err))
        die(&err);
}

/* SMITH* is 1.5 % of the patients, *MIT* 3 %. */
static void patient_name(uint64_t patient, char *out, size_t room)
{
    uint64_t r = mix(patient + 1) % 1000;
    const char *surname = r < 15   ? "SMITH"
                          : r < 30 ? "HAMMITT"
                                   : surnames[mix(patient + 7) % VT_COUNT(surnames)];

    if (r >= 30 && strcmp(surname, "SMITH") == 0)
        surname = "SANDER";
    snprintf(out, room, "%s%llu^%s", surname, (unsigned long long)(mix(patient) % 997),
             given[mix(patient + 3) % 10]);
}

static void study_date(uint64_t study, char out[9])
{
    uint64_t day = mix(study + 11) % DATES;
    snprintf(out, 9, "%04d%02d%02d", (int)(2005 + day / 336), (int)(1 + day % 336 / 28),
             (int)(1 + day % 28));
}

static void make(struct vt_instance *out, uint64_t i)
{
    uint64_t patient = i / A_PATIENT, study = i / A_STUDY, within = i % A_STUDY,
             series = within / A_SERIES;
    struct vt_buf *at = out->attributes;
    char text[80], date[9];

    vt_instance_reset(out);
    patient_name(patient, text, sizeof text);
    put_text(&at[0], VT_TAG_PATIENT_NAME, "PN", text);
    snprintf(text, sizeof text, "P%07llu", (unsigned long long)patient);
    put_text(&at[0], VT_TAG_PATIENT_ID, "LO", text);
    put_text(&at[0], VT_TAG_PATIENT_BIRTH_DATE, "DA", "19610203");
    put_text(&at[0], VT_TAG_PATIENT_SEX, "CS", "F");
    study_date(study, date);
    put_text(&at[1], VT_TAG_STUDY_DATE, "DA", date);
    put_text(&at[1], VT_TAG_STUDY_TIME, "TM", "101530");
    snprintf(text, sizeof text, "A%08llu", (unsigned long long)study);
    put_text(&at[1], VT_TAG_ACCESSION_NUMBER, "SH", text);
    put_text(&at[1], VT_TAG_REFERRING_PHYSICIAN_NAME, "PN", "HOUSE^GREGORY");
    put_text(&at[1], VT_TAG_STUDY_DESCRIPTION, "LO", "Thorax with contrast");
    put_text(&at[1], VT_TAG_STUDY_ID, "SH", text + 1);
    put_text(&at[2], VT_TAG_MODALITY, "CS", series == 2 ? "SR" : "CT");
    put_text(&at[2], VT_TAG_SERIES_DESCRIPTION, "LO", "axial 1.0 mm");
    snprintf(text, sizeof text, "%llu", (unsigned long long)series + 1);
    put_text(&at[2], VT_TAG_SERIES_NUMBER, "IS", text);
    put_text(&at[3], VT_TAG_IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    snprintf(text, sizeof text, "%llu", (unsigned long long)(within % A_SERIES) + 1);
    put_text(&at[3], VT_TAG_INSTANCE_NUMBER, "IS", text);
    snprintf(out->study_uid, sizeof out->study_uid, "1.2.826.0.1.3680043.9.7.%llu",
             (unsigned long long)study);
    snprintf(out->series_uid, sizeof out->series_uid, "1.2.826.0.1.3680043.9.7.%llu.%llu",
             (unsigned long long)study, (unsigned long long)series);
    snprintf(out->sop_uid, sizeof out->sop_uid, "1.2.826.0.1.3680043.9.7.%llu.%llu.%llu",
             (unsigned long long)study, (unsigned long long)series, (unsigned long long)within);
    snprintf(out->sop_class, sizeof out->sop_class, "%s", VT_UID_CT_IMAGE);
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s", VT_UID_EXPLICIT_LE);
    snprintf(out->file, sizeof out->file, "objects/%.4s/%.2s/%.2s/%s/%s/%s.dcm", date, date + 4,
             date + 6, out->study_uid, out->series_uid, out->sop_uid);
    out->version = 1;
    out->file_size = 1500;
    out->data_set_offset = 370;
    out->data_set_size = 1130;
    out->has_pixels = true;
    out->pixel_offset = 1000;
    out->pixel_length = 128;
    out->arrived = (int64_t)i;
    uint64_t digest[2] = { mix(i), mix(i + 5) };
    memcpy(out->data_set_digest.bytes, digest, 16);
    memcpy(out->pixel_digest.bytes, digest, 16);
}

/* Thread CPU seconds and wall seconds of putting [from, to). */
static void fill(struct vt_index *index, uint64_t from, uint64_t to)
{
    struct vt_err err = { 0 };
    struct vt_instance instance;
    unsigned flags;
    struct timespec cpu0, cpu1;
    int64_t made = 0, start = vt_clock_mono();

    vt_instance_init(&instance);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu0);
    for (uint64_t i = from; i < to; i++) {
        int64_t before = vt_clock_mono();
        make(&instance, i);
        made += vt_clock_mono() - before;
        if ((i - from) % A_TRANSACTION == 0 && !vt_index_begin(index, &err))
            die(&err);
        if (!vt_index_put(index, &instance, &flags, &err))
            die(&err);
        if (((i - from) % A_TRANSACTION == A_TRANSACTION - 1 || i + 1 == to) &&
            !vt_index_commit(index, i, &err))
            die(&err);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu1);
    double wall = (double)(vt_clock_mono() - start - made) / 1e9;
    double cpu = (double)(cpu1.tv_sec - cpu0.tv_sec) + (double)(cpu1.tv_nsec - cpu0.tv_nsec) / 1e9 -
                 (double)made / 1e9;
    printf("put %llu instances: %.0f/s (%.0f/s of CPU time)\n", (unsigned long long)(to - from),
           (double)(to - from) / wall, (double)(to - from) / cpu);
    vt_instance_fini(&instance);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_line(const char *name, int64_t *first, int64_t rest, uint64_t rows)
{
    qsort(first, ROUNDS, sizeof *first, by_number);
    printf("  %-24s first %8.3f / %8.3f ms   %6.1f matches, %5.2f us each further one\n", name,
           (double)first[ROUNDS / 2] / 1e6, (double)first[ROUNDS * 95 / 100] / 1e6,
           (double)rows / ROUNDS,
           rows > ROUNDS ? (double)rest / 1e3 / (double)(rows - ROUNDS) : 0.0);
}

static bool fuzzy; /* names by sound */

/* `format` takes one text. Parsing, planning and writing the answers are in the times. */
static void measure(struct vt_index *index, const char *name, enum vt_level level,
                    const char *format,
                    void (*value)(uint64_t r, uint64_t n, char *out, size_t room), uint64_t n)
{
    static int64_t first[ROUNDS];
    struct vt_err err = { 0 };
    int64_t rest = 0;
    uint64_t rows = 0;

    for (int round = 0; round < ROUNDS; round++) {
        const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .fuzzy = fuzzy };
        const struct vt_answer_rules answer = { .retrieve_ae_title = "VITRINE",
                                                .encoding = VT_EXPLICIT_LE };
        char text[100], word[160];
        VT_AUTO_BUF(out, 1 << 20);
        struct vt_row row;
        bool more = true;

        value(mix((uint64_t)round), n, text, sizeof text);
        snprintf(word, sizeof word, "%s=%s", format, text);
        const char *words[] = { word,
                                "PatientName",
                                "PatientID",
                                "StudyDate",
                                "StudyDescription",
                                "ModalitiesInStudy",
                                "NumberOfStudyRelatedInstances" };
        int64_t start = vt_clock_mono();
        VT_AUTO(vt_query) query = vt_query_from_words(level, words, VT_COUNT(words), &rules, &err);
        VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, &err) : NULL;
        VT_AUTO(vt_cursor) cursor = plan ? vt_index_find(index, plan, &err) : NULL;
        if (!cursor)
            die(&err);
        for (int k = 0; more; k++) {
            if (!vt_cursor_next(cursor, &row, &more, &err))
                die(&err);
            vt_buf_reset(&out);
            if (more && !vt_answer_write(query, &row, &answer, &out, &err))
                die(&err);
            rows += more;
            if (k == 0)
                first[round] = vt_clock_mono() - start;
        }
        rest += vt_clock_mono() - start - first[round];
    }
    print_line(name, first, rest, rows);
}

static void value_patient(uint64_t r, uint64_t n, char *out, size_t room)
{
    snprintf(out, room, "P%07llu", (unsigned long long)(r % (n / A_PATIENT)));
}
static void value_study(uint64_t r, uint64_t n, char *out, size_t room)
{
    snprintf(out, room, "1.2.826.0.1.3680043.9.7.%llu", (unsigned long long)(r % (n / A_STUDY)));
}
static void value_series(uint64_t r, uint64_t n, char *out, size_t room)
{
    snprintf(out, room, "1.2.826.0.1.3680043.9.7.%llu.0", (unsigned long long)(r % (n / A_STUDY)));
}
static void value_accession(uint64_t r, uint64_t n, char *out, size_t room)
{
    snprintf(out, room, "A%08llu", (unsigned long long)(r % (n / A_STUDY)));
}
static void value_week(uint64_t r, uint64_t n, char *out, size_t room)
{
    (void)n;
    snprintf(out, room, "%04d%02d01-%04d%02d07", (int)(2005 + r % 20), (int)(1 + r / 20 % 12),
             (int)(2005 + r % 20), (int)(1 + r / 20 % 12));
}
static void value_prefix(uint64_t r, uint64_t n, char *out, size_t room)
{
    (void)r, (void)n;
    snprintf(out, room, "SMITH*");
}
static void value_infix(uint64_t r, uint64_t n, char *out, size_t room)
{
    (void)r, (void)n;
    snprintf(out, room, "*MIT*");
}

/* No three characters in a row: no trigram to look up. The second matches nobody: all must be looked at. */
static void value_short(uint64_t r, uint64_t n, char *out, size_t room)
{
    (void)r, (void)n;
    snprintf(out, room, "*IT*");
}
static void value_nobody(uint64_t r, uint64_t n, char *out, size_t room)
{
    (void)r, (void)n;
    snprintf(out, room, "*Q?Z*");
}
static void value_sound(uint64_t r, uint64_t n, char *out, size_t room)
{
    (void)r, (void)n;
    snprintf(out, room, "SMYTHE");
}

static void measure_lookup(struct vt_index *index, uint64_t n)
{
    struct vt_err err = { 0 };
    struct vt_index_entry entry;
    struct vt_instance instance;
    bool found = false;
    int64_t spent = 0;

    vt_instance_init(&instance);
    for (uint64_t i = 0; i < 20000; i++) {
        make(&instance, mix(i) % n);
        int64_t start = vt_clock_mono();
        if (!vt_index_lookup(index, instance.sop_uid, &entry, &found, &err) || !found)
            die(&err);
        spent += vt_clock_mono() - start;
    }
    printf("  lookup                   %.2f us\n", (double)spent / 20000 / 1e3);
    vt_instance_fini(&instance);
}

static void memory(void)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmRSS", 5) == 0 || strncmp(line, "VmHWM", 5) == 0)
            printf("  %s", line);
    if (file)
        fclose(file);
}

static void bench(const char *folder, struct vt_index *index, uint64_t from, uint64_t n)
{
    struct vt_err err = { 0 };
    char path[4200];
    struct stat info;

    printf("%llu instances\n", (unsigned long long)n);
    fill(index, from, n);
    if (!vt_index_checkpoint(index, &err))
        die(&err);
    snprintf(path, sizeof path, "%s/index.db", folder);
    if (stat(path, &info) == 0)
        printf("  %.0f bytes of index an instance\n", (double)info.st_size / (double)n);
    measure_lookup(index, n);
    measure(index, "study by PatientID", VT_LEVEL_STUDY, "PatientID", value_patient, n);
    measure(index, "study by UID", VT_LEVEL_STUDY, "StudyInstanceUID", value_study, n);
    measure(index, "study by accession", VT_LEVEL_STUDY, "AccessionNumber", value_accession, n);
    measure(index, "studies of a week", VT_LEVEL_STUDY, "StudyDate", value_week, n);
    measure(index, "studies SMITH*", VT_LEVEL_STUDY, "PatientName", value_prefix, n);
    measure(index, "studies *MIT*", VT_LEVEL_STUDY, "PatientName", value_infix, n);
    measure(index, "studies *IT*", VT_LEVEL_STUDY, "PatientName", value_short, n);
    measure(index, "studies *Q?Z*", VT_LEVEL_STUDY, "PatientName", value_nobody, n);
    fuzzy = true;
    measure(index, "studies SMYTHE by sound", VT_LEVEL_STUDY, "PatientName", value_sound, n);
    fuzzy = false;
    measure(index, "instances of a series", VT_LEVEL_IMAGE, "SeriesInstanceUID", value_series, n);
    memory();
}

int main(int argc, char **argv)
{
    static const char *const sizes[] = { "10000", "100000", "1000000" };
    struct vt_err err = { 0 };
    uint64_t from = 0;

    if (argc < 2) {
        fprintf(stderr,
                "usage: index_bench FOLDER [INSTANCES...|fill INSTANCES]   FOLDER must be empty; sizes ascend\n");
        return 2;
    }
    if (!vt_dict_load(&err))
        die(&err);
    VT_AUTO(vt_index)
    index = vt_index_open(&vt_index_sqlite,
                          &(struct vt_index_options){ .path = argv[1], .readers = 4 }, &err);
    if (!index)
        die(&err);
    if (argc == 4 && strcmp(argv[2], "fill") == 0) {
        fill(index, 0, strtoull(argv[3], NULL, 10));
        if (!vt_index_checkpoint(index, &err))
            die(&err);
        return 0;
    }
    memory();
    for (int i = 0; i < (argc > 2 ? argc - 2 : (int)VT_COUNT(sizes)); i++) {
        uint64_t n = strtoull(argc > 2 ? argv[i + 2] : sizes[i], NULL, 10);
        bench(argv[1], index, from, n);
        from = n;
    }
    return 0;
}
