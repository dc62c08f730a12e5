#include "archive/index.h"

#define DRIVER vt_index_memory
#include "tests/archive/index_contract.h"

int main(void)
{
    const struct CMUnitTest tests[] = { CONTRACT_TESTS };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
