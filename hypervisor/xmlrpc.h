/* hypervisor/xmlrpc.h: XML-RPC as XAPI speaks it: a reader into a tree of values, a writer onto a
 * buffer.
 *
 * The reader takes whatever a server (or, in the simulator, a foreign client) sends, in pieces of
 * any size, and is bounded in bytes, nesting and number of values. A document type declaration is
 * refused, nothing is ever loaded. XAPI names no encoding and passes bytes through, so a VM whose
 * name was stored in Latin-1 makes an ill-formed document: each byte that is no UTF-8 is read as
 * Latin-1, the rest as it is.
 *
 * A message owns its values in one arena: everything reached from it is valid until
 * vt_xmlrpc_message_free. The writer never writes white space between tags: the npm client's parser
 * fails on it. No state is shared: any thread, one message, decoder or writer at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_buf;
struct vt_err;
struct vt_xmlrpc_decoder;

enum {
    VT_XMLRPC_DEPTH_MAX = 32, /* values in values */
    VT_XMLRPC_VALUES_MAX = 8000000,
    VT_XMLRPC_BYTES_MAX = 64 * 1024 * 1024,
    VT_XMLRPC_STREAM_BYTES_MAX =
        1024 * 1024 * 1024, /* all records of 10,000 VMs with their devices: 190 MB */
    VT_XMLRPC_PATH_MAX = 2,
    VT_XAPI_PARAMS_MAX = 8,
};

enum vt_xmlrpc_type {
    VT_XMLRPC_STRING,
    VT_XMLRPC_INT,
    VT_XMLRPC_BOOL,
    VT_XMLRPC_DOUBLE,
    VT_XMLRPC_DATETIME,
    VT_XMLRPC_BASE64, /* kept as text */
    VT_XMLRPC_NIL,
    VT_XMLRPC_ARRAY,
    VT_XMLRPC_STRUCT,
};

struct vt_xmlrpc_value {
    const char *name;                   /* of a struct's member, else NULL */
    const struct vt_xmlrpc_value *next; /* the following member or element */
    union {
        const char *text; /* string, datetime, base64; ends in a zero byte */
        int64_t integer;
        double real;
        bool boolean;
        const struct vt_xmlrpc_value *first; /* array, struct; NULL when empty */
    } as;
    uint32_t size; /* bytes of the text; elements of the array, members of the struct */
    enum vt_xmlrpc_type type;
};

enum vt_xmlrpc_kind { VT_XMLRPC_CALL, VT_XMLRPC_RESPONSE, VT_XMLRPC_FAULT, VT_XMLRPC_BARE };

struct vt_xmlrpc_message {
    enum vt_xmlrpc_kind kind;
    const char *method; /* of a call */
    const struct vt_xmlrpc_value
        *params; /* the first; of a fault its struct; of a bare value itself */
    uint32_t count;
    uint32_t latin1_bytes; /* how many bytes were no UTF-8 */
};

void vt_xmlrpc_message_free(struct vt_xmlrpc_message *message);
VT_DEFINE_AUTO(vt_xmlrpc_message)

/* A whole message: call, response or fault. VT_E_PROTOCOL: not XML, or not XML-RPC; VT_E_LIMIT. */
struct vt_xmlrpc_message *vt_xmlrpc_decode(const void *bytes, size_t size, struct vt_err *err);

/* One "<value>...</value>", as a finished task carries its result. */
struct vt_xmlrpc_message *vt_xmlrpc_decode_value(const char *text, struct vt_err *err);

/* The same in pieces, as they come from the network. After a failed push only free is allowed. */
struct vt_xmlrpc_limits {
    size_t bytes;
    uint32_t depth; /* at most VT_XMLRPC_DEPTH_MAX */
    uint32_t values;
};
extern const struct vt_xmlrpc_limits vt_xmlrpc_limits;        /* the maxima above */
extern const struct vt_xmlrpc_limits vt_xmlrpc_stream_limits; /* for what is handed out in pieces */

struct vt_xmlrpc_decoder *vt_xmlrpc_decoder_new(const struct vt_xmlrpc_limits *limits,
                                                struct vt_err *err);
void vt_xmlrpc_decoder_free(struct vt_xmlrpc_decoder *decoder);
VT_DEFINE_AUTO(vt_xmlrpc_decoder)
bool vt_xmlrpc_decoder_push(struct vt_xmlrpc_decoder *decoder, const void *bytes, size_t size,
                            struct vt_err *err);
/* Before the first push: each child of the value at the path ("Value" for the records of
 * get_all_records; "Value", "events" for event.from) is handed out as soon as it is complete and
 * forgotten behind the call, so that a large reply costs the memory of one record. The finished
 * message shows that container empty. A callback that fails (with err set) ends the decoding.
 * Callbacks run inside push and finish. */
typedef bool (*vt_xmlrpc_item_fn)(void *context, const struct vt_xmlrpc_value *item,
                                  struct vt_err *err);
void vt_xmlrpc_decoder_stream(struct vt_xmlrpc_decoder *decoder, const char *const *path,
                              uint32_t path_length, vt_xmlrpc_item_fn fn, void *context);
/* The caller's; once. */
struct vt_xmlrpc_message *vt_xmlrpc_decoder_finish(struct vt_xmlrpc_decoder *decoder,
                                                   struct vt_err *err);

/* XAPI's envelope around every reply. */
struct vt_xapi_failure {
    const char *code; /* "HOST_IS_SLAVE"; borrowed from the message */
    const char *params[VT_XAPI_PARAMS_MAX];
    size_t count;
};

/* The Value of a Success. NULL with VT_E_STATUS for a Failure (err->xapi_code and *out_failure say
 * which), NULL with VT_E_PROTOCOL for anything else. out_failure may be NULL. */
const struct vt_xmlrpc_value *vt_xmlrpc_open(const struct vt_xmlrpc_message *reply,
                                             struct vt_xapi_failure *out_failure,
                                             struct vt_err *err);

/* Readers of values, lenient as section "Encoding" of XAPI wants it: integers come as text, void as
 * an empty string or nil. `value` may be NULL (a missing field): the reader says false, or gives
 * the fallback. */
const struct vt_xmlrpc_value *vt_xmlrpc_member(const struct vt_xmlrpc_value *record,
                                               const char *name);
const char *vt_xmlrpc_text(const struct vt_xmlrpc_value *value, const char *fallback);
bool vt_xmlrpc_bool(const struct vt_xmlrpc_value *value, bool fallback);
int64_t vt_xmlrpc_int(const struct vt_xmlrpc_value *value, int64_t fallback);
double vt_xmlrpc_double(const struct vt_xmlrpc_value *value, double fallback);
bool vt_xmlrpc_get_int(const struct vt_xmlrpc_value *value, int64_t *out_integer);
bool vt_xmlrpc_get_double(const struct vt_xmlrpc_value *value, double *out_real);
/* Seconds since 1970 UTC; takes "20260821T12:00:04Z", dashes, fractions, offsets, or no zone at
 * all. */
bool vt_xmlrpc_get_time(const struct vt_xmlrpc_value *value, int64_t *out_seconds);
/* Nothing inside: missing, nil or "". */
bool vt_xmlrpc_is_void(const struct vt_xmlrpc_value *value);
/* First element or member, NULL when there is none or the value is no container. */
const struct vt_xmlrpc_value *vt_xmlrpc_first(const struct vt_xmlrpc_value *value);

/* A null reference: "OpaqueRef:NULL", "", and anything that begins with "Ref:" (all three were
 * seen). */
bool vt_xapi_ref_is_null(const char *ref);

/* The writer. A failure (memory, the buffer's limit, text that is no UTF-8) sticks: write on, then
 * ask vt_xmlrpc_written once. */
struct vt_xmlrpc_writer {
    struct vt_buf *buf;
    struct vt_err *err;
    bool bare_strings; /* true: as the server does; false: "<string>" around text, as clients do */
    bool failed;
};

bool vt_xmlrpc_written(const struct vt_xmlrpc_writer *writer); /* false: err says why */

void vt_xmlrpc_put_raw(struct vt_xmlrpc_writer *writer, const char *xml);
/* Escapes & < > " and drops control characters other than tab, LF, CR. */
void vt_xmlrpc_put_escaped(struct vt_xmlrpc_writer *writer, const char *text);

void vt_xmlrpc_put_string(struct vt_xmlrpc_writer *writer, const char *text);
void vt_xmlrpc_put_int(struct vt_xmlrpc_writer *writer,
                       int64_t integer); /* as text, the documented form */
void vt_xmlrpc_put_i4(struct vt_xmlrpc_writer *writer, int32_t integer);
void vt_xmlrpc_put_bool(struct vt_xmlrpc_writer *writer, bool boolean);
void vt_xmlrpc_put_double(struct vt_xmlrpc_writer *writer, double real);
void vt_xmlrpc_put_time(struct vt_xmlrpc_writer *writer, int64_t seconds);
void vt_xmlrpc_array_begin(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_array_end(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_struct_begin(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_struct_end(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_member_begin(struct vt_xmlrpc_writer *writer,
                            const char *name); /* one value follows */
void vt_xmlrpc_member_end(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_put_value(struct vt_xmlrpc_writer *writer, const struct vt_xmlrpc_value *value);

void vt_xmlrpc_call_begin(struct vt_xmlrpc_writer *writer, const char *method);
void vt_xmlrpc_param_begin(struct vt_xmlrpc_writer *writer); /* one value follows */
void vt_xmlrpc_param_end(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_call_end(struct vt_xmlrpc_writer *writer);

void vt_xmlrpc_response_begin(struct vt_xmlrpc_writer *writer); /* without XAPI's envelope */
void vt_xmlrpc_response_end(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_success_begin(struct vt_xmlrpc_writer *writer); /* one value follows */
void vt_xmlrpc_success_end(struct vt_xmlrpc_writer *writer);
void vt_xmlrpc_put_failure(struct vt_xmlrpc_writer *writer, const char *code,
                           const char *const *params, size_t count);
void vt_xmlrpc_put_fault(struct vt_xmlrpc_writer *writer, int32_t code, const char *text);
/* Any message, as it was decoded. */
void vt_xmlrpc_put_message(struct vt_xmlrpc_writer *writer,
                           const struct vt_xmlrpc_message *message);
