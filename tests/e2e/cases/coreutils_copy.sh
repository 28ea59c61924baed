# SPDX-License-Identifier: Apache-2.0
# limit: 240
# cp -a, tar | tar, mv, ln, rm -rf, split, dd, install, touch, chmod -R.
cp -a /usr/share/perl /usr/include . && diff -r /usr/share/perl perl && diff -r /usr/include include && echo same
find include -printf '%P %y %s %m %T@ %l\n' | sort >a; (cd /usr && find include -printf '%P %y %s %m %T@ %l\n') | sort >b; cmp a b && echo attributes
mkdir t && tar -C /usr -cf - include | tar -C t -xf - && diff -r /usr/include t/include && echo tar
tar -C /usr -czf x.tgz include && tar -tzf x.tgz | sort | sha256sum
mv include moved && ls moved | wc -l
ln -s moved/stdio.h s; ln moved/stdio.h h; stat -c %h h; cat s | wc -l
chmod -R u=rwX,go= moved; find moved -type f ! -perm 600 | wc -l
touch -d '2001-02-03 04:05:06.789 UTC' stamp; stat -c %y stamp
dd if=/dev/zero of=zeros bs=64k count=100 2>/dev/null; stat -c %s zeros; sha256sum zeros
split -b 1000000 zeros part-; ls part-* | wc -l; cat part-* | cmp - zeros && echo joined
truncate -s 1G sparse; stat -c %s sparse; dd if=/dev/urandom of=sparse bs=4k seek=1000 count=1 conv=notrunc 2>/dev/null; stat -c %s sparse
install -m 640 -D stamp deep/er/stamp; stat -c %a deep/er/stamp
mkfifo p; (echo through >p &) ; cat p
shuf -i 1-1000 | sort -n | cmp - <(seq 1000) && echo sorted
seq 200000 | sort -R | sort -n -S 1M | sha256sum
rm -rf perl moved t && ls
for i in $(seq 500); do echo $i >f$i; done; ls | wc -l; rm f*; ls | wc -l
mkdir -p $(printf 'd%s/' $(seq 60)); find d1 -depth -type d | wc -l; rm -r d1; ls
