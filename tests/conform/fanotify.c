/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/fanotify.c: fanotify_init(2), fanotify_mark(2): events by descriptor and by handle, ignored
 * masks, permission.
 */
#include "conform.h"

#include <sys/fanotify.h>
#include <sys/mount.h>

static void on_tmpfs(void) {
    char cwd[512];

    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OKP(getcwd(cwd, sizeof cwd));
    OK(mount("t", cwd, "tmpfs", 0, "mode=0777"));
    OK(chdir(cwd));
}

/* All events that wait, by name of what they are of, and their masks. */
static void show(int fan, const char *what) {
    _Alignas(8) char buf[8192];
    char link[64], path[512];
    struct pollfd p = {.fd = fan, .events = POLLIN};

    printf("%s:\n", what);
    while (OK(poll(&p, 1, 100)) > 0) {
        ssize_t n = OK(read(fan, buf, sizeof buf));
        for (struct fanotify_event_metadata *m = (void *)buf; FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
            const char *name = "-";
            if (m->fd >= 0) {
                snprintf(link, sizeof link, "/proc/self/fd/%d", m->fd);
                ssize_t len = readlink(link, path, sizeof path - 1);
                path[len > 0 ? len : 0] = 0;
                name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
                close(m->fd);
            }
            printf("  %s %#llx v%d pid %s\n", name, (unsigned long long)m->mask, m->vers,
                   m->pid == getpid() ? "own" : "other");
            for (char *at = (char *)m + m->metadata_len; at < (char *)m + m->event_len;) {
                struct fanotify_event_info_fid *i = (void *)at;
                struct file_handle *h = (void *)i->handle;
                printf("    info %d", i->hdr.info_type);
                if (i->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME)
                    printf(" %s", (char *)h->f_handle + h->handle_bytes);
                printf("\n");
                at += i->hdr.len;
            }
        }
    }
}

static void work(void) {
    put_file("d/f", "text");
    char c[8];
    int fd = OK(open("d/f", O_RDONLY));
    OK(read(fd, c, sizeof c));
    close(fd);
}

CHECK(inode_marks) {
    on_tmpfs();
    OK(mkdir("d", 0755));
    put_file("d/f", "");
    int fan = OK(fanotify_init(FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY));
    char buf[64];
    ERR(read(fan, buf, sizeof buf), EAGAIN);
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE | FAN_MODIFY | FAN_ACCESS, AT_FDCWD, "d/f"));
    work();
    show(fan, "a file");
    OK(fanotify_mark(fan, FAN_MARK_REMOVE, FAN_OPEN | FAN_MODIFY | FAN_ACCESS, AT_FDCWD, "d/f"));
    work();
    show(fan, "its closes alone");
    OK(fanotify_mark(fan, FAN_MARK_FLUSH, 0, AT_FDCWD, "/"));
    work();
    show(fan, "nothing");
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_CLOSE | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
    work();
    show(fan, "children");
    OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_CLOSE_NOWRITE, AT_FDCWD, "d/f"));
    close(OK(open("d/f", O_RDONLY)));
    show(fan, "ignored");
}

CHECK(mount_and_file_system_marks) {
    on_tmpfs();
    OK(mkdir("d", 0755));
    OK(mkdir("other", 0755));
    OK(mount("d", "other", NULL, MS_BIND, NULL));
    int fan = OK(fanotify_init(FAN_NONBLOCK, O_RDONLY));
    OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, "."));
    work();
    put_file("other/g", "");
    show(fan, "one mount");
    OK(fanotify_mark(fan, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, AT_FDCWD, "/"));
    OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE | FAN_OPEN | FAN_ONDIR,
                     AT_FDCWD, "."));
    put_file("other/h", "");
    close(OK(open("d", O_RDONLY)));
    show(fan, "the file system");
}

CHECK(by_handle) {
    on_tmpfs();
    OK(mkdir("d", 0755));
    int fan = OK(fanotify_init(FAN_NONBLOCK | FAN_REPORT_DFID_NAME, O_RDONLY));
    OK(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                     FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_CLOSE_WRITE | FAN_ONDIR,
                     AT_FDCWD, "."));
    put_file("d/f", "");
    show(fan, "made");
    OK(rename("d/f", "g"));
    show(fan, "moved");
    OK(mkdir("d/sub", 0755));
    OK(rmdir("d/sub"));
    OK(unlink("g"));
    show(fan, "gone");
    close(fan);
    fan = OK(fanotify_init(FAN_NONBLOCK | FAN_REPORT_FID, O_RDONLY));
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_CREATE | FAN_ATTRIB | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
    put_file("d/x", "");
    OK(chmod("d/x", 0600));
    show(fan, "fid");
}

static void opener(void *arg) {
    (void)arg;
    OK(open("yes", O_RDONLY));
    ERR(open("no", O_RDONLY), EPERM);
}

CHECK(permission) {
    on_tmpfs();
    put_file("yes", "");
    put_file("no", "");
    int fan = OK(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "yes"));
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "no"));
    pid_t pid = spawn(opener, NULL);
    for (int i = 0; i < 2; i++) {
        struct fanotify_event_metadata m;
        EQ(OK(read(fan, &m, sizeof m)), sizeof m);
        EQ(m.mask, FAN_OPEN_PERM);
        EQ(m.pid, pid);
        struct fanotify_response r = {m.fd, i == 0 ? FAN_ALLOW : FAN_DENY};
        EQ(OK(write(fan, &r, sizeof r)), sizeof r);
        ERR(write(fan, &r, sizeof r), ENOENT);
        close(m.fd);
    }
    EQ(wait_exit(pid), 0);
    /* Nobody is left waiting when the listener goes. */
    pid = OK(fork());
    if (pid == 0) {
        close(fan);
        OK(open("no", O_RDONLY));
        _exit(0);
    }
    struct pollfd p = {.fd = fan, .events = POLLIN};
    EQ(OK(poll(&p, 1, 5000)), 1);
    close(fan);
    EQ(wait_exit(pid), 0);
}

static uint64_t next_mask(int fan) {
    char buffer[4096];
    struct pollfd p = {fan, POLLIN, 0};

    EQ(OK(poll(&p, 1, 5000)), 1);
    TRUE(read(fan, buffer, sizeof buffer) >= (ssize_t)sizeof(struct fanotify_event_metadata));
    return ((struct fanotify_event_metadata *)buffer)->mask;
}

CHECK(self_events) {
    on_tmpfs();
    put_file("f", "");
    OK(mkdir("d", 0755));
    int fan = OK(fanotify_init(FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY));
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_MOVE_SELF | FAN_DELETE_SELF, AT_FDCWD, "f"));
    OK(fanotify_mark(fan, FAN_MARK_ADD, FAN_MOVE_SELF | FAN_DELETE_SELF | FAN_ONDIR, AT_FDCWD, "d"));
    OK(rename("f", "g"));
    EQ(next_mask(fan), FAN_MOVE_SELF);
    OK(unlink("g"));
    EQ(next_mask(fan), FAN_DELETE_SELF);
    OK(rename("d", "e"));
    EQ(next_mask(fan), FAN_MOVE_SELF | FAN_ONDIR);
    OK(rmdir("e"));
    EQ(next_mask(fan), FAN_DELETE_SELF | FAN_ONDIR);
}

CHECK(errors) {
    on_tmpfs();
    put_file("f", "");
    ERR(fanotify_init(0x80000000, O_RDONLY), EINVAL);
    ERR(fanotify_init(FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT, O_RDONLY), EINVAL);
    ERR(fanotify_init(FAN_REPORT_NAME, O_RDONLY), EINVAL);
    ERR(fanotify_init(FAN_CLASS_CONTENT | FAN_REPORT_FID, O_RDONLY), EINVAL);
    ERR(fanotify_init(0, 3), EINVAL);
    int fan = OK(fanotify_init(0, O_RDONLY)), other = OK(open("f", O_RDONLY));
    ERR(fanotify_mark(fan, 0, FAN_OPEN, AT_FDCWD, "f"), EINVAL);
    ERR(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "f"), EINVAL);
    ERR(fanotify_mark(fan, FAN_MARK_ADD, 0, AT_FDCWD, "f"), EINVAL);
    ERR(fanotify_mark(fan, FAN_MARK_ADD, FAN_CREATE, AT_FDCWD, "f"), EINVAL);
    ERR(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "f"), EINVAL);
    ERR(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "nonesuch"), ENOENT);
    ERR(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN, AT_FDCWD, "f"), ENOTDIR);
    ERR(fanotify_mark(fan, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "f"), ENOENT);
    ERR(fanotify_mark(other, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f"), EINVAL);
    ERR(fanotify_mark(99, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f"), EBADF);
    become_nobody();
    ERR(fanotify_init(0, O_RDONLY), EPERM);
    OK(fanotify_init(FAN_REPORT_FID, O_RDONLY));
}
