/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_gc.c: files in flight: how many, and rings of sockets that hold only each other.
 * Source: unix(7) "SCM_RIGHTS", getrlimit(2) "RLIMIT_NOFILE".
 *
 * A socket whose file only messages refer to is suspect: it may lie in its own queue, or in that of another
 * such socket. Of the suspects those live that a message of any other queue holds, and all that they lead to;
 * the queues of the rest are emptied, and so the files end. Looked for when a unix socket is closed, as only
 * that can cut a ring off.
 *
 * Why nobody can get hold of a socket that was found to be garbage: a file reference is had from a
 * descriptor, from a message that is taken (unix_flight_end() waits for the search, and until then the
 * message counts and is in no queue, so what it holds lives), or by looking at one that stays
 * (unix_flight_looked() waits likewise, while the looker holds the socket whose queue it is in, which
 * therefore is no suspect or was looked at before the descriptor of a suspect could be used to close it).
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/resource.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/users.h"
#include "sentry/socket/unix/unix_internal.h"

void unix_flight_init(struct unix_flight *f) {
    mutex_init(&f->lock, RANK_UNIX_FLIGHT);
    list_init(&f->socks);
}

static struct kernel *the_kernel(void) {
    return heap_root();
}

/* ---- counting ---- */

int unix_flight_begin(struct task *t, struct socket_control *c) {
    struct unix_flight *f = unix_flight_of(t->kernel);
    struct user_ns *root = t->kernel->root_user_ns;

    if (!f)
        return -ENOMEM;
    if ((uint64_t)atomic_load(&t->account->files_in_flight) > task_limit(t, LINUX_RLIMIT_NOFILE) &&
        !task_capable_in(t, root, LINUX_CAP_SYS_RESOURCE) && !task_capable_in(t, root, LINUX_CAP_SYS_ADMIN))
        return -ETOOMANYREFS;
    c->payer = user_account_ref(t->kernel->users, t->account);
    atomic_fetch_add(&c->payer->files_in_flight, (int64_t)c->file_count);
    mutex_lock(&f->lock);
    for (size_t i = 0; i < c->file_count; i++) {
        struct unix_sock *s = unix_sock_of_file(c->files[i]);
        if (!s)
            continue;
        if (s->flight_count++ == 0) {
            s->flight_file = c->files[i];
            list_add_tail(&f->socks, &s->flight_node);
        }
    }
    mutex_unlock(&f->lock);
    return 0;
}

void unix_flight_end(struct socket_control *c) {
    if (!c->payer)
        return;
    struct unix_flight *f = unix_flight_of(the_kernel());
    mutex_lock(&f->lock);
    for (size_t i = 0; i < c->file_count; i++) {
        struct unix_sock *s = unix_sock_of_file(c->files[i]);
        if (s && --s->flight_count == 0)
            list_del(&s->flight_node);
    }
    mutex_unlock(&f->lock);
    atomic_fetch_sub(&c->payer->files_in_flight, (int64_t)c->file_count);
    user_account_put(the_kernel()->users, c->payer);
    c->payer = NULL;
}

void unix_flight_looked(const struct socket_control *c) {
    if (c->file_count == 0)
        return;
    struct unix_flight *f = unix_flight_of(the_kernel());
    mutex_lock(&f->lock);
    mutex_unlock(&f->lock);
}

/* ---- rings ---- */

typedef void child_fn(struct unix_sock *child, struct list *list);

static void each_in_queue_locked(struct unix_sock *s, child_fn *fn, struct list *list) {
    struct unix_message *m;

    list_for_each_entry(m, &s->messages, node) {
        for (size_t i = 0; m->control.payer && i < m->control.file_count; i++) {
            struct unix_sock *child = unix_sock_of_file(m->control.files[i]);
            if (child && child->suspect)
                fn(child, list);
        }
    }
}

/* Every suspect that a message to s holds, or to a connection that s has yet to accept. */
static void each_child(struct unix_sock *s, child_fn *fn, struct list *list) NO_TSA {
    struct unix_sock *embryo;

    mutex_lock(&s->lock);
    each_in_queue_locked(s, fn, list);
    list_for_each_entry(embryo, &s->accept_queue, accept_node) {
        mutex_lock_nested(&embryo->lock);
        each_in_queue_locked(embryo, fn, list);
        mutex_unlock(&embryo->lock);
    }
    mutex_unlock(&s->lock);
}

static void count_inside(struct unix_sock *child, struct list *unused) {
    (void)unused;
    child->outside--;
}

static void let_live(struct unix_sock *child, struct list *alive) {
    child->suspect = false;
    list_del(&child->flight_node);
    list_add_tail(alive, &child->flight_node);
}

static void take_messages_locked(struct unix_sock *s, struct list *ret_messages) {
    struct unix_message *m, *next;

    list_for_each_entry_safe(m, next, &s->messages, node) {
        if (!m->control.payer)
            continue;
        list_del(&m->node);
        list_add_tail(ret_messages, &m->node);
        s->queued_bytes -= m->size - m->offset;
        s->queued_messages--;
    }
}

static void empty_queues(struct unix_sock *s, struct list *ret_messages) NO_TSA {
    struct unix_sock *embryo;

    mutex_lock(&s->lock);
    take_messages_locked(s, ret_messages);
    list_for_each_entry(embryo, &s->accept_queue, accept_node) {
        mutex_lock_nested(&embryo->lock);
        take_messages_locked(embryo, ret_messages);
        mutex_unlock(&embryo->lock);
    }
    mutex_unlock(&s->lock);
}

/* Under f->lock. Messages that hold what is out of reach go to ret_messages. */
static void search_locked(struct unix_flight *f, struct list *ret_messages) {
    struct unix_sock *s, *next;
    struct list alive;

    list_init(&alive);
    list_for_each_entry(s, &f->socks, flight_node) {
        s->suspect = atomic_load(&s->flight_file->ref.count) == s->flight_count;
        s->outside = s->flight_count;
    }
    list_for_each_entry(s, &f->socks, flight_node) {
        if (s->suspect)
            each_child(s, count_inside, NULL);
    }
    list_for_each_entry_safe(s, next, &f->socks, flight_node) {
        if (s->suspect && s->outside > 0)
            let_live(s, &alive);
    }
    list_for_each_entry(s, &alive, flight_node) /* grows while it goes */
        each_child(s, let_live, &alive);
    list_for_each_entry(s, &f->socks, flight_node) {
        if (s->suspect)
            empty_queues(s, ret_messages);
        s->suspect = false;
    }
    list_splice_tail(&f->socks, &alive);
}

void unix_flight_collect(void) {
    struct unix_flight *f = unix_flight_of(the_kernel());
    struct unix_message *m, *next;
    struct list messages;

    if (!f)
        return;
    list_init(&messages);
    mutex_lock(&f->lock);
    f->again = f->searching; /* what ends while messages are dropped comes here too */
    if (list_empty(&f->socks) || f->searching) {
        mutex_unlock(&f->lock);
        return;
    }
    f->searching = true;
    do {
        f->again = false;
        search_locked(f, &messages);
        mutex_unlock(&f->lock);
        list_for_each_entry_safe(m, next, &messages, node) {
            list_del(&m->node);
            unix_message_free(m);
        }
        mutex_lock(&f->lock);
    } while (f->again);
    f->searching = false;
    mutex_unlock(&f->lock);
}
