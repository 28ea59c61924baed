/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/peer.c: works with files for some seconds while tests/escape/run lets one of the sandbox's
 * peers lie (host/garble.c). Each call may fail with any error, and the sandbox may end; none may hang.
 */
#include "attack.h"

#include <dirent.h>

enum { ROUNDS = 3000 };

static void use_files(int round) {
    char name[64], buf[512];
    struct stat st;

    snprintf(name, sizeof name, "/tmp/peer-%d", round % 50);
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd >= 0) {
        (void)!write(fd, name, strlen(name));
        close(fd);
    }
    fd = open("/attack", O_RDONLY);
    if (fd >= 0) {
        (void)!pread(fd, buf, sizeof buf, round * 512);
        fstat(fd, &st);
        close(fd);
    }
    DIR *d = opendir("/");
    while (d && readdir(d)) {
    }
    if (d)
        closedir(d);
    snprintf(name, sizeof name, "/no/such/file-%d", round);
    stat(name, &st);
    rename("/tmp/peer-1", "/tmp/peer-2");
    unlink("/tmp/peer-3");
}

CHECK(files_while_a_peer_lies) {
    for (int i = 0; i < ROUNDS; i++) {
        use_files(i);
        usleep(2000);
    }
}
