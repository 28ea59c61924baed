/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/sysv_ipc.c: System V shared memory, semaphores and message queues, and IPC namespaces. Each
 * check makes a namespace of its own where it may, so that nothing outlives it. Sources: sysvipc(7),
 * shmop(2), shmctl(2), semop(2), semctl(2), msgop(2), msgctl(2), ipc_namespaces(7).
 */
#include "conform.h"

#include <linux/futex.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

static void own_namespace(void) {
    if (!is_root())
        check_skip("needs root for a namespace of its own");
    OK(unshare(CLONE_NEWIPC));
}

static struct shmid_ds shm_state(int id) {
    struct shmid_ds d;
    OK(shmctl(id, IPC_STAT, &d));
    return d;
}

/* ---- shared memory ---- */

CHECK(shm_get_by_key) {
    own_namespace();
    ERR(shmget(77, 4096, 0600), ENOENT);
    ERR(shmget(77, 0, IPC_CREAT | 0600), EINVAL);
    int id = OK(shmget(77, 5000, IPC_CREAT | 0640));
    EQ(shmget(77, 0, 0), id);
    EQ(shmget(77, 5000, IPC_CREAT | 0600), id);
    ERR(shmget(77, 5001, 0), EINVAL);
    ERR(shmget(77, 5000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    ERR(shmget(77, 6000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    int other = OK(shmget(IPC_PRIVATE, 1, 0600)), third = OK(shmget(IPC_PRIVATE, 1, 0600));
    TRUE(id != other && other != third);
    struct shmid_ds d = shm_state(id);
    EQ(d.shm_perm.__key, 77);
    EQ(d.shm_segsz, 5000);
    EQ(d.shm_perm.mode, 0640);
    EQ(d.shm_nattch, 0);
    EQ(d.shm_cpid, getpid());
    EQ(d.shm_lpid, 0);
    EQ(d.shm_atime, 0);
    EQ(d.shm_dtime, 0);
    TRUE(d.shm_ctime != 0);
    ERR(shmget(IPC_PRIVATE, ~0ul, 0600), EINVAL);
    ERR(shmctl(id, 99, &d), EINVAL);
    ERR(shmctl(-1, IPC_STAT, &d), EINVAL);
    ERR(shmctl(id, -1, &d), EINVAL);
    ERR(syscall(SYS_shmctl, id, IPC_STAT, 16), EFAULT);
    ERR(syscall(SYS_shmctl, id, IPC_SET, 16), EFAULT);
}

CHECK(shm_attach_and_share) {
    own_namespace();
    int id = OK(shmget(IPC_PRIVATE, 3 * 4096, 0600));
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    TRUE(a != (void *)-1 && b != (void *)-1 && a != b);
    strcpy(a + 4096, "hello");
    STREQ(b + 4096, "hello");
    EQ(shm_state(id).shm_nattch, 2);
    EQ(shm_state(id).shm_lpid, getpid());
    ERR(mprotect(b, 4096, PROT_READ | PROT_WRITE), EACCES);
    pid_t pid = fork();
    if (pid == 0) {
        EQ(shm_state(id).shm_nattch, 4);
        strcpy(a, "from the child");
        OK(shmdt(a));
        EQ(shm_state(id).shm_nattch, 3);
        EQ(shm_state(id).shm_lpid, getpid());
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    STREQ(b, "from the child");
    EQ(shm_state(id).shm_nattch, 2);
    EQ(shm_state(id).shm_lpid, pid);
    TRUE(shm_state(id).shm_dtime != 0);
    OK(shmdt(a));
    ERR(shmdt(a), EINVAL);
    ERR(shmdt(b + 4096), EINVAL);
    ERR(shmdt(b + 1), EINVAL);
    OK(shmdt(b));
    EQ(shm_state(id).shm_nattch, 0);
    a = shmat(id, NULL, 0);
    STREQ(a + 4096, "hello");
}

CHECK(shm_addresses) {
    own_namespace();
    int id = OK(shmget(IPC_PRIVATE, 2 * 4096, 0700));
    char *room = OKP(mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ERRP(shmat(id, room, 0), EINVAL);
    ERRP(shmat(id, room + 1, 0), EINVAL);
    ERRP(shmat(id, NULL, SHM_REMAP), EINVAL);
    ERRP(shmat(-1, NULL, 0), EINVAL);
    ERRP(shmat(id + 1, NULL, 0), EINVAL);
    EQ(shmat(id, room + 100, SHM_REMAP | SHM_RND), room);
    strcpy(room, "here");
    OK(munmap(room + 4096, 7 * 4096));
    EQ(shmat(id, room + 4096, SHM_EXEC), room + 4096);
    STREQ(room + 4096, "here");
    OK(shmdt(room + 4096));
    EQ(shm_state(id).shm_nattch, 1);
    /* What munmap left of it goes with shmdt, by the address where it was attached. */
    EQ(shmat(id, room + 4096, 0), room + 4096);
    OK(munmap(room + 4096, 4096));
    EQ(shm_state(id).shm_nattch, 2);
    OK(shmdt(room + 4096));
    EQ(shm_state(id).shm_nattch, 1);
}

CHECK(shm_removal_waits_for_the_last_detach) {
    own_namespace();
    int id = OK(shmget(5, 4096, IPC_CREAT | 0600));
    char *a = shmat(id, NULL, 0);
    OK(shmctl(id, IPC_RMID, NULL));
    ERR(shmget(5, 4096, 0), ENOENT);
    struct shmid_ds d = shm_state(id);
    EQ(d.shm_perm.mode, 01600);
    EQ(d.shm_perm.__key, 0);
    char *b = shmat(id, NULL, 0);
    strcpy(a, "still");
    STREQ(b, "still");
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    EQ(wait_exit(pid), 0);
    OK(shmdt(a));
    OK(shmctl(id, IPC_STAT, &d));
    OK(shmdt(b));
    ERR(shmctl(id, IPC_STAT, &d), EINVAL);
    ERRP(shmat(id, NULL, 0), EINVAL);
    int again = OK(shmget(5, 4096, IPC_CREAT | 0600));
    TRUE(again != id);
    OK(shmctl(again, IPC_RMID, NULL));
    ERR(shmctl(again, IPC_RMID, NULL), EINVAL);
}

CHECK(shm_execve_detaches) {
    own_namespace();
    int id = OK(shmget(IPC_PRIVATE, 4096, 0600));
    TRUE(shmat(id, NULL, 0) != (void *)-1);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sleep", "sleep", "0.2", NULL);
        _exit(1);
    }
    WAIT_UNTIL(shm_state(id).shm_nattch == 1);
    EQ(wait_exit(pid), 0);
}

CHECK(shm_rights) {
    struct shmid_ds d;

    own_namespace();
    int id = OK(shmget(9, 4096, IPC_CREAT | 0604));
    OK(shmctl(id, IPC_STAT, &d));
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        ERRP(shmat(id, NULL, 0), EACCES);
        TRUE(shmat(id, NULL, SHM_RDONLY) != (void *)-1);
        OK(shmctl(id, IPC_STAT, &d));
        ERR(shmctl(id, IPC_SET, &d), EPERM);
        ERR(shmctl(id, IPC_RMID, NULL), EPERM);
        ERR(shmctl(id, SHM_LOCK, NULL), EPERM);
        ERR(shmget(9, 0, 0006), EACCES);
        EQ(shmget(9, 0, 0004), id);
        int own = OK(shmget(IPC_PRIVATE, 4096, 0000));
        ERRP(shmat(own, NULL, SHM_RDONLY), EACCES);
        ERR(shmctl(own, IPC_STAT, &d), EACCES);
        struct rlimit none = {0, 0};
        OK(setrlimit(RLIMIT_MEMLOCK, &none));
        ERR(shmctl(own, SHM_LOCK, NULL), EPERM);
        OK(shmctl(own, IPC_RMID, NULL));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    d.shm_perm.mode = 0777;
    d.shm_perm.uid = 65534;
    d.shm_perm.gid = 1;
    OK(shmctl(id, IPC_SET, &d));
    d = shm_state(id);
    EQ(d.shm_perm.mode, 0777);
    EQ(d.shm_perm.uid, 65534);
    EQ(d.shm_perm.cuid, 0);
    OK(shmctl(id, SHM_LOCK, NULL));
    EQ(shm_state(id).shm_perm.mode, 02777);
    OK(shmctl(id, SHM_UNLOCK, NULL));
    EQ(shm_state(id).shm_perm.mode, 0777);
}

CHECK(shm_info) {
    struct shminfo limits;
    struct shm_info now;
    struct shmid_ds d;

    own_namespace();
    EQ(shmctl(0, IPC_INFO, (void *)&limits), 0);
    printf("%lu %lu %lu %lu %lu\n", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg,
           limits.shmall);
    int a = OK(shmget(IPC_PRIVATE, 4097, 0600)), b = OK(shmget(IPC_PRIVATE, 1, 0600));
    EQ(shmctl(0, SHM_INFO, (void *)&now), 1);
    EQ(now.used_ids, 2);
    EQ(now.shm_tot, 3);
    EQ(shmctl(0, SHM_STAT, &d), a);
    EQ(d.shm_segsz, 4097);
    EQ(shmctl(1, 15 /* SHM_STAT_ANY */, &d), b);
    ERR(shmctl(2, SHM_STAT, &d), EINVAL);
    *(char *)shmat(a, NULL, 0) = 1;
    EQ(shmctl(0, SHM_INFO, (void *)&now), 1);
    EQ(now.shm_rss, 1);
    OK(shmctl(a, IPC_RMID, NULL));
    EQ(shmctl(0, SHM_INFO, (void *)&now), 1);
}

CHECK(shm_futex_between_processes) {
    own_namespace();
    int id = OK(shmget(IPC_PRIVATE, 4096, 0600));
    uint32_t *w = shmat(id, NULL, 0);
    pid_t pid = fork();
    if (pid == 0) {
        uint32_t *mine = shmat(id, NULL, 0);
        mine[1] = 1;
        while (mine[0] == 0)
            syscall(SYS_futex, mine, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(3);
    }
    WAIT_UNTIL(*(volatile uint32_t *)&w[1] == 1);
    sleep_ms(20);
    w[0] = 1;
    syscall(SYS_futex, w, FUTEX_WAKE, 1, NULL, NULL, 0);
    EQ(wait_exit(pid), 3);
}

CHECK(shm_in_maps) {
    char line[512];
    int seen = 0;

    own_namespace();
    int id = OK(shmget(0x1234, 4096, IPC_CREAT | 0600));
    TRUE(shmat(id, NULL, SHM_RDONLY) != (void *)-1);
    FILE *f = OKP(fopen("/proc/self/maps", "r"));
    while (fgets(line, sizeof line, f))
        if (strstr(line, " r--s ") && strstr(line, "/SYSV00001234 (deleted)"))
            seen++;
    EQ(seen, 1);
}

/* ---- semaphores ---- */

CHECK(sem_get_and_set) {
    union semun u;
    unsigned short all[3] = {4, 5, 6}, got[3];

    own_namespace();
    ERR(semget(3, 1, 0), ENOENT);
    ERR(semget(3, 0, IPC_CREAT), EINVAL);
    ERR(semget(3, -1, IPC_CREAT), EINVAL);
    ERR(semget(3, 32001, IPC_CREAT), EINVAL);
    int id = OK(semget(3, 3, IPC_CREAT | 0600));
    EQ(semget(3, 0, 0), id);
    ERR(semget(3, 4, 0), EINVAL);
    ERR(semget(3, 1, IPC_CREAT | IPC_EXCL), EEXIST);
    u.array = all;
    OK(semctl(id, 0, SETALL, u));
    u.array = got;
    OK(semctl(id, 0, GETALL, u));
    EQ(got[0], 4);
    EQ(got[2], 6);
    EQ(semctl(id, 1, GETVAL), 5);
    EQ(semctl(id, 1, GETPID), getpid());
    u.val = 40000;
    ERR(semctl(id, 1, SETVAL, u), ERANGE);
    u.val = -1;
    ERR(semctl(id, 9, SETVAL, u), ERANGE);
    u.val = 1;
    ERR(semctl(id, 3, SETVAL, u), EINVAL);
    ERR(semctl(id, -1, GETVAL), EINVAL);
    ERR(semctl(id, 3, GETVAL), EINVAL);
    ERR(semctl(id + 7, 0, GETVAL), EINVAL);
    ERR(semctl(id, 0, 99), EINVAL);
    all[0] = 50000;
    u.array = all;
    ERR(semctl(id, 0, SETALL, u), ERANGE);
    struct semid_ds d;
    u.buf = &d;
    OK(semctl(id, 0, IPC_STAT, u));
    EQ(d.sem_nsems, 3);
    EQ(d.sem_otime, 0);
    EQ(d.sem_perm.mode, 0600);
    OK(semctl(id, 0, IPC_RMID));
    ERR(semctl(id, 0, IPC_RMID), EINVAL);
}

CHECK(sem_operations_are_atomic) {
    union semun u = {.val = 2};

    own_namespace();
    int id = OK(semget(IPC_PRIVATE, 2, 0600));
    OK(semctl(id, 0, SETVAL, u));
    struct sembuf both[2] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}};
    ERR(semop(id, both, 2), EAGAIN);
    EQ(semctl(id, 0, GETVAL), 2);
    struct sembuf two[2] = {{0, -2, 0}, {0, 0, IPC_NOWAIT}};
    OK(semop(id, two, 2));
    EQ(semctl(id, 0, GETVAL), 0);
    struct sembuf big = {0, 32767, 0}, more = {0, 1, 0};
    OK(semop(id, &big, 1));
    ERR(semop(id, &more, 1), ERANGE);
    struct sembuf far = {2, 1, 0};
    ERR(semop(id, &far, 1), EFBIG);
    ERR(semop(id, &more, 0), EINVAL);
    ERR(semop(-1, &more, 1), EINVAL);
    ERR(semop(id, &more, 501), E2BIG);
    ERR(semop(id, (void *)16, 1), EFAULT);
    ERR(semop(id + 1, &more, 1), EINVAL);
    struct timespec t = {0, 20000000}, bad = {0, -1};
    struct sembuf take = {1, -1, 0};
    ERR(semtimedop(id, &take, 1, &t), EAGAIN);
    ERR(semtimedop(id, &take, 1, &bad), EINVAL);
}

static int g_id;

static void *take_one(void *arg) {
    struct sembuf op = {(unsigned short)(uintptr_t)arg, -1, 0};
    return (void *)(intptr_t)(semop(g_id, &op, 1) < 0 ? errno : 0);
}

CHECK(sem_waiters) {
    pthread_t a, b;
    void *r;

    own_namespace();
    g_id = OK(semget(IPC_PRIVATE, 2, 0600));
    EQ(pthread_create(&a, NULL, take_one, (void *)0), 0);
    EQ(pthread_create(&b, NULL, take_one, (void *)1), 0);
    WAIT_UNTIL(semctl(g_id, 0, GETNCNT) == 1 && semctl(g_id, 1, GETNCNT) == 1);
    EQ(semctl(g_id, 0, GETZCNT), 0);
    struct sembuf give = {0, 1, 0};
    OK(semop(g_id, &give, 1));
    EQ(pthread_join(a, &r), 0);
    EQ(r, 0);
    EQ(semctl(g_id, 0, GETVAL), 0);
    OK(semctl(g_id, 0, IPC_RMID));
    EQ(pthread_join(b, &r), 0);
    EQ(r, EIDRM);
}

static void *wait_for_zero(void *arg) {
    struct sembuf op = {0, 0, 0};
    (void)arg;
    return (void *)(intptr_t)semop(g_id, &op, 1);
}

CHECK(sem_wait_for_zero) {
    pthread_t a;
    void *r;
    union semun u = {.val = 1};

    own_namespace();
    g_id = OK(semget(IPC_PRIVATE, 1, 0600));
    OK(semctl(g_id, 0, SETVAL, u));
    EQ(pthread_create(&a, NULL, wait_for_zero, NULL), 0);
    WAIT_UNTIL(semctl(g_id, 0, GETZCNT) == 1);
    u.val = 0;
    OK(semctl(g_id, 0, SETVAL, u));
    EQ(pthread_join(a, &r), 0);
    EQ(r, 0);
}

CHECK(sem_undo_at_exit) {
    own_namespace();
    int id = OK(semget(IPC_PRIVATE, 2, 0600));
    union semun u = {.val = 3};
    OK(semctl(id, 0, SETVAL, u));
    pid_t pid = fork();
    if (pid == 0) {
        struct sembuf ops[2] = {{0, -2, SEM_UNDO}, {1, 5, SEM_UNDO}};
        OK(semop(id, ops, 2));
        EQ(semctl(id, 0, GETVAL), 1);
        pid_t grandchild = fork(); /* inherits no adjustments */
        if (grandchild == 0)
            _exit(0);
        EQ(wait_exit(grandchild), 0);
        EQ(semctl(id, 0, GETVAL), 1);
        struct sembuf back = {1, -4, 0};
        OK(semop(id, &back, 1));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    EQ(semctl(id, 0, GETVAL), 3);
    EQ(semctl(id, 1, GETVAL), 0); /* 1 - 5, but not below 0 */
    EQ(semctl(id, 0, GETPID), pid);
    /* SETVAL makes them void. */
    pid = fork();
    if (pid == 0) {
        struct sembuf op = {0, -1, SEM_UNDO};
        OK(semop(id, &op, 1));
        u.val = 9;
        OK(semctl(id, 0, SETVAL, u));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    EQ(semctl(id, 0, GETVAL), 9);
}

static void *undo_in_thread(void *arg) {
    struct sembuf op = {0, 1, SEM_UNDO};
    OK(semop(g_id, &op, 1));
    return arg;
}

CHECK(sem_undo_belongs_to_the_process) {
    pthread_t t;

    own_namespace();
    g_id = OK(semget(IPC_PRIVATE, 1, 0600));
    pid_t pid = fork();
    if (pid == 0) {
        EQ(pthread_create(&t, NULL, undo_in_thread, NULL), 0);
        EQ(pthread_join(t, NULL), 0);
        EQ(semctl(g_id, 0, GETVAL), 1); /* the thread's end changes nothing */
        OK(unshare(CLONE_SYSVSEM));
        WAIT_UNTIL(semctl(g_id, 0, GETVAL) == 0); /* a joined thread may still be letting go of the list */
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    ERR(syscall(SYS_clone, CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0), EINVAL);
}

static void on_signal(int n) {
    (void)n;
}

CHECK(sem_interrupted_is_not_restarted) {
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval v = {.it_value = {0, 30000}};
    struct sembuf op = {0, -1, 0};

    own_namespace();
    int id = OK(semget(IPC_PRIVATE, 1, 0600));
    OK(sigaction(SIGALRM, &a, NULL));
    OK(setitimer(ITIMER_REAL, &v, NULL));
    ERR(semop(id, &op, 1), EINTR);
    OK(setitimer(ITIMER_REAL, &v, NULL));
    struct timespec t = {5, 0};
    ERR(semtimedop(id, &op, 1, &t), EINTR);
}

CHECK(sem_info) {
    struct seminfo i;
    union semun u = {.info = &i};

    own_namespace();
    EQ(semctl(0, 0, IPC_INFO, u), 0);
    printf("%d %d %d %d %d %d %d %d %d %d\n", i.semmap, i.semmni, i.semmns, i.semmnu, i.semmsl, i.semopm,
           i.semume, i.semusz, i.semvmx, i.semaem);
    int id = OK(semget(IPC_PRIVATE, 7, 0600));
    EQ(semctl(0, 0, SEM_INFO, u), 0);
    EQ(i.semusz, 1);
    EQ(i.semaem, 7);
    struct semid_ds d;
    u.buf = &d;
    EQ(semctl(0, 0, SEM_STAT, u), id);
    EQ(semctl(0, 0, 20 /* SEM_STAT_ANY */, u), id);
    ERR(semctl(1, 0, SEM_STAT, u), EINVAL);
}

CHECK(sem_rights) {
    own_namespace();
    int id = OK(semget(IPC_PRIVATE, 1, 0604));
    pid_t pid = fork();
    if (pid == 0) {
        struct sembuf give = {0, 1, 0}, zero = {0, 0, 0};
        union semun u = {.val = 1};
        struct semid_ds d;
        become_nobody();
        EQ(semctl(id, 0, GETVAL), 0);
        ERR(semop(id, &give, 1), EACCES);
        OK(semop(id, &zero, 1));
        ERR(semctl(id, 0, SETVAL, u), EACCES);
        ERR(semctl(id, 0, IPC_RMID), EPERM);
        u.buf = &d;
        OK(semctl(id, 0, IPC_STAT, u));
        ERR(semctl(id, 0, IPC_SET, u), EPERM);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

/* ---- messages ---- */

struct message {
    long type;
    char text[100];
};

static void send_text(int id, long type, const char *text) {
    struct message m = {.type = type};
    strcpy(m.text, text);
    OK(msgsnd(id, &m, strlen(text) + 1, 0));
}

static void expect_text(int id, long type, int flags, long want_type, const char *want) {
    struct message m = {0};
    EQ(msgrcv(id, &m, sizeof m.text, type, flags | IPC_NOWAIT), strlen(want) + 1);
    EQ(m.type, want_type);
    STREQ(m.text, want);
}

CHECK(msg_get_by_key) {
    own_namespace();
    ERR(msgget(4, 0), ENOENT);
    int id = OK(msgget(4, IPC_CREAT | 0600));
    EQ(msgget(4, 0600), id);
    ERR(msgget(4, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    OK(msgctl(id, IPC_RMID, NULL));
    ERR(msgctl(id, IPC_RMID, NULL), EINVAL);
    ERR(msgget(4, 0), ENOENT);
}

CHECK(msg_select) {
    struct message m;

    own_namespace();
    int id = OK(msgget(4, IPC_CREAT | 0600));
    send_text(id, 5, "five");
    send_text(id, 3, "three");
    send_text(id, 5, "five again");
    send_text(id, 1, "one");
    send_text(id, 9, "nine");
    expect_text(id, 3, 0, 3, "three");
    expect_text(id, -4, 0, 1, "one");
    expect_text(id, 5, MSG_EXCEPT, 9, "nine");
    expect_text(id, -100, 0, 5, "five");
    expect_text(id, 0, 0, 5, "five again");
    ERR(msgrcv(id, &m, 100, 0, IPC_NOWAIT), ENOMSG);
    ERR(msgrcv(id, &m, 100, 77, IPC_NOWAIT), ENOMSG);
    send_text(id, 1, "0123456789");
    ERR(msgrcv(id, &m, 4, 0, 0), E2BIG);
    EQ(msgrcv(id, &m, 4, 0, MSG_NOERROR), 4);
    EQ(memcmp(m.text, "0123", 4), 0);
    m.type = 0;
    ERR(msgsnd(id, &m, 1, 0), EINVAL);
    m.type = 1;
    ERR(msgsnd(id, &m, 8193, 0), EINVAL);
    ERR(msgsnd(id, &m, (size_t)-1, 0), EINVAL);
    ERR(msgsnd(-1, &m, 1, 0), EINVAL);
    ERR(msgsnd(id + 1, &m, 1, 0), EINVAL);
    ERR(syscall(SYS_msgsnd, id, 16, 1, 0), EFAULT);
    ERR(msgrcv(id, &m, (size_t)-1, 0, 0), EINVAL);
    ERR(msgrcv(id, &m, 10, 0, 040000), EINVAL);
    ERR(msgrcv(id, &m, 10, 0, 040000 | IPC_NOWAIT | MSG_EXCEPT), EINVAL);
    OK(msgsnd(id, &m, 0, 0));
    EQ(msgrcv(id, &m, 0, 0, 0), 0);
    send_text(id, 2, "gone");
    ERR(syscall(SYS_msgrcv, id, 16, 100, 0, 0), EFAULT);
    ERR(msgrcv(id, &m, 100, 0, IPC_NOWAIT), ENOMSG);
}

CHECK(msg_copy_leaves_it) {
    own_namespace();
    int id = OK(msgget(IPC_PRIVATE, 0600));
    send_text(id, 5, "a");
    send_text(id, 6, "b");
    expect_text(id, 1, 040000, 6, "b");
    expect_text(id, 0, 040000, 5, "a");
    struct message m;
    ERR(msgrcv(id, &m, 100, 2, 040000 | IPC_NOWAIT), ENOMSG);
    expect_text(id, 0, 0, 5, "a");
}

static void *receive_one(void *arg) {
    struct message m;
    long r = msgrcv(g_id, &m, sizeof m.text, (long)arg, 0);
    return (void *)(intptr_t)(r < 0 ? -errno : (int)r);
}

static void *send_one(void *arg) {
    struct message m = {.type = 1};
    long r = msgsnd(g_id, &m, (size_t)arg, 0);
    return (void *)(intptr_t)(r < 0 ? -errno : 0);
}

CHECK(msg_waiting) {
    pthread_t a, b;
    void *r;
    struct msqid_ds d;
    struct message m = {.type = 1};

    own_namespace();
    g_id = OK(msgget(IPC_PRIVATE, 0600));
    EQ(pthread_create(&a, NULL, receive_one, (void *)7), 0);
    sleep_ms(30);
    send_text(g_id, 6, "not this");
    send_text(g_id, 7, "this");
    EQ(pthread_join(a, &r), 0);
    EQ(r, 5);
    expect_text(g_id, 0, 0, 6, "not this");
    OK(msgctl(g_id, IPC_STAT, &d));
    EQ(d.msg_qbytes, 16384);
    d.msg_qbytes = 150;
    OK(msgctl(g_id, IPC_SET, &d));
    OK(msgsnd(g_id, &m, 100, 0));
    ERR(msgsnd(g_id, &m, 100, IPC_NOWAIT), EAGAIN);
    EQ(pthread_create(&a, NULL, send_one, (void *)100), 0);
    sleep_ms(30);
    EQ(msgrcv(g_id, &m, 100, 0, 0), 100);
    EQ(pthread_join(a, &r), 0);
    EQ(r, 0);
    EQ(pthread_create(&a, NULL, send_one, (void *)100), 0);
    EQ(pthread_create(&b, NULL, receive_one, (void *)9), 0);
    sleep_ms(30);
    OK(msgctl(g_id, IPC_STAT, &d));
    EQ(d.msg_qnum, 1);
    EQ(d.msg_cbytes, 100);
    EQ(d.msg_lspid, getpid());
    OK(msgctl(g_id, IPC_RMID, NULL));
    EQ(pthread_join(a, &r), 0);
    EQ(r, -EIDRM);
    EQ(pthread_join(b, &r), 0);
    EQ(r, -EIDRM);
}

CHECK(msg_interrupted_is_not_restarted) {
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval v = {.it_value = {0, 30000}};
    struct message m;

    own_namespace();
    int id = OK(msgget(IPC_PRIVATE, 0600));
    OK(sigaction(SIGALRM, &a, NULL));
    OK(setitimer(ITIMER_REAL, &v, NULL));
    ERR(msgrcv(id, &m, 10, 0, 0), EINTR);
}

CHECK(msg_info_and_rights) {
    struct msginfo i;
    struct msqid_ds d;

    own_namespace();
    EQ(msgctl(0, IPC_INFO, (void *)&i), 0);
    printf("%d %d %d %d %d %d %d %d\n", i.msgpool, i.msgmap, i.msgmax, i.msgmnb, i.msgmni, i.msgssz, i.msgtql,
           i.msgseg);
    int id = OK(msgget(IPC_PRIVATE, 0640));
    send_text(id, 1, "abc");
    EQ(msgctl(0, MSG_INFO, (void *)&i), 0);
    EQ(i.msgpool, 1);
    EQ(i.msgmap, 1);
    EQ(i.msgtql, 4);
    EQ(msgctl(0, MSG_STAT, &d), id);
    pid_t pid = fork();
    if (pid == 0) {
        struct message m = {.type = 1};
        become_nobody();
        ERR(msgrcv(id, &m, 1, 0, IPC_NOWAIT), EACCES);
        ERR(msgsnd(id, &m, 1, IPC_NOWAIT), EACCES);
        ERR(msgctl(id, IPC_STAT, &d), EACCES);
        ERR(msgctl(0, MSG_STAT, &d), EACCES);
        EQ(msgctl(0, 13 /* MSG_STAT_ANY */, &d), id);
        ERR(msgctl(id, IPC_RMID, NULL), EPERM);
        id = OK(msgget(IPC_PRIVATE, 0600));
        OK(msgctl(id, IPC_STAT, &d));
        d.msg_qbytes = 20000;
        ERR(msgctl(id, IPC_SET, &d), EPERM);
        d.msg_perm.uid = -1;
        d.msg_qbytes = 100;
        ERR(msgctl(id, IPC_SET, &d), EINVAL);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

/* ---- namespaces and /proc ---- */

CHECK(namespaces_are_apart) {
    own_namespace();
    int id = OK(shmget(1, 4096, IPC_CREAT | 0600)), before = OK(open("/proc/self/ns/ipc", O_RDONLY));
    char *a = shmat(id, NULL, 0);
    strcpy(a, "kept");
    OK(unshare(CLONE_NEWIPC));
    ERR(shmget(1, 0, 0), ENOENT);
    STREQ(a, "kept");
    OK(shmget(1, 8192, IPC_CREAT | 0600));
    OK(setns(before, CLONE_NEWIPC));
    EQ(shmget(1, 0, 0), id);
    EQ(shm_state(id).shm_segsz, 4096);
    close(before);
    OK(unshare(CLONE_NEWIPC)); /* the first is only kept by the attached segment now */
    STREQ(a, "kept");
    OK(shmdt(a));
}

CHECK(proc_files) {
    char text[4096];

    own_namespace();
    puts(get_file("/proc/sysvipc/shm", text, sizeof text));
    puts(get_file("/proc/sysvipc/sem", text, sizeof text));
    puts(get_file("/proc/sysvipc/msg", text, sizeof text));
    int shm = OK(shmget(17, 4096, IPC_CREAT | 0604)), sem = OK(semget(18, 2, IPC_CREAT | 0600)),
        msg = OK(msgget(19, IPC_CREAT | 0640));
    int key, id, mode, size;
    const char *line = strchr(get_file("/proc/sysvipc/shm", text, sizeof text), '\n') + 1;
    EQ(sscanf(line, "%d %d %o %d", &key, &id, (unsigned *)&mode, &size), 4);
    EQ(key, 17);
    EQ(id, shm);
    EQ(mode, 0604);
    EQ(size, 4096);
    EQ(strlen(line), 170);
    line = strchr(get_file("/proc/sysvipc/sem", text, sizeof text), '\n') + 1;
    EQ(sscanf(line, "%d %d %o %d", &key, &id, (unsigned *)&mode, &size), 4);
    EQ(key, 18);
    EQ(id, sem);
    EQ(size, 2);
    EQ(strlen(line), 85);
    line = strchr(get_file("/proc/sysvipc/msg", text, sizeof text), '\n') + 1;
    EQ(sscanf(line, "%d %d %o %d", &key, &id, (unsigned *)&mode, &size), 4);
    EQ(id, msg);
    EQ(strlen(line), 120);
}

CHECK(limits_belong_to_the_namespace) {
    char text[256];

    own_namespace();
    put_file("/proc/sys/kernel/shmmax", "8192\n");
    put_file("/proc/sys/kernel/sem", "10 20 5 3\n");
    put_file("/proc/sys/kernel/msgmax", "16\n");
    STREQ(get_file("/proc/sys/kernel/shmmax", text, sizeof text), "8192\n");
    STREQ(get_file("/proc/sys/kernel/sem", text, sizeof text), "10\t20\t5\t3\n");
    ERR(shmget(IPC_PRIVATE, 8193, 0600), EINVAL);
    ERR(semget(IPC_PRIVATE, 11, 0600), EINVAL);
    OK(semget(IPC_PRIVATE, 10, 0600));
    OK(semget(IPC_PRIVATE, 9, 0600));
    ERR(semget(IPC_PRIVATE, 2, 0600), ENOSPC);
    OK(semget(IPC_PRIVATE, 1, 0600));
    ERR(semget(IPC_PRIVATE, 1, 0600), ENOSPC);
    int id = OK(msgget(IPC_PRIVATE, 0600));
    struct message m = {.type = 1};
    ERR(msgsnd(id, &m, 17, 0), EINVAL);
    OK(unshare(CLONE_NEWIPC));
    OK(shmget(IPC_PRIVATE, 8193, 0600));
    puts(get_file("/proc/sys/kernel/shmmax", text, sizeof text));
    puts(get_file("/proc/sys/kernel/sem", text, sizeof text));
}
