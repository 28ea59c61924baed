/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/users.c: see users.h.
 */
#include "sentry/kernel/users.h"

#include "sentry/heap/heap.h"

HEAP_TYPE(user_table, struct user_table, 0);
HEAP_TYPE(user_account, struct user_account, 0);

struct user_table *user_table_new(void) {
    struct user_table *t = heap_new(user_table);

    if (!t)
        return NULL;
    mutex_init(&t->lock, RANK_LEAF);
    for (int i = 0; i < USER_BUCKETS; i++)
        list_init(&t->buckets[i]);
    return t;
}

void user_table_free(struct user_table *t) {
    if (!t)
        return;
    for (int i = 0; i < USER_BUCKETS; i++)
        ASSERT(list_empty(&t->buckets[i]));
    heap_free(t);
}

static struct user_account *find_locked(struct user_table *t, kuid_t uid) {
    struct user_account *a;

    list_for_each_entry(a, &t->buckets[uid % USER_BUCKETS], node) {
        if (a->uid == uid) {
            a->refs++;
            return a;
        }
    }
    return NULL;
}

struct user_account *user_account_get(struct user_table *t, kuid_t uid) {
    mutex_lock(&t->lock);
    struct user_account *a = find_locked(t, uid);
    mutex_unlock(&t->lock);
    if (a)
        return a;
    struct user_account *fresh = heap_new(user_account);
    if (!fresh)
        return NULL;
    fresh->uid = uid;
    fresh->refs = 1;
    mutex_lock(&t->lock);
    a = find_locked(t, uid);
    if (!a) {
        a = fresh;
        list_add(&t->buckets[uid % USER_BUCKETS], &a->node);
        fresh = NULL;
    }
    mutex_unlock(&t->lock);
    heap_free(fresh);
    return a;
}

struct user_account *user_account_ref(struct user_table *t, struct user_account *a) {
    mutex_lock(&t->lock);
    ASSERT(a->refs > 0);
    a->refs++;
    mutex_unlock(&t->lock);
    return a;
}

void user_account_put(struct user_table *t, struct user_account *a) {
    if (!a)
        return;
    mutex_lock(&t->lock);
    ASSERT(a->refs > 0);
    bool last = --a->refs == 0;
    if (last)
        list_del(&a->node);
    mutex_unlock(&t->lock);
    if (last)
        heap_free(a);
}
