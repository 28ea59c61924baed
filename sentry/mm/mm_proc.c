/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_proc.c: texts of /proc/PID/{maps,smaps,smaps_rollup} and the numbers of statm and status
 * (mm_proc.h). Source: proc(5).
 *
 * The areas are copied under mm->lock with references to their files, and the text is made without it: file
 * names want locks that rank before it. What is resident the host alone knows: it is asked page by page, and
 * of very large areas (reservations) smaps tells a share by size.
 */
#include "sentry/mm/mm_proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_areas.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

enum { NAME_COLUMN = 73 };

/* One area as it was. */
struct area {
    gva_t start, end;
    uint32_t prot, flags;
    uint64_t offset, id;
    struct file *file; /* reference */
    const char *name;
    struct mappable *object; /* reference: `name` may be its */
    bool shared_memory;
};

struct areas {
    struct area *list;
    size_t count;
};

static const char *special_name(const struct mm *mm, const struct vma *v) {
    if (v->name)
        return v->name;
    if (v->file || v->mappable)
        return NULL;
    if (v->start < mm->brk && v->end > mm->brk_start)
        return "[heap]";
    return v->start <= mm->stack_start && v->end >= mm->stack_start ? "[stack]" : NULL;
}

static void take(struct mm *mm, struct areas *ret) {
    struct vma *v;

    mutex_lock(&mm->lock);
    ret->count = 0;
    ret->list = heap_alloc_array(mm->area_count + 1, sizeof *ret->list);
    RB_FOREACH(v, vma_tree, &mm->areas) {
        if (!ret->list)
            break;
        ret->list[ret->count++] =
            (struct area){.start = v->start,
                          .end = v->end,
                          .prot = v->prot,
                          .flags = v->flags,
                          .offset = v->mappable ? v->offset : 0,
                          .id = v->mappable ? v->mappable->id : 0,
                          .file = v->file ? file_ref(v->file) : NULL,
                          .name = special_name(mm, v),
                          .object = v->mappable && v->name ? mappable_ref(v->mappable) : NULL,
                          .shared_memory = v->mappable && !v->file && !(v->flags & VMA_SPECIAL)};
    }
    mutex_unlock(&mm->lock);
}

static void areas_done(struct areas *a) {
    for (size_t i = 0; i < a->count; i++)
        file_unref(a->list[i].file);
    for (size_t i = 0; i < a->count; i++)
        mappable_unref(a->list[i].object);
    heap_free(a->list);
}

/* Name as the viewer sees it; newlines escaped. */
static void append_file_name(struct text *out, const struct area *a, const struct path *root) {
    char *name;

    if (path_text(&a->file->path, root, &name) < 0)
        return;
    for (const char *c = name; *c; c++) {
        if (*c == '\n')
            text_append(out, "\\012", 4);
        else
            text_append(out, c, 1);
    }
    heap_free(name);
}

static void append_line(struct text *out, const struct area *a, const struct path *root) {
    struct kstat st = {0};
    size_t start = out->len;

    if (a->file && vfs_getattr(&a->file->path, &st) < 0)
        st = (struct kstat){0};
    if (a->shared_memory) {
        st.dev = 1; /* as Linux's internal tmpfs: 00:01 */
        st.ino = a->id;
    }
    unsigned major = (unsigned)(st.dev >> 8 & 0xfff),
             minor = (unsigned)((st.dev & 0xff) | (st.dev >> 12 & 0xfff00));
    text_printf(out, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %02x:%02x %" PRIu64 " ", a->start,
                a->end, a->prot & LINUX_PROT_READ ? 'r' : '-', a->prot & LINUX_PROT_WRITE ? 'w' : '-',
                a->prot & LINUX_PROT_EXEC ? 'x' : '-',
                a->flags & VMA_SHARED && !(a->flags & VMA_SPECIAL) ? 's' : 'p',
                a->flags & VMA_SPECIAL ? 0 : a->offset, major, minor, st.ino);
    if (a->file || a->name || a->shared_memory) {
        while (out->len - start < NAME_COLUMN && !out->failed)
            text_append(out, " ", 1);
    }
    if (a->file)
        append_file_name(out, a, root);
    else if (a->name)
        text_append(out, a->name, strlen(a->name));
    else if (a->shared_memory)
        text_printf(out, "/dev/zero (deleted)");
    text_append(out, "\n", 1);
}

/* Root of the viewer, or NULL: names from the very top. */
static struct path *viewer_root(struct task *viewer, struct path *storage) {
    struct fs_context *fs = viewer ? task_get_fs(viewer) : NULL;

    if (!fs)
        return NULL;
    fs_context_get(fs, storage, /* ret_cwd= */ NULL);
    fs_context_unref(fs);
    return storage;
}

static void for_each_area(struct mm *mm, struct task *viewer, struct text *out,
                          void (*more)(const struct area *a, void *arg, struct text *out), void *arg) {
    struct areas areas;
    struct path storage = {0}, *root = viewer_root(viewer, &storage);

    take(mm, &areas);
    for (size_t i = 0; i < areas.count; i++) {
        append_line(out, &areas.list[i], root);
        if (more)
            more(&areas.list[i], arg, out);
    }
    areas_done(&areas);
    if (root)
        path_put(root);
}

void mm_proc_areas(struct mm *mm, struct task *viewer, struct text *out) {
    for_each_area(mm, viewer, out, NULL, NULL);
}

/* The page of the old fixed calls is not an area of ours: calls into it are served, reads of it fault. */
static const struct area g_vsyscall = {.start = 0xffffffffff600000,
                                       .end = 0xffffffffff601000,
                                       .prot = LINUX_PROT_EXEC,
                                       .flags = VMA_SPECIAL,
                                       .name = "[vsyscall]"};

void mm_proc_maps(struct mm *mm, struct task *viewer, struct text *out) {
    mm_proc_areas(mm, viewer, out);
    append_line(out, &g_vsyscall, NULL);
}

/* ---- smaps ---- */

/* What of an area is in core, in bytes. */
struct core {
    uint64_t rss, anonymous, swap;
};

enum { CHUNK = 4096 };
#define COUNT_MAX (4ull << 30) /* larger areas (reservations) are told by their share of the whole */

static void add_pages(struct core *c, const uint8_t *pages, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (pages[i] & PAGE_IS_SWAPPED)
            c->swap += PAGE_SIZE;
        if (!(pages[i] & PAGE_IS_PRESENT))
            continue;
        c->rss += PAGE_SIZE;
        if (!(pages[i] & PAGE_IS_SHARED))
            c->anonymous += PAGE_SIZE;
    }
}

struct measure {
    struct mm *mm;
    uint64_t resident, total; /* of the whole address space */
    struct core sum;
};

/* An area's share of what is resident: by size, not more than the area. */
static void estimate(const struct measure *m, const struct area *a, struct core *ret) {
    uint64_t size = a->end - a->start;

    *ret = (struct core){0};
    if (m->total == 0 || a->prot == 0)
        return;
    uint64_t part = page_down((uint64_t)((__uint128_t)size * m->resident / m->total));
    ret->rss = MIN(part, size);
    ret->anonymous = a->id ? 0 : ret->rss;
}

static void measure_area(struct measure *m, const struct area *a, struct core *ret) {
    const struct platform_ops *ops = kernel_platform(m->mm->kernel)->ops;
    uint8_t pages[CHUNK];

    *ret = (struct core){0};
    if (!ops->as_pages || a->end - a->start > COUNT_MAX) {
        estimate(m, a, ret);
        return;
    }
    for (gva_t at = a->start; at < a->end;) {
        size_t n = MIN((a->end - at) / PAGE_SIZE, (uint64_t)CHUNK);
        if (ops->as_pages(mm_as(m->mm), at, n, pages) < 0) {
            estimate(m, a, ret);
            return;
        }
        add_pages(ret, pages, n);
        at += n * PAGE_SIZE;
    }
}

static void append_field(struct text *out, const char *name, uint64_t bytes) {
    text_printf(out, "%-16s%8" PRIu64 " kB\n", name, bytes / 1024);
}

static void append_core(struct text *out, const struct core *c, uint64_t locked) {
    append_field(out, "Rss:", c->rss);
    append_field(out, "Pss:", c->rss);
    append_field(out, "Pss_Dirty:", c->anonymous);
    append_field(out, "Shared_Clean:", 0);
    append_field(out, "Shared_Dirty:", 0);
    append_field(out, "Private_Clean:", c->rss - c->anonymous);
    append_field(out, "Private_Dirty:", c->anonymous);
    append_field(out, "Referenced:", c->rss);
    append_field(out, "Anonymous:", c->anonymous);
    append_field(out, "KSM:", 0);
    append_field(out, "LazyFree:", 0);
    append_field(out, "AnonHugePages:", 0);
    append_field(out, "ShmemPmdMapped:", 0);
    append_field(out, "FilePmdMapped:", 0);
    append_field(out, "Shared_Hugetlb:", 0);
    append_field(out, "Private_Hugetlb:", 0);
    append_field(out, "Swap:", c->swap);
    append_field(out, "SwapPss:", c->swap);
    append_field(out, "Locked:", locked);
}

static void append_flags(struct text *out, const struct area *a) {
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {{VMA_GROWSDOWN, "gd "}, {VMA_LOCKED, "lo "},   {VMA_DONTFORK, "dc "},
                 {VMA_NORESERVE, "nr "}, {VMA_DONTDUMP, "dd "}, {VMA_WIPEONFORK, "wf "},
                 {VMA_SEALED, "sl "}};

    text_printf(out, "VmFlags: %s%s%s%smr mw me ", a->prot & LINUX_PROT_READ ? "rd " : "",
                a->prot & LINUX_PROT_WRITE ? "wr " : "", a->prot & LINUX_PROT_EXEC ? "ex " : "",
                a->flags & VMA_SHARED ? "sh " : "");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (a->flags & names[i].flag)
            text_append(out, names[i].name, 3);
    text_append(out, "\n", 1);
}

static void append_smaps(const struct area *a, void *arg, struct text *out) {
    struct core c;

    measure_area(arg, a, &c);
    append_field(out, "Size:", a->end - a->start);
    append_field(out, "KernelPageSize:", PAGE_SIZE);
    append_field(out, "MMUPageSize:", PAGE_SIZE);
    append_core(out, &c, a->flags & VMA_LOCKED ? c.rss : 0);
    text_printf(out, "THPeligible:           0\n");
    append_flags(out, a);
}

static struct measure measure_begin(struct mm *mm, struct mm_numbers *n) {
    mm_proc_numbers(mm, n);
    return (struct measure){.mm = mm, .resident = n->resident, .total = n->total};
}

void mm_proc_smaps(struct mm *mm, struct task *viewer, struct text *out) {
    struct mm_numbers n;
    struct measure m = measure_begin(mm, &n);

    for_each_area(mm, viewer, out, append_smaps, &m);
}

void mm_proc_smaps_rollup(struct mm *mm, struct task *viewer, struct text *out) {
    struct mm_numbers n;
    struct measure m = measure_begin(mm, &n);
    struct areas areas;

    (void)viewer;
    take(mm, &areas);
    for (size_t i = 0; i < areas.count; i++) {
        struct core c;
        measure_area(&m, &areas.list[i], &c);
        m.sum.rss += c.rss;
        m.sum.anonymous += c.anonymous;
        m.sum.swap += c.swap;
    }
    if (areas.count > 0)
        text_printf(out, "%08" PRIx64 "-%08" PRIx64 " ---p 00000000 00:00 0%*s[rollup]\n",
                    areas.list[0].start, areas.list[areas.count - 1].end, 26, "");
    areas_done(&areas);
    append_core(out, &m.sum, n.locked);
}

void mm_proc_numbers(struct mm *mm, struct mm_numbers *ret) {
    struct as_usage usage = {0};

    mutex_lock(&mm->lock);
    *ret = (struct mm_numbers){.total = mm->total_bytes,
                               .peak = mm->peak_bytes,
                               .locked = mm->locked_bytes,
                               .data = mm->data_bytes,
                               .stack = mm->stack_bytes,
                               .exec = mm->exec_bytes,
                               .code_start = mm->code_start,
                               .code_end = mm->code_end,
                               .data_start = mm->data_start,
                               .data_end = mm->data_end,
                               .brk_start = mm->brk_start,
                               .stack_start = mm->stack_start,
                               .arg_start = mm->arg_start,
                               .arg_end = mm->arg_end,
                               .env_start = mm->env_start,
                               .env_end = mm->env_end};
    uint64_t text = page_up(mm->code_end) - page_down(mm->code_start);
    ret->library = mm->exec_bytes > text ? mm->exec_bytes - text : 0;
    mutex_unlock(&mm->lock);
    if (kernel_platform(mm->kernel)->ops->as_usage(mm_as(mm), &usage) == 0) {
        ret->resident = usage.rss_bytes;
        ret->page_tables = usage.page_table_bytes;
    }
}
