#include "testing.h"

#include "base/list.h"

struct item {
    int id;
    struct list link;
};

static struct item *item_of(struct list *node)
{
    return LIST_ENTRY(node, struct item, link);
}

/* The ids in order, as the digits of one number; checked backwards too. */
static int digits(struct list *head)
{
    int forward = 0;
    int backward = 0;
    int place = 1;
    LIST_FOR_EACH (node, head) {
        forward = 10 * forward + item_of(node)->id;
    }
    for (struct list *node = head->prev; node != head; node = node->prev) {
        backward += place * item_of(node)->id;
        place *= 10;
    }
    assert_int_equal(forward, backward);
    return forward;
}

static void items_stand_where_they_were_put(void **state UNUSED)
{
    struct list head;
    struct item a = {.id = 1};
    struct item b = {.id = 2};
    struct item c = {.id = 3};
    struct item d = {.id = 4};
    list_init(&head);
    assert_true(list_empty(&head));
    assert_int_equal(digits(&head), 0);
    list_push_back(&head, &b.link);
    list_push_back(&head, &c.link);
    list_push_front(&head, &a.link);
    assert_int_equal(digits(&head), 123);
    list_insert_before(&b.link, &d.link);
    assert_int_equal(digits(&head), 1423);
    assert_false(list_empty(&head));
}

static void removing_twice_does_no_harm(void **state UNUSED)
{
    struct list head;
    struct item a = {.id = 1};
    struct item b = {.id = 2};
    struct item c = {.id = 3};
    list_init(&head);
    list_push_back(&head, &a.link);
    list_push_back(&head, &b.link);
    list_push_back(&head, &c.link);
    list_remove(&b.link);
    assert_int_equal(digits(&head), 13);
    assert_true(list_empty(&b.link));
    list_remove(&b.link);
    assert_int_equal(digits(&head), 13);
    list_push_front(&head, &b.link);
    assert_int_equal(digits(&head), 213);
}

static void popping_takes_the_first_until_none_is_left(void **state UNUSED)
{
    struct list head;
    struct item a = {.id = 1};
    struct item b = {.id = 2};
    list_init(&head);
    list_push_back(&head, &a.link);
    list_push_back(&head, &b.link);
    assert_ptr_equal(list_pop_front(&head), &a.link);
    assert_true(list_empty(&a.link));
    assert_ptr_equal(item_of(list_pop_front(&head)), &b);
    assert_null(list_pop_front(&head));
    assert_true(list_empty(&head));
}

static void the_loop_survives_removal_of_its_item(void **state UNUSED)
{
    struct list head;
    struct item items[5];
    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].id = i + 1;
        list_push_back(&head, &items[i].link);
    }
    int seen = 0;
    LIST_FOR_EACH (node, &head) {
        seen++;
        if (item_of(node)->id % 2 == 1)
            list_remove(node);
    }
    assert_int_equal(seen, 5);
    assert_int_equal(digits(&head), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stand_where_they_were_put),
        cmocka_unit_test(removing_twice_does_no_harm),
        cmocka_unit_test(popping_takes_the_first_until_none_is_left),
        cmocka_unit_test(the_loop_survives_removal_of_its_item),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
