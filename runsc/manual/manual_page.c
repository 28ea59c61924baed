/* SPDX-License-Identifier: Apache-2.0
 * runsc/manual/manual_page.c: manual pages. Source: man(7), groff_man(7).
 */
#include <ctype.h>
#include <string.h>

#include "runsc/manual/manual.h"

/* Text as roff: no line begins with a control character, and minus signs are such. */
static void put_text(FILE *to, const char *text) {
    bool at_start = true;

    for (; *text; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            fputs("\\&", to);
        at_start = *text == '\n';
        if (*text == '-')
            fputs("\\-", to);
        else if (*text == '\\')
            fputs("\\e", to);
        else if (text[0] == '\n' && text[1] == '\n')
            fputs("\n.PP", to);
        else
            fputc(*text, to);
    }
}

static void put_capitals(FILE *to, const char *text) {
    for (; *text; text++)
        if (*text == '-')
            fputs("\\-", to);
        else
            fputc(toupper((unsigned char)*text), to);
}

static void put_options(FILE *to, const struct option_def *defs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!defs[i].help)
            continue;
        fputs(".TP\n", to);
        if (defs[i].letter)
            fprintf(to, "\\fB\\-%c\\fR, ", defs[i].letter);
        fputs("\\fB\\-\\-", to);
        put_text(to, defs[i].name);
        fputs("\\fR", to);
        if (defs[i].kind != OPTION_FLAG) {
            fputs(" \\fI", to);
            put_text(to, defs[i].value ? defs[i].value : "VALUE");
            fputs("\\fR", to);
        }
        fputc('\n', to);
        put_text(to, defs[i].help);
        fputs(defs[i].kind == OPTION_LIST ? "; may be repeated\n" : "\n", to);
    }
}

static void put_prose(FILE *to, const struct manual_text *t) {
    if (!t)
        return;
    fputs(".SH DESCRIPTION\n", to);
    put_text(to, t->description);
    fputc('\n', to);
}

static void put_end(FILE *to, const struct manual_text *t) {
    fputs(".SH EXIT STATUS\n", to);
    put_text(to, t && t->status ? t->status : "0 for success, 1 for failure.");
    fputc('\n', to);
    if (t && t->example) {
        fputs(".SH EXAMPLES\n.nf\n", to);
        put_text(to, t->example);
        fputs("\n.fi\n", to);
    }
}

static void put_header(FILE *to, const char *name, const char *summary) {
    fputs(".TH ", to);
    put_capitals(to, name);
    fputs(" 8 \"\" \"runsc\" \"System administration\"\n.SH NAME\n", to);
    put_text(to, name);
    fputs(" \\- ", to);
    put_text(to, summary);
    fputc('\n', to);
}

static void put_command_page(FILE *to, const struct command *c) {
    const struct manual_text *t = manual_text(c->name);
    char name[64];

    snprintf(name, sizeof name, "runsc-%s", c->name);
    put_header(to, name, c->summary);
    fprintf(to, ".SH SYNOPSIS\n\\fBrunsc\\fR [\\fIglobal options\\fR] \\fB%s\\fR%s ", c->name,
            c->option_count ? " [\\fIoptions\\fR]" : "");
    put_text(to, c->arguments);
    fputc('\n', to);
    put_prose(to, t);
    if (c->option_count) {
        fputs(".SH OPTIONS\n", to);
        put_options(to, c->options, c->option_count);
    }
    put_end(to, t);
    fputs(".SH SEE ALSO\n.BR runsc (8)\n", to);
}

static void put_main_page(FILE *to) {
    const struct manual_text *t = manual_text("");

    put_header(to, "runsc", "run programs in a sandbox with a kernel of its own");
    fputs(".SH SYNOPSIS\n\\fBrunsc\\fR [\\fIglobal options\\fR] \\fIcommand\\fR [\\fIoptions\\fR] "
          "[\\fIarguments\\fR]\n",
          to);
    put_prose(to, t);
    fputs(".SH COMMANDS\n", to);
    for (const struct command *const *c = g_commands; *c; c++)
        if ((*c)->summary) {
            fprintf(to, ".TP\n\\fBrunsc\\-%s\\fR(8)\n", (*c)->name);
            put_text(to, (*c)->summary);
            fputc('\n', to);
        }
    fputs(".SH GLOBAL OPTIONS\n", to);
    put_options(to, g_global_options, g_global_option_count);
    fputs(".SH FILES\n.TP\n\\fI/run/runsc\\fR\nthe state of containers, unless \\-\\-root names another "
          "place\n",
          to);
    put_end(to, t);
    fputs(".SH SEE ALSO\n.BR podman (1),\n.BR docker (1),\n.BR runc (8)\n", to);
}

void manual_page(FILE *to, const struct command *c) {
    if (c)
        put_command_page(to, c);
    else
        put_main_page(to);
}
