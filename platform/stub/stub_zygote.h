/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_zygote.h: what the zygote's first code is told, and how it fails.
 */
#pragma once

#include "platform/stub/stub.h"

enum zygote_step { /* exit statuses */
                   ZYGOTE_DESCRIPTORS = 90,
                   ZYGOTE_MAP,
                   ZYGOTE_VDSO,
                   ZYGOTE_PROCESS,
                   ZYGOTE_STUB = 99, /* `die` of stub.S */
};

struct zygote_plan {
    int command_fd; /* opened read-only */
    int message_fd, socket_fd;
    int text_fd;   /* opened read-only */
    int patch_fd;  /* opened read-only */
    bool handlers; /* install stub_handler for what guest threads can bring about */
    uint64_t command_offset, message_offset, message_size;
    struct stub_vdso vdso;
};

/* Called by the thread that is to be every stub's parent. Returns 0 and the child, or a negative errno. */
int stub_zygote_clone(const struct zygote_plan *plan, pid_t *ret_pid) must_check;
/* What it was doing when it ended with that status. */
const char *stub_zygote_step(int status);
