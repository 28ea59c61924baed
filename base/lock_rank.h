/* SPDX-License-Identifier: Apache-2.0
 * base/lock_rank.h: the lock order of the whole project, outermost first.
 *
 * A thread may take a lock only if its rank is HIGHER than that of every lock it holds. Debug builds abort on
 * a breach and print both places. Two locks of one rank are taken only by mutex_lock_nested(), whose caller
 * states the rule (address order, parent first). docs/locking.md explains each and tests/tidy checks it
 * against this list.
 *
 * Locks before RANK_NOBLOCK may be held over a gofer request, a blocking host call or a copy of guest memory;
 * locks after it may not: might_block() asserts that.
 */
#pragma once

/* clang-format off */
enum lock_rank {
    RANK_NONE = 0,
    RANK_CONTROL = 10,          /* boot: one container's control operations */
    RANK_CONTAINERS = 20,       /* kernel: list of containers */
    RANK_EXEC = 30,             /* thread_group.exec_lock: one execve or credential change against ptrace */
    RANK_EPOLL_GRAPH = 34,      /* the graph of epoll files that watch epoll files */
    /* a host console's output: taken from the terminal and written to the host in one order */
    RANK_CONSOLE = 35,
    /* one epoll file's interest list, over ready() of what it watches; watcher before watched */
    RANK_EPOLL = 36,
    RANK_TTY = 40,              /* a terminal's line discipline */
    /* a pipe's readers, one at a time, over copies out and splices; not over waits */
    RANK_PIPE_READ = 66,
    /* likewise its writers; taken inside another pipe's RANK_PIPE_READ (tee, splice) */
    RANK_PIPE_WRITE = 68,
    RANK_FILE_POS = 70,         /* file.pos */
    RANK_FS_CONFIG = 72,        /* a file system in the making, over its mount */
    RANK_UNIX_FLIGHT = 73,      /* which unix sockets are in flight, and the search for rings of them */
    RANK_SOCKET = 74,           /* one unix or inet socket; two by address order */
    /* the four of an overlay that a guest mounts over one that a guest mounted, then those of the latter */
    RANK_STACK2_RENAME = 76,
    RANK_STACK2_DIR = 77,
    RANK_STACK2_INODE = 78,
    RANK_STACK2_OVERLAY = 79,
    RANK_STACK1_RENAME = 80,
    RANK_STACK1_DIR = 81,
    RANK_STACK1_INODE = 82,
    RANK_STACK1_OVERLAY = 83,
    RANK_RENAME = 90,           /* filesystem.rename_lock */
    /* inode.dir_lock: a directory's entries; parent before child, then address order */
    RANK_INODE_DIR = 100,
    RANK_INODE = 110,           /* inode.lock: size, data and attributes of one file */
    /* overlay's copy-up; calls into other file systems with inode locks of a lower layer */
    RANK_OVERLAY = 120,
    RANK_INODE_LOWER_DIR = 130, /* inode.dir_lock of a file system that serves as a layer of another */
    RANK_INODE_LOWER = 140,     /* inode.lock of such a file system */
    /* one change or look at interfaces, addresses, routes of any network namespace; directories of sysfs and procfs look */
    RANK_NETWORK_CONFIG = 142,
    RANK_FUTEX_PI = 145,        /* priority-inheriting futexes of one hash: queue and guest words together */
    RANK_MM = 150,              /* mm.lock: areas of one address space; two by address order (fork) */
    RANK_MAPPABLE = 160,        /* a file's list of mappings */
    RANK_AS = 170,              /* platform: one address space's batches */
    RANK_AS_DONATION = 175,     /* platform: one descriptor at a time is on its way to a stub */
    RANK_GOFER_EVENTS = 175,    /* the reader of one gofer session's inotify queue */
    RANK_GOFER_CONN = 180,      /* one connection to a gofer */
    RANK_HOSTFD_CACHE = 190,

    RANK_NOBLOCK = 200,

    RANK_MOUNTS = 210,          /* mount tree of the kernel */
    /* dentry.lock: parent, name, children; parent before child, else by address */
    RANK_DCACHE = 220,
    RANK_DCACHE_HASH = 224,     /* a stripe of the dentry hash */
    RANK_DCACHE_LRU = 226,      /* list of cached dentries */
    RANK_FD_TABLE = 230,        /* fd_table.lock */
    RANK_FS_CONTEXT = 240,      /* cwd, root, umask */
    RANK_FILE_LOCKS = 250,      /* POSIX, OFD and flock locks of one inode */
    RANK_FILE_LOCK_GRAPH = 254, /* POSIX lock owners that wait, of all inodes */
    RANK_PIPE = 260,            /* a pipe's ring; two by address order (splice, tee) */
    RANK_IPC = 264,             /* one IPC namespace: its tables, segments, semaphores, queues */
    RANK_EVENT = 270,           /* eventfd, timerfd, signalfd, inotify queues */
    RANK_FUTEX_BUCKET = 280,    /* two by index order */
    RANK_TASKSET = 290,         /* pid tables, thread groups, sessions, parents and children, wait state */
    /* thread_group.signal_lock: all pending queues, masks and the exit and stop state of one process */
    RANK_SIGHAND = 300,
    RANK_SIGACTIONS = 305,      /* sighand.lock: the table of actions, shared by CLONE_SIGHAND */
    RANK_TASK = 310,            /* task.lock: small per-task state */
    RANK_CREDS = 320,
    RANK_LIMITS = 330,
    RANK_NETLINK = 333,         /* the table of netlink sockets: their names and groups */
    RANK_NETLINK_QUEUE = 334,   /* what one netlink socket has received */
    RANK_NETWORK = 335,         /* network: when the stack's timer is armed for */
    RANK_TIMER = 340,           /* timer queue */
    /* any wait queue; an object's before that of an epoll file which watches it */
    RANK_WAITQ = 360,
    /* one epoll file's ready list: taken in wake-ups, with the object's wait queue held */
    RANK_EPOLL_READY = 365,
    RANK_WAITER = 370,          /* a task's wake-up word */
    RANK_NETSTACK = 380,
    RANK_MEMFILE = 390,         /* the shared memory file's allocator */
    RANK_HEAP = 400,            /* one heap cache */
    RANK_HEAP_ARENA = 410,
    RANK_HOSTREF = 420,
    RANK_REF_REGISTRY = 430,
    RANK_LOG = 440,
    RANK_LEAF = 450,
};
/* clang-format on */
