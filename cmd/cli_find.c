/* vitrine find: C-FIND, as a table or as DICOM JSON model objects (PS3.18 F). */
#include <string.h>

#include <jansson.h>

#include "cmd/cli.h"
#include "cmd/cli_keys.h"
#include "cmd/shs.h"
#include "cmd/table.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"

enum { TEXT_MAX = 1 << 20, JSON_MAX = 16 << 20, WORD_MAX = 256 };

struct showing {
    struct vt_cli *cli;
    struct vt_table *table; /* NULL with --json */
    struct vt_column_spec columns[VT_TABLE_COLUMNS];
    size_t column_count;
    char words[VT_TABLE_COLUMNS][WORD_MAX]; /* keys of the columns the user named */
    struct vt_buf text;
    uint64_t matches;
};

/* Keywords that are longer than what is below them. */
static const char *title_of(const char *key)
{
    static const struct vt_column_spec titles[] = {
        { "NumberOfPatientRelatedStudies", "Studies" },
        { "NumberOfStudyRelatedSeries", "Series" },
        { "NumberOfStudyRelatedInstances", "Instances" },
        { "NumberOfSeriesRelatedInstances", "Instances" },
        { "NumberOfFrames", "Frames" },
        { "InstanceNumber", "Number" },
        { "SeriesNumber", "Number" },
        { "ModalitiesInStudy", "Modalities" },
        { "PatientBirthDate", "BirthDate" },
        { "PatientSex", "Sex" },
        { "AccessionNumber", "Accession" },
    };

    for (size_t i = 0; i < VT_COUNT(titles); i++)
        if (strcmp(titles[i].key, key) == 0)
            return titles[i].title;
    return key;
}

/* Usual keys first, then what else was named. */
static void choose_columns(struct showing *showing, enum vt_level level, const char *const *words,
                           size_t count)
{
    const char *key;

    for (size_t i = 0; (key = vt_keys_usual(level, i)); i++)
        showing->columns[showing->column_count++] = (struct vt_column_spec){ key, title_of(key) };
    for (size_t i = 0; i < count && showing->column_count < VT_TABLE_COLUMNS; i++) {
        char *word = showing->words[showing->column_count];
        bool there = false;
        snprintf(word, WORD_MAX, "%.*s", (int)strcspn(words[i], "="), words[i]);
        for (size_t j = 0; j < showing->column_count && !there; j++)
            there = strcmp(showing->columns[j].key, word) == 0;
        if (!there)
            showing->columns[showing->column_count++] = (struct vt_column_spec){ word, word };
    }
}

static json_t *row_of(struct showing *showing, struct vt_dataset *data_set, struct vt_err *err)
{
    json_t *row = json_object();
    bool there;

    for (size_t i = 0; row && i < showing->column_count; i++) {
        const char *key = showing->columns[i].key;
        struct vt_err why = { 0 };
        vt_buf_reset(&showing->text);
        if (!vt_dataset_get(data_set, key, &showing->text, &there, &why) || !there)
            continue;
        json_object_set_new(row, key,
                            json_stringn((const char *)showing->text.data, showing->text.size));
    }
    if (!row)
        vt_fail(err, VT_E_NOMEM, "no memory for a match");
    return row;
}

static bool show_json(struct showing *showing, struct vt_dataset *data_set, struct vt_err *err)
{
    vt_buf_reset(&showing->text);
    if (!vt_dataset_json(data_set, UINT64_MAX, NULL, &showing->text, err))
        return false;
    fwrite(showing->text.data, 1, showing->text.size, showing->cli->out);
    fputc('\n', showing->cli->out);
    return !ferror(showing->cli->out) || vt_fail(err, VT_E_CLOSED, "standard output is closed");
}

static bool on_match(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct showing *showing = context;

    (void)status;
    if (vt_cli_interrupted())
        return false;
    showing->matches++;
    VT_AUTO(vt_dataset) data_set = vt_dataset_parse(identifier, size, VT_UID_EXPLICIT_LE, err);
    if (!data_set)
        return false;
    if (!showing->table)
        return show_json(showing, data_set, err);
    json_t *row = row_of(showing, data_set, err);
    bool shown = row && vt_table_row(showing->table, row);
    json_decref(row);
    return shown || vt_failed(err) || vt_fail(err, VT_E_CLOSED, "standard output is closed");
}

static bool read_request(const struct vt_cli *cli, const struct vt_peer *peer,
                         struct vt_find_request *request, enum vt_level *level,
                         struct vt_buf *identifier, struct vt_err *err)
{
    long limit;

    if (!vt_keys_level(cli, VT_LEVEL_STUDY, level, err) ||
        !vt_keys_model(cli, *level, &request->model, err) ||
        !vt_cli_number(cli, "--limit", 0, 1000000000, 0, &limit, err) ||
        !vt_keys_identifier(*level, cli->args + 1, (size_t)cli->arg_count - 1, true, peer->charset,
                            identifier, err))
        return false;
    request->limit = (uint64_t)limit;
    request->identifier = identifier->data;
    request->size = identifier->size;
    request->relational = vt_cli_switch(cli, "--relational");
    request->combined = vt_cli_switch(cli, "--combined");
    request->fuzzy = vt_cli_switch(cli, "--fuzzy");
    return true;
}

int vt_cli_find(struct vt_cli *cli, struct vt_err *err)
{
    VT_AUTO_BUF(identifier, VT_IDENTIFIER_MAX);
    struct vt_find_request request = { 0 };
    struct showing showing = { .cli = cli };
    struct vt_cli_peer peer = { 0 };
    enum vt_level level;
    uint16_t status;
    bool found = false;

    /* The peer first: it loads the dictionary that keys need. */
    bool ready = vt_cli_peer_open(cli, cli->args[0], &peer, err) &&
                 vt_shs_title_conf_read(cli->options->conf, peer.ae_title, err) &&
                 read_request(cli, &peer.peer, &request, &level, &identifier, err);
    bool usage = !ready && (err->code == VT_E_INVALID || err->code == VT_E_NOTFOUND);
    vt_buf_init(&showing.text, JSON_MAX);
    if (ready) {
        choose_columns(&showing, level, cli->args + 1, (size_t)cli->arg_count - 1);
        const struct vt_table_options layout = { .out = cli->out,
                                                 .columns = showing.columns,
                                                 .column_count = showing.column_count };
        showing.table = cli->options->json ? NULL : vt_table_new(&layout);
        found = vt_client_find(&peer.client, &request, on_match, &showing, &status, err);
        vt_table_free(showing.table);
    }
    vt_buf_fini(&showing.text);
    vt_cli_peer_close(&peer);
    if (ready && !found)
        vt_fail_context(err, "%s", cli->args[0]);
    else if (found && showing.matches == 0 && !cli->options->json)
        fputs("nothing matches\n", cli->errors);
    return found ? VT_EXIT_DONE : usage ? VT_EXIT_USAGE : VT_EXIT_FAILED;
}
