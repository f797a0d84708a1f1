#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include "loop/work.h"

static struct loop loop;

static int set_up(void **state)
{
    (void)state;
    return loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    return loop_release(&loop);
}

/* ---- deferred work ---- */

static int order[8];
static int order_len;
static struct defer first, second;

static void note(void *arg)
{
    order[order_len++] = *(int *)arg;
}

static void again(void *arg)
{
    note(arg);
    if (order_len < 3)
        defer_start(&loop, &first);
}

static void deferred_work_runs_in_order_in_the_next_turn(void **state)
{
    (void)state;
    static int one = 1, two = 2;
    order_len = 0;
    defer_init(&first, note, &one);
    defer_init(&second, note, &two);
    defer_start(&loop, &second);
    defer_start(&loop, &first);
    defer_start(&loop, &second); /* pending: nothing */
    assert_int_equal(order_len, 0);
    loop_turn(&loop, false);
    assert_int_equal(order_len, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    loop_turn(&loop, false);
    assert_int_equal(order_len, 2);
}

static void stopped_deferred_work_does_not_run(void **state)
{
    (void)state;
    static int one = 1;
    order_len = 0;
    defer_init(&first, note, &one);
    defer_start(&loop, &first);
    assert_true(defer_pending(&first));
    defer_stop(&first);
    assert_false(defer_pending(&first));
    loop_turn(&loop, false);
    assert_int_equal(order_len, 0);
}

static void deferred_work_may_defer_itself(void **state)
{
    (void)state;
    static int one = 1;
    order_len = 0;
    defer_init(&first, again, &one);
    defer_start(&loop, &first);
    assert_int_equal(loop_run(&loop), 0); /* ends when nothing is left */
    assert_int_equal(order_len, 3);
}

/* ---- buffers ---- */

static void buffer_given_back_is_used_again(void **state)
{
    (void)state;
    uint8_t *a = loop_buffer_take(&loop);
    assert_non_null(a);
    a[LOOP_BUFFER_SIZE - 1] = 1;
    loop_buffer_give(&loop, a);
    assert_ptr_equal(loop_buffer_take(&loop), a);
    loop_buffer_give(&loop, a);
}

/* ---- timers ---- */

static struct timer timer;

static void fire(void *arg)
{
    (*(int *)arg)++;
}

static void timer_fires_once_and_not_when_stopped(void **state)
{
    (void)state;
    int fired = 0;
    assert_int_equal(timer_init(&timer, &loop, fire, &fired), 0);
    timer_start(&timer, 1);
    assert_true(timer_active(&timer));
    assert_int_equal(loop_run(&loop), 0);
    assert_int_equal(fired, 1);
    assert_false(timer_active(&timer));
    timer_start(&timer, 1);
    timer_stop(&timer);
    uv_sleep(3);
    loop_turn(&loop, false);
    assert_int_equal(fired, 1);
    timer_close(&timer, NULL);
}

static void open_handle_keeps_the_loop_from_being_released(void **state)
{
    (void)state;
    int fired = 0;
    assert_int_equal(timer_init(&timer, &loop, fire, &fired), 0);
    assert_int_equal(loop_release(&loop), ERR_BUSY);
    timer_close(&timer, NULL);
}

/* ---- mailbox ---- */

#define SENDERS 4
#define LETTERS 1000

struct letter {
    struct mail mail;
    int sender;
    int number;
};

static struct mailbox mailbox;
static struct letter letters[SENDERS][LETTERS];
static int next_number[SENDERS];
static int received;

static void on_mail(void *arg, struct mail *mail)
{
    (void)arg;
    struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    assert_int_equal(l->number, next_number[l->sender]);
    next_number[l->sender]++;
    if (++received == SENDERS * LETTERS)
        mailbox_close(&mailbox, NULL);
}

static void send_all(void *arg)
{
    int sender = *(int *)arg;
    for (int i = 0; i < LETTERS; i++) {
        letters[sender][i] = (struct letter){.sender = sender, .number = i};
        if (mailbox_post(&mailbox, &letters[sender][i].mail) < 0)
            return;
    }
}

static void letters_of_several_threads_arrive_all_in_order(void **state)
{
    (void)state;
    received = 0;
    uv_thread_t threads[SENDERS];
    int ids[SENDERS];
    assert_int_equal(mailbox_init(&mailbox, &loop, on_mail, NULL), 0);
    for (int i = 0; i < SENDERS; i++) {
        next_number[i] = 0;
        ids[i] = i;
        assert_int_equal(uv_thread_create(&threads[i], send_all, &ids[i]), 0);
    }
    assert_int_equal(loop_run(&loop), 0);
    for (int i = 0; i < SENDERS; i++)
        uv_thread_join(&threads[i]);
    assert_int_equal(received, SENDERS * LETTERS);
}

static void count_mail(void *arg, struct mail *mail)
{
    (void)mail;
    (*(int *)arg)++;
}

static void closing_delivers_what_is_inside_and_refuses_more(void **state)
{
    (void)state;
    int count = 0;
    struct letter a, b;
    assert_int_equal(mailbox_init(&mailbox, &loop, count_mail, &count), 0);
    assert_int_equal(mailbox_post(&mailbox, &a.mail), 0);
    mailbox_close(&mailbox, NULL);
    assert_int_equal(count, 1);
    assert_int_equal(mailbox_post(&mailbox, &b.mail), ERR_CLOSED);
    loop_turn(&loop, false);
    assert_int_equal(count, 1);
}

/* ---- work ---- */

struct job {
    uv_thread_t ran_in;
    bool ran, done;
    int err;
};

static void run_job(void *arg)
{
    struct job *j = arg;
    j->ran = true;
    j->ran_in = uv_thread_self();
}

static void job_done(void *arg, int err)
{
    struct job *j = arg;
    j->done = true;
    j->err = err;
}

static void work_runs_in_another_thread_and_ends_in_the_loop(void **state)
{
    (void)state;
    struct job job = {0};
    assert_int_equal(work_start(&loop, run_job, job_done, &job, NULL), 0);
    assert_int_equal(loop_run(&loop), 0);
    assert_true(job.ran && job.done);
    assert_int_equal(job.err, 0);
    uv_thread_t self = uv_thread_self();
    assert_false(uv_thread_equal(&job.ran_in, &self));
}

static void wait_a_little(void *arg)
{
    (void)arg;
    uv_sleep(50);
}

static void ignore(void *arg, int err)
{
    (void)arg;
    (void)err;
}

static void work_cancelled_before_it_began_says_so(void **state)
{
    (void)state;
    struct job job = {0};
    struct work *work = NULL;
    /* More than the pool has threads. */
    for (int i = 0; i < 16; i++)
        assert_int_equal(work_start(&loop, wait_a_little, ignore, NULL, NULL), 0);
    assert_int_equal(work_start(&loop, run_job, job_done, &job, &work), 0);
    work_cancel(work);
    assert_int_equal(loop_run(&loop), 0);
    assert_true(job.done);
    assert_false(job.ran);
    assert_int_equal(job.err, ERR_CANCELED);
}

static void codes_of_libuv_become_ours(void **state)
{
    (void)state;
    assert_int_equal(loop_err(0), 0);
    assert_int_equal(loop_err(UV_ECONNREFUSED), ERR_REFUSED);
    assert_int_equal(loop_err(UV_EADDRINUSE), ERR_BUSY);
    assert_int_equal(loop_err(UV_ECONNRESET), ERR_CLOSED);
    assert_int_equal(loop_err(UV_EXDEV), ERR_IO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(deferred_work_runs_in_order_in_the_next_turn),
        TEST(stopped_deferred_work_does_not_run),
        TEST(deferred_work_may_defer_itself),
        TEST(buffer_given_back_is_used_again),
        TEST(timer_fires_once_and_not_when_stopped),
        TEST(open_handle_keeps_the_loop_from_being_released),
        TEST(letters_of_several_threads_arrive_all_in_order),
        TEST(closing_delivers_what_is_inside_and_refuses_more),
        TEST(work_runs_in_another_thread_and_ends_in_the_loop),
        TEST(work_cancelled_before_it_began_says_so),
        TEST(codes_of_libuv_become_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
