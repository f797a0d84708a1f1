/* The gateway's state: users, tries, certificates; what other processes change; what is refused at opening. */
#include "testing.h"

#include <fcntl.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "gateway/state.h"
#include "temp_dir.h"

struct fixture {
    char dir[TEMP_DIR_SIZE];
    char path[128];
    struct loop loop;
    struct state *state;
};

/* What a callback was told. */
struct answer {
    int calls;
    int err;
    char name[STATE_NAME_SIZE];
    char hash[STATE_HASH_SIZE];
    char groups[256];
    int64_t retry_after_s;
    size_t users;
};

static void open_state(struct fixture *f)
{
    struct diag d = {0};
    if (state_open(&f->loop, f->path, &f->state, &d) < 0)
        fail_msg("%s", d.text);
}

static void close_state(struct fixture *f)
{
    state_close(f->state, NULL, NULL);
    f->state = NULL;
    assert_int_equal(loop_run(&f->loop), 0);
}

static int setup(void **state)
{
    static struct fixture f;
    temp_dir_make(f.dir);
    snprintf(f.path, sizeof(f.path), "%s/state.db", f.dir);
    assert_int_equal(loop_init(&f.loop), 0);
    open_state(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->state != NULL)
        close_state(f);
    assert_int_equal(loop_release(&f->loop), 0);
    temp_dir_remove(f->dir);
    return 0;
}

static void on_done(void *arg, int err)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
}

static void on_user(void *arg, int err, const struct state_user *user)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    if (user == NULL)
        return;
    a->retry_after_s = user->retry_after_s;
    memcpy(a->name, user->name, sizeof(a->name));
    memcpy(a->hash, user->hash, sizeof(a->hash));
    for (size_t i = 0; i < user->groups.count; i++) {
        size_t used = strlen(a->groups);
        snprintf(a->groups + used, sizeof(a->groups) - used, "%s,", user->groups.items[i]);
    }
}

static void on_users(void *arg, int err, const struct state_user *users, size_t count)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    a->users = count;
    if (count > 0)
        memcpy(a->name, users[0].name, sizeof(a->name));
}

/* Runs the loop until the answer is there. */
static int wait_for(struct fixture *f, int asked, struct answer *a)
{
    assert_int_equal(asked, 0);
    for (int i = 0; a->calls == 0 && i < 10000; i++)
        loop_turn(&f->loop, true);
    assert_int_equal(a->calls, 1);
    return a->err;
}

static int add_user(struct fixture *f, const char *name)
{
    struct answer a = {0};
    char *items[] = {(char[]){"dba"}, (char[]){"ops"}};
    struct texts groups = {items, 2};
    return wait_for(f, state_add_user(f->state, name, "hash of it", &groups, on_done, &a), &a);
}

static int begin(struct fixture *f, const char *user, const char *addr, int64_t now,
                 struct answer *a)
{
    *a = (struct answer){0};
    return wait_for(f, state_begin_log_in(f->state, user, addr, now, on_user, a), a);
}

static int add_cert(struct fixture *f, const char *serial, const char *user)
{
    struct answer a = {0};
    struct state_cert cert = {.issued_s = 1000, .expires_s = 2000};
    assert_int_equal(str_copy(cert.serial, sizeof(cert.serial), serial), 0);
    assert_int_equal(str_copy(cert.user, sizeof(cert.user), user), 0);
    return wait_for(f, state_add_cert(f->state, &cert, on_done, &a), &a);
}

static int authorise(struct fixture *f, const char *user, const char *serial, struct answer *a)
{
    *a = (struct answer){0};
    return wait_for(f, state_authorise(f->state, user, serial, on_user, a), a);
}

static void a_user_is_kept_with_hash_and_groups(void **state)
{
    struct fixture *f = *state;
    struct answer a;
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(begin(f, "alice", "10.0.0.1", 1000, &a), 0);
    assert_string_equal(a.name, "alice");
    assert_string_equal(a.hash, "hash of it");
    assert_string_equal(a.groups, "dba,ops,");
}

static void what_was_kept_is_there_after_closing(void **state)
{
    struct fixture *f = *state;
    struct answer a;
    assert_int_equal(add_user(f, "alice"), 0);
    close_state(f);
    open_state(f);
    assert_int_equal(begin(f, "alice", "10.0.0.1", 1000, &a), 0);
}

static void a_user_exists_once(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(add_user(f, "alice"), ERR_EXISTS);
    assert_int_equal(wait_for(f, state_list_users(f->state, on_users, &a), &a), 0);
    assert_int_equal(a.users, 1);
}

static void removing_an_unknown_user_is_told(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    assert_int_equal(wait_for(f, state_remove_user(f->state, "bob", on_done, &a), &a),
                     ERR_NOTFOUND);
    a.calls = 0;
    assert_int_equal(wait_for(f, state_set_password(f->state, "bob", "h", on_done, &a), &a),
                     ERR_NOTFOUND);
}

static void a_certificate_is_good_for_its_own_user_alone(void **state)
{
    struct fixture *f = *state;
    struct answer a;
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(add_user(f, "bob"), 0);
    assert_int_equal(add_cert(f, "aa01", "alice"), 0);
    assert_int_equal(authorise(f, "alice", "aa01", &a), 0);
    assert_string_equal(a.groups, "dba,ops,");
    assert_int_equal(authorise(f, "bob", "aa01", &a), ERR_NOTFOUND);
    assert_int_equal(authorise(f, "alice", "aa02", &a), ERR_NOTFOUND);
}

static void a_removed_users_certificates_are_gone_even_if_the_name_comes_back(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(add_cert(f, "aa01", "alice"), 0);
    assert_int_equal(wait_for(f, state_remove_user(f->state, "alice", on_done, &a), &a), 0);
    assert_int_equal(authorise(f, "alice", "aa01", &a), ERR_NOTFOUND);
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(authorise(f, "alice", "aa01", &a), ERR_NOTFOUND);
}

static void a_new_password_ends_the_log_ins(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(add_cert(f, "aa01", "alice"), 0);
    assert_int_equal(wait_for(f, state_set_password(f->state, "alice", "new", on_done, &a), &a), 0);
    assert_int_equal(authorise(f, "alice", "aa01", &a), ERR_NOTFOUND);
    assert_int_equal(begin(f, "alice", "10.0.0.1", 1000, &a), 0);
    assert_string_equal(a.hash, "new");
}

static void a_certificate_of_nobody_is_not_kept(void **state)
{
    struct fixture *f = *state;
    assert_true(add_cert(f, "aa01", "nobody") < 0);
}

static void one_try_more_than_allowed_has_to_wait(void **state)
{
    struct fixture *f = *state;
    struct answer a;
    assert_int_equal(add_user(f, "alice"), 0);
    for (int i = 0; i < STATE_TRIES_USER; i++)
        assert_int_equal(begin(f, "alice", "10.0.0.1", 1000, &a), 0);
    assert_int_equal(begin(f, "alice", "10.0.0.2", 1010, &a), ERR_LIMIT);
    assert_int_equal(a.retry_after_s, STATE_TRIES_WINDOW_S - 10);
    /* Others and other users are not slowed down, and the window ends. */
    assert_int_equal(add_user(f, "bob"), 0);
    assert_int_equal(begin(f, "bob", "10.0.0.1", 1010, &a), 0);
    assert_int_equal(begin(f, "alice", "10.0.0.1", 1000 + STATE_TRIES_WINDOW_S, &a), 0);
}

static void an_address_that_tries_many_users_has_to_wait(void **state)
{
    struct fixture *f = *state;
    struct answer a;
    for (int i = 0; i < STATE_TRIES_ADDR; i++) {
        char name[16];
        snprintf(name, sizeof(name), "u%d", i);
        assert_int_equal(begin(f, name, "10.0.0.1", 1000, &a), ERR_NOTFOUND);
    }
    assert_int_equal(begin(f, "other", "10.0.0.1", 1000, &a), ERR_LIMIT);
    assert_int_equal(begin(f, "other", "10.0.0.2", 1000, &a), ERR_NOTFOUND);
}

static void a_right_password_takes_the_tries_back(void **state)
{
    struct fixture *f = *state;
    struct answer a;
    assert_int_equal(add_user(f, "alice"), 0);
    for (int i = 0; i < 3 * STATE_TRIES_USER; i++) {
        assert_int_equal(begin(f, "alice", "10.0.0.1", 1000, &a), 0);
        a = (struct answer){0};
        assert_int_equal(
            wait_for(f, state_end_log_in(f->state, "alice", "10.0.0.1", on_done, &a), &a), 0);
    }
}

/* `stile gateway user remove` works on the file of a gateway that runs. */
static void a_change_by_another_process_is_seen_at_the_next_question(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    struct fixture other = *f;
    other.state = NULL;
    assert_int_equal(loop_init(&other.loop), 0);
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(add_cert(f, "aa01", "alice"), 0);
    open_state(&other);
    assert_int_equal(wait_for(&other, state_remove_user(other.state, "alice", on_done, &a), &a), 0);
    assert_int_equal(authorise(f, "alice", "aa01", &a), ERR_NOTFOUND);
    close_state(&other);
    assert_int_equal(loop_release(&other.loop), 0);
}

static void requests_before_closing_are_still_done(void **state)
{
    struct fixture *f = *state;
    struct answer answers[20] = {{0}};
    struct texts none = {0};
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "u%d", i);
        assert_int_equal(state_add_user(f->state, name, "h", &none, on_done, &answers[i]), 0);
    }
    close_state(f);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].err, 0);
    }
    open_state(f);
    struct answer a = {0};
    assert_int_equal(wait_for(f, state_list_users(f->state, on_users, &a), &a), 0);
    assert_int_equal(a.users, 20);
}

static void a_failed_request_leaves_the_others_of_its_batch(void **state)
{
    struct fixture *f = *state;
    struct answer a[3] = {{0}};
    struct texts none = {0};
    assert_int_equal(add_user(f, "alice"), 0);
    assert_int_equal(state_add_user(f->state, "bob", "h", &none, on_done, &a[0]), 0);
    assert_int_equal(state_add_user(f->state, "alice", "h", &none, on_done, &a[1]), 0);
    assert_int_equal(state_add_user(f->state, "carol", "h", &none, on_done, &a[2]), 0);
    while (a[2].calls == 0)
        loop_turn(&f->loop, true);
    assert_int_equal(a[0].err, 0);
    assert_int_equal(a[1].err, ERR_EXISTS);
    assert_int_equal(a[2].err, 0);
    struct answer all = {0};
    assert_int_equal(wait_for(f, state_list_users(f->state, on_users, &all), &all), 0);
    assert_int_equal(all.users, 3);
}

static void connections_are_kept_with_verdict_and_bytes(void **state)
{
    struct fixture *f = *state;
    struct state_connection c = {.user = "alice",
                                 .app = "pg",
                                 .port = 5432,
                                 .addr = "10.0.0.1:999",
                                 .verdict = "ok",
                                 .start_us = 1,
                                 .end_us = 2,
                                 .bytes_up = 3,
                                 .bytes_down = 4};
    state_log_connection(f->state, &c);
    close_state(f);
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT user, app, port, verdict, bytes_up, bytes_down FROM connections",
                           -1, &s, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(s, 0), "alice");
    assert_string_equal((const char *)sqlite3_column_text(s, 1), "pg");
    assert_int_equal(sqlite3_column_int(s, 2), 5432);
    assert_string_equal((const char *)sqlite3_column_text(s, 3), "ok");
    assert_int_equal(sqlite3_column_int(s, 4), 3);
    assert_int_equal(sqlite3_column_int(s, 5), 4);
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* ---- opening ---- */

static void must_not_open(struct fixture *f, int err, const char *words)
{
    struct diag d = {0};
    struct state *s = NULL;
    assert_int_equal(state_open(&f->loop, f->path, &s, &d), err);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", d.text, words);
}

static void a_state_that_others_may_read_is_refused_with_the_remedy(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close_state(f);
    assert_int_equal(chmod(f->path, 0640), 0);
    must_not_open(f, ERR_PERM, "chmod 600");
}

static void a_link_is_no_state(void **state)
{
    struct fixture *f = *state;
    close_state(f);
    char other[160];
    snprintf(other, sizeof(other), "%s.real", f->path);
    assert_int_equal(rename(f->path, other), 0);
    assert_int_equal(symlink(other, f->path), 0);
    must_not_open(f, ERR_IO, f->path);
}

static void a_damaged_state_is_named(void **state)
{
    struct fixture *f = *state;
    close_state(f);
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("this is no database ", file);
    fclose(file);
    must_not_open(f, ERR_FORMAT, "is damaged or no state of stile");
}

static void a_newer_state_is_named(void **state)
{
    struct fixture *f = *state;
    close_state(f);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    must_not_open(f, ERR_VERSION, "newer stile");
}

static void a_state_in_no_directory_is_named(void **state)
{
    struct fixture *f = *state;
    close_state(f);
    snprintf(f->path, sizeof(f->path), "%s/no/such/state.db", f->dir);
    must_not_open(f, ERR_NOTFOUND, "make its directory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_user_is_kept_with_hash_and_groups),
        TEST(what_was_kept_is_there_after_closing),
        TEST(a_user_exists_once),
        TEST(removing_an_unknown_user_is_told),
        TEST(a_certificate_is_good_for_its_own_user_alone),
        TEST(a_removed_users_certificates_are_gone_even_if_the_name_comes_back),
        TEST(a_new_password_ends_the_log_ins),
        TEST(a_certificate_of_nobody_is_not_kept),
        TEST(one_try_more_than_allowed_has_to_wait),
        TEST(an_address_that_tries_many_users_has_to_wait),
        TEST(a_right_password_takes_the_tries_back),
        TEST(a_change_by_another_process_is_seen_at_the_next_question),
        TEST(requests_before_closing_are_still_done),
        TEST(a_failed_request_leaves_the_others_of_its_batch),
        TEST(connections_are_kept_with_verdict_and_bytes),
        TEST(a_state_that_others_may_read_is_refused_with_the_remedy),
        TEST(a_link_is_no_state),
        TEST(a_damaged_state_is_named),
        TEST(a_newer_state_is_named),
        TEST(a_state_in_no_directory_is_named),
    };
    return cmocka_run_group_tests_name("gateway_state", tests, NULL, NULL);
}
