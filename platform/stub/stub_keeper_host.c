/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_keeper_host.c: the keeper thread. It clones the zygote, so that it is the parent of
 * every stub (they clone with CLONE_PARENT) for as long as the platform lives: a parent's death signal fires
 * when the creating THREAD ends. It sleeps in waitid() for its own children alone (__WNOTHREAD), and so
 * neither disturbs other waits of the process, those of ptrace included, nor costs a descriptor per stub.
 *
 * A dead stub is first marked, then reaped: whoever finds `dead` unset under the table's lock may still use
 * the pid.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/stub/stub.h"
#include "platform/stub/stub_zygote.h"

enum keeper_state { KEEPER_STARTING, KEEPER_RUNS, KEEPER_FAILED, KEEPER_END };

struct stub_keeper {
    struct stub_platform *platform;
    const struct zygote_plan *plan; /* until it runs */
    pthread_t thread;
    _Atomic uint32_t state;
    int error; /* KEEPER_FAILED */
};

struct early_death {
    struct list link;
    pid_t pid;
    int status;
};

static struct list *bucket(struct stub_platform *p, pid_t pid) {
    return &p->spaces[(unsigned)pid % STUB_TABLE_BUCKETS];
}

static struct stub_space *find_locked(struct stub_platform *p, pid_t pid) {
    struct stub_space *s;
    list_for_each_entry(s, bucket(p, pid), table_link) {
        if (s->pid == pid)
            return s;
    }
    return NULL;
}

static void set_dead_locked(struct stub_space *s, int status) {
    atomic_store(&s->status, status);
    atomic_store(&s->dead, true);
    list_del(&s->table_link);
}

/* Marks what that process was; the table's reference passes to the caller. NULL: nobody knows it yet. */
static struct stub_space *mark_dead(struct stub_platform *p, pid_t pid, int status) {
    mutex_lock(&p->table);
    struct stub_space *s = find_locked(p, pid);
    if (s) {
        set_dead_locked(s, status);
    } else {
        struct early_death *e = malloc(sizeof(*e));
        if (e) { /* without it, its cloner finds out by a failing call */
            e->pid = pid;
            e->status = status;
            list_add(&p->early, &e->link);
        }
    }
    mutex_unlock(&p->table);
    return s;
}

void stub_keeper_register(struct stub_platform *p, struct stub_space *s) {
    struct early_death *e, *next;
    bool dead = false;
    mutex_lock(&p->table);
    list_for_each_entry_safe(e, next, &p->early, link) {
        if (e->pid != s->pid)
            continue;
        list_del(&e->link);
        atomic_store(&s->status, e->status);
        atomic_store(&s->dead, true);
        free(e);
        dead = true;
    }
    if (!dead) {
        atomic_fetch_add(&s->refs, 1);
        list_add(bucket(p, s->pid), &s->table_link);
    }
    mutex_unlock(&p->table);
}

/* Waits for the next stub to end; false if there is none left. */
static bool reap_one(struct stub_platform *p) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL | __WNOTHREAD))
        return errno == EINTR;
    /* exited: 0 to 255; killed: minus the signal */
    int status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    struct stub_space *s = mark_dead(p, info.si_pid, status);
    /* Before it is reaped: that throws away its entries in every procfs, for which the host's kernel loops
       while somebody walks them (ps), and longer the busier the host is. */
    if (s)
        stub_space_wake(s);
    siginfo_t gone;
    while (waitid(P_PID, (id_t)info.si_pid, &gone, WEXITED | __WALL | __WNOTHREAD) && errno == EINTR)
        ;
    log_debug(LOG_PLATFORM, "stub %d ended, status %d%s", (int)info.si_pid, status,
              s && s->killed ? " (killed by us)" : "");
    if (s)
        stub_space_put(s);
    return true;
}

static void set_state(struct stub_keeper *k, enum keeper_state state) {
    atomic_store(&k->state, state);
    stub_futex_wake(&k->state, 1);
}

static void *keeper_main(void *arg) {
    struct stub_keeper *k = arg;
    struct stub_platform *p = k->platform;
    pid_t pid;
    k->error = stub_zygote_clone(k->plan, &pid);
    if (k->error) {
        set_state(k, KEEPER_FAILED);
        return NULL;
    }
    p->zygote->pid = pid;
    stub_keeper_register(p, p->zygote);
    set_state(k, KEEPER_RUNS);
    for (;;) {
        while (reap_one(p))
            ;
        if (atomic_load(&k->state) == KEEPER_END) /* all are gone, the zygote too, and no more will come */
            return NULL;
        stub_futex_wait(&k->state, KEEPER_RUNS, -1); /* the zygote has died before its time */
    }
}

int stub_keeper_start(struct stub_platform *p, const struct zygote_plan *plan, struct err **err) {
    struct stub_keeper *k = calloc(1, sizeof(*k));
    if (!k)
        return err_set(err, ENOMEM, "platform.memory", "platform: no memory for the keeper thread");
    k->platform = p;
    k->plan = plan;
    p->keeper = k;
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSYS); /* a forbidden host call is reported, never silent */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&k->thread, NULL, keeper_main, k);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r) {
        free(k);
        p->keeper = NULL;
        return err_set(err, r, "platform.thread", "platform: cannot start the keeper thread");
    }
    while (atomic_load(&k->state) == KEEPER_STARTING)
        stub_futex_wait(&k->state, KEEPER_STARTING, -1);
    if (atomic_load(&k->state) == KEEPER_RUNS)
        return 0;
    pthread_join(k->thread, NULL);
    r = -k->error;
    free(k);
    p->keeper = NULL;
    return err_set(err, r, "platform.zygote", "platform: cannot clone the zygote");
}

void stub_keeper_stop(struct stub_platform *p) {
    struct stub_space *s;
    if (!p->keeper)
        return;
    mutex_lock(&p->table);
    p->ending = true;
    for (unsigned i = 0; i < STUB_TABLE_BUCKETS; i++)
        list_for_each_entry(s, &p->spaces[i], table_link) {
            atomic_store(&s->killed, true);
            kill(s->pid, SIGKILL);
        }
    mutex_unlock(&p->table);
    set_state(p->keeper, KEEPER_END);
    pthread_join(p->keeper->thread, NULL);
    struct early_death *e, *next;
    list_for_each_entry_safe(e, next, &p->early, link) {
        list_del(&e->link);
        free(e);
    }
    free(p->keeper);
    p->keeper = NULL;
}
