/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_apply_host.c: turns the sentry's operations on an address space into batches of host
 * calls.
 *
 * A file's descriptor travels by SCM_RIGHTS over one socket that all stubs share, so only one is under way at
 * a time (stub_platform.donation), and the batch that takes it begins with the recvmsg: whatever fails later,
 * it is not left for another stub to find. The number it gets is the lowest free one, FD_SPARE. Operations in
 * a row that name the same descriptor share it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/stub/stub.h"

enum { BATCH_MAX = CMD_LIST_SIZE - 2 }; /* room for the recvmsg and the close */

static bool advice_allowed(int advice) {
    switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case 24: /* MADV_DONTNEED_LOCKED */
    case 25: /* MADV_COLLAPSE */
        return true;
    default:
        return false;
    }
}

static uint64_t map_flags(const struct as_op *op) {
    uint64_t flags = MAP_FIXED;
    flags |= op->flags & AS_SHARED ? MAP_SHARED : MAP_PRIVATE;
    flags |= op->kind == AS_MAP_ANON ? MAP_ANONYMOUS : 0;
    flags |= op->flags & AS_NORESERVE ? MAP_NORESERVE : 0;
    flags |= op->flags & AS_POPULATE ? MAP_POPULATE : 0;
    flags |= op->flags & AS_LOCKED ? MAP_LOCKED : 0;
    return flags;
}

static struct stub_call remap_call(const struct as_op *op) {
    uint64_t flags = 0;
    if (op->new_addr != op->addr)
        flags = MREMAP_MAYMOVE | MREMAP_FIXED | (op->flags & AS_DONTUNMAP ? MREMAP_DONTUNMAP : 0);
    return (struct stub_call){SYS_mremap, {op->addr, op->old_len, op->len, flags, op->new_addr}};
}

static struct stub_call call_of(const struct as_op *op) {
    uint64_t prot = (uint64_t)(op->prot & (PROT_READ | PROT_WRITE | PROT_EXEC));
    switch (op->kind) {
    case AS_MAP_ANON:
        return (struct stub_call){SYS_mmap, {op->addr, op->len, prot, map_flags(op), ~0ull, 0}};
    case AS_MAP_FILE:
        return (struct stub_call){SYS_mmap, {op->addr, op->len, prot, map_flags(op), FD_SPARE, op->offset}};
    case AS_UNMAP:
        return (struct stub_call){SYS_munmap, {op->addr, op->len}};
    case AS_PROTECT:
        return (struct stub_call){SYS_mprotect, {op->addr, op->len, prot}};
    case AS_REMAP:
        return remap_call(op);
    case AS_ADVISE:
        return (struct stub_call){SYS_madvise, {op->addr, op->len, (uint64_t)op->advice}};
    case AS_LOCK:
        return (struct stub_call){op->flags & AS_LOCKED ? SYS_mlock : SYS_munlock, {op->addr, op->len}};
    }
    ASSERT(!"unknown operation");
    return (struct stub_call){0};
}

static bool in_guest_range(const struct stub_space *s, uint64_t addr, uint64_t len) {
    const struct platform_limits *l = &s->platform->base.limits;
    return addr % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && addr >= l->min_address &&
           addr <= l->max_address && len <= l->max_address - addr;
}

/* The caller has checked; a mistake there must not cost the stub's own pages. */
static int check_op(const struct stub_space *s, const struct as_op *op) {
    if (op->len == 0 || !in_guest_range(s, op->addr, op->kind == AS_REMAP ? op->old_len : op->len))
        return -EINVAL;
    if (op->kind == AS_REMAP && !in_guest_range(s, op->new_addr, op->len))
        return -EINVAL;
    if (op->kind == AS_MAP_ANON && op->flags & AS_SHARED)
        return -EINVAL; /* shared memory is the sentry's shared memory file */
    if (op->kind == AS_ADVISE && !advice_allowed(op->advice))
        return -EINVAL;
    return 0;
}

static int send_descriptor(struct stub_platform *p, int fd) {
    char byte = 0;
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(p->sockets[0], &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* After a stub died with a descriptor under way, which it may or may not have taken. */
static void drain_descriptors(struct stub_platform *p) {
    char byte;
    while (recv(p->sockets[1], &byte, 1, MSG_DONTWAIT) >=
           0) /* no room for control data: the descriptor is dropped */
        ;
}

struct piece { /* a run of operations that makes one batch */
    const struct as_op *ops;
    size_t count;
    int fd; /* donated, or -1 */
};

static struct piece next_piece(const struct stub_space *s, const struct as_op *ops, size_t count) {
    struct piece piece = {ops, 0, ops[0].kind == AS_MAP_FILE ? ops[0].fd : -1};
    while (piece.count < count && piece.count < BATCH_MAX) {
        const struct as_op *op = &ops[piece.count];
        if (check_op(s, op) || (op->kind == AS_MAP_FILE && op->fd != piece.fd))
            break;
        piece.count++;
    }
    return piece;
}

static int run_piece_locked(struct stub_space *s, const struct piece *piece, size_t *ret_done)
    REQUIRES(&s->lock) {
    uint32_t left = 0, total = (uint32_t)piece->count;
    if (piece->fd >= 0)
        stub_batch_add(s, 0, 0,
                       (struct stub_call){
                           SYS_recvmsg, {FD_SOCKET, STUB_CMD + offsetof(struct stub_command_page, message)}});
    for (size_t i = 0; i < piece->count; i++)
        stub_batch_add(s, DO_CHECK, 0, call_of(&piece->ops[i]));
    if (piece->fd >= 0) {
        stub_batch_add(s, 0, 0, (struct stub_call){SYS_close, {FD_SPARE}});
        total++; /* counts from the end: the recvmsg does not matter */
    }
    int64_t r = stub_batch_run(s, &left);
    *ret_done = r >= 0 ? piece->count : r == -ESRCH ? 0 : total - MIN(total, left + 1);
    if (r < 0 && r != -ESRCH && piece->fd >= 0) { /* the batch ended before its close */
        stub_batch_add(s, 0, 0, (struct stub_call){SYS_close, {FD_SPARE}});
        (void)stub_batch_run(s, NULL);
    }
    return r < 0 ? (int)r : 0;
}

static int run_with_descriptor_locked(struct stub_space *s, const struct piece *piece, size_t *ret_done)
    REQUIRES(&s->lock) {
    struct stub_platform *p = s->platform;
    mutex_lock(&p->donation);
    int r = send_descriptor(p, piece->fd);
    if (r == 0) {
        r = run_piece_locked(s, piece, ret_done);
        if (r == -ESRCH)
            drain_descriptors(p);
    }
    mutex_unlock(&p->donation);
    return r;
}

int stub_as_apply(struct address_space *as, const struct as_op *ops, size_t count, size_t *ret_done) {
    struct stub_space *s = stub_space_of(as);
    size_t done = 0;
    int r = 0;
    might_block();
    mutex_lock(&s->lock);
    while (r == 0 && done < count) {
        size_t part = 0;
        struct piece piece = next_piece(s, ops + done, count - done);
        if (piece.count == 0)
            r = -EINVAL;
        else if (piece.fd >= 0)
            r = run_with_descriptor_locked(s, &piece, &part);
        else
            r = run_piece_locked(s, &piece, &part);
        done += part;
    }
    mutex_unlock(&s->lock);
    if (ret_done)
        *ret_done = done;
    return r;
}
