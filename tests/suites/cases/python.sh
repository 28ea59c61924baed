# SPDX-License-Identifier: Apache-2.0
# packages: libpython3.11-testsuite
# with: python_outcomes.py
# each: test_os test_posix test_subprocess test_signal test_threading test_thread test_mmap test_fcntl test_select test_selectors test_epoll
# each: test_poll test_tempfile test_shutil test_pty test_io test_fileio test_time test_itertools test_json test_pathlib test_wait4
# each: test_resource test_largefile test_fork1 test_eintr test_faulthandler test_zipfile test_tarfile test_socket test_socketserver
# each: test_ssl test_ftplib test_httplib test_asyncio test_multiprocessing_fork test_multiprocessing_spawn test_multiprocessing_forkserver
# each: test_concurrent_futures test_logging
# Python's own suite: what its standard library takes from the kernel.
python3 -c "$2" "$1" 3>outcomes 1>&2
cat outcomes
