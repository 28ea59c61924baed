/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/elf/fuzz_elf.c: arbitrary bytes as a program: load_program() over platform/fake. Whatever they
 * are, it answers with an errno or an address space whose tree is sound, and leaves nothing behind. Scripts
 * included; the only file that they find is a script that names itself.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/fake/fake.h"
#include "tests/unit/loader/loader_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fixture g_fixture;

/* The harness' way to end a test: here it is a finding. */
void test_fail_at(const char *file, int line, const char *fmt, ...) {
    va_list args;

    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    abort();
}

static void check(struct load_result *r) {
    mutex_lock(&r->mm->lock);
    mm_check_locked(r->mm);
    ASSERT_TRUE(!r->mm->batch);
    mutex_unlock(&r->mm->lock);
    file_unref(r->exe);
    mm_unref(r->mm);
}

static void set_up(void) {
    static const char script[] = "#!/script\n";

    fixture_init(&g_fixture);
    loader_root_init(&g_fixture);
    loader_put(&g_fixture, "/script", script, sizeof script - 1); /* its own interpreter */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char *argv[] = {"prog", "arg", NULL}, *envp[] = {"A=B", NULL};
    struct load_result r = {0};

    if (!g_fixture.kernel)
        set_up();
    struct file *file = bytes_file_new(&g_fixture, data, size);
    struct load_request q = {
        .file = file, .filename = "/prog", .argv = argv, .envp = envp, .creds = task_creds(g_fixture.task)};
    if (load_program(g_fixture.task, &q, &r) == 0)
        check(&r);
    file_unref(file);
    ASSERT_EQ(fake_live(kernel_platform(g_fixture.kernel)), 1); /* the fixture's own */
    return 0;
}
