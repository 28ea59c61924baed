# SPDX-License-Identifier: Apache-2.0
# Makes docs/compatibility.md from syscalls.def: awk -f compatibility.awk syscalls.def
BEGIN { level["FULL"] = "full"; level["PARTIAL"] = "partial"; level["NONE"] = "none" }
match($0, /^SYS_(FULL|PARTIAL|NONE)\(/) {
    kind = substr($0, 5, RLENGTH - 5)
    rest = substr($0, RLENGTH + 1)
    number = rest; sub(/,.*/, "", number)
    name = rest; sub(/^[0-9]+, */, "", name); sub(/,.*/, "", name)
    note = rest; sub(/^[^"]*"/, "", note); sub(/".*/, "", note)
    if (kind == "NONE" && note == "") {
        errno_name = rest; sub(/^[0-9]+, *[a-z_0-9]+, */, "", errno_name); sub(/,.*/, "", errno_name)
        note = "gives " errno_name
    }
    gsub(/\|/, "\\|", note)
    count[kind]++
    row[++rows] = "| " number " | " name " | " level[kind] " | " note " |"
}
END {
    print "# System calls\n"
    print "Generated from sentry/syscalls/syscalls.def by `./dev compatibility`; do not edit. Calls that are not there give the errno that"
    print "Linux gives when the feature is compiled out, are counted, and are logged once.\n"
    print "*full* says that the handler means to do all that the man page says. What tests/conform asserts of it is narrower; see docs/testing.md.\n"
    print count["FULL"] " full, " count["PARTIAL"] " partial, " count["NONE"] " none.\n"
    print "| number | call | level | what is missing |"
    print "|--:|---|---|---|"
    for (i = 1; i <= rows; i++) print row[i]
}
