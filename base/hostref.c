/* SPDX-License-Identifier: Apache-2.0
 * base/hostref.c: hostrefs that are descriptors.
 */
#include "base/hostref.h"

#include "base/cleanup.h"

static void release_fd(struct hostref *h) {
    close_fd(h->host.fd);
}

const struct hostref_ops hostref_fd_ops = {.name = "fd", .release = release_fd};
