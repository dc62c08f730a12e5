/* What happened to a job, as an event. Allocates nothing. */
#include <stdio.h>
#include <string.h>

#include "core/event.h"
#include "core/jobs_inside.h"

enum { DETAIL_MAX = 4096 };

struct detail {
    char text[DETAIL_MAX];
    size_t size;
};

static void put(struct detail *detail, const char *text)
{
    size_t length = strlen(text);

    if (detail->size + length < sizeof detail->text) {
        memcpy(detail->text + detail->size, text, length + 1);
        detail->size += length;
    }
}

/* Texts are bounded (VT_JOB_TEXT_MAX), so that all of them fit even when every byte is escaped. */
static void put_text(struct detail *detail, const char *name, const char *text)
{
    put(detail, ",\"");
    put(detail, name);
    put(detail, "\":\"");
    for (const char *c = text; *c; c++) {
        char one[3] = { *c, '\0', '\0' };
        if (*c == '"' || *c == '\\')
            memcpy(one, (char[]){ '\\', *c, '\0' }, sizeof one);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            one[0] = '?';
        put(detail, one);
    }
    put(detail, "\"");
}

static void put_number(struct detail *detail, const char *name, uint64_t number)
{
    char text[64];

    snprintf(text, sizeof text, ",\"%s\":%llu", name, (unsigned long long)number);
    put(detail, text);
}

void vt_jobs_tell(struct vt_jobs *jobs, const char *event, const struct vt_job *job)
{
    struct detail detail = { .size = 0 };
    char id[24];

    if (!jobs->events)
        return;
    snprintf(id, sizeof id, "%lld", (long long)job->id);
    put(&detail, "{\"id\":");
    put(&detail, id);
    put_text(&detail, "kind", job->kind);
    put_text(&detail, "key", job->key);
    put_text(&detail, "subject", job->subject);
    put_text(&detail, "state", vt_job_state_name(job->state));
    put_number(&detail, "done", job->done);
    put_number(&detail, "total", job->total);
    put_number(&detail, "done_bytes", job->done_bytes);
    put_number(&detail, "total_bytes", job->total_bytes);
    put_number(&detail, "failed", job->failed);
    put_number(&detail, "attempts", job->attempts);
    put_text(&detail, "reason", job->reason);
    put(&detail, "}");
    vt_events_publish(jobs->events, event, id, detail.text);
}
