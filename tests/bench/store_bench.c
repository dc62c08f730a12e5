/* store_bench: the storage side alone. N threads receive instances from memory into a fresh
 * archive, without a network.
 *
 *   store_bench FOLDER tiny|ct|wsi|huge THREADS SECONDS [relaxed]
 *
 * Prints instances/s, MB/s, p50/p99 of one instance, CPU an instance, peak memory. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "tests/archive/objects.h"

enum { TIMES_MAX = 4 << 20, PER_SERIES = 200, FIRST_BYTES = 2000 };

static const struct kind {
    const char *name;
    size_t pixels;
} kinds[] = {
    { "tiny", 1000 }, { "ct", 525 << 10 }, { "wsi", 60 << 20 }, { "huge", 2000ULL << 20 }
};

struct run {
    struct vt_archive *archive;
    size_t pixels;
    int64_t until;
    atomic_uint_fast64_t next, done;
    atomic_bool failed;
    int64_t *times;
};

/* The UIDs change from instance to instance at fixed places, so that making one costs nothing. */
static bool receive_one(struct run *run, struct vt_receive *receive, uint64_t number,
                        struct vt_buf *bytes, struct vt_err *err)
{
    char patient[32], study[40], series[48], sop[VT_UID_MAX + 1];
    struct object object = OBJECT;
    struct vt_receive_result result;

    snprintf(patient, sizeof patient, "P%08llu", (unsigned long long)(number / PER_SERIES));
    snprintf(study, sizeof study, "1.2.826.1.%08llu",
             10000000ULL + (unsigned long long)(number / PER_SERIES));
    snprintf(series, sizeof series, "%s.1", study);
    snprintf(sop, sizeof sop, "%s.%08llu", series, 10000000ULL + (unsigned long long)number);
    object.patient = patient;
    object.study = study;
    object.series = series;
    object.sop = sop;
    object.pixels = 2;
    vt_buf_reset(bytes);
    if (!object_encode(&object, bytes))
        return vt_fail(err, VT_E_NOMEM, "no object");
    /* The length of the pixel data is the last four bytes before its value. */
    uint32_t length = (uint32_t)run->pixels;
    memcpy(bytes->data + bytes->size - 6, &length, sizeof length);
    struct vt_receive_from from = { .sop_class_uid = object.sop_class,
                                    .sop_instance_uid = sop,
                                    .transfer_syntax_uid = object.syntax,
                                    .encoding = VT_EXPLICIT_LE,
                                    .calling_ae_title = "BENCH",
                                    .host = "" };
    static uint8_t pixels[256 << 10];
    if (!vt_receive_begin(receive, &from, err) ||
        !vt_receive_write(receive, bytes->data, bytes->size - 2, err))
        return false;
    for (size_t at = 0; at < run->pixels; at += sizeof pixels)
        if (!vt_receive_write(receive, pixels,
                              run->pixels - at < sizeof pixels ? run->pixels - at : sizeof pixels,
                              err))
            return false;
    return vt_receive_commit(receive, &result, err) &&
           (result.status == 0 ||
            vt_fail(err, VT_E_STATUS, "status %04x %s", result.status, result.comment));
}

static void *work(void *context)
{
    struct run *run = context;
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(run->archive, &err);
    VT_AUTO_BUF(bytes, 1 << 20);

    while (receive && vt_clock_mono() < run->until) {
        int64_t start = vt_clock_mono();
        if (!receive_one(run, receive, atomic_fetch_add(&run->next, 1), &bytes, &err))
            break;
        uint64_t i = atomic_fetch_add(&run->done, 1);
        if (i < TIMES_MAX)
            run->times[i] = vt_clock_mono() - start;
    }
    if (err.code != VT_OK) {
        fprintf(stderr, "store_bench: %s\n", err.text);
        atomic_store(&run->failed, true);
    }
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print(const struct run *run, double seconds, const char *name, int threads)
{
    uint64_t done = atomic_load(&run->done), kept = done < TIMES_MAX ? done : TIMES_MAX;
    struct rusage usage;

    if (done == 0)
        return;
    qsort(run->times, kept, sizeof *run->times, ascending);
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    printf("%s threads %d: %.0f/s %.1f MB/s p50 %.2f ms p99 %.2f ms cpu %.1f us rss %ld MB\n", name,
           threads, (double)done / seconds, (double)done / seconds * (double)run->pixels / 1e6,
           1e-6 * (double)run->times[kept / 2], 1e-6 * (double)run->times[kept * 99 / 100],
           1e6 * cpu / (double)done, usage.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
    static struct run run;
    struct vt_err err = { 0 };
    pthread_t threads[256];

    if (argc < 5) {
        fprintf(stderr, "store_bench FOLDER tiny|ct|wsi|huge THREADS SECONDS [relaxed]\n");
        return 2;
    }
    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        if (strcmp(argv[2], kinds[i].name) == 0)
            run.pixels = kinds[i].pixels;
    int count = atoi(argv[3]);
    struct vt_archive_options options = { .path = argv[1], .readers = 16, .relaxed = argc > 5 };
    run.archive = vt_archive_open(&options, &err);
    run.times = calloc(TIMES_MAX, sizeof *run.times);
    if (!run.archive || !run.times || run.pixels == 0 || count < 1 || count > 256) {
        fprintf(stderr, "store_bench: %s\n", err.text);
        return 2;
    }
    int64_t start = vt_clock_mono();
    run.until = start + atoi(argv[4]) * VT_NS_PER_S;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, &run);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    print(&run, 1e-9 * (double)(vt_clock_mono() - start), argv[2], count);
    start = vt_clock_mono();
    vt_archive_free(run.archive);
    printf("closed in %.0f ms\n", 1e-6 * (double)(vt_clock_mono() - start));
    free(run.times);
    return atomic_load(&run.failed);
}
