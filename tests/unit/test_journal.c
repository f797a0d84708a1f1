#include "journal_v1.h"
#include "netcfg/journal.h"
#include "netcfg_world.h"

/* The journal's file: torn, damaged, full, of other versions; and what becomes of that in a recovery. */

static void apply(struct netcfg_world *w, void (*make)(struct plan *p))
{
    struct plan p;
    make(&p);
    assert_int_equal(world_apply(w, 1, &p), 0);
    plan_release(&p);
}

static bool said(const struct netcfg_world *w, const char *words)
{
    for (size_t i = 0; i < w->report.count; i++)
        if (strstr(w->report.lines[i].text, words) != NULL)
            return true;
    return false;
}

static struct buf file_of(const struct netcfg_world *w)
{
    struct buf copy;
    buf_init(&copy, STORE_SIZE_MAX);
    assert_int_equal(buf_put(&copy, buf_slice(&w->disk.file)), 0);
    return copy;
}

static void put_file(struct netcfg_world *w, struct slice bytes)
{
    buf_clear(&w->disk.file);
    assert_int_equal(buf_put(&w->disk.file, bytes), 0);
}

static void records_give_back_what_was_put(void **state)
{
    struct journal_record in = {.type = JOURNAL_INTENT,
                                .number = UINT64_C(0x1122334455667788),
                                .origin = {.namespace_id = 9, .session = 3, .time_s = -5},
                                .object = SLICE_LIT("object"),
                                .undo = SLICE_LIT("undo")},
                          out;
    struct buf b;
    size_t len;
    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(journal_record_put(&b, &in), 0);
    assert_int_equal(journal_record_get(buf_slice(&b), &out, &len), 0);
    assert_int_equal(len, buf_len(&b));
    assert_int_equal(out.number, in.number);
    assert_int_equal(out.origin.namespace_id, 9);
    assert_int_equal(out.origin.session, 3);
    assert_int_equal(out.origin.time_s, -5);
    assert_true(slice_eq_str(out.object, "object"));
    assert_true(slice_eq_str(out.undo, "undo"));
    buf_release(&b);
}

/* The process was killed while it wrote its last record, and had not acted on it. */
static void a_last_record_torn_at_any_byte_is_dropped(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    char *before = world_snapshot(&w);
    struct plan p;
    plan_init(&p);
    plan_put_address(&p, "stile0", "100.64.0.1");
    assert_int_equal(world_apply(&w, 1, &p), 0);
    char *applied = world_snapshot(&w);
    size_t good = buf_len(&w.disk.file);
    plan_put_route(&p, "stile0", "100.64.0.0/10", NULL);
    fuse_set(&w.fuse, 2, FUSE_KILL_AFTER); /* capture, then the write */
    assert_true(world_apply(&w, 1, &p) < 0);
    struct buf whole = file_of(&w);
    assert_true(buf_len(&whole) > good + 50);
    for (size_t len = good + 1; len < buf_len(&whole); len++) {
        world_restart(&w);
        assert_true(world_is(&w, applied));
        put_file(&w, slice_first(buf_slice(&whole), len));
        world_restart(&w);
        world_recover(&w);
        assert_true(world_is(&w, before));
        assert_true(said(&w, "cut off"));
        assert_int_equal(w.report.total, 2);
        assert_int_equal(buf_len(&w.disk.file), 0);
        assert_int_equal(buf_len(&w.disk.damaged), 0);
        plan_release(&p);
        plan_init(&p);
        plan_put_address(&p, "stile0", "100.64.0.1");
        assert_int_equal(world_apply(&w, 1, &p), 0);
    }
    buf_release(&whole);
    plan_release(&p);
    mem_free(before);
    mem_free(applied);
    world_release(&w);
}

static void zeros_at_the_end_are_a_torn_record(void **state)
{
    struct netcfg_world w;
    static const uint8_t zeros[5000];
    (void)state;
    world_init(&w);
    char *before = world_snapshot(&w);
    apply(&w, plan_first);
    assert_int_equal(buf_put(&w.disk.file, slice_of(zeros, sizeof(zeros))), 0);
    world_restart(&w);
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_true(said(&w, "cut off"));
    mem_free(before);
    world_release(&w);
}

/* Every byte of a journal with six entries, each of its bits. What else it says is undone: at most the one entry is lost. */
static void a_flipped_byte_costs_one_entry_at_most_and_is_said(void **state)
{
    struct netcfg_world w;
    size_t silent = 0, flips = 0;
    (void)state;
    world_init(&w);
    apply(&w, plan_first);
    struct buf whole = file_of(&w);
    for (size_t at = 0; at < buf_len(&whole); at++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            world_restart(&w);
            put_file(&w, buf_slice(&whole));
            w.disk.file.data[w.disk.file.start + at] ^= (uint8_t)(1u << bit);
            buf_clear(&w.disk.damaged);
            world_restart(&w);
            world_recover(&w);
            size_t undone = netcfg_report_of(&w.report, NETCFG_UNDONE);
            flips++;
            assert_true(undone >= 5);
            if (!said(&w, "damaged"))
                silent++; /* the last record, made to look longer than the file: as if torn */
            else
                assert_true(slice_eq(slice_first(buf_slice(&w.disk.damaged), at),
                                     slice_first(buf_slice(&whole), at)));
            assert_int_equal(buf_len(&w.disk.file), 0);
            fake_os_release(&w.os);
            fake_os_init(&w.os, &w.fuse);
            world_host(&w);
            apply(&w, plan_first);
        }
    }
    assert_true(silent <= 3 * 4);
    print_message("# %u flips, %u as if torn\n", (unsigned)flips, (unsigned)silent);
    buf_release(&whole);
    world_release(&w);
}

static void a_damaged_journal_that_cant_be_kept_is_undone_and_not_overwritten(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    char *before = world_snapshot(&w);
    apply(&w, plan_first);
    w.disk.file.data[w.disk.file.start] ^= 1; /* of the header */
    struct buf whole = file_of(&w);
    w.disk.read_only = true;
    world_restart(&w);
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_true(slice_eq(buf_slice(&w.disk.file), buf_slice(&whole)));
    w.disk.read_only = false;
    world_restart(&w);
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_true(slice_eq(buf_slice(&w.disk.damaged), buf_slice(&whole)));
    assert_int_equal(buf_len(&w.disk.file), 0);
    buf_release(&whole);
    mem_free(before);
    world_release(&w);
}

/* The host as the writer of journal_v1 left it. */
static void leave_v1(struct netcfg_world *w)
{
    struct plan p;
    world_init(w);
    apply(w, plan_first);
    plan_second(&p);
    fuse_set(&w->fuse, 5, FUSE_KILL_AFTER);
    assert_true(world_apply(w, 1, &p) < 0);
    plan_release(&p);
    assert_true(w->fuse.dead);
    put_file(w, slice_of(journal_v1, sizeof(journal_v1)));
}

static void a_journal_of_version_1_is_undone(void **state)
{
    struct netcfg_world w, fresh;
    (void)state;
    leave_v1(&w);
    world_init(&fresh);
    char *before = world_snapshot(&fresh);
    assert_false(world_is(&w, before));
    world_restart(&w);
    assert_int_equal(netcfg_leftovers(w.n), 8);
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_int_equal(w.report.lines[0].since_s, 0);
    assert_int_equal(buf_len(&w.disk.file), 0);
    mem_free(before);
    world_release(&w);
    world_release(&fresh);
}

static void a_journal_of_version_1_is_continued_in_the_present_format(void **state)
{
    struct netcfg_world w;
    uint32_t version = 0;
    (void)state;
    leave_v1(&w);
    world_restart(&w);
    w.os.refused[OBJECT_LINK] = 0;
    /* Of another namespace: nothing but DNS is undone, and the rest stays in the journal. */
    world_close(&w);
    w.namespace_id = 5;
    world_open(&w);
    world_recover(&w);
    assert_int_equal(netcfg_leftovers(w.n), 7);
    assert_int_equal(journal_header_get(buf_slice(&w.disk.file), &version), 0);
    assert_int_equal(version, JOURNAL_VERSION);
    world_close(&w);
    w.namespace_id = 100;
    world_open(&w);
    world_recover(&w);
    assert_int_equal(netcfg_leftovers(w.n), 0);
    world_release(&w);
}

static void a_newer_journal_is_refused_with_the_remedy(void **state)
{
    struct netcfg_world w;
    struct buf b;
    (void)state;
    world_init(&w);
    apply(&w, plan_first);
    buf_init(&b, 1000);
    assert_int_equal(journal_header_put(&b), 0);
    b.data[11]++;
    uint64_t sum = siphash13((const uint64_t[2]){0, 0}, slice_of(b.data, 16));
    struct wr wr = wr_init(b.data + 16, 8);
    wr_u64(&wr, sum);
    memcpy(w.disk.file.data + w.disk.file.start, b.data, JOURNAL_HEADER_SIZE);
    struct buf whole = file_of(&w);
    world_close(&w);
    assert_int_equal(world_try_open(&w), ERR_VERSION);
    assert_non_null(strstr(w.diag.text, "newer version"));
    assert_non_null(strstr(w.diag.text, "stile cleanup"));
    assert_true(slice_eq(buf_slice(&w.disk.file), buf_slice(&whole)));
    buf_release(&whole);
    buf_release(&b);
    world_release(&w);
}

/* Changes without end: the file is written anew now and then, and never grows without bound. */
static void a_long_life_doesnt_make_a_long_file(void **state)
{
    struct netcfg_world w;
    size_t largest = 0;
    (void)state;
    world_init(&w);
    char *before = world_snapshot(&w);
    for (int i = 0; i < 2000; i++) {
        apply(&w, i % 2 == 0 ? plan_first : plan_second);
        largest = MAX(largest, buf_len(&w.disk.file));
    }
    assert_true(largest < (size_t)70 * 1024);
    world_restart(&w);
    world_recover(&w);
    assert_true(world_is(&w, before));
    mem_free(before);
    world_release(&w);
}

static void two_at_once_are_refused(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    struct netcfg *first = STEAL(w.n);
    assert_int_equal(world_try_open(&w), ERR_BUSY);
    w.n = first;
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_give_back_what_was_put),
        cmocka_unit_test(a_last_record_torn_at_any_byte_is_dropped),
        cmocka_unit_test(zeros_at_the_end_are_a_torn_record),
        cmocka_unit_test(a_flipped_byte_costs_one_entry_at_most_and_is_said),
        cmocka_unit_test(a_damaged_journal_that_cant_be_kept_is_undone_and_not_overwritten),
        cmocka_unit_test(a_journal_of_version_1_is_undone),
        cmocka_unit_test(a_journal_of_version_1_is_continued_in_the_present_format),
        cmocka_unit_test(a_newer_journal_is_refused_with_the_remedy),
        cmocka_unit_test(a_long_life_doesnt_make_a_long_file),
        cmocka_unit_test(two_at_once_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
