/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay.h: a file system that shows an upper one over lower ones, as Linux's overlayfs
 * does. A guest names the layers by options (overlay_options.c), boot by this. Source:
 * Documentation/filesystems/overlayfs.
 */
#pragma once

struct filesystem;

/* mount_options.internal for filesystem_create(k, "overlay", ...). Both file systems are made with layer 1;
   the overlay takes its own references. The roots of both are the layers' roots; the upper one is empty or
   holds whiteouts (character devices 0:0) and opaque directories (trusted.overlay.opaque). */
struct overlay_mount {
    struct filesystem *lower, *upper;
};
