/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/control/fuzz_control.c: what a client may send to the control socket: bytes in pieces
 * (boot/control_channel.h). The first byte of the input says how long the pieces are.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot/control_channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct control_channel c;
    int s[2], r = 0;

    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s) < 0)
        return 0;
    size_t piece = (size_t)data[0] * 16 + 1;
    control_channel_init(&c, s[0]);
    for (size_t at = 1; at < size && r >= 0;) {
        ssize_t n = write(s[1], data + at, MIN(piece, size - at));
        if (n > 0)
            at += (size_t)n;
        r = control_read(&c);
        json_t *message;
        while (r >= 0 && (r = control_next(&c, &message)) == 1) {
            ASSERT(json_is_object(message));
            struct err *e = NULL;
            control_error_from_json(json_object_get(message, "error"), &e);
            err_free(e);
            int fds[2];
            r = control_take_fds(&c, fds, 1); /* none was sent */
            ASSERT(r < 0);
            r = 0;
            json_decref(message);
        }
    }
    control_channel_done(&c);
    close(s[1]);
    return 0;
}
