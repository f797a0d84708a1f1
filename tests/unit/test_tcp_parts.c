/* The data structures under the TCP endpoint: table, heap, rings, reordering, scoreboard, options. */
#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/tcp.h"
#include "net/tcp_board.h"
#include "net/tcp_heap.h"
#include "net/tcp_reorder.h"
#include "net/tcp_ring.h"
#include "net/tcp_segment.h"
#include "net/tcp_seq.h"
#include "net/tcp_table.h"

static uint32_t next_random(void)
{
    static uint32_t x = 1;
    x = x * 1664525 + 1013904223;
    return x >> 8;
}

static void numbers_compare_across_the_wrap(void **state UNUSED)
{
    assert_true(seq_lt(UINT32_MAX, 0) && seq_gt(5, UINT32_MAX - 5) && seq_leq(7, 7));
    assert_int_equal(seq_max(UINT32_MAX - 1, 3), 3);
    assert_int_equal(seq_min(UINT32_MAX - 1, 3), UINT32_MAX - 1);
}

#define ENTRIES 3000

static void a_table_finds_what_is_in_and_nothing_else(void **state UNUSED)
{
    static struct tcp_entry entries[ENTRIES];
    const uint64_t secret[2] = {1, 2};
    struct tcp_table t;
    struct ip_addr a = ip_addr_v4(10, 0, 0, 1);
    assert_int_equal(tcp_table_init(&t, secret), 0);
    for (uint16_t i = 0; i < ENTRIES; i++) {
        tcp_key_make(&entries[i].key, &a, i, &a, 443);
        assert_null(tcp_table_find(&t, &entries[i].key));
        tcp_table_put(&t, &entries[i]);
    }
    for (uint16_t i = 0; i < ENTRIES; i += 2)
        tcp_table_remove(&t, &entries[i]);
    for (uint16_t i = 0; i < ENTRIES; i++)
        assert_ptr_equal(tcp_table_find(&t, &entries[i].key), i % 2 == 0 ? NULL : &entries[i]);
    assert_int_equal(t.count, ENTRIES / 2);
    tcp_table_release(&t);
}

static void a_table_that_cannot_grow_works_on(void **state UNUSED)
{
    static struct tcp_entry entries[200];
    const uint64_t secret[2] = {1, 2};
    struct tcp_table t;
    struct ip_addr a = ip_addr_v4(10, 0, 0, 1);
    assert_int_equal(tcp_table_init(&t, secret), 0);
    for (uint16_t i = 0; i < 200; i++) {
        tcp_key_make(&entries[i].key, &a, i, &a, 443);
        (void)mem_fail_at(1);
        tcp_table_put(&t, &entries[i]);
        (void)mem_fail_at(0);
    }
    for (uint16_t i = 0; i < 200; i++)
        assert_ptr_equal(tcp_table_find(&t, &entries[i].key), &entries[i]);
    tcp_table_release(&t);
}

static void a_heap_gives_the_earliest(void **state UNUSED)
{
    static struct tcp_heap_node nodes[500];
    struct tcp_heap h = {0};
    assert_int_equal(tcp_heap_reserve(&h, ARRAY_LEN(nodes)), 0);
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        tcp_heap_node_init(&nodes[i]);
        tcp_heap_set(&h, &nodes[i], 1000 + next_random() % 1000);
    }
    for (size_t i = 0; i < ARRAY_LEN(nodes); i += 3)
        tcp_heap_remove(&h, &nodes[i]);
    for (size_t i = 1; i < ARRAY_LEN(nodes); i += 3)
        tcp_heap_set(&h, &nodes[i], next_random() % 1000);
    uint64_t last = 0;
    size_t count = 0;
    for (struct tcp_heap_node *n; (n = tcp_heap_first(&h)) != NULL; count++) {
        assert_true(n->at >= last);
        last = n->at;
        tcp_heap_remove(&h, n);
    }
    assert_int_equal(count, 333);
    tcp_heap_release(&h);
}

static void a_later_deadline_leaves_a_node_where_it_is(void **state UNUSED)
{
    struct tcp_heap_node node;
    struct tcp_heap h = {0};
    assert_int_equal(tcp_heap_reserve(&h, 1), 0);
    tcp_heap_node_init(&node);
    tcp_heap_set(&h, &node, 100);
    tcp_heap_set(&h, &node, 200);
    assert_int_equal(node.at, 100);
    tcp_heap_set(&h, &node, 50);
    assert_int_equal(tcp_heap_first(&h)->at, 50);
    tcp_heap_release(&h);
}

static void ring_write(struct tcp_ring *r, uint8_t *value, size_t n)
{
    while (n > 0) {
        uint8_t *data[2];
        size_t len[2];
        tcp_ring_space(r, data, len);
        size_t part = MIN(n, len[0]);
        assert_true(part > 0);
        for (size_t i = 0; i < part; i++)
            data[0][i] = (*value)++;
        tcp_ring_commit(r, part);
        n -= part;
    }
}

static void ring_read(struct tcp_ring *r, uint8_t *value, size_t n)
{
    struct slice s[2];
    tcp_ring_slices(r, 0, n, s);
    assert_int_equal(s[0].len + s[1].len, n);
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < s[k].len; i++)
            assert_int_equal(s[k].data[i], (*value)++);
    }
    tcp_ring_consume(r, n);
}

static void a_ring_gives_back_what_was_written_in_order(void **state UNUSED)
{
    struct tcp_ring_pool p;
    tcp_ring_pool_init(&p, 65536, 1);
    struct tcp_ring *r = tcp_ring_get(&p);
    uint8_t in = 0;
    uint8_t out = 0;
    assert_non_null(r);
    for (unsigned i = 0; i < 200; i++) {
        ring_write(r, &in, next_random() % (tcp_ring_room(r) + 1));
        ring_read(r, &out, next_random() % (r->len + 1));
    }
    ring_read(r, &out, r->len);
    assert_int_equal(in, out);
    tcp_ring_put(&p, r);
    tcp_ring_pool_release(&p);
}

static void a_pool_has_so_many_large_rings_then_small_ones(void **state UNUSED)
{
    struct tcp_ring_pool p;
    tcp_ring_pool_init(&p, 65536, 2);
    struct tcp_ring *a = tcp_ring_get(&p);
    struct tcp_ring *b = tcp_ring_get(&p);
    struct tcp_ring *c = tcp_ring_get(&p);
    assert_true(a->size == 65536 && b->size == 65536 && c->size == TCP_RING_SMALL);
    tcp_ring_put(&p, a);
    /* The latest first: its memory is in the cache. */
    assert_ptr_equal(tcp_ring_get(&p), a);
    tcp_ring_put(&p, a);
    tcp_ring_put(&p, b);
    tcp_ring_put(&p, c);
    assert_int_equal(p.big_used + p.small_used, 0);
    tcp_ring_pool_release(&p);
}

#define STREAM 4000

/* Random pieces, in random order, with overlaps, until all has come. */
static void reordering_gives_every_byte_once_in_order(void **state UNUSED)
{
    static uint8_t stream[STREAM];
    struct tcp_reorder q;
    struct tcp_reorder_account account = {.max = 20 * STREAM};
    const uint32_t base = UINT32_MAX - 1000;
    uint32_t next = 0;
    for (size_t i = 0; i < STREAM; i++)
        stream[i] = (uint8_t)(i * 31 + i / 256);
    tcp_reorder_init(&q);
    while (next < STREAM) {
        uint32_t ahead = next_random() % 300;
        uint32_t start = MIN(next + ahead, STREAM - 1U);
        uint32_t n = 1 + next_random() % 100;
        n = MIN(n, STREAM - start);
        (void)tcp_reorder_add(&q, &account, base + start, slice_of(stream + start, n));
        struct slice bytes;
        struct tcp_reorder_piece *p;
        while ((p = tcp_reorder_take(&q, &account, base + next, &bytes)) != NULL) {
            assert_memory_equal(bytes.data, stream + next, bytes.len);
            next += (uint32_t)bytes.len;
            mem_free(p);
        }
        assert_true(account.bytes <= STREAM);
    }
    tcp_reorder_release(&q, &account);
    assert_int_equal(account.bytes + account.pieces, 0);
}

static void reordering_is_bounded_in_bytes_and_pieces(void **state UNUSED)
{
    static uint8_t stream[4 * TCP_REORDER_PIECES];
    struct tcp_reorder q;
    struct tcp_reorder_account account = {.max = 10 + sizeof(struct tcp_reorder_piece)};
    tcp_reorder_init(&q);
    assert_int_equal(tcp_reorder_add(&q, &account, 100, slice_of(stream, 10)), 0);
    assert_int_equal(tcp_reorder_add(&q, &account, 200, slice_of(stream, 1)), ERR_LIMIT);
    account.max = TCP_REORDER_PIECES * 100;
    for (uint32_t i = 1; i < TCP_REORDER_PIECES; i++)
        assert_int_equal(tcp_reorder_add(&q, &account, 1000 + 2 * i, slice_of(stream, 1)), 0);
    assert_int_equal(tcp_reorder_add(&q, &account, 500, slice_of(stream, 1)), ERR_LIMIT);
    tcp_reorder_release(&q, &account);
    assert_int_equal(account.bytes, 0);
}

static void the_latest_blocks_are_reported_first(void **state UNUSED)
{
    struct tcp_reorder q;
    struct tcp_reorder_account account = {.max = 10000};
    struct tcp_block b[TCP_SACK_MAX];
    tcp_reorder_init(&q);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(tcp_reorder_add(&q, &account, 100 * i, SLICE_LIT("0123456789")), 0);
    assert_int_equal(tcp_reorder_add(&q, &account, 110, SLICE_LIT("0123456789")), 0);
    assert_int_equal(tcp_reorder_blocks(&q, b, TCP_SACK_MAX), 4);
    assert_true(b[0].start == 100 && b[0].end == 120);
    assert_true(b[1].start == 500 && b[2].start == 400 && b[3].start == 300);
    tcp_reorder_release(&q, &account);
}

static void a_board_loses_what_was_sent_well_before_an_arrival(void **state UNUSED)
{
    struct tcp_board *b = tcp_board_new(0, 10000, 10000);
    assert_true(tcp_board_sacked(b, 3000, 4000));
    assert_false(tcp_board_sacked(b, 3000, 4000));
    assert_int_equal(tcp_board_find_lost(b, 3000), 0);
    assert_true(tcp_board_sacked(b, 5000, 7000));
    assert_int_equal(tcp_board_find_lost(b, 3000), 3000);
    assert_int_equal(tcp_board_first_lost(b)->start, 0);
    assert_int_equal(b->sacked, 3000);
    /* Sent again, and what was sent after that arrives: lost again. */
    tcp_board_sent_again(b, 0, 3000, 13000);
    tcp_board_sent_new(b, 10000, 14000, 17000);
    assert_null(tcp_board_first_lost(b));
    assert_true(tcp_board_sacked(b, 10000, 14000));
    assert_true(tcp_board_find_lost(b, 3000) >= 3000);
    assert_int_equal(tcp_board_first_lost(b)->start, 0);
    tcp_board_acked(b, 14000);
    assert_true(tcp_board_is_trivial(b) && b->count == 0);
    tcp_board_free(b);
}

/* What the board says, byte by byte, against a plain array. */
static void a_board_counts_right_whatever_happens(void **state UNUSED)
{
    static uint8_t model[3000]; /* 0 sent, 1 sacked */
    struct tcp_board *b = tcp_board_new(UINT32_MAX - 99, UINT32_MAX - 99 + 3000, 3000);
    uint32_t una = 0;
    memset(model, 0, sizeof model);
    while (una < 2900) {
        uint32_t start = una + next_random() % (3000 - una);
        uint32_t n = 1 + next_random() % 200;
        uint32_t end = MIN(start + n, 3000U);
        (void)tcp_board_sacked(b, start - 100, end - 100);
        memset(model + start, 1, end - start);
        if (next_random() % 4 == 0) {
            una += next_random() % 100;
            tcp_board_acked(b, una - 100);
        }
        uint32_t sacked = 0;
        for (uint32_t i = una; i < 3000; i++)
            sacked += model[i];
        assert_int_equal(b->sacked, sacked);
        for (size_t i = 0; i + 1 < b->count; i++)
            assert_int_equal(b->ranges[i].end, b->ranges[i + 1].start);
        assert_int_equal(b->ranges[0].start, una - 100);
    }
    tcp_board_free(b);
}

static void a_full_board_ignores_what_it_cannot_note(void **state UNUSED)
{
    struct tcp_board *b = tcp_board_new(0, 1U << 20, 1U << 20);
    for (uint32_t i = 0; i < 2 * TCP_BOARD_RANGES; i++)
        (void)tcp_board_sacked(b, 10 * i, 10 * i + 5);
    assert_true(b->count <= TCP_BOARD_RANGES);
    /* What is sent again is no longer lost, even if there is no room to say how much of it: else it would be sent for
     * ever. */
    assert_true(tcp_board_find_lost(b, 100) > 0);
    for (uint32_t n = 0; tcp_board_first_lost(b) != NULL; n++) {
        uint32_t start = tcp_board_first_lost(b)->start;
        assert_true(n < TCP_BOARD_RANGES);
        tcp_board_sent_again(b, start, start + 1, (1U << 20) + n);
    }
    tcp_board_lose_all(b, true);
    assert_int_equal(b->lost, 1U << 20);
    assert_int_equal(b->count, 1);
    tcp_board_free(b);
}

static void options_of_a_syn_are_read_and_broken_ones_end_the_list(void **state UNUSED)
{
    struct tcp_offer o;
    const uint8_t linux_syn[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
    tcp_options_parse_syn(slice_of(linux_syn, sizeof linux_syn), &o);
    assert_true(o.mss == 1460 && o.has_shift && o.shift == 7 && o.has_sack);
    const uint8_t shift[] = {3, 3, 200};
    tcp_options_parse_syn(slice_of(shift, sizeof shift), &o);
    assert_int_equal(o.shift, TCP_SHIFT_MAX);
    static const uint8_t broken[][4] = {
        {2, 0, 5, 180}, {2, 1, 5, 180}, {2, 5, 5, 180}, {0, 2, 4, 9}};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        tcp_options_parse_syn(slice_of(broken[i], 4), &o);
        assert_true(o.mss == 0 && !o.has_shift && !o.has_sack);
    }
}

static void sack_blocks_are_read_as_written(void **state UNUSED)
{
    const struct tcp_block blocks[] = {{1, 2}, {UINT32_MAX, 5}, {7, 8}, {9, 10}};
    struct tcp_block again[TCP_SACK_MAX];
    uint8_t options[TCP_OPTIONS_MAX];
    for (size_t n = 1; n <= TCP_SACK_MAX; n++) {
        size_t len = tcp_options_write_sack(options, blocks, n);
        assert_int_equal(len % 4, 0);
        assert_int_equal(tcp_options_parse_sack(slice_of(options, len), again), n);
        assert_memory_equal(again, blocks, n * sizeof blocks[0]);
        assert_int_equal(tcp_options_parse_sack(slice_of(options, len - 1), again), 0);
    }
}

static void a_segment_is_as_long_as_it_says_or_refused(void **state UNUSED)
{
    uint8_t bytes[30] = {0, 80, 1, 187, 0, 0, 0, 9, 0, 0, 0, 7, 0x60, TCP_ACK | TCP_FIN, 1, 0};
    struct tcp_segment s;
    assert_int_equal(tcp_segment_parse(slice_of(bytes, 30), &s), 0);
    assert_true(s.src_port == 80 && s.dst_port == 443 && s.seq == 9 && s.ack == 7);
    assert_true(s.options.len == 4 && s.payload.len == 6 && s.end == 16 && s.window == 256);
    assert_int_equal(tcp_segment_parse(slice_of(bytes, 19), &s), ERR_TRUNCATED);
    assert_int_equal(tcp_segment_parse(slice_of(bytes, 23), &s), ERR_TRUNCATED);
    bytes[12] = 0x40;
    assert_int_equal(tcp_segment_parse(slice_of(bytes, 30), &s), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_compare_across_the_wrap),
        cmocka_unit_test(a_table_finds_what_is_in_and_nothing_else),
        cmocka_unit_test(a_table_that_cannot_grow_works_on),
        cmocka_unit_test(a_heap_gives_the_earliest),
        cmocka_unit_test(a_later_deadline_leaves_a_node_where_it_is),
        cmocka_unit_test(a_ring_gives_back_what_was_written_in_order),
        cmocka_unit_test(a_pool_has_so_many_large_rings_then_small_ones),
        cmocka_unit_test(reordering_gives_every_byte_once_in_order),
        cmocka_unit_test(reordering_is_bounded_in_bytes_and_pieces),
        cmocka_unit_test(the_latest_blocks_are_reported_first),
        cmocka_unit_test(a_board_loses_what_was_sent_well_before_an_arrival),
        cmocka_unit_test(a_board_counts_right_whatever_happens),
        cmocka_unit_test(a_full_board_ignores_what_it_cannot_note),
        cmocka_unit_test(options_of_a_syn_are_read_and_broken_ones_end_the_list),
        cmocka_unit_test(sack_blocks_are_read_as_written),
        cmocka_unit_test(a_segment_is_as_long_as_it_says_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
