/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/gofer/gofer_fault_test.c: every allocation of either side fails once.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/client.h"
#include "gofer/protocol.h"
#include "gofer/server_internal.h"
#include "gofer_fixture.h"
#include "tests/support/fault.h"
#include "tests/support/test.h"

static struct gofer_fixture g_fixture;
static int g_sock;

/* A client whose allocations fail; the gofer was made before. */
static void client_scenario(void) {
    struct gofer_conn *conn;
    struct gofer_attr attr;
    if (gofer_conn_open(dup(g_sock), &conn) < 0)
        return;
    gofer_handle_t root = gofer_conn_root(conn, 0)->node.handle;
    ASSERT_OK(gofer_conn_getattr(conn, root, &attr));
    ASSERT_EQ(gofer_conn_look(conn, root, name_of("none"), &attr), -ENOENT);
    gofer_conn_close(conn);
}

TEST(client_without_memory) {
    static const struct gofer_fixture_options none;
    g_sock = gofer_fixture_spawn(&g_fixture, &none);
    ASSERT_GT(fault_sweep(client_scenario), 3);
    close(g_sock);
    gofer_fixture_end(&g_fixture);
}

static char g_dir[] = "/tmp/gofer-fault-XXXXXX";

static int ask(struct gofer_server *s, enum gofer_type type, const void *body, size_t size, void *reply) {
    static uint8_t in[GOFER_MESSAGE_MAX], out[GOFER_MESSAGE_MAX];
    struct gofer_request_header h = {
        .size = (uint32_t)(sizeof(h) + size), .type = (uint16_t)type, .version = GOFER_PROTOCOL_VERSION};
    struct gofer_reply_header r;
    int fd;
    memcpy(in, &h, sizeof(h));
    if (size)
        memcpy(in + sizeof(h), body, size);
    size_t got = gofer_dispatch(s, in, h.size, out, &fd);
    if (fd >= 0)
        close(fd);
    memcpy(&r, out, sizeof(r));
    if (reply)
        memcpy(reply, out + sizeof(r), got - sizeof(r) < 256 ? got - sizeof(r) : 256);
    ASSERT_TRUE(r.error == 0 || r.error == -ENOMEM || r.error == -EEXIST);
    return r.error;
}

/* The server in this process, without threads. */
static void server_scenario(void) {
    struct gofer_config_root root = {.fd = open(g_dir, O_PATH | O_CLOEXEC), .flags = GOFER_ROOT_WATCHED};
    struct gofer_config config = {
        .socket = -1, .roots = &root, .root_count = 1, .proc_fd = -1, .uring = GOFER_URING_NEVER};
    struct gofer_server *s;
    union {
        uint8_t bytes[256];
        struct gofer_node_reply node;
    } reply;
    if (gofer_server_new(&config, &s) < 0)
        return;
    struct {
        struct gofer_make make;
        uint16_t size;
        char name[1];
    } __attribute__((packed))
    mkdir_body = {.make = {.parent = s->roots[0].handle, .mode = 0755, .uid = geteuid(), .gid = getegid()},
                  .size = 1,
                  .name = "d"};
    struct gofer_listdir list = {.handle = s->roots[0].handle, .size = 4096};
    struct {
        struct gofer_close close;
        gofer_handle_t handle;
    } close_body = {.close.count = 1};
    if (ask(s, GOFER_MKDIR, &mkdir_body, sizeof(mkdir_body), &reply) == 0) {
        close_body.handle = reply.node.node.handle;
        ASSERT_EQ(ask(s, GOFER_CLOSE, &close_body, sizeof(close_body), NULL), 0);
    }
    (void)ask(s, GOFER_LISTDIR, &list, sizeof(list), NULL);
    (void)ask(s, GOFER_CHANNEL, NULL, 0, NULL);
    gofer_server_free(s);
    int dir = open(g_dir, O_PATH | O_CLOEXEC);
    (void)unlinkat(dir, "d", AT_REMOVEDIR);
    close(dir);
}

TEST(server_without_memory) {
    ASSERT_NOT_NULL(mkdtemp(g_dir));
    umask(0);
    ASSERT_GT(fault_sweep(server_scenario), 5);
    ASSERT_OK(chdir("/"));
    ASSERT_OK(rmdir(g_dir));
}
