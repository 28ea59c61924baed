/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/loader/loader_fixture.h: program files that are bytes, and ELF images made by hand.
 */
#pragma once

#include <elf.h>

#include "sentry/loader/loader.h"
#include "sentry/vfs/file.h"
#include "tests/unit/mm/mm_fixture.h"

/* An open file with these bytes, readable and mappable: new reference. */
struct file *bytes_file_new(struct fixture *f, const void *data, size_t size);

/* Gives the task a root directory: an empty tmpfs. loader_root_done() before fixture_done(). */
void loader_root_init(struct fixture *f);
void loader_root_done(struct fixture *f);
/* A file there, executable, with these bytes. */
void loader_put(struct fixture *f, const char *path, const void *data, size_t size);

/* A program of two pages: headers and "code" (0xc3 bytes, read-execute) and a page with 16 bytes of data and
 * bss behind, read-write. */
struct image {
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment[6];
    } h;
    unsigned char rest[8192];
};
enum { IMAGE_CODE = 0, IMAGE_DATA = 1 };
#define IMAGE_BASE         0x400000ull
#define IMAGE_DATA_ADDRESS (IMAGE_BASE + 0x2000)
#define IMAGE_BSS          0x3000ull
void image_init(struct image *i, uint16_t type);
