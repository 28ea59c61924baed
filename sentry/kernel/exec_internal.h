/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/exec_internal.h: the parts of execve: exec.c, exec_creds.c.
 */
#pragma once

#include "base/compiler.h"

struct creds;
struct exec_request;
struct file;
struct load_result;
struct task;

/* The credentials that running `file` gives t: new reference; and whether AT_SECURE is set. May block. */
int exec_creds(struct task *t, struct file *file, struct creds **ret, bool *ret_secure) must_check;
