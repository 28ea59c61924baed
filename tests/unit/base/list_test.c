/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/list_test.c: base/list.h.
 */
#include "base/list.h"

#include "tests/support/test.h"

struct item {
    int value;
    struct list node;
};

static int sum_in_order(struct list *head, int *ret_count) {
    struct item *i;
    int digits = 0;

    *ret_count = 0;
    list_for_each_entry(i, head, node) {
        digits = digits * 10 + i->value;
        ++*ret_count;
    }
    return digits;
}

TEST(list_adds_at_both_ends) {
    struct list head = LIST_INIT(head);
    struct item a = {1}, b = {2}, c = {3};
    int count;

    ASSERT_TRUE(list_empty(&head));
    list_add_tail(&head, &b.node);
    list_add_tail(&head, &c.node);
    list_add(&head, &a.node);
    ASSERT_EQ(sum_in_order(&head, &count), 123);
    ASSERT_EQ(count, 3);
    ASSERT_EQ(list_first_entry(&head, struct item, node)->value, 1);
    ASSERT_EQ(list_last_entry(&head, struct item, node)->value, 3);
}

TEST(list_del_twice_is_harmless) {
    struct list head = LIST_INIT(head);
    struct item a = {1}, b = {2};
    int count;

    list_add_tail(&head, &a.node);
    list_add_tail(&head, &b.node);
    list_del(&a.node);
    list_del(&a.node);
    ASSERT_EQ(sum_in_order(&head, &count), 2);
    ASSERT_TRUE(list_empty(&a.node));
}

TEST(list_splice_tail_keeps_order_and_empties_the_source) {
    struct list x = LIST_INIT(x), y = LIST_INIT(y);
    struct item a = {1}, b = {2}, c = {3};
    int count;

    list_add_tail(&x, &a.node);
    list_add_tail(&y, &b.node);
    list_add_tail(&y, &c.node);
    list_splice_tail(&x, &y);
    list_splice_tail(&x, &y);
    ASSERT_EQ(sum_in_order(&x, &count), 123);
    ASSERT_TRUE(list_empty(&y));
}

TEST(list_for_each_safe_may_unlink) {
    struct list head = LIST_INIT(head);
    struct item items[4], *i, *next;
    int count;

    for (int n = 0; n < 4; n++) {
        items[n].value = n + 1;
        list_add_tail(&head, &items[n].node);
    }
    list_for_each_entry_safe(i, next, &head, node) if (i->value % 2 == 0) list_del(&i->node);
    ASSERT_EQ(sum_in_order(&head, &count), 13);
}
