# SPDX-License-Identifier: Apache-2.0
# Sourced: control groups of a test run; all of them lie below directories named by its tag.
cgroups_of() { # TAG: those that exist
    find /sys/fs/cgroup -mindepth 2 -type d -path "*$1*" 2>/dev/null | sort -r
}
cgroups_remove() { # TAG
    cgroups_of "$1" | while read -r directory; do rmdir "$directory" 2>/dev/null; done
}
