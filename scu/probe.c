#include "scu/probe.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "scu/client_wire.h"

static const char *const image_syntaxes[] = { VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE };
static const char *const lossless_syntaxes[] = { "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
                                                 "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5" };
static const char *const jpeg_syntaxes[] = { "1.2.840.10008.1.2.4.50" };

static const struct {
    const char *service, *abstract_syntax;
    const char *const *syntaxes;
    size_t syntax_count;
} asked[] = {
    { "Verification", VT_UID_VERIFICATION, image_syntaxes, 2 },
    { "Storage (CT)", VT_UID_CT_IMAGE, image_syntaxes, 2 },
    { "Storage (CT), lossless compressed", VT_UID_CT_IMAGE, lossless_syntaxes, 4 },
    { "Storage (secondary capture)", "1.2.840.10008.5.1.4.1.1.7", image_syntaxes, 2 },
    { "Storage (slides)", VT_UID_WHOLE_SLIDE, image_syntaxes, 2 },
    { "Storage (slides), JPEG", VT_UID_WHOLE_SLIDE, jpeg_syntaxes, 1 },
    { "Query, study root", "1.2.840.10008.5.1.4.1.2.2.1", image_syntaxes, 2 },
    { "C-MOVE, study root", "1.2.840.10008.5.1.4.1.2.2.2", image_syntaxes, 2 },
    { "C-GET, study root", "1.2.840.10008.5.1.4.1.2.2.3", image_syntaxes, 2 },
    { "Storage commitment", VT_UID_STORAGE_COMMITMENT, image_syntaxes, 2 },
    { "Worklist", "1.2.840.10008.5.1.4.31", image_syntaxes, 2 },
    { "Performed procedure step", "1.2.840.10008.3.1.2.3.3", image_syntaxes, 2 },
    { "Instance availability", "1.2.840.10008.5.1.4.33", image_syntaxes, 2 },
};
_Static_assert(VT_COUNT(asked) <= VT_PROBE_CONTEXTS_MAX, "a probe has no room for all contexts");

static void read_contexts(const struct vt_assoc *assoc, struct vt_probe *out)
{
    static const char *const results[] = { "accepted", "not allowed to us", "no reason given",
                                           "service not supported",
                                           "transfer syntaxes not supported" };

    for (size_t i = 0; i < VT_COUNT(asked); i++) {
        const struct vt_context *context = vt_assoc_context_at(assoc, i);
        size_t result = context ? (size_t)context->result : VT_COUNT(results);
        const struct vt_transfer_syntax *syntax =
            result == 0 ? vt_transfer_syntax_find(context->transfer_syntax) : NULL;
        out->contexts[out->count++] = (struct vt_probe_context){
            .service = asked[i].service,
            .result = result < VT_COUNT(results) ? results[result] : "no answer",
            .transfer_syntax = syntax ? syntax->name : "",
        };
    }
}

static bool echo(const struct vt_client *client, struct vt_assoc *assoc, struct vt_probe *out,
                 struct vt_err *err)
{
    const struct vt_context *context = vt_assoc_context_for(assoc, VT_UID_VERIFICATION, NULL);
    const struct vt_command request = { .field = VT_C_ECHO_RQ,
                                        .message_id = vt_assoc_message_id(assoc),
                                        .sop_class_uid = VT_UID_VERIFICATION };
    struct vt_command answer;
    int64_t start = vt_clock_mono();

    if (!context)
        return true;
    if (!vt_assoc_send_command(assoc, context->id, &request, err) ||
        !vt_wire_answer(assoc, vt_wire_deadline(client), &request, &answer, err))
        return false;
    out->echo = vt_clock_mono() - start;
    return answer.status == VT_STATUS_SUCCESS || vt_wire_fail_status(&answer, err);
}

bool vt_client_probe(const struct vt_client *client, struct vt_probe *out, struct vt_err *err)
{
    struct vt_propose propose[VT_COUNT(asked)];
    int64_t start = vt_clock_mono();

    *out = (struct vt_probe){ .count = 0 };
    for (size_t i = 0; i < VT_COUNT(asked); i++)
        propose[i] = (struct vt_propose){ .abstract_syntax = asked[i].abstract_syntax,
                                          .transfer_syntaxes = asked[i].syntaxes,
                                          .transfer_syntax_count = asked[i].syntax_count };
    VT_AUTO(vt_assoc) assoc = vt_wire_open(client, propose, VT_COUNT(asked), NULL, 0, err);
    if (!assoc)
        return false;
    out->associate = vt_clock_mono() - start;
    const struct vt_assoc_info *info = vt_assoc_info(assoc);
    out->tls = info->tls;
    out->max_pdu = info->max_pdu;
    snprintf(out->implementation_version, sizeof out->implementation_version, "%s",
             info->implementation_version);
    read_contexts(assoc, out);
    if (!echo(client, assoc, out, err))
        return false;
    vt_assoc_release(assoc);
    return true;
}

/* ---- remedies ---- */

/* By words of the failure, most particular first. %1: our title, %2: theirs, %3: host, %4: port. */
static const struct {
    const char *words;
    enum vt_code code; /* VT_OK: any */
    const char *remedy;
} remedies[] = {
    { "calling AE title not recognized", VT_OK,
      "the peer does not know us: enter %1 with this machine's address there, or set local_ae_title "
      "to the title that it knows" },
    { "called AE title not recognized", VT_OK,
      "the peer does not call itself %2: set ae_title to what it is called there" },
    { "its certificate is another's", VT_OK,
      "somebody else answers at %3, or its certificate was renewed: compare the fingerprint with its "
      "administrator, then set tls_fingerprint" },
    { "certificate has expired", VT_OK, "the peer's certificate has expired: it must be renewed there" },
    { "certificate revoked", VT_OK,
      "the peer's certificate was revoked: find out why before anything is sent there" },
    { "mismatch", VT_OK,
      "the peer's certificate bears another name than %3: use the name it bears as host, or set "
      "tls_fingerprint" },
    { "certificate is not accepted", VT_OK,
      "the peer's certificate is not signed by our CA: set tls_ca to the CA of the peer" },
    { "TLS handshake failed", VT_OK,
      "the peer speaks no TLS on port %4, or does not accept our certificate: ask for its TLS port, "
      "and give it our CA" },
    { "is no DICOM", VT_OK, "port %4 of %3 is another service: correct the port" },
    { "limit exceeded", VT_OK, "the peer is busy: it refuses more associations for now; try again" },
    { "congestion", VT_OK, "the peer is busy: it refuses more associations for now; try again" },
    { "cannot be found", VT_OK, "no address belongs to the name %3: correct host, or the name service" },
    { "Connection refused", VT_OK,
      "the machine %3 is up and nothing listens on port %4: start the DICOM service there, or correct "
      "the port" },
    { "No route to host", VT_OK, "the network knows no way to %3: the machine is off, or the route is wrong" },
    { "aborted at once", VT_OK,
      "the peer ends associations at once: it may know neither our title %1 nor our address" },
    { "", VT_E_TIMEOUT,
      "%3 does not answer on port %4: the machine is off, the cable is out, or a firewall drops what "
      "we send" },
    { "", VT_E_CLOSED,
      "the peer closed the connection: it wants TLS (tls = yes), or refuses our address or certificate" },
    { "", VT_E_ABORTED, "the peer aborted: its own log tells why" },
    { "", VT_E_STATUS, "the peer answered with a failure: its own log tells why" },
    { "", VT_OK, "see the message above, and the peer's own log" },
};

static void fill(const struct vt_client *client, const char *format, char *out, size_t room)
{
    const struct vt_peer *peer = client->peer;
    char port[8];
    const char *values[] = { peer->local_ae_title ? peer->local_ae_title : client->calling_ae_title,
                             peer->ae_title, peer->host ? peer->host : "", port };
    size_t used = 0;

    snprintf(port, sizeof port, "%u", peer->port);
    for (; *format && used + 1 < room; format++) {
        if (*format == '%' && format[1] >= '1' && format[1] <= '4') {
            int length = snprintf(out + used, room - used, "%s", values[*++format - '1']);
            used += length > 0 ? (size_t)length : 0;
            if (used >= room)
                used = room - 1;
        } else {
            out[used++] = *format;
        }
    }
    out[used] = '\0';
}

void vt_probe_remedy(const struct vt_client *client, const struct vt_err *why, char *out,
                     size_t room)
{
    for (size_t i = 0; i < VT_COUNT(remedies); i++)
        if (strcasestr(why->text, remedies[i].words) &&
            (remedies[i].code == VT_OK || remedies[i].code == why->code)) {
            fill(client, remedies[i].remedy, out, room);
            return;
        }
}
