/* SPDX-License-Identifier: MIT */
/*
 * work_inner.h: between work.c (the order of the steps), images.c (a kernel's own images, src/ from the
 * template) and build.c (the sandboxed build).
 *
 * Each begin_* starts one step and ends it, later and exactly once, with work_step_done.
 */
#ifndef FS_WORK_INNER_H
#define FS_WORK_INNER_H

#include "fs/instance.h"

/* Begins a step: what it is, and when. */
void work_step_begin(struct instance *in, enum work_step step);
/* (err) 0: on to the next one. (mark): its name in `timeline`, or NULL. */
void work_step_done(struct instance *in, int err, const struct why *why, const char *mark);

/* A job in the pool for an instance: (run) there, then (done) on the loop; the instance is held meanwhile. */
struct work_job {
	struct instance *in;
	int err;
	struct why why;
	uint64_t hash, changes;
	bool empty;
	struct view *view; /* of kernel/, where it is to be looked at; (base), (root): kernel_dir_source */
	int base;
	uint32_t root;
	uint64_t kernel_hash;
	int dirfd;     /* the instance's */
	char *source;  /* what `built` becomes */
	char *note;    /* for build.log */
	char **images; /* NULL-terminated: paths below the instance that must exist, or NULL */
	void (*run)(struct work_job *j);
	void (*done)(struct instance *in, struct work_job *j);
};
struct work_job *work_job_new(struct instance *in);
void work_job_submit(struct work_job *j, void (*run)(struct work_job *j),
	void (*done)(struct instance *in, struct work_job *j));

/* Changes of src/ and kernel/ that were made through the mount. */
uint64_t work_changes(const struct instance *in);
/* Tells the job where the changes of kernel/ are; without kernel/ there are none. */
void work_job_kernel(struct work_job *j);
void begin_scan(struct instance *in);
void begin_fill(struct instance *in);
/* The kernel's own images, as they are. */
void begin_images(struct instance *in);
/* (source): what `built` becomes. Checks the kernel's sources out first where they are not there. */
void begin_build(struct instance *in, const struct settings *s, const char *source);

/* publish.c: what the instance is now, its images up to date, goes to a registry. Ends without an error for the work:
 * who asked for it is told. */
void begin_publish(struct instance *in, const struct settings *s);

/* Puts the files that (wanted) names into the directory (to), below which export_clear has made room in a job, and calls
 * (done). */
typedef void exported_fn(struct instance *in, struct chosen *kernel, int err, const struct why *why);
void export_begin(struct instance *in, struct chosen *kernel, const char *to,
	void (*wanted)(const struct kernel_conf *k, const char *out[]), exported_fn *done);
void export_clear(struct work_job *j, const char *to);

/* ros.c: finds the ROS that the config names, and brings its image and initrd to ros/. */
void begin_ros(struct instance *in, const struct settings *s);
/* Then: its defaults where config says nothing, and whether all fits. */
int ros_settle(const struct instance *in, struct settings *s, struct why *why);

/* In a job: the directory (from) becomes (to), images/ or ros/; for images/ workspace_reset follows on the loop. */
int images_replace(int dirfd, const char *from, const char *to, struct why *why);
/* The images of all modes that the kernel runs in, NULL-terminated; pointers into its kernel.conf. At most 2
 * a mode. */
#define IMAGES_MAX (2 * MODE_COUNT)
void images_wanted(const struct kernel_conf *k, const char *out[IMAGES_MAX + 1]);

#endif
