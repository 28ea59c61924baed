/* SPDX-License-Identifier: Apache-2.0
 * runsc/manual/completion.c: completions for bash, zsh and fish: commands, their options, and the ids of
 * containers where one is wanted. Sources: bash(1) "Programmable Completion", zshcompsys(1), fish "complete".
 */
#include <string.h>

#include "runsc/manual/manual.h"

static bool takes_id(const struct command *c) {
    return strncmp(c->arguments, "ID", 2) == 0 && strcmp(c->name, "create") != 0 &&
           strcmp(c->name, "run") != 0;
}

static void put_names(FILE *to, const struct option_def *defs, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (defs[i].help)
            fprintf(to, " --%s", defs[i].name);
    fputs(" --help", to);
}

/* ---- bash ---- */

static void put_bash(FILE *to) {
    fputs("# bash completion of runsc\n_runsc() {\n    local word command='' i\n"
          "    word=${COMP_WORDS[COMP_CWORD]}\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n        -*) ;;\n    "
          "    ",
          to);
    bool first = true;
    for (const struct command *const *c = g_commands; *c; c++)
        if ((*c)->summary) {
            fprintf(to, "%s%s", first ? "" : " | ", (*c)->name);
            first = false;
        }
    fputs(") command=${COMP_WORDS[i]}; break ;;\n        esac\n    done\n    case $command in\n", to);
    for (const struct command *const *c = g_commands; *c; c++) {
        if (!(*c)->summary)
            continue;
        fprintf(to, "    %s) COMPREPLY=($(compgen -W \"", (*c)->name);
        put_names(to, (*c)->options, (*c)->option_count);
        fprintf(to, "%s\" -- \"$word\")) ;;\n", takes_id(*c) ? " $(runsc list -q 2>/dev/null)" : "");
    }
    fputs("    *) COMPREPLY=($(compgen -W \"", to);
    for (const struct command *const *c = g_commands; *c; c++)
        if ((*c)->summary)
            fprintf(to, "%s ", (*c)->name);
    put_names(to, g_global_options, g_global_option_count);
    fputs("\" -- \"$word\")) ;;\n    esac\n    [[ $word == -* || ${#COMPREPLY[@]} -gt 0 ]] || "
          "COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
          "complete -o filenames -F _runsc runsc\n",
          to);
}

/* ---- zsh ---- */

/* In single quotes, within [...]. */
static void put_zsh_text(FILE *to, const char *text) {
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", to);
        else if (strchr("[]:\\", *text))
            fprintf(to, "\\%c", *text);
        else
            fputc(*text, to);
}

static void put_zsh_options(FILE *to, const struct option_def *defs, size_t count, const char *indent) {
    for (size_t i = 0; i < count; i++) {
        if (!defs[i].help)
            continue;
        fprintf(to, " \\\n%s'%s--%s%s[", indent, defs[i].kind == OPTION_LIST ? "*" : "", defs[i].name,
                defs[i].kind == OPTION_FLAG ? "" : "=");
        put_zsh_text(to, defs[i].help);
        fputc(']', to);
        if (defs[i].kind != OPTION_FLAG) {
            fputc(':', to);
            put_zsh_text(to, defs[i].value ? defs[i].value : "value");
            fputs(defs[i].value && (strstr(defs[i].value, "FILE") || strstr(defs[i].value, "DIR")) ? ":_files"
                                                                                                   : ": ",
                  to);
        }
        fputc('\'', to);
    }
}

static void put_zsh(FILE *to) {
    fputs("#compdef runsc\n# zsh completion of runsc\n_runsc_ids() { local -a ids; ids=(${(f)\"$(runsc list "
          "-q 2>/dev/null)\"}); compadd -a ids }\n"
          "_runsc() {\n    local -a commands\n    local state line\n    commands=(\n",
          to);
    for (const struct command *const *c = g_commands; *c; c++)
        if ((*c)->summary) {
            fprintf(to, "        '%s:", (*c)->name);
            put_zsh_text(to, (*c)->summary);
            fputs("'\n", to);
        }
    fputs("    )\n    _arguments -C", to);
    put_zsh_options(to, g_global_options, g_global_option_count, "        ");
    fputs(" \\\n        '1: :->command' '*:: :->rest'\n    case $state in\n    command) _describe command "
          "commands ;;\n    rest)\n        case $line[1] in\n",
          to);
    for (const struct command *const *c = g_commands; *c; c++) {
        if (!(*c)->summary)
            continue;
        fprintf(to, "        %s) _arguments", (*c)->name);
        put_zsh_options(to, (*c)->options, (*c)->option_count, "            ");
        fprintf(to, " '*:argument:%s' ;;\n", takes_id(*c) ? "_runsc_ids" : "_files");
    }
    fputs("        esac ;;\n    esac\n}\n_runsc \"$@\"\n", to);
}

/* ---- fish ---- */

static void put_fish_text(FILE *to, const char *text) {
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void put_fish_options(FILE *to, const struct option_def *defs, size_t count, const char *condition) {
    for (size_t i = 0; i < count; i++) {
        if (!defs[i].help)
            continue;
        fprintf(to, "complete -c runsc -n '%s' -l %s", condition, defs[i].name);
        if (defs[i].letter)
            fprintf(to, " -s %c", defs[i].letter);
        if (defs[i].kind != OPTION_FLAG)
            fputs(" -r", to);
        fputs(" -d '", to);
        put_fish_text(to, defs[i].help);
        fputs("'\n", to);
    }
}

static void put_fish(FILE *to) {
    fputs("# fish completion of runsc\n", to);
    put_fish_options(to, g_global_options, g_global_option_count, "__fish_use_subcommand");
    for (const struct command *const *c = g_commands; *c; c++) {
        char condition[96];
        if (!(*c)->summary)
            continue;
        fprintf(to, "complete -c runsc -n __fish_use_subcommand -f -a %s -d '", (*c)->name);
        put_fish_text(to, (*c)->summary);
        fputs("'\n", to);
        snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", (*c)->name);
        put_fish_options(to, (*c)->options, (*c)->option_count, condition);
        if (takes_id(*c))
            fprintf(to, "complete -c runsc -n '%s' -f -a '(runsc list -q 2>/dev/null)'\n", condition);
    }
}

void manual_completion(FILE *to, enum shell shell) {
    if (shell == SHELL_BASH)
        put_bash(to);
    else if (shell == SHELL_ZSH)
        put_zsh(to);
    else
        put_fish(to);
}
