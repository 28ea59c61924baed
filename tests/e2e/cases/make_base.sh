# SPDX-License-Identifier: Apache-2.0
# limit: 300
# stdin: tar -cf - base tests/support tests/unit/base/*.c
# make -j2 of this project's base/ and its unit tests, inside; then the tests run.
tar -xf -
mkdir -p gen && echo '#define RUNSC_VERSION "1.2.3"
#define RUNSC_COMMIT "abc"' >gen/version.h
cat >Makefile <<'END'
CFLAGS = -std=gnu17 -O1 -g -Wall -Wextra -D_GNU_SOURCE -DRUNSC_DEBUG=1 -DTEST_SUITE='"inside"' -I. -Igen -fno-strict-aliasing -pthread
SOURCES = $(filter-out %/fuzz_main.c,$(wildcard base/*.c tests/support/*.c tests/unit/base/*.c))
WRAPS = $(foreach f,malloc calloc realloc strdup strndup asprintf vasprintf,-Wl,--wrap=$(f))
unit_base: $(SOURCES:.c=.o)
	$(CC) -pthread $(WRAPS) -o $@ $^
END
make -j2 unit_base >make.log 2>&1 || { tail -20 make.log; exit 1; }
make -j2 unit_base | tail -1
./unit_base | sed -E 's/ [0-9]+$//'
