/* SPDX-License-Identifier: Apache-2.0
 * tests/support/fuzz_main.c: main() of fuzz targets in builds without libFuzzer: runs every file given, or of
 * every folder given.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static int run_file(const char *path) {
    FILE *f = fopen(path, "re");
    struct stat st;

    if (!f || fstat(fileno(f), &st) < 0) {
        perror(path);
        return 1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1); /* no larger than the input, so that an overrun is seen */
    if (!data || fread(data, 1, size, f) != size) {
        perror(path);
        return 1;
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int run_path(const char *path, int *count) {
    DIR *d = opendir(path);
    int failed = 0;

    if (!d) {
        ++*count;
        return run_file(path);
    }
    for (struct dirent *e; (e = readdir(d));) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        ++*count;
        failed |= run_file(name);
    }
    closedir(d);
    return failed;
}

int main(int argc, char **argv) {
    int failed = 0, count = 0;

    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        failed |= run_path(argv[i], &count);
    printf("%d inputs\n", count);
    return failed;
}
