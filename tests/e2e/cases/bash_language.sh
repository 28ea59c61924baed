# SPDX-License-Identifier: Apache-2.0
# Pipelines, here-documents, substitutions, arrays, traps, subshells, redirections.
seq 1 1000 | grep 7 | sort -rn | head -5 | tr '\n' ' '; echo
cat <<END | while read -r a b; do echo "$b-$a"; done
one two
three $((3 + 4))
END
cat <<'END'
literal $HOME `pwd`
END
diff <(seq 5) <(seq 2 6)
echo "status $?"
x=$(echo inner $(echo deeper)); echo "$x"
declare -A map=([b]=2 [a]=1); for k in $(printf '%s\n' "${!map[@]}" | sort); do echo "$k=${map[$k]}"; done
exec 5>file; echo five >&5; exec 5>&-; cat file
echo out 2>&1 >/dev/null | wc -l
ls /no/such 2>&1 | sed 's/^ls: //'
false | true | false; echo "${PIPESTATUS[@]}"
set -o pipefail; false | true; echo "pipefail $?"; set +o pipefail
(trap 'echo exit trap' EXIT; trap 'echo got usr1' USR1; kill -USR1 $BASHPID; echo after)
(trap 'echo term; exit 7' TERM; kill -TERM $BASHPID; sleep 5); echo "status $?"
(kill -KILL $BASHPID); echo "killed $?"
coproc CAT { cat; }; echo hello >&"${CAT[1]}"; read -r line <&"${CAT[0]}"; echo "$line"; kill $CAT_PID; wait $CAT_PID 2>/dev/null; echo "wait $?"
timeout 0.2 sleep 5; echo "timeout $?"
yes | head -3
printf '%s\n' {a..c}{1..2} | paste -sd,
[[ abc =~ b(.) ]] && echo "${BASH_REMATCH[1]}"
mapfile -t lines < <(seq 3); echo "${#lines[@]}"
f() { local n=$1; ((n < 2)) && { echo 1; return; }; echo $((n * $(f $((n - 1))))); }; f 10
ulimit -n 64; ulimit -n
umask 077; touch private; stat -c %a private
echo "${BASH_VERSINFO[0]}"
