/* SPDX-License-Identifier: GPL-2.0 */
/* stdint.h: for guest.h, which knows no kernel's types. */
#ifndef COK_STDINT_H
#define COK_STDINT_H

#include <linux/types.h>

#endif
