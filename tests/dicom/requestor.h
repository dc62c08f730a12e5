/* tests/dicom/requestor.h: our requestor against the mini SCP: the request, its answers, files in
 * memory. Included by test programs behind cmocka.h, once. */
#pragma once

#include <sys/mman.h>

#include "core/auto.h"
#include "tests/dicom/mini_scp.h"

static struct mini_scp scp;
static const char *const implicit[] = { VT_UID_IMPLICIT_LE };
static const char *const two[] = { "1.2.840.10008.1.2.4.201", VT_UID_EXPLICIT_LE };
static const struct vt_propose contexts[] = {
    { VT_UID_CT_IMAGE, two, 2, VT_ROLE_SCP },
    { VT_UID_VERIFICATION, implicit, 1, VT_ROLE_DEFAULT },
    { VT_UID_CT_IMAGE, implicit, 1, VT_ROLE_SCP },
    { "1.2.840.10008.5.1.4.1.2.2.1", implicit, 1, VT_ROLE_DEFAULT },
};

static inline struct vt_assoc_request plain_request(void)
{
    return (struct vt_assoc_request){
        .calling_ae_title = "VITRINE",
        .called_ae_title = "CT1",
        .host = "127.0.0.1",
        .port = scp.port,
        .contexts = contexts,
        .context_count = VT_COUNT(contexts),
        .timeout = 5 * VT_NS_PER_S,
    };
}

static inline struct vt_assoc *must_associate(const struct vt_assoc_request *request)
{
    struct vt_err err = { 0 };
    struct vt_assoc *assoc = vt_assoc_request(request, &err);

    if (!assoc)
        fail_msg("%s", err.text);
    return assoc;
}

static inline int start_scp(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    memset(&scp, 0, sizeof scp);
    scp.matches = 100;
    if (!mini_scp_start(&scp, &err))
        fail_msg("%s", err.text);
    return 0;
}

static inline int stop_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    return 0;
}

/* Sends a request and reads its one answer. */
static inline uint16_t status_of(struct vt_assoc *assoc)
{
    enum vt_next next;
    uint8_t context;
    struct vt_command response;
    struct vt_err err = { 0 };

    if (!vt_assoc_next(assoc, vt_clock_mono() + 10 * VT_NS_PER_S, &next, &context, &response, &err))
        fail_msg("%s", err.text);
    assert_int_equal(next, VT_NEXT_COMMAND);
    assert_true(response.has_status);
    return response.status;
}

static inline void echo_on(struct vt_assoc *assoc)
{
    struct vt_command echo = { .field = VT_C_ECHO_RQ, .message_id = vt_assoc_message_id(assoc) };
    const struct vt_context *context = vt_assoc_context_for(assoc, VT_UID_VERIFICATION, NULL);
    struct vt_err err = { 0 };

    strcpy(echo.sop_class_uid, VT_UID_VERIFICATION);
    assert_non_null(context);
    assert_true(vt_assoc_send_command(assoc, context->id, &echo, &err));
    assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
}

static inline struct vt_command store_request(struct vt_assoc *assoc)
{
    struct vt_command store = { .field = VT_C_STORE_RQ, .message_id = vt_assoc_message_id(assoc) };

    strcpy(store.sop_class_uid, VT_UID_CT_IMAGE);
    strcpy(store.sop_instance_uid, "1.2.3.4");
    return store;
}

static inline int memory_file(size_t size, unsigned long *out_sum)
{
    int fd = memfd_create("instance", MFD_CLOEXEC);
    uint8_t *bytes = malloc(size);
    unsigned long sum = 0;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
        sum += i >= 100 ? bytes[i] : 0;
    }
    assert_int_equal(write(fd, bytes, size), size);
    free(bytes);
    *out_sum = sum;
    return fd;
}

static inline void assert_request_fails(const struct vt_assoc_request *request, enum vt_code code,
                                        const char *text)
{
    struct vt_err err = { 0 };

    assert_null(vt_assoc_request(request, &err));
    if (err.code != code || !strstr(err.text, text))
        fail_msg("%s: %s", vt_code_name(err.code), err.text);
}
