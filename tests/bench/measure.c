#include "tests/bench/measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN_MAX = 512 };

void samples_add(struct samples *samples, double value)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 4096;
        samples->values = reallocarray(samples->values, samples->room, sizeof *samples->values);
        if (!samples->values) {
            fputs("dicombench: no memory for samples\n", stderr);
            exit(1);
        }
    }
    samples->values[samples->count++] = value;
}

void samples_join(struct samples *into, const struct samples *from)
{
    for (size_t i = 0; i < from->count; i++)
        samples_add(into, from->values[i]);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void samples_sort(struct samples *samples)
{
    if (samples->count)
        qsort(samples->values, samples->count, sizeof *samples->values, by_value);
}

double samples_at(const struct samples *sorted, double part)
{
    if (sorted->count == 0)
        return 0;
    size_t i = (size_t)(part * (double)sorted->count);
    return sorted->values[i < sorted->count ? i : sorted->count - 1];
}

void samples_free(struct samples *samples)
{
    free(samples->values);
    memset(samples, 0, sizeof *samples);
}

double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t children_of(pid_t pid, pid_t out[CHILDREN_MAX])
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (count < CHILDREN_MAX && fscanf(file, "%d", &out[count]) == 1)
        count++;
    fclose(file);
    return count;
}

static double cpu_of(pid_t pid, bool with_ended)
{
    char path[64], line[1024];
    unsigned long long user = 0, system = 0;
    long long user_ended = 0, system_ended = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *behind_name = strrchr(line, ')');
    if (!behind_name || sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &user, &system,
                               &user_ended, &system_ended) != 4)
        return 0;
    if (with_ended) {
        user += (unsigned long long)user_ended;
        system += (unsigned long long)system_ended;
    }
    return (double)(user + system) * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

double server_cpu_ms(pid_t pid)
{
    pid_t children[CHILDREN_MAX];
    double sum = cpu_of(pid, true);
    for (size_t i = 0, count = children_of(pid, children); i < count; i++)
        sum += cpu_of(children[i], false);
    return sum;
}

static uint64_t status_of(pid_t pid, const char *key)
{
    char path[64], line[256];
    uint64_t kib = 0;
    const size_t length = strlen(key);
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, length) == 0 && line[length] == ':' && sscanf(line + length + 1, "%" SCNu64, &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

uint64_t server_rss(pid_t pid, const char *key)
{
    pid_t children[CHILDREN_MAX];
    uint64_t sum = status_of(pid, key);
    for (size_t i = 0, count = children_of(pid, children); i < count; i++)
        sum += status_of(children[i], key);
    return sum;
}

void server_reset_peak(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", pid);
    FILE *file = fopen(path, "w");
    if (file) {
        fputs("5", file);
        fclose(file);
    }
}
