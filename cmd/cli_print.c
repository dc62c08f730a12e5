/* vitrine print: files to a printer; keys become a job of the node; no image at all shows the printer's status. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/print_run.h"
#include "cmd/printers.h"
#include "cmd/progress.h"
#include "cmd/shs.h"
#include "cmd/tls.h"
#include "cmd/walk.h"
#include "core/err.h"
#include "dicom/header.h"
#include "dicom/net.h"

enum { FILES_MAX = 100000 };

struct printing {
    struct vt_cli *cli;
    struct vt_peers *peers;
    struct vt_printer printer;
    struct vt_client client;
    char ae_title[VT_AE_TITLE_MAX + 1];
    char **files;
    size_t count, room, left_out;
    size_t images, printed;
    struct vt_progress progress;
};

/* ---- what is told ---- */

static void say(struct printing *printing, json_t *row, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(struct printing *printing, json_t *row, const char *format, ...)
{
    struct vt_cli *cli = printing->cli;
    va_list list;

    vt_progress_clear(&printing->progress);
    if (cli->options->json) {
        if (row)
            json_dumpf(row, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
    } else {
        va_start(list, format);
        vfprintf(cli->errors, format, list);
        va_end(list);
        fputc('\n', cli->errors);
    }
    json_decref(row);
}

static void on_status(void *context, const struct vt_printer_status *status)
{
    const char *text = vt_printer_info_text(status->info);

    say(context,
        json_pack("{s:s, s:s, s:s, s:s}", "status", status->status, "info", status->info, "name", status->name, "model",
                  status->model),
        "%s%s%s: %s%s%s%s%s", *status->name ? status->name : "the printer", *status->model ? ", " : "", status->model,
        *status->status ? status->status : "says nothing of its status", *status->info ? ", " : "", status->info,
        text ? ": " : "", text ? text : "");
}

static void on_note(void *context, const char *sentence)
{
    say(context, json_pack("{s:s}", "note", sentence), "%s", sentence);
}

static void on_left_out(void *context, size_t i, const char *why)
{
    struct printing *printing = context;

    printing->left_out++;
    say(printing, json_pack("{s:s, s:s}", "file", printing->files[i], "left_out", why), "%s: left out: %s",
        printing->files[i], why);
}

static void on_counted(void *context, size_t images)
{
    ((struct printing *)context)->images = images;
}

static bool on_printed(void *context, size_t images)
{
    struct printing *printing = context;

    printing->printed = images;
    vt_progress_show(&printing->progress, images, printing->images, "images", 0);
    return !vt_cli_interrupted();
}

static bool on_path(void *context, size_t i, char *out, size_t room, struct vt_err *err)
{
    const struct printing *printing = context;

    return (size_t)snprintf(out, room, "%s", printing->files[i]) < room ||
           vt_fail(err, VT_E_LIMIT, "'%.60s...' is too long for a path", printing->files[i]);
}

/* ---- which files ---- */

static void on_trouble(void *context, const char *path, const char *why)
{
    struct printing *printing = context;

    printing->left_out++;
    say(printing, json_pack("{s:s, s:s}", "file", path, "left_out", why), "%s: %s", path, why);
}

/* What is no DICOM in a folder is passed over; what was named must be. */
static bool on_file(void *context, const char *path, uint64_t size, bool named, struct vt_err *err)
{
    struct printing *printing = context;
    struct vt_part10 part10;
    struct vt_err why = { 0 };
    vt_autoclose fd = open(path, O_RDONLY | O_CLOEXEC);

    (void)size;
    if (fd < 0)
        return vt_fail_errno(err, "%s", path);
    if (!vt_part10_read_file(fd, path, &part10, &why)) {
        if (named)
            on_trouble(printing, path, why.text);
        return true;
    }
    if (printing->count == FILES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d files", FILES_MAX);
    if (printing->count == printing->room) {
        size_t wanted = printing->room ? printing->room * 2 : 64;
        char **grown = reallocarray(printing->files, wanted, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of files");
        printing->files = grown;
        printing->room = wanted;
    }
    printing->files[printing->count] = strdup(path);
    return printing->files[printing->count++] || vt_fail(err, VT_E_NOMEM, "no memory for a list of files");
}

static bool are_keys(const struct vt_cli *cli)
{
    for (int i = 1; i < cli->arg_count; i++)
        if (!strchr(cli->args[i], '=') || access(cli->args[i], F_OK) == 0)
            return false;
    return cli->arg_count > 1;
}

/* ---- the command ---- */

static bool open_printer(struct printing *printing, struct vt_err *err)
{
    const struct vt_conf *conf = printing->cli->options->conf;
    const struct vt_net_options net = { 0 };
    json_t *asked = vt_cli_options_json(printing->cli);

    printing->peers = vt_peers_new();
    bool ok = (printing->peers && asked) || vt_fail(err, VT_E_NOMEM, "no memory for peers");
    ok = ok && vt_net_start(&net, err) && vt_dict_load(err) && vt_shs_title_conf_read(conf, printing->ae_title, err) &&
         vt_peers_load(printing->peers, conf, err) &&
         vt_printer_read(conf, printing->peers, printing->cli->args[0], asked, &printing->printer, err);
    json_decref(asked);
    printing->client = (struct vt_client){ .calling_ae_title = printing->ae_title, .peer = &printing->printer.peer };
    return ok && vt_printer_tls(conf, &printing->printer, &printing->client.tls, err);
}

static bool show_status(struct printing *printing, struct vt_err *err)
{
    struct vt_printer_status status;

    if (!vt_client_printer_status(&printing->client, printing->printer.options.colour, &status, err))
        return false;
    on_status(printing, &status);
    return strcmp(status.status, "FAILURE") != 0 || vt_fail(err, VT_E_REFUSED, "the printer cannot print");
}

static bool print_files(struct printing *printing, struct vt_err *err)
{
    struct vt_cli *cli = printing->cli;
    const struct vt_print_run run = { .client = &printing->client,
                                      .printer = &printing->printer,
                                      .path = on_path,
                                      .left_out = on_left_out,
                                      .counted = on_counted,
                                      .status = on_status,
                                      .note = on_note,
                                      .printed = on_printed,
                                      .context = printing };
    struct vt_print_run counted = run;
    size_t boxes = printing->printer.options.boxes;

    if (!vt_walk_files(cli->args + 1, (size_t)cli->arg_count - 1, on_file, on_trouble, printing, err))
        return false;
    counted.count = printing->count;
    bool ok = vt_print_run(&counted, err);
    vt_progress_clear(&printing->progress);
    size_t films = (printing->printed + boxes - 1) / boxes;
    if (cli->options->json)
        say(printing, json_pack("{s:I, s:I, s:I}", "printed", (json_int_t)printing->printed, "films", (json_int_t)films,
                                "left_out", (json_int_t)printing->left_out), "%s", "");
    else if (printing->printed > 0)
        fprintf(cli->out, "%zu images on %zu films\n", printing->printed, films);
    return ok;
}

int vt_cli_print(struct vt_cli *cli, struct vt_err *err)
{
    struct printing printing = { .cli = cli };
    int status = VT_EXIT_FAILED;

    if (are_keys(cli))
        return vt_cli_archive(cli, err);
    vt_progress_init(&printing.progress, cli->options->json);
    if (!open_printer(&printing, err))
        status = err->code == VT_E_INVALID || err->code == VT_E_NOTFOUND ? VT_EXIT_USAGE : VT_EXIT_FAILED;
    else if (cli->arg_count == 1 ? show_status(&printing, err) : print_files(&printing, err))
        status = printing.left_out > 0 ? VT_EXIT_FAILED : VT_EXIT_DONE;
    else
        vt_fail_context(err, "%s", cli->args[0]);
    for (size_t i = 0; i < printing.count; i++)
        free(printing.files[i]);
    free(printing.files);
    vt_tls_free(printing.client.tls);
    vt_peers_free(printing.peers);
    vt_net_stop();
    return status;
}
