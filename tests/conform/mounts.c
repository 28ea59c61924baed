/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/mounts.c: mount(2) and umount2(2) with all their flags, shared subtrees, pivot_root(2), and
 * mounts of user namespaces.
 */
#include "conform.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

static void world(void) {
    private_world();
    OK(mkdir("w", 0755));
}

static void new_mount(const char *at, unsigned long flags) {
    mkdir(at, 0755);
    OK(mount(at, at, "tmpfs", flags, NULL));
}

static void set_kind(const char *at, unsigned long kind) {
    OK(mount(NULL, at, NULL, kind, NULL));
}

/* Every mount below w, with its flags and its groups numbered as they appear. */
static void show(const char *what) {
    char line[1024];
    int groups[64], n = 0;
    FILE *f = OKP(fopen("/proc/self/mountinfo", "r"));

    printf("%s:\n", what);
    while (fgets(line, sizeof line, f)) {
        char *end, *at = strstr(line, "/w/");
        if (!at || !(end = strstr(at, " - ")))
            continue;
        *end = 0;
        printf(" ");
        int field = 0;
        for (char *tag = strtok(at, " "); tag; tag = strtok(NULL, " "), field++) {
            char *colon = strchr(tag, ':');
            int i = 0;
            if (field < 2 || !colon) {
                printf(" %s", tag);
                continue;
            }
            while (i < n && groups[i] != atoi(colon + 1))
                i++;
            if (i == n && n < 64)
                groups[n++] = atoi(colon + 1);
            printf(" %.*s:%d", (int)(colon - tag), tag, i + 1);
        }
        printf("\n");
    }
    fclose(f);
}

CHECK(kinds_and_binds) {
    static const unsigned long kinds[] = {MS_SHARED, MS_PRIVATE, MS_SLAVE};
    char a[32], b[32];

    world();
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            snprintf(a, sizeof a, "w/s%d%d", i, j);
            snprintf(b, sizeof b, "w/d%d%d", i, j);
            new_mount(a, 0);
            set_kind(a, MS_SHARED);
            set_kind(a, kinds[i]);
            new_mount(b, 0);
            set_kind(b, MS_SHARED);
            set_kind(b, kinds[j]);
            OK(mkdir("w/d", 0755) < 0 && errno != EEXIST ? -1 : 0);
            char in[48];
            snprintf(in, sizeof in, "%s/in", b);
            OK(mkdir(in, 0755));
            OK(mount(a, in, NULL, MS_BIND, NULL));
        }
    }
    show("source kind x destination kind");
    set_kind("w/s00", MS_UNBINDABLE);
    ERR(mount("w/s00", "w/d", NULL, MS_BIND, NULL), EINVAL);
}

CHECK(events_travel) {
    world();
    new_mount("w/a", 0);
    set_kind("w/a", MS_SHARED);
    OK(mkdir("w/a/x", 0755));
    OK(mkdir("w/a/y", 0755));
    OK(mkdir("w/peer", 0755));
    OK(mount("w/a", "w/peer", NULL, MS_BIND, NULL));
    OK(mkdir("w/slave", 0755));
    OK(mount("w/a", "w/slave", NULL, MS_BIND, NULL));
    set_kind("w/slave", MS_SLAVE);
    OK(mkdir("w/both", 0755));
    OK(mount("w/slave", "w/both", NULL, MS_BIND, NULL));
    set_kind("w/both", MS_SHARED);
    OK(mkdir("w/third", 0755));
    OK(mount("w/both", "w/third", NULL, MS_BIND, NULL));
    set_kind("w/third", MS_SLAVE);
    OK(mkdir("w/part", 0755));
    OK(mount("w/a/y", "w/part", NULL, MS_BIND, NULL));
    show("tree");
    OK(mount("x", "w/a/x", "tmpfs", 0, NULL));
    show("on a");
    OK(mount("y", "w/both/y", "tmpfs", 0, NULL));
    show("on both");
    OK(umount2("w/peer/x", 0));
    show("unmounted by a peer");
    OK(umount2("w/third/y", 0));
    show("unmounted in a slave");
    OK(mount("over", "w/slave/x", "tmpfs", 0, NULL));
    OK(mount("x2", "w/a/x", "tmpfs", 0, NULL));
    show("over a slave's own");
    OK(umount2("w/a/x", 0));
    show("and away");
}

CHECK(moves_and_shared_parents) {
    world();
    new_mount("w/a", 0);
    set_kind("w/a", MS_SHARED);
    OK(mkdir("w/a/in", 0755));
    OK(mkdir("w/a/to", 0755));
    OK(mkdir("w/peer", 0755));
    OK(mount("w/a", "w/peer", NULL, MS_BIND, NULL));
    OK(mount("in", "w/a/in", "tmpfs", 0, NULL));
    new_mount("w/free", 0);
    ERR(mount("w/a/in", "w/free", NULL, MS_MOVE, NULL), EINVAL);
    OK(mount("w/free", "w/a/to", NULL, MS_MOVE, NULL));
    show("a private mount moved to a shared one");
    new_mount("w/un", 0);
    set_kind("w/un", MS_UNBINDABLE);
    ERR(mount("w/un", "w/a/to", NULL, MS_MOVE, NULL), EINVAL);
}

CHECK(recursive_binds_and_slaves_of_slaves) {
    world();
    new_mount("w/a", 0);
    new_mount("w/a/b", 0);
    new_mount("w/a/b/c", 0);
    OK(mount(NULL, "w/a", NULL, MS_REC | MS_SHARED, NULL));
    OK(mkdir("w/copy", 0755));
    OK(mount("w/a", "w/copy", NULL, MS_BIND | MS_REC, NULL));
    show("rbind of shared mounts");
    OK(mount(NULL, "w/copy", NULL, MS_REC | MS_SLAVE, NULL));
    OK(mkdir("w/more", 0755));
    OK(mount("w/copy", "w/more", NULL, MS_BIND | MS_REC, NULL));
    show("rbind of slaves");
    set_kind("w/a/b", MS_UNBINDABLE);
    OK(mkdir("w/less", 0755));
    OK(mount("w/a", "w/less", NULL, MS_BIND | MS_REC, NULL));
    show("rbind leaves the unbindable out");
    set_kind("w/a", MS_PRIVATE);
    show("the slaves have lost their master or not");
    OK(umount2("w/copy", MNT_DETACH));
    show("detached");
}

CHECK(the_last_peer_goes) {
    world();
    new_mount("w/a", 0);
    set_kind("w/a", MS_SHARED);
    set_kind("w/a", MS_SLAVE);
    show("a slave of nobody");
    set_kind("w/a", MS_SHARED);
    OK(mkdir("w/b", 0755));
    OK(mount("w/a", "w/b", NULL, MS_BIND, NULL));
    set_kind("w/b", MS_SLAVE);
    set_kind("w/b", MS_SHARED);
    OK(mkdir("w/c", 0755));
    OK(mount("w/b", "w/c", NULL, MS_BIND, NULL));
    set_kind("w/c", MS_SLAVE);
    show("chain");
    set_kind("w/b", MS_PRIVATE);
    show("the middle left");
    OK(umount2("w/a", 0));
    show("the first left");
}

CHECK(flags_and_remounts) {
    struct statvfs v;

    world();
    new_mount("w/m", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RDONLY);
    show("all");
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
    show("a bind remount keeps the access times");
    ERR(mkdir("w/m/d", 0755), EROFS);
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT, "size=1m"));
    OK(mkdir("w/m/d", 0755));
    show("remounted");
    OK(statvfs("w/m", &v));
    EQ(v.f_blocks * v.f_frsize, 1 << 20);
    ERR(mount(NULL, "w/m", NULL, MS_REMOUNT, "nonesuch"), EINVAL);
    ERR(mount(NULL, "w/m/d", NULL, MS_REMOUNT, NULL), EINVAL);
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_STRICTATIME, NULL));
    show("strict");
    int fd = OK(open("w/m/f", O_CREAT | O_RDWR, 0600));
    ERR(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), EBUSY);
    ERR(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
    close(fd);
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    ERR(open("w/m/f", O_RDWR), EROFS);
}

CHECK(mount_errors) {
    world();
    put_file("f", "");
    OK(mkdir("d", 0755));
    ERR(mount("x", "nonesuch", "tmpfs", 0, NULL), ENOENT);
    ERR(mount("x", "d", "nonesuch", 0, NULL), ENODEV);
    ERR(mount("x", "d", NULL, 0, NULL), EINVAL);
    ERR(mount("x", "f", "tmpfs", 0, NULL), ENOTDIR);
    ERR(mount("x", "d", "tmpfs", 0, "size=junk"), EINVAL);
    ERR(mount(NULL, "d", NULL, MS_BIND, NULL), EINVAL);
    ERR(mount("nonesuch", "d", NULL, MS_BIND, NULL), ENOENT);
    ERR(mount("d", "f", NULL, MS_BIND, NULL), ENOTDIR);
    ERR(mount("f", "d", NULL, MS_BIND, NULL), ENOTDIR);
    ERR(mount(NULL, "d", NULL, MS_SHARED, NULL), EINVAL);
    ERR(mount(NULL, ".", NULL, MS_SHARED | MS_PRIVATE, NULL), EINVAL);
    ERR(mount(NULL, ".", NULL, MS_SHARED | MS_RDONLY, NULL), EINVAL);
    ERR(mount((char *)8, "d", "tmpfs", 0, NULL), EFAULT);
    ERR(mount("x", "d", (char *)8, 0, NULL), EFAULT);
    ERR(mount("d", ".", NULL, MS_MOVE, NULL), EINVAL);
    OK(mount("f", "f", NULL, MS_BIND, NULL));
    OK(umount2("f", 0));
    become_nobody();
    ERR(mount("x", "d", "tmpfs", 0, NULL), EPERM);
    ERR(mount("x", "nonesuch", "tmpfs", 0, NULL), ENOENT);
    ERR(umount2("d", 0), EPERM);
    ERR(umount2("nonesuch", 0), ENOENT);
    ERR(umount2("d", 0x100), EINVAL);
}

CHECK(umounts) {
    world();
    new_mount("w/m", 0);
    OK(mkdir("w/m/d", 0755));
    ERR(umount2("w/m/d", 0), EINVAL);
    int fd = OK(open("w/m/f", O_CREAT | O_RDWR, 0600));
    ERR(umount2("w/m", 0), EBUSY);
    ERR(umount2("w/m", MNT_EXPIRE), EBUSY);
    ERR(umount2("w/m", MNT_EXPIRE | MNT_DETACH), EINVAL);
    OK(umount2("w/m", MNT_DETACH));
    EQ(OK(write(fd, "x", 1)), 1);
    close(fd);
    new_mount("w/m", 0);
    ERR(umount2("w/m", MNT_EXPIRE), EAGAIN);
    OK(access("w/m/.", F_OK));
    ERR(umount2("w/m", MNT_EXPIRE), EAGAIN);
    OK(umount2("w/m", MNT_EXPIRE));
    OK(symlink("m", "w/l"));
    new_mount("w/m", 0);
    ERR(umount2("w/l", UMOUNT_NOFOLLOW), EINVAL);
    OK(umount2("w/l", 0));
    new_mount("w/m", 0);
    new_mount("w/m/in", 0);
    ERR(umount2("w/m", 0), EBUSY);
    OK(umount2("w/m", MNT_DETACH));
    show("nothing left");
}

CHECK(pivot_root_moves_the_root) {
    world();
    ERR(syscall(SYS_pivot_root, "w", "w"), EINVAL);
    new_mount("w/new", 0);
    OK(mkdir("w/new/old", 0755));
    OK(mkdir("w/new/d", 0755));
    ERR(syscall(SYS_pivot_root, "w/new", "w"), EINVAL);
    ERR(syscall(SYS_pivot_root, "w/new/d", "w/new/old"), EINVAL);
    ERR(syscall(SYS_pivot_root, "w/new", "nonesuch"), ENOENT);
    OK(syscall(SYS_pivot_root, "w/new", "w/new/old"));
    OK(chdir("/"));
    OK(access("/d", F_OK));
    OK(access("/old/proc", F_OK));
    OK(umount2("/old", MNT_DETACH));
    ERR(access("/old/proc", F_OK), ENOENT);
}

CHECK(pivot_root_onto_itself) {
    world();
    new_mount("w/new", 0);
    OK(mkdir("w/new/d", 0755));
    OK(chdir("w/new"));
    OK(syscall(SYS_pivot_root, ".", "."));
    OK(umount2(".", MNT_DETACH));
    OK(chdir("/"));
    OK(access("/d", F_OK));
}

/* In a user namespace of its own: what came with the copy is locked. */
static void in_user_ns(void *arg) {
    struct statvfs v;

    (void)arg;
    OK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
    put_file("/proc/self/uid_map", "0 0 1");
    put_file("/proc/self/setgroups", "deny");
    put_file("/proc/self/gid_map", "0 0 1");
    ERR(umount2("w/m", 0), EINVAL);
    ERR(umount2("w/m/in", 0), EINVAL);
    ERR(umount2("w/m", MNT_DETACH), EINVAL);
    ERR(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL));
    ERR(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_RDONLY, NULL), EPERM);
    ERR(mount("w/m", "w/d", NULL, MS_BIND, NULL), EINVAL);
    OK(mount("w/m", "w/d", NULL, MS_BIND | MS_REC, NULL));
    ERR(mount("w/m/in", "w/d", NULL, MS_MOVE, NULL), EINVAL);
    OK(mount("own", "w/e", "tmpfs", 0, NULL));
    OK(mkdir("w/e/x", 0755));
    OK(statvfs("w/e", &v));
    ERR(mknod("w/e/null", S_IFCHR | 0666, 0x103), EPERM);
    OK(umount2("w/e", 0));
    OK(umount2("w/d", MNT_DETACH));
    show("the copies are slaves");
}

CHECK(mounts_of_a_user_namespace) {
    world();
    new_mount("w/m", MS_RDONLY | MS_NOSUID);
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND, NULL));
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT, NULL));
    new_mount("w/m/in", 0);
    OK(mkdir("w/d", 0777));
    OK(mkdir("w/e", 0777));
    set_kind("w/m", MS_SHARED);
    OK(mount(NULL, "w/m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL));
    int pid = spawn(in_user_ns, NULL);
    EQ(wait_exit(pid), 0);
    show("the originals");
}

static void unshared(void *arg) {
    (void)arg;
    OK(unshare(CLONE_NEWNS));
    show("in the copy");
    OK(mount("late", "w/a/x", "tmpfs", 0, NULL));
    OK(mkdir("w/p/own", 0755));
    OK(mount("own", "w/p/own", "tmpfs", 0, NULL));
    show("after two mounts");
}

CHECK(a_copied_namespace_shares_what_is_shared) {
    world();
    new_mount("w/a", 0);
    OK(mkdir("w/a/x", 0755));
    set_kind("w/a", MS_SHARED);
    new_mount("w/p", 0);
    new_mount("w/u", 0);
    set_kind("w/u", MS_UNBINDABLE);
    int pid = spawn(unshared, NULL);
    EQ(wait_exit(pid), 0);
    show("in the original");
}

CHECK(mounts_file_wakes_pollers) {
    world();
    int fd = OK(open("/proc/self/mounts", O_RDONLY));
    char buf[16384];
    while (OK(read(fd, buf, sizeof buf)) > 0)
        ;
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    EQ(OK(poll(&p, 1, 0)), 0);
    new_mount("w/m", 0);
    EQ(OK(poll(&p, 1, 1000)), 1);
    EQ(p.revents & (POLLPRI | POLLERR), POLLPRI | POLLERR);
    EQ(OK(poll(&p, 1, 0)), 0);
    OK(umount2("w/m", 0));
    EQ(OK(poll(&p, 1, 1000)), 1);
}
