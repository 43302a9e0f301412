/* The intrusive list against an array: appending, removing, splicing, and loops whose body removes the node they are at. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/list.h"

struct item {
    char name;
    struct list link;
};

/* The names in order, forwards, after checking that the way back is the same. */
static const char *names(const struct list *list)
{
    static char forwards[30];
    size_t count = 0;
    for (const struct list *node = list->next; node != list; node = node->next) {
        assert_ptr_equal(node->next->prev, node);
        assert_ptr_equal(node->prev->next, node);
        forwards[count++] = CONTAINER_OF(node, const struct item, link)->name;
    }
    forwards[count] = '\0';
    assert_int_equal(list_is_empty(list), count == 0);
    return forwards;
}

static void test_append_remove(void **state)
{
    struct list list;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    (void)state;
    list_init(&list);
    assert_string_equal(names(&list), "");
    assert_false(list_is_linked(&list)); /* an empty list is linked to itself only */
    assert_false(list_is_linked(&a.link));
    list_remove(&a.link); /* linked nowhere */
    list_append(&list, &a.link);
    list_append(&list, &b.link);
    list_append(&list, &c.link);
    assert_string_equal(names(&list), "abc");
    assert_true(list_is_linked(&b.link) && list_is_linked(&list));
    list_remove(&b.link);
    assert_string_equal(names(&list), "ac");
    assert_false(list_is_linked(&b.link));
    list_remove(&b.link);
    assert_string_equal(names(&list), "ac");
    list_append(&list, &b.link);
    list_remove(&a.link);
    assert_string_equal(names(&list), "cb");
    list_remove(&b.link);
    list_remove(&c.link);
    assert_string_equal(names(&list), "");
}

static void test_splice(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 4; first++)
        for (unsigned second = 0; second < 4; second++) {
            struct item items[6] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'},
                                    {.name = 'd'}, {.name = 'e'}, {.name = 'f'}};
            struct list to, from;
            char expected[7] = "";
            size_t count = 0;
            list_init(&to);
            list_init(&from);
            for (unsigned i = 0; i < first; i++)
                list_append(&to, &items[i].link);
            for (unsigned i = 0; i < second; i++)
                list_append(&from, &items[3 + i].link);
            for (unsigned i = 0; i < 6; i++)
                if (i < 3 ? i < first : i - 3 < second)
                    expected[count++] = items[i].name;
            list_splice(&to, &from);
            assert_string_equal(names(&to), expected);
            assert_string_equal(names(&from), "");
            list_splice(&from, &to); /* and all of it back */
            assert_string_equal(names(&from), expected);
            assert_string_equal(names(&to), "");
        }
}

static void test_loops(void **state)
{
    (void)state;
    for (unsigned removed = 0; removed < 32; removed++) { /* every choice of five nodes */
        struct item items[5] = {
            {.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}, {.name = 'e'}};
        struct list list;
        char expected[6] = "";
        unsigned visited = 0;
        size_t count = 0;
        list_init(&list);
        for (unsigned i = 0; i < 5; i++) {
            list_append(&list, &items[i].link);
            if (!(removed >> i & 1))
                expected[count++] = items[i].name;
        }
        LIST_FOR_EACH_SAFE (node, &list) {
            struct item *item = CONTAINER_OF(node, struct item, link);
            assert_int_equal(item->name, 'a' + (int)visited);
            if (removed >> visited++ & 1)
                list_remove(node);
        }
        assert_int_equal(visited, 5);
        assert_string_equal(names(&list), expected);
        LIST_FOR_EACH (node, &list) {
            count--;
        }
        assert_int_equal(count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_remove),
        cmocka_unit_test(test_splice),
        cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
