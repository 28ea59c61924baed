# SPDX-License-Identifier: Apache-2.0
# gdb and strace inside a sandbox that is made of the host's own root: what they show is what they show natively.
. "$(dirname "$0")/../lib.sh"

work=$state/debug
mkdir -p "$work"
cat >"$work/threads.c" <<'END'
#include <pthread.h>
#include <stdio.h>
int counter;
static void *work(void *arg) { for (int i = 0; i < 3; i++) counter += (int)(long)arg; return NULL; }
int inner(int x) { return x * 2; }
int outer(int x) { return inner(x + 1); }
int main(void) {
    pthread_t t[2];
    for (long i = 0; i < 2; i++) { pthread_create(&t[i], 0, work, (void *)(i + 1)); pthread_join(t[i], 0); }
    counter = outer(counter);
    printf("counter %d\n", counter);
    return 0;
}
END
gcc -g -O0 -pthread -o "$work/threads" "$work/threads.c"
cat >"$work/crash.c" <<'END'
#include <sys/resource.h>
int depth(int n) { if (n == 0) *(volatile int *)0 = 1; return depth(n - 1) + 1; }
int main(void) { struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY}; setrlimit(RLIMIT_CORE, &r); return depth(3); }
END
gcc -g -O0 -o "$work/crash" "$work/crash.c"

# Numbers, addresses, widths of columns and what depends on who is faster go.
plain() {
    sed -E 's/0x[0-9a-f]+/ADDR/g; s/LWP [0-9]+/LWP N/g; s/process [0-9]+/process N/g; s/expected=[0-9]+/expected=N/g; s/ +/ /g
        s/[0-9]+ vars/N vars/; /^\[(Thread|New Thread|Switching|Inferior)|^Using host|too small|^$|^warning:/d'
}
# same COMMAND...: in an empty folder, natively and inside.
same() {
    local native inside
    native=$(cd "$work" && timeout -k 5 60 "$@" 2>&1 | plain)
    inside=$(cd "$work" && timeout -k 5 60 "$RUNSC" --root "$state/root" --platform="$PLATFORM" do --cwd "$work" -- "$@" 2>&1 | plain)
    [ -n "$native" ] && [ "$native" = "$inside" ] && return 0
    diff <(echo "$native") <(echo "$inside") | head -20
    return 1
}

gdb_with() {
    local args=() line
    for line in "${@:2}"; do args+=(-ex "$line"); done
    same gdb -nx -batch "${args[@]}" "$work/$1"
}
check gdb_break_and_backtrace gdb_with threads 'break inner' run bt 'info args' finish cont
# (Its output goes away: it would come between gdb's own words.)
check gdb_threads gdb_with threads 'break work' 'run >/dev/null' bt cont 'info threads' 'thread apply all bt 1' 'delete' cont
check gdb_steps gdb_with threads 'break outer' run step step next next 'print counter' cont
check gdb_watch gdb_with threads 'break outer' run 'watch counter' cont cont cont
check gdb_calls_a_function gdb_with threads 'break inner' run 'print outer(20)' 'delete' 'print outer(20)' cont
check gdb_changes_variables gdb_with threads 'break inner' run 'set var x = 100' 'delete' cont
check gdb_catches_calls gdb_with threads 'catch syscall exit_group' run bt cont
core() { same sh -c 'd=$(mktemp -d); cd $d; "$0"; gdb -nx -batch -ex bt -ex "info threads" -ex "print \$_siginfo.si_signo" "$0" core*; rm -rf $d' "$work/crash"; }
check gdb_opens_a_core_file core

traced() { # PIPELINE OPTIONS...: all calls of all processes, each process apart, so that their order does not matter
    local line=$1
    shift
    same sh -c 'd=$(mktemp -d); line=$1; shift; strace -ff -qq -e signal=none "$@" -o "$d/t" sh -c "$line"; cat $d/t.* | sort | uniq -c; rm -rf $d' \
        x "$line" "$@"
}
check strace_files traced 'echo hello | cat | tr a-z A-Z' -e trace=execve,write,dup2
check strace_processes traced 'true; /bin/true; /bin/echo x | cat; exit 3' -e trace=execve,exit_group
check strace_injects traced '/bin/cat /etc/hostname; echo $?' -e trace=execve -e inject=read:error=EIO:when=3+
counts() { contains "$(runsc do -- strace -c -f /bin/ls / 2>&1)" "total"; }
check strace_counts counts
attaches() {
    contains "$(runsc do -- sh -c 'sleep 30 & p=$!; sleep 0.3; strace -o /tmp/out -p $p 2>/dev/null & s=$!; sleep 0.7; kill $p; wait $s; cat /tmp/out' 2>&1)" "SIGTERM"
}
check strace_attaches attaches
