/* SPDX-License-Identifier: Apache-2.0
 * netstack/buffer/nsmem.c: the list of the library's types (nsmem.h). Written at program start only.
 */
#include "netstack/buffer/nsmem.h"

static struct netstack_type *g_types;

void netstack_type_register(struct netstack_type *type) {
    type->id = g_types ? g_types->id + 1 : 0;
    ASSERT(type->id < NETSTACK_TYPE_MAX);
    type->next = g_types;
    g_types = type;
}

const struct netstack_type *netstack_types(void) {
    return g_types;
}
