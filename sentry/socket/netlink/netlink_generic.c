/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/netlink_generic.c: NETLINK_GENERIC: the list of its families, which holds the list
 * alone. Programs that ask for another get ENOENT, as from a kernel without it. Source: genl(8), the kernel's
 * Documentation/userspace-api/netlink.
 */
#include <errno.h>
#include <string.h>

#include "sentry/socket/netlink/netlink.h"

static const char CONTROL[] = "nlctrl";

static void fill(struct nl_out *o, uint16_t flags) {
    struct linux_genlmsghdr g = {.cmd = LINUX_CTRL_CMD_NEWFAMILY, .version = 2};

    nl_begin(o, LINUX_GENL_ID_CTRL, flags, &g, sizeof g);
    nl_put_string(o, LINUX_CTRL_ATTR_FAMILY_NAME, CONTROL);
    nl_put_u16(o, LINUX_CTRL_ATTR_FAMILY_ID, LINUX_GENL_ID_CTRL);
    nl_put_u32(o, LINUX_CTRL_ATTR_VERSION, 2);
    nl_put_u32(o, LINUX_CTRL_ATTR_HDRSIZE, 0);
    nl_put_u32(o, LINUX_CTRL_ATTR_MAXATTR, 10);
    nl_end(o);
}

static int handle(struct netlink_request *r) {
    struct nl_attr a[LINUX_CTRL_ATTR_MAXATTR + 1];
    struct linux_genlmsghdr g;

    if (r->h.type != LINUX_GENL_ID_CTRL)
        return -ENOENT;
    if (r->size < sizeof g)
        return -EINVAL;
    memcpy(&g, r->payload, sizeof g);
    if (g.cmd != LINUX_CTRL_CMD_GETFAMILY)
        return -EOPNOTSUPP;
    if ((r->h.flags & LINUX_NLM_F_DUMP) == LINUX_NLM_F_DUMP) {
        fill(&r->out, LINUX_NLM_F_MULTI);
        r->dumped = true;
        return 0;
    }
    int result = nl_parse(r->payload + sizeof g, r->size - sizeof g, a, LINUX_CTRL_ATTR_MAXATTR);
    if (result < 0)
        return result;
    const struct nl_attr *name = &a[LINUX_CTRL_ATTR_FAMILY_NAME], *id = &a[LINUX_CTRL_ATTR_FAMILY_ID];
    uint16_t number = 0;
    if (id->data && id->len >= sizeof number)
        memcpy(&number, id->data, sizeof number);
    else if (!name->data)
        return -EINVAL;
    bool named = name->data && name->len >= sizeof CONTROL - 1 &&
                 strncmp((const char *)name->data, CONTROL, name->len) == 0;
    if (number != LINUX_GENL_ID_CTRL && !named)
        return -ENOENT;
    fill(&r->out, 0);
    return 0;
}

static struct netlink_protocol g_generic = {
    .protocol = LINUX_NETLINK_GENERIC, .groups = 32, .anybody_listens = true, .handle = handle};

__attribute__((constructor)) static void register_generic(void) {
    netlink_protocol_register(&g_generic);
}
