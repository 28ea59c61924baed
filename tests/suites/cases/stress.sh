# SPDX-License-Identifier: Apache-2.0
# packages: stress-ng
# limit: 60
# each: cpu vm fork pthread pipe futex sigq timer mmap file dentry poll epoll sem msg shm mq inotify splice userfaultfd context
# stress-ng's workers for five seconds each, checking what they do.
case $1 in
file) workers="--hdd 1 --iomix 1" ;;
msg) workers="--msg 2 --sem-sysv 1" ;;
shm) workers="--shm 1 --shm-sysv 1" ;;
*) workers="--$1 2" ;;
esac
stress-ng --verify --timeout 5 --temp-path /tmp/case $workers 1>&2 && echo "$1 ok" || echo "$1 fail"
