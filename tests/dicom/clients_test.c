/* Other people's clients and servers: DCMTK's tools against our acceptor, our requestor against
 * storescp. Skipped where they are not installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <openssl/pem.h>

#include "core/auto.h"
#include "core/io.h"
#include "dicom/listen.h"
#include "tests/dicom/mini_scp.h"
#include "tests/dicom/raw_peer.h"
#include "tests/dicom/test_certificate.h"

enum { FILES = 20, COMMAND_MAX = 2048 };

static struct mini_scp scp;
static char folder[] = "/tmp/vt-clients-XXXXXX";

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The tool's exit status; its words go nowhere. */
static int run(const char *format, ...)
{
    char line[COMMAND_MAX], quiet[COMMAND_MAX + 32];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    snprintf(quiet, sizeof quiet, "timeout 30 %s >/dev/null 2>&1", line);
    int status = system(quiet);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool installed(const char *tool)
{
    return run("which %s", tool) == 0;
}

#define NEEDS(tool)                                                                                \
    if (!installed(tool)) {                                                                        \
        print_message("%s is not installed\n", tool);                                              \
        skip();                                                                                    \
    }

static int start_scp(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    memset(&scp, 0, sizeof scp);
    scp.matches = 200000;
    if (!mini_scp_start(&scp, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int stop_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    return 0;
}

/* ---- objects of our own, made by dump2dcm ---- */

static void put_element(FILE *file, const char *line)
{
    fprintf(file, "%s\n", line);
}

static void make_object(unsigned i)
{
    char path[256], line[128];

    snprintf(path, sizeof path, "%s/%u.dump", folder, i);
    FILE *file = fopen(path, "w");
    put_element(file, "(0008,0016) UI =CTImageStorage");
    snprintf(line, sizeof line, "(0008,0018) UI [1.2.826.0.1.3680043.10.99.%u]", i + 1);
    put_element(file, line);
    put_element(file, "(0010,0010) PN [Doe^Jane]");
    put_element(file, "(0010,0020) LO [1]");
    put_element(file, "(0020,000d) UI [1.2.826.0.1.3680043.10.98.1]");
    put_element(file, "(0020,000e) UI [1.2.826.0.1.3680043.10.98.2]");
    fclose(file);
    assert_int_equal(run("dump2dcm +te %s/%u.dump %s/%u.dcm", folder, i, folder, i), 0);
}

static int make_objects(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    if (installed("dump2dcm"))
        for (unsigned i = 0; i < FILES; i++)
            make_object(i);
    return 0;
}

static int remove_objects(void **state)
{
    (void)state;
    return run("rm -r %s", folder);
}

/* ---- their clients ---- */

static void echoscu_is_answered(void **state)
{
    (void)state;
    NEEDS("echoscu")
    assert_int_equal(run("echoscu -aet CT1 -aec VITRINE 127.0.0.1 %u", scp.port), 0);
    assert_int_equal(run("echoscu -ppc 128 --repeat 5 127.0.0.1 %u", scp.port), 0);
    assert_int_equal(run("echoscu --abort 127.0.0.1 %u", scp.port), 0);
    assert_true(mini_wait(&scp.ended, 3));
    assert_int_equal(scp.echoes, 7);
    assert_int_equal(scp.released, 2);
    assert_int_equal(scp.aborted, 1);
    assert_int_equal(scp.failed, 0);
}

static void storescu_and_dcmsend_store_at_any_pdu_size(void **state)
{
    (void)state;
    unsigned stored = 0;

    NEEDS("storescu")
    static const unsigned sizes[] = { 4096, 16384, 131072 };
    for (size_t i = 0; i < VT_COUNT(sizes); i++) {
        assert_int_equal(
            run("storescu -pdu %u -R 127.0.0.1 %u %s/*.dcm", sizes[i], scp.port, folder), 0);
        stored += FILES;
    }
    assert_int_equal(run("dcmsend 127.0.0.1 %u %s/*.dcm", scp.port, folder), 0);
    assert_int_equal(scp.stored, stored + FILES);
    assert_true(mini_wait(&scp.ended, 4));
    assert_int_equal(scp.failed, 0);
}

static void a_sender_with_nagle_on_does_not_wait_for_us(void **state)
{
    (void)state;
    NEEDS("storescu")
    int64_t start = vt_clock_mono();
    assert_int_equal(run("storescu -R 127.0.0.1 %u %s/*.dcm %s/*.dcm %s/*.dcm %s/*.dcm %s/*.dcm",
                         scp.port, folder, folder, folder, folder, folder),
                     0);
    assert_int_equal(scp.stored, 5 * FILES);
    int64_t ms = (vt_clock_mono() - start) / VT_NS_PER_MS;
    /* 100 files; without TCP_QUICKACK each takes 45 ms. */
    assert_in_range(ms, 0, 2500);
}

static void findscu_cancels(void **state)
{
    (void)state;
    NEEDS("findscu")
    assert_int_equal(run("findscu -S -k 0008,0052=STUDY --cancel 5 127.0.0.1 %u", scp.port), 0);
    assert_int_equal(scp.cancelled, 1);
    assert_true(scp.found < scp.matches);
    assert_true(mini_wait(&scp.released, 1));
}

static void a_rejection_is_understood(void **state)
{
    (void)state;
    NEEDS("echoscu")
    scp.reject = true;
    assert_int_not_equal(run("echoscu 127.0.0.1 %u", scp.port), 0);
    assert_true(mini_wait(&scp.ended, 1));
    assert_int_equal(scp.echoes, 0);
}

static void clients_with_tls_are_served(void **state)
{
    (void)state;
    struct test_tls tls;
    char path[256];
    struct vt_err err = { 0 };

    NEEDS("storescu")
    test_tls_init(&tls, "IP:127.0.0.1");
    snprintf(path, sizeof path, "%s/certificate.pem", folder);
    FILE *file = fopen(path, "w");
    PEM_write_X509(file, tls.certificate);
    fclose(file);
    memset(&scp, 0, sizeof scp);
    scp.listener.tls = tls.server;
    if (!mini_scp_start(&scp, &err))
        fail_msg("%s", err.text);
    assert_int_equal(run("echoscu +tla +cf %s 127.0.0.1 %u", path, scp.port), 0);
    assert_int_equal(run("storescu +tla +cf %s -R 127.0.0.1 %u %s/*.dcm", path, scp.port, folder),
                     0);
    assert_int_not_equal(run("echoscu 127.0.0.1 %u", scp.port), 0);
    assert_int_equal(scp.echoes, 1);
    assert_int_equal(scp.stored, FILES);
    mini_scp_stop(&scp);
    test_tls_fini(&tls);
}

/* ---- their server ---- */

static uint16_t free_port(void)
{
    uint16_t port = 0;
    struct vt_err err = { 0 };
    int fd = vt_listen("127.0.0.1", 0, &port, &err);

    close(fd);
    return port;
}

static pid_t start_storescp(uint16_t port)
{
    char text[8];
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        snprintf(text, sizeof text, "%u", port);
        execlp("storescp", "storescp", "-aet", "THERE", "+B", "-od", folder, text, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static struct vt_assoc *associate_when_up(const struct vt_assoc_request *request)
{
    struct vt_err err = { 0 };

    for (int i = 0; i < 100; i++) {
        struct vt_assoc *assoc = vt_assoc_request(request, &err);
        if (assoc)
            return assoc;
        usleep(50000);
    }
    fail_msg("%s", err.text);
    return NULL;
}

/* An explicit little endian data set of one long value, behind class and instance. */
static size_t make_data_set(uint8_t *out, const char *uid, size_t pixels)
{
    uint8_t *p = out;
    static const char sop_class[] = "1.2.840.10008.5.1.4.1.1.2"; /* with its zero: even */

    memcpy(p, "\x08\0\x16\0UI\x1a\0", 8);
    memcpy(p + 8, sop_class, 26);
    p += 34;
    memcpy(p, "\x08\0\x18\0UI\0\0", 8);
    size_t length = (strlen(uid) + 1) & ~(size_t)1;
    vt_put_le16(p + 6, (uint16_t)length);
    memset(p + 8, 0, length);
    memcpy(p + 8, uid, strlen(uid));
    p += 8 + length;
    memcpy(p, "\xe0\x7f\x10\0OW\0\0", 8);
    vt_put_le32(p + 8, (uint32_t)pixels);
    for (size_t i = 0; i < pixels; i++)
        p[12 + i] = (uint8_t)(i * 13);
    return (size_t)(p + 12 + pixels - out);
}

/* The stored file ends with the data set as it was sent. */
static void assert_stored(const char *uid, const uint8_t *data, size_t size)
{
    char path[512];
    struct vt_err err = { 0 };
    VT_AUTO_BUF(file, 16 << 20);

    snprintf(path, sizeof path, "%s/CT.%s", folder, uid);
    if (!vt_io_read_file(path, &file, &err))
        fail_msg("%s", err.text);
    assert_true(file.size > size);
    assert_memory_equal(file.data + file.size - size, data, size);
}

static void storescp_gets_what_we_send_bit_by_bit(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { VT_UID_EXPLICIT_LE };
    const struct vt_propose context = { VT_UID_CT_IMAGE, syntaxes, 1, VT_ROLE_DEFAULT };
    static const size_t sizes[] = { 10, 16000, 525000, 3000000 };
    struct vt_assoc_request request = {
        .calling_ae_title = "VITRINE",
        .called_ae_title = "THERE",
        .host = "localhost",
        .port = free_port(),
        .contexts = &context,
        .context_count = 1,
    };
    static uint8_t data[4 << 20];

    NEEDS("storescp")
    pid_t pid = start_storescp(request.port);
    VT_AUTO(vt_assoc) assoc = associate_when_up(&request);
    for (size_t i = 0; i < VT_COUNT(sizes); i++) {
        struct vt_command store = { .field = VT_C_STORE_RQ,
                                    .message_id = vt_assoc_message_id(assoc) },
                          response;
        struct vt_err err = { 0 };
        enum vt_next next;
        uint8_t id;
        snprintf(store.sop_instance_uid, sizeof store.sop_instance_uid,
                 "1.2.826.0.1.3680043.10.97.%zu", i + 1);
        strcpy(store.sop_class_uid, VT_UID_CT_IMAGE);
        size_t size = make_data_set(data, store.sop_instance_uid, sizes[i]);
        vt_autoclose fd = memfd_create("instance", 0);
        assert_true(vt_io_pwrite(fd, data, size, 132, "memory", &err));
        assert_true(vt_assoc_send_file(assoc, 1, &store, fd, 132, size, &err));
        assert_true(
            vt_assoc_next(assoc, vt_clock_mono() + 10 * VT_NS_PER_S, &next, &id, &response, &err));
        assert_int_equal(next, VT_NEXT_COMMAND);
        assert_int_equal(response.field, VT_C_STORE_RSP);
        assert_int_equal(response.status, 0);
        assert_stored(store.sop_instance_uid, data, size);
    }
    vt_assoc_release(assoc);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

#define WITH_SCP(test) cmocka_unit_test_setup_teardown(test, start_scp, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCP(echoscu_is_answered),
        WITH_SCP(storescu_and_dcmsend_store_at_any_pdu_size),
        WITH_SCP(a_sender_with_nagle_on_does_not_wait_for_us),
        WITH_SCP(findscu_cancels),
        WITH_SCP(a_rejection_is_understood),
        cmocka_unit_test(clients_with_tls_are_served),
        WITH_SCP(storescp_gets_what_we_send_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, make_objects, remove_objects);
}
