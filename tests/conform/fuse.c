/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/fuse.c: file systems whose server is another process. The server here speaks the protocol by
 * itself. Source: fuse(4).
 */
#include "conform.h"

#include <dirent.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* ---- the server: a few files in memory ---- */

enum { NODES = 32, DATA = 1 << 18 };
struct node {
    uint64_t parent; /* 0: free */
    char name[64];
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t mtime;
    char *data;
};
struct server {
    int fd;
    uint64_t entry_valid, attr_valid; /* seconds */
    bool no_mknod;
    int hang_on;  /* opcode that gets no answer, */
    int hung;     /* but a byte written here */
    int break_on; /* opcode that gets a short one */
    struct node nodes[NODES];
};

static struct fuse_attr attr_of(struct server *s, uint64_t n) {
    struct node *x = &s->nodes[n];
    return (struct fuse_attr){.ino = n,
                              .size = x->size,
                              .mode = x->mode,
                              .nlink = 1,
                              .uid = x->uid,
                              .gid = x->gid,
                              .mtime = (uint64_t)x->mtime,
                              .blksize = 4096};
}

static struct fuse_entry_out entry_of(struct server *s, uint64_t n) {
    return (struct fuse_entry_out){
        .nodeid = n, .entry_valid = s->entry_valid, .attr_valid = s->attr_valid, .attr = attr_of(s, n)};
}

static uint64_t find(struct server *s, uint64_t parent, const char *name) {
    for (uint64_t n = 2; n < NODES; n++)
        if (s->nodes[n].parent == parent && strcmp(s->nodes[n].name, name) == 0)
            return n;
    return 0;
}

static uint64_t add(struct server *s, uint64_t parent, const char *name, uint32_t mode) {
    for (uint64_t n = 2; n < NODES; n++) {
        if (s->nodes[n].parent)
            continue;
        s->nodes[n] = (struct node){.parent = parent, .mode = mode, .data = calloc(1, DATA), .mtime = 1000};
        snprintf(s->nodes[n].name, sizeof s->nodes[n].name, "%s", name);
        return n;
    }
    _exit(90);
}

static void reply(struct server *s, const struct fuse_in_header *in, int error, const void *data,
                  size_t size) {
    struct fuse_out_header h = {.len = (uint32_t)(sizeof h + size), .error = -error, .unique = in->unique};
    struct iovec v[2] = {{&h, sizeof h}, {(void *)data, size}};
    if ((int)in->opcode == s->hang_on) {
        (void)!write(s->hung, "", 1);
        return;
    }
    if ((int)in->opcode == s->break_on && size > 4) {
        h.len -= 4;
        v[1].iov_len -= 4;
    }
    (void)!writev(s->fd, v, 2);
}

static void reply_dir(struct server *s, const struct fuse_in_header *h, const struct fuse_read_in *r) {
    char buf[8192];
    size_t at = 0;
    for (uint64_t n = r->offset; n < NODES; n++) {
        struct node *x = &s->nodes[n];
        if (n >= 2 && x->parent != h->nodeid)
            continue;
        const char *name = n == 0 ? "." : n == 1 ? ".." : x->name;
        struct fuse_dirent d = {.ino = n ? n : 1,
                                .off = n + 1,
                                .namelen = (uint32_t)strlen(name),
                                .type = n < 2 ? DT_DIR : x->mode >> 12};
        size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d.namelen);
        if (at + size > r->size || at + size > sizeof buf)
            break;
        memset(buf + at, 0, size);
        memcpy(buf + at, &d, FUSE_NAME_OFFSET);
        memcpy(buf + at + FUSE_NAME_OFFSET, name, d.namelen);
        at += size;
    }
    reply(s, h, 0, buf, at);
}

static void serve_attr(struct server *s, const struct fuse_in_header *h, const void *in) {
    const struct fuse_setattr_in *a = in;
    struct node *x = &s->nodes[h->nodeid];
    if (h->opcode == FUSE_SETATTR) {
        if (a->valid & FATTR_MODE)
            x->mode = (x->mode & S_IFMT) | (a->mode & 07777);
        if (a->valid & FATTR_SIZE)
            x->size = a->size;
        if (a->valid & FATTR_UID)
            x->uid = a->uid;
        if (a->valid & FATTR_MTIME)
            x->mtime = (int64_t)a->mtime;
    }
    struct fuse_attr_out o = {.attr_valid = s->attr_valid, .attr = attr_of(s, h->nodeid)};
    reply(s, h, 0, &o, sizeof o);
}

static void serve_made(struct server *s, const struct fuse_in_header *h, uint32_t mode, const char *name) {
    if (find(s, h->nodeid, name))
        return reply(s, h, EEXIST, NULL, 0);
    struct fuse_entry_out e = entry_of(s, add(s, h->nodeid, name, mode));
    reply(s, h, 0, &e, sizeof e);
}

static void serve_names(struct server *s, const struct fuse_in_header *h, const void *in) {
    const char *name = in;
    uint64_t n, to;
    switch (h->opcode) {
    case FUSE_LOOKUP: {
        n = find(s, h->nodeid, name);
        struct fuse_entry_out e = entry_of(s, n);
        return n ? reply(s, h, 0, &e, sizeof e) : reply(s, h, ENOENT, NULL, 0);
    }
    case FUSE_MKNOD:
        if (s->no_mknod)
            return reply(s, h, ENOSYS, NULL, 0);
        return serve_made(s, h, ((const struct fuse_mknod_in *)in)->mode,
                          (const char *)in + sizeof(struct fuse_mknod_in));
    case FUSE_MKDIR:
        return serve_made(s, h, ((const struct fuse_mkdir_in *)in)->mode | S_IFDIR,
                          (const char *)in + sizeof(struct fuse_mkdir_in));
    case FUSE_SYMLINK: {
        const char *target = name + strlen(name) + 1;
        n = add(s, h->nodeid, name, S_IFLNK | 0777);
        strcpy(s->nodes[n].data, target);
        s->nodes[n].size = strlen(target);
        struct fuse_entry_out e = entry_of(s, n);
        return reply(s, h, 0, &e, sizeof e);
    }
    case FUSE_CREATE: {
        const struct fuse_create_in *c = in;
        struct {
            struct fuse_entry_out e;
            struct fuse_open_out o;
        } o = {.e = entry_of(s, add(s, h->nodeid, (const char *)(c + 1), c->mode))};
        return reply(s, h, 0, &o, sizeof o);
    }
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        n = find(s, h->nodeid, name);
        for (uint64_t i = 2; h->opcode == FUSE_RMDIR && i < NODES; i++)
            if (s->nodes[i].parent == n)
                return reply(s, h, ENOTEMPTY, NULL, 0);
        s->nodes[n].parent = 0;
        return reply(s, h, 0, NULL, 0);
    case FUSE_RENAME:
    case FUSE_RENAME2: {
        const struct fuse_rename2_in *r = in;
        const char *from = (const char *)in + (h->opcode == FUSE_RENAME ? sizeof(struct fuse_rename_in)
                                                                        : sizeof(struct fuse_rename2_in));
        n = find(s, h->nodeid, from);
        const char *new = from + strlen(from) + 1;
        to = find(s, r->newdir, new);
        if (to)
            s->nodes[to].parent = 0;
        s->nodes[n].parent = r->newdir;
        strcpy(s->nodes[n].name, new);
        return reply(s, h, 0, NULL, 0);
    }
    default:
        return reply(s, h, ENOSYS, NULL, 0);
    }
}

static void serve_data(struct server *s, const struct fuse_in_header *h, const void *in) {
    const struct fuse_read_in *r = in;
    struct node *x = &s->nodes[h->nodeid];
    switch (h->opcode) {
    case FUSE_READ: {
        size_t n = r->offset >= x->size ? 0 : x->size - r->offset;
        return reply(s, h, 0, x->data + (n ? r->offset : 0), n < r->size ? n : r->size);
    }
    case FUSE_WRITE: {
        struct fuse_write_out o = {.size = r->size};
        if (r->offset + r->size > DATA)
            return reply(s, h, EFBIG, NULL, 0);
        memcpy(x->data + r->offset, (const char *)in + sizeof(struct fuse_write_in), r->size);
        if (r->offset + r->size > x->size)
            x->size = r->offset + r->size;
        x->mtime++;
        return reply(s, h, 0, &o, sizeof o);
    }
    case FUSE_READLINK:
        return reply(s, h, 0, x->data, x->size);
    default:
        return reply_dir(s, h, r);
    }
}

static void serve_init(struct server *s, const struct fuse_in_header *h, const struct fuse_init_in *in) {
    struct fuse_init_out o = {
        .major = 7, .minor = 31, .max_readahead = in->max_readahead, .max_write = 65536};
    reply(s, h, 0, &o, sizeof o);
}

static void serve_one(struct server *s, const struct fuse_in_header *h, const void *in) {
    struct fuse_open_out open = {.open_flags = FOPEN_DIRECT_IO};
    struct fuse_statfs_out st = {
        .st = {.blocks = 100, .bfree = 50, .bavail = 40, .bsize = 4096, .frsize = 4096, .namelen = 63}};
    switch (h->opcode) {
    case FUSE_INIT:
        return serve_init(s, h, in);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        return;
    case FUSE_INTERRUPT: {
        struct fuse_out_header o = {
            .len = sizeof o, .error = -EINTR, .unique = ((const struct fuse_interrupt_in *)in)->unique};
        (void)!write(s->fd, &o, sizeof o);
        return;
    }
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        return serve_attr(s, h, in);
    case FUSE_OPEN:
        if (s->nodes[h->nodeid].name[0] == 'c') /* cached: mappings of it */
            open.open_flags = 0;
        return reply(s, h, 0, &open, sizeof open);
    case FUSE_OPENDIR:
        open.open_flags = 0;
        return reply(s, h, 0, &open, sizeof open);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
        return reply(s, h, 0, NULL, 0);
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_READLINK:
    case FUSE_READDIR:
        return serve_data(s, h, in);
    case FUSE_STATFS:
        return reply(s, h, 0, &st, sizeof st);
    default:
        return serve_names(s, h, in);
    }
}

static void serve(void *arg) {
    struct server *s = arg;
    static char buf[(1 << 17) + 8192] __attribute__((aligned(8)));
    for (;;) {
        ssize_t n = read(s->fd, buf, sizeof buf);
        if (n < 0 && (errno == EINTR || errno == ENOENT))
            continue;
        if (n < 0)
            _exit(errno == ENODEV ? 0 : 91);
        const struct fuse_in_header *h = (const void *)buf;
        if (n != h->len)
            _exit(92);
        serve_one(s, h, h + 1);
    }
}

/* ---- the world ---- */

static struct server g_server;

static int open_device(void) {
    private_world();
    OK(mkdir("m", 0755));
    OK(mknod("fuse", S_IFCHR | 0666, makedev(10, 229)));
    return OK(open("fuse", O_RDWR));
}

static int mount_fuse(int fd, const char *type, const char *more) {
    char options[256];
    snprintf(options, sizeof options, "fd=%d,rootmode=40755,user_id=0,group_id=0%s", fd, more);
    return mount("server", "m", type, 0, options);
}

static pid_t start(const char *more) {
    struct server *s = &g_server;
    s->fd = open_device();
    s->nodes[1] = (struct node){.parent = 1, .mode = S_IFDIR | 0755};
    uint64_t n = add(s, 1, "hello", S_IFREG | 0644);
    strcpy(s->nodes[n].data, "hello world\n");
    s->nodes[n].size = 12;
    OK(mount_fuse(s->fd, "fuse.memory", more));
    pid_t pid = spawn(serve, s);
    close(s->fd);
    return pid;
}

static void stop(pid_t server) {
    OK(umount("m"));
    EQ(wait_exit(server), 0);
}

static void list(const char *path) {
    char names[64][80];
    int count = 0;
    DIR *d = OKP(opendir(path));
    for (struct dirent *e; (e = readdir(d)) && count < 64;)
        snprintf(names[count++], 80, "%s/%d", e->d_name, e->d_type);
    closedir(d);
    printf("%s:", path);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    printf("\n");
}

CHECK(a_file_is_read) {
    char text[64];
    struct stat st;
    struct statvfs vfs;
    pid_t server = start("");
    STREQ(get_file("m/hello", text, sizeof text), "hello world\n");
    OK(stat("m/hello", &st));
    EQ(st.st_size, 12);
    EQ(st.st_mode, S_IFREG | 0644);
    EQ(st.st_mtime, 1000);
    ERR(stat("m/none", &st), ENOENT);
    list("m");
    OK(statvfs("m", &vfs));
    EQ(vfs.f_blocks, 100);
    EQ(vfs.f_bavail, 40);
    EQ(vfs.f_namemax, 63);
    int fd = OK(open("m/hello", O_RDONLY));
    EQ(pread(fd, text, 5, 6), 5);
    MEMEQ(text, "world", 5);
    EQ(pread(fd, text, 5, 100), 0);
    close(fd);
    stop(server);
}

CHECK(names_come_and_go) {
    struct stat st;
    char text[64];
    pid_t server = start(",default_permissions");
    put_file("m/new", "some text");
    STREQ(get_file("m/new", text, sizeof text), "some text");
    OK(mkdir("m/d", 0750));
    OK(stat("m/d", &st));
    EQ(st.st_mode, S_IFDIR | 0750);
    OK(rename("m/new", "m/d/moved"));
    ERR(stat("m/new", &st), ENOENT);
    list("m/d");
    ERR(rmdir("m/d"), ENOTEMPTY);
    OK(symlink("d/moved", "m/link"));
    EQ(readlink("m/link", text, sizeof text), 7);
    STREQ(get_file("m/link", text, sizeof text), "some text");
    OK(truncate("m/d/moved", 4));
    STREQ(get_file("m/link", text, sizeof text), "some");
    OK(chmod("m/d/moved", 0600));
    OK(stat("m/d/moved", &st));
    EQ(st.st_mode & 07777, 0600);
    int fd = OK(open("m/d/moved", O_WRONLY | O_APPEND));
    EQ(write(fd, "+more", 5), 5);
    close(fd);
    STREQ(get_file("m/d/moved", text, sizeof text), "some+more");
    OK(unlink("m/d/moved"));
    OK(unlink("m/link"));
    OK(rmdir("m/d"));
    ERR(open("m/hello", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    ERR(getxattr("m/hello", "user.x", text, sizeof text), EOPNOTSUPP);
    ERR(link("m/hello", "m/second"), EPERM);
    list("m");
    stop(server);
}

CHECK(a_server_without_mknod) {
    char text[64];
    g_server.no_mknod = true;
    pid_t server = start("");
    put_file("m/new", "made");
    STREQ(get_file("m/new", text, sizeof text), "made");
    stop(server);
}

CHECK(entries_that_stay_valid) {
    struct stat st;
    g_server.entry_valid = g_server.attr_valid = 1000;
    pid_t server = start("");
    for (int i = 0; i < 10; i++)
        OK(stat("m/hello", &st));
    OK(rename("m/hello", "m/other"));
    ERR(stat("m/hello", &st), ENOENT);
    OK(stat("m/other", &st));
    stop(server);
}

CHECK(large_reads_and_writes) {
    static char data[200000], back[200000];
    pid_t server = start("");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 4096);
    int fd = OK(open("m/big", O_CREAT | O_RDWR, 0600));
    EQ(pwrite(fd, data, sizeof data, 0), sizeof data);
    EQ(pread(fd, back, sizeof back, 0), sizeof back);
    MEMEQ(data, back, sizeof data);
    ERR(pwrite(fd, data, 10, 1 << 20), EFBIG);
    close(fd);
    stop(server);
}

CHECK(mappings) {
    pid_t server = start("");
    put_file("m/cached", "mapped text");
    int fd = OK(open("m/cached", O_RDONLY));
    char *p = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    MEMEQ(p, "mapped text", 11);
    p[0] = 'M';
    OK(munmap(p, 4096));
    p = OKP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    MEMEQ(p, "mapped text", 11);
    OK(munmap(p, 4096));
    close(fd);
    stop(server);
}

CHECK(a_server_that_dies) {
    struct stat st;
    pid_t server = start("");
    int fd = OK(open("m/hello", O_RDONLY));
    char c;
    EQ(read(fd, &c, 1), 1);
    kill(server, SIGKILL);
    wait_status(server);
    ERR(read(fd, &c, 1), ENOTCONN);
    ERR(stat("m/hello", &st), ENOTCONN);
    ERR(open("m/hello", O_RDONLY), ENOTCONN);
    ERR(opendir("m") ? 0 : -1, ENOTCONN);
    close(fd);
    OK(umount("m"));
}

static void stat_hello(void *arg) {
    struct stat st;
    (void)arg;
    (void)stat("m/hello", &st);
}

CHECK(a_waiter_can_be_killed) {
    int hung[2];
    char byte;
    OK(pipe(hung));
    g_server.hung = hung[1];
    g_server.hang_on = FUSE_LOOKUP;
    pid_t server = start("");
    pid_t waiter = spawn(stat_hello, NULL);
    EQ(read(hung[0], &byte, 1), 1);
    pid_t second = spawn(stat_hello, NULL); /* waits for the first one's answer, or for its own */
    sleep_ms(100);
    kill(waiter, SIGKILL);
    EQ(wait_status(waiter), SIGKILL);
    kill(second, SIGKILL);
    EQ(wait_status(second), SIGKILL);
    stop(server);
}

static void stat_is_aborted(void *arg) {
    struct stat st;
    (void)arg;
    ERR(stat("m/hello", &st), ECONNABORTED);
}

CHECK(a_forced_unmount_ends_waits) {
    g_server.hang_on = FUSE_LOOKUP;
    pid_t server = start("");
    pid_t waiter = spawn(stat_is_aborted, NULL);
    sleep_ms(100);
    WAIT_UNTIL(umount2("m", MNT_FORCE) == 0);
    EQ(wait_exit(waiter), 0);
    kill(server, SIGKILL);
    wait_status(server);
}

CHECK(answers_that_are_wrong) {
    struct stat st;
    g_server.break_on = FUSE_LOOKUP;
    pid_t server = start("");
    ERR(stat("m/hello", &st), EIO);
    OK(stat("m", &st));
    stop(server);
}

CHECK(only_its_owner_may_use_it) {
    struct stat st;
    pid_t server = start("");
    OK(chmod(".", 0755));
    become_nobody();
    ERR(stat("m/hello", &st), EACCES);
    ERR(open("m", O_RDONLY), EACCES);
    kill(server, SIGKILL);
    _exit(0);
}

CHECK(everybody_may_use_it) {
    char text[64];
    pid_t server = start(",allow_other");
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        STREQ(get_file("m/hello", text, sizeof text), "hello world\n");
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    stop(server);
}

CHECK(mount_and_device_errors) {
    char buf[16384];
    int fd = open_device();
    ERR(read(fd, buf, sizeof buf), EPERM);
    ERR(write(fd, buf, 100), EPERM);
    ERR(mount("s", "m", "fuse", 0, "rootmode=40755,user_id=0,group_id=0"), EINVAL);
    ERR(mount("s", "m", "fuse", 0, NULL), EINVAL);
    ERR(mount_fuse(99, "fuse", ""), EINVAL);
    ERR(mount_fuse(fd, "fuse", ",nonesuch"), EINVAL);
    ERR(mount_fuse(0, "fuse", ""), EINVAL);
    ERR(mount_fuse(fd, "fuse.", ""), EINVAL);
    OK(mount_fuse(fd, "fuse", ""));
    ERR(read(fd, buf, 100), EINVAL);
    ssize_t n = OK(read(fd, buf, sizeof buf));
    struct fuse_in_header h;
    memcpy(&h, buf, sizeof h);
    EQ(h.len, n);
    EQ(h.opcode, FUSE_INIT);
    struct fuse_init_in init;
    memcpy(&init, buf + sizeof h, sizeof init);
    EQ(init.major, 7);
    struct fuse_out_header o = {.len = 16, .unique = 12345};
    ERR(write(fd, &o, 8), EINVAL);
    ERR(write(fd, &o, 16), ENOENT);
    o.error = 1;
    ERR(write(fd, &o, 16), EINVAL);
    o.error = -100000;
    ERR(write(fd, &o, 16), EINVAL);
    OK(umount("m"));
    ERR(read(fd, buf, sizeof buf), ENODEV);
}
