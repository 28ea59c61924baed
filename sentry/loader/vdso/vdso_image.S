/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/vdso/vdso_image.S: the linked vDSO as bytes of the binary.
 */
    .section .rodata
    .globl vdso_image, vdso_image_end
    .balign 16
vdso_image:
    .incbin VDSO_FILE
vdso_image_end:
    .section .note.GNU-stack, "", @progbits
