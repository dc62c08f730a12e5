/* C-ECHO and C-FIND. Finds ask for what a load of `stored` instances of the set and run has put there. */
#include <string.h>
#include <time.h>

#include "tests/bench/load.h"

enum { IDENTIFIER_MAX = 2048 };

void *load_echo(void *argument)
{
    struct worker *w = argument;
    const struct dcm_offer offer = { .abstract = DCM_VERIFICATION, .syntax = DCM_IMPLICIT };
    const struct dcm_command echo = { .command = DCM_C_ECHO_RQ, .id = 1, .sop_class = DCM_VERIFICATION };
    struct dcm_message answer;
    bool open = false;

    while (worker_goes_on(w)) {
        const double begun = now_ms();
        if (!open && !(open = worker_open(w, &offer, 1)))
            break;
        if (!dcm_send_command(&w->dcm, w->dcm.context[0], &echo) || !dcm_receive(&w->dcm, &answer) || answer.status != 0)
            break;
        if (w->run->options->fresh_association) {
            dcm_release(&w->dcm);
            dcm_close(&w->dcm);
            open = false;
        }
        if (worker_timed(w)) {
            samples_add(&w->latency, now_ms() - begun);
            w->done++;
        }
    }
    if (worker_goes_on(w)) {
        worker_note(w, w->dcm.why);
        w->failed++;
    } else if (open) {
        dcm_release(&w->dcm);
    }
    dcm_close(&w->dcm);
    return NULL;
}

/* ---- identifiers ---- */

struct identifier {
    uint8_t bytes[IDENTIFIER_MAX];
    size_t size;
};

static void put(struct identifier *out, uint32_t tag, const char *vr, const char *text)
{
    uint8_t *at = out->bytes + out->size;
    size_t size = strlen(text), padded = size + size % 2;
    const uint8_t head[8] = { (uint8_t)(tag >> 16), (uint8_t)(tag >> 24), (uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)vr[0],
                              (uint8_t)vr[1], (uint8_t)padded, (uint8_t)(padded >> 8) };
    memcpy(at, head, sizeof head);
    memset(at + sizeof head, strcmp(vr, "UI") == 0 ? 0 : ' ', padded);
    memcpy(at + sizeof head, text, size);
    out->size += sizeof head + padded;
}

static void week_from(const char *first, uint32_t days, char out[18])
{
    struct tm date = { 0 };
    strptime(first, "%Y%m%d", &date);
    time_t last = timegm(&date) + (time_t)(days > 0 ? days - 1 : 0) * 86400;
    memcpy(out, first, 8);
    out[8] = '-';
    gmtime_r(&last, &date);
    strftime(out + 9, 9, "%Y%m%d", &date);
}

/* Keys in ascending order, as PS3.5 wants them. */
static void study_query(const struct options *o, const struct identity *id, struct identifier *out)
{
    const char *q = o->query;
    char range[18] = "", name[32] = "";
    if (strcmp(q, "date") == 0)
        week_from(id->date, o->days, range);
    if (strcmp(q, "smith") == 0)
        strcpy(name, "SMITH*");
    else if (strcmp(q, "infix") == 0)
        strcpy(name, "*MIT*");
    else if (strcmp(q, "prefix") == 0)      /* all but the last digit: the ten patients around, or their family's part of them */
        snprintf(name, sizeof name, "%.*s*", (int)strlen(id->name) - 1, id->name);
    put(out, 0x00080020, "DA", range);
    put(out, 0x00080030, "TM", "");
    put(out, 0x00080050, "SH", strcmp(q, "accession") == 0 ? id->accession : "");
    put(out, 0x00080052, "CS", "STUDY");
    put(out, 0x00100010, "PN", name);
    put(out, 0x00100020, "LO", strcmp(q, "patient") == 0 ? id->patient_id : "");
    put(out, 0x0020000D, "UI", strcmp(q, "study") == 0 ? id->study_uid : "");
    put(out, 0x00200010, "SH", "");
}

static void instance_query(const struct identity *id, struct identifier *out)
{
    put(out, 0x00080018, "UI", "");
    put(out, 0x00080052, "CS", "IMAGE");
    put(out, 0x0020000D, "UI", id->study_uid);
    put(out, 0x0020000E, "UI", id->series_uid);
    put(out, 0x00200013, "IS", "");
}

static bool find_one(struct worker *w, const struct identifier *keys)
{
    const struct dcm_command find = { .command = DCM_C_FIND_RQ, .id = 1, .sop_class = DCM_STUDY_FIND, .has_data_set = true };
    struct dcm_message answer;
    uint64_t matches = 0;
    double first = 0;
    const double begun = now_ms();
    if (!dcm_send_message(&w->dcm, w->dcm.context[0], &find, keys->bytes, keys->size))
        return false;
    do {
        if (!dcm_receive(&w->dcm, &answer))
            return false;
        if (first == 0)
            first = now_ms() - begun;
        matches += answer.has_data_set;
    } while ((answer.status & 0xff00) == 0xff00);
    if (answer.status != 0) {
        snprintf(w->dcm.why, sizeof w->dcm.why, "C-FIND answered %04X", answer.status);
        return false;
    }
    if (worker_timed(w)) {
        samples_add(&w->first, first);
        samples_add(&w->latency, now_ms() - begun);
        w->done++;
        w->matches += matches;
    }
    return true;
}

void *load_find(void *argument)
{
    struct worker *w = argument;
    const struct options *o = w->run->options;
    const struct dcm_offer offer = { .abstract = DCM_STUDY_FIND, .syntax = DCM_EXPLICIT };
    bool fine = worker_open(w, &offer, 1);

    while (fine && worker_goes_on(w)) {
        const uint64_t turn = atomic_fetch_add(&w->run->next, 1);
        struct identifier keys = { .size = 0 };
        struct identity id;
        identity_of(o->set, o->run, turn * 7368787 % o->stored, &id);
        if (strcmp(o->query, "instances") == 0)
            instance_query(&id, &keys);
        else
            study_query(o, &id, &keys);
        fine = find_one(w, &keys);
    }
    if (!fine) {
        w->failed++;
        worker_note(w, w->dcm.why);
    } else {
        dcm_release(&w->dcm);
    }
    dcm_close(&w->dcm);
    return NULL;
}
