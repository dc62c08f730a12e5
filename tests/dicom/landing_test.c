#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "dicom/assoc_impl.h"
#include "dicom/wire.h"
#include "tests/dicom/raw_peer.h"

enum { BLOCK = 100000, WHOLE_MAX = 1 << 21 };

/* A data set in PDVs of some size, sent in pieces of some other. */
struct sending {
    int fd;
    const uint8_t *bytes;
    size_t size, pdv, piece;
};

/* A place for it in blocks, as a receiver has. */
struct landed {
    uint8_t block[BLOCK], whole[WHOLE_MAX];
    size_t used, size, landings;
    bool refuse; /* have no place */
};

static uint8_t *landing(void *context, size_t *out_room)
{
    struct landed *landed = context;

    if (landed->refuse)
        return NULL;
    *out_room = BLOCK - landed->used;
    return landed->block + landed->used;
}

static bool take(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct landed *landed = context;

    (void)err;
    if (bytes == landed->block + landed->used) {
        landed->landings++;
        landed->used += size;
        if (landed->used == BLOCK)
            landed->used = 0;
    }
    memcpy(landed->whole + landed->size, bytes, size);
    landed->size += size;
    return true;
}

static void *send_all(void *context)
{
    const struct sending *sending = context;
    VT_AUTO_BUF(out, WHOLE_MAX + (1 << 20));
    struct vt_err err = { 0 };

    for (size_t at = 0; at < sending->size; at += sending->pdv) {
        size_t size = sending->size - at < sending->pdv ? sending->size - at : sending->pdv;
        uint8_t header[VT_PDU_HEADER + VT_PDV_HEADER] = { VT_PDU_P_DATA };
        vt_put_be32(header + 2, (uint32_t)size + VT_PDV_HEADER);
        vt_put_be32(header + 6, (uint32_t)size + 2);
        header[10] = 1;
        header[11] = at + size == sending->size ? VT_PDV_LAST : 0;
        vt_buf_append(&out, header, sizeof header, &err);
        vt_buf_append(&out, sending->bytes + at, size, &err);
    }
    for (size_t at = 0; at < out.size; at += sending->piece)
        raw_send(sending->fd, out.data + at,
                 out.size - at < sending->piece ? out.size - at : sending->piece);
    return NULL;
}

/* The bytes as they landed against those that were sent. */
static void land(size_t size, size_t pdv, size_t piece, struct landed *landed)
{
    uint8_t *bytes = malloc(size);
    int pair[2];
    pthread_t sender;
    struct vt_err err = { 0 };
    uint64_t told = 0;

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    VT_AUTO(vt_assoc) assoc = vt_assoc_new(vt_conn_new(pair[0], NULL));
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    assoc->data_pending = true;
    assoc->data_context = 1;
    assoc->conn->fill_most = 16 << 10; /* as when a message began */
    landed->used = landed->size = landed->landings = 0;
    struct sending sending = { pair[1], bytes, size, pdv, piece };
    assert_int_equal(pthread_create(&sender, NULL, send_all, &sending), 0);
    if (!vt_assoc_land_data(assoc, landing, take, landed, &told, &err))
        fail_msg("%s", err.text);
    pthread_join(sender, NULL);
    assert_int_equal(told, size);
    assert_int_equal(landed->size, size);
    assert_memory_equal(landed->whole, bytes, size);
    assert_int_equal(vt_conn_buffered(assoc->conn), 0);
    vt_assoc_abort(assoc, 0, 0);
    close(pair[1]);
    free(bytes);
}

static void a_data_set_lands_whole_in_any_pieces(void **state)
{
    static const size_t sizes[] = { 2, 20000, 99998, 525000, 1500000 },
                        pdvs[] = { 16, 4096, 16384, 131066 }, pieces[] = { 1000, 65536, 1 << 21 };
    struct landed *landed = calloc(1, sizeof *landed);

    (void)state;
    for (size_t i = 0; i < VT_COUNT(sizes); i++)
        for (size_t j = 0; j < VT_COUNT(pdvs); j++)
            for (size_t k = 0; k < VT_COUNT(pieces); k++)
                if (sizes[i] / pdvs[j] < 10000)
                    land(sizes[i], pdvs[j], pieces[k], landed);
    free(landed);
}

static void large_pdvs_are_not_copied(void **state)
{
    struct landed *landed = calloc(1, sizeof *landed);

    (void)state;
    land(1500000, 131066, 1 << 21, landed);
    assert_true(landed->landings > 0);
    land(1500000, 4096, 1 << 21, landed);
    assert_int_equal(landed->landings, 0);
    free(landed);
}

static void who_has_no_place_is_handed_the_bytes(void **state)
{
    struct landed *landed = calloc(1, sizeof *landed);

    (void)state;
    landed->refuse = true;
    land(1500000, 131066, 1 << 21, landed);
    assert_int_equal(landed->landings, 0);
    free(landed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_set_lands_whole_in_any_pieces),
        cmocka_unit_test(large_pdvs_are_not_copied),
        cmocka_unit_test(who_has_no_place_is_handed_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
