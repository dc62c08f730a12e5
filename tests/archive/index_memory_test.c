#include "archive/index.h"

#define DRIVER vt_index_memory
#include "tests/archive/index_contract.h"

static bool put_and_find(void *context, struct vt_err *err)
{
    struct world *world = context;
    const char *const words[] = { "PatientName=*MIT*" };
    struct vt_index_entry entry;
    unsigned flags;
    bool more;
    VT_AUTO(vt_index) index = vt_index_open(&vt_index_memory, &(struct vt_index_options){ 0 }, err);

    for (int i = 0; i < 2; i++)
        if (!index || !vt_index_begin(index, err) ||
            !vt_index_put(index, &world->instance, &flags, err) || !vt_index_commit(index, 7, err))
            return false;
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &(struct vt_query_rules){ 0 }, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(index, plan, err) : NULL;
    return cursor && vt_cursor_select_next(cursor, &entry, &more, err);
}

static void putting_and_finding_survive_lost_memory(void **state)
{
    struct world *world = *state;

    vt_instance_init(&world->instance);
    make_instance(&world->instance, &small[0]);
    vt_torture(put_and_find, world);
    vt_instance_fini(&world->instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CONTRACT_TESTS,
                                        CONTRACT(putting_and_finding_survive_lost_memory) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
