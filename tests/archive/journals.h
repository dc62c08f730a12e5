/* tests/archive/journals.h: journals of small segments, and what a replay sees; behind cmocka.h. */
#pragma once

#include "archive/journal.h"
#include "tests/archive/objects.h"

struct seen {
    size_t count;
    uint64_t first, last;
    char body[64];
};

static inline bool see(void *context, const struct vt_journal_entry *entry, struct vt_err *err)
{
    struct seen *seen = context;

    (void)err;
    if (seen->count++ == 0)
        seen->first = entry->sequence;
    seen->last = entry->sequence;
    snprintf(seen->body, sizeof seen->body, "%.*s", (int)(entry->size < 60 ? entry->size : 60),
             (const char *)entry->body);
    return true;
}

static inline struct seen replay(struct vt_journal *journal, uint64_t after)
{
    struct seen seen = { 0 };
    struct vt_err err = { 0 };

    assert_true(vt_journal_replay(journal, after, see, &seen, &err));
    return seen;
}

static inline uint64_t add(struct vt_journal *journal, const char *head, size_t tail)
{
    static char zeros[300 << 10];
    struct vt_err err = { 0 };
    uint64_t sequence = 0;

    if (!vt_journal_append(journal, VT_RECORD_STORE, head, strlen(head), zeros, tail, &sequence,
                           &err))
        assert_int_equal(err.code, VT_E_FULL);
    return sequence;
}

static inline struct vt_journal *open_at(const char *folder)
{
    struct vt_err err = { 0 };
    struct vt_journal *journal = vt_journal_open(folder, VT_JOURNAL_SEGMENT_MIN, &err);

    assert_non_null(journal);
    return journal;
}

/* Both segments, until nothing more has room; the last number. */
static inline uint64_t fill_journal(struct vt_journal *journal)
{
    struct vt_err err = { 0 };
    uint64_t last = 0, sequence;

    assert_true(vt_journal_prepare(journal, &err));
    while ((sequence = add(journal, "r", 100000)) > 0)
        last = sequence;
    assert_true(last > 15);
    return last;
}
