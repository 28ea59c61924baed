/* SPDX-License-Identifier: Apache-2.0
 * runsc/options.c: see options.h.
 */
#include "runsc/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USAGE(...) err_set(err, EINVAL, "usage", __VA_ARGS__)

struct parse {
    const struct option_def *defs;
    size_t count;
    char *out;
    int argc, at;
    char **argv;
    bool help;
};

static const struct option_def *by_name(const struct parse *p, const char *name, size_t size) {
    for (size_t i = 0; i < p->count; i++)
        if (strlen(p->defs[i].name) == size && memcmp(p->defs[i].name, name, size) == 0)
            return &p->defs[i];
    return NULL;
}

static const struct option_def *by_letter(const struct parse *p, char letter) {
    for (size_t i = 0; i < p->count; i++)
        if (p->defs[i].letter == letter)
            return &p->defs[i];
    return NULL;
}

static int set_flag(const struct option_def *d, void *to, const char *value, struct err **err) {
    if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *(bool *)to = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *(bool *)to = false;
    else
        return USAGE("option --%s takes true or false, not \"%s\"", d->name, value);
    return 0;
}

static int set_value(const struct parse *p, const struct option_def *d, const char *value, struct err **err) {
    void *to = p->out + d->offset;

    switch (d->kind) {
    case OPTION_FLAG:
        return set_flag(d, to, value, err);
    case OPTION_STRING:
        *(const char **)to = value;
        return 0;
    case OPTION_LIST: {
        struct option_list *list = to;
        const char **items = realloc(list->items, (list->count + 2) * sizeof *items);
        if (!items)
            return err_set(err, ENOMEM, "out-of-memory", "reading options");
        list->items = items;
        list->items[list->count++] = value;
        list->items[list->count] = NULL;
        return 0;
    }
    case OPTION_NUMBER: {
        char *end;
        errno = 0;
        *(int64_t *)to = strtoll(value, &end, 0);
        return errno || end == value || *end ? USAGE("option --%s takes a number, not \"%s\"", d->name, value)
                                             : 0;
    }
    }
    return -EINVAL;
}

/* The value of an option that needs one and had none after "=": the next argument. */
static int take_value(struct parse *p, const struct option_def *d, const char *value, struct err **err) {
    if (!value && d->kind != OPTION_FLAG) {
        if (p->at >= p->argc)
            return USAGE("option --%s needs a value", d->name);
        value = p->argv[p->at++];
    }
    return set_value(p, d, value, err);
}

static int parse_letters(struct parse *p, const char *letters, struct err **err) {
    for (; *letters; letters++) {
        if (*letters == 'h' && !by_letter(p, 'h')) {
            p->help = true;
            continue;
        }
        const struct option_def *d = by_letter(p, *letters);
        if (!d)
            return USAGE("unknown option -%c", *letters);
        if (d->kind == OPTION_FLAG) {
            *(bool *)(void *)(p->out + d->offset) = true;
            continue;
        }
        const char *rest = letters[1] ? letters + 1 + (letters[1] == '=') : NULL;
        return take_value(p, d, rest, err);
    }
    return 0;
}

static int parse_one(struct parse *p, const char *arg, struct err **err) {
    const char *name = arg + 1 + (arg[1] == '-');
    size_t size = strcspn(name, "=");
    const char *value = name[size] == '=' ? name + size + 1 : NULL;
    const struct option_def *d = size > 1 ? by_name(p, name, size) : NULL;

    if (size == 4 && memcmp(name, "help", 4) == 0) {
        p->help = true;
        return 0;
    }
    if (d)
        return take_value(p, d, value, err);
    if (arg[1] != '-')
        return parse_letters(p, arg + 1, err);
    return USAGE("unknown option --%.*s", (int)size, name);
}

/* Moves argv[from] behind the arguments kept so far at `to`, order kept. */
static void keep_argument(char **argv, int from, int to) {
    char *moved = argv[from];

    memmove(&argv[to + 1], &argv[to], (size_t)(from - to) * sizeof *argv);
    argv[to] = moved;
}

int options_parse(const struct option_def *defs, size_t count, void *out, int argc, char **argv, bool permute,
                  int *ret_next, struct err **err) {
    struct parse p = {.defs = defs, .count = count, .out = out, .argc = argc, .argv = argv};
    int kept = 0;

    while (p.at < argc) {
        char *arg = argv[p.at];
        if (strcmp(arg, "--") == 0) {
            p.at++;
            break;
        }
        if (arg[0] != '-' || arg[1] == '\0' || (arg[1] >= '0' && arg[1] <= '9')) {
            if (!permute)
                break;
            keep_argument(argv, p.at++, kept++);
            continue;
        }
        p.at++;
        int r = parse_one(&p, arg, err);
        if (r < 0)
            return r;
    }
    /* Kept arguments go right before what is left, so that they are one list. */
    for (int i = 0; i < kept; i++)
        argv[p.at - 1 - i] = argv[kept - 1 - i];
    *ret_next = p.at - kept;
    return p.help ? OPTIONS_HELP : 0;
}

void options_print(FILE *to, const struct option_def *defs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char left[64], letter[8] = "    ";
        if (!defs[i].help)
            continue;
        if (defs[i].letter)
            snprintf(letter, sizeof letter, "-%c, ", defs[i].letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, defs[i].name,
                 defs[i].kind == OPTION_FLAG ? "" : " ",
                 defs[i].kind == OPTION_FLAG ? ""
                 : defs[i].value             ? defs[i].value
                                             : "VALUE");
        fprintf(to, "   %-36s %s\n", left, defs[i].help);
    }
}
