# SPDX-License-Identifier: Apache-2.0
# perl: text over /usr, fork, pipes, sockets, sprintf, sorting, file tests.
perl -ne '$n{lc $_}++ for /\w+/g; END { print "$_ $n{$_}\n" for (sort { $n{$b} <=> $n{$a} || $a cmp $b } keys %n)[0..9] }' /usr/share/common-licenses/GPL-3
perl -e '
use strict; use warnings; use IO::Socket::UNIX; use POSIX ":sys_wait_h"; use File::Find; use Digest::SHA qw(sha256_hex); use Time::HiRes qw(sleep time);
pipe(my $r, my $w) or die; my $pid = fork // die;
if (!$pid) { close $r; print $w "from child\n"; close $w; exit 3 }
close $w; print "parent got: ", <$r>; waitpid $pid, 0; print "status ", $? >> 8, "\n";
my $s = IO::Socket::UNIX->new(Local => "sock", Listen => 1) or die; $pid = fork;
if (!$pid) { my $c = IO::Socket::UNIX->new(Peer => "sock") or die; print $c "over a socket\n"; exit 0 }
my $c = $s->accept; print <$c>; wait;
my $n = 0; find(sub { $n++ if -f }, "/usr/share/perl"); print "found ", $n > 100 ? "many" : $n, "\n";
local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; my $t = time; sleep 1.5 while time - $t < 1; 
print sha256_hex("x" x 1000000), "\n"; printf "%.10f %s\n", atan2(1, 1) * 4, join ",", map { $_ ** 2 } 1 .. 10;
open my $f, "+>", "file" or die; print $f "line $_\n" for 1 .. 1000; seek $f, 0, 0; my @l = <$f>; print scalar @l, " $l[500]"; 
print `echo sub shell`, $? , "\n"; my %h = map { $_ => 1 } 1 .. 50000; print scalar(keys %h), "\n";
'
