/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/loader/elf_test.c: programs made by hand are loaded into platform/fake; areas, contents, stack
 * and auxiliary vector are what Linux would make; malformed ones give its errno.
 */
#include <stdlib.h>

#include "base/abi/linux/auxvec.h"
#include "base/abi/linux/system.h"
#include "platform/fake/fake.h"
#include "tests/unit/loader/loader_fixture.h"

struct loaded {
    struct fixture f;
    struct file *file;
    struct load_result r;
};

static int try_load(struct loaded *l, const void *image, size_t size, char **argv, char **envp) {
    l->file = bytes_file_new(&l->f, image, size);
    struct load_request q = {
        .file = l->file, .filename = "/bin/prog", .argv = argv, .envp = envp, .creds = task_creds(l->f.task)};
    int result = load_program(l->f.task, &q, &l->r);
    if (result == 0) {
        mm_unref(l->f.task->mm);
        l->f.task->mm = l->f.mm = l->r.mm;
    }
    return result;
}

static void done(struct loaded *l) {
    file_unref(l->r.exe);
    file_unref(l->file);
    fixture_done(&l->f);
}

static char *g_argv[] = {"prog", "one", "", NULL}, *g_envp[] = {"A=1", "PATH=/bin", NULL};

static int load_error(const struct image *i, size_t size) {
    struct loaded l = {0};
    fixture_init(&l.f);
    int result = try_load(&l, i, size, g_argv, g_envp);
    done(&l);
    return result;
}

static uint64_t word(struct loaded *l, gva_t at) {
    uint64_t w;

    ASSERT_OK(copy_in(l->f.task, &w, at, sizeof w));
    return w;
}

static void check_string(struct loaded *l, gva_t pointer_at, const char *want) {
    char *s;

    ASSERT_OK(copy_in_string(l->f.task, word(l, pointer_at), 1000, &s));
    ASSERT_STREQ(s, want);
    free(s);
}

static uint64_t auxv(struct loaded *l, uint64_t type) {
    for (size_t i = 0; i < l->f.mm->auxv_words; i += 2)
        if (l->f.mm->auxv[i] == type)
            return l->f.mm->auxv[i + 1];
    ASSERT_FAIL("auxv has no entry %llu", (unsigned long long)type);
}

TEST(static_program_is_laid_out) {
    struct loaded l = {0};
    struct image i;
    unsigned char bytes[32];
    fixture_init(&l.f);
    image_init(&i, ET_EXEC);
    ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
    ASSERT_EQ(strncmp(areas_text(&l.f, IMAGE_BASE), "0-1r-xp 2-3rw-p 3-5rw-p ", 24), 0);
    ASSERT_EQ(l.r.regs.rip, IMAGE_BASE + sizeof i.h);
    ASSERT_OK(copy_in(l.f.task, bytes, IMAGE_DATA_ADDRESS, sizeof bytes));
    ASSERT_EQ(bytes[15], 0xc3);
    ASSERT_EQ(bytes[16], 0); /* the tail of the page */
    ASSERT_EQ(word(&l, IMAGE_DATA_ADDRESS + IMAGE_BSS - 8), 0);
    ASSERT_GE(l.f.mm->brk_start, IMAGE_DATA_ADDRESS + IMAGE_BSS);
    ASSERT_STREQ(l.r.name, "prog");
    ASSERT_EQ(l.r.exe, l.file);
    done(&l);
}

TEST(stack_holds_arguments_and_auxv) {
    struct loaded l = {0};
    struct image i;
    fixture_init(&l.f);
    image_init(&i, ET_EXEC);
    ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
    gva_t sp = l.r.regs.rsp;
    ASSERT_EQ(sp % 16, 0);
    ASSERT_EQ(word(&l, sp), 3);
    check_string(&l, sp + 8, "prog");
    check_string(&l, sp + 16, "one");
    check_string(&l, sp + 24, "");
    ASSERT_EQ(word(&l, sp + 32), 0);
    check_string(&l, sp + 40, "A=1");
    check_string(&l, sp + 48, "PATH=/bin");
    ASSERT_EQ(word(&l, sp + 56), 0);
    for (size_t n = 0; n < l.f.mm->auxv_words; n++)
        ASSERT_EQ(word(&l, sp + 64 + n * 8), l.f.mm->auxv[n]);
    ASSERT_EQ(auxv(&l, LINUX_AT_ENTRY), l.r.regs.rip);
    ASSERT_EQ(auxv(&l, LINUX_AT_PHDR), IMAGE_BASE + sizeof(Elf64_Ehdr));
    ASSERT_EQ(auxv(&l, LINUX_AT_PHNUM), 2);
    ASSERT_EQ(auxv(&l, LINUX_AT_BASE), 0);
    ASSERT_EQ(auxv(&l, LINUX_AT_PAGESZ), 4096);
    char *name;
    ASSERT_OK(copy_in_string(l.f.task, auxv(&l, LINUX_AT_EXECFN), 100, &name));
    ASSERT_STREQ(name, "/bin/prog");
    free(name);
    ASSERT_OK(copy_in_string(l.f.task, auxv(&l, LINUX_AT_PLATFORM), 100, &name));
    ASSERT_STREQ(name, "x86_64");
    free(name);
    ASSERT_NE(word(&l, auxv(&l, LINUX_AT_RANDOM)), 0);
    ASSERT_EQ(l.f.mm->env_end - l.f.mm->env_start, 4 + 10);
    ASSERT_EQ(l.f.mm->arg_end - l.f.mm->arg_start, 5 + 4 + 1);
    done(&l);
}

TEST(empty_argv_becomes_one_empty_string) {
    struct loaded l = {0};
    struct image i;
    char *none[] = {NULL};
    fixture_init(&l.f);
    image_init(&i, ET_EXEC);
    ASSERT_OK(try_load(&l, &i, sizeof i, none, none));
    ASSERT_EQ(word(&l, l.r.regs.rsp), 1);
    check_string(&l, l.r.regs.rsp + 8, "");
    done(&l);
}

TEST(static_pie_lies_at_random_places) {
    gva_t seen[2];
    for (int n = 0; n < 2; n++) {
        struct loaded l = {0};
        struct image i;
        fixture_init(&l.f);
        image_init(&i, ET_DYN);
        i.h.segment[IMAGE_CODE].p_align = 2 << 20;
        ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
        seen[n] = l.r.regs.rip - sizeof i.h;
        ASSERT_EQ(seen[n] % (2 << 20), 0);
        ASSERT_LT(seen[n], l.f.mm->mmap_base);
        ASSERT_GE(l.f.mm->brk_start, 0x555555554000);
        ASSERT_LT(l.f.mm->brk_start, 0x555600000000);
        done(&l);
    }
    ASSERT_NE(seen[0], seen[1]);
}

TEST(without_randomness_nothing_moves) {
    gva_t seen[2];
    for (int n = 0; n < 2; n++) {
        struct loaded l = {0};
        struct image i;
        fixture_init(&l.f);
        l.f.task->personality = LINUX_ADDR_NO_RANDOMIZE;
        image_init(&i, ET_DYN);
        ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
        seen[n] = l.r.regs.rip ^ l.r.regs.rsp ^ l.f.mm->brk;
        done(&l);
    }
    ASSERT_EQ(seen[0], seen[1]);
}

TEST(stack_flags_decide_about_execution) {
    struct loaded l = {0};
    struct image i;
    fixture_init(&l.f);
    image_init(&i, ET_EXEC);
    i.h.segment[2] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W | PF_X};
    i.h.header.e_phnum = 3;
    ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
    ASSERT_CONTAINS(areas_text(&l.f, IMAGE_BASE), "rwxp");
    done(&l);
}

TEST(vdso_is_mapped_above_the_stack) {
    struct loaded l = {0};
    struct image i;
    unsigned char magic[4];
    fixture_init(&l.f);
    image_init(&i, ET_EXEC);
    ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
    gva_t vdso = auxv(&l, LINUX_AT_SYSINFO_EHDR);
    ASSERT_EQ(vdso, l.f.mm->vdso);
    ASSERT_GT(vdso, l.r.regs.rsp);
    ASSERT_OK(copy_in(l.f.task, magic, vdso, sizeof magic));
    ASSERT_MEMEQ(magic, "\177ELF", 4);
    ASSERT_EQ(copy_out(l.f.task, vdso - 4096, "x", 1), -EFAULT);
    ASSERT_EQ(mm_mprotect(l.f.task, vdso - 4096, 4096, LINUX_PROT_READ | LINUX_PROT_WRITE), -EACCES);
    l.f.kernel->realtime_offset_ns = 5;
    vdso_update_clocks(l.f.kernel);
    ASSERT_EQ(word(&l, vdso - 4096) & 0xffffffff, 2);
    ASSERT_EQ(word(&l, vdso - 4096 + 24), 5);
    done(&l);
}

TEST(malformed_programs_are_refused) {
    struct image i;
    image_init(&i, ET_EXEC);
    ASSERT_EQ(load_error(&i, 10), -ENOEXEC);
    ASSERT_EQ(load_error(&i, sizeof(Elf64_Ehdr)), -EIO);
#define TRY(change, error)                                                                                   \
    image_init(&i, ET_EXEC);                                                                                 \
    change;                                                                                                  \
    ASSERT_EQ(load_error(&i, sizeof i), error)
    TRY(i.h.header.e_ident[0] = 'x', -ENOEXEC);
    TRY(i.h.header.e_ident[EI_CLASS] = ELFCLASS32, -ENOEXEC);
    TRY(i.h.header.e_machine = EM_AARCH64, -ENOEXEC);
    TRY(i.h.header.e_type = ET_REL, -ENOEXEC);
    TRY(i.h.header.e_phentsize = 32, -ENOEXEC);
    TRY(i.h.header.e_phnum = 0, -ENOEXEC);
    TRY(i.h.header.e_phnum = 0xffff, -ENOEXEC);
    TRY(i.h.header.e_phoff = UINT64_MAX, -ENOEXEC);
    TRY(i.h.header.e_phoff = 1 << 30, -EIO);
    TRY(i.h.segment[IMAGE_DATA].p_memsz = 8, -EINVAL);
    TRY(i.h.segment[IMAGE_DATA].p_memsz = UINT64_MAX, -EINVAL);
    TRY(i.h.segment[IMAGE_DATA].p_vaddr = UINT64_MAX - 4096, -EINVAL);
    TRY(i.h.segment[IMAGE_DATA].p_vaddr += 8, -EINVAL);
    TRY(i.h.segment[IMAGE_DATA].p_offset = UINT64_MAX & ~0xfffull, -EINVAL);
    TRY(i.h.segment[IMAGE_CODE].p_vaddr = 0, -EPERM);
    TRY(i.h.header.e_entry = UINT64_MAX, -EINVAL);
    TRY((i.h.segment[IMAGE_CODE].p_type = PT_NULL, i.h.segment[IMAGE_DATA].p_type = PT_NULL), -EINVAL);
    TRY((i.h.segment[2] = (Elf64_Phdr){.p_type = PT_INTERP, .p_filesz = 1}, i.h.header.e_phnum = 3),
        -ENOEXEC);
    TRY((i.h.segment[2] = (Elf64_Phdr){.p_type = PT_INTERP, .p_filesz = 5000}, i.h.header.e_phnum = 3),
        -ENOEXEC);
    TRY((i.h.segment[2] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = 4000, .p_filesz = 10},
         i.h.header.e_phnum = 3),
        -ENOEXEC);
}

TEST(arguments_have_limits) {
    struct loaded l = {0};
    struct image i;
    fixture_init(&l.f);
    fixture_limit(&l.f, LINUX_RLIMIT_STACK, 1 << 20); /* a quarter: 256 KiB */
    char *big = malloc(300000), *argv[] = {big, NULL}, *none[] = {NULL};
    memset(big, 'a', 300000);
    big[299999] = '\0';
    image_init(&i, ET_EXEC);
    ASSERT_EQ(try_load(&l, &i, sizeof i, argv, none), -E2BIG);
    file_unref(l.file);
    big[200000] = '\0';
    ASSERT_OK(try_load(&l, &i, sizeof i, argv, none));
    char *copy;
    ASSERT_OK(copy_in_string(l.f.task, word(&l, l.r.regs.rsp + 8), 300000, &copy));
    ASSERT_STREQ(copy, big);
    free(copy);
    free(big);
    done(&l);
}

static int load_script(struct fixture *f, const char *text, char **argv, struct load_image *ret) {
    struct file *file = bytes_file_new(f, text, strlen(text));
    int result = load_resolve(f->task, file, "/the/script", argv, ret);
    file_unref(file);
    return result;
}

static void check_script(struct fixture *f, const char *text, const char *want) {
    char joined[256] = "";
    struct load_image image;

    ASSERT_OK(load_script(f, text, (char *[]){"zero", "1", "2", NULL}, &image));
    for (char **v = image.argv; *v; v++) {
        strcat(joined, *v);
        strcat(joined, "|");
    }
    ASSERT_STREQ(joined, want);
    load_image_done(&image);
}

TEST(scripts_find_their_interpreter) {
    struct fixture f;
    struct load_image image;
    char *none[] = {NULL}, line[400];
    fixture_init(&f);
    loader_root_init(&f);
    loader_put(&f, "/sh", "\177ELF", 4);
    loader_put(&f, "/two", "#!/sh -x\n", 9);
    loader_put(&f, "/loop", "#!/loop\n", 8);
    check_script(&f, "#!/sh\n", "/sh|/the/script|1|2|");
    check_script(&f, "#! \t/sh  -e  -x \t\nrest", "/sh|-e  -x|/the/script|1|2|");
    check_script(&f, "#!/sh", "/sh|/the/script|1|2|");
    check_script(&f, "#!/two arg\n", "/sh|-x|/two|arg|/the/script|1|2|");
    ASSERT_OK(load_script(&f, "#!/sh\n", none, &image));
    ASSERT_STREQ(image.argv[1], "/the/script");
    load_image_done(&image);
    ASSERT_EQ(load_script(&f, "#!\n/sh", none, &image), -ENOEXEC);
    ASSERT_EQ(load_script(&f, "#!   \n", none, &image), -ENOEXEC);
    ASSERT_EQ(load_script(&f, "#!/none\n", none, &image), -ENOENT);
    ASSERT_EQ(load_script(&f, "#!/loop\n", none, &image), -ELOOP);
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    memcpy(line, "#!/sh", 5);
    ASSERT_EQ(load_script(&f, line, none, &image), -ENOEXEC); /* the name may be cut */
    line[5] = ' ';
    ASSERT_OK(load_script(&f, line, none, &image)); /* only the argument is */
    ASSERT_EQ(strlen(image.argv[1]), 255 - 6);
    load_image_done(&image);
    loader_root_done(&f);
    fixture_done(&f);
}

TEST(interpreters_are_loaded_beside) {
    struct loaded l = {0};
    struct image i, ld;
    fixture_init(&l.f);
    loader_root_init(&l.f);
    image_init(&ld, ET_DYN);
    loader_put(&l.f, "/ld.so", &ld, sizeof ld);
    image_init(&i, ET_DYN);
    memcpy(i.rest, "/ld.so", 7);
    i.h.segment[2] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = sizeof i.h, .p_filesz = 7};
    i.h.header.e_phnum = 3;
    ASSERT_OK(try_load(&l, &i, sizeof i, g_argv, g_envp));
    gva_t program = auxv(&l, LINUX_AT_ENTRY) - sizeof i.h, interpreter = auxv(&l, LINUX_AT_BASE);
    ASSERT_EQ(l.r.regs.rip, interpreter + sizeof ld.h);
    ASSERT_GE(program, 0x555555554000);
    ASSERT_LT(program, 0x565555555000);
    ASSERT_GT(interpreter, 0x7e0000000000);
    ASSERT_GE(l.f.mm->brk_start, program + 0x5000);
    mm_unref(l.f.task->mm);
    l.f.task->mm = NULL;
    loader_put(&l.f, "/ld.so", "not it", 6);
    file_unref(l.r.exe);
    l.r.exe = NULL;
    file_unref(l.file);
    ASSERT_EQ(try_load(&l, &i, sizeof i, g_argv, g_envp), -ELIBBAD);
    loader_root_done(&l.f);
    done(&l);
}

TEST(a_host_that_fails_leaves_nothing) {
    for (int error = 0; error < 2; error++) {
        struct loaded l = {0};
        struct image i;
        fixture_init(&l.f);
        image_init(&i, ET_EXEC);
        fake_fail(kernel_platform(l.f.kernel), error ? -ENOMEM : -EAGAIN, 1);
        ASSERT_EQ(try_load(&l, &i, sizeof i, g_argv, g_envp), error ? -ENOMEM : -EAGAIN);
        done(&l);
    }
}
