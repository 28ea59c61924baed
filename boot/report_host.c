/* SPDX-License-Identifier: Apache-2.0
 * boot/report_host.c: a child's one report to its parent through a pipe (boot.h).
 */
#include "boot/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define REPORT_MAX 65536

static void send_report(int fd, char kind, const char *data, size_t size) {
    if (write(fd, &kind, 1) == 1)
        while (size > 0) {
            ssize_t n = write(fd, data, size);
            if (n <= 0)
                break; /* the parent is gone: nobody to tell */
            data += n;
            size -= (size_t)n;
        }
    close_fd(fd);
}

void boot_report_ready(int status_fd, const char *text) {
    send_report(status_fd, 'R', text, text ? strlen(text) : 0);
}

void boot_report_error(int status_fd, const struct err *e) {
    cleanup(freep) char *data = NULL;
    size_t size = 0;

    if (err_encode(e, &data, &size) < 0)
        size = 0;
    send_report(status_fd, 'E', data, size);
}

int boot_read_report(int status_fd, const char *who, char **ret_text, struct err **err) {
    cleanup(freep) char *data = malloc(REPORT_MAX + 1);
    size_t size = 0;
    ssize_t n = 0;

    if (!data) {
        close_fd(status_fd);
        return err_set(err, ENOMEM, "out-of-memory", "starting %s", who);
    }
    while (size < REPORT_MAX &&
           ((n = read(status_fd, data + size, REPORT_MAX - size)) > 0 || (n < 0 && errno == EINTR)))
        size += n > 0 ? (size_t)n : 0;
    close_fd(status_fd);
    data[size] = '\0';
    if (size > 0 && data[0] == 'R') {
        if (ret_text)
            *ret_text = strdup(data + 1);
        return 0;
    }
    struct err *theirs = size > 0 && data[0] == 'E' ? err_decode(data + 1, size - 1) : NULL;
    if (theirs) {
        int r = theirs->errnum > 0 ? -theirs->errnum : -EINVAL;
        if (err && !*err)
            *err = theirs;
        else
            err_free(theirs);
        return r;
    }
    int r = err_set(err, ECHILD, "child.died", "%s ended before it was ready", who);
    err_explain(err, "it was killed (out of memory?) or crashed", "see --debug-log");
    return r;
}
