/* SPDX-License-Identifier: MIT */
/*
 * config_device.h: the keys of config that give a machine devices: net, disk. As config.c's table has them.
 */
#ifndef FS_CONFIG_DEVICE_H
#define FS_CONFIG_DEVICE_H

#include "fs/config.h"

int config_net(struct config *c, const char *key, const char *value, struct why *why);
int config_disk(struct config *c, const char *key, const char *value, struct why *why);
/* -EINVAL if (mode) has no such devices, or not that machine. */
int config_check_devices(const struct config *c, int mode, struct why *why);

#endif
