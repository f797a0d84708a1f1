#include "testing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "broker/user_log.h"

static char text[1 << 20];

static const char *read_as(uint32_t uid)
{
    int fd = -1;
    struct diag d = {0};
    assert_int_equal(user_log_open(uid, &fd, &d), 0);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    /* Nobody who was given it can change it. */
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, sizeof(text)), -1);
    close(fd);
    return text;
}

static int setup(void **state UNUSED)
{
    log_setup("broker", LOG_ERROR, LOG_TEXT);
    return log_keep(LOG_DEBUG);
}

static void root_has_all_and_a_user_what_is_about_him(void **state UNUSED)
{
    log_info("of nobody");
    user_log(LOG_INFO, 1501, "of alice");
    user_log(LOG_DEBUG, 1502, "of bob");
    const char *all = read_as(0);
    assert_non_null(strstr(all, "of nobody"));
    assert_non_null(strstr(all, "of alice"));
    assert_non_null(strstr(all, "of bob"));
    const char *alices = read_as(1501);
    assert_non_null(strstr(alices, "of alice"));
    assert_null(strstr(alices, "of nobody"));
    assert_null(strstr(alices, "of bob"));
    assert_string_equal(read_as(150), "");
    assert_string_equal(read_as(15010), "");
}

static void a_text_does_not_make_a_line_a_user_s(void **state UNUSED)
{
    user_log(LOG_INFO, 1501, "x\",\"uid\":1600,\"y\":\"");
    assert_string_equal(read_as(1600), "");
    const struct log_field other = {.name = "name", .text = "\",\"uid\":1600}"};
    log_event(LOG_INFO, "x", &other, 1);
    assert_string_equal(read_as(1600), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_has_all_and_a_user_what_is_about_him),
        cmocka_unit_test(a_text_does_not_make_a_line_a_user_s),
    };
    return cmocka_run_group_tests_name("user_log", tests, setup, NULL);
}
