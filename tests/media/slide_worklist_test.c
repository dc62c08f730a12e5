/* Which order a slide belongs to. */
#include "media/slide_worklist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_whole_counts_more_than_a_beginning(void **state)
{
    (void)state;
    unsigned whole = vt_slide_worklist_rank("S26-1001", "S26-1001.svs", "", true);
    unsigned by_barcode = vt_slide_worklist_rank("S26-1001", "scan17.svs", "S26-1001", true);
    unsigned longer = vt_slide_worklist_rank("S26-1001-A", "S26-1001-A-2.svs", "", true);
    unsigned shorter = vt_slide_worklist_rank("S26-1001", "S26-1001-A-2.svs", "", true);

    assert_true(whole > longer && by_barcode == whole && longer > shorter && shorter > 0);
}

static void what_only_looks_alike_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(vt_slide_worklist_rank("S26-100", "S26-1001.svs", "S26-1001", true), 0);
    assert_int_equal(vt_slide_worklist_rank("", "S26-1001.svs", "", true), 0);
    assert_int_equal(vt_slide_worklist_rank("S26-1001-A", "S26-1001.svs", "", true), 0);
    assert_int_equal(vt_slide_worklist_rank("S26-1001", "S26-1001-A.svs", "", false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_counts_more_than_a_beginning),
        cmocka_unit_test(what_only_looks_alike_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
