#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# abi_check.sh HEADER HOST-HEADERS...: prints a C file that fails to compile where a LINUX_X of base/abi/linux/HEADER.h
# differs from X in the headers of the build machine. Names that these lack (an older machine) are left out.
set -eu
topic=$1
shift
echo "#include \"base/abi/linux/$topic.h\""
for header in "$@"; do echo "#include <$header>"; done
awk '$1 == "#define" && $2 ~ /^LINUX_[A-Z0-9_]+$/ && NF > 2 && $3 !~ /^"/ && $2 !~ /^LINUX_(NSIG|SIGRTMAX|SIG_DFL|SIG_IGN)$/ {
    host = substr($2, 7)
    printf "#ifdef %s\n_Static_assert((unsigned int)(%s) == (unsigned int)(%s), \"%s\");\n#endif\n", host, $2, host, $2
}' "$(dirname "$0")/../../../base/abi/linux/$topic.h"
