/* vitrine send: files and folders to a peer by C-STORE. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/progress.h"
#include "cmd/table.h"
#include "cmd/walk.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/header.h"

#define MEDIA_DIRECTORY "1.2.840.10008.1.3.10"

enum { IDENTITY_BYTES = 4096 }; /* of a data set, within which (0008,0018) is looked for */

struct file {
    char *path;
    uint64_t size;
    bool told; /* what became of it */
};

struct sending {
    struct vt_cli *cli;
    struct file *files;
    size_t count, capacity;
    struct vt_progress progress;
    FILE *list; /* --failed FILE; NULL: none */
    uint64_t bytes;
    size_t done, sent, warnings, failed, skipped;
};

/* ---- which files ---- */

static bool add_file(struct sending *sending, const char *path, uint64_t size, struct vt_err *err)
{
    if (sending->count == sending->capacity) {
        size_t wanted = sending->capacity ? sending->capacity * 2 : 256;
        struct file *grown = reallocarray(sending->files, wanted, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of %zu files", wanted);
        sending->files = grown;
        sending->capacity = wanted;
    }
    char *copy = strdup(path);
    if (!copy)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of files");
    sending->files[sending->count++] = (struct file){ copy, size, false };
    return true;
}

static void report(struct sending *sending, const char *path, const char *result,
                   const char *sop_uid, uint16_t status, const char *text)
{
    struct vt_cli *cli = sending->cli;

    if (cli->options->json) {
        json_t *row = json_pack("{s:s, s:s, s:s, s:i, s:s}", "file", path, "result", result,
                                "sop_instance_uid", sop_uid, "status", status, "text", text);
        if (row)
            json_dumpf(row, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
        json_decref(row);
    } else if (*text || cli->options->verbose) {
        /* A sentence may begin with the path already. */
        size_t length = strlen(path);
        if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
            text += length + 2;
        vt_progress_clear(&sending->progress);
        fprintf(cli->errors, "%s: %s%s%s\n", path, result, *text ? ": " : "", text);
    }
}

static void failed(struct sending *sending, const char *path, const char *sop_uid, uint16_t status,
                   const char *text)
{
    sending->failed++;
    report(sending, path, "failed", sop_uid, status, text);
    if (sending->list)
        fprintf(sending->list, "%s\n", path);
}

static void on_trouble(void *context, const char *path, const char *why)
{
    failed(context, path, "", 0, why);
}

/* Files in folders that are no DICOM, and DICOMDIRs, are passed over; a file that was named must be
 * one. */
static bool on_file(void *context, const char *path, uint64_t size, bool named, struct vt_err *err)
{
    struct sending *sending = context;
    struct vt_part10 part10;
    struct vt_err why = { 0 };
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        failed(sending, path, "", 0, strerror(errno));
        return true;
    }
    if (!vt_part10_read_file(fd, path, &part10, &why)) {
        if (named)
            failed(sending, path, "", 0, why.text);
        else
            sending->skipped++;
        return true;
    }
    if (strcmp(part10.sop_class_uid, MEDIA_DIRECTORY) == 0) {
        sending->skipped++;
        return true;
    }
    return add_file(sending, path, size, err);
}

/* The paths of a list that --failed wrote. */
static bool read_list(struct sending *sending, const char *name, struct vt_err *err)
{
    vt_autofree char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool going = true;
    FILE *file = fopen(name, "re");

    if (!file)
        return vt_fail_errno(err, "list %s", name);
    while (going && (length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        const char *path = line;
        if (*path)
            going = vt_walk_files(&path, 1, on_file, on_trouble, sending, err);
    }
    fclose(file);
    return going;
}

/* ---- the source of vt_client_store ---- */

/* The class and UID that the data set has itself go before those of group 0002, which other
 * software may have left as they were: the peer compares the command with the data set. What cannot
 * be walked over here keeps what group 0002 says. */
static void read_identity(int fd, struct vt_part10 *part10)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(part10->transfer_syntax_uid);
    uint8_t bytes[IDENTITY_BYTES];
    ssize_t size = pread(fd, bytes, sizeof bytes, (off_t)part10->data_set_offset);
    struct vt_element element;
    struct vt_walk walk;
    struct vt_err why = { 0 };
    bool more;

    if (!syntax || syntax->encoding == VT_DEFLATED_LE || size <= 0)
        return;
    vt_walk_init(&walk, bytes, (size_t)size, syntax->encoding);
    while (vt_walk_next(&walk, &element, &more, &why) && more &&
           element.tag <= VT_TAG_SOP_INSTANCE_UID) {
        if (element.tag == VT_TAG_SOP_CLASS_UID && element.length > 0)
            vt_element_text(&element, part10->sop_class_uid, sizeof part10->sop_class_uid);
        if (element.tag == VT_TAG_SOP_INSTANCE_UID && element.length > 0)
            vt_element_text(&element, part10->sop_instance_uid, sizeof part10->sop_instance_uid);
    }
}

static bool read_outgoing(const struct file *file, int fd, struct vt_outgoing *out,
                          struct vt_err *err)
{
    struct vt_part10 part10;

    if (!vt_part10_read_file(fd, file->path, &part10, err))
        return false;
    if (part10.data_set_offset > file->size)
        return vt_fail(err, VT_E_CORRUPT, "the file ends within its header");
    read_identity(fd, &part10);
    memcpy(out->sop_class, part10.sop_class_uid, sizeof out->sop_class);
    memcpy(out->sop_uid, part10.sop_instance_uid, sizeof out->sop_uid);
    memcpy(out->transfer_syntax, part10.transfer_syntax_uid, sizeof out->transfer_syntax);
    out->offset = part10.data_set_offset;
    out->size = file->size - part10.data_set_offset;
    return true;
}

static bool describe(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    const struct file *file = &((struct sending *)context)->files[i];
    vt_autoclose fd = open(file->path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? vt_fail_errno(err, "opening it") : read_outgoing(file, fd, out, err);
}

static bool open_file(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    const struct file *file = &((struct sending *)context)->files[i];

    out->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    return out->fd < 0 ? vt_fail_errno(err, "opening it") : read_outgoing(file, out->fd, out, err);
}

static bool on_done(void *context, size_t i, struct vt_outgoing *sent, enum vt_sent result,
                    uint16_t status, const char *text)
{
    struct sending *sending = context;
    struct file *file = &sending->files[i];

    file->told = true;
    if (sent->fd >= 0)
        close(sent->fd);
    sent->fd = -1;
    sending->done++;
    if (result == VT_SENT_OK || result == VT_SENT_WARNING) {
        sending->sent++;
        sending->warnings += result == VT_SENT_WARNING;
        sending->bytes += sent->size;
        report(sending, file->path, result == VT_SENT_OK ? "sent" : "sent with a warning",
               sent->sop_uid, status, text);
    } else {
        failed(sending, file->path, sent->sop_uid, status, text);
    }
    vt_progress_show(&sending->progress, sending->done, sending->count, "instances",
                     sending->bytes);
    return !vt_cli_interrupted();
}

/* ---- the command ---- */

static void summarize(const struct sending *sending, const char *peer, int64_t elapsed)
{
    struct vt_cli *cli = sending->cli;
    double seconds = (double)elapsed / (double)VT_NS_PER_S;
    char size[32], rate[32];

    if (cli->options->json) {
        json_t *row = json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:f}", "sent", (json_int_t)sending->sent, "warnings",
            (json_int_t)sending->warnings, "failed", (json_int_t)sending->failed, "skipped",
            (json_int_t)sending->skipped, "bytes", (json_int_t)sending->bytes, "seconds", seconds);
        if (row)
            json_dumpf(row, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
        json_decref(row);
        return;
    }
    vt_bytes_text(sending->bytes, size, sizeof size);
    vt_bytes_text(seconds > 0 ? (unsigned long long)((double)sending->bytes / seconds) : 0, rate,
                  sizeof rate);
    fprintf(cli->out, "sent %zu instances, %s in %.1f s (%s/s) to %s", sending->sent, size, seconds,
            rate, peer);
    if (sending->warnings)
        fprintf(cli->out, ", %zu with a warning", sending->warnings);
    if (sending->failed)
        fprintf(cli->out, ", %zu failed", sending->failed);
    if (sending->skipped)
        fprintf(cli->out, ", %zu other files passed over", sending->skipped);
    fputc('\n', cli->out);
}

static bool collect(struct sending *sending, struct vt_err *err)
{
    struct vt_cli *cli = sending->cli;
    const char *list = vt_cli_value(cli, "--from");

    return vt_walk_files(cli->args + 1, (size_t)cli->arg_count - 1, on_file, on_trouble, sending,
                         err) &&
           (!list || read_list(sending, list, err));
}

/* What was not come to is failed too: it belongs on the list. */
static void fail_rest(struct sending *sending, const char *why)
{
    for (size_t i = 0; i < sending->count; i++)
        if (!sending->files[i].told)
            failed(sending, sending->files[i].path, "", 0, why);
}

static int send_all(struct sending *sending, struct vt_cli_peer *peer, struct vt_err *err)
{
    const struct vt_source source = { .count = sending->count,
                                      .describe = describe,
                                      .open = open_file,
                                      .done = on_done,
                                      .context = sending };
    int64_t start = vt_clock_mono();

    vt_progress_init(&sending->progress, sending->cli->options->json);
    bool done = sending->count == 0 || vt_client_store(&peer->client, &source, NULL, err);
    vt_progress_clear(&sending->progress);
    if (!done) {
        if (sending->list || sending->cli->options->json)
            fail_rest(sending, err->text);
        else
            sending->failed += sending->count - sending->done;
        vt_fail_context(err, "%s", sending->cli->args[0]);
    }
    summarize(sending, sending->cli->args[0], vt_clock_mono() - start);
    if (done && sending->failed)
        vt_fail(err, VT_E_STATUS, "%zu of %zu files failed: their reasons stand above",
                sending->failed, sending->failed + sending->sent);
    return sending->failed ? VT_EXIT_FAILED : VT_EXIT_DONE;
}

/* KEY=VALUE of the archive; a file of such a name is a file. */
static bool are_keys(const struct vt_cli *cli)
{
    for (int i = 1; i < cli->arg_count; i++)
        if (!strchr(cli->args[i], '=') || access(cli->args[i], F_OK) == 0)
            return false;
    return true;
}

int vt_cli_send(struct vt_cli *cli, struct vt_err *err)
{
    struct sending sending = { .cli = cli };
    struct vt_cli_peer peer = { 0 };
    const char *list = vt_cli_value(cli, "--failed");
    int status = VT_EXIT_FAILED;

    if (cli->arg_count >= 2 && are_keys(cli))
        return vt_cli_archive(cli, err);
    if (vt_cli_value(cli, "--commit")) {
        vt_fail(err, VT_E_INVALID,
                "--commit goes with keys of the archive; for files there is 'vitrine commit'");
        return VT_EXIT_USAGE;
    }
    if (cli->arg_count < 2 && !vt_cli_value(cli, "--from")) {
        vt_fail(err, VT_E_INVALID, "name files or folders to send, or a list with --from");
        return VT_EXIT_USAGE;
    }
    if (!vt_cli_peer_open(cli, cli->args[0], &peer, err)) {
        status = err->code == VT_E_INVALID || err->code == VT_E_NOTFOUND ? VT_EXIT_USAGE
                                                                         : VT_EXIT_FAILED;
    } else if (list && !(sending.list = fopen(list, "we"))) {
        vt_fail_errno(err, "list %s", list);
    } else if (collect(&sending, err)) {
        if (sending.count == 0 && sending.failed == 0)
            vt_fail(err, VT_E_NOTFOUND, "there is no DICOM file to send");
        else
            status = send_all(&sending, &peer, err);
    }
    if (sending.list)
        fclose(sending.list);
    for (size_t i = 0; i < sending.count; i++)
        free(sending.files[i].path);
    free(sending.files);
    vt_cli_peer_close(&peer);
    return status;
}
