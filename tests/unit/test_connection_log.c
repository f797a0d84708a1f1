/* The log of connections: what is kept in memory, what goes to the file, how large both become. */
#include "testing.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/connection_file.h"
#include "base/clock.h"
#include "temp_dir.h"

struct fixture {
    char path[TEMP_DIR_SIZE];
    struct home home;
    struct loop loop;
    struct connection_log *log;
};

static int setup(void **state)
{
    static struct fixture f;
    temp_dir_make(f.path);
    assert_int_equal(home_open(f.path, &f.home, NULL), 0);
    assert_int_equal(loop_init(&f.loop), 0);
    assert_int_equal(connection_log_new(&f.loop, &f.home, &f.log), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    connection_log_free(f->log);
    loop_run(&f->loop);
    int r = loop_release(&f->loop);
    home_close(&f->home);
    temp_dir_remove(f->path);
    return r;
}

struct report {
    Stile__Vnet__V1__ConnectionReport message;
    Stile__Vnet__V1__AppKey key;
    Stile__Vnet__V1__Client client;
    char texts[4][256];
};

static void report_init(struct report *r, uint64_t id, Stile__Vnet__V1__Verdict verdict)
{
    stile__vnet__v1__connection_report__init(&r->message);
    stile__vnet__v1__app_key__init(&r->key);
    stile__vnet__v1__client__init(&r->client);
    static const char *const texts[] = {"demo", "pg", "pg.demo.stile.test", "because"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(str_copy(r->texts[i], sizeof(r->texts[i]), texts[i]), 0);
    r->key.profile = r->texts[0];
    r->key.name = r->texts[1];
    r->message.connection_id = id;
    r->message.app_key = &r->key;
    r->message.fqdn = r->texts[2];
    r->message.reason = r->texts[3];
    r->message.port = 5432;
    r->message.client = &r->client;
    r->message.verdict = verdict;
    r->message.started_us = 1000;
    r->message.ended_us = verdict == STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED ? 0 : 2000;
}

struct seen {
    size_t count;
    struct connection last;
};

static void note(void *arg, const struct connection *c)
{
    struct seen *s = arg;
    s->count++;
    s->last = *c;
}

static struct seen look(const struct fixture *f)
{
    struct seen s = {0};
    connection_log_each(f->log, note, &s);
    return s;
}

static void a_connection_is_followed_from_established_to_closed(void **state)
{
    struct fixture *f = *state;
    struct report r;
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED);
    connection_log_report(f->log, &r.message);
    assert_int_equal(connection_log_open_count(f->log), 1);
    assert_int_equal(look(f).last.ended_us, 0);
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_CLOSED);
    r.message.bytes_up = 7;
    r.message.bytes_down = 9;
    connection_log_report(f->log, &r.message);
    struct seen s = look(f);
    assert_int_equal(s.count, 1);
    assert_int_equal(connection_log_open_count(f->log), 0);
    assert_string_equal(s.last.name, "pg.demo.stile.test");
    assert_string_equal(s.last.reason, "because");
    assert_int_equal(s.last.port, 5432);
    assert_int_equal(s.last.bytes_up, 7);
    assert_int_equal(s.last.bytes_down, 9);
    assert_int_equal(s.last.ended_us, 2000);
}

static void ended_ones_are_in_the_file_when_the_log_closes(void **state)
{
    struct fixture *f = *state;
    struct report r;
    struct stat st;
    char path[256];
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_DENIED);
    connection_log_report(f->log, &r.message);
    connection_log_free(f->log);
    f->log = NULL;
    json_t *list = connection_file_read(&f->home);
    assert_int_equal(json_array_size(list), 1);
    json_t *one = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(one, "verdict")), "denied");
    assert_string_equal(json_string_value(json_object_get(one, "app")), "pg");
    assert_string_equal(json_string_value(json_object_get(one, "reason")), "because");
    assert_int_equal(json_integer_value(json_object_get(one, "ended_us")), 2000);
    json_decref(list);
    (void)str_format(path, sizeof(path), "%s/%s", f->path, CONNECTION_LOG_FILE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void one_whose_program_is_still_looked_for_is_in_the_file_too(void **state)
{
    struct fixture *f = *state;
    struct report r;
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_PORT_NOT_LISTED);
    r.client.socket_inode = UINT64_MAX;
    connection_log_report(f->log, &r.message);
    connection_log_free(f->log);
    f->log = NULL;
    json_t *list = connection_file_read(&f->home);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
}

static void texts_from_outside_cannot_forge_a_line(void **state)
{
    struct fixture *f = *state;
    struct report r;
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_DENIED);
    assert_int_equal(str_copy(r.texts[3], sizeof(r.texts[3]), "a\"}\n{\"app\":\"forged"), 0);
    connection_log_report(f->log, &r.message);
    connection_log_free(f->log);
    f->log = NULL;
    json_t *list = connection_file_read(&f->home);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "reason")),
                        "a\"}\n{\"app\":\"forged");
    json_decref(list);
}

static void the_file_stays_under_its_cap(void **state)
{
    struct fixture *f = *state;
    struct report r;
    struct stat st;
    char path[256];
    (void)str_format(path, sizeof(path), "%s/%s", f->path, CONNECTION_LOG_FILE);
    for (uint64_t id = 1; id <= 9000; id++) {
        report_init(&r, id, STILE__VNET__V1__VERDICT__VERDICT_CLOSED);
        r.message.started_us = (int64_t)id;
        connection_log_report(f->log, &r.message);
    }
    connection_log_free(f->log);
    f->log = NULL;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= (off_t)CONNECTION_LOG_FILE_MAX);
    json_t *list = connection_file_read(&f->home);
    size_t count = json_array_size(list);
    assert_true(count > 1000 && count < 9000);
    json_t *last = json_array_get(list, count - 1);
    assert_int_equal(json_integer_value(json_object_get(last, "started_us")), 9000);
    json_decref(list);
}

static void memory_keeps_the_last_thousand(void **state)
{
    struct fixture *f = *state;
    struct report r;
    for (uint64_t id = 1; id <= CONNECTION_LOG_ENDED_MAX + 50; id++) {
        report_init(&r, id, STILE__VNET__V1__VERDICT__VERDICT_CLOSED);
        connection_log_report(f->log, &r.message);
    }
    assert_int_equal(look(f).count, CONNECTION_LOG_ENDED_MAX);
}

static void the_engines_end_ends_its_connections(void **state)
{
    struct fixture *f = *state;
    struct report r;
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED);
    connection_log_report(f->log, &r.message);
    connection_log_end_all(f->log, "the engine ended");
    struct seen s = look(f);
    assert_int_equal(connection_log_open_count(f->log), 0);
    assert_string_equal(s.last.reason, "the engine ended");
    assert_true(s.last.ended_us > 0);
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_ino;
}

/* Reports a connection of this socket and waits until its program has been looked for. */
static struct program find(struct fixture *f, uint64_t id, uint64_t inode)
{
    struct report r;
    report_init(&r, id, STILE__VNET__V1__VERDICT__VERDICT_CLOSED);
    r.client.socket_inode = inode;
    connection_log_report(f->log, &r.message);
    uint64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (!look(f).last.program_known && clock_mono_ns() < end)
        loop_turn(&f->loop, true);
    assert_true(look(f).last.program_known);
    return look(f).last.program;
}

static void the_programs_end_is_no_failure_of_its_connections(void **state)
{
    struct fixture *f = *state;
    struct report r;
    struct seen seen = {0};
    report_init(&r, 1, STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED);
    connection_log_report(f->log, &r.message);
    connection_log_end_session(f->log, "the program has ended");
    connection_log_each(f->log, note, &seen);
    assert_int_equal(connection_log_open_count(f->log), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.verdict, STILE__VNET__V1__VERDICT__VERDICT_CLOSED);
    assert_string_equal(seen.last.reason, "the program has ended");
    assert_true(seen.last.ended_us != 0);
}

static void the_program_is_found_by_its_socket(void **state)
{
    struct fixture *f = *state;
    /* The first is looked for everywhere, the next ones where that was found. */
    for (uint64_t id = 1; id <= 3; id++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        struct program p = find(f, id, inode_of(fd));
        close(fd);
        assert_int_equal(p.pid, getpid());
        assert_non_null(strstr(p.path, "test_connection_log"));
    }
}

static void a_socket_of_nobody_is_known_not_to_be_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(find(f, 1, UINT64_MAX).pid, 0);
    assert_int_equal(find(f, 2, UINT64_MAX - 1).pid, 0);
}

static void every_verdict_has_a_name(void **state)
{
    (void)state;
    for (int v = 0; v <= STILE__VNET__V1__VERDICT__VERDICT_FAILED; v++)
        assert_string_not_equal(connection_verdict_name((Stile__Vnet__V1__Verdict)v), "unknown");
    assert_string_equal(connection_verdict_name((Stile__Vnet__V1__Verdict)99), "unknown");
    assert_string_equal(connection_verdict_name((Stile__Vnet__V1__Verdict)-1), "unknown");
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_connection_is_followed_from_established_to_closed),
        WITH(ended_ones_are_in_the_file_when_the_log_closes),
        WITH(one_whose_program_is_still_looked_for_is_in_the_file_too),
        WITH(texts_from_outside_cannot_forge_a_line),
        WITH(the_file_stays_under_its_cap),
        WITH(memory_keeps_the_last_thousand),
        WITH(the_engines_end_ends_its_connections),
        WITH(the_programs_end_is_no_failure_of_its_connections),
        WITH(the_program_is_found_by_its_socket),
        WITH(a_socket_of_nobody_is_known_not_to_be_found),
        cmocka_unit_test(every_verdict_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
