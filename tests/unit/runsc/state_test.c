/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runsc/state_test.c: container directories: made once, locked, saved whole, removed even when
 * half made.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/container/container.h"
#include "tests/support/test.h"

static char g_root[64];

static void make_cli(struct cli *cli) {
    snprintf(g_root, sizeof g_root, "/tmp/runsc-state-XXXXXX");
    ASSERT_NOT_NULL(mkdtemp(g_root));
    *cli = (struct cli){.root = g_root, .debug_log_fd = -1};
}

static void end_cli(struct cli *cli) {
    free(cli->root_path);
    ASSERT_OK(rmdir(g_root)); /* nothing is left */
}

TEST(a_state_comes_back_as_it_was_saved) {
    struct cli cli;
    struct container *c = NULL;

    make_cli(&cli);
    ASSERT_OK(container_open(&cli, "box", CONTAINER_NEW, &c, NULL));
    c->state.bundle = strdup("/b \"quoted\"");
    c->state.sandbox = host_process_of(getpid());
    c->state.annotations = json_pack("{s:s}", "k", "v");
    c->state.has_init = true;
    ASSERT_OK(container_save(c, NULL));
    container_close(c);
    ASSERT_OK(container_open(&cli, "box", CONTAINER_OLD, &c, NULL));
    ASSERT_STREQ(c->state.bundle, "/b \"quoted\"");
    ASSERT_EQ(c->state.sandbox.pid, getpid());
    ASSERT_TRUE(host_process_alive(&c->state.sandbox));
    ASSERT_TRUE(c->state.has_init);
    ASSERT_STREQ(json_string_value(json_object_get(c->state.annotations, "k")), "v");
    ASSERT_OK(container_remove_files(c, NULL));
    container_close(c);
    end_cli(&cli);
}

TEST(a_second_create_does_not_touch_the_first) {
    struct cli cli;
    struct container *c = NULL, *other = NULL;
    cleanup(err_freep) struct err *err = NULL;

    make_cli(&cli);
    ASSERT_OK(container_open(&cli, "box", CONTAINER_NEW, &c, NULL));
    ASSERT_OK(container_save(c, NULL));
    container_close(c);
    ASSERT_EQ(container_open(&cli, "box", CONTAINER_NEW, &other, &err), -EEXIST);
    ASSERT_CONTAINS(err->message, "container with given ID already exists");
    ASSERT_OK(container_open(&cli, "box", CONTAINER_OLD, &c, NULL));
    ASSERT_OK(container_remove_files(c, NULL));
    container_close(c);
    end_cli(&cli);
}

TEST(an_unknown_id_leaves_no_lock_behind) {
    struct cli cli;
    struct container *c = NULL;
    cleanup(err_freep) struct err *err = NULL;

    make_cli(&cli);
    ASSERT_EQ(container_open(&cli, "nobody", CONTAINER_OLD, &c, &err), -ENOENT);
    ASSERT_CONTAINS(err->message, "container does not exist");
    end_cli(&cli);
}

TEST(a_half_made_container_can_be_destroyed) {
    struct cli cli;
    struct container *c = NULL;

    make_cli(&cli);
    ASSERT_OK(container_open(&cli, "box", CONTAINER_NEW, &c, NULL));
    container_close(c); /* runsc was killed before it wrote a state */
    ASSERT_OK(container_open(&cli, "box", CONTAINER_OLD, &c, NULL));
    ASSERT_EQ(container_status(c), STATUS_STOPPED);
    ASSERT_OK(runsc_container_destroy(c, NULL));
    container_close(c);
    end_cli(&cli);
}

TEST(a_damaged_state_is_an_error_that_says_so) {
    struct cli cli;
    struct container *c = NULL;
    cleanup(err_freep) struct err *err = NULL, *version = NULL;

    make_cli(&cli);
    ASSERT_OK(container_open(&cli, "box", CONTAINER_NEW, &c, NULL));
    cleanup(closep) int fd = openat(c->dir_fd, "state.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_OK(write(fd, "{garbage", 8));
    struct container *keep = TAKE(c);
    int dir = keep->dir_fd;
    keep->dir_fd = -1;
    container_close(keep);
    ASSERT_EQ(container_open(&cli, "box", CONTAINER_OLD, &c, &err), -EINVAL);
    ASSERT_CONTAINS(err->context, "reading the state of container box");
    ASSERT_OK(ftruncate(fd, 0));
    ASSERT_OK(pwrite(fd, "{\"version\":99}", 14, 0));
    ASSERT_EQ(container_open(&cli, "box", CONTAINER_OLD, &c, &version), -EPROTO);
    ASSERT_CONTAINS(version->message, "has version 99");
    ASSERT_OK(unlinkat(dir, "state.json", 0));
    close(dir);
    ASSERT_OK(container_open(&cli, "box", CONTAINER_OLD, &c, NULL));
    ASSERT_OK(container_remove_files(c, NULL));
    container_close(c);
    end_cli(&cli);
}

TEST(a_reused_pid_is_not_taken_for_the_process) {
    struct host_process me = host_process_of(getpid()), other = me;

    ASSERT_TRUE(host_process_alive(&me));
    other.started++;
    ASSERT_FALSE(host_process_alive(&other));
    host_process_kill(&other, 1000); /* must not kill this test */
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    struct host_process child = host_process_of(pid);
    host_process_kill(&child, 1000);
    ASSERT_EQ(test_wait(pid), SIGKILL);
    ASSERT_FALSE(host_process_alive(&child));
}

/* A verb that waits for the lock while another deletes the container must not go on with the dead one. */
TEST(the_lock_of_a_deleted_container_is_not_mistaken) {
    struct cli cli;
    struct container *c = NULL;

    int go[2];
    char byte;

    make_cli(&cli);
    ASSERT_OK(pipe2(go, O_CLOEXEC));
    pid_t pid =
        fork(); /* before the lock is taken: flock(2) belongs to the open file, which a child would share */
    if (pid == 0) {
        ASSERT_EQ(read(go[0], &byte, 1), 1);
        struct cli own = {.root = g_root, .debug_log_fd = -1};
        struct container *mine = NULL;
        int r = container_open(&own, "box", CONTAINER_OLD, &mine, NULL);
        _exit(r == -ENOENT ? 0 : 1);
    }
    ASSERT_OK(container_open(&cli, "box", CONTAINER_NEW, &c, NULL));
    ASSERT_EQ(write(go[1], "g", 1), 1);
    close(go[0]);
    close(go[1]);
    usleep(50000);
    ASSERT_OK(container_remove_files(c, NULL));
    container_close(c);
    ASSERT_EQ(test_wait(pid), 0);
    end_cli(&cli);
}

TEST(ids_become_file_names_and_are_checked) {
    static const char *const bad[] = {"", ".", "..", "a/b", "../x", "a b", "x\n", "\xc3\xa4"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ASSERT_EQ(container_check_id(bad[i], NULL), -EINVAL);
    ASSERT_OK(container_check_id("libpod-0123_A.b+c", NULL));
}
