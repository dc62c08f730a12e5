/* tests/bench/measure.h: time, samples and what /proc says of a server. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct samples {      /* milliseconds; one thread fills, after its end another reads */
    double *values;
    size_t count, room;
};
void samples_add(struct samples *samples, double value);      /* ends the program when there is no memory */
void samples_join(struct samples *into, const struct samples *from);
void samples_sort(struct samples *samples);
double samples_at(const struct samples *sorted, double part);  /* 0.5 is the median; 0 without samples */
void samples_free(struct samples *samples);

double now_ms(void);

/* A server and its children (storescp --fork). */
double server_cpu_ms(pid_t pid);         /* user and system, of ended children too */
uint64_t server_rss(pid_t pid, const char *key);   /* bytes; key "VmRSS" or "VmHWM" */
void server_reset_peak(pid_t pid);
