/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/kernel/objects_test.c: objects without tasks: pids in nested namespaces, credentials and user
 * namespaces, kernel timers, wait queues.
 */
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/users.h"
#include "tests/unit/kernel/kernel_fixture.h"

/* ---- pids ---- */

static struct pid *new_pid(struct fixture *f, struct pid_ns *ns, const int *set, size_t count, int want) {
    struct pid *pid = NULL;

    mutex_lock(&f->kernel->taskset_lock);
    int r = pid_alloc_locked(ns, set, count, &pid);
    mutex_unlock(&f->kernel->taskset_lock);
    ASSERT_EQ(r, want);
    return pid;
}

static void drop_pid(struct fixture *f, struct pid *pid) {
    mutex_lock(&f->kernel->taskset_lock);
    pid_free_numbers_locked(pid);
    mutex_unlock(&f->kernel->taskset_lock);
    pid_unref(pid);
}

TEST(pids_have_a_number_in_each_namespace) {
    struct fixture f;

    fixture_init(&f);
    struct pid_ns *inner = pid_ns_new(f.kernel, f.container->pid_ns, f.kernel->root_user_ns);
    struct pid *outer = new_pid(&f, f.container->pid_ns, NULL, 0, 0);
    struct pid *a = new_pid(&f, inner, NULL, 0, 0);
    ASSERT_EQ(pid_nr(a, inner), 1);
    ASSERT_EQ(pid_nr(a, f.container->pid_ns), 2);
    ASSERT_EQ(pid_nr(a, f.kernel->root_pid_ns), 2);
    ASSERT_EQ(pid_nr(outer, inner), 0);
    int wanted[] = {7, 40};
    ASSERT_NULL(new_pid(&f, inner, wanted, 2, -EINVAL)); /* no init there yet: only 1 may be chosen */
    int one[] = {1};
    ASSERT_NULL(new_pid(&f, inner, one, 1, -EEXIST));
    drop_pid(&f, a);
    a = new_pid(&f, inner, one, 1, 0);
    ASSERT_EQ(pid_nr(a, inner), 1);
    drop_pid(&f, a);
    drop_pid(&f, outer);
    pid_ns_unref(inner);
    fixture_done(&f);
}

TEST(many_pids_are_found_and_walked_in_order) {
    enum { COUNT = 1000 };
    static struct pid *pids[COUNT];
    struct fixture f;

    fixture_init(&f);
    struct pid_ns *ns = f.container->pid_ns;
    for (int i = 0; i < COUNT; i++)
        pids[i] = new_pid(&f, ns, NULL, 0, 0);
    for (int i = 0; i < COUNT; i += 2)
        drop_pid(&f, pids[i]);
    mutex_lock(&f.kernel->taskset_lock);
    int found = 0, last = 0;
    for (struct pid *p = pid_next_locked(ns, 1); p; p = pid_next_locked(ns, last + 1)) {
        ASSERT_GT(pid_nr(p, ns), last);
        last = pid_nr(p, ns);
        ASSERT_EQ(pid_find_locked(ns, last), p);
        found++;
    }
    ASSERT_EQ(found, COUNT / 2);
    ASSERT_NULL(pid_find_locked(ns, 1)); /* dropped */
    ASSERT_NULL(pid_find_locked(ns, -1));
    mutex_unlock(&f.kernel->taskset_lock);
    struct pid *next = new_pid(&f, ns, NULL, 0, 0);
    ASSERT_EQ(pid_nr(next, ns), COUNT + 1); /* numbers are not taken again soon */
    drop_pid(&f, next);
    for (int i = 1; i < COUNT; i += 2)
        drop_pid(&f, pids[i]);
    fixture_done(&f);
}

/* ---- credentials ---- */

TEST(user_namespaces_map_ids) {
    struct fixture f;
    struct id_extent map[] = {{0, 1000, 1}, {1, 100000, 65536}}, overlap[] = {{0, 5, 10}, {9, 100, 2}};

    fixture_init(&f);
    struct creds *root = creds_new_root(f.kernel->root_user_ns);
    struct user_ns *ns = user_ns_new(f.kernel, f.kernel->root_user_ns, root);
    ASSERT_EQ(make_kuid(ns, 0), INVALID_ID);
    ASSERT_EQ(from_kuid(ns, 0), OVERFLOW_ID);
    ASSERT_EQ(user_ns_set_map(ns, false, overlap, 2), -EINVAL);
    ASSERT_OK(user_ns_set_map(ns, false, map, 2));
    ASSERT_EQ(user_ns_set_map(ns, false, map, 2), -EPERM); /* once */
    ASSERT_EQ(make_kuid(ns, 0), 1000);
    ASSERT_EQ(make_kuid(ns, 65536), 165535);
    ASSERT_EQ(make_kuid(ns, 65537), INVALID_ID);
    ASSERT_EQ(from_kuid(ns, 100000), 1);
    struct user_ns *inner = user_ns_new(f.kernel, ns, root);
    struct id_extent two_deep[] = {{5, 1, 10}}, beyond[] = {{0, 70000, 1}};
    ASSERT_EQ(user_ns_set_map(inner, false, beyond, 1), -EPERM);
    ASSERT_OK(user_ns_set_map(inner, false, two_deep, 1));
    ASSERT_EQ(make_kuid(inner, 5), 100000);
    user_ns_unref(inner);
    user_ns_unref(ns);
    creds_unref(root);
    fixture_done(&f);
}

TEST(capabilities_reach_down_and_not_up) {
    struct fixture f;

    fixture_init(&f);
    struct creds *root = creds_new_root(f.kernel->root_user_ns), *plain = creds_copy(root);
    plain->uid = plain->euid = plain->suid = plain->fsuid = 1000;
    creds_fix_caps_for_ids(plain, root);
    ASSERT_EQ(plain->effective, 0);
    ASSERT_EQ(plain->permitted, 0);
    struct user_ns *ns = user_ns_new(f.kernel, f.kernel->root_user_ns, plain);
    ASSERT_TRUE(creds_has_cap_in(plain, ns, LINUX_CAP_SYS_ADMIN)); /* its owner */
    ASSERT_FALSE(creds_has_cap_in(plain, f.kernel->root_user_ns, LINUX_CAP_SYS_ADMIN));
    struct creds *inside = creds_copy(plain);
    creds_fill_new_user_ns(inside, ns);
    ASSERT_TRUE(creds_has_cap_in(inside, ns, LINUX_CAP_SYS_ADMIN));
    ASSERT_FALSE(creds_has_cap_in(inside, f.kernel->root_user_ns, LINUX_CAP_CHOWN));
    ASSERT_TRUE(creds_has_cap_in(root, ns, LINUX_CAP_SYS_ADMIN));
    creds_unref(inside);
    user_ns_unref(ns);
    creds_unref(plain);
    creds_unref(root);
    fixture_done(&f);
}

/* ---- timers ---- */

struct probe {
    struct ktimer timer;
    int64_t fired_at;
    _Atomic uint32_t *count;
};

static void probe_fire(struct ktimer *timer, int64_t now) {
    struct probe *p = container_of(timer, struct probe, timer);

    p->fired_at = now;
    atomic_fetch_add(p->count, 1);
    host_futex_wake(p->count, 1);
}
static const struct ktimer_ops g_probe_ops = {.fire = probe_fire};

TEST(timers_fire_in_order_and_not_early) {
    enum { COUNT = 50 };
    static struct probe probes[COUNT];
    _Atomic uint32_t count = 0;
    struct fixture f;

    fixture_init(&f);
    int64_t start = monotonic_ns();
    for (int i = 0; i < COUNT; i++) {
        ktimer_init(&probes[i].timer, f.kernel, &g_probe_ops);
        probes[i].count = &count;
        /* The first two do not come to fire. */
        ktimer_arm(&probes[i].timer,
                   start + (i < 2 ? 3600 * NSEC_PER_SEC : 1000000 + (i * 37 % COUNT) * 200000));
    }
    ASSERT_TRUE(ktimer_cancel(&probes[0].timer));
    ASSERT_FALSE(ktimer_cancel(&probes[0].timer));
    ktimer_arm(&probes[1].timer, CLOCK_NEVER);
    for (uint32_t seen; (seen = atomic_load(&count)) < COUNT - 2;)
        host_futex_wait(&count, seen, CLOCK_NEVER);
    for (int i = 0; i < COUNT; i++)
        ktimer_cancel_sync(&probes[i].timer);
    ASSERT_EQ(probes[0].fired_at, 0);
    ASSERT_EQ(probes[1].fired_at, 0);
    for (int i = 2; i < COUNT; i++)
        ASSERT_GE(probes[i].fired_at, start + 1000000 + (i * 37 % COUNT) * 200000);
    fixture_done(&f);
}

/* ---- wait queues ---- */

static uint32_t g_notified;
static void note(struct waiter *w, uint32_t events) {
    (void)w;
    g_notified |= events;
}
static const struct waiter_ops g_note_ops = {.notify = note};

TEST(wait_queues_wake_by_event_and_exclusively) {
    struct waitq q;
    struct waiter a, b, c;

    waitq_init(&q);
    waiter_init(&a, &g_note_ops, 1);
    waiter_init(&b, &g_note_ops, 2);
    waiter_init(&c, &g_note_ops, 2);
    b.exclusive = c.exclusive = true;
    waitq_add(&q, &a);
    waitq_add(&q, &b);
    waitq_add(&q, &c);
    waitq_wake(&q, 4);
    ASSERT_EQ(g_notified, 0);
    ASSERT_EQ(waitq_wake_some(&q, 2, 1), 1);
    ASSERT_EQ(waitq_wake_some(&q, 2, 5), 2);
    waitq_remove(&a);
    waitq_remove(&a);
    waitq_remove(&b);
    waitq_remove(&c);
    ASSERT_TRUE(waitq_empty(&q));
}

TEST(user_accounts_live_as_long_as_somebody_counts) {
    struct fixture f;

    fixture_init(&f);
    struct user_account *a = user_account_get(f.kernel->users, 1000),
                        *b = user_account_get(f.kernel->users, 1000);
    ASSERT_EQ(a, b);
    struct user_account *other = user_account_get(f.kernel->users, 1000 + USER_BUCKETS);
    ASSERT_NE(a, other);
    user_account_put(f.kernel->users, a);
    user_account_put(f.kernel->users, b);
    user_account_put(f.kernel->users, other);
    fixture_done(&f); /* user_table_free() asserts that none is left */
}
