/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_packet.c: AF_PACKET: frames as an interface sends and receives them, for
 * CAP_NET_RAW. Rings (PACKET_RX_RING), fanout and virtio headers are not there: their options fail. Source:
 * packet(7).
 */
#include <errno.h>

#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/inet/inet_internal.h"

static int create(struct task *t, int type, int protocol, uint32_t flags, struct file **ret) {
    struct net_namespace *net = task_net_namespace(t);
    struct inet_socket *s;
    struct nsock *n;

    if (!task_capable_in(t, net->user_ns, CAP_NET_RAW_NR))
        return -EPERM;
    if (type != LINUX_SOCK_DGRAM &&
        type != LINUX_SOCK_RAW) /* SOCK_PACKET has been obsolete since Linux 2.2 */
        return -ESOCKTNOSUPPORT;
    int r = nsock_new(net->netns, LINUX_AF_PACKET, type, __builtin_bswap16((uint16_t)protocol),
                      /* user= */ NULL, &n);
    if (r == 0)
        r = inet_socket_new(t, net, n, LINUX_AF_PACKET, type, protocol, flags, &s);
    if (r == 0)
        *ret = &s->socket.file;
    return r;
}

static struct socket_family g_packet_family = {.family = LINUX_AF_PACKET, .create = create};

__attribute__((constructor)) static void register_packet(void) {
    socket_family_register(&g_packet_family);
}
