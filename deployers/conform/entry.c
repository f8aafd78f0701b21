/* SPDX-License-Identifier: MIT */
/*
 * entry.c: asks the loader that the agent in the ROS uses, so that no other reading of section 5 of guest.h can differ.
 */
#include "deployers/conform/entry.h"

#include "cache/base/io.h"
#include "deployers/cokernel/agent/parts.h"

#include <fcntl.h>
#include <stdio.h>

#define IMAGE_MAX (UINT64_C(1) << 30)

int entry_read(const char *path, struct entry *e, struct why *why)
{
	autobuf struct buf file = { 0 };
	struct image i;
	int err = io_read_file(AT_FDCWD, path, IMAGE_MAX, &file);

	*e = (struct entry){ 0 };
	if (err < 0)
		return why_fail_errno(why, err, "cannot read %s", path);
	err = image_parse((const uint8_t *)file.data, file.len, &i);
	e->claimed = i.claimed;
	e->loads = !err;
	e->read = i.claimed && i.entry;
	e->header = i.has_header;
	e->entry = i.entry;
	e->direct_map = i.direct_map;
	if (err)
		snprintf(e->words, sizeof(e->words), "%s", failure);
	return 0;
}
