/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_fpu.c: the FPU state of a stopped guest thread is the XSAVE image of its signal
 * frame, in the slot. A new image is put together at SLOT_FPU and the frame pointed at it. The host checks it
 * at rt_sigreturn; what it would refuse is refused here. Sources: asm/sigcontext.h (struct _fpx_sw_bytes),
 * Intel SDM vol. 1 13.4.
 */
#include <errno.h>
#include <string.h>

#include "platform/systrap/systrap_internal.h"

enum {
    UC_FPU = 1,
    XSAVE_MIN = 576,
    HEADER = 512,   /* xstate_bv, xcomp_bv, reserved */
    SOFTWARE = 464, /* struct _fpx_sw_bytes */
    CONTROL = 0,
    MXCSR = 24,
    MXCSR_MASK = 0xffff,
};
#define FPU_MAGIC1 0x46505853u
#define FPU_MAGIC2 0x46505845u

struct software_bytes {
    uint32_t magic, extended_size;
    uint64_t features;
    uint32_t size, padding[7];
};
static_assert(sizeof(struct software_bytes) == 48, "software bytes");

static uint32_t load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t load64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* As at execve: present but clean x87 and SSE parts. */
static void initial_image(char *image, size_t size) {
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;
    uint64_t present = 3;
    memset(image, 0, size);
    memcpy(image + CONTROL, &control, sizeof(control));
    memcpy(image + MXCSR, &mxcsr, sizeof(mxcsr));
    memcpy(image + HEADER, &present, sizeof(present));
}

/* Where the frame's image lies in the slot, and how long it is; 0: it has none that makes sense. */
static size_t find_image(const struct systrap_context *c, const char **ret_image) {
    struct stub_ucontext *u = systrap_frame(c);
    uint64_t offset = *(volatile uint64_t *)&u->fpu - systrap_slot_address(c);
    struct software_bytes sw;
    if (offset < SLOT_FPU || offset > SLOT_SIZE - XSAVE_MIN || offset % 16)
        return 0;
    const char *image = (const char *)c->slot + offset;
    memcpy(&sw, image + SOFTWARE, sizeof(sw));
    if (sw.magic != FPU_MAGIC1 || sw.size < XSAVE_MIN || sw.size > SLOT_SIZE - offset)
        return 0;
    *ret_image = image;
    return sw.size;
}

ssize_t systrap_context_get_fpu(struct context *context, void *buffer, size_t size) {
    struct systrap_context *c = systrap_context_of(context);
    const char *image;
    size_t whole = c->space->platform->base.fpu_size;
    if (!systrap_ready(c) || !systrap_need_frame(c))
        return -ESRCH;
    if (size < XSAVE_MIN)
        return -EINVAL;
    size = MIN(size, whole);
    size_t there = find_image(c, &image);
    if (there == 0) {
        initial_image(buffer, size);
        return (ssize_t)size;
    }
    memcpy(buffer, image, MIN(size, there));
    if (there < size)
        memset((char *)buffer + there, 0, size - there);
    memset((char *)buffer + SOFTWARE, 0, sizeof(struct software_bytes));
    return (ssize_t)size;
}

static bool acceptable(const struct systrap_context *c, const char *image) {
    static const char zero[48];
    return !(load32(image + MXCSR) & ~MXCSR_MASK) &&
           !(load64(image + HEADER) & ~c->space->platform->fpu_features) && load64(image + HEADER + 8) == 0 &&
           memcmp(image + HEADER + 16, zero, sizeof(zero)) == 0;
}

int systrap_context_set_fpu(struct context *context, const void *buffer, size_t size) {
    struct systrap_context *c = systrap_context_of(context);
    uint32_t whole = (uint32_t)c->space->platform->base.fpu_size, magic2 = FPU_MAGIC2;
    if (!systrap_ready(c) || !systrap_need_frame(c))
        return -ESRCH;
    if (size < XSAVE_MIN || size > whole || whole + sizeof(magic2) > SLOT_FPU_SIZE || !acceptable(c, buffer))
        return -EINVAL;
    struct stub_ucontext *u = systrap_frame(c);
    char *image = (char *)c->slot + SLOT_FPU;
    struct software_bytes sw = {.magic = FPU_MAGIC1,
                                .extended_size = whole + (uint32_t)sizeof(magic2),
                                .features = c->space->platform->fpu_features,
                                .size = whole};
    memcpy(image, buffer, size);
    memset(image + size, 0, whole - size);
    memcpy(image + SOFTWARE, &sw, sizeof(sw));
    memcpy(image + whole, &magic2, sizeof(magic2));
    u->fpu = systrap_slot_address(c) + SLOT_FPU;
    u->flags |= UC_FPU;
    return 0;
}

/* A frame without an image is loaded as the initial state. */
int systrap_context_reset_fpu(struct context *context) {
    struct systrap_context *c = systrap_context_of(context);
    if (!systrap_ready(c) || !systrap_need_frame(c))
        return -ESRCH;
    struct stub_ucontext *u = systrap_frame(c);
    u->fpu = 0;
    u->flags &= ~(uint64_t)UC_FPU;
    return 0;
}
