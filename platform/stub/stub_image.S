/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_image.S: embeds the stub's code, linked on its own, in the platform library.
 */
    .section .rodata
    .globl stub_image, stub_image_end
stub_image:
    .incbin "stub.bin"
stub_image_end:
    .section .note.GNU-stack, "", @progbits
