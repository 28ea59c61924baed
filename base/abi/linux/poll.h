/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/poll.h: guest ABI, x86-64: poll, select, epoll, eventfd, inotify.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* poll(2) */
#define LINUX_POLLIN     0x1
#define LINUX_POLLPRI    0x2
#define LINUX_POLLOUT    0x4
#define LINUX_POLLERR    0x8
#define LINUX_POLLHUP    0x10
#define LINUX_POLLNVAL   0x20
#define LINUX_POLLRDNORM 0x40
#define LINUX_POLLRDBAND 0x80
#define LINUX_POLLWRNORM 0x100
#define LINUX_POLLWRBAND 0x200
#define LINUX_POLLMSG    0x400
#define LINUX_POLLREMOVE 0x1000
#define LINUX_POLLRDHUP  0x2000

/* epoll_create1(2), epoll_ctl(2) */
#define LINUX_EPOLL_CLOEXEC 02000000
#define LINUX_EPOLL_CTL_ADD 1
#define LINUX_EPOLL_CTL_DEL 2
#define LINUX_EPOLL_CTL_MOD 3

/* epoll events */
#define LINUX_EPOLLIN        0x1
#define LINUX_EPOLLPRI       0x2
#define LINUX_EPOLLOUT       0x4
#define LINUX_EPOLLERR       0x8
#define LINUX_EPOLLHUP       0x10
#define LINUX_EPOLLNVAL      0x20
#define LINUX_EPOLLRDNORM    0x40
#define LINUX_EPOLLRDBAND    0x80
#define LINUX_EPOLLWRNORM    0x100
#define LINUX_EPOLLWRBAND    0x200
#define LINUX_EPOLLMSG       0x400
#define LINUX_EPOLLRDHUP     0x2000
#define LINUX_EPOLLEXCLUSIVE 0x10000000
#define LINUX_EPOLLWAKEUP    0x20000000
#define LINUX_EPOLLONESHOT   0x40000000
#define LINUX_EPOLLET        0x80000000u

/* eventfd2(2) */
#define LINUX_EFD_SEMAPHORE 1

/* inotify */
#define LINUX_IN_ACCESS        0x1
#define LINUX_IN_MODIFY        0x2
#define LINUX_IN_ATTRIB        0x4
#define LINUX_IN_CLOSE_WRITE   0x8
#define LINUX_IN_CLOSE_NOWRITE 0x10
#define LINUX_IN_OPEN          0x20
#define LINUX_IN_MOVED_FROM    0x40
#define LINUX_IN_MOVED_TO      0x80
#define LINUX_IN_CREATE        0x100
#define LINUX_IN_DELETE        0x200
#define LINUX_IN_DELETE_SELF   0x400
#define LINUX_IN_MOVE_SELF     0x800
#define LINUX_IN_UNMOUNT       0x2000
#define LINUX_IN_Q_OVERFLOW    0x4000
#define LINUX_IN_IGNORED       0x8000
#define LINUX_IN_CLOSE         0x18
#define LINUX_IN_MOVE          0xc0
#define LINUX_IN_ONLYDIR       0x1000000
#define LINUX_IN_DONT_FOLLOW   0x2000000
#define LINUX_IN_EXCL_UNLINK   0x4000000
#define LINUX_IN_MASK_CREATE   0x10000000
#define LINUX_IN_MASK_ADD      0x20000000
#define LINUX_IN_ISDIR         0x40000000
#define LINUX_IN_ONESHOT       0x80000000u
#define LINUX_IN_ALL_EVENTS    0xfff
#define LINUX_IN_CLOEXEC       0x80000
#define LINUX_IN_NONBLOCK      0x800

#define LINUX_EFD_CLOEXEC  02000000
#define LINUX_EFD_NONBLOCK 04000

struct linux_pollfd {
    int32_t fd;
    int16_t events, revents;
};
ABI_SIZE(linux_pollfd, 8);

struct __attribute__((packed)) linux_epoll_event {
    uint32_t events;
    uint64_t data;
};
ABI_SIZE(linux_epoll_event, 12);

/* select(2): bit n of the n/64th word */
#define LINUX_FD_SETSIZE 1024

/* pselect6(2): the sixth argument points at this */
struct linux_sigset_argpack {
    uint64_t set, size;
};
ABI_SIZE(linux_sigset_argpack, 16);

struct linux_inotify_event {
    int32_t wd;
    uint32_t mask, cookie, len;
    char name[];
};
ABI_SIZE(linux_inotify_event, 16);
