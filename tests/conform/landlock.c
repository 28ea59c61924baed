/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/landlock.c: what a process renounces, it and its children cannot do. Sources: landlock(7),
 * landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).
 */
#include "conform.h"

#include <linux/landlock.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_FIFO = 1 << 10,
    MAKE_SYM = 1 << 12,
    REFER = 1 << 13,
    TRUNCATE = 1 << 14,
    IOCTL_DEV = 1 << 15,
    BIND_TCP = 1,
    CONNECT_TCP = 2,
    NET_PORT = 2, /* the kind of rule */
};

struct attr {
    uint64_t fs, net;
};
struct port_rule {
    uint64_t access, port;
};

static int create(uint64_t fs, uint64_t net) {
    struct attr a = {fs, net};

    return (int)syscall(SYS_landlock_create_ruleset, &a, sizeof a, 0);
}

static int add(int ruleset, const char *path, uint64_t access) {
    int fd = OK(open(path, O_PATH | O_CLOEXEC));
    struct landlock_path_beneath_attr a = {.allowed_access = access, .parent_fd = fd};
    int r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0), err = errno;

    close(fd);
    errno = err;
    return r;
}

static void restrict_to(int ruleset) {
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OK(syscall(SYS_landlock_restrict_self, ruleset, 0));
    close(ruleset);
}

static void begin(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 5)
        check_skip("the kernel's Landlock has ABI %ld", abi);
}

CHECK(errors) {
    struct attr a = {READ_FILE, 0};
    struct {
        uint64_t v[512 + 1];
    } large = {{READ_FILE}};

    begin();
    ERR(syscall(SYS_landlock_create_ruleset, &a, sizeof a, 1), EINVAL);
    ERR(syscall(SYS_landlock_create_ruleset, NULL, 0, 1 << 20), EINVAL);
    ERR(syscall(SYS_landlock_create_ruleset, &a, 4, 0), EINVAL);
    ERR(syscall(SYS_landlock_create_ruleset, NULL, sizeof a, 0), EFAULT);
    ERR(syscall(SYS_landlock_create_ruleset, &large, sizeof large, 0), E2BIG);
    large.v[60] = 1;
    ERR(syscall(SYS_landlock_create_ruleset, &large, 512, 0), E2BIG);
    ERR(create(0, 0), ENOMSG);
    ERR(create(1ull << 60, 0), EINVAL);
    ERR(create(0, 1ull << 60), EINVAL);
    int set = OK(create(READ_FILE | MAKE_REG, BIND_TCP)), other = OK(open("/", O_RDONLY)), p[2];
    EQ(fcntl(set, F_GETFD), FD_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = READ_FILE, .parent_fd = other};
    ERR(syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 1), EINVAL);
    ERR(syscall(SYS_landlock_add_rule, 99, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), EBADF);
    ERR(syscall(SYS_landlock_add_rule, other, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), EBADFD);
    ERR(syscall(SYS_landlock_add_rule, set, 99, &rule, 0), EINVAL);
    ERR(syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, NULL, 0), EFAULT);
    ERR(add(set, "/", 0), ENOMSG);
    ERR(add(set, "/", WRITE_FILE), EINVAL);
    OK(pipe(p));
    rule.parent_fd = p[0];
    ERR(syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), EBADFD);
    rule.parent_fd = set;
    ERR(syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), EBADFD);
    rule.parent_fd = 99;
    ERR(syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), EBADF);
    put_file("f", "");
    ERR(add(set, "f", MAKE_REG), EINVAL); /* of directories only */
    OK(add(set, "f", READ_FILE));
    struct port_rule port = {BIND_TCP, 70000};
    ERR(syscall(SYS_landlock_add_rule, set, NET_PORT, &port, 0), EINVAL);
    port = (struct port_rule){CONNECT_TCP, 80};
    ERR(syscall(SYS_landlock_add_rule, set, NET_PORT, &port, 0), EINVAL);
    port.access = 0;
    ERR(syscall(SYS_landlock_add_rule, set, NET_PORT, &port, 0), ENOMSG);
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    ERR(syscall(SYS_landlock_restrict_self, set, 1 << 20), EINVAL);
    ERR(syscall(SYS_landlock_restrict_self, 99, 0), EBADF);
    ERR(syscall(SYS_landlock_restrict_self, other, 0), EBADFD);
    for (int i = 0; i < 16; i++)
        OK(syscall(SYS_landlock_restrict_self, set, 0));
    ERR(syscall(SYS_landlock_restrict_self, set, 0), E2BIG);
}

CHECK(needs_no_new_privs_or_capability) {
    begin();
    if (!is_root())
        check_skip("needs root");
    int set = OK(create(READ_FILE, 0));
    become_nobody();
    ERR(syscall(SYS_landlock_restrict_self, set, 0), EPERM);
    ERR(syscall(SYS_landlock_restrict_self, 99, 1 << 20), EPERM);
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OK(syscall(SYS_landlock_restrict_self, set, 0));
}

static void tree(void) {
    begin();
    OK(mkdir("in", 0755));
    OK(mkdir("in/sub", 0755));
    OK(mkdir("out", 0755));
    put_file("in/f", "in");
    put_file("in/sub/f", "sub");
    put_file("out/f", "out");
}

CHECK(reading_and_writing) {
    tree();
    int before = OK(open("out/f", O_RDWR)), set = OK(create(READ_FILE | WRITE_FILE | READ_DIR, 0));
    OK(add(set, "in", READ_FILE | READ_DIR));
    OK(add(set, "in/sub", WRITE_FILE));
    restrict_to(set);
    OK(open("in/f", O_RDONLY));
    ERR(open("in/f", O_WRONLY), EACCES);
    ERR(open("in/f", O_RDWR), EACCES);
    OK(open("in/sub/f", O_RDWR)); /* both rules together */
    OK(open("in", O_RDONLY | O_DIRECTORY));
    ERR(open("out/f", O_RDONLY), EACCES);
    ERR(open("out", O_RDONLY | O_DIRECTORY), EACCES);
    OK(open("out/f", O_PATH));
    struct stat st;
    OK(stat("out/f", &st)); /* not restricted */
    OK(chmod("out/f", 0600));
    char c;
    EQ(read(before, &c, 1), 1); /* what was open stays so */
    EQ(write(before, "x", 1), 1);
    int p[2];
    OK(pipe(p));
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", p[1]);
    ERR(open("/proc/self/status", O_RDONLY), EACCES);
    OK(open(name, O_WRONLY));   /* has no place in the tree */
    OK(mkdir("out/new", 0755)); /* not handled */
}

CHECK(by_link_and_by_another_name) {
    tree();
    OK(symlink("../out/f", "in/link"));
    OK(link("out/f", "in/hard"));
    int set = OK(create(READ_FILE, 0));
    OK(add(set, "in", READ_FILE));
    restrict_to(set);
    ERR(open("in/link", O_RDONLY), EACCES); /* where it leads counts */
    OK(open("in/hard", O_RDONLY));          /* by which way it is reached counts */
    ERR(open("out/f", O_RDONLY), EACCES);
    ERR(open("in/../out/f", O_RDONLY), EACCES);
}

CHECK(making_and_removing) {
    tree();
    int set = OK(create(MAKE_REG | MAKE_DIR | MAKE_SYM | MAKE_FIFO | REMOVE_FILE | REMOVE_DIR, 0));
    OK(add(set, "in", MAKE_REG | MAKE_DIR | REMOVE_FILE));
    restrict_to(set);
    close(OK(open("in/new", O_RDWR | O_CREAT, 0644)));
    ERR(open("out/new", O_RDWR | O_CREAT, 0644), EACCES);
    OK(open("out/f", O_RDWR | O_CREAT, 0644)); /* is there */
    OK(mkdir("in/d", 0755));
    ERR(mkdir("out/d", 0755), EACCES);
    ERR(mkdir("out", 0755), EEXIST);
    ERR(mkfifo("in/p", 0644), EACCES);
    ERR(symlink("x", "in/l"), EACCES);
    OK(unlink("in/new"));
    ERR(unlink("out/f"), EACCES);
    ERR(unlink("out/none"), ENOENT);
    ERR(rmdir("in/d"), EACCES);
}

CHECK(moving) {
    tree();
    int set = OK(create(MAKE_REG | REMOVE_FILE, 0));
    OK(add(set, ".", MAKE_REG | REMOVE_FILE));
    restrict_to(set);
    OK(rename("in/f", "in/g"));
    ERR(rename("in/g", "out/g"), EXDEV); /* REFER is refused where nobody grants it */
    ERR(link("in/g", "out/g"), EXDEV);
    OK(link("in/g", "in/h"));
}

CHECK(referring) {
    tree();
    OK(mkdir("in/free", 0755));
    int set = OK(create(MAKE_REG | REMOVE_FILE | REFER | READ_FILE | EXECUTE, 0));
    OK(add(set, "in", MAKE_REG | REMOVE_FILE | REFER | READ_FILE));
    OK(add(set, "in/free", EXECUTE));
    OK(add(set, "out", MAKE_REG | REFER));
    restrict_to(set);
    OK(rename("in/f", "in/sub/g"));
    ERR(rename("in/sub/g", "in/free/g"), EXDEV); /* it would gain execution */
    OK(link("in/sub/g", "out/g"));               /* loses some: that is allowed */
    ERR(rename("out/g", "in/h"), EACCES);        /* not to be removed there */
    ERR(rename("in/sub/g", "out/f"), EACCES);    /* nor what would be replaced */
    ERR(link("out/g", "in/h"), EXDEV);
}

CHECK(moving_in_place) {
    tree();
    int set = OK(create(MAKE_REG | REMOVE_FILE | MAKE_DIR, 0));
    OK(add(set, "in", REMOVE_FILE));
    restrict_to(set);
    ERR(rename("in/f", "in/g"), EACCES);
    ERR(rename("out/f", "out/g"), EACCES);
    ERR(renameat2(AT_FDCWD, "in/f", AT_FDCWD, "out/f", RENAME_EXCHANGE), EACCES);
}

CHECK(truncating) {
    tree();
    int before = OK(open("out/f", O_RDWR)), set = OK(create(TRUNCATE | WRITE_FILE, 0));
    OK(add(set, "in", TRUNCATE | WRITE_FILE));
    OK(add(set, "out", WRITE_FILE));
    restrict_to(set);
    OK(truncate("in/f", 1));
    ERR(truncate("out/f", 1), EACCES);
    ERR(open("out/f", O_WRONLY | O_TRUNC), EACCES);
    int in = OK(open("in/f", O_WRONLY | O_TRUNC)), out = OK(open("out/f", O_WRONLY));
    OK(ftruncate(in, 2));
    ERR(ftruncate(out, 2), EACCES);
    OK(ftruncate(before, 1)); /* opened before */
    OK(open("out/new", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    ERR(creat("out/f", 0644), EACCES);
}

CHECK(executing) {
    begin();
    int set = OK(create(EXECUTE, 0));
    OK(add(set, "/usr/lib", EXECUTE));
    restrict_to(set);
    ERR(execl("/bin/true", "true", NULL), EACCES);
}

CHECK(devices) {
    int n;

    begin();
    int before = OK(open("/dev/null", O_RDWR)), set = OK(create(IOCTL_DEV, 0));
    restrict_to(set);
    int fd = OK(open("/dev/null", O_RDWR));
    ERR(ioctl(before, TCGETS, &n), ENOTTY);
    ERR(ioctl(fd, TCGETS, &n), EACCES);
    ERR(ioctl(fd, FIONREAD, &n), EACCES);
    OK(ioctl(fd, FIOCLEX));
    n = 1;
    OK(ioctl(fd, FIONBIO, &n));
    put_file("f", "abc");
    OK(ioctl(OK(open("f", O_RDONLY)), FIONREAD, &n)); /* no device */
    EQ(n, 3);
}

CHECK(layers_add_up) {
    tree();
    int set = OK(create(READ_FILE, 0));
    OK(add(set, ".", READ_FILE));
    restrict_to(set);
    OK(open("out/f", O_RDONLY));
    set = OK(create(READ_FILE | WRITE_FILE, 0));
    OK(add(set, "in", READ_FILE));
    restrict_to(set);
    OK(open("in/f", O_RDONLY));
    ERR(open("out/f", O_RDONLY), EACCES);
    ERR(open("in/f", O_WRONLY), EACCES);
    pid_t pid = fork();
    if (pid == 0)
        _exit(open("out/f", O_RDONLY) < 0 && errno == EACCES ? 0 : 1); /* children too */
    EQ(wait_exit(pid), 0);
}

static void *looks(void *unused) {
    (void)unused;
    OK(open("out/f", O_RDONLY));
    return NULL;
}

static void *wait_and_look(void *go) {
    while (!atomic_load((atomic_int *)go))
        sleep_ms(1);
    return looks(NULL);
}

CHECK(a_thread_alone) {
    pthread_t th;
    atomic_int go = 0;

    tree();
    EQ(pthread_create(&th, NULL, wait_and_look, &go), 0);
    int set = OK(create(READ_FILE, 0));
    restrict_to(set);
    ERR(open("out/f", O_RDONLY), EACCES);
    atomic_store(&go, 1); /* the others of the process are free still */
    EQ(pthread_join(th, NULL), 0);
}

CHECK(no_mounts) {
    begin();
    if (!is_root())
        check_skip("needs root");
    OK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
    OK(mkdir("d", 0755));
    OK(mount("none", "d", "tmpfs", 0, NULL));
    int set = OK(create(READ_FILE, 0));
    OK(add(set, "/", READ_FILE));
    restrict_to(set);
    ERR(mount("none", "d", "tmpfs", 0, NULL), EPERM);
    ERR(umount("d"), EPERM);
}

static void idle(void *unused) {
    (void)unused;
    pause();
}

CHECK(no_tracing_of_the_free) {
    begin();
    pid_t outside = spawn(idle, NULL);
    int set = OK(create(READ_FILE, 0));
    OK(add(set, "/", READ_FILE));
    restrict_to(set);
    ERR(ptrace(PTRACE_SEIZE, outside, 0, 0), EPERM);
    pid_t inside = spawn(idle, NULL);
    OK(ptrace(PTRACE_SEIZE, inside, 0, 0));
    kill(outside, SIGKILL);
    kill(inside, SIGKILL);
    wait_status(outside);
    wait_status(inside);
}

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

CHECK(ports) {
    begin();
    int set = OK(create(0, BIND_TCP | CONNECT_TCP));
    struct port_rule any = {BIND_TCP, 0};
    OK(syscall(SYS_landlock_add_rule, set, NET_PORT, &any, 0));
    int server = OK(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in a = loopback(0);
    socklen_t size = sizeof a;
    OK(bind(server, (void *)&a, sizeof a));
    OK(getsockname(server, (void *)&a, &size));
    OK(listen(server, 5));
    struct port_rule open_port = {CONNECT_TCP, ntohs(a.sin_port)};
    OK(syscall(SYS_landlock_add_rule, set, NET_PORT, &open_port, 0));
    restrict_to(set);
    int s = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(connect(s, (void *)&a, sizeof a));
    a = loopback(9);
    ERR(connect(OK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&a, sizeof a), EACCES);
    ERR(bind(OK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&a, sizeof a), EACCES);
    ERR(bind(OK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&a, 4), EINVAL);
    a = loopback(0);
    OK(bind(OK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&a, sizeof a));
    a = loopback(9);
    OK(connect(OK(socket(AF_INET, SOCK_DGRAM, 0)), (void *)&a, sizeof a)); /* TCP alone */
}
