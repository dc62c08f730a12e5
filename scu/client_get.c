#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "scu/client_retrieve.h"
#include "scu/get_contexts.h"

enum { CLASSES_MAX = VT_CONTEXTS_MAX - 1 };

/* ---- which storage classes to offer ---- */

struct classes {
    char text[CLASSES_MAX][VT_UID_MAX + 1];
    const char *list[CLASSES_MAX];
    size_t count;
};

static void add_class(struct classes *classes, const char *uid)
{
    if (classes->count == CLASSES_MAX || !vt_uid_usable(uid))
        return;
    for (size_t i = 0; i < classes->count; i++)
        if (strcmp(classes->text[i], uid) == 0)
            return;
    snprintf(classes->text[classes->count], sizeof classes->text[0], "%s", uid);
    classes->list[classes->count] = classes->text[classes->count];
    classes->count++;
}

static bool on_class(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                     struct vt_err *err)
{
    struct classes *classes = context;
    struct vt_element element;
    char uid[VT_UID_MAX + 1];

    (void)status;
    (void)err;
    if (vt_element_find(identifier, size, VT_EXPLICIT_LE, VT_TAG_SOP_CLASS_UID, &element)) {
        vt_element_text(&element, uid, sizeof uid);
        add_class(classes, uid);
    }
    return classes->count < CLASSES_MAX;
}

/* The same keys one asks for, at IMAGE level, with the SOP class wanted. */
static bool write_class_query(const struct vt_retrieve_request *request, struct vt_buf *out,
                              struct vt_err *err)
{
    struct vt_writer writer = { .buf = out, .encoding = VT_EXPLICIT_LE };
    struct vt_element element;
    struct vt_walk walk;
    bool more, class_written = false, level_written = false;

    vt_walk_init(&walk, request->identifier, request->size, VT_EXPLICIT_LE);
    while (vt_walk_next(&walk, &element, &more, err) && more) {
        if (!class_written && element.tag >= VT_TAG_SOP_CLASS_UID) {
            class_written = true;
            if (!vt_write_text(&writer, VT_TAG_SOP_CLASS_UID, "UI", "", err))
                return false;
        }
        if (!level_written && element.tag >= VT_TAG_QUERY_RETRIEVE_LEVEL) {
            level_written = true;
            if (!vt_write_text(&writer, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", "IMAGE", err))
                return false;
        }
        if (element.tag != VT_TAG_SOP_CLASS_UID && element.tag != VT_TAG_QUERY_RETRIEVE_LEVEL &&
            !vt_write_element(&writer, &element, VT_EXPLICIT_LE, err))
            return false;
    }
    return !vt_failed(err);
}

/* Asks the peer; a peer that does not answer such a question gets the usual classes offered. */
static void find_classes(const struct vt_client *client, const struct vt_retrieve_request *request,
                         struct classes *out)
{
    VT_AUTO_BUF(identifier, request->size + 256);
    const struct vt_sop_class *sop_class;
    struct vt_err why = { 0 };
    uint16_t status;

    if (write_class_query(request, &identifier, &why)) {
        const struct vt_find_request find = {
            .model = request->model,
            .identifier = identifier.data,
            .size = identifier.size,
            .relational = true,
        };
        vt_client_find(client, &find, on_class, out, &status, &why);
    }
    if (out->count > 0)
        return;
    for (size_t i = 0; (sop_class = vt_sop_class_at(i)); i++)
        if (sop_class->kind == VT_SOP_STORAGE && !strstr(sop_class->name, "(retired)"))
            add_class(out, sop_class->uid);
}

/* ---- C-STORE sub-operations on the same association ---- */

struct arriving {
    const struct vt_sink *sink;
    bool failed;     /* the sink failed: the rest is read and dropped */
    uint16_t status; /* to answer then */
};

static bool on_bytes(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct arriving *arriving = context;
    struct vt_err why = { 0 };

    (void)err;
    if (!arriving->failed && !arriving->sink->write(arriving->sink->context, bytes, size, &why)) {
        arriving->failed = true;
        arriving->status = why.dimse_status ? why.dimse_status : VT_STATUS_OUT_OF_RESOURCES;
    }
    return true;
}

/* The type of vt_retrieve.other. */
static bool take_instance(struct vt_retrieve *retrieve, uint8_t context_id,
                          const struct vt_command *command, struct vt_err *err)
{
    const struct vt_context *context = vt_assoc_context(retrieve->assoc, context_id);
    struct arriving arriving = { .sink = retrieve->sink };
    struct vt_err why = { 0 };

    if (command->field != VT_C_STORE_RQ || !command->has_data_set || !context ||
        context->result != VT_CONTEXT_ACCEPTED)
        return vt_fail(err, VT_E_PROTOCOL, "the peer sent %s during a C-GET",
                       vt_command_name(command->field));
    if (!arriving.sink->begin(arriving.sink->context, command, context->transfer_syntax, &why)) {
        arriving.failed = true;
        arriving.status = why.dimse_status ? why.dimse_status : VT_STATUS_OUT_OF_RESOURCES;
        if (!vt_assoc_drop_data(retrieve->assoc, err))
            return false;
    } else {
        if (!vt_assoc_read_data(retrieve->assoc, on_bytes, &arriving, NULL, err)) {
            arriving.sink->end(arriving.sink->context, false);
            return false;
        }
        uint16_t status = arriving.sink->end(arriving.sink->context, !arriving.failed);
        if (!arriving.failed)
            arriving.status = status;
    }
    struct vt_command answer = vt_command_response(command, arriving.status);
    return vt_assoc_send_command(retrieve->assoc, context_id, &answer, err);
}

static bool run_get(struct vt_retrieve *retrieve, const char *get_class,
                    const struct vt_get_contexts *contexts, struct vt_retrieve_counts *out,
                    struct vt_err *err)
{
    VT_AUTO(vt_assoc)
    assoc = vt_wire_open(retrieve->client, contexts->proposals, contexts->count, NULL, 0, err);

    if (!assoc)
        return false;
    retrieve->assoc = assoc;
    retrieve->presentation = vt_wire_context(assoc, get_class, err);
    if (!retrieve->presentation)
        return false;
    retrieve->command = (struct vt_command){
        .field = VT_C_GET_RQ,
        .message_id = vt_assoc_message_id(assoc),
        .has_data_set = true,
    };
    snprintf(retrieve->command.sop_class_uid, sizeof retrieve->command.sop_class_uid, "%s",
             get_class);
    return vt_wire_send_identifier(assoc, retrieve->presentation, &retrieve->command,
                                   retrieve->request->identifier, retrieve->request->size, err) &&
           vt_retrieve_run(retrieve, out, err);
}

bool vt_client_get(const struct vt_client *client, const struct vt_retrieve_request *request,
                   const struct vt_sink *sink, vt_retrieve_progress progress, void *context,
                   struct vt_retrieve_counts *out, struct vt_err *err)
{
    const char *get_class = vt_sop_class_of_model(VT_SOP_GET, request->model);
    struct vt_retrieve retrieve = {
        .client = client,
        .request = request,
        .progress = progress,
        .context = context,
        .other = take_instance,
        .sink = sink,
    };
    struct vt_get_contexts contexts;

    if (!get_class)
        return vt_fail(err, VT_E_INVALID, "C-GET has no such information model");
    vt_autofree struct classes *classes = calloc(1, sizeof *classes);
    if (!classes)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of SOP classes");
    if (!request->sop_classes)
        find_classes(client, request, classes);
    const char *const *list = request->sop_classes ? request->sop_classes : classes->list;
    size_t count = request->sop_classes ? request->sop_class_count : classes->count;
    bool got = vt_get_contexts_make(&contexts, get_class, list, count, err) &&
               run_get(&retrieve, get_class, &contexts, out, err);
    vt_get_contexts_fini(&contexts);
    return got;
}
