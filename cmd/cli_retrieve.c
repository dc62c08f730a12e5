/* vitrine get, vitrine move: C-GET to files, C-MOVE to another AE. Keys that are not unique are
 * searched first. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/cli_keys.h"
#include "cmd/get_files.h"
#include "cmd/progress.h"
#include "cmd/table.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/element.h"

enum { TARGETS_MAX = 100000, FAILED_SHOWN = 20, FAILED_LIST_MAX = 8 << 20 };

/* What one C-GET or C-MOVE asks for: UIDs from the study down, "" below the level. */
struct target {
    char study[VT_UID_MAX + 1], series[VT_UID_MAX + 1], sop[VT_UID_MAX + 1];
};

struct retrieval {
    struct vt_cli *cli;
    struct vt_cli_peer peer;
    enum vt_level level;
    enum vt_model model;
    struct target *targets; /* of a search; empty: the words are unique keys themselves */
    size_t target_count, target_capacity;
    struct vt_get_files *files; /* get */
    const char *destination;    /* move */
    struct vt_progress progress;
    struct vt_buf failed_uids;
    uint64_t completed, failed, warning;
    uint16_t worst; /* status that was no success */
    char comment[65];
};

static const char *const *words_of(const struct retrieval *retrieval, size_t *out_count)
{
    *out_count = (size_t)retrieval->cli->arg_count - 1;
    return retrieval->cli->args + 1;
}

/* ---- the search ---- */

static void copy_uid(const uint8_t *identifier, size_t size, uint32_t tag, char *out)
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_element_find(identifier, size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, VT_UID_MAX + 1);
}

static bool on_match(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct retrieval *retrieval = context;
    struct target target;

    (void)status;
    if (retrieval->target_count == TARGETS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d matches: ask for less at once", TARGETS_MAX);
    if (retrieval->target_count == retrieval->target_capacity) {
        size_t wanted = retrieval->target_capacity ? retrieval->target_capacity * 2 : 64;
        struct target *grown = reallocarray(retrieval->targets, wanted, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu matches", wanted);
        retrieval->targets = grown;
        retrieval->target_capacity = wanted;
    }
    copy_uid(identifier, size, VT_TAG_STUDY_INSTANCE_UID, target.study);
    copy_uid(identifier, size, VT_TAG_SERIES_INSTANCE_UID, target.series);
    copy_uid(identifier, size, VT_TAG_SOP_INSTANCE_UID, target.sop);
    retrieval->targets[retrieval->target_count++] = target;
    return true;
}

static bool search(struct retrieval *retrieval, struct vt_err *err)
{
    VT_AUTO_BUF(identifier, VT_IDENTIFIER_MAX);
    size_t count;
    const char *const *words = words_of(retrieval, &count);
    uint16_t status;

    if (!vt_keys_level(retrieval->cli, VT_LEVEL_STUDY, &retrieval->level, err))
        return false;
    if (retrieval->level == VT_LEVEL_PATIENT)
        retrieval->level = VT_LEVEL_STUDY; /* a patient's studies */
    if (!vt_keys_model(retrieval->cli, retrieval->level, &retrieval->model, err) ||
        !vt_keys_identifier(retrieval->level, words, count, true, retrieval->peer.peer.charset,
                            &identifier, err))
        return false;
    const struct vt_find_request find = { .model = retrieval->model,
                                          .identifier = identifier.data,
                                          .size = identifier.size,
                                          .relational = retrieval->level != VT_LEVEL_STUDY };
    return vt_client_find(&retrieval->peer.client, &find, on_match, retrieval, &status, err);
}

/* What to retrieve: at once when the words say it, else after a C-FIND. */
static bool plan(struct retrieval *retrieval, bool *out_searched, struct vt_err *err)
{
    size_t count;
    const char *const *words = words_of(retrieval, &count);
    const char *model = vt_cli_value(retrieval->cli, "--model");
    enum vt_level level;

    *out_searched = !vt_keys_are_unique(words, count, &level) ||
                    (level == VT_LEVEL_PATIENT && model && strcmp(model, "study") == 0);
    if (*out_searched)
        return search(retrieval, err);
    if (!vt_keys_level(retrieval->cli, level, &retrieval->level, err) ||
        !vt_keys_model(retrieval->cli, retrieval->level, &retrieval->model, err))
        return false;
    for (size_t i = 0; i < count && !model; i++)
        if (strncasecmp(words[i], "PatientID=", 10) == 0)
            retrieval->model = VT_MODEL_PATIENT_ROOT;
    return true;
}

/* ---- the retrieval ---- */

static bool on_progress(void *context, const struct vt_retrieve_counts *counts)
{
    struct retrieval *retrieval = context;
    uint64_t done = (uint64_t)counts->completed + counts->failed + counts->warning;
    uint64_t before = retrieval->completed + retrieval->failed + retrieval->warning;

    vt_progress_show(&retrieval->progress, before + done, before + done + counts->remaining,
                     "instances", retrieval->files ? vt_get_files_bytes(retrieval->files) : 0);
    return !vt_cli_interrupted();
}

static bool retrieve(struct retrieval *retrieval, const char *const *words, size_t count,
                     struct vt_err *err)
{
    VT_AUTO_BUF(identifier, VT_IDENTIFIER_MAX);
    struct vt_retrieve_counts counts = { 0 };

    if (!vt_keys_identifier(retrieval->level, words, count, false, NULL, &identifier, err))
        return false;
    const struct vt_retrieve_request request = {
        .model = retrieval->model,
        .identifier = identifier.data,
        .size = identifier.size,
        .destination = retrieval->destination,
        .failed_uids = &retrieval->failed_uids,
    };
    const struct vt_client *client = &retrieval->peer.client;
    if (retrieval->files) {
        struct vt_sink sink = vt_get_files_sink(retrieval->files);
        if (!vt_client_get(client, &request, &sink, on_progress, retrieval, &counts, err))
            return false;
    } else if (!vt_client_move(client, &request, on_progress, retrieval, &counts, err)) {
        return false;
    }
    retrieval->completed += counts.completed;
    retrieval->failed += counts.failed;
    retrieval->warning += counts.warning;
    if (counts.status != VT_STATUS_SUCCESS) {
        retrieval->worst = counts.status;
        memcpy(retrieval->comment, counts.comment, sizeof retrieval->comment);
    }
    return true;
}

static bool retrieve_target(struct retrieval *retrieval, const struct target *target,
                            struct vt_err *err)
{
    char study[96], series[96], sop[96];
    const char *words[] = { study, series, sop };

    snprintf(study, sizeof study, "StudyInstanceUID=%s", target->study);
    snprintf(series, sizeof series, "SeriesInstanceUID=%s", target->series);
    snprintf(sop, sizeof sop, "SOPInstanceUID=%s", target->sop);
    return retrieve(retrieval, words, (size_t)(retrieval->level - VT_LEVEL_STUDY) + 1, err);
}

/* ---- what came of it ---- */

static const char *reason_of(uint16_t status)
{
    switch (status) {
    case VT_STATUS_DESTINATION_UNKNOWN:
        return "the peer does not know the destination: it needs its host and port";
    case VT_STATUS_CANNOT_PERFORM:
        return "the peer could not send: is the destination up?";
    case VT_STATUS_DOES_NOT_MATCH:
        return "the peer does not take these keys";
    case VT_STATUS_SUBOPERATIONS_WARNING:
        return "some instances failed";
    case VT_STATUS_NOT_AUTHORIZED:
        return "the peer does not allow it";
    default:
        return "the peer failed";
    }
}

static void print_json(const struct retrieval *retrieval)
{
    json_t *row = json_pack("{s:I, s:I, s:I, s:i}", "completed", (json_int_t)retrieval->completed,
                            "failed", (json_int_t)retrieval->failed, "warning",
                            (json_int_t)retrieval->warning, "status", retrieval->worst);

    if (!row)
        return;
    if (retrieval->files)
        json_object_set_new(row, "bytes",
                            json_integer((json_int_t)vt_get_files_bytes(retrieval->files)));
    if (retrieval->failed_uids.size > 0)
        json_object_set_new(
            row, "failed_uids",
            json_stringn((const char *)retrieval->failed_uids.data, retrieval->failed_uids.size));
    json_dumpf(row, retrieval->cli->out, JSON_COMPACT);
    fputc('\n', retrieval->cli->out);
    json_decref(row);
}

static void print_failed(const struct retrieval *retrieval)
{
    const char *p = (const char *)retrieval->failed_uids.data,
               *end = p + retrieval->failed_uids.size;

    for (int shown = 0; p < end && shown < FAILED_SHOWN; shown++) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        if (!stop)
            stop = end;
        fprintf(retrieval->cli->errors, "failed: %.*s\n", (int)(stop - p), p);
        p = stop + 1;
    }
    if (p < end)
        fprintf(retrieval->cli->errors, "failed: more, see --json\n");
}

static void print_text(const struct retrieval *retrieval, int64_t elapsed)
{
    FILE *out = retrieval->cli->out;
    char size[32];
    double seconds = (double)elapsed / (double)VT_NS_PER_S;

    if (retrieval->files) {
        vt_bytes_text(vt_get_files_bytes(retrieval->files), size, sizeof size);
        fprintf(out, "got %" PRIu64 " instances, %s in %.1f s",
                vt_get_files_count(retrieval->files), size, seconds);
    } else {
        fprintf(out, "%" PRIu64 " instances moved to %s in %.1f s",
                retrieval->completed + retrieval->warning, retrieval->destination, seconds);
    }
    if (retrieval->warning)
        fprintf(out, ", %" PRIu64 " with a warning", retrieval->warning);
    if (retrieval->failed)
        fprintf(out, ", %" PRIu64 " failed", retrieval->failed);
    fputc('\n', out);
    print_failed(retrieval);
}

static int conclude(struct retrieval *retrieval, int64_t elapsed, struct vt_err *err)
{
    const char *trouble = retrieval->files ? vt_get_files_trouble(retrieval->files) : NULL;
    bool only_warnings =
        retrieval->worst == VT_STATUS_SUBOPERATIONS_WARNING && retrieval->failed == 0;
    bool nothing = retrieval->completed + retrieval->failed + retrieval->warning == 0;

    vt_progress_clear(&retrieval->progress);
    if (retrieval->cli->options->json)
        print_json(retrieval);
    else
        print_text(retrieval, elapsed);
    if (vt_failed(err)) {
        vt_fail_context(err, "%s", retrieval->cli->args[0]);
        return VT_EXIT_FAILED;
    }
    if (trouble)
        vt_fail(err, VT_E_IO, "%s", trouble);
    else if (retrieval->worst && !only_warnings)
        vt_fail_dimse(err, VT_E_STATUS, retrieval->worst, "%s (status %04XH%s%s)",
                      reason_of(retrieval->worst), retrieval->worst,
                      *retrieval->comment ? ": " : "", retrieval->comment);
    else if (nothing)
        vt_fail(err, VT_E_NOTFOUND, "nothing matches");
    return vt_failed(err) || retrieval->failed ? VT_EXIT_FAILED : VT_EXIT_DONE;
}

static int run(struct retrieval *retrieval, struct vt_err *err)
{
    size_t count;
    const char *const *words = words_of(retrieval, &count);
    int64_t start = vt_clock_mono();
    bool searched;

    vt_progress_init(&retrieval->progress, retrieval->cli->options->json);
    if (!plan(retrieval, &searched, err))
        return err->code == VT_E_INVALID ? VT_EXIT_USAGE : VT_EXIT_FAILED;
    bool going = searched || retrieve(retrieval, words, count, err);
    for (size_t i = 0; going && i < retrieval->target_count && !vt_cli_interrupted(); i++)
        going = retrieve_target(retrieval, &retrieval->targets[i], err);
    return conclude(retrieval, vt_clock_mono() - start, err);
}

static void told_file(void *context, const char *path, const char *sop_uid, uint64_t size)
{
    struct retrieval *retrieval = context;
    struct vt_cli *cli = retrieval->cli;

    if (cli->options->json) {
        json_t *row = json_pack("{s:s, s:s, s:I}", "file", path, "sop_instance_uid", sop_uid,
                                "bytes", (json_int_t)size);
        if (row)
            json_dumpf(row, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
        json_decref(row);
    } else if (cli->options->verbose) {
        vt_progress_clear(&retrieval->progress);
        fprintf(cli->out, "%s\n", path);
    }
}

static int with_peer(struct retrieval *retrieval, const char *folder, struct vt_err *err)
{
    int status;

    vt_buf_init(&retrieval->failed_uids, FAILED_LIST_MAX);
    if (!vt_cli_peer_open(retrieval->cli, retrieval->cli->args[0], &retrieval->peer, err)) {
        status = err->code == VT_E_INVALID || err->code == VT_E_NOTFOUND ? VT_EXIT_USAGE
                                                                         : VT_EXIT_FAILED;
    } else if (folder &&
               !(retrieval->files = vt_get_files_new(folder, retrieval->peer.peer.ae_title, err))) {
        status = VT_EXIT_FAILED;
    } else {
        if (retrieval->files)
            vt_get_files_tell(retrieval->files, told_file, retrieval);
        status = run(retrieval, err);
    }
    vt_get_files_free(retrieval->files);
    vt_buf_fini(&retrieval->failed_uids);
    free(retrieval->targets);
    vt_cli_peer_close(&retrieval->peer);
    return status;
}

int vt_cli_get(struct vt_cli *cli, struct vt_err *err)
{
    struct retrieval retrieval = { .cli = cli };
    const char *folder = vt_cli_value(cli, "--output");

    if (folder)
        return with_peer(&retrieval, folder, err);
    vt_fail(err, VT_E_INVALID, "name the folder for the files: -o DIR");
    return VT_EXIT_USAGE;
}

int vt_cli_move(struct vt_cli *cli, struct vt_err *err)
{
    struct retrieval retrieval = { .cli = cli, .destination = vt_cli_value(cli, "--to") };
    char title[VT_AE_TITLE_MAX + 1];

    if (retrieval.destination && vt_ae_title_trim(retrieval.destination, title))
        return with_peer(&retrieval, NULL, err);
    vt_fail(err, VT_E_INVALID, "name the AE title to move to: --to AET");
    return VT_EXIT_USAGE;
}
