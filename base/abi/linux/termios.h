/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/termios.h: guest ABI, x86-64: terminals.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* indexes in c_cc */
#define LINUX_VINTR    0
#define LINUX_VQUIT    1
#define LINUX_VERASE   2
#define LINUX_VKILL    3
#define LINUX_VEOF     4
#define LINUX_VTIME    5
#define LINUX_VMIN     6
#define LINUX_VSWTC    7
#define LINUX_VSTART   8
#define LINUX_VSTOP    9
#define LINUX_VSUSP    10
#define LINUX_VEOL     11
#define LINUX_VREPRINT 12
#define LINUX_VDISCARD 13
#define LINUX_VWERASE  14
#define LINUX_VLNEXT   15
#define LINUX_VEOL2    16

/* input modes */
#define LINUX_IGNBRK  0x1
#define LINUX_BRKINT  0x2
#define LINUX_IGNPAR  0x4
#define LINUX_PARMRK  0x8
#define LINUX_INPCK   0x10
#define LINUX_ISTRIP  0x20
#define LINUX_INLCR   0x40
#define LINUX_IGNCR   0x80
#define LINUX_ICRNL   0x100
#define LINUX_IUCLC   0x200
#define LINUX_IXON    0x400
#define LINUX_IXANY   0x800
#define LINUX_IXOFF   0x1000
#define LINUX_IMAXBEL 0x2000
#define LINUX_IUTF8   0x4000

/* output modes */
#define LINUX_OPOST  0x1
#define LINUX_OLCUC  0x2
#define LINUX_ONLCR  0x4
#define LINUX_OCRNL  0x8
#define LINUX_ONOCR  0x10
#define LINUX_ONLRET 0x20
#define LINUX_OFILL  0x40
#define LINUX_OFDEL  0x80
#define LINUX_NLDLY  0x100
#define LINUX_NL1    0x100
#define LINUX_CRDLY  0x600
#define LINUX_TABDLY 0x1800
#define LINUX_TAB0   0x0
#define LINUX_TAB1   0x800
#define LINUX_TAB2   0x1000
#define LINUX_TAB3   0x1800
#define LINUX_XTABS  0x1800
#define LINUX_BSDLY  0x2000
#define LINUX_VTDLY  0x4000
#define LINUX_FFDLY  0x8000

/* control modes */
#define LINUX_CBAUD   0x100f
#define LINUX_CBAUDEX 0x1000
#define LINUX_CSIZE   0x30
#define LINUX_CS5     0x0
#define LINUX_CS6     0x10
#define LINUX_CS7     0x20
#define LINUX_CS8     0x30
#define LINUX_CSTOPB  0x40
#define LINUX_CREAD   0x80
#define LINUX_PARENB  0x100
#define LINUX_PARODD  0x200
#define LINUX_HUPCL   0x400
#define LINUX_CLOCAL  0x800
#define LINUX_CRTSCTS 0x80000000u
#define LINUX_CMSPAR  0x40000000
#define LINUX_CIBAUD  0x100f0000
#define LINUX_BOTHER  0x1000
#define LINUX_B0      0x0
#define LINUX_B9600   0xd
#define LINUX_B19200  0xe
#define LINUX_B38400  0xf
#define LINUX_B57600  0x1001
#define LINUX_B115200 0x1002

/* local modes */
#define LINUX_ISIG    0x1
#define LINUX_ICANON  0x2
#define LINUX_XCASE   0x4
#define LINUX_ECHO    0x8
#define LINUX_ECHOE   0x10
#define LINUX_ECHOK   0x20
#define LINUX_ECHONL  0x40
#define LINUX_NOFLSH  0x80
#define LINUX_TOSTOP  0x100
#define LINUX_ECHOCTL 0x200
#define LINUX_ECHOPRT 0x400
#define LINUX_ECHOKE  0x800
#define LINUX_FLUSHO  0x1000
#define LINUX_PENDIN  0x4000
#define LINUX_IEXTEN  0x8000
#define LINUX_EXTPROC 0x10000

/* tcflow(3), tcflush(3) */
#define LINUX_TCOOFF    0
#define LINUX_TCOON     1
#define LINUX_TCIOFF    2
#define LINUX_TCION     3
#define LINUX_TCIFLUSH  0
#define LINUX_TCOFLUSH  1
#define LINUX_TCIOFLUSH 2
#define LINUX_TCSANOW   0
#define LINUX_TCSADRAIN 1
#define LINUX_TCSAFLUSH 2

/* line disciplines */
#define LINUX_N_TTY 0

/* packet mode */
#define LINUX_TIOCPKT_DATA       0
#define LINUX_TIOCPKT_FLUSHREAD  1
#define LINUX_TIOCPKT_FLUSHWRITE 2
#define LINUX_TIOCPKT_STOP       4
#define LINUX_TIOCPKT_START      8
#define LINUX_TIOCPKT_NOSTOP     16
#define LINUX_TIOCPKT_DOSTOP     32
#define LINUX_TIOCPKT_IOCTL      64

#define LINUX_NCCS           19
#define LINUX_POSIX_VDISABLE 0

struct linux_termios {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line;
    uint8_t cc[LINUX_NCCS];
};
ABI_SIZE(linux_termios, 36);

struct linux_termios2 {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line;
    uint8_t cc[LINUX_NCCS];
    uint32_t ispeed, ospeed;
};
ABI_SIZE(linux_termios2, 44);

/* TCGETA, TCSETA */
struct linux_termio {
    uint16_t iflag, oflag, cflag, lflag;
    uint8_t line;
    uint8_t cc[8];
};
ABI_SIZE(linux_termio, 18);

struct linux_winsize {
    uint16_t row, col, xpixel, ypixel;
};
ABI_SIZE(linux_winsize, 8);
