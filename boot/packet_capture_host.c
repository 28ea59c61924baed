/* SPDX-License-Identifier: Apache-2.0
 * boot/packet_capture_host.c: see packet_capture.h. Records are written as they come, with the stack's lock
 * held: a disk that is slow makes a captured sandbox slow. After the first error (a full disk) nothing more
 * is written.
 */
#include "boot/packet_capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netstack/link/sniffer.h"

enum { SNAPLEN = 65536 + 64 };

struct packet_capture {
    struct sniffer sniffer;
    int fd;
    bool failed;
};

static void sink(void *ctx, const void *data, size_t len) {
    struct packet_capture *c = ctx;

    if (c->failed || write(c->fd, data, len) == (ssize_t)len)
        return;
    c->failed = true;
    log_warning(LOG_NET, "the packet capture ends here: %s", strerror(errno));
}

static const struct sniffer_sink_ops g_sink_ops = {.write = sink};

int packet_capture_start(struct netns *ns, int fd, struct packet_capture **ret) {
    struct packet_capture *c = calloc(1, sizeof *c);
    struct nic_info info = {.ifindex = 0};

    if (!c) {
        close_fd(fd);
        return -ENOMEM;
    }
    c->fd = fd;
    for (struct nic *nic = nic_next(ns, 0); nic; nic = nic_next(ns, info.ifindex)) {
        nic_info(nic, &info);
        if (!(info.flags & NS_IFF_LOOPBACK)) {
            c->sniffer =
                (struct sniffer){.ops = &g_sink_ops, .ctx = c, .st = nic_stack(nic), .snaplen = SNAPLEN};
            sniffer_start(&c->sniffer, nic);
            break;
        }
    }
    *ret = c;
    return 0;
}

void packet_capture_free(struct packet_capture *c) {
    if (!c)
        return;
    close_fd(c->fd);
    free(c);
}
