/* Both ends of vitrine-poold's socket: a service with a module of the test's and no pool, and the
 * client; what each does without memory. */
#include "hypervisor/client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/pool_service_state.h"
#include "hypervisor/pool_wire.h"
#include "tests/support/torture.h"

enum { WAIT_S = 60, EVENTS = 20000, LONG_ROW = VT_POOL_ANSWER_MAX };

/* ---- the module ---- */

static bool verb_rows(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    size_t count = 0;
    const char *const *args = vt_call_args(call, &count);

    (void)context, (void)err;
    for (size_t i = 0; i < count; i++)
        vt_call_row(call, json_pack("{s:s}", "name", args[i]));
    vt_call_note(call, "%zu in all", count);
    vt_call_progress(call, 1, 2, "halves");
    vt_call_out(call, "text\n", 5);
    vt_call_status(call, 1);
    return true;
}

static bool verb_fail(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    (void)context, (void)call;
    vt_fail(err, VT_E_DENIED, "it is not like that");
    snprintf(err->xapi_code, sizeof err->xapi_code, "VM_BAD_POWER_STATE");
    return false;
}

static bool verb_ask(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    (void)context;
    return vt_call_confirm(call, "everything goes", "everything", err);
}

static bool verb_wait(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    (void)context;
    vt_call_note(call, "begun");
    for (int i = 0; i < WAIT_S * 100 && !vt_call_cancelled(call); i++)
        vt_clock_sleep(10 * VT_NS_PER_MS);
    return vt_fail(err, VT_E_CANCELLED, "stopped in good order");
}

static bool verb_long(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    vt_autofree char *text = malloc(LONG_ROW);

    (void)context;
    if (!text)
        return vt_fail(err, VT_E_NOMEM, "no memory for a long row");
    memset(text, 'x', LONG_ROW);
    return vt_call_row_text(call, text, LONG_ROW) ||
           vt_fail(err, VT_E_LIMIT, "a row that long is not sent");
}

static const struct vt_pool_verb verbs[] = {
    { "test.rows", VT_NEED_READ, verb_rows }, { "test.fail", VT_NEED_READ, verb_fail },
    { "test.ask", VT_NEED_CHANGE, verb_ask }, { "test.wait", VT_NEED_READ, verb_wait },
    { "test.long", VT_NEED_READ, verb_long }, { .name = NULL },
};
static const struct vt_pool_module module = { .name = "test", .verbs = verbs };

/* ---- the world ---- */

struct world {
    char folder[64], socket[96];
    struct vt_service *service;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct vt_err err = { 0 };

    snprintf(world->folder, sizeof world->folder, "/tmp/vt-client-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->socket, sizeof world->socket, "%s/pool.sock", world->folder);
    const struct vt_service_options options = { .socket = world->socket, .console_uid = (uid_t)-1 };
    world->service = vt_service_new(&options, &err);
    if (!world->service || !vt_service_add_module(world->service, &module, &err) ||
        !vt_service_start(world->service, &err))
        fail_msg("%s", err.text);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    vt_service_free(world->service);
    rmdir(world->folder);
    free(world);
    return 0;
}

static int64_t soon(void)
{
    return vt_clock_mono() + WAIT_S * VT_NS_PER_S;
}

static struct vt_pool_client *ask(const struct world *world, const struct vt_pool_request *request)
{
    struct vt_err err = { 0 };
    struct vt_pool_client *client = vt_pool_client_open(world->socket, soon(), &err);

    if (!client || !vt_pool_client_ask(client, request, soon(), &err))
        fail_msg("%s", err.text);
    return client;
}

static void next(struct vt_pool_client *client, enum vt_pool_answer_kind kind,
                 struct vt_pool_answer *out)
{
    struct vt_err err = { 0 };

    if (!vt_pool_client_next(client, soon(), out, &err))
        fail_msg("%s", err.text);
    assert_int_equal(out->kind, kind);
}

/* ---- answers ---- */

static void rows_notes_progress_and_text_come_in_order_and_the_status_last(void **state)
{
    const char *const names[] = { "ws-0001", "Köln" };
    const struct vt_pool_request request = { .verb = "test.rows", .args = names, .arg_count = 2 };
    VT_AUTO(vt_pool_client) client = ask(*state, &request);
    struct vt_pool_answer answer;

    next(client, VT_POOL_ROW, &answer);
    assert_string_equal(answer.line, "{\"name\":\"ws-0001\"}");
    next(client, VT_POOL_ROW, &answer);
    assert_string_equal(json_string_value(json_object_get(answer.json, "name")), "Köln");
    next(client, VT_POOL_NOTE, &answer);
    assert_string_equal(answer.text, "2 in all");
    next(client, VT_POOL_PROGRESS, &answer);
    assert_int_equal(answer.done, 1);
    assert_int_equal(answer.total, 2);
    next(client, VT_POOL_OUT, &answer);
    next(client, VT_POOL_RESULT, &answer);
    assert_int_equal(answer.status, 1);
}

static void a_failure_keeps_its_code_its_sentence_and_the_pools_word(void **state)
{
    const struct vt_pool_request request = { .verb = "test.fail" };
    VT_AUTO(vt_pool_client) client = ask(*state, &request);
    struct vt_pool_answer answer;
    struct vt_err err = { 0 };

    assert_false(vt_pool_client_next(client, soon(), &answer, &err));
    assert_int_equal(err.code, VT_E_DENIED);
    assert_string_equal(err.text, "it is not like that");
    assert_string_equal(err.xapi_code, "VM_BAD_POWER_STATE");
}

static void a_question_is_asked_until_its_word_comes(void **state)
{
    struct vt_pool_request request = { .verb = "test.ask", .confirmed = "nothing" };
    struct vt_pool_answer answer;

    VT_AUTO(vt_pool_client) first = ask(*state, &request);
    next(first, VT_POOL_ASK, &answer);
    assert_string_equal(answer.word, "everything");
    request.confirmed = "everything";
    VT_AUTO(vt_pool_client) second = ask(*state, &request);
    next(second, VT_POOL_RESULT, &answer);
}

static void cancelling_ends_a_verb_with_its_last_answer(void **state)
{
    const struct vt_pool_request request = { .verb = "test.wait" };
    VT_AUTO(vt_pool_client) client = ask(*state, &request);
    struct vt_pool_answer answer;
    struct vt_err err = { 0 };

    next(client, VT_POOL_NOTE, &answer);
    assert_true(vt_pool_client_cancel(client, &err));
    assert_false(vt_pool_client_next(client, soon(), &answer, &err));
    assert_int_equal(err.code, VT_E_CANCELLED);
}

static void a_row_beyond_the_bound_is_refused_and_nothing_cut_is_sent(void **state)
{
    const struct vt_pool_request request = { .verb = "test.long" };
    VT_AUTO(vt_pool_client) client = ask(*state, &request);
    struct vt_pool_answer answer;
    struct vt_err err = { 0 };

    assert_false(vt_pool_client_next(client, soon(), &answer, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void words_beyond_the_bound_are_not_sent(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    vt_autofree char *word = malloc(VT_POOL_REQUEST_MAX + 1);
    const char *const words[] = { word };
    const struct vt_pool_request request = { .verb = "test.rows", .args = words, .arg_count = 1 };
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(world->socket, soon(), &err);

    memset(word, 'x', VT_POOL_REQUEST_MAX);
    word[VT_POOL_REQUEST_MAX] = '\0';
    assert_false(vt_pool_client_ask(client, &request, soon(), &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void a_line_is_read_as_deep_as_the_bound_and_no_deeper(void **state)
{
    (void)state;
    for (size_t depth = VT_WIRE_DEPTH_MAX - 1; depth <= VT_WIRE_DEPTH_MAX + 1; depth++) {
        char line[4 * VT_WIRE_DEPTH_MAX + 64] = "{\"a]\\\"[\":";
        struct vt_err err = { 0 };
        for (size_t i = 1; i < depth; i++)
            strcat(line, "[");
        strcat(line, "1");
        for (size_t i = 1; i < depth; i++)
            strcat(line, "]");
        strcat(line, "}");
        json_t *object = vt_wire_parse(line, strlen(line), &err);
        assert_int_equal(object != NULL, depth <= VT_WIRE_DEPTH_MAX);
        assert_int_equal(err.code, object ? VT_OK : VT_E_PROTOCOL);
        json_decref(object);
    }
}

/* ---- a reader that is too slow ---- */

/* Waits until the service has the reader, publishes far more than it keeps, and only then reads.
 * What is kept is bounded, and what was lost is told with its number: together all of it. */
static void a_reader_too_slow_loses_events_and_is_told_how_many(void **state)
{
    struct world *world = *state;
    const struct vt_pool_request request = { .verb = "events" };
    VT_AUTO(vt_pool_client) client = ask(world, &request);
    struct vt_pool_answer answer;
    json_int_t came = 0, lost = 0;
    int64_t end = soon();

    for (bool reads = false; !reads && vt_clock_mono() < end;) {
        vt_clock_sleep(VT_NS_PER_MS);
        pthread_mutex_lock(&world->service->lock);
        reads = world->service->readers;
        pthread_mutex_unlock(&world->service->lock);
    }
    for (int i = 0; i < EVENTS; i++)
        vt_service_publish(world->service, "test.event", "TEST", "subject", NULL);
    pthread_mutex_lock(&world->service->lock);
    assert_true(world->service->readers->count <= VT_SERVICE_EVENTS_MAX);
    pthread_mutex_unlock(&world->service->lock);
    while (lost == 0 && came < EVENTS) {
        next(client, VT_POOL_EVENT, &answer);
        lost = json_integer_value(json_object_get(answer.json, "count"));
        came += lost == 0;
    }
    assert_int_equal(came + lost, EVENTS);
}

/* ---- without memory ---- */

/* jansson's own allocations, of which the n-th fails. What it cannot read for lack of memory it
 * calls malformed, so there both are right. */
static unsigned long countdown;

void *__real_malloc(size_t size); /* the one that never fails */

static void *take(size_t size)
{
    return countdown > 0 && --countdown == 0 ? NULL : __real_malloc(size);
}

static void torture_jansson(bool (*work)(void *context, struct vt_err *err), void *context)
{
    bool hit = true;

    for (unsigned long n = 1; hit && n < 10000; n++) {
        struct vt_err err = { 0 };
        json_set_alloc_funcs(take, free);
        countdown = n;
        bool ok = work(context, &err);
        hit = countdown == 0;
        countdown = 0;
        json_set_alloc_funcs(__real_malloc, free);
        if (!ok && err.code != VT_E_NOMEM && err.code != VT_E_PROTOCOL)
            fail_msg("allocation %lu failing gave '%s': %s", n, vt_code_name(err.code), err.text);
        assert_true(ok || hit);
    }
    assert_false(hit);
}

static const char answers[] = "{\"row\":{\"name\":\"ws-0001\",\"snapshots\":[\"a\",\"b\"]}}\n"
                              "{\"event\":{\"kind\":\"lost\"}}\n{\"note\":\"begun\"}\n"
                              "{\"progress\":{\"done\":1,\"total\":2,\"unit\":\"%\"}}\n"
                              "{\"out\":\"text\\n\"}\n{\"result\":{\"status\":0}}\n";

static bool client_work(void *context, struct vt_err *err)
{
    static const char *const words[] = { "one", "two" };
    const struct vt_pool_request request = { .verb = "vm.list",
                                             .args = words,
                                             .arg_count = 2,
                                             .pool = "MAIN",
                                             .user = "alice",
                                             .json = true };
    struct vt_pool_answer answer = { 0 };
    int pair[2];

    (void)context;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    vt_autoclose other = pair[1];
    VT_AUTO(vt_pool_client) client = vt_pool_client_over(pair[0], err);
    if (client)
        assert_true(send(other, answers, sizeof answers - 1, MSG_NOSIGNAL) > 0);
    if (!client || !vt_pool_client_ask(client, &request, soon(), err))
        return false;
    do {
        if (!vt_pool_client_next(client, soon(), &answer, err))
            return false;
    } while (answer.kind != VT_POOL_RESULT);
    return true;
}

static void a_client_without_memory_says_so(void **state)
{
    (void)state;
    assert_true(vt_torture(client_work, NULL) >= 3);
    torture_jansson(client_work, NULL);
}

/* One call in this thread. It ends with an answer that is whole, or is hung up on; never half a
 * line. */
static bool call_work(void *context, struct vt_err *err)
{
    const char *request = context;
    char said[8192] = "";
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    vt_autoclose mine = pair[0], theirs = pair[1];
    assert_true(send(mine, request, strlen(request), MSG_NOSIGNAL) > 0);
    struct vt_service *service = calloc(1, sizeof *service);
    if (!service)
        return vt_fail(err, VT_E_NOMEM, "the test's own");
    pthread_mutex_init(&service->lock, NULL);
    service->modules[service->module_count++] = &module;
    struct vt_pool_call call = { .service = service, .fd = theirs, .uid = geteuid() };
    vt_call_serve(&call);
    pthread_mutex_destroy(&service->lock);
    free(service);
    ssize_t size = recv(mine, said, sizeof said - 1, MSG_DONTWAIT);
    bool whole = size > 0 && said[size - 1] == '\n';
    assert_true(whole || size <= 0);
    bool result = whole && strstr(said, "{\"result\":{\"status\":1}}");
    bool told = whole && (strstr(said, "\"no-memory\"") || strstr(said, "\"protocol\""));
    return result || vt_fail(err, told || size <= 0 ? VT_E_NOMEM : VT_E_INTERNAL, "%.150s", said);
}

static void a_call_without_memory_ends_whole_or_not_at_all(void **state)
{
    static char request[] = "{\"do\":\"test.rows\",\"args\":[\"one\",\"two\"],"
                            "\"options\":{\"state\":\"running\"},\"json\":true}\n";

    (void)state;
    assert_true(vt_torture(call_work, request) > 3);
    torture_jansson(call_work, request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            rows_notes_progress_and_text_come_in_order_and_the_status_last, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_keeps_its_code_its_sentence_and_the_pools_word,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_is_asked_until_its_word_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelling_ends_a_verb_with_its_last_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_row_beyond_the_bound_is_refused_and_nothing_cut_is_sent,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(words_beyond_the_bound_are_not_sent, setup, teardown),
        cmocka_unit_test(a_line_is_read_as_deep_as_the_bound_and_no_deeper),
        cmocka_unit_test_setup_teardown(a_reader_too_slow_loses_events_and_is_told_how_many, setup,
                                        teardown),
        cmocka_unit_test(a_client_without_memory_says_so),
        cmocka_unit_test(a_call_without_memory_ends_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
