#include "scu/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "scu/client_wire.h"
#include "scu/print_inside.h"

enum { REPLY_MAX = 1 << 20, SENTENCE_MAX = 320 };

struct printing {
    const struct vt_client *client;
    const struct vt_print_job *job;
    struct vt_assoc *assoc;
    const struct vt_context *meta, *lut, *annotation; /* the last two: NULL, not offered by the printer */
    struct vt_buf raw, reply, data;
    char session_uid[VT_UID_MAX + 1], film_uid[VT_UID_MAX + 1], lut_uid[VT_UID_MAX + 1];
    char boxes[VT_PRINT_BOXES_MAX][VT_UID_MAX + 1], texts[VT_PRINT_TEXTS_MAX][VT_UID_MAX + 1];
    size_t box_count, text_count;
    bool stopped; /* between two films */
    bool plain;   /* the printer takes no wishes for the size of images */
};

static void note(const struct printing *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const struct printing *p, const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list list;

    va_start(list, format);
    vsnprintf(sentence, sizeof sentence, format, list);
    va_end(list);
    if (p->job && p->job->note)
        p->job->note(p->job->context, sentence);
}

/* ---- what the printer says by itself ---- */

static void text_of(const struct vt_buf *data, uint32_t tag, char *out, size_t room)
{
    struct vt_element element;

    out[0] = '\0';
    if (vt_element_find(data->data, data->size, VT_EXPLICIT_LE, tag, &element))
        vt_element_text(&element, out, room);
}

static void tell_event(const struct printing *p, const struct vt_command *event)
{
    static const char *const printer[] = { "NORMAL", "WARNING", "FAILURE" };
    static const char *const jobs[] = { "waits", "is being printed", "is done", "failed" };
    bool job = strcmp(event->sop_class_uid, VT_UID_PRINT_JOB) == 0;
    size_t kind = event->has_event_type && event->event_type > 0 ? event->event_type - 1u : SIZE_MAX;
    char info[VT_PRINT_TEXT];

    text_of(&p->reply, job ? VT_PRINT_TAG_JOB_INFO : VT_PRINT_TAG_PRINTER_INFO, info, sizeof info);
    const char *text = vt_printer_info_text(info);
    const char *word = job ? (kind < VT_COUNT(jobs) ? jobs[kind] : "tells something unknown")
                           : (kind < VT_COUNT(printer) ? printer[kind] : "something unknown");
    note(p, "%s %s%s%s%s%s%s", job ? "the job" : "the printer tells", word, *info ? " (" : "", info, *info ? ")" : "",
         text ? ": " : "", text ? text : "");
}

/* Answered whatever it is (PS3.4 H.4.7.3.1): printers stop when it is not. */
static bool take_event(struct printing *p, uint8_t context_id, const struct vt_command *event, struct vt_err *err)
{
    const struct vt_context *context = vt_assoc_context(p->assoc, context_id);
    struct vt_command answer = vt_command_response(event, VT_STATUS_SUCCESS);

    vt_buf_reset(&p->reply);
    if (event->has_data_set &&
        (!context || !vt_wire_read_identifier(p->assoc, context, &p->raw, &p->reply, err)))
        return vt_failed(err) ? false : vt_fail(err, VT_E_PROTOCOL, "an event on no context");
    tell_event(p, event);
    answer.has_event_type = event->has_event_type;
    answer.event_type = event->event_type;
    return vt_assoc_send_command(p->assoc, context_id, &answer, err);
}

/* ---- one operation ---- */

/* The answer and its data set, in p->reply. */
static bool await(struct printing *p, const struct vt_command *request, struct vt_command *answer, struct vt_err *err)
{
    int64_t deadline = vt_wire_deadline(p->client);

    for (int events = 0; events < VT_PRINT_EVENTS_MAX; events++) {
        uint8_t context_id;
        if (!vt_wire_next(p->assoc, deadline, &context_id, answer, err))
            return false;
        if (answer->field == VT_N_EVENT_REPORT_RQ) {
            if (!take_event(p, context_id, answer, err))
                return false;
            continue;
        }
        if (answer->field != (request->field | 0x8000) || answer->responded_id != request->message_id ||
            !answer->has_status)
            return vt_fail(err, VT_E_PROTOCOL, "the printer answered %s with %s", vt_command_name(request->field),
                           vt_command_name(answer->field));
        vt_buf_reset(&p->reply);
        const struct vt_context *context = vt_assoc_context(p->assoc, context_id);
        return !answer->has_data_set || (context && vt_wire_read_identifier(p->assoc, context, &p->raw, &p->reply, err));
    }
    return vt_fail(err, VT_E_LIMIT, "the printer told %d events and answers nothing", VT_PRINT_EVENTS_MAX);
}

/* "(2010,0010) ImageDisplayFormat" of the attributes it complains of. */
static void name_offending(const struct vt_command *answer, char *out, size_t room)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < answer->offending_count && used < room; i++) {
        const char *keyword = vt_dict_keyword(answer->offending[i]);
        int n = snprintf(out + used, room - used, "%s(%04x,%04x)%s%s", i ? ", " : ": ", VT_TAG_GROUP(answer->offending[i]),
                         VT_TAG_ELEMENT(answer->offending[i]), keyword ? " " : "", keyword ? keyword : "");
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool judge(struct printing *p, const char *what, const struct vt_command *answer, struct vt_err *err)
{
    const char *text = vt_print_status_text(answer->status);
    char offending[120];

    if (answer->status == VT_STATUS_SUCCESS)
        return true;
    name_offending(answer, offending, sizeof offending);
    if (vt_status_warning(answer->status) || answer->status == 0x0107 || answer->status == 0x0116) {
        note(p, "%s: warning %04XH: %s%s", what, answer->status, text ? text : answer->comment, offending);
        return true;
    }
    return vt_fail_dimse(err, VT_E_STATUS, answer->status, "%s: the printer refused it with %04XH: %s%s%s%s", what,
                         answer->status, text ? text : "a status that nobody knows", offending,
                         *answer->comment ? "; it says: " : "", answer->comment);
}

/* p->data goes along when it is not empty. */
static bool operate(struct printing *p, const struct vt_context *context, struct vt_command *request, const char *what,
                    struct vt_err *err)
{
    struct vt_command answer;

    request->message_id = vt_assoc_message_id(p->assoc);
    request->has_data_set = p->data.size > 0;
    if (!vt_assoc_send(p->assoc, context->id, request, p->data.size > 0 ? p->data.data : NULL, p->data.size, err) ||
        !await(p, request, &answer, err))
        return vt_fail_context(err, "%s", what);
    return judge(p, what, &answer, err);
}

static struct vt_command command_of(uint16_t field, const char *sop_class, const char *sop_uid)
{
    struct vt_command command = { .field = field };

    snprintf(command.sop_class_uid, sizeof command.sop_class_uid, "%s", sop_class);
    snprintf(command.sop_instance_uid, sizeof command.sop_instance_uid, "%s", sop_uid);
    return command;
}

/* Empties p->data for what the next operation says. */
static struct vt_writer begin_data(struct printing *p, const struct vt_context *context)
{
    bool implicit = strcmp(context->transfer_syntax, VT_UID_IMPLICIT_LE) == 0;

    vt_buf_reset(&p->data);
    return (struct vt_writer){ .buf = &p->data, .encoding = implicit ? VT_IMPLICIT_LE : VT_EXPLICIT_LE };
}

static bool delete(struct printing *p, const struct vt_context *context, const char *sop_class, char *sop_uid,
                   const char *what, struct vt_err *err)
{
    struct vt_command request = command_of(VT_N_DELETE_RQ, sop_class, sop_uid);

    vt_buf_reset(&p->data);
    sop_uid[0] = '\0';
    return operate(p, context, &request, what, err);
}

/* ---- association and printer ---- */

static bool open_printer(struct printing *p, bool colour, bool lut, bool annotation, struct vt_err *err)
{
    const char *meta = colour ? VT_UID_COLOUR_PRINT : VT_UID_GREY_PRINT;
    struct vt_propose contexts[4];
    const char *classes[4] = { meta, VT_UID_PRINT_JOB };
    size_t count = 2;

    if (lut)
        classes[count++] = VT_UID_PRESENTATION_LUT;
    if (annotation)
        classes[count++] = VT_UID_ANNOTATION_BOX;
    for (size_t i = 0; i < count; i++)
        contexts[i] = (struct vt_propose){ .abstract_syntax = classes[i],
                                           .transfer_syntaxes = vt_wire_plain_syntaxes,
                                           .transfer_syntax_count = VT_COUNT(vt_wire_plain_syntaxes) };
    p->assoc = vt_wire_open(p->client, contexts, count, NULL, 0, err);
    p->meta = p->assoc ? vt_wire_context(p->assoc, meta, err) : NULL;
    if (!p->meta)
        return false;
    p->lut = vt_assoc_context_for(p->assoc, VT_UID_PRESENTATION_LUT, NULL);
    p->annotation = vt_assoc_context_for(p->assoc, VT_UID_ANNOTATION_BOX, NULL);
    return true;
}

static bool get_status(struct printing *p, struct vt_printer_status *out, struct vt_err *err)
{
    struct vt_command request = command_of(VT_N_GET_RQ, VT_UID_PRINTER, VT_UID_PRINTER_INSTANCE);

    vt_buf_reset(&p->data);
    if (!operate(p, p->meta, &request, "asking for its status", err))
        return false;
    text_of(&p->reply, VT_PRINT_TAG_PRINTER_STATUS, out->status, sizeof out->status);
    text_of(&p->reply, VT_PRINT_TAG_PRINTER_INFO, out->info, sizeof out->info);
    text_of(&p->reply, VT_PRINT_TAG_PRINTER_NAME, out->name, sizeof out->name);
    text_of(&p->reply, 0x00081090, out->model, sizeof out->model);
    return true;
}

static void fini(struct printing *p)
{
    vt_assoc_free(p->assoc);
    vt_buf_fini(&p->raw);
    vt_buf_fini(&p->reply);
    vt_buf_fini(&p->data);
    free(p);
}

static struct printing *begin(const struct vt_client *client, const struct vt_print_job *job, struct vt_err *err)
{
    struct printing *p = calloc(1, sizeof *p);

    if (!p) {
        vt_fail(err, VT_E_NOMEM, "no memory to print");
        return NULL;
    }
    p->client = client;
    p->job = job;
    vt_buf_init(&p->raw, REPLY_MAX);
    vt_buf_init(&p->reply, 2 * REPLY_MAX);
    vt_buf_init(&p->data, VT_PRINT_IMAGE_BYTES_MAX + REPLY_MAX);
    return p;
}

bool vt_client_printer_status(const struct vt_client *client, bool colour, struct vt_printer_status *out, struct vt_err *err)
{
    struct printing *p = begin(client, NULL, err);
    bool ok = p && open_printer(p, colour, false, false, err) && get_status(p, out, err);

    if (ok)
        vt_assoc_release(p->assoc);
    if (p)
        fini(p);
    return ok;
}

/* ---- session, films ---- */

static bool create(struct printing *p, const struct vt_context *context, const char *sop_class, char *sop_uid,
                   const char *what, struct vt_err *err)
{
    vt_uid_new(sop_uid);
    struct vt_command request = command_of(VT_N_CREATE_RQ, sop_class, sop_uid);
    if (operate(p, context, &request, what, err))
        return true;
    sop_uid[0] = '\0';
    return false;
}

static bool open_session(struct printing *p, struct vt_err *err)
{
    struct vt_writer w = begin_data(p, p->meta);

    if (!vt_print_write_session(&w, p->job->options, err) ||
        !create(p, p->meta, VT_UID_FILM_SESSION, p->session_uid, "film session", err))
        return false;
    if (!p->lut)
        return true;
    w = begin_data(p, p->lut);
    return vt_print_write_lut(&w, err) &&
           create(p, p->lut, VT_UID_PRESENTATION_LUT, p->lut_uid, "presentation LUT", err);
}

static bool open_film(struct printing *p, struct vt_err *err)
{
    const struct vt_print_options *options = p->job->options;
    struct vt_writer w = begin_data(p, p->meta);

    if (!vt_print_write_film(&w, options, p->session_uid, p->lut_uid, p->annotation != NULL, err) ||
        !create(p, p->meta, VT_UID_FILM_BOX, p->film_uid, "film box", err))
        return false;
    p->box_count = vt_print_references(p->reply.data, p->reply.size, VT_PRINT_TAG_IMAGE_BOXES, p->boxes, VT_PRINT_BOXES_MAX);
    p->text_count =
        vt_print_references(p->reply.data, p->reply.size, VT_PRINT_TAG_ANNOTATION_BOXES, p->texts, VT_PRINT_TEXTS_MAX);
    return p->box_count >= options->boxes ||
           vt_fail(err, VT_E_UNSUPPORTED,
                   "the printer made %zu image boxes for the layout %s, which has %zu: choose another layout", p->box_count,
                   options->layout, options->boxes);
}

static bool set_box(struct printing *p, size_t box, size_t i, const struct vt_print_image *image, struct vt_err *err)
{
    struct vt_print_options options = *p->job->options;
    struct vt_command request = command_of(
        VT_N_SET_RQ, options.colour ? VT_UID_COLOUR_IMAGE_BOX : VT_UID_GREY_IMAGE_BOX, p->boxes[box]);
    char what[48];

    snprintf(what, sizeof what, "image %zu", i + 1);
    if (p->plain)
        options.image_size[0] = options.decimate[0] = '\0';
    struct vt_writer w = begin_data(p, p->meta);
    return vt_print_write_image(&w, &options, (uint16_t)(box + 1), image, err) && operate(p, p->meta, &request, what, err);
}

/* No such attribute, or not with that value. */
static bool over_size(const struct printing *p, const struct vt_err *err)
{
    const struct vt_print_options *options = p->job->options;

    return !p->plain && (options->image_size[0] || options->decimate[0]) && err->code == VT_E_STATUS &&
           (err->dimse_status == 0x0105 || err->dimse_status == 0x0106);
}

static bool set_image(struct printing *p, size_t box, size_t i, struct vt_err *err)
{
    struct vt_print_image image = { .bits = 8, .samples = 1, .pixels = { .limit = VT_PRINT_IMAGE_BYTES_MAX } };
    bool ok = p->job->image(p->job->context, i, &image, err) && set_box(p, box, i, &image, err);

    if (!ok && over_size(p, err)) {
        note(p, "%s; printed without image_size and decimate", err->text);
        vt_err_clear(err);
        p->plain = true;
        ok = set_box(p, box, i, &image, err);
    }
    vt_buf_fini(&image.pixels);
    return ok;
}

static bool set_texts(struct printing *p, struct vt_err *err)
{
    const struct vt_print_options *options = p->job->options;
    size_t count = options->text_count < p->text_count ? options->text_count : p->text_count;

    if (options->text_count > count)
        note(p, "the printer has room for %zu of %zu annotations%s", count, options->text_count,
             p->annotation ? "" : ": it does not offer annotation");
    for (size_t i = 0; i < count && p->annotation; i++) {
        struct vt_command request = command_of(VT_N_SET_RQ, VT_UID_ANNOTATION_BOX, p->texts[i]);
        struct vt_writer w = begin_data(p, p->annotation);
        if (!vt_print_write_annotation(&w, (uint16_t)(i + 1), options->texts[i], err) ||
            !operate(p, p->annotation, &request, "annotation", err))
            return false;
    }
    return true;
}

static bool print_film(struct printing *p, size_t first, size_t end, struct vt_err *err)
{
    if (!open_film(p, err))
        return false;
    for (size_t i = first; i < end; i++)
        if (!set_image(p, i - first, i, err))
            return false;
    if (!set_texts(p, err))
        return false;
    struct vt_command request = command_of(VT_N_ACTION_RQ, VT_UID_FILM_BOX, p->film_uid);
    request.has_action_type = true;
    request.action_type = 1;
    vt_buf_reset(&p->data);
    return operate(p, p->meta, &request, "printing", err);
}

/* The printer has it: whatever goes wrong from here on is told, no more. */
static void clean_film(struct printing *p)
{
    struct vt_err why = { 0 };

    if (p->film_uid[0] && !delete(p, p->meta, VT_UID_FILM_BOX, p->film_uid, "deleting the film box", &why))
        note(p, "%s", why.text);
}

static void clean_session(struct printing *p)
{
    struct vt_err why = { 0 };

    if ((p->lut_uid[0] && !delete(p, p->lut, VT_UID_PRESENTATION_LUT, p->lut_uid, "deleting the presentation LUT", &why)) ||
        (p->session_uid[0] && !delete(p, p->meta, VT_UID_FILM_SESSION, p->session_uid, "deleting the film session", &why)))
        note(p, "%s", why.text);
}

static bool print_all(struct printing *p, struct vt_err *err)
{
    size_t boxes = p->job->options->boxes;

    for (size_t first = 0; first < p->job->count; first += boxes) {
        size_t end = p->job->count - first < boxes ? p->job->count : first + boxes;
        if (!print_film(p, first, end, err))
            return false;
        bool more = p->job->printed(p->job->context, end);
        clean_film(p);
        p->stopped = !more && end < p->job->count;
        if (p->stopped)
            return vt_fail(err, VT_E_CANCELLED, "stopped after %zu of %zu images", end, p->job->count);
    }
    return true;
}

static bool check_printer(struct printing *p, struct vt_err *err)
{
    struct vt_printer_status status = { .status = "" };

    if (!get_status(p, &status, err))
        return false;
    if (p->job->status)
        p->job->status(p->job->context, &status);
    const char *text = vt_printer_info_text(status.info);
    if (strcmp(status.status, "FAILURE") == 0)
        return vt_fail(err, VT_E_REFUSED, "the printer is in FAILURE%s%s: %s", *status.info ? ": " : "", status.info,
                       text ? text : "look at the printer");
    if (strcmp(status.status, "WARNING") == 0)
        note(p, "the printer warns%s%s%s%s", *status.info ? ": " : "", status.info, text ? ": " : "", text ? text : "");
    return true;
}

bool vt_client_print(const struct vt_client *client, const struct vt_print_job *job, struct vt_err *err)
{
    const struct vt_print_options *options = job->options;

    if (job->count == 0 || job->count > VT_PRINT_IMAGES_MAX)
        return vt_fail(err, VT_E_INVALID, "1 to %d images are printed at once", VT_PRINT_IMAGES_MAX);
    struct printing *p = begin(client, job, err);
    if (!p)
        return false;
    bool ok = open_printer(p, options->colour, !options->no_presentation_lut, options->text_count > 0, err) &&
              check_printer(p, err) && open_session(p, err) && print_all(p, err);
    /* In step as long as only the printer said no. */
    bool in_step = ok || err->code == VT_E_STATUS || p->stopped || err->code == VT_E_UNSUPPORTED ||
                   err->code == VT_E_INVALID || (err->code == VT_E_REFUSED && p->meta);
    if (p->assoc && p->meta && in_step) {
        clean_film(p);
        clean_session(p);
        vt_assoc_release(p->assoc);
    }
    fini(p);
    return ok;
}
