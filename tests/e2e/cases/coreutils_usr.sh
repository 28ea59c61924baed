# SPDX-License-Identifier: Apache-2.0
# limit: 240
# coreutils and findutils over the whole of /usr.
ls -lR --time-style=full-iso /usr | sha256sum
ls -lR --time-style=full-iso /usr | wc -l
find /usr -printf '%p %y %s %m %U:%G %n %T@ %l\n' | sort | sha256sum
find /usr -type f -size +100k | sort | head -5
find /usr -name '*.py' | wc -l
find /usr -xtype l | sort | head -5
find /usr/share -type f -print0 | sort -z | xargs -0 cat | sha256sum
du -s --apparent-size /usr/share /usr/lib | sort
du -a --apparent-size /usr/include | sort -n -k1,1 -k2 | tail -5
wc -l /usr/share/common-licenses/* | sort
sha256sum /usr/bin/* 2>/dev/null | sort -k2 | sha256sum
sort -r /usr/share/common-licenses/GPL-3 | uniq -c | sort -rn | head -5
od -c /usr/bin/env | head -5
stat -c '%n %F %a %U %G %s' /usr /usr/bin/env /etc/passwd /dev/null
readlink -f /usr/bin/awk
