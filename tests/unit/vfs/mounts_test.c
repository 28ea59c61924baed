/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/mounts_test.c: mounts, propagation, namespaces, pivot_root, tmpfs options and limits.
 */
#include "base/abi/linux/mount.h"
#include "tests/unit/vfs/vfs_fixture.h"

#define f (*fp)

static int64_t do_mount(struct fixture *fp, const char *source, const char *at, const char *type,
                        uint64_t flags, const char *data) {
    return CALL(mount, S(source), S(at), type ? S(type) : 0, flags, data ? S(data) : 0);
}

WITH_FIXTURE(mount_cover_and_uncover) {
    ASSERT_OK(CALL(mkdir, S("/m"), 0755));
    write_file(&f, "/m/under", "under");
    ASSERT_EQ(do_mount(&f, "x", "/m", "nosuchfs", 0, NULL), -ENODEV);
    ASSERT_EQ(do_mount(&f, "x", "/m", NULL, 0, NULL), -EINVAL);
    ASSERT_EQ(do_mount(&f, "x", "/m", "tmpfs", 0, "bogus=1"), -EINVAL);
    ASSERT_OK(do_mount(&f, "x", "/m", "tmpfs", 0, "mode=700,size=64k"));
    struct linux_stat st;
    ASSERT_OK(stat_of(&f, "/m", &st));
    ASSERT_EQ(st.mode & 07777, 0700);
    ASSERT_STREQ(read_file(&f, "/m/under"), "ENOENT");
    write_file(&f, "/m/above", "above");
    ASSERT_EQ(CALL(rmdir, S("/m")), -EBUSY);
    ASSERT_EQ(CALL(link, S("/m/above"), S("/l")), -EXDEV);
    ASSERT_EQ(CALL(rename, S("/m/above"), S("/l")), -EXDEV);
    int64_t fd = do_open(&f, "/m/above", LINUX_O_RDONLY, 0);
    ASSERT_EQ(CALL(umount2, S("/m"), 0), -EBUSY);
    ASSERT_OK(CALL(umount2, S("/m"), LINUX_MNT_DETACH));
    ASSERT_STREQ(read_str(&f, fd, 10), "above");
    ASSERT_STREQ(read_file(&f, "/m/under"), "under");
    ASSERT_EQ(CALL(umount2, S("/m"), 0), -EINVAL);
    ASSERT_OK(CALL(close, (uint64_t)fd));
    struct task *other = fixture_task(&f, false);
    fixture_become(other, 1000, 1000);
    ASSERT_EQ(CALL_ON(other, mount, S("x"), S("/m"), S("tmpfs"), 0, 0), -EPERM);
    fixture_task_done(other);
}

WITH_FIXTURE(bind_and_flags) {
    ASSERT_OK(CALL(mkdir, S("/a"), 0755));
    ASSERT_OK(CALL(mkdir, S("/a/in"), 0755));
    ASSERT_OK(CALL(mkdir, S("/b"), 0755));
    write_file(&f, "/a/x", "x");
    ASSERT_OK(do_mount(&f, "t", "/a/in", "tmpfs", 0, NULL));
    write_file(&f, "/a/in/y", "y");
    ASSERT_OK(do_mount(&f, "/a", "/b", NULL, LINUX_MS_BIND, NULL));
    ASSERT_STREQ(read_file(&f, "/b/x"), "x");
    ASSERT_STREQ(read_file(&f, "/b/in/y"), "ENOENT");
    ASSERT_OK(CALL(umount2, S("/b"), 0));
    ASSERT_OK(do_mount(&f, "/a", "/b", NULL, LINUX_MS_BIND | LINUX_MS_REC, NULL));
    ASSERT_STREQ(read_file(&f, "/b/in/y"), "y");
    ASSERT_OK(do_mount(&f, "none", "/b", NULL,
                       LINUX_MS_BIND | LINUX_MS_REMOUNT | LINUX_MS_RDONLY | LINUX_MS_NODEV, NULL));
    ASSERT_EQ(do_open(&f, "/b/x", LINUX_O_WRONLY, 0), -EROFS);
    ASSERT_EQ(do_open(&f, "/b/new", LINUX_O_CREAT, 0600), -EROFS);
    ASSERT_EQ(CALL(mkdir, S("/b/d"), 0755), -EROFS);
    ASSERT_EQ(CALL(mkdir, S("/b/x"), 0755), -EEXIST);
    ASSERT_EQ(CALL(unlink, S("/b/x")), -EROFS);
    ASSERT_EQ(CALL(unlink, S("/b/none")), -ENOENT);
    ASSERT_EQ(CALL(chmod, S("/b/x"), 0600), -EROFS);
    ASSERT_EQ(CALL(access, S("/b/x"), 2), -EROFS);
    int64_t w = do_open(&f, "/a/x", LINUX_O_WRONLY, 0);
    ASSERT_OK(w); /* the other mount still is writable */
    ASSERT_EQ(do_mount(&f, "none", "/a/in", NULL, LINUX_MS_REMOUNT | LINUX_MS_RDONLY, NULL), 0);
    ASSERT_OK(do_mount(&f, "/a/x", "/b/x", NULL, LINUX_MS_BIND, NULL)); /* a file on a file */
    ASSERT_EQ(do_mount(&f, "/a", "/b/x", NULL, LINUX_MS_BIND, NULL), -ENOTDIR);
    ASSERT_OK(do_mount(&f, "/b", "/a/in", NULL, LINUX_MS_MOVE, NULL));
    ASSERT_STREQ(read_file(&f, "/a/in/x"), "x");
    ASSERT_STREQ(read_file(&f, "/b/x"), "ENOENT");
    ASSERT_EQ(do_mount(&f, "/a/in", "/a/in/in", NULL, LINUX_MS_MOVE, NULL), -ELOOP);
}

WITH_FIXTURE(propagation_to_peers_and_slaves) {
    ASSERT_OK(CALL(mkdir, S("/s"), 0755));
    ASSERT_OK(CALL(mkdir, S("/p"), 0755));
    ASSERT_OK(CALL(mkdir, S("/v"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/s", "tmpfs", 0, NULL));
    ASSERT_OK(do_mount(&f, "none", "/s", NULL, LINUX_MS_SHARED, NULL));
    ASSERT_OK(CALL(mkdir, S("/s/m"), 0755));
    ASSERT_OK(do_mount(&f, "/s", "/p", NULL, LINUX_MS_BIND, NULL));
    ASSERT_OK(do_mount(&f, "/s", "/v", NULL, LINUX_MS_BIND, NULL));
    ASSERT_OK(do_mount(&f, "none", "/v", NULL, LINUX_MS_SLAVE, NULL));
    ASSERT_OK(do_mount(&f, "t", "/s/m", "tmpfs", 0, NULL));
    write_file(&f, "/s/m/x", "x");
    ASSERT_STREQ(read_file(&f, "/p/m/x"), "x");
    ASSERT_STREQ(read_file(&f, "/v/m/x"), "x");
    ASSERT_OK(CALL(umount2, S("/p/m"), 0));
    ASSERT_STREQ(read_file(&f, "/s/m/x"), "ENOENT");
    ASSERT_STREQ(read_file(&f, "/v/m/x"), "ENOENT");
    ASSERT_OK(do_mount(&f, "t", "/v/m", "tmpfs", 0, NULL));
    write_file(&f, "/v/m/z", "z");
    ASSERT_STREQ(read_file(&f, "/s/m/z"), "ENOENT"); /* slaves do not send */
    ASSERT_OK(do_mount(&f, "none", "/v", NULL, LINUX_MS_UNBINDABLE, NULL));
    ASSERT_EQ(do_mount(&f, "/v", "/p/m", NULL, LINUX_MS_BIND, NULL), -EINVAL);
    ASSERT_EQ(do_mount(&f, "none", "/v", NULL, LINUX_MS_SHARED | LINUX_MS_SLAVE, NULL), -EINVAL);
}

WITH_FIXTURE(namespace_copy_is_apart) {
    struct mnt_ns *copy;
    struct path cwd, there;

    ASSERT_OK(CALL(mkdir, S("/m"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/m", "tmpfs", 0, NULL));
    write_file(&f, "/m/x", "x");
    ASSERT_OK(CALL(chdir, S("/m")));
    fs_context_get(f.t->fs, NULL, &cwd);
    ASSERT_OK(mnt_ns_copy(f.ns, f.k->root_user_ns, &copy));
    ASSERT_EQ(copy->count, 2);
    ASSERT_OK(mnt_ns_translate(copy, &cwd, &there));
    ASSERT_TRUE(there.mount != cwd.mount);
    ASSERT_TRUE(there.dentry == cwd.dentry);
    path_put(&cwd);
    ASSERT_OK(CALL(chdir, S("/")));
    ASSERT_OK(CALL(umount2, S("/m"), 0));
    struct path root = mnt_ns_root(copy), p;
    struct vfs_view v = {.root = root, .cwd = root, .creds = f.t->creds};
    ASSERT_OK(path_lookup(&v, AT, "/m/x", 0, &p));
    path_put(&p);
    path_put(&root);
    path_put(&there);
    mnt_ns_unref(copy);
}

WITH_FIXTURE(pivot_root_as_runtimes_do) {
    ASSERT_OK(CALL(mkdir, S("/new"), 0755));
    write_file(&f, "/old-file", "old");
    ASSERT_EQ(CALL(pivot_root, S("/new"), S("/new")), -EBUSY); /* on the root's own mount */
    ASSERT_OK(do_mount(&f, "t", "/new", "tmpfs", 0, NULL));
    ASSERT_OK(CALL(mkdir, S("/new/put"), 0755));
    write_file(&f, "/new/file", "new");
    ASSERT_EQ(CALL(pivot_root, S("/new"), S("/")), -EBUSY);
    ASSERT_OK(CALL(pivot_root, S("/new"), S("/new/put")));
    ASSERT_STREQ(read_file(&f, "/file"), "new");
    ASSERT_STREQ(read_file(&f, "/put/old-file"), "old");
    ASSERT_OK(CALL(umount2, S("/put"), LINUX_MNT_DETACH));
    ASSERT_STREQ(read_file(&f, "/put/old-file"), "ENOENT");
    /* pivot_root(".", "."): the old root lies on the new one. */
    ASSERT_OK(CALL(mkdir, S("/third"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/third", "tmpfs", 0, NULL));
    write_file(&f, "/third/file", "third");
    ASSERT_OK(CALL(chdir, S("/third")));
    ASSERT_OK(CALL(pivot_root, S("."), S(".")));
    ASSERT_OK(CALL(umount2, S("/"), LINUX_MNT_DETACH));
    ASSERT_OK(CALL(chdir, S("/")));
    ASSERT_STREQ(read_file(&f, "/file"), "third");
}

WITH_FIXTURE(expire) {
    ASSERT_OK(CALL(mkdir, S("/m"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/m", "tmpfs", 0, NULL));
    ASSERT_EQ(CALL(umount2, S("/m"), LINUX_MNT_EXPIRE | LINUX_MNT_DETACH), -EINVAL);
    ASSERT_EQ(CALL(umount2, S("/m"), 0x100), -EINVAL);
    ASSERT_OK(CALL(umount2, S("/m"), 0));
}

WITH_FIXTURE(tmpfs_limits) {
    static char page[4096];
    char name[16];

    ASSERT_OK(CALL(mkdir, S("/m"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/m", "tmpfs", 0, "size=64k,nr_inodes=10"));
    int64_t fd = do_open(&f, "/m/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644);
    ASSERT_EQ(CALL(write, (uint64_t)fd, room(&f, 100000), 100000), 65536);
    ASSERT_EQ(CALL(write, (uint64_t)fd, put(&f, page, 4096), 1), -ENOSPC);
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, put(&f, page, 4096), 4096, 0), 4096); /* nothing new */
    ASSERT_OK(CALL(ftruncate, (uint64_t)fd, 4096));
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, put(&f, page, 4096), 4096, 100 << 20), 4096);
    ASSERT_EQ(CALL(fallocate, (uint64_t)fd, 0, 0, 100000), -ENOSPC);
    int i = 0;
    for (;; i++) {
        snprintf(name, sizeof name, "/m/%d", i);
        int64_t r = CALL(mkdir, S(name), 0755);
        if (r == -ENOSPC)
            break;
        ASSERT_OK(r);
    }
    ASSERT_EQ(i, 8);
    struct linux_statfs st;
    gva_t at = room(&f, sizeof st);
    ASSERT_OK(CALL(statfs, S("/m"), at));
    get(&f, &st, at, sizeof st);
    ASSERT_EQ(st.type, LINUX_TMPFS_MAGIC);
    ASSERT_EQ(st.blocks, 16);
    ASSERT_EQ(st.ffree, 0);
    ASSERT_EQ(do_mount(&f, "t", "/m", "tmpfs", LINUX_MS_REMOUNT, "nr_inodes=5"), -EINVAL);
    ASSERT_OK(do_mount(&f, "t", "/m", "tmpfs", LINUX_MS_REMOUNT, "nr_inodes=11"));
    ASSERT_OK(CALL(mkdir, S("/m/more"), 0755));
}

static void count_mounts(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    char *text = arg;
    (void)m, (void)parent_id;
    strcat(text, mountpoint);
    strcat(text, " ");
}

WITH_FIXTURE(listing_is_seen_from_the_root) {
    char text[200] = "";

    ASSERT_OK(CALL(mkdir, S("/r"), 0755));
    ASSERT_OK(CALL(mkdir, S("/r/m"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/r/m", "tmpfs", 0, NULL));
    ASSERT_OK(CALL(mkdir, S("/r/m/deep"), 0755));
    ASSERT_OK(do_mount(&f, "t", "/r/m/deep", "tmpfs", 0, NULL));
    struct path root = mnt_ns_root(f.ns);
    ASSERT_OK(mnt_ns_for_each(f.ns, &root, count_mounts, text));
    ASSERT_STREQ(text, "/ /r/m /r/m/deep ");
    path_put(&root);
    ASSERT_OK(CALL(chroot, S("/r")));
    fs_context_get(f.t->fs, &root, NULL);
    text[0] = '\0';
    ASSERT_OK(mnt_ns_for_each(f.ns, &root, count_mounts, text));
    ASSERT_STREQ(text, "/m /m/deep ");
    path_put(&root);
}
