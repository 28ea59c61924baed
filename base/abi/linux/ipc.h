/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/ipc.h: guest ABI, x86-64: System V and POSIX queues: shared memory, semaphores, messages.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* control */
#define LINUX_IPC_PRIVATE 0
#define LINUX_IPC_CREAT   01000
#define LINUX_IPC_EXCL    02000
#define LINUX_IPC_NOWAIT  04000
#define LINUX_IPC_RMID    0
#define LINUX_IPC_SET     1
#define LINUX_IPC_STAT    2
#define LINUX_IPC_INFO    3
#define LINUX_IPC_64      0x100

/* shared memory */
#define LINUX_SHM_R          0400
#define LINUX_SHM_W          0200
#define LINUX_SHM_HUGETLB    04000
#define LINUX_SHM_NORESERVE  010000
#define LINUX_SHM_HUGE_SHIFT 26
#define LINUX_SHM_HUGE_MASK  0x3f
#define LINUX_SHM_RDONLY     010000
#define LINUX_SHM_RND        020000
#define LINUX_SHM_REMAP      040000
#define LINUX_SHM_EXEC       0100000
#define LINUX_SHM_LOCK       11
#define LINUX_SHM_UNLOCK     12
#define LINUX_SHM_STAT       13
#define LINUX_SHM_INFO       14
#define LINUX_SHM_STAT_ANY   15
#define LINUX_SHMMNI         4096
#define LINUX_SHMMIN         1

/* semaphores */
#define LINUX_SEM_UNDO     0x1000
#define LINUX_SEM_STAT     18
#define LINUX_SEM_INFO     19
#define LINUX_SEM_STAT_ANY 20
#define LINUX_GETPID       11
#define LINUX_GETVAL       12
#define LINUX_GETALL       13
#define LINUX_GETNCNT      14
#define LINUX_GETZCNT      15
#define LINUX_SETVAL       16
#define LINUX_SETALL       17
#define LINUX_SEMMNI       32000
#define LINUX_SEMMSL       32000
#define LINUX_SEMOPM       500
#define LINUX_SEMVMX       32767

/* messages */
#define LINUX_MSG_NOERROR  010000
#define LINUX_MSG_EXCEPT   020000
#define LINUX_MSG_COPY     040000
#define LINUX_MSG_STAT     11
#define LINUX_MSG_INFO     12
#define LINUX_MSG_STAT_ANY 13
#define LINUX_MSGMNI       32000
#define LINUX_MSGMAX       8192
#define LINUX_MSGMNB       16384

struct linux_ipc_perm {
    int32_t key;
    uint32_t uid, gid, cuid, cgid, mode;
    uint16_t seq, pad;
    uint64_t unused[2];
};
ABI_SIZE(linux_ipc_perm, 48);

struct linux_shmid_ds {
    struct linux_ipc_perm perm;
    uint64_t segsz;
    int64_t atime, dtime, ctime;
    int32_t cpid, lpid;
    uint64_t nattch, unused[2];
};
ABI_SIZE(linux_shmid_ds, 112);

struct linux_shminfo {
    uint64_t shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};
ABI_SIZE(linux_shminfo, 72);

struct linux_shm_info {
    int32_t used_ids;
    uint64_t total, rss, swapped, swap_attempts, swap_successes;
};
ABI_SIZE(linux_shm_info, 48);

struct linux_semid_ds {
    struct linux_ipc_perm perm;
    int64_t otime;
    uint64_t unused1;
    int64_t ctime;
    uint64_t unused2, nsems, unused3[2];
};
ABI_SIZE(linux_semid_ds, 104);

struct linux_sembuf {
    uint16_t num;
    int16_t op, flags;
};
ABI_SIZE(linux_sembuf, 6);

struct linux_seminfo {
    int32_t semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem;
};
ABI_SIZE(linux_seminfo, 40);

struct linux_msqid_ds {
    struct linux_ipc_perm perm;
    int64_t stime, rtime, ctime;
    uint64_t cbytes, qnum, qbytes;
    int32_t lspid, lrpid;
    uint64_t unused[2];
};
ABI_SIZE(linux_msqid_ds, 120);

struct linux_mq_attr {
    int64_t flags, maxmsg, msgsize, curmsgs, reserved[4];
};
ABI_SIZE(linux_mq_attr, 64);
