/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_packet.c: AF_PACKET: frames as an interface sends and receives them, for
 * CAP_NET_RAW, and the memory of their rings. Fanout and virtio headers are not there: their options fail.
 * Source: packet(7).
 *
 * A ring lies in the shared memory file in one piece, and in one window of the sentry's, since the library
 * wants a pointer. Both of a socket's rings are mapped together, receiving first; a mapping keeps the memory.
 */
#include <errno.h>

#include "base/abi/linux/mman.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/socket/inet/inet_internal.h"

/* ---- rings ---- */

struct ring_memory {
    struct ref ref; /* the socket's and each mapping's */
    struct memfile *file;
    uint64_t offset, len;
    void *bytes;
};
HEAP_TYPE(ring_memory, struct ring_memory, 0);

static void ring_memory_unref(struct ring_memory *m) {
    if (m && ref_put(&m->ref)) {
        memfile_free(m->file, m->offset, m->len);
        heap_free(m);
    }
}

/* `len` bytes that do not cross a window's end: a second try begins where the first one did not fit. */
static int memory_alloc(struct ring_memory *m) {
    uint64_t in_window = 0;
    int r = memfile_alloc(m->file, m->len, &m->offset);

    if (r < 0)
        return r;
    m->bytes = memfile_map(m->file, m->offset, &in_window);
    if (m->bytes && in_window >= m->len)
        return 0;
    memfile_free(m->file, m->offset, m->len);
    return -ENOMEM;
}

static int ring_memory_new(struct kernel *k, uint64_t len, struct ring_memory **ret) {
    struct ring_memory *m = heap_new(ring_memory), filler;

    if (!m)
        return -ENOMEM;
    atomic_init(&m->ref.count, 1);
    m->file = k->memfile;
    m->len = len;
    int r = memory_alloc(m);
    if (r < 0 && memfile_alloc(m->file, len, &filler.offset) == 0) {
        r = memory_alloc(m);
        memfile_free(m->file, filler.offset, len);
    }
    if (r < 0)
        heap_free(m);
    else
        *ret = m;
    return r;
}

/* One mapping of a socket's rings. */
struct ring_map {
    struct mappable mappable;
    struct ring_memory *part[2]; /* references; NULL: no such ring */
};
HEAP_TYPE(ring_map, struct ring_map, 0);

static int map_range(struct mappable *base, uint64_t offset, uint64_t len, bool shared, bool writable,
                     struct host_range *ret) {
    const struct ring_map *map = container_of(base, struct ring_map, mappable);

    for (int i = 0; i < 2; i++) {
        const struct ring_memory *m = map->part[i];
        if (m && offset < m->len) {
            *ret = (struct host_range){.fd = memfile_fd(m->file, shared && writable),
                                       .offset = m->offset + offset,
                                       .len = MIN(len, m->len - offset)};
            return 0;
        }
        offset -= m ? m->len : 0;
    }
    *ret = (struct host_range){.fd = -1, .len = len};
    return 0;
}

static void map_release(struct mappable *base) {
    struct ring_map *map = container_of(base, struct ring_map, mappable);

    ring_memory_unref(map->part[0]);
    ring_memory_unref(map->part[1]);
    heap_free(map);
}

static const struct mappable_ops g_ring_map_ops = {
    .range = map_range, .release = map_release, .ranges_reused = true};

/* The whole, from its start, and nothing else: packet_mmap.rst. */
int inet_packet_mmap(struct inet_socket *s, const struct mmap_request *request, struct mappable **ret) {
    uint64_t size = 0;

    if (s->socket.family != LINUX_AF_PACKET)
        return -ENODEV;
    if (request->offset != 0 || !(request->flags & LINUX_MAP_SHARED))
        return -EINVAL;
    struct ring_map *map = heap_new(ring_map);
    if (!map)
        return -ENOMEM;
    mutex_lock(&s->read_lock);
    for (int i = 0; i < 2; i++) {
        map->part[i] = s->rings[i];
        if (map->part[i]) {
            ref_get(&map->part[i]->ref);
            size += map->part[i]->len;
        }
    }
    mutex_unlock(&s->read_lock);
    mappable_init(&map->mappable, &g_ring_map_ops, s->net->kernel);
    if (size == 0 || page_up(request->len) != size) {
        mappable_unref(&map->mappable);
        return -EINVAL;
    }
    *ret = &map->mappable;
    return 0;
}

static bool is_mapped(const struct ring_memory *m) {
    return m && atomic_load(&m->ref.count) > 1;
}

static int set_ring_locked(struct inet_socket *s, int name, const void *value, uint32_t len) {
    struct ring_memory **at = &s->rings[name == NS_PACKET_TX_RING], *m = NULL;
    size_t size;

    if (is_mapped(s->rings[0]) || is_mapped(s->rings[1]))
        return -EBUSY;
    int r = nsock_ring_check(s->nsock, name, value, len, &size);
    if (r == 0 && size > 0)
        r = ring_memory_new(s->net->kernel, size, &m);
    if (r == 0)
        r = nsock_ring_set(s->nsock, name, value, len, m ? m->bytes : NULL);
    if (r < 0) {
        ring_memory_unref(m);
        return r;
    }
    ring_memory_unref(*at);
    *at = m;
    return 0;
}

int inet_packet_set_ring(struct inet_socket *s, int name, const void *value, uint32_t len) {
    mutex_lock(&s->read_lock);
    int r = set_ring_locked(s, name, value, len);
    mutex_unlock(&s->read_lock);
    return r;
}

void inet_packet_done(struct inet_socket *s) {
    ring_memory_unref(s->rings[0]);
    ring_memory_unref(s->rings[1]);
}

/* ---- birth ---- */

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
