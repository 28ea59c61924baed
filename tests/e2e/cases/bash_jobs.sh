# SPDX-License-Identifier: Apache-2.0
# Job control in an interactive shell on a terminal of the guest's own (script(1) makes it).
cat >commands <<'END'
PS1=; PS2=; bind 'set enable-bracketed-paste off'; stty -echo
sleep 100 &
jobs
kill -STOP %1; sleep 0.3
jobs
bg %1
kill %1; sleep 0.3
echo next
sleep 0.2 | cat &
wait; echo waited $?
cat
fg-nothing
END
# The session: bash -i reads the commands from the terminal; ^Z stops `cat`, `fg` goes on with it, ^D ends it.
{
    head -n 10 commands; sleep 1; printf 'cat\n'; sleep 0.7; printf 'typed\n'; sleep 0.4; printf '\032'; sleep 0.7
    printf 'jobs\n'; sleep 0.3; printf 'fg\n'; sleep 0.5; printf 'more\n'; sleep 0.3; printf '\004'; sleep 0.5
    printf 'sleep 50\n'; sleep 0.5; printf '\003'; sleep 0.5; printf 'echo status $?\n'; sleep 0.3; printf 'tty | cut -c1-9; stty size; exit 3\n'; sleep 0.3
} | script -qec 'bash --norc --noprofile -i' /dev/null >typescript
echo "script status $?"
tr -d '\r' <typescript | sed 's/\x1b\[?2004[hl]//g' | sed -n '/^\[1\]/,$p' | sed -E 's/^(\[[0-9]+\]) [0-9]+$/\1 PID/; s/[0-9]{3,}/N/g' | grep -E '^\[|Stopped|Done|Terminated|typed|more|next|waited|status|/dev/pts|[0-9] [0-9]' | sed 's/\^[ZC]//g'
