#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make_manual.sh RUNSC DIRECTORY: manual pages and completions, as the program itself prints them.
set -eu
runsc=$1
to=$2
rm -rf "$to"
mkdir -p "$to/man8" "$to/bash" "$to/zsh" "$to/fish"
"$runsc" generate man | gzip -9n >"$to/man8/runsc.8.gz"
for command in $("$runsc" generate commands); do
    "$runsc" generate man "$command" | gzip -9n >"$to/man8/runsc-$command.8.gz"
done
"$runsc" generate bash >"$to/bash/runsc"
"$runsc" generate zsh >"$to/zsh/_runsc"
"$runsc" generate fish >"$to/fish/runsc.fish"
