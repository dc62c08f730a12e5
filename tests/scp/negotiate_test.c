#include "scp/negotiate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define JPEG_LOSSLESS "1.2.840.10008.1.2.4.70"
#define JPEG_2000 "1.2.840.10008.1.2.4.91"
#define HTJ2K_LOSSLESS "1.2.840.10008.1.2.4.201"
#define JPEG_XL_LOSSLESS "1.2.840.10008.1.2.4.110"
#define DEFLATED_FRAME "1.2.840.10008.1.2.8.1"
#define RLE "1.2.840.10008.1.2.5"
#define PRIVATE_SYNTAX "1.2.840.113619.5.2"
#define PRIVATE_CLASS "1.3.46.670589.5.0.1"
#define STUDY_FIND "1.2.840.10008.5.1.4.1.2.2.1"
#define STUDY_MOVE "1.2.840.10008.5.1.4.1.2.2.2"
#define STUDY_GET "1.2.840.10008.5.1.4.1.2.2.3"
#define WORKLIST_FIND "1.2.840.10008.5.1.4.31"

static const struct vt_negotiation usual = { .allow = VT_ALLOW_ALL };

static struct vt_context_answer ask(const struct vt_negotiation *rules, enum vt_role role,
                                    const char *abstract_syntax, const char *const syntaxes[])
{
    struct vt_context context = {
        .id = 1, .proposed = syntaxes, .proposed_role = role, .result = VT_CONTEXT_NO_REASON
    };

    snprintf(context.abstract_syntax, sizeof context.abstract_syntax, "%s", abstract_syntax);
    while (syntaxes[context.proposed_count])
        context.proposed_count++;
    return vt_negotiate_context(&context, rules);
}

#define SYNTAXES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_accepted(struct vt_context_answer answer, const char *transfer_syntax)
{
    assert_int_equal(answer.result, VT_CONTEXT_ACCEPTED);
    assert_string_equal(answer.transfer_syntax, transfer_syntax);
}

static void assert_refused(struct vt_context_answer answer, enum vt_context_result result)
{
    assert_int_equal(answer.result, result);
    assert_null(answer.transfer_syntax);
}

/* ---- storage ---- */

static void the_first_known_syntax_of_a_storage_context_is_taken(void **state)
{
    (void)state;
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE,
                        SYNTAXES("1.2.3.4", VT_UID_EXPLICIT_BE, VT_UID_IMPLICIT_LE)),
                    VT_UID_EXPLICIT_BE);
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE,
                        SYNTAXES(VT_UID_DEFLATED_LE, VT_UID_EXPLICIT_LE)),
                    VT_UID_DEFLATED_LE);
    assert_accepted(
        ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(RLE, VT_UID_EXPLICIT_LE)), RLE);
}

static void every_public_syntax_alone_is_accepted_as_it_is(void **state)
{
    (void)state;
    const struct vt_transfer_syntax *syntax;

    for (size_t i = 0; (syntax = vt_transfer_syntax_at(i)) != NULL; i++)
        assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(syntax->uid)),
                        syntax->uid);
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(HTJ2K_LOSSLESS)),
                    HTJ2K_LOSSLESS);
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(JPEG_XL_LOSSLESS)),
                    JPEG_XL_LOSSLESS);
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(DEFLATED_FRAME)),
                    DEFLATED_FRAME);
}

static void every_public_storage_class_is_accepted(void **state)
{
    (void)state;
    const struct vt_sop_class *sop_class;
    size_t count = 0;

    for (size_t i = 0; (sop_class = vt_sop_class_at(i)) != NULL; i++)
        if (sop_class->kind == VT_SOP_STORAGE) {
            assert_accepted(
                ask(&usual, VT_ROLE_DEFAULT, sop_class->uid, SYNTAXES(VT_UID_IMPLICIT_LE)),
                VT_UID_IMPLICIT_LE);
            count++;
        }
    assert_true(count > 100);
}

static void a_lossy_first_syntax_gives_way_to_a_lossless_one_of_the_same_context(void **state)
{
    (void)state;
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE,
                        SYNTAXES(JPEG_BASELINE, JPEG_LOSSLESS, VT_UID_EXPLICIT_LE)),
                    JPEG_LOSSLESS);
    assert_accepted(
        ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(JPEG_BASELINE, VT_UID_IMPLICIT_LE)),
        VT_UID_IMPLICIT_LE);
    assert_accepted(
        ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(JPEG_BASELINE, JPEG_2000)),
        JPEG_BASELINE);
}

static void a_slide_stays_lossy_when_it_is_proposed_so_first(void **state)
{
    (void)state;
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_WHOLE_SLIDE,
                        SYNTAXES(JPEG_BASELINE, VT_UID_EXPLICIT_LE)),
                    JPEG_BASELINE);
}

static void who_only_receives_gets_its_first_syntax(void **state)
{
    (void)state;
    assert_accepted(
        ask(&usual, VT_ROLE_SCP, VT_UID_CT_IMAGE, SYNTAXES(JPEG_BASELINE, VT_UID_EXPLICIT_LE)),
        JPEG_BASELINE);
}

static void a_peer_may_prefer_uncompressed_or_lossless(void **state)
{
    (void)state;
    struct vt_negotiation uncompressed = { .allow = VT_ALLOW_ALL,
                                           .prefer = VT_PREFER_UNCOMPRESSED };
    struct vt_negotiation lossless = { .allow = VT_ALLOW_ALL, .prefer = VT_PREFER_LOSSLESS };

    assert_accepted(
        ask(&uncompressed, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(RLE, VT_UID_IMPLICIT_LE)),
        VT_UID_IMPLICIT_LE);
    assert_accepted(
        ask(&uncompressed, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(RLE, JPEG_BASELINE)), RLE);
    assert_accepted(
        ask(&lossless, VT_ROLE_DEFAULT, VT_UID_WHOLE_SLIDE, SYNTAXES(JPEG_BASELINE, JPEG_LOSSLESS)),
        JPEG_LOSSLESS);
}

static void a_private_syntax_is_refused_unless_it_is_configured(void **state)
{
    (void)state;
    const struct vt_private_syntax known = { PRIVATE_SYNTAX, VT_IMPLICIT_LE, false };
    struct vt_negotiation rules = { .allow = VT_ALLOW_ALL,
                                    .private_syntaxes = &known,
                                    .private_syntax_count = 1 };
    struct vt_syntax syntax;

    assert_refused(ask(&usual, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(PRIVATE_SYNTAX)),
                   VT_CONTEXT_TRANSFER_SYNTAXES);
    assert_accepted(ask(&rules, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(PRIVATE_SYNTAX)),
                    PRIVATE_SYNTAX);
    assert_true(vt_negotiate_syntax(&rules, PRIVATE_SYNTAX, &syntax));
    assert_int_equal(syntax.encoding, VT_IMPLICIT_LE);
    assert_false(vt_negotiate_syntax(&usual, PRIVATE_SYNTAX, &syntax));
}

static void an_unknown_class_is_storage_only_by_option(void **state)
{
    (void)state;
    struct vt_negotiation rules = { .allow = VT_ALLOW_ALL, .unknown_storage = true };

    assert_refused(ask(&usual, VT_ROLE_DEFAULT, PRIVATE_CLASS, SYNTAXES(VT_UID_EXPLICIT_LE)),
                   VT_CONTEXT_ABSTRACT_SYNTAX);
    assert_accepted(ask(&rules, VT_ROLE_DEFAULT, PRIVATE_CLASS, SYNTAXES(VT_UID_EXPLICIT_LE)),
                    VT_UID_EXPLICIT_LE);
    assert_int_equal(vt_negotiate_kind(PRIVATE_CLASS), VT_SOP_STORAGE);
    assert_refused(
        ask(&rules, VT_ROLE_DEFAULT, VT_UID_STORAGE_COMMITMENT, SYNTAXES(VT_UID_EXPLICIT_LE)),
        VT_CONTEXT_ABSTRACT_SYNTAX);
}

/* ---- the other services ---- */

static void services_take_explicit_before_implicit_and_nothing_else(void **state)
{
    (void)state;
    static const char *const classes[] = { VT_UID_VERIFICATION, STUDY_FIND, STUDY_MOVE, STUDY_GET };

    for (size_t i = 0; i < VT_COUNT(classes); i++) {
        assert_accepted(ask(&usual, VT_ROLE_DEFAULT, classes[i],
                            SYNTAXES(VT_UID_IMPLICIT_LE, VT_UID_EXPLICIT_LE)),
                        VT_UID_EXPLICIT_LE);
        assert_accepted(ask(&usual, VT_ROLE_DEFAULT, classes[i],
                            SYNTAXES(VT_UID_EXPLICIT_BE, VT_UID_IMPLICIT_LE)),
                        VT_UID_IMPLICIT_LE);
        assert_refused(ask(&usual, VT_ROLE_DEFAULT, classes[i],
                           SYNTAXES(VT_UID_DEFLATED_LE, VT_UID_EXPLICIT_BE)),
                       VT_CONTEXT_TRANSFER_SYNTAXES);
    }
}

static void worklist_and_performed_steps_are_offered_to_who_may_use_them(void **state)
{
    (void)state;
    struct vt_negotiation none = usual;

    none.allow = VT_ALLOW_ALL & ~(unsigned)(VT_ALLOW_WORKLIST | VT_ALLOW_MPPS);
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, WORKLIST_FIND, SYNTAXES(VT_UID_EXPLICIT_LE)),
                    VT_UID_EXPLICIT_LE);
    assert_accepted(ask(&usual, VT_ROLE_DEFAULT, VT_UID_MPPS, SYNTAXES(VT_UID_IMPLICIT_LE)),
                    VT_UID_IMPLICIT_LE);
    assert_refused(ask(&none, VT_ROLE_DEFAULT, WORKLIST_FIND, SYNTAXES(VT_UID_EXPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
    assert_refused(ask(&none, VT_ROLE_DEFAULT, VT_UID_MPPS, SYNTAXES(VT_UID_EXPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
}

static void what_we_do_not_offer_is_an_unknown_abstract_syntax(void **state)
{
    (void)state;
    assert_refused(
        ask(&usual, VT_ROLE_DEFAULT, VT_UID_STORAGE_COMMITMENT, SYNTAXES(VT_UID_EXPLICIT_LE)),
        VT_CONTEXT_ABSTRACT_SYNTAX);
    assert_refused(ask(&usual, VT_ROLE_DEFAULT, "not a uid", SYNTAXES(VT_UID_EXPLICIT_LE)),
                   VT_CONTEXT_ABSTRACT_SYNTAX);
}

static void a_service_that_the_peer_may_not_use_is_a_user_rejection(void **state)
{
    (void)state;
    struct vt_negotiation rules = { .allow = VT_ALLOW_ECHO | VT_ALLOW_STORE };

    assert_accepted(ask(&rules, VT_ROLE_DEFAULT, VT_UID_VERIFICATION, SYNTAXES(VT_UID_IMPLICIT_LE)),
                    VT_UID_IMPLICIT_LE);
    assert_accepted(ask(&rules, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(VT_UID_IMPLICIT_LE)),
                    VT_UID_IMPLICIT_LE);
    assert_refused(ask(&rules, VT_ROLE_DEFAULT, STUDY_FIND, SYNTAXES(VT_UID_IMPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
    assert_refused(ask(&rules, VT_ROLE_DEFAULT, STUDY_MOVE, SYNTAXES(VT_UID_IMPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
    assert_refused(ask(&rules, VT_ROLE_SCP, VT_UID_CT_IMAGE, SYNTAXES(VT_UID_IMPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
}

/* ---- roles ---- */

static void a_receiver_of_storage_is_granted_its_role(void **state)
{
    (void)state;
    static const enum vt_role roles[] = { VT_ROLE_DEFAULT, VT_ROLE_SCU, VT_ROLE_SCP,
                                          VT_ROLE_SCU_SCP };

    for (size_t i = 0; i < VT_COUNT(roles); i++)
        assert_int_equal(ask(&usual, roles[i], VT_UID_CT_IMAGE, SYNTAXES(VT_UID_IMPLICIT_LE)).role,
                         roles[i]);
}

static void a_role_is_turned_down_but_never_added(void **state)
{
    (void)state;
    struct vt_negotiation store = { .allow = VT_ALLOW_STORE }, get = { .allow = VT_ALLOW_GET };

    assert_int_equal(
        ask(&store, VT_ROLE_SCU_SCP, VT_UID_CT_IMAGE, SYNTAXES(VT_UID_IMPLICIT_LE)).role,
        VT_ROLE_SCU);
    assert_int_equal(ask(&get, VT_ROLE_SCU_SCP, VT_UID_CT_IMAGE, SYNTAXES(VT_UID_IMPLICIT_LE)).role,
                     VT_ROLE_SCP);
    assert_refused(ask(&get, VT_ROLE_DEFAULT, VT_UID_CT_IMAGE, SYNTAXES(VT_UID_IMPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
}

static void nobody_is_granted_to_be_scp_of_a_service_that_we_do_not_use(void **state)
{
    (void)state;
    assert_refused(ask(&usual, VT_ROLE_SCP, STUDY_FIND, SYNTAXES(VT_UID_IMPLICIT_LE)),
                   VT_CONTEXT_USER_REJECTION);
    assert_int_equal(ask(&usual, VT_ROLE_SCU_SCP, STUDY_FIND, SYNTAXES(VT_UID_IMPLICIT_LE)).role,
                     VT_ROLE_SCU);
}

/* ---- extended negotiation ---- */

static void find_answers_as_many_bytes_as_were_offered(void **state)
{
    (void)state;
    struct vt_negotiation fuzzy = { .fuzzy = true };
    const uint8_t all[5] = { 1, 1, 1, 1, 1 }, none[5] = { 0 };
    uint8_t out[VT_EXTENDED_MAX];

    assert_int_equal(vt_negotiate_extended(VT_SOP_FIND, &usual, all, 5, out), 5);
    assert_memory_equal(out, ((const uint8_t[]){ 1, 1, 0, 0, 0 }), 5);
    assert_int_equal(vt_negotiate_extended(VT_SOP_FIND, &fuzzy, all, 5, out), 5);
    assert_memory_equal(out, ((const uint8_t[]){ 1, 1, 1, 0, 0 }), 5);
    assert_int_equal(vt_negotiate_extended(VT_SOP_FIND, &fuzzy, none, 5, out), 5);
    assert_memory_equal(out, none, 5);
    assert_int_equal(vt_negotiate_extended(VT_SOP_FIND, &usual, all, 1, out), 1);
    assert_int_equal(out[0], 1);
    assert_int_equal(vt_negotiate_extended(VT_SOP_FIND, &usual, all, 0, out), 0);
}

static void retrieval_agrees_to_relational_only(void **state)
{
    (void)state;
    const uint8_t all[2] = { 1, 1 };
    uint8_t out[VT_EXTENDED_MAX];

    assert_int_equal(vt_negotiate_extended(VT_SOP_MOVE, &usual, all, 2, out), 2);
    assert_memory_equal(out, ((const uint8_t[]){ 1, 0 }), 2);
    assert_int_equal(vt_negotiate_extended(VT_SOP_GET, &usual, all, 2, out), 2);
    assert_memory_equal(out, ((const uint8_t[]){ 1, 0 }), 2);
}

static void storage_keeps_everything_and_says_so(void **state)
{
    (void)state;
    const uint8_t offer[6] = { 2, 0, 3, 0, 1, 0 };
    uint8_t out[VT_EXTENDED_MAX];

    assert_int_equal(vt_negotiate_extended(VT_SOP_STORAGE, &usual, offer, 6, out), 6);
    assert_memory_equal(out, ((const uint8_t[]){ 2, 0, 0, 0, 0, 0 }), 6);
}

static void an_offer_of_any_length_stays_within_our_answer(void **state)
{
    (void)state;
    uint8_t offer[300], out[VT_EXTENDED_MAX];

    memset(offer, 1, sizeof offer);
    assert_int_equal(vt_negotiate_extended(VT_SOP_FIND, &usual, offer, sizeof offer, out),
                     VT_EXTENDED_MAX);
    assert_int_equal(vt_negotiate_extended(VT_SOP_VERIFICATION, &usual, offer, sizeof offer, out),
                     0);
}

/* ---- the association ---- */

static const struct vt_admission lawful = {
    .calling = "CT1", .called = "VITRINE", .known = true, .per_peer_max = 64, .spare_free = true
};

static void assert_rejected(const struct vt_server_options *options,
                            const struct vt_admission *admission, unsigned result, unsigned source,
                            unsigned reason)
{
    struct vt_rejection rejection = { 0 };

    assert_int_equal(vt_negotiate_admission(options, admission, &rejection), VT_ADMIT_REJECT);
    assert_int_equal(rejection.result, result);
    assert_int_equal(rejection.source, source);
    assert_int_equal(rejection.reason, reason);
    assert_non_null(rejection.word);
}

static void a_wrong_called_title_is_rejected(void **state)
{
    (void)state;
    const char *const more[] = { "NIGHT", NULL };
    struct vt_server_options options = { .ae_title = "VITRINE", .more_titles = more };
    struct vt_admission admission = lawful;
    struct vt_rejection rejection;

    admission.called = "vitrine";
    assert_rejected(&options, &admission, 1, 1, 7);
    options.title_nocase = true;
    assert_int_equal(vt_negotiate_admission(&options, &admission, &rejection), VT_ADMIT);
    admission.called = "NIGHT";
    assert_int_equal(vt_negotiate_admission(&options, &admission, &rejection), VT_ADMIT);
    admission.called = "OTHER";
    assert_rejected(&options, &admission, 1, 1, 7);
    options.any_called_title = true;
    assert_int_equal(vt_negotiate_admission(&options, &admission, &rejection), VT_ADMIT);
}

static void an_unknown_peer_is_rejected_only_by_option(void **state)
{
    (void)state;
    struct vt_server_options options = { .ae_title = "VITRINE" };
    struct vt_admission admission = lawful;
    struct vt_rejection rejection;

    admission.known = false;
    assert_int_equal(vt_negotiate_admission(&options, &admission, &rejection), VT_ADMIT);
    options.refuse_unknown_peers = true;
    assert_rejected(&options, &admission, 1, 1, 3);
}

static void over_the_limit_one_slot_is_left_for_verification(void **state)
{
    (void)state;
    struct vt_server_options options = { .ae_title = "VITRINE" };
    struct vt_admission admission = lawful;
    struct vt_rejection rejection;

    admission.total = VT_SERVER_ASSOCIATIONS - 1;
    assert_int_equal(vt_negotiate_admission(&options, &admission, &rejection), VT_ADMIT);
    admission.total = VT_SERVER_ASSOCIATIONS;
    assert_rejected(&options, &admission, 2, 3, 2);
    admission.only_verification = true;
    assert_int_equal(vt_negotiate_admission(&options, &admission, &rejection), VT_ADMIT_SPARE);
    admission.spare_free = false;
    assert_rejected(&options, &admission, 2, 3, 2);
}

static void one_peer_has_its_own_limit(void **state)
{
    (void)state;
    struct vt_server_options options = { .ae_title = "VITRINE" };
    struct vt_admission admission = lawful;

    admission.from_peer = 64;
    assert_rejected(&options, &admission, 2, 3, 2);
}

static void who_is_stopping_asks_to_come_back(void **state)
{
    (void)state;
    struct vt_server_options options = { .ae_title = "VITRINE" };
    struct vt_admission admission = lawful;

    admission.stopping = true;
    assert_rejected(&options, &admission, 2, 3, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_known_syntax_of_a_storage_context_is_taken),
        cmocka_unit_test(every_public_syntax_alone_is_accepted_as_it_is),
        cmocka_unit_test(every_public_storage_class_is_accepted),
        cmocka_unit_test(a_lossy_first_syntax_gives_way_to_a_lossless_one_of_the_same_context),
        cmocka_unit_test(a_slide_stays_lossy_when_it_is_proposed_so_first),
        cmocka_unit_test(who_only_receives_gets_its_first_syntax),
        cmocka_unit_test(a_peer_may_prefer_uncompressed_or_lossless),
        cmocka_unit_test(a_private_syntax_is_refused_unless_it_is_configured),
        cmocka_unit_test(an_unknown_class_is_storage_only_by_option),
        cmocka_unit_test(services_take_explicit_before_implicit_and_nothing_else),
        cmocka_unit_test(worklist_and_performed_steps_are_offered_to_who_may_use_them),
        cmocka_unit_test(what_we_do_not_offer_is_an_unknown_abstract_syntax),
        cmocka_unit_test(a_service_that_the_peer_may_not_use_is_a_user_rejection),
        cmocka_unit_test(a_receiver_of_storage_is_granted_its_role),
        cmocka_unit_test(a_role_is_turned_down_but_never_added),
        cmocka_unit_test(nobody_is_granted_to_be_scp_of_a_service_that_we_do_not_use),
        cmocka_unit_test(find_answers_as_many_bytes_as_were_offered),
        cmocka_unit_test(retrieval_agrees_to_relational_only),
        cmocka_unit_test(storage_keeps_everything_and_says_so),
        cmocka_unit_test(an_offer_of_any_length_stays_within_our_answer),
        cmocka_unit_test(a_wrong_called_title_is_rejected),
        cmocka_unit_test(an_unknown_peer_is_rejected_only_by_option),
        cmocka_unit_test(over_the_limit_one_slot_is_left_for_verification),
        cmocka_unit_test(one_peer_has_its_own_limit),
        cmocka_unit_test(who_is_stopping_asks_to_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
