#include "cmd/progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cmd/table.h"
#include "core/clock.h"

#define REDRAW (100 * VT_NS_PER_MS)
enum { BAR = 24 };

void vt_progress_init(struct vt_progress *progress, bool quiet)
{
    *progress = (struct vt_progress){ .start = vt_clock_mono() };
    if (!quiet && isatty(STDERR_FILENO))
        progress->to = stderr;
}

static void add(char *out, size_t room, const char *text)
{
    size_t used = strlen(out);

    snprintf(out + used, room - used, "%s", text);
}

void vt_progress_text(uint64_t done, uint64_t total, const char *unit, uint64_t bytes,
                      int64_t elapsed, char *out, size_t room)
{
    char part[80], size[32], rate[32];
    double seconds = (double)elapsed / (double)VT_NS_PER_S;

    out[0] = '\0';
    if (total > 0) {
        size_t full = (size_t)((double)BAR * (double)(done < total ? done : total) / (double)total);
        snprintf(part, sizeof part, "[%.*s%*s] %3.0f %% ", (int)full, "########################",
                 (int)(BAR - full), "", 100.0 * (double)done / (double)total);
        add(out, room, part);
        snprintf(part, sizeof part, "%" PRIu64 "/%" PRIu64 " %s", done, total, unit);
    } else {
        snprintf(part, sizeof part, "%" PRIu64 " %s", done, unit);
    }
    add(out, room, part);
    if (bytes > 0) {
        vt_bytes_text(bytes, size, sizeof size);
        vt_bytes_text(seconds > 0 ? (unsigned long long)((double)bytes / seconds) : 0, rate,
                      sizeof rate);
        snprintf(part, sizeof part, ", %s, %s/s", size, rate);
        add(out, room, part);
    } else if (seconds > 0) {
        snprintf(part, sizeof part, ", %.0f/s", (double)done / seconds);
        add(out, room, part);
    }
    if (total > done && done > 0) {
        uint64_t left = (uint64_t)(seconds / (double)done * (double)(total - done));
        snprintf(part, sizeof part, ", %" PRIu64 ":%02" PRIu64 " left", left / 60, left % 60);
        add(out, room, part);
    }
}

void vt_progress_show(struct vt_progress *progress, uint64_t done, uint64_t total, const char *unit,
                      uint64_t bytes)
{
    char line[240];
    int64_t now = vt_clock_mono();

    if (!progress->to || (progress->visible && now - progress->drawn < REDRAW))
        return;
    vt_progress_text(done, total, unit, bytes, now - progress->start, line, sizeof line);
    fprintf(progress->to, "\r\033[K%s", line);
    fflush(progress->to);
    progress->drawn = now;
    progress->visible = true;
}

void vt_progress_clear(struct vt_progress *progress)
{
    if (!progress->to || !progress->visible)
        return;
    fputs("\r\033[K", progress->to);
    fflush(progress->to);
    progress->visible = false;
}
