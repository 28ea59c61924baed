/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runsc/control_test.c: the control channel and server, with the fake kernel: requests, garbage,
 * descriptors, ends of processes.
 */
#include "boot/control_channel.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "boot/controller.h"
#include "tests/support/test.h"

static void pair_of(struct control_channel *a, struct control_channel *b) {
    int fds[2];

    ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    control_channel_init(a, fds[0]);
    control_channel_init(b, fds[1]);
}

TEST(a_message_and_its_descriptors_arrive_together) {
    struct control_channel a, b;
    int fds[2] = {0, 1}, got[2];
    json_t *message = json_pack("{s:s}", "verb", "x"), *received = NULL;

    pair_of(&a, &b);
    ASSERT_OK(control_send(&a, message, fds, 2, NULL));
    ASSERT_OK(control_receive(&b, &received, NULL));
    ASSERT_EQ(json_integer_value(json_object_get(received, "fds")), 2);
    ASSERT_EQ(control_take_fds(&b, got, 3), -EBADMSG);
    ASSERT_OK(control_take_fds(&b, got, 2));
    close(got[0]);
    close(got[1]);
    json_decref(message);
    json_decref(received);
    control_channel_done(&a);
    control_channel_done(&b);
}

static void expect_garbage(const char *text) {
    struct control_channel a, b;
    json_t *message;
    int r;

    pair_of(&a, &b);
    ASSERT_OK(send(a.fd, text, strlen(text), 0));
    ASSERT_OK(control_read(&b));
    while ((r = control_next(&b, &message)) == 1)
        json_decref(message);
    ASSERT_EQ(r, -EBADMSG);
    control_channel_done(&a);
    control_channel_done(&b);
}

TEST(garbage_ends_the_connection) {
    expect_garbage("\n");
    expect_garbage("garbage\n");
    expect_garbage("[1]\n");
    expect_garbage("{}\n{\"a\":1,\"a\":2}\n");
    expect_garbage("{\"a\":\"\xff\"}\n");
    expect_garbage("5\n");
}

TEST(a_line_may_come_in_pieces) {
    struct control_channel a, b;
    json_t *message = NULL;

    pair_of(&a, &b);
    for (const char *c = "{\"k\":7}\n"; *c; c++) {
        ASSERT_EQ(control_next(&b, &message), 0);
        ASSERT_OK(send(a.fd, c, 1, 0));
        ASSERT_OK(control_read(&b));
    }
    ASSERT_EQ(control_next(&b, &message), 1);
    ASSERT_EQ(json_integer_value(json_object_get(message, "k")), 7);
    json_decref(message);
    control_channel_done(&a);
    ASSERT_OK(control_read(&b));
    ASSERT_TRUE(b.ended);
    control_channel_done(&b);
}

TEST(errors_travel_whole) {
    cleanup(err_freep) struct err *e = NULL, *back = NULL;

    (void)err_set(&e, EACCES, "a.code", "doing %s", "this");
    err_explain(&e, "the cause", "the remedy");
    (void)err_wrap(&e, 0, "outer");
    json_t *j = control_error_to_json(e);
    ASSERT_EQ(control_error_from_json(j, &back), -EACCES);
    cleanup(freep) char *one = err_text(e);
    cleanup(freep) char *two = err_text(back);
    ASSERT_STREQ(one, two);
    json_decref(j);
    cleanup(err_freep) struct err *bad = NULL;
    ASSERT_EQ(control_error_from_json(NULL, &bad), -EPROTO);
}

/* ---- the server ---- */

struct server {
    struct controller *controller;
    struct boot_kernel *kernel;
    pthread_t thread;
    struct control_channel client;
    int code;
};

static void *serve(void *arg) {
    struct server *s = arg;

    s->code = controller_run(s->controller);
    return NULL;
}

static void server_start(struct server *s) {
    int fds[2];

    ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    struct controller_config config = {
        .listen_fd = -1, .connections = &fds[1], .connection_count = 1, .platform = "none"};
    ASSERT_OK(controller_create(&config, &s->controller, NULL));
    struct boot_kernel_config kernel = {.strace_fd = -1, .on_exit = controller_on_exit, .arg = s->controller};
    ASSERT_OK(boot_kernel_create(&kernel, &s->kernel, NULL));
    controller_set_kernel(s->controller, s->kernel);
    control_channel_init(&s->client, fds[0]);
    ASSERT_EQ(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s) {
    control_channel_done(&s->client);
    ASSERT_EQ(pthread_join(s->thread, NULL), 0);
    ASSERT_EQ(s->code, 0);
    controller_end_containers(s->controller);
    boot_kernel_destroy(s->kernel);
    controller_free(s->controller);
}

static json_t *ask(struct server *s, const char *text, const int *fds, size_t count, const char *error) {
    json_t *request = json_loads(text, 0, NULL), *answer = NULL;
    cleanup(err_freep) struct err *err = NULL;

    ASSERT_NOT_NULL(request);
    int r = control_call(&s->client, request, fds, count, &answer, &err);
    json_decref(request);
    if (error) {
        ASSERT_LT(r, 0);
        ASSERT_CONTAINS(err->message, error);
    } else {
        ASSERT_OK(r);
    }
    return answer;
}

#define SPEC(args)                                                                                           \
    "\"spec\":{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/\"},\"process\":{\"args\":" args               \
    ",\"cwd\":\"/\"}}"

TEST(requests_that_make_no_sense) {
    struct server s;

    server_start(&s);
    json_decref(ask(&s, "{\"verb\":\"hello\",\"id\":1}", NULL, 0, NULL));
    ask(&s, "{\"verb\":\"fly\"}", NULL, 0, "does not know the request \"fly\"");
    ask(&s, "{}", NULL, 0, "does not know the request");
    ask(&s, "{\"verb\":\"start\",\"container\":\"x\"}", NULL, 0, "x: container does not exist");
    ask(&s, "{\"verb\":\"start\"}", NULL, 0, "container does not exist");
    ask(&s, "{\"verb\":\"create\"}", NULL, 0, "create needs a container id");
    ask(&s, "{\"verb\":\"create\",\"container\":\"x\",\"fds_owner\":1}", NULL, 0,
        "the descriptors do not match");
    ask(&s, "{\"verb\":\"create\",\"container\":\"x\",\"fds_extra\":-1}", NULL, 0,
        "the descriptors do not match");
    ask(&s, "{\"verb\":\"create\",\"container\":\"x\",\"fds_stdio\":[true]}", NULL, 0,
        "fds_stdio must have three entries");
    ask(&s, "{\"verb\":\"create\",\"container\":\"x\",\"spec\":{}}", NULL, 0, "ociVersion is missing");
    ask(&s, "{\"verb\":\"create\",\"container\":\"x\"," SPEC("[\"missing\"]") "}", NULL, 0,
        "executable file not found");
    server_end(&s);
}

TEST(a_container_from_create_to_its_end) {
    struct server s;
    struct control_channel owner;
    int pair[2], out[2];
    json_t *event = NULL;
    char text[16] = "";

    server_start(&s);
    ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    ASSERT_OK(pipe2(out, O_CLOEXEC));
    control_channel_init(&owner, pair[0]);
    int fds[] = {out[1], pair[1]};
    json_decref(
        ask(&s,
            "{\"verb\":\"create\",\"container\":\"x\",\"fds_stdio\":[false,true,false],\"fds_owner\":1," SPEC(
                "[\"echo\",\"hi\"]") "}",
            fds, 2, NULL));
    close(out[1]);
    close(pair[1]);
    ask(&s, "{\"verb\":\"create\",\"container\":\"x\"}", NULL, 0, "container with given ID already exists");
    ask(&s, "{\"verb\":\"resume\",\"container\":\"x\"}", NULL, 0, "container not paused");
    ask(&s, "{\"verb\":\"signal\",\"container\":\"x\",\"signal\":65}", NULL, 0,
        "signal must lie between 0 and 64");
    ask(&s, "{\"verb\":\"wait\",\"container\":\"x\",\"pid\":99}", NULL, 0, "no process 99");
    json_decref(ask(&s, "{\"verb\":\"start\",\"container\":\"x\"}", NULL, 0, NULL));
    ASSERT_OK(control_receive(&owner, &event, NULL));
    ASSERT_STREQ(json_string_value(json_object_get(event, "event")), "exit");
    ASSERT_EQ(json_integer_value(json_object_get(event, "status")), 0);
    json_decref(event);
    ASSERT_EQ(read(out[0], text, sizeof text), 3);
    ASSERT_STREQ(text, "hi\n");
    ASSERT_EQ(read(out[0], text, sizeof text), 0); /* the guest's end is closed before the news of its end */
    close(out[0]);
    control_channel_done(&owner);
    server_end(&s);
}

TEST(an_owner_that_goes_takes_its_process_along) {
    struct server s;
    int pair[2];

    server_start(&s);
    ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    json_decref(ask(&s, "{\"verb\":\"create\",\"container\":\"x\",\"fds_owner\":1," SPEC("[\"forever\"]") "}",
                    &pair[1], 1, NULL));
    close(pair[1]);
    json_decref(ask(&s, "{\"verb\":\"start\",\"container\":\"x\"}", NULL, 0, NULL));
    close(pair[0]);
    json_t *end = ask(&s, "{\"verb\":\"wait\",\"container\":\"x\"}", NULL, 0, NULL);
    ASSERT_EQ(json_integer_value(json_object_get(end, "status")), 9);
    json_decref(end);
    server_end(&s);
}
