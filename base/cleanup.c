/* SPDX-License-Identifier: Apache-2.0
 * base/cleanup.c: see cleanup.h.
 */
#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void freep(void *pp) {
    void *p;

    memcpy(&p, pp, sizeof p);
    free(p);
    memset(pp, 0, sizeof p);
}

int close_fd(int fd) {
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

void closep(int *fd) {
    *fd = close_fd(*fd);
}

int steal_fd(int *fd) {
    int taken = *fd;

    *fd = -1;
    return taken;
}

void fclosep(FILE **f) {
    int saved = errno;

    if (*f)
        fclose(*f);
    *f = NULL;
    errno = saved;
}

void closedirp(DIR **d) {
    int saved = errno;

    if (*d)
        closedir(*d);
    *d = NULL;
    errno = saved;
}
