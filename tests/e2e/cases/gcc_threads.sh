# SPDX-License-Identifier: Apache-2.0
# gcc compiles and runs C programs with threads.
cat >hello.c <<'END'
#include <stdio.h>
int main(int argc, char **argv) { printf("hello %d %s\n", argc, argv[argc - 1]); return 5; }
END
gcc -O2 -Wall -o hello hello.c && ./hello a b; echo "status $?"
gcc -static -o hello-static hello.c && ./hello-static x; echo "status $?"
cat >threads.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static long total; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int is_prime(int n) { for (int d = 2; d * d <= n; d++) if (n % d == 0) return 0; return n > 1; }
static void *work(void *arg) { long from = (long)arg, found = 0;
    for (int n = from; n < from + 20000; n++) found += is_prime(n);
    pthread_mutex_lock(&lock); total += found; pthread_mutex_unlock(&lock); return NULL; }
int main(void) { pthread_t t[16];
    for (long i = 0; i < 16; i++) if (pthread_create(&t[i], NULL, work, (void *)(i * 20000))) abort();
    for (int i = 0; i < 16; i++) pthread_join(t[i], NULL);
    printf("%ld primes\n", total); return 0; }
END
gcc -O2 -pthread -o threads threads.c && for i in 1 2 3; do ./threads; done
gcc -g -O0 -S -o - hello.c | grep -c main
gcc -o broken -x c - 2>&1 <<<'int main(void) { return x; }' | grep -c error; test -e broken || echo 'no output of a failed build'
nm hello | grep -c ' T main'
