#include "nft_world.h"
#include "policy/nft_compare.h"

#include "base/mem.h"
#include "base/str.h"

#define ONE "'OutboundProxyPort':'15001','UserID':'1337','FilterTuple':{'Protocols':'6,17'}"

static int read_text(struct slice listing, struct l4_policies *ret)
{
    struct diag d = {0};

    return nft_read_policies(listing, ret, &d);
}

static void expect_read_error(const char *listing, int err)
{
    struct l4_policies l = {.count = 77};

    assert_int_equal(read_text(slice_str(listing), &l), err);
    assert_int_equal(l.count, 77); /* written only on success */
}

/* The listing with a text of it replaced, as often as it occurs. */
static struct buf replaced(struct slice listing, const char *what, const char *with)
{
    struct buf b;
    size_t len = strlen(what);
    bool any = false;

    buf_init(&b, DOCUMENT_CAP);
    for (size_t i = 0; i < listing.len;) {
        bool here = listing.len - i >= len && memcmp(listing.data + i, what, len) == 0;
        assert_int_equal(here ? buf_put_str(&b, with) : buf_put_u8(&b, listing.data[i]), 0);
        i += here ? len : 1;
        any |= here;
    }
    assert_true(any);
    return b;
}

static void expect_damaged(const char *what, const char *with)
{
    CLEANUP(buf_release) struct buf document = document_of(ONE);
    CLEANUP(buf_release) struct buf listing = replaced(listing_of(&document), what, with);

    expect_read_error(buf_cstr(&listing), ERR_FORMAT);
}

static void test_no_table_is_an_empty_list(void **state)
{
    (void)state;
    struct l4_policies l = {.count = 77};

    assert_int_equal(read_text(slice_of("", 0), &l), 0);
    assert_int_equal(l.count, 0);
    l4_policies_release(&l);
}

static void test_policies_come_back_as_they_were(void **state)
{
    (void)state;
    CLEANUP(l4_policies_release)
    struct l4_policies l = policies_from(
        ONE "|'InboundProxyPort':'9','FilterTuple':{'Protocols':'17','LocalPorts':'1-5,7'}");
    CLEANUP(l4_policies_release) struct l4_policies again;
    CLEANUP(buf_release) struct buf document;

    make_document(&l, &document);
    assert_int_equal(read_text(listing_of(&document), &again), 0);
    assert_true(l4_policies_eq(&l, &again));
}

static void test_handles_do_not_matter(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf document = document_of(ONE);
    CLEANUP(buf_release)
    struct buf chains = replaced(listing_of(&document), "policies {", "policies { # handle 1");
    CLEANUP(buf_release)
    struct buf listing = replaced(buf_slice(&chains), "drop\n", "drop # handle 12\n");
    CLEANUP(l4_policies_release) struct l4_policies l;

    assert_int_equal(read_text(buf_slice(&listing), &l), 0);
    assert_int_equal(l.count, 1);
}

static void test_what_was_cut_changed_or_added_is_noticed(void **state)
{
    (void)state;

    expect_damaged("15001", "15002"); /* the JSON is as good as before */
    expect_damaged("continue comment \"stile 1",
                   "continue comment \"stile 2"); /* a version to come */
    expect_damaged("continue comment \"[", "counter comment \"x\"\n\t\tcontinue comment \"[");
    expect_damaged("continue comment \"[", "drop\n\t\tcontinue comment \"[");
    expect_damaged("chain policies", "chain policiez");
    expect_damaged("continue comment \"[{'Type'", "continue comment \"{'Type'");
    expect_damaged("comment \"", "comment ");
    expect_damaged("inet stile_policy {", "inet stile_policy2 {");
}

static void test_listings_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "table inet stile_policy {\n}\n",
        "table inet stile_policy {",
        "table inet stile_policy {\n\tchain policies {\n",
        "table inet stile_policy {\n\tchain policies {\n\t}\n}\n",
        "table inet stile_policy {\n\tchain policies {\n\t\tcontinue comment \"\"\n\t}\n}\n",
        "table inet stile_policy {\n\tchain policies {\n\t\tcontinue comment \"stile 1\"\n\t}\n}\n",
        "table inet stile_policy {\n\tchain policies {\n\t\tcontinue comment \"stile 1 "
        "99999999999999999999 0000000000000000\"\n\t}\n}\n",
        "table inet stile_policy {\n\tchain policies {\n\t\tcontinue comment \"stile 1 0 "
        "cbf29ce484222325\"\n\t}\n}\n", /* the right sum of no JSON */
        "table inet stile_policy {\n\tset s {\n\t\ttype inet_service\n",
        "{\"nftables\": []}",
        "chain policies {\n}\n",
        "}",
        "table inet stile_policy {\n}\ntable inet stile_policy {\n}\n",
        "\n\n \t\n{",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        expect_read_error(texts[i], ERR_FORMAT);
}

static void test_a_huge_listing_is_refused_or_read_in_bounded_time(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, DOCUMENT_CAP);
    assert_int_equal(buf_put_str(&b, "table inet stile_policy {\n\tchain policies {\n\t\tcontinue "
                                     "comment \"stile 1 9 0000000000000000\"\n"),
                     0);
    while (buf_len(&b) < 12u * 1024 * 1024)
        assert_int_equal(
            buf_put_str(&b, "\t\tcontinue comment "
                            "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"\n"),
            0);
    assert_int_equal(buf_put_str(&b, "\t}\n}\n"), 0);
    expect_read_error(buf_cstr(&b), ERR_FORMAT); /* more than policies can take */
    struct l4_policies l;
    struct slice too_big =
        slice_of(b.data, NFT_LISTING_MAX + 1); /* its length alone is looked at */
    assert_int_equal(read_text(too_big, &l), ERR_FORMAT);
}

/* ---- Comparison ---- */

static struct buf differences(struct slice listing, const char *settings, bool *ret_drifted)
{
    CLEANUP(l4_policies_release) struct l4_policies l = policies_from(settings);
    struct diag d = {0};
    struct buf b;

    buf_init(&b, DOCUMENT_CAP);
    assert_int_equal(nft_compare(listing, &l, &b, ret_drifted, &d), 0);
    return b;
}

/* What is told when this text of the right listing is another one. */
static void expect_difference(const char *what, const char *with, const char *told)
{
    CLEANUP(buf_release) struct buf document = document_of(ONE);
    CLEANUP(buf_release) struct buf listing = replaced(listing_of(&document), what, with);
    bool drifted;
    CLEANUP(buf_release) struct buf got = differences(buf_slice(&listing), ONE, &drifted);

    assert_string_equal(buf_cstr(&got), told);
    assert_int_equal(drifted, told[0] != '\0');
}

static void test_another_spelling_of_the_same_is_no_difference(void **state)
{
    (void)state;

    expect_difference("0x00100000", "0x100000", "");
    expect_difference("0x00100000", "1048576", "");
    expect_difference("iif \"lo\" accept", "iif lo accept # handle 7", "");
    expect_difference("redirect to :15001", "counter packets 3 bytes 180 redirect to :15001", "");
    expect_difference("\t\tdrop", "  drop ", "");
}

static void test_each_difference_is_told(void **state)
{
    (void)state;

    expect_difference("\t\tmeta skuid 1337 return\n", "",
                      "rule 1 of chain outbound_policy_1 is missing: meta skuid 1337 return\n");
    expect_difference("meta skuid 1337 return", "meta skuid 0 return",
                      "rule 1 of chain outbound_policy_1 was changed: meta skuid 0 return\n");
    expect_difference("priority -110", "priority 5",
                      "the hook of chain output_nat was changed: type nat hook output priority 5; "
                      "policy accept;\n");
    expect_difference("ct direction reply accept\n", "ct direction reply accept\n\t\taccept\n",
                      "rule 5 of chain output_udp is not ours: accept\n");
    expect_difference("chain returned_udp", "chain mine",
                      "chain returned_udp is missing\nchain mine is not ours\n");
    expect_difference("\tchain returned_udp",
                      "\tset s {\n\t\ttype mark\n\t}\n\n\tchain returned_udp",
                      "the table has sets, maps or flags that are not ours\n");
    expect_difference("inet stile_policy {", "inet other {",
                      "the table inet stile_policy is missing\n");
}

static void test_policies_of_another_kind_differ(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf document = document_of(ONE);
    bool drifted = false;
    CLEANUP(buf_release)
    struct buf got = differences(
        listing_of(&document),
        "'OutboundProxyPort':'15002','UserID':'1337','FilterTuple':{'Protocols':'6,17'}", &drifted);

    assert_true(drifted);
    assert_true(buf_len(&got) > 0);
}

static void test_a_stranger_can_not_write_to_the_terminal(void **state)
{
    (void)state;

    expect_difference("\t\tmeta skuid 1337 return\n",
                      "\t\taccept comment \"\x1b[2J\"\n\t\tmeta skuid 1337 return\n",
                      "rule 1 of chain outbound_policy_1 is not ours: accept comment \"?[2J\"\n");
}

static void test_a_long_list_of_differences_is_cut(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf b;
    bool drifted = false;
    size_t lines = 0;

    buf_init(&b, DOCUMENT_CAP);
    assert_int_equal(buf_put_str(&b, "table inet stile_policy {\n"), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf_printf(&b, "\tchain c%d {\n\t}\n", i), 0);
    assert_int_equal(buf_put_str(&b, "}\n"), 0);
    CLEANUP(buf_release) struct buf got = differences(buf_slice(&b), ONE, &drifted);
    for (const char *at = buf_cstr(&got); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 101);
    assert_true(drifted && str_ends(buf_cstr(&got), " differences more\n"));
}

static void test_memory_may_end_at_any_point(void **state)
{
    (void)state;
    CLEANUP(l4_policies_release) struct l4_policies l = policies_from(ONE);
    CLEANUP(buf_release) struct buf document;
    struct diag d = {0};
    bool drifted;

    make_document(&l, &document);
    for (int compare = 0; compare < 2; compare++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            CLEANUP(buf_release) struct buf b;
            CLEANUP(l4_policies_release) struct l4_policies got;
            buf_init(&b, DOCUMENT_CAP);
            l4_policies_init(&got);
            (void)mem_fail_at(n);
            int err = compare ? nft_compare(listing_of(&document), &l, &b, &drifted, &d)
                              : nft_read_policies(listing_of(&document), &got, &d);
            done = mem_fail_at(0) < n;
            assert_int_equal(err, done ? 0 : ERR_NOMEM);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_table_is_an_empty_list),
        cmocka_unit_test(test_policies_come_back_as_they_were),
        cmocka_unit_test(test_handles_do_not_matter),
        cmocka_unit_test(test_what_was_cut_changed_or_added_is_noticed),
        cmocka_unit_test(test_listings_that_are_none_are_refused),
        cmocka_unit_test(test_a_huge_listing_is_refused_or_read_in_bounded_time),
        cmocka_unit_test(test_another_spelling_of_the_same_is_no_difference),
        cmocka_unit_test(test_each_difference_is_told),
        cmocka_unit_test(test_policies_of_another_kind_differ),
        cmocka_unit_test(test_a_stranger_can_not_write_to_the_terminal),
        cmocka_unit_test(test_a_long_list_of_differences_is_cut),
        cmocka_unit_test(test_memory_may_end_at_any_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
