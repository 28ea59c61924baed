/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim_copy.c: a stack is copied in mid-transfer and goes on (DESIGN section 4).
 *
 * All memory of both stacks lies in one arena. In the middle of a transfer the arena is copied out, the
 * transfer is run to its end, the arena (and the world around it) is put back at the same address, and the
 * transfer is run to its end again: both must succeed, in the same simulated time and with the same counters.
 * So nothing of a stack's state lives outside its allocator.
 */
#include <stdlib.h>

#include "tests/sim/stream.h"

static struct sim_frame *copy_frames(const struct sim_frame *f) {
    struct sim_frame *first = NULL, **at = &first;
    for (; f; f = f->next) {
        struct sim_frame *c = malloc(sizeof(*c) + f->meta.len);
        ASSERT_NOT_NULL(c);
        memcpy(c, f, sizeof(*c) + f->meta.len);
        c->next = NULL;
        *at = c;
        at = &c->next;
    }
    return first;
}

TEST(stack_copied_in_mid_transfer_goes_on) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        static struct sim s, saved;
        sim_init(&s, seed);
        sim_arena_enable(&s);
        struct sim_host *a = sim_add_host(&s), *b = sim_add_host(&s);
        struct sim_link *l = sim_add_link(&s, a, b, 1500, 0);
        l->fault.loss_ppm = 20000;
        l->fault.delay_ns = SIM_MS(10);
        l->fault.jitter_ns = SIM_MS(3);
        sim_host_addr(a, l->nic[0], "10.0.0.1", 24);
        sim_host_addr(b, l->nic[1], "10.0.0.2", 24);
        struct stream x = {.end = {{.to_send = 400000}, {.to_send = 200000}}};
        stream_start(&x, &s, a, b, "10.0.0.2", 80);
        while (x.end[0].received + x.end[1].received < 250000) {
            ASSERT_TRUE(stream_act(&x));
            (void)sim_step(&s, s.now + SIM_S(1));
        }

        size_t size = sim_arena_size();
        void *image = malloc(size);
        ASSERT_NOT_NULL(image);
        sim_arena_save(image);
        saved = s;
        saved.frames = copy_frames(s.frames);
        struct stream saved_x = x;

        struct netns_mib first, second;
        stream_run(&x, SIM_S(1000));
        int64_t first_end = s.now;
        netns_mib_get(a->ns, &first);
        while (s.frames) {
            struct sim_frame *f = s.frames;
            s.frames = f->next;
            free(f);
        }

        sim_arena_restore(image);
        s = saved;
        x = saved_x;
        stream_run(&x, SIM_S(1000));
        netns_mib_get(a->ns, &second);
        ASSERT_EQ(s.now, first_end);
        ASSERT_MEMEQ(&first, &second, sizeof(first));
        for (int i = 0; i < 2; i++) {
            ASSERT_EQ(x.end[i].error, 0);
            ASSERT_EQ(x.end[i].received, x.end[i].to_recv);
        }
        stream_close(&x);
        sim_run_for(&s, SIM_S(100));
        sim_done(&s);
        sim_arena_disable();
        free(image);
    }
}
