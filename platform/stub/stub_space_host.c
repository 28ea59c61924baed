/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_space_host.c: one host process per guest address space: its life, and the batches that
 * its helper runs.
 *
 * A batch is published on the space's command page (read-only in the stub), which wakes the helper; the
 * report comes back in a word of the helper's kernel task that only it can set (set_robust_list) and that the
 * sentry reads (get_robust_list). The bell beside it lies in memory that guest threads can write. What a
 * hostile guest can do with it is put an old value back between the helper's store and the sentry's sleep, so
 * that a wake-up is lost: hence the sleep's timeout, which an honest guest never sees run out except in long
 * calls. The death of a helper shows as a missing robust list, and by the keeper's mark.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "platform/stub/stub.h"
#include "platform/stub/stub_thread.h"

enum { BELL_FIRST_NS = 10000000, BELL_MAX_NS = 200000000 };

/* ---- batches ---- */

void stub_batch_add(struct stub_space *s, uint32_t flags, uint32_t extra, struct stub_call call) {
    if (s->published)
        (void)stub_batch_collect(s, NULL);
    ASSERT(s->count < CMD_LIST_SIZE);
    struct stub_command *c = &s->commands->list[s->count++];
    c->number = (uint64_t)call.number;
    memcpy(c->arg, call.arg, sizeof(c->arg));
    c->flags = flags;
    c->extra = extra;
}

void stub_batch_publish(struct stub_space *s) {
    ASSERT(!s->published);
    s->commands->count = s->count;
    s->count = 0;
    s->batch++;
    s->published = true;
    bool unborn = s->pid == 0 && s->batch == 1;
    if (!unborn)
        stub_helper_follow(&s->platform->cpus, s->pid, &s->helper_cpu);
    atomic_store(&s->commands->turn, s->batch);
    if (!unborn) /* a helper looks at its page before it sleeps */
        stub_futex_wake(&s->commands->turn, 1);
}

/* The helper's robust list head; 0 once it has none, that is before its first report and after its death. */
static uint64_t read_report(struct stub_space *s) {
    uint64_t head = 0;
    size_t size;
    if (syscall(SYS_get_robust_list, s->pid, &head, &size))
        return 0;
    return head;
}

static bool await_report(struct stub_space *s, uint64_t *ret_report) {
    uint64_t wanted = 1ull << (63 - REPORT_BATCH_SHIFT) | (s->batch & REPORT_BATCH_MASK);
    for (int64_t timeout = BELL_FIRST_NS;; timeout = MIN(timeout * 2, BELL_MAX_NS)) {
        uint32_t seen = atomic_load(&s->messages->bell);
        uint64_t report = read_report(s);
        if (report >> REPORT_BATCH_SHIFT == wanted) {
            *ret_report = report;
            return true;
        }
        if (atomic_load(&s->dead) || (report == 0 && s->started))
            return false;
        stub_futex_wait(&s->messages->bell, seen, timeout);
    }
}

int64_t stub_batch_collect(struct stub_space *s, uint32_t *ret_left) {
    uint64_t report;
    ASSERT(s->published);
    s->published = false;
    if (!await_report(s, &report)) {
        s->broken = true;
        stub_space_kill(s); /* a helper that ended alone leaves nothing of use */
        return -ESRCH;
    }
    bool failed = report & 1ull << REPORT_FAILED_BIT;
    uint32_t left = failed ? (uint32_t)(report >> REPORT_LEFT_SHIFT) & 0xffff : 0;
    int64_t value =
        failed ? -(int64_t)(report & 0xfff) : (int64_t)(report & ((1ull << REPORT_FAILED_BIT) - 1));
    if (!s->started) {
        s->started = true;
        s->first_thread = value; /* the last command's: without a thread the space is good all the same */
        s->broken = left > 0;
    }
    if (ret_left)
        *ret_left = left;
    return value;
}

static bool can_run(struct stub_space *s) REQUIRES(&s->lock) {
    return !s->broken && !atomic_load(&s->dead);
}

int64_t stub_batch_run(struct stub_space *s, uint32_t *ret_left) {
    if (s->published)
        (void)stub_batch_collect(s, NULL);
    if (!can_run(s)) {
        s->count = 0;
        return -ESRCH;
    }
    stub_batch_publish(s);
    return stub_batch_collect(s, ret_left);
}

int64_t stub_space_run(struct stub_space *s, uint32_t flags, uint32_t extra, struct stub_call call) {
    mutex_lock(&s->lock);
    stub_batch_add(s, flags, extra, call);
    int64_t r = stub_batch_run(s, NULL);
    mutex_unlock(&s->lock);
    return r;
}

int64_t stub_space_first_thread(struct stub_space *s) {
    mutex_lock(&s->lock);
    if (s->published)
        (void)stub_batch_collect(s, NULL);
    int64_t thread = s->first_thread;
    s->first_thread = 0;
    mutex_unlock(&s->lock);
    return thread;
}

/* ---- life ---- */

/* The helper's recvmsg: header and iovec on the read-only page, so that the call ends in EFAULT with the
   descriptor installed and nothing that a guest could change decides anything; the control data goes where
   nobody reads it. */
static void fill_message(struct stub_command_page *c) {
    uint64_t at = STUB_CMD + offsetof(struct stub_command_page, message), scratch = STUB_BASE + MSG_SCRATCH;
    struct iovec part = {(void *)(scratch + 1024), 1};
    struct msghdr header = {
        .msg_iov = (void *)(at + sizeof(struct msghdr)),
        .msg_iovlen = 1,
        .msg_control = (void *)scratch,
        .msg_controllen = CMSG_SPACE(sizeof(int)),
    };
    static_assert(sizeof(header) + sizeof(part) <= sizeof(c->message), "message");
    memcpy(c->message, &header, sizeof(header));
    memcpy(c->message + sizeof(header), &part, sizeof(part));
}

int stub_space_new(struct stub_platform *p, struct stub_space **ret) {
    void *commands, *messages;
    struct stub_space *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->platform = p;
    s->refs = s->users = 1;
    s->mem_fd = -1;
    s->helper_cpu = -1;
    list_init(&s->table_link);
    list_init(&s->waiters);
    list_init(&s->parked);
    mutex_init(&s->lock, RANK_AS);
    int r = stub_file_get(&p->commands, &s->command_index, &commands);
    if (r) {
        free(s);
        return r;
    }
    r = stub_file_get(&p->messages, &s->message_index, &messages);
    if (r) {
        stub_file_put(&p->commands, s->command_index);
        free(s);
        return r;
    }
    s->commands = commands;
    s->messages = messages;
    fill_message(s->commands);
    *ret = s;
    return 0;
}

struct stub_space *stub_space_ref(struct stub_space *s) {
    atomic_fetch_add(&s->users, 1);
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void stub_space_put(struct stub_space *s) {
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    /* reaped, or never made: the pages are nobody's */
    int fd = s->mem_fd;
    close_fd(fd);
    if (s->platform->hooks->free)
        s->platform->hooks->free(s);
    stub_slots_free(s);
    stub_file_put(&s->platform->messages, s->message_index);
    memset(s->commands, 0, offsetof(struct stub_command_page, list)); /* only the sentry ever wrote there */
    stub_file_put_clean(&s->platform->commands, s->command_index);
    free(s);
}

void stub_space_unref(struct stub_space *s) {
    if (!s)
        return;
    if (atomic_fetch_sub(&s->users, 1) == 1)
        stub_space_kill(s);
    stub_space_put(s);
}

void stub_space_kill(struct stub_space *s) {
    struct stub_platform *p = s->platform;
    mutex_lock(&p->table);
    if (!atomic_load(&s->dead) && s->pid > 0) {
        atomic_store(&s->killed, true);
        kill(s->pid, SIGKILL);
    }
    mutex_unlock(&p->table);
}

void stub_waiter_add(struct stub_space *s, struct stub_waiter *w) {
    mutex_lock(&s->platform->table);
    list_add(&s->waiters, &w->link);
    mutex_unlock(&s->platform->table);
}

void stub_waiter_remove(struct stub_space *s, struct stub_waiter *w) {
    mutex_lock(&s->platform->table);
    list_del(&w->link);
    mutex_unlock(&s->platform->table);
}

void stub_space_wake(struct stub_space *s) {
    struct stub_waiter *w;
    mutex_lock(&s->platform->table);
    list_for_each_entry(w, &s->waiters, link) {
        atomic_store(w->word, 0);
        stub_futex_wake(w->word, INT32_MAX);
    }
    mutex_unlock(&s->platform->table);
    atomic_fetch_add(&s->messages->bell, 1);
    stub_futex_wake(&s->messages->bell, INT32_MAX);
}

bool stub_space_oom(struct stub_space *s) {
    return atomic_load(&s->dead) && !atomic_load(&s->killed) && atomic_load(&s->status) == -SIGKILL;
}

/* ---- clones ---- */

/* What a new helper does before anything else. It is put on its page before it exists. */
static int publish_first_batch(struct stub_space *s, struct stub_space *parent) REQUIRES(&s->lock)
    REQUIRES(&parent->lock) {
    struct stub_platform *p = s->platform;
    uint64_t offset = (uint64_t)s->message_index * p->messages.unit;
    stub_batch_add(s, DO_CHECK, 0, (struct stub_call){SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}});
    /* if the sandbox died before that, its death signal will never come */
    stub_batch_add(s, DO_EXPECT, (uint32_t)p->pid, (struct stub_call){SYS_getppid, {0}});
    stub_batch_add(s, DO_CHECK, 0,
                   (struct stub_call){SYS_mmap,
                                      {STUB_BASE, p->messages.unit, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_FIXED, FD_MSG, offset}});
    if (parent->chunk_count)
        stub_batch_add(s, DO_CHECK, 0,
                       (struct stub_call){
                           SYS_munmap,
                           {STUB_BASE + p->messages.unit, (uint64_t)parent->chunk_count * p->messages.unit}});
    int r = p->hooks->fork(parent, s);
    if (r == 0)
        stub_batch_publish(s);
    return r;
}

/* If its cloner died in the midst, a child may exist that nobody knows: it finds this as its next batch. Its
   pages are never used again. */
static void abandon(struct stub_space *s) {
    struct stub_platform *p = s->platform;
    mutex_lock(&s->lock);
    s->published = false;
    stub_batch_add(s, 0, 0, (struct stub_call){SYS_exit_group, {0}});
    stub_batch_publish(s);
    mutex_unlock(&s->lock);
    mutex_lock(&p->table);
    list_add(&p->abandoned, &s->table_link);
    mutex_unlock(&p->table);
    log_warning(LOG_PLATFORM, "a stub died while it forked: command page %u is given up", s->command_index);
}

/* Clones wait in the order in which they came: all address spaces begin at the zygote, a mutex lets late
   comers overtake, and on a crowded host the helper's part takes long enough to starve somebody. */
static void take_turn(struct stub_space *from) {
    uint32_t mine = atomic_fetch_add(&from->clone_next, 1), now;
    while ((now = atomic_load(&from->clone_now)) != mine)
        stub_futex_wait(&from->clone_now, now, -1);
}

static void end_turn(struct stub_space *from) {
    atomic_fetch_add(&from->clone_now, 1);
    if (atomic_load(&from->clone_next) != atomic_load(&from->clone_now))
        stub_futex_wake(&from->clone_now, INT32_MAX);
}

static int64_t clone_helper(struct stub_space *from, struct stub_space *s, bool *ret_tried) {
    mutex_lock(&from->lock);
    mutex_lock_nested(&s->lock); /* nobody else knows it yet */
    int64_t pid = publish_first_batch(s, from);
    mutex_unlock(&s->lock);
    *ret_tried = pid == 0 && can_run(from);
    if (pid) {
        mutex_unlock(&from->lock);
        return pid;
    }
    stub_batch_add(from, DO_CHECK | DO_KEEP | DO_PROCESS, s->command_index,
                   (struct stub_call){SYS_clone, {STUB_PROCESS_FLAGS}});
    pid = stub_batch_run(from, NULL);
    s->helper_cpu = from->helper_cpu; /* inherited */
    mutex_unlock(&from->lock);
    return pid;
}

int stub_space_clone(struct stub_space *from, struct stub_space **ret) {
    struct stub_platform *p = from->platform;
    struct stub_space *s;
    might_block();
    int r = stub_space_new(p, &s);
    if (r)
        return r;
    bool tried;
    take_turn(from);
    int64_t pid = clone_helper(from, s, &tried);
    end_turn(from);
    if (pid == -ESRCH && tried) {
        abandon(s);
        return -ESRCH;
    }
    if (pid <= 0) {
        stub_space_put(s);
        return pid == -EAGAIN || pid == -ESRCH ? (int)pid : -ENOMEM;
    }
    s->pid = (pid_t)pid;
    stub_keeper_register(p, s);
    *ret = s;
    return 0;
}

int stub_as_create(struct platform *base, struct address_space **ret_as) {
    struct stub_platform *p = (struct stub_platform *)base;
    return stub_space_clone(p->zygote, (struct stub_space **)ret_as);
}

int stub_as_fork(struct address_space *as, struct address_space **ret_as) {
    return stub_space_clone(stub_space_of(as), (struct stub_space **)ret_as);
}

void stub_as_kill(struct address_space *as) {
    stub_space_kill(stub_space_of(as));
}

void stub_as_unref(struct address_space *as) {
    stub_space_unref(stub_space_of(as));
}
