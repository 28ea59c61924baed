/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_vdso_host.c: finds the host's vDSO and its data pages in this process, and the functions
 * in it. Sources: vdso(7), elf(5); proc_pid_maps(5).
 */
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "platform/stub/stub.h"

static FILE *open_maps(int proc_fd) {
    int fd = proc_fd >= 0 ? openat(proc_fd, "self/maps", O_RDONLY | O_CLOEXEC)
                          : open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    FILE *f = fdopen(fd, "r");
    if (!f)
        close(fd);
    return f;
}

/* [vvar], [vvar_vclock] and [vdso] lie next to each other; anything else is a layout that we do not know. */
static void find_parts(struct stub_vdso *v, FILE *maps) {
    char line[512];
    while (fgets(line, sizeof(line), maps)) {
        uint64_t start, end;
        const char *name = strchr(line, '[');
        if (!name || (strncmp(name, "[vvar", 5) && strncmp(name, "[vdso]", 6)))
            continue;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2 || v->parts == ARRAY_SIZE(v->part) ||
            (v->parts && v->part[v->parts - 1].end != start)) {
            v->parts = 0;
            return;
        }
        v->part[v->parts].start = start;
        v->part[v->parts].end = end;
        v->parts++;
        if (name[2] == 'd')
            v->image = start;
    }
}

struct dynamic {
    const Elf64_Sym *symbols;
    const char *strings;
    uint64_t count;
};

/* GNU hash alone does not say how many symbols there are: the highest chain's end does. */
static uint64_t count_gnu_hash(const uint32_t *h) {
    uint32_t buckets = h[0], first = h[1], bloom = h[2], last = 0;
    const uint32_t *bucket = (const uint32_t *)((const uint64_t *)(h + 4) + bloom), *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        last = MAX(last, bucket[i]);
    if (last < first)
        return first;
    while (!(chain[last - first] & 1))
        last++;
    return last + 1;
}

static struct dynamic read_dynamic(const char *image, const Elf64_Dyn *dyn, uint64_t bias) {
    struct dynamic d = {0};
    (void)image;
    for (; dyn->d_tag != DT_NULL; dyn++) {
        const char *p = (const char *)(bias + dyn->d_un.d_ptr);
        if (dyn->d_tag == DT_SYMTAB)
            d.symbols = (const Elf64_Sym *)p;
        else if (dyn->d_tag == DT_STRTAB)
            d.strings = p;
        else if (dyn->d_tag == DT_HASH)
            d.count = ((const uint32_t *)p)[1];
        else if (dyn->d_tag == DT_GNU_HASH && !d.count)
            d.count = count_gnu_hash((const uint32_t *)p);
    }
    return d;
}

static void find_functions(struct stub_vdso *v) {
    const char *image = (const char *)v->image;
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)image;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(image + h->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    uint64_t bias = 0;
    for (int i = 0; i < h->e_phnum; i++) {
        if (ph[i].p_type == PT_DYNAMIC)
            dyn = (const Elf64_Dyn *)(image + ph[i].p_offset);
        if (ph[i].p_type == PT_LOAD)
            bias = v->image + ph[i].p_offset - ph[i].p_vaddr;
    }
    if (!dyn)
        return;
    struct dynamic d = read_dynamic(image, dyn, bias);
    struct {
        const char *name;
        uint64_t *offset;
    } wanted[] = {{"__vdso_clock_gettime", &v->clock_gettime},
                  {"__vdso_gettimeofday", &v->gettimeofday},
                  {"__vdso_time", &v->time},
                  {"__vdso_getcpu", &v->getcpu}};
    for (uint64_t i = 0; d.symbols && d.strings && i < d.count; i++)
        for (size_t w = 0; w < ARRAY_SIZE(wanted); w++)
            if (d.symbols[i].st_shndx != SHN_UNDEF &&
                strcmp(d.strings + d.symbols[i].st_name, wanted[w].name) == 0)
                *wanted[w].offset = bias + d.symbols[i].st_value - v->start;
}

void stub_vdso_find(struct stub_vdso *v, int proc_fd) {
    memset(v, 0, sizeof(*v));
    cleanup(fclosep) FILE *maps = open_maps(proc_fd);
    if (!maps)
        return;
    find_parts(v, maps);
    if (!v->parts || !v->image || v->image != getauxval(AT_SYSINFO_EHDR)) {
        v->parts = 0;
        return;
    }
    v->start = v->part[0].start;
    v->end = v->part[v->parts - 1].end;
    if (v->end - v->start > STUB_VDSO_SIZE)
        v->parts = 0;
    else
        find_functions(v);
}
