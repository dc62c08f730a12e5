/* GET /api/log: the last lines of the node's log, for an admin. Kept as they are written; they hold no patient's name (core/log.h). */
#include "console/api_inside.h"
#include "core/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 400, LINE_ROOM = 320 };

/* For ever, as the log is. */
static struct {
    pthread_mutex_t lock;             /* guards what follows */
    char lines[LINES][LINE_ROOM];
    uint64_t count;                   /* ever written; the i-th lies at i % LINES */
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep(const char *line, size_t size)
{
    size = size < LINE_ROOM - 1 ? size : LINE_ROOM - 1;
    while (size > 0 && ((unsigned char)line[size] & 0xc0) == 0x80) /* no character is cut in two */
        size--;
    pthread_mutex_lock(&kept.lock);
    char *to = kept.lines[kept.count++ % LINES];
    memcpy(to, line, size);
    to[size] = '\0';
    pthread_mutex_unlock(&kept.lock);
}

void vt_api_log_keep(void)
{
    vt_log_listen(keep);
}

/* The newest first. */
static void lines(struct vt_request *request)
{
    json_t *rows = json_array();

    pthread_mutex_lock(&kept.lock);
    uint64_t count = kept.count < LINES ? kept.count : LINES;
    for (uint64_t i = 0; i < count; i++)
        json_array_append_new(rows, json_string(kept.lines[(kept.count - 1 - i) % LINES]));
    pthread_mutex_unlock(&kept.lock);
    vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
}

const struct vt_route vt_log_routes[] = {
    { "GET", "/api/log", VT_USER_ADMIN, lines, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
