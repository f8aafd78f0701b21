/* SPDX-License-Identifier: MIT */
/*
 * program.c: what runs here, as Linux would start it, with argument, environment and auxiliary vectors on a stack: the
 * application that is linked with the kernel and its C library, or with exec=PATH on the command line an ELF program.
 */
#include "delegate.h"
#include "elf.h"
#include "memfs.h"

#define STACK_MOST   0x800000ull
#define STACK_END    (GUEST_PROGRAM_END - PAGE_2M)
#define PT_TLS	     7
#define STRINGS_MOST (1u << 20) /* bytes of arguments and environment */
#define WORDS_MOST   32768u

enum {
	AT_NULL = 0,
	AT_IGNORE,
	AT_PHDR = 3,
	AT_PHENT,
	AT_PHNUM,
	AT_PAGESZ,
	AT_BASE,
	AT_FLAGS,
	AT_ENTRY,
	AT_UID = 11,
	AT_EUID,
	AT_GID,
	AT_EGID,
	AT_PLATFORM,
	AT_HWCAP,
	AT_CLKTCK,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_EXECFN = 31,
	AT_SYSINFO_EHDR = 33,
	AT_MINSIGSTKSZ = 51
};

bool program_runs;
uint64_t program_name;
int process_id;

/* --- the linked application --- */

static struct program_header tls = { .type = PT_TLS, .flags = 4 };
extern char tls_start[], tls_data_end[], tls_end[], tls_align[]; /* link.ld */

int __libc_start_main(int (*main)(int, char **), int argc, char **argv, void (*init)(void),
	void (*fini)(void), void (*loader)(void));

/* Strings lie in the kernel's command line, which stays. */
static uint64_t *build_stack(uint64_t top, int argc, char **argv)
{
	static uint64_t random[2];
	uint64_t auxv[] = { AT_PHDR, (uint64_t)&tls, AT_PHENT, sizeof(tls), AT_PHNUM, 1, AT_PAGESZ, PAGE,
		AT_RANDOM, (uint64_t)random, AT_NULL, 0 };
	uint64_t *sp = (uint64_t *)top - ((unsigned)argc + 2 + sizeof(auxv) / 8 + 3), *p = sp;

	random_bytes(random, sizeof(random));
	sp = p = (uint64_t *)((uint64_t)sp & ~15ull);
	for (int i = 0; i < argc; i++)
		*p++ = (uint64_t)argv[i];
	*p++ = 0; /* the end of argv, and no environment */
	*p++ = 0;
	memcpy(p, auxv, sizeof(auxv));
	return sp;
}

static uint64_t stack_len(void)
{
	return page_total() / 4 < STACK_MOST ? (page_total() / 4 + PAGE - 1) & ~(PAGE - 1) : STACK_MOST;
}

static void linked(struct frame *f, int argc, char **argv)
{
	uint64_t stack = region_add(REGION_KERNEL, stack_len(), REGION_READ | REGION_WRITE), *sp;

	if (!stack)
		panic("no memory for the application's stack");
	tls.virtual = (uint64_t)tls_start;
	tls.file_len = (uint64_t)(tls_data_end - tls_start);
	tls.memory_len = (uint64_t)(tls_end - tls_start);
	tls.align = (uint64_t)tls_align;
	sp = build_stack(stack + stack_len(), argc, argv);
	*f = (struct frame){ .rip = (uint64_t)__libc_start_main,
		.cs = 8,
		.ss = 16,
		.rflags = 0x202,
		.rdi = (uint64_t)main,
		.rsi = (uint64_t)argc,
		.rdx = (uint64_t)sp };
	sp[-1] = 0; /* where __libc_start_main would return to */
	f->rsp = (uint64_t)(sp - 1);
}

/* --- ELF programs --- */

static struct mutex brk_mutex; /* guards the next two */
static uint64_t brk_start, brk_now;

static uint64_t up(uint64_t a)
{
	return (a + PAGE - 1) & ~(PAGE - 1);
}

long program_brk(uint64_t wanted)
{
	uint64_t old, new;

	mutex_lock(&brk_mutex);
	old = up(brk_now);
	new = up(wanted);
	if (brk_start && wanted >= brk_start && wanted < GUEST_PROGRAM_END) {
		if (new > old && new - old <= page_total() && region_free(old, new - old + PAGE) &&
			!region_add_at(old, new - old, REGION_READ | REGION_WRITE))
			brk_now = wanted;
		else if (new <= old && (new == old || !region_remove(new, old - new)))
			brk_now = wanted;
	}
	new = brk_now;
	mutex_unlock(&brk_mutex);
	return (long)new;
}

void program_brk_now(uint64_t *start, uint64_t *now)
{
	mutex_lock(&brk_mutex);
	*start = brk_start;
	*now = brk_now;
	mutex_unlock(&brk_mutex);
}

/* Where strings go, from the top of the stack downwards. */
struct builder {
	uint64_t at, floor;
	uint64_t words[WORDS_MOST]; /* what goes below them: argc, argv, environment, auxv */
	unsigned count;
	bool full;
};

static uint64_t push_bytes(struct builder *b, const void *bytes, size_t len)
{
	if (b->at - b->floor < len) {
		b->full = true;
		return 0;
	}
	b->at -= len;
	if (copy_out((void *)b->at, bytes, len))
		b->full = true;
	return b->at;
}

static void word(struct builder *b, uint64_t value)
{
	if (b->count == WORDS_MOST)
		b->full = true;
	else
		b->words[b->count++] = value;
}

static void strings(struct builder *b, char *const *list)
{
	for (; *list; list++)
		word(b, push_bytes(b, *list, strlen(*list) + 1));
	word(b, 0);
}

static void auxiliary(struct builder *b, const struct elf_image *program, const struct elf_image *interpreter,
	const char *path)
{
	uint64_t random[2], library = vdso_add();

	random_bytes(random, sizeof(random));
	program_name = push_bytes(b, path, strlen(path) + 1);
	const uint64_t auxv[] = { AT_PHDR, program->headers, AT_PHENT, sizeof(struct program_header),
		AT_PHNUM, program->header_count, AT_PAGESZ, PAGE, AT_BASE, interpreter->base, AT_FLAGS, 0,
		AT_ENTRY, program->entry, AT_UID, 0, AT_EUID, 0, AT_GID, 0, AT_EGID, 0, AT_SECURE, 0,
		AT_CLKTCK, 100, AT_HWCAP, cpuid(1, 0).d, AT_MINSIGSTKSZ, fpu_len + 1024, AT_RANDOM,
		push_bytes(b, random, sizeof(random)), AT_PLATFORM, push_bytes(b, "x86_64", 7), AT_EXECFN,
		program_name, library ? AT_SYSINFO_EHDR : AT_IGNORE, library, AT_NULL, 0 };

	for (unsigned i = 0; i < sizeof(auxv) / sizeof(auxv[0]); i++)
		word(b, auxv[i]);
}

/* The stack pointer to begin with; 0: there is too much. */
static uint64_t program_stack(const struct elf_image *program, const struct elf_image *interpreter,
	const char *path, char *const *argv, char *const *envp)
{
	struct builder *b = malloc(sizeof(*b));
	uint64_t argc = 0, sp;

	if (!b)
		return 0;
	while (argv[argc])
		argc++;
	b->at = STACK_END;
	b->floor = STACK_END - (stack_len() / 2 < STRINGS_MOST ? stack_len() / 2 : STRINGS_MOST);
	b->count = 0;
	b->full = region_add_at(STACK_END - stack_len(), stack_len(), REGION_READ | REGION_WRITE);
	word(b, argc);
	strings(b, argv);
	strings(b, envp);
	auxiliary(b, program, interpreter, path);
	sp = (b->at - b->count * 8) & ~15ull;
	if (b->full || copy_out((void *)sp, b->words, b->count * 8))
		sp = 0;
	free(b);
	return sp;
}

long program_open(const char *path, struct file **file)
{
	return delegate_there() ? delegate_open(path, file) : memfs_open(path, O_RDONLY, file);
}

static long cannot_open(const char *path, long err)
{
	print("%s: cannot open the program %s: error %ld%s\n", KERNEL_NAME, path, -err,
		err == -ENOENT && !delegate_there() ? ": it is not in the initrd" : "");
	return err;
}

static long load(const char *path, struct elf_image *program, struct elf_image *interpreter)
{
	struct file *file;
	long err = program_open(path, &file);

	if (err)
		return cannot_open(path, err);
	err = elf_load(file, path, false, program);
	file_put(file);
	*interpreter = (struct elf_image){ 0 };
	if (err || !program->interpreter[0])
		return err;
	err = program_open(program->interpreter, &file);
	if (err) {
		print("%s: %s needs the interpreter %s, which is not there: error %ld\n", KERNEL_NAME, path,
			program->interpreter, -err);
		return err;
	}
	err = elf_load(file, program->interpreter, true, interpreter);
	file_put(file);
	return err;
}

/* Nothing of an earlier program is left when this is called. */
static long prepare(struct frame *f, const char *path, char *const *argv, char *const *envp)
{
	struct elf_image program, interpreter;
	long err = load(path, &program, &interpreter);
	uint64_t sp = err ? 0 : program_stack(&program, &interpreter, path, argv, envp);

	if (err)
		return err;
	if (!sp) {
		print("%s: no room for the stack of %s, or its arguments are too long\n", KERNEL_NAME, path);
		return -E2BIG;
	}
	brk_start = brk_now = up(program.end);
	program_runs = true;
	*f = (struct frame){ .rip = interpreter.entry ? interpreter.entry : program.entry,
		.cs = 8,
		.ss = 16,
		.rflags = 0x202,
		.rsp = sp };
	return 0;
}

static long read_script(const char *path, char *line, size_t room)
{
	struct file *file;
	long n = program_open(path, &file);

	if (n)
		return cannot_open(path, n);
	n = file->ops->pread ? file->ops->pread(file, line, room - 1, 0) : -EACCES;
	file_put(file);
	if (n < 0)
		return cannot_open(path, n);
	line[n] = '\0';
	for (long i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = '\0';
	return line[0] == '#' && line[1] == '!';
}

static char *skip(char *s, bool blanks)
{
	while (*s && (*s == ' ' || *s == '\t') == blanks)
		s++;
	return s;
}

/* A script begins with #!INTERPRETER [ARGUMENT]: that runs, with the script's path behind. */
static long script(struct frame *f, const char *path, char *const *argv, char *const *envp)
{
	char line[256], *words[5], *s;
	long is = read_script(path, line, sizeof(line));
	unsigned n = 0, argc = 0;
	char **all;

	if (is <= 0)
		return is < 0 ? is : prepare(f, path, argv, envp);
	s = skip(line + 2, true);
	words[n++] = s;
	s = skip(s, false);
	if (*s) {
		*s++ = '\0';
		s = skip(s, true);
		if (*s)
			words[n++] = s;
	}
	words[n++] = (char *)path;
	while (argv[argc])
		argc++;
	all = malloc((argc + n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	memcpy(all, words, n * sizeof(*all));
	memcpy(all + n, argv + !!argc, (argc + 1 - !!argc) * sizeof(*all));
	is = prepare(f, words[0], all, envp);
	free(all);
	return is;
}

static void note_path(const char *path)
{
	size_t len = strlen(path);
	char *copy = malloc(len + 1);

	if (!copy)
		return;
	memcpy(copy, path, len + 1);
	if (memfs_give("/proc/self/exe", S_IFLNK | 0777, copy, len))
		free(copy);
}

static void fpu_begin(struct thread *t)
{
	preempt_disable();
	fpu_fresh(t->stack);
	t->fpu = t->stack;
	fpu_load(t->fpu);
	t->fpu_cpu = this_cpu();
	this_cpu()->fpu_owner = t;
	preempt_enable();
}

static char *default_environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "LANG=C.UTF-8", NULL };

/* The first thread becomes the program's. */
void program_start(int argc, char **argv)
{
	static char path[PATH_ROOM];
	struct frame f;

	process_id = (int)current_thread()->id;
	if (boot_parameter("exec", path, sizeof(path))) {
		argv[0] = path;
		note_path(path);
		if (script(&f, path, argv, default_environment))
			exit(127);
	} else {
		linked(&f, argc, argv);
	}
	fpu_begin(current_thread());
	irq_save();
	__asm__ volatile("movq %0, %%rsp; jmp frame_return" ::"r"(&f) : "memory");
	__builtin_unreachable();
}

/* A list of strings of the program, copied into one piece of memory; NULL and (err). */
static char **list_in(char *const *user, long *err)
{
	size_t room = STRINGS_MOST, used = 0, n = 0, most = 4096;
	char **list = malloc(most * sizeof(*list) + room), *bytes = (char *)(list + most);

	*err = list ? 0 : -ENOMEM;
	while (!*err) {
		char *string = NULL;
		long len;

		*err = user ? copy_in(&string, &user[n], sizeof(string)) : 0;
		list[n] = NULL;
		if (*err || !string)
			break;
		len = n < most - 1 ? string_in(bytes + used, string, room - used) : -E2BIG;
		*err = len < 0 ? (len == -ENAMETOOLONG ? -E2BIG : len) : 0;
		list[n++] = bytes + used;
		used += (size_t)len + 1;
	}
	if (!*err)
		return list;
	free(list);
	return NULL;
}

CALL(execve)
{
	char *path = malloc(PATH_ROOM), **argv = NULL, **envp = NULL;
	struct file *file;
	long err = path ? string_in(path, (void *)ARG1, PATH_ROOM) : -ENOMEM;

	if (err > 0 && program_name && delegate_there() && !strcmp(path, "/proc/self/exe"))
		err = string_in(path, (const char *)program_name, PATH_ROOM); /* the delegate's is another */
	if (err >= 0)
		argv = list_in((void *)ARG2, &err);
	if (argv)
		envp = list_in((void *)ARG3, &err);
	if (envp)
		err = program_open(path, &file);
	if (envp && !err)
		file_put(file);
	if (!err && (process_threads > 1 || !program_runs)) {
		print("%s: execve of %s: not while there are other threads\n", KERNEL_NAME, path);
		err = -ENOSYS;
	}
	if (!err) {
		region_remove(GUEST_PROGRAM_START, GUEST_PROGRAM_END - GUEST_PROGRAM_START);
		region_settle();
		fd_close_all(true);
		if (delegate_there())
			delegate_exec();
		signal_exec();
		note_path(path);
		current_thread()->fs = 0;
		write_msr(MSR_FS_BASE, 0);
		current_thread()->clear_tid = NULL;
		if (script(f, path, argv, envp))
			exit(127); /* there is nothing to go back to */
		fpu_begin(current_thread());
		f->vector = 0;
	}
	free(path);
	free(argv);
	free(envp);
	return err;
}
