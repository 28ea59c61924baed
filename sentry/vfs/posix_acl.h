/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/posix_acl.h: POSIX access control lists: their text as an extended attribute, what they allow,
 * how new files inherit them. Source: acl(5), POSIX 1003.1e draft 17.
 *
 * A list never changes once made; inodes and callers share it by reference. An inode keeps its lists in
 * inode.acls (inode.acl_lock), put there by the file system's set_acl, which is also what says that the file
 * system has them.
 */
#pragma once

#include <sys/types.h>

#include "base/ref.h"
#include "sentry/kernel/creds.h"

struct inode;
struct path;

enum acl_kind { ACL_ACCESS, ACL_DEFAULT, ACL_KINDS };
enum acl_tag {
    ACL_USER_OBJ = 1,
    ACL_USER = 2,
    ACL_GROUP_OBJ = 4,
    ACL_GROUP = 8,
    ACL_MASK = 16,
    ACL_OTHER = 32
};
enum { ACL_MAX_ENTRIES = 8191 /* what a value of XATTR_SIZE_MAX holds */ };

struct acl_entry {
    uint16_t tag, perm; /* enum acl_tag; 4 read, 2 write, 1 execute */
    uint32_t id;        /* kernel id of USER and GROUP */
};
struct posix_acl {
    struct ref ref;
    uint32_t count;
    struct acl_entry *entries; /* heap; in the order that acl(5) wants */
};
DECLARE_REF(posix_acl);

/* Name of the attribute, or NULL; and the kind by a name: false if it is none. */
const char *acl_xattr_name(enum acl_kind kind);
bool acl_kind_of_xattr(const char *name, enum acl_kind *ret);

/* From an attribute's value, checked: -EINVAL, -EOPNOTSUPP (version), -ENOMEM. An empty one gives NULL. */
int posix_acl_parse(const void *value, size_t size, struct user_ns *ns, struct posix_acl **ret) must_check;
/* Bytes of the value; -ERANGE if it does not fit; size 0: the length alone. */
ssize_t posix_acl_format(const struct posix_acl *acl, struct user_ns *ns, void *buf, size_t size) must_check;

/* New reference, or NULL: the inode has none. */
struct posix_acl *inode_get_acl(struct inode *i, enum acl_kind kind);
/* For file systems, in set_acl: the inode has this one now (reference taken; NULL: none). */
void inode_put_acl(struct inode *i, enum acl_kind kind, struct posix_acl *acl);
/* For inodes that stand for another: the same lists as `from`. */
void inode_copy_acls(struct inode *to, struct inode *from);

/* What the access list says of permissions `want` (MAY_*): 0, -EACCES. */
int posix_acl_permission(const struct posix_acl *acl, const struct inode *i, const struct creds *c,
                         unsigned want);

/* What a new file in `dir` inherits. `mode`: as asked for, becomes what the file gets; umask applies only
 * where there is no default list. References in ret, NULL: none. 0 or -ENOMEM. */
struct acl_inheritance {
    struct posix_acl *acl[ACL_KINDS];
};
int acl_inherit(struct inode *dir, uint32_t type, uint32_t umask, uint32_t *mode,
                struct acl_inheritance *ret) must_check;
/* Puts it on the new inode and lets go of it. */
int acl_inherit_apply(struct acl_inheritance *a, struct inode *made, uint32_t mode) must_check;
void acl_inherit_done(struct acl_inheritance *a);
/* After chmod: the list's own bits follow. */
int acl_chmod(struct inode *i, uint32_t mode) must_check;

/* The calls on system.posix_acl_*, checks included. */
ssize_t vfs_get_acl(const struct path *p, enum acl_kind kind, void *buf, size_t size,
                    const struct creds *c) must_check;
int vfs_set_acl(const struct path *p, enum acl_kind kind, const void *value, size_t size,
                const struct creds *c) must_check;
