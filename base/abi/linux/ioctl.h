/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/ioctl.h: guest ABI, x86-64: ioctl(2) requests.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* terminals, pipes, sockets */
#define LINUX_TCGETS             0x5401
#define LINUX_TCSETS             0x5402
#define LINUX_TCSETSW            0x5403
#define LINUX_TCSETSF            0x5404
#define LINUX_TCGETA             0x5405
#define LINUX_TCSETA             0x5406
#define LINUX_TCSETAW            0x5407
#define LINUX_TCSETAF            0x5408
#define LINUX_TCSBRK             0x5409
#define LINUX_TCXONC             0x540a
#define LINUX_TCFLSH             0x540b
#define LINUX_TCSBRKP            0x5425
#define LINUX_TIOCEXCL           0x540c
#define LINUX_TIOCNXCL           0x540d
#define LINUX_TIOCSCTTY          0x540e
#define LINUX_TIOCGPGRP          0x540f
#define LINUX_TIOCSPGRP          0x5410
#define LINUX_TIOCOUTQ           0x5411
#define LINUX_TIOCSTI            0x5412
#define LINUX_TIOCGWINSZ         0x5413
#define LINUX_TIOCSWINSZ         0x5414
#define LINUX_TIOCMGET           0x5415
#define LINUX_TIOCMBIS           0x5416
#define LINUX_TIOCMBIC           0x5417
#define LINUX_TIOCMSET           0x5418
#define LINUX_TIOCINQ            0x541b
#define LINUX_TIOCCONS           0x541d
#define LINUX_TIOCPKT            0x5420
#define LINUX_TIOCNOTTY          0x5422
#define LINUX_TIOCSETD           0x5423
#define LINUX_TIOCGETD           0x5424
#define LINUX_TIOCSBRK           0x5427
#define LINUX_TIOCCBRK           0x5428
#define LINUX_TIOCGSID           0x5429
#define LINUX_TIOCGPTN           0x80045430u
#define LINUX_TIOCSPTLCK         0x40045431
#define LINUX_TIOCGDEV           0x80045432u
#define LINUX_TIOCSIG            0x40045436
#define LINUX_TIOCVHANGUP        0x5437
#define LINUX_TIOCGPKT           0x80045438u
#define LINUX_TIOCGPTLCK         0x80045439u
#define LINUX_TIOCGEXCL          0x80045440u
#define LINUX_TIOCGPTPEER        0x5441
#define LINUX_FIONREAD           0x541b
#define LINUX_FIONBIO            0x5421
#define LINUX_FIONCLEX           0x5450
#define LINUX_FIOCLEX            0x5451
#define LINUX_FIOASYNC           0x5452
#define LINUX_FIOQSIZE           0x5460
#define LINUX_FIOSETOWN          0x8901
#define LINUX_FIOGETOWN          0x8903
#define LINUX_SIOCSPGRP          0x8902
#define LINUX_SIOCGPGRP          0x8904
#define LINUX_SIOCATMARK         0x8905
#define LINUX_SIOCINQ            0x541b
#define LINUX_SIOCOUTQ           0x5411
#define LINUX_SIOCGSTAMP         0x8906
#define LINUX_SIOCGSTAMPNS       0x8907
#define LINUX_SIOCOUTQNSD        0x894b
#define LINUX_SIOCGIFNAME        0x8910
#define LINUX_SIOCGIFCONF        0x8912
#define LINUX_SIOCGIFFLAGS       0x8913
#define LINUX_SIOCSIFFLAGS       0x8914
#define LINUX_SIOCGIFADDR        0x8915
#define LINUX_SIOCSIFADDR        0x8916
#define LINUX_SIOCGIFDSTADDR     0x8917
#define LINUX_SIOCSIFDSTADDR     0x8918
#define LINUX_SIOCGIFBRDADDR     0x8919
#define LINUX_SIOCSIFBRDADDR     0x891a
#define LINUX_SIOCGIFNETMASK     0x891b
#define LINUX_SIOCSIFNETMASK     0x891c
#define LINUX_SIOCGIFMETRIC      0x891d
#define LINUX_SIOCSIFMETRIC      0x891e
#define LINUX_SIOCGIFMTU         0x8921
#define LINUX_SIOCSIFMTU         0x8922
#define LINUX_SIOCSIFNAME        0x8923
#define LINUX_SIOCSIFHWADDR      0x8924
#define LINUX_SIOCGIFHWADDR      0x8927
#define LINUX_SIOCGIFINDEX       0x8933
#define LINUX_SIOCSIFHWBROADCAST 0x8937
#define LINUX_SIOCGIFTXQLEN      0x8942
#define LINUX_SIOCSIFTXQLEN      0x8943
#define LINUX_SIOCETHTOOL        0x8946
#define LINUX_SIOCGIFMAP         0x8970
#define LINUX_SIOCSIFMAP         0x8971

/* files and block devices */
#define LINUX_FS_IOC_GETFLAGS   0x80086601u
#define LINUX_FS_IOC_SETFLAGS   0x40086602
#define LINUX_FS_IOC_GETVERSION 0x80087601u
#define LINUX_FS_IOC_SETVERSION 0x40087602
#define LINUX_FS_IOC_FSGETXATTR 0x801c581fu
#define LINUX_FS_IOC_FSSETXATTR 0x401c5820
#define LINUX_FS_IOC_GETFSLABEL 0x81009431u
#define LINUX_FICLONE           0x40049409
#define LINUX_FICLONERANGE      0x4020940d
#define LINUX_FIBMAP            0x1
#define LINUX_FIGETBSZ          0x2
#define LINUX_FIDEDUPERANGE     0xc0189436u
#define LINUX_FIFREEZE          0xc0045877u
#define LINUX_FITHAW            0xc0045878u
#define LINUX_FITRIM            0xc0185879u
#define LINUX_BLKGETSIZE        0x1260
#define LINUX_BLKGETSIZE64      0x80081272u
#define LINUX_BLKSSZGET         0x1268
#define LINUX_BLKROGET          0x125e
#define LINUX_BLKFLSBUF         0x1261

/* inode flags of FS_IOC_GETFLAGS */
#define LINUX_FS_SECRM_FL     0x1
#define LINUX_FS_UNRM_FL      0x2
#define LINUX_FS_COMPR_FL     0x4
#define LINUX_FS_SYNC_FL      0x8
#define LINUX_FS_IMMUTABLE_FL 0x10
#define LINUX_FS_APPEND_FL    0x20
#define LINUX_FS_NODUMP_FL    0x40
#define LINUX_FS_NOATIME_FL   0x80
#define LINUX_FS_DIRSYNC_FL   0x10000

/* A request's parts: direction (1: the kernel reads, 2: it writes), size of the argument, type, number. */
#define LINUX_IOC(dir, type, nr, size)                                                                       \
    ((uint32_t)(dir) << 30 | (uint32_t)(size) << 16 | (uint32_t)(type) << 8 | (uint32_t)(nr))
#define LINUX_IOC_SIZE(request) ((request) >> 16 & 0x3fff)

#define LINUX_TCGETS2  0x802c542au
#define LINUX_TCSETS2  0x402c542bu
#define LINUX_TCSETSW2 0x402c542cu
#define LINUX_TCSETSF2 0x402c542du

struct linux_fsxattr {
    uint32_t xflags, extsize, nextents, projid, cowextsize;
    uint8_t pad[8];
};
ABI_SIZE(linux_fsxattr, 28);

#define LINUX_FS_IOC_FIEMAP 0xc020660bu

/* fsxattr.xflags */
#define LINUX_FS_XFLAG_IMMUTABLE 0x8
#define LINUX_FS_XFLAG_APPEND    0x10
#define LINUX_FS_XFLAG_SYNC      0x20
#define LINUX_FS_XFLAG_NOATIME   0x40
#define LINUX_FS_XFLAG_NODUMP    0x80

struct linux_file_clone_range {
    int64_t src_fd;
    uint64_t src_offset, src_length, dest_offset;
};
ABI_SIZE(linux_file_clone_range, 32);

struct linux_file_dedupe_range_info {
    int64_t dest_fd;
    uint64_t dest_offset, bytes_deduped;
    int32_t status;
    uint32_t reserved;
};
ABI_SIZE(linux_file_dedupe_range_info, 32);

/* dest_count of the other follow. */
struct linux_file_dedupe_range {
    uint64_t src_offset, src_length;
    uint16_t dest_count, reserved1;
    uint32_t reserved2;
};
ABI_SIZE(linux_file_dedupe_range, 24);
