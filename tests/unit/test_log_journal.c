/* The journal's socket is played by the test: what arrives is checked against the documented native protocol. */
#include "testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/log.h"
#include "base/log_journal.h"
#include "temp_dir.h"

static char dir[TEMP_DIR_SIZE];
static char path[TEMP_DIR_SIZE + 16];
static char datagram[1 << 16];
static int journal = -1;

static void listen_as_journal(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    assert_int_equal(str_copy(addr.sun_path, sizeof(addr.sun_path), path), 0);
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(journal, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static int setup(void **state UNUSED)
{
    temp_dir_make(dir);
    assert_int_equal(str_format(path, sizeof(path), "%s/socket", dir), 0);
    listen_as_journal();
    log_setup("agent", LOG_INFO, LOG_JOURNAL);
    assert_int_equal(log_journal_open(path), 0);
    log_set_fd(-1);
    return 0;
}

static int teardown(void **state UNUSED)
{
    log_journal_close();
    log_setup("stile", LOG_WARN, LOG_TEXT);
    log_set_fd(2);
    close(journal);
    temp_dir_remove(dir);
    return 0;
}

/* The next datagram; NULL if there is none. */
static const char *received(void)
{
    ssize_t n = recv(journal, datagram, sizeof(datagram) - 1, 0);
    if (n < 0)
        return NULL;
    datagram[n] = '\0';
    return datagram;
}

static void a_line_is_one_datagram_of_fields(void **state UNUSED)
{
    log_warn("port %d is taken", 443);
    assert_string_equal(received(), "PRIORITY=4\nSYSLOG_IDENTIFIER=stile\nSTILE_COMPONENT=agent\n"
                                    "MESSAGE=port 443 is taken\n");
    assert_null(received());
}

static void levels_are_the_priorities_of_syslog(void **state UNUSED)
{
    log_setup("agent", LOG_DEBUG, LOG_JOURNAL);
    assert_int_equal(log_journal_open(path), 0);
    for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        char want[32];
        log_write(level, "x");
        assert_int_equal(str_format(want, sizeof(want), "PRIORITY=%c\n", "7643"[level]), 0);
        assert_true(str_starts(received(), want));
    }
}

static void fields_have_names_that_the_journal_takes(void **state UNUSED)
{
    const struct log_field fields[] = {{.name = "bytes_up", .number = 17},
                                       {.name = "to-app.1", .text = "pg a=b"}};
    log_event(LOG_INFO, "done", fields, ARRAY_LEN(fields));
    assert_non_null(
        strstr(received(), "\nMESSAGE=done\nSTILE_BYTES_UP=17\nSTILE_TO_APP_1=pg a=b\n"));
}

/* A line break would begin another field. */
static void a_peer_cannot_forge_a_field(void **state UNUSED)
{
    const struct log_field field = {.name = "name", .text = "x\nPRIORITY=0"};
    log_event(LOG_INFO, "a\nMESSAGE=b", &field, 1);
    assert_non_null(strstr(received(), "\nMESSAGE=a\\x0aMESSAGE=b\nSTILE_NAME=x\\x0aPRIORITY=0\n"));
}

static void a_journal_that_comes_back_is_found_again(void **state UNUSED)
{
    close(journal);
    assert_int_equal(unlink(path), 0);
    assert_false(log_journal_send(SLICE_LIT("MESSAGE=lost\n")));
    listen_as_journal();
    log_warn("again");
    assert_non_null(strstr(received(), "MESSAGE=again\n"));
}

static void a_full_journal_does_not_block(void **state UNUSED)
{
    int sent = 0;
    while (sent < 1000000 && log_journal_send(SLICE_LIT("MESSAGE=flood\n")))
        sent++;
    assert_in_range(sent, 1, 999999);
}

static void a_path_too_long_for_a_socket_is_refused(void **state UNUSED)
{
    char longest[200];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(log_journal_open(longest), ERR_TOOBIG);
    log_warn("the old one stays");
    assert_non_null(received());
}

static void standard_error_is_the_journal_only_if_device_and_inode_say_so(void **state UNUSED)
{
    struct stat st;
    char stream[64];
    assert_int_equal(fstat(2, &st), 0);
    unsetenv("JOURNAL_STREAM");
    assert_false(log_journal_is_stderr());
    assert_int_equal(str_format(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                                (unsigned long long)st.st_ino + 1),
                     0);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_false(log_journal_is_stderr());
    assert_int_equal(str_format(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                                (unsigned long long)st.st_ino),
                     0);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(log_journal_is_stderr());
    unsetenv("JOURNAL_STREAM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_one_datagram_of_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_are_the_priorities_of_syslog, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_have_names_that_the_journal_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_cannot_forge_a_field, setup, teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_comes_back_is_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_journal_does_not_block, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_too_long_for_a_socket_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            standard_error_is_the_journal_only_if_device_and_inode_say_so, setup, teardown),
    };
    return cmocka_run_group_tests_name("log_journal", tests, NULL, NULL);
}
