/* SPDX-License-Identifier: Apache-2.0
 * base/ref.c: the registry of live reference-counted objects (debug builds): a count per type name.
 */
#include "base/ref.h"

#include <stdio.h>
#include <string.h>

#include "base/mutex.h"

#ifdef RUNSC_DEBUG
enum { MAX_TYPES = 256 }; /* type names are compiled in: a build with more fails its first test */
static struct {
    const char *type;
    size_t live;
} g_types[MAX_TYPES];
static size_t g_type_count;
static struct mutex g_registry_lock = MUTEX_INIT(RANK_REF_REGISTRY);

static size_t *live_of(const char *type) {
    for (size_t i = 0; i < g_type_count; i++)
        if (strcmp(g_types[i].type, type) == 0)
            return &g_types[i].live;
    ASSERT(g_type_count < MAX_TYPES);
    g_types[g_type_count].type = type;
    g_types[g_type_count].live = 0;
    return &g_types[g_type_count++].live;
}

void ref_registry_add(const char *type, const void *obj) {
    (void)obj;
    mutex_lock(&g_registry_lock);
    ++*live_of(type);
    mutex_unlock(&g_registry_lock);
}

void ref_registry_remove(const char *type, const void *obj) {
    (void)obj;
    mutex_lock(&g_registry_lock);
    size_t *live = live_of(type);
    ASSERT(*live > 0);
    --*live;
    mutex_unlock(&g_registry_lock);
}

size_t ref_leaks(void) {
    size_t total = 0;

    mutex_lock(&g_registry_lock);
    for (size_t i = 0; i < g_type_count; i++) {
        if (g_types[i].live > 0)
            fprintf(stderr, "leak: %zu live %s\n", g_types[i].live, g_types[i].type);
        total += g_types[i].live;
    }
    mutex_unlock(&g_registry_lock);
    return total;
}
#else
size_t ref_leaks(void) {
    return 0;
}
#endif
