/* Profiles: whole replacement, refusal of what others could have touched, names, addresses. */
#include "testing.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile_maker.h"

struct fixture {
    char path[64];
    struct home home;
};

static int setup(void **state)
{
    static struct fixture f;
    (void)str_format(f.path, sizeof(f.path), "/tmp/stile-test-XXXXXX");
    if (mkdtemp(f.path) == NULL || home_open(f.path, &f.home, NULL) < 0)
        return -1;
    *state = &f;
    return 0;
}

static void remove_names(void *arg, const char *name)
{
    (void)private_dir_remove_sub(arg, name, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)private_dir_list(&f->home.profiles, remove_names, &f->home.profiles, NULL);
    (void)private_dir_remove(&f->home.root, "default", NULL);
    (void)private_dir_remove_sub(&f->home.root, "profiles", NULL);
    (void)private_dir_remove_sub(&f->home.root, "agents", NULL);
    home_close(&f->home);
    return rmdir(f->path);
}

static struct profile *make_profile(const char *name, const char *user)
{
    return profile_make(name, user, "127.0.0.1:7443", 3600);
}

static void save(const struct fixture *f, const char *name, const char *user)
{
    CLEANUP(profile_freep) struct profile *p = make_profile(name, user);
    struct diag d = {0};
    assert_int_equal(profile_save(&f->home, p, &d), 0);
}

static void a_saved_profile_is_read_back(void **state)
{
    struct fixture *f = *state;
    CLEANUP(profile_freep) struct profile *p = make_profile("demo", "alice");
    CLEANUP(profile_freep) struct profile *q = NULL;
    struct diag d = {0};
    assert_int_equal(profile_save(&f->home, p, &d), 0);
    assert_int_equal(profile_load(&f->home, "demo", &q, &d), 0);
    assert_string_equal(q->user, "alice");
    assert_string_equal(q->gateway, "127.0.0.1:7443");
    assert_int_equal(q->expires_s, p->expires_s);
    assert_int_equal(q->cluster.zone_count, 1);
    assert_string_equal(q->cluster.zones[0], "demo.stile.test");
    assert_true(slice_eq(buf_slice(&q->ca_pem), buf_slice(&p->ca_pem)));
    assert_int_equal(EVP_PKEY_eq(p->key, q->key), 1);
    assert_int_equal(X509_cmp(p->cert, q->cert), 0);
}

static size_t entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        n += !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..");
    closedir(dir);
    return n;
}

static void a_new_log_in_replaces_the_old_one_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    save(f, "demo", "alice");
    uint64_t before = profile_stamp(&f->home, "demo");
    save(f, "demo", "bob");
    CLEANUP(profile_freep) struct profile *q = NULL;
    struct diag d = {0};
    assert_int_equal(profile_load(&f->home, "demo", &q, &d), 0);
    assert_string_equal(q->user, "bob");
    assert_true(before != profile_stamp(&f->home, "demo"));
    assert_int_equal(q->stamp, profile_stamp(&f->home, "demo"));
    assert_int_equal(entries(f->home.profiles.path), 1);
}

static void every_file_is_closed_to_others(void **state)
{
    struct fixture *f = *state;
    save(f, "demo", "alice");
    static const char *const files[] = {"profile.json", "key.pem", "cert.pem", "ca.pem"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[256];
        struct stat st;
        (void)str_format(path, sizeof(path), "%s/profiles/demo/%s", f->path, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct diag d = {0};
    struct profile *q = NULL;
    save(f, "demo", "alice");
    (void)str_format(path, sizeof(path), "%s/profiles/demo/key.pem", f->path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(profile_load(&f->home, "demo", &q, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "chmod 600"));
}

static void a_link_in_place_of_a_key_is_not_followed(void **state)
{
    struct fixture *f = *state;
    char path[256], elsewhere[256];
    struct profile *q = NULL;
    save(f, "demo", "alice");
    (void)str_format(path, sizeof(path), "%s/profiles/demo/key.pem", f->path);
    (void)str_format(elsewhere, sizeof(elsewhere), "%s/profiles/demo/elsewhere", f->path);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_true(profile_load(&f->home, "demo", &q, NULL) < 0);
    assert_null(q);
}

static void a_key_of_another_log_in_is_refused(void **state)
{
    struct fixture *f = *state;
    char from[256], to[256];
    struct diag d = {0};
    struct profile *q = NULL;
    save(f, "demo", "alice");
    save(f, "other", "alice");
    (void)str_format(from, sizeof(from), "%s/profiles/other/key.pem", f->path);
    (void)str_format(to, sizeof(to), "%s/profiles/demo/key.pem", f->path);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(profile_load(&f->home, "demo", &q, &d), ERR_FORMAT);
    assert_non_null(strstr(d.text, "stile login"));
}

static void a_damaged_profile_says_to_log_in_again(void **state)
{
    struct fixture *f = *state;
    CLEANUP(private_dir_close) struct private_dir dir = PRIVATE_DIR_NONE;
    static const char *const texts[] = {"", "{", "[]", "{\"gateway\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct profile *q = NULL;
        struct diag d = {0};
        save(f, "demo", "alice");
        private_dir_close(&dir);
        assert_int_equal(private_dir_sub(&f->home.profiles, "demo", false, &dir, &d), 0);
        assert_int_equal(private_dir_write(&dir, "profile.json", slice_str(texts[i]), &d), 0);
        assert_int_equal(profile_load(&f->home, "demo", &q, &d), ERR_FORMAT);
        assert_non_null(strstr(d.text, "log in again"));
    }
}

static void a_home_that_others_may_enter_is_refused(void **state)
{
    struct fixture *f = *state;
    struct home again = HOME_NONE;
    struct diag d = {0};
    assert_int_equal(chmod(f->path, 0755), 0);
    assert_int_equal(home_open(f->path, &again, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "chmod 700"));
    assert_int_equal(chmod(f->path, 0700), 0);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", ".", "..", ".x", "a/b", "../x", "A", "a b", "a\n"};
    struct profile *q = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(profile_check_name(bad[i], NULL), ERR_INVAL);
        assert_int_equal(profile_load(&f->home, bad[i], &q, NULL), ERR_INVAL);
        assert_int_equal(profile_remove(&f->home, bad[i], NULL), ERR_INVAL);
    }
    assert_int_equal(profile_check_name("demo-1.corp_x", NULL), 0);
}

static void the_only_profile_or_the_default_one_is_chosen(void **state)
{
    struct fixture *f = *state;
    char name[PROFILE_NAME_SIZE];
    struct diag d = {0};
    assert_int_equal(profile_choose(&f->home, NULL, name, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile login"));
    save(f, "one", "alice");
    assert_int_equal(profile_choose(&f->home, NULL, name, &d), 0);
    assert_string_equal(name, "one");
    save(f, "two", "alice");
    assert_int_equal(profile_choose(&f->home, NULL, name, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "--profile"));
    assert_int_equal(profile_set_default(&f->home, "two", &d), 0);
    assert_int_equal(profile_choose(&f->home, NULL, name, &d), 0);
    assert_string_equal(name, "two");
    assert_int_equal(profile_remove(&f->home, "two", &d), 0);
    assert_int_equal(profile_choose(&f->home, NULL, name, &d), 0);
    assert_string_equal(name, "one");
    assert_int_equal(profile_choose(&f->home, "two", name, &d), ERR_NOTFOUND);
}

static void addresses_are_split(void **state)
{
    (void)state;
    char host[PROFILE_HOST_SIZE];
    uint16_t port = 0;
    assert_int_equal(profile_split_addr("gw.corp:7443", host, &port, NULL), 0);
    assert_string_equal(host, "gw.corp");
    assert_int_equal(port, 7443);
    assert_int_equal(profile_split_addr("[::1]:443", host, &port, NULL), 0);
    assert_string_equal(host, "::1");
    static const char *const bad[] = {"",         "gw",  ":1",    "gw:",  "gw:0",
                                      "gw:65536", "::1", "[::1]", "[]:1", "[::1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(profile_split_addr(bad[i], host, &port, NULL), ERR_INVAL);
}

#define HOME_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOME_TEST(a_saved_profile_is_read_back),
        HOME_TEST(a_new_log_in_replaces_the_old_one_and_leaves_nothing),
        HOME_TEST(every_file_is_closed_to_others),
        HOME_TEST(a_key_that_others_can_read_is_refused),
        HOME_TEST(a_link_in_place_of_a_key_is_not_followed),
        HOME_TEST(a_key_of_another_log_in_is_refused),
        HOME_TEST(a_damaged_profile_says_to_log_in_again),
        HOME_TEST(a_home_that_others_may_enter_is_refused),
        HOME_TEST(names_that_lead_elsewhere_are_refused),
        HOME_TEST(the_only_profile_or_the_default_one_is_chosen),
        cmocka_unit_test(addresses_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
