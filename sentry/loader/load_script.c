/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/load_script.c: "#!" lines. Source: execve(2), "Interpreter scripts": one optional argument,
 * the rest of the line; 255 bytes; at most five scripts after each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/load_internal.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Splits the line in `buf` (SCRIPT_LINE bytes, zero filled behind the file's end) into interpreter and
 * argument, both inside it. *arg NULL: none. */
static int parse_line(char *buf, char **ret_path, char **ret_arg) {
    char *end = memchr(buf, '\n', SCRIPT_LINE), *at = buf + 2;
    bool cut = !end;

    if (cut)
        end = buf + SCRIPT_LINE - 1;
    while (at < end && is_blank(*at))
        at++;
    char *path = at;
    while (at < end && *at && !is_blank(*at))
        at++;
    if (at == path)
        return -ENOEXEC;
    /* A line that is longer than we look: fine if only its argument is cut, not if the name may be. */
    if (cut && at == end)
        return -ENOEXEC;
    char *arg = at;
    while (arg < end && is_blank(*arg))
        arg++;
    while (end > arg && (is_blank(end[-1]) || end[-1] == '\0'))
        end--;
    *end = '\0';
    *at = '\0';
    *ret_path = path;
    *ret_arg = arg < end ? arg : NULL;
    return 0;
}

static size_t count(char **v) {
    size_t n = 0;

    while (v && v[n])
        n++;
    return n;
}

static char **copy_strings(char **v) {
    size_t n = count(v);
    char **copy = calloc(n + 1, sizeof *copy);

    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(v[i]);
        if (!copy[i]) {
            free_strings(copy);
            return NULL;
        }
    }
    return copy;
}

/* argv[0] gives way to: interpreter, its argument, the script's name. */
static int change_argv(char ***argv, const char *path, const char *arg, const char *script) {
    size_t n = count(*argv), extra = arg ? 3 : 2, skip = n > 0;
    char **v = calloc(n - skip + extra + 1, sizeof *v), **at = v;

    if (!v)
        return -ENOMEM;
    *at++ = strdup(path);
    if (arg)
        *at++ = strdup(arg);
    *at++ = strdup(script);
    if (count(v) != extra) {
        for (size_t i = 0; i < extra; i++)
            free(v[i]);
        free(v);
        return -ENOMEM;
    }
    memcpy(at, *argv + skip, (n - skip) * sizeof *v);
    if (skip)
        free((*argv)[0]);
    free(*argv);
    *argv = v;
    return 0;
}

/* One step: 1 if `image` was a script and now is its interpreter, 0 if it is none. *name: the script's, then
 * the interpreter's (malloc'd). */
static int follow(struct task *t, struct load_image *image, char **name) {
    char buf[SCRIPT_LINE] = "", *path, *arg;
    ssize_t n = file_read_kernel(t, image->file, buf, sizeof buf, 0);

    if (n < 0)
        return (int)n;
    if (n < 2 || buf[0] != '#' || buf[1] != '!')
        return 0;
    int result = parse_line(buf, &path, &arg);
    if (result == 0)
        result = change_argv(&image->argv, path, arg, *name);
    char *next = result == 0 ? strdup(path) : NULL;
    if (!next)
        return result < 0 ? result : -ENOMEM;
    free(*name);
    *name = next;
    struct vfs_view view;
    struct file *file;
    vfs_view_of(t, &view);
    result = vfs_open_exec(&view, LINUX_AT_FDCWD, next, 0, &file);
    vfs_view_done(&view);
    if (result < 0)
        return result;
    file_unref(image->file);
    image->file = file;
    return 1;
}

int load_resolve(struct task *t, struct file *file, const char *filename, char **argv,
                 struct load_image *ret) {
    struct load_image image = {.file = file_ref(file), .argv = copy_strings(argv)};
    char *name = strdup(filename);
    int result = image.argv && name ? 1 : -ENOMEM;

    for (int depth = 0; result == 1; depth++)
        result = depth > SCRIPT_DEPTH ? -ELOOP : follow(t, &image, &name);
    free(name);
    if (result < 0) {
        load_image_done(&image);
        return result;
    }
    *ret = image;
    return 0;
}

void load_image_done(struct load_image *image) {
    image->file = file_unref(image->file);
    free_strings(image->argv);
    image->argv = NULL;
}
