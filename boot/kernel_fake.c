/* SPDX-License-Identifier: Apache-2.0
 * boot/kernel_fake.c: the kernel seam without guests, for the tests of boot/ and runsc/: a "program" is one
 * of a few words that a thread plays. args[0], or its last path component: true, false; exit N; echo
 * WORDS...; cat (0 to 1); sleep MS; forever; missing -> as if not found; denied -> as if not executable A
 * fatal signal ends it with that signal; SIGUSR1 prints "usr1" on 1.
 */
#include "boot/kernel_seam.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/mutex.h"

struct fake_process {
    struct list node;
    struct boot_container *container;
    boot_pid_t pid;
    char **args;
    size_t arg_count;
    int stdio[3], wake_fd;
    bool init, started, ended;
    pthread_t thread;
    int signo; /* container lock */
};

struct boot_container {
    struct list node;
    struct boot_kernel *kernel;
    char *id;
    struct list processes; /* kernel lock */
    int gofer_fds[64];
    size_t gofer_count;
};

struct boot_kernel {
    struct boot_kernel_config config;
    struct mutex lock;
    struct list containers;
    boot_pid_t next_pid;
};

int boot_kernel_create(const struct boot_kernel_config *config, struct boot_kernel **ret, struct err **err) {
    struct boot_kernel *k = calloc(1, sizeof *k);

    if (!k)
        return err_set(err, ENOMEM, "out-of-memory", "making a kernel");
    k->config = *config;
    k->next_pid = 1;
    mutex_init(&k->lock, RANK_CONTAINERS);
    list_init(&k->containers);
    *ret = k;
    return 0;
}

int boot_port_forward(struct boot_kernel *k, int fd, uint16_t port, struct err **err) {
    (void)k, (void)port;
    close_fd(fd);
    return err_set(err, ENOSYS, "network.forward", "the fake kernel has no network");
}

int boot_network_configure(struct boot_kernel *k, const json_t *document, int *fds, size_t fd_count,
                           struct err **err) {
    (void)k, (void)document, (void)fds, (void)fd_count, (void)err;
    return 0;
}

void boot_kernel_destroy(struct boot_kernel *k) {
    free(k);
}

static void say(struct fake_process *p, const char *text) {
    if (p->stdio[1] >= 0)
        (void)!write(p->stdio[1], text, strlen(text));
}

static int taken_signal(struct fake_process *p) {
    uint64_t count;

    (void)!read(p->wake_fd, &count, sizeof count);
    mutex_lock(&p->container->kernel->lock);
    int signo = p->signo;
    p->signo = 0;
    mutex_unlock(&p->container->kernel->lock);
    if (signo == 10) {
        say(p, "usr1\n");
        signo = 0;
    }
    return signo == 28 || signo == 18 ? 0 : signo;
}

/* Until time is up (-1: never), input comes (fd >= 0), or a fatal signal, which it returns. */
static int doze(struct fake_process *p, int ms, int fd) {
    for (;;) {
        struct pollfd fds[2] = {{.fd = p->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
        int n = poll(fds, 2, ms);
        if (n == 0 || (fds[1].revents && !fds[0].revents))
            return 0;
        int signo = taken_signal(p);
        if (signo)
            return signo;
    }
}

static int play_cat(struct fake_process *p) {
    char buffer[4096];

    for (;;) {
        int signo = doze(p, -1, p->stdio[0]);
        if (signo)
            return signo;
        ssize_t n = read(p->stdio[0], buffer, sizeof buffer);
        if (n <= 0)
            return 0;
        (void)!write(p->stdio[1], buffer, (size_t)n);
    }
}

static int play(struct fake_process *p) {
    const char *slash = strrchr(p->args[0], '/'), *name = slash ? slash + 1 : p->args[0];
    const char *arg = p->arg_count > 1 ? p->args[1] : "0";

    if (strcmp(name, "false") == 0)
        return 1 << 8;
    if (strcmp(name, "exit") == 0)
        return (int)(strtol(arg, NULL, 10) & 255) << 8;
    if (strcmp(name, "sleep") == 0)
        return doze(p, (int)strtol(arg, NULL, 10), -1);
    if (strcmp(name, "forever") == 0)
        return doze(p, -1, -1);
    if (strcmp(name, "cat") == 0)
        return play_cat(p);
    if (strcmp(name, "echo") == 0)
        for (size_t i = 1; i < p->arg_count; i++) {
            say(p, p->args[i]);
            say(p, i + 1 < p->arg_count ? " " : "\n");
        }
    return 0;
}

static void end_process(struct fake_process *p, int status) {
    struct boot_container *c = p->container;
    struct boot_exit e = {.container_id = c->id,
                          .pid = p->pid,
                          .wait_status = status,
                          .is_init = p->init,
                          .reason = status & 127 ? END_SIGNAL : END_EXIT};

    for (int i = 0; i < 3; i++)
        closep(&p->stdio[i]);
    mutex_lock(&c->kernel->lock);
    p->ended = true;
    mutex_unlock(&c->kernel->lock);
    c->kernel->config.on_exit(c->kernel->config.arg, &e);
}

static void *process_thread(void *arg) {
    struct fake_process *p = arg;

    end_process(p, play(p));
    return NULL;
}

int boot_exec_error(struct err **err, const char *program, int errnum) {
    if (errnum == ENOENT && !strchr(program, '/'))
        return err_set(err, ENOENT, "exec.not-found", "exec: \"%s\": executable file not found in $PATH",
                       program);
    return err_set(err, errnum, errnum == ENOENT ? "exec.not-found" : "exec.denied", "exec: \"%s\"", program);
}

static struct fake_process *process_new(struct boot_container *c, const struct boot_process *b, bool init,
                                        struct err **err) {
    struct fake_process *p = calloc(1, sizeof *p);
    const char *program = b->spec->args.items[0];

    (void)init;
    if (!p || strcmp(program, "missing") == 0 || strcmp(program, "/denied") == 0) {
        free(p);
        for (int i = 0; i < 3; i++)
            close_fd(b->stdio[i]);
        close_fd(b->tty_fd);
        for (size_t i = 0; i < b->extra_fd_count; i++)
            close_fd(b->extra_fds[i]);
        (void)boot_exec_error(err, program, strcmp(program, "/denied") == 0 ? EACCES : ENOENT);
        return NULL;
    }
    p->container = c;
    p->init = init;
    p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++)
        p->stdio[i] = b->spec->terminal ? fcntl(b->tty_fd, F_DUPFD_CLOEXEC, 3) : b->stdio[i];
    if (b->spec->terminal)
        close_fd(b->tty_fd);
    for (size_t i = 0; i < b->extra_fd_count; i++)
        close_fd(b->extra_fds[i]);
    p->arg_count = b->spec->args.count;
    p->args = calloc(p->arg_count + 1, sizeof(char *));
    for (size_t i = 0; i < p->arg_count; i++)
        p->args[i] = strdup(b->spec->args.items[i]);
    mutex_lock(&c->kernel->lock);
    p->pid = c->kernel->next_pid++;
    list_add_tail(&c->processes, &p->node);
    mutex_unlock(&c->kernel->lock);
    return p;
}

static int process_start(struct fake_process *p, struct err **err) {
    int r = pthread_create(&p->thread, NULL, process_thread, p);

    p->started = r == 0;
    return r ? err_set(err, r, "sandbox.threads", "starting a process") : 0;
}

int boot_container_create(struct boot_kernel *k, const struct boot_container_config *config,
                          struct boot_container **ret, boot_pid_t *ret_pid, struct err **err) {
    struct boot_container *c = calloc(1, sizeof *c);

    c->kernel = k;
    c->id = strdup(config->id);
    list_init(&c->processes);
    c->gofer_count = config->gofer_fd_count;
    memcpy(c->gofer_fds, config->gofer_fds, c->gofer_count * sizeof(int));
    mutex_lock(&k->lock);
    list_add_tail(&k->containers, &c->node);
    mutex_unlock(&k->lock);
    struct fake_process *p = process_new(c, &config->process, /* init= */ true, err);
    if (!p) {
        boot_container_destroy(c);
        return -ENOENT;
    }
    *ret = c;
    *ret_pid = p->pid;
    return 0;
}

int boot_container_start(struct boot_container *c, struct err **err) {
    struct fake_process *p = list_first_entry(&c->processes, struct fake_process, node);

    return process_start(p, err);
}

int boot_exec(struct boot_container *c, const struct boot_process *process, boot_pid_t *ret_pid,
              struct err **err) {
    struct fake_process *p = process_new(c, process, /* init= */ false, err);

    if (!p)
        return -ENOENT;
    *ret_pid = p->pid;
    return process_start(p, err);
}

int boot_signal(struct boot_container *c, enum boot_signal_scope scope, boot_pid_t pid, int signo) {
    struct fake_process *p, *unstarted = NULL;
    uint64_t one = 1;
    int r = -ESRCH;

    mutex_lock(&c->kernel->lock);
    list_for_each_entry(p, &c->processes, node) {
        if ((scope != SIGNAL_ALL && p->pid != pid) || p->ended)
            continue;
        r = 0;
        p->signo = signo;
        if (!p->started && signo == 9)
            unstarted = p;
        (void)!write(p->wake_fd, &one, sizeof one);
    }
    mutex_unlock(&c->kernel->lock);
    if (unstarted)
        end_process(unstarted, 9);
    return r;
}

int boot_set_winsize(struct boot_container *c, boot_pid_t pid, uint16_t rows, uint16_t columns) {
    (void)rows;
    (void)columns;
    return boot_signal(c, SIGNAL_PROCESS, pid, 28);
}

void boot_container_update(struct boot_container *c, const struct spec *resources) {
    (void)c, (void)resources;
}

int boot_container_pause(struct boot_container *c, struct err **err) {
    (void)c;
    (void)err;
    return 0;
}

int boot_container_resume(struct boot_container *c, struct err **err) {
    (void)c;
    (void)err;
    return 0;
}

size_t boot_container_pids(struct boot_container *c, boot_pid_t *pids, size_t max) {
    struct fake_process *p;
    size_t n = 0;

    mutex_lock(&c->kernel->lock);
    list_for_each_entry(p, &c->processes, node) if (!p->ended && n++ < max) pids[n - 1] = p->pid;
    mutex_unlock(&c->kernel->lock);
    return n;
}

void boot_container_destroy(struct boot_container *c) {
    (void)!boot_signal(c, SIGNAL_ALL, 0, 9);
    mutex_lock(&c->kernel->lock);
    list_del(&c->node);
    mutex_unlock(&c->kernel->lock);
    for (size_t i = 0; i < c->gofer_count; i++)
        close_fd(c->gofer_fds[i]);
    struct fake_process *p, *next;
    list_for_each_entry_safe(p, next, &c->processes, node) {
        if (p->started)
            pthread_join(p->thread, NULL);
        for (size_t i = 0; i < p->arg_count; i++)
            free(p->args[i]);
        free(p->args);
        close_fd(p->wake_fd);
        list_del(&p->node);
        free(p);
    }
    free(c->id);
    free(c);
}
