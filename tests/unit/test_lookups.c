/* Look-ups of names: one question for many, what is kept, what is known again unaltered. */
#include "testing.h"

#include "agent/lookups.h"
#include "fake_directory.h"

struct outcome {
    int calls;
    int err;
    char app[64];
};

struct fixture {
    struct fake_directory fake;
    struct lookups *lookups;
};

static void note(void *arg, int err, const app_info *info, const struct diag *d)
{
    struct outcome *o = arg;
    o->calls++;
    o->err = err;
    assert_true((err == 0) == (info != NULL));
    assert_true(err == 0 || (d != NULL && d->text[0] != '\0'));
    if (info != NULL)
        assert_int_equal(str_copy(o->app, sizeof(o->app), info->app->public_name), 0);
}

static int setup_with(struct fixture *f, const struct lookups_ages *ages, void **state)
{
    struct directory dir = fake_directory_init(&f->fake);
    *state = f;
    return lookups_new(dir, ages, &f->lookups);
}

static int setup(void **state)
{
    static struct fixture f;
    return setup_with(&f, NULL, state);
}

static int setup_ageing(void **state)
{
    static struct fixture f;
    static const struct lookups_ages at_once = {0};
    return setup_with(&f, &at_once, state);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fake_directory_release(&f->fake);
    lookups_free(f->lookups);
    return 0;
}

static void questions_for_one_name_are_one_question(void **state)
{
    struct fixture *f = *state;
    struct outcome o[3] = {0};
    lookups_resolve(f->lookups, "pg.demo", note, &o[0]);
    lookups_resolve(f->lookups, "PG.Demo.", note, &o[1]);
    lookups_resolve(f->lookups, "other.demo", note, &o[2]);
    assert_int_equal(f->fake.resolves_asked, 2);
    fake_answer_resolves(&f->fake, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(o[i].calls, 1);
        assert_int_equal(o[i].err, 0);
    }
    assert_string_equal(o[1].app, "pg.demo");
}

static void an_answer_is_kept_until_it_is_cleared(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    fake_answer_resolves(&f->fake, 0);
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    assert_int_equal(o.calls, 2);
    assert_int_equal(f->fake.resolves_asked, 1);
    lookups_clear(f->lookups);
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    assert_int_equal(f->fake.resolves_asked, 2);
    fake_answer_resolves(&f->fake, ERR_CANCELED);
}

static void that_there_is_no_such_name_is_kept_too(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    lookups_resolve(f->lookups, "no.demo", note, &o);
    fake_answer_resolves(&f->fake, ERR_NOTFOUND);
    lookups_resolve(f->lookups, "no.demo", note, &o);
    assert_int_equal(o.calls, 2);
    assert_int_equal(o.err, ERR_NOTFOUND);
    assert_int_equal(f->fake.resolves_asked, 1);
}

static void old_answers_are_asked_for_again(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    fake_answer_resolves(&f->fake, 0);
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    assert_int_equal(f->fake.resolves_asked, 2);
    fake_answer_resolves(&f->fake, ERR_CANCELED);
}

static void the_last_good_answer_stands_while_the_directory_cannot_be_asked(void **state)
{
    struct fixture *f = *state;
    static const int passing[] = {ERR_UNREACHABLE, ERR_EXPIRED, ERR_AUTH, ERR_TIMEOUT};
    struct outcome o = {0};
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    fake_answer_resolves(&f->fake, 0);
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        f->fake.fail_now = passing[i];
        lookups_resolve(f->lookups, "pg.demo", note, &o);
        assert_int_equal(o.err, 0);
    }
    f->fake.fail_now = 0;
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    fake_answer_resolves(&f->fake, ERR_NOTFOUND);
    assert_int_equal(o.err, ERR_NOTFOUND);
    assert_int_equal(o.calls, 2 + (int)ARRAY_LEN(passing));
}

static void a_failure_before_any_answer_is_told(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    f->fake.fail_now = ERR_EXPIRED;
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.err, ERR_EXPIRED);
}

static void clearing_while_asking_serves_those_who_wait_and_nobody_after(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0}, later = {0};
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    lookups_clear(f->lookups);
    fake_answer_resolves(&f->fake, 0);
    assert_int_equal(o.calls, 1);
    lookups_resolve(f->lookups, "pg.demo", note, &later);
    assert_int_equal(later.calls, 0);
    assert_int_equal(f->fake.resolves_asked, 2);
    fake_answer_resolves(&f->fake, ERR_CANCELED);
}

static void what_is_no_name_is_not_asked(void **state)
{
    struct fixture *f = *state;
    char long_name[400];
    struct outcome o = {0};
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    lookups_resolve(f->lookups, long_name, note, &o);
    lookups_resolve(f->lookups, "", note, &o);
    lookups_resolve(f->lookups, "a\nb", note, &o);
    assert_int_equal(o.calls, 3);
    assert_int_equal(o.err, ERR_NOTFOUND);
    assert_int_equal(f->fake.resolves_asked, 0);
}

static void more_names_than_are_kept_push_others_out(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    f->fake.fail_now = ERR_NOTFOUND;
    for (int i = 0; i < LOOKUPS_MAX + 100; i++) {
        char name[32];
        assert_int_equal(str_format(name, sizeof(name), "n%d.demo", i), 0);
        lookups_resolve(f->lookups, name, note, &o);
    }
    assert_int_equal(o.calls, LOOKUPS_MAX + 100);
    assert_int_equal(o.err, ERR_NOTFOUND);
}

static void only_what_was_given_is_known_again(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    struct fake_app app;
    fake_app_init(&app, "pg.demo");
    assert_false(lookups_gave(f->lookups, &app.info));
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    fake_answer_resolves(&f->fake, 0);
    assert_true(lookups_gave(f->lookups, &app.info));
    lookups_clear(f->lookups);
    assert_true(lookups_gave(f->lookups, &app.info));
}

static void every_altered_field_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    lookups_resolve(f->lookups, "pg.demo", note, &o);
    fake_answer_resolves(&f->fake, 0);
    for (int change = 0; change < 9; change++) {
        struct fake_app app;
        uint8_t extra[] = "x";
        ProtobufCMessageUnknownField unknown = {
            .tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 1, .data = extra};
        fake_app_init(&app, "pg.demo");
        if (change < 8)
            app.texts[change][0] ^= 1;
        if (change == 8) {
            app.info.base.unknown_fields = &unknown;
            app.info.base.n_unknown_fields = 1;
        }
        assert_false(lookups_gave(f->lookups, &app.info));
    }
    struct fake_app app;
    fake_app_init(&app, "pg.demo");
    app.ranges[1].last = 6011;
    assert_false(lookups_gave(f->lookups, &app.info));
    fake_app_init(&app, "pg.demo");
    app.dial.insecure_skip_verify = 1;
    assert_false(lookups_gave(f->lookups, &app.info));
    fake_app_init(&app, "pg.demo");
    app.app.n_ports = 0;
    assert_false(lookups_gave(f->lookups, &app.info));
}

#define WITH(fn)   cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define AGEING(fn) cmocka_unit_test_setup_teardown(fn, setup_ageing, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(questions_for_one_name_are_one_question),
        WITH(an_answer_is_kept_until_it_is_cleared),
        WITH(that_there_is_no_such_name_is_kept_too),
        AGEING(old_answers_are_asked_for_again),
        AGEING(the_last_good_answer_stands_while_the_directory_cannot_be_asked),
        WITH(a_failure_before_any_answer_is_told),
        WITH(clearing_while_asking_serves_those_who_wait_and_nobody_after),
        WITH(what_is_no_name_is_not_asked),
        WITH(more_names_than_are_kept_push_others_out),
        WITH(only_what_was_given_is_known_again),
        WITH(every_altered_field_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
