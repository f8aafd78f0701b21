/* SPDX-License-Identifier: MIT */
/*
 * deploy.h: the contract between the file server and the programs that build and launch.
 *
 * A deployer is one process per launched instance (diverfs-fullvm ...) or per build
 * (diverfs-build). Its crash is an exit status, and adding a mode is adding a program.
 *
 * Start    PROGRAM DIR      with DIR, the instance's state directory, also as working directory;
 *                           fd 3 a connected stream socket to the daemon; stdin /dev/null; stdout and
 *                           stderr DIR/deployer.log. It leads a session of its own (setsid).
 *          PROGRAM --probe [--qemu PATH] [--kernel PATH]
 *                           prints what it can do, as key = value lines (PROBE_* below), in bounded
 *                           time, and exits with 0: usable, or DEPLOY_EXIT_FAILED: not
 *          PROGRAM --help | --version
 *
 * Files    All in DIR. The daemon writes `plan` before the start; the deployer reads it once and writes
 *          the rest. What others may read half-written is written to a temporary and renamed.
 *            plan           what to do: key = value (PLAN_* below)
 *            pid            the deployer's process id, decimal: written first of all
 *            sock           a listening Unix socket: where a daemon that was restarted finds it again
 *            lock           held (flock) as long as the deployer lives
 *            console.<n>    the console, a seglog (cache/base/seglog.h)
 *            build.log.<n>  of diverfs-build, likewise
 *            end            how it ended: key = value (END_* below); there once the machine has ended,
 *                           kept after the deployer is gone
 *            forwards       the host's ports that lead into the machine, a line each as in PLAN_FORWARD, with the ports that
 *                           were found for "auto"; an event "forward ..." tells each, before "running"
 *            out/           of diverfs-build: what the build command put into $OUT; of split modes: what the program
 *                           wrote, unpacked when it has ended (a "mark out" tells)
 *          of split modes also
 *            ros.console.<n>  the console of the regular OS, a seglog
 *            syscalls       the delegated and served calls, a table (fs/syscalls.c draws it)
 *            delegate       the policy of delegated calls; the daemon writes it, COMMAND "policy" says that it is another
 *
 * Frames   cache/base/chan.h over fd 3, or over a connection accepted on `sock`. One daemon at a time:
 *          a new connection (of the same user) takes the place of one that is dead or older.
 *          Both sides begin with HELLO. The streams are numbered in bytes from 0:
 *
 *            stdin    daemon -> deployer DATA, END. The deployer answers ACK(offset) when all before
 *                     offset was taken by the machine. At most DEPLOY_WINDOW bytes may be unacknowledged.
 *                     HELLO tells which offset the deployer expects next; DATA below it is ignored.
 *            stdout   deployer -> daemon DATA, END. The deployer keeps what the daemon has not ACKed and
 *                     sends it again, from the offset that a new daemon's HELLO names; it stops reading the
 *                     machine (back pressure) at DEPLOY_WINDOW bytes unacknowledged.
 *                     The daemon ACKs what a reader has got, so a crash of the daemon loses nothing.
 *            console  deployer -> daemon CONSOLE(offset = new end of the log); the bytes are in the files.
 *                     daemon -> deployer DATA: what is typed; at once or dropped, never acknowledged.
 *                     The console never blocks the machine.
 *
 *          While nobody has opened stdout, TEE is 1 (its first value is PLAN_TEE): the deployer also appends stdout to
 *          the console's log, so that nothing stalls unseen. It goes on sending DATA; the daemon then keeps the last
 *          DEPLOY_WINDOW bytes for a reader who comes late, and ACKs what it drops.
 *          Without a daemon the deployer drops in its place: DATA may then begin after the offset that HELLO asked for.
 *
 *          A HELLO of the daemon that names an offset below the first byte that is kept means that byte; the daemon believes
 *          the offset of the DATA that comes first.
 *
 *          A restarted deployer does not exist: when it dies its machine dies (PR_SET_PDEATHSIG).
 *
 * Life     The deployer outlives a crash of the daemon: when the connection is lost without BYE it waits
 *          DEPLOY_ORPHAN_MS for a new one and then stops the machine and exits.
 *          A daemon that ends in good order sends COMMAND "stop" (or BYE with keep = yes).
 *          After the machine has ended the deployer writes `end`, sends EXIT, and stays until all of stdout
 *          is acknowledged, or the daemon says BYE, or the orphan time is over.
 *          kill -9 of the deployer kills the machine at once; `end` is then missing, which says so.
 *
 * Trust    The deployer believes plan. It believes nothing that comes from the machine.
 *          It runs as the user of the mount, or as an unprivileged user when root is.
 */
#ifndef DEPLOYERS_DEPLOY_H
#define DEPLOYERS_DEPLOY_H

#include <stdint.h>

#define DEPLOY_REV       2              /* raise on any change; both sides refuse another value in HELLO */
#define DEPLOY_FD        3
#define DEPLOY_WINDOW    (1u << 20)     /* bytes unacknowledged, each direction */
#define DEPLOY_ORPHAN_MS (10 * 60 * 1000)
#define DEPLOY_STOP_MS   5000           /* from "stop" to the kill */

/* Exit status of the program itself; the machine's is in `end`. */
enum deploy_exit {
	DEPLOY_EXIT_OK = 0,       /* the machine ran and has ended, or the build succeeded */
	DEPLOY_EXIT_FAILED = 125, /* could not launch, build failed, lost its machine: `end` says why */
	DEPLOY_EXIT_USAGE = 64,
};

enum deploy_stream { DEPLOY_STDIN = 0, DEPLOY_STDOUT = 1, DEPLOY_CONSOLE = 2, DEPLOY_ROS = 3 };

/* Frame types. "D" the daemon sends it, "M" the deployer (machine) does. Unknown types are ignored. */
enum deploy_frame {
	/* D: offset = first byte of stdout wanted.  M: offset = next byte of stdin expected.
	 * Payload: struct deploy_hello. */
	FRAME_HELLO = 1,
	FRAME_DATA = 2,    /* D stdin, console; M stdout: payload = bytes at offset */
	FRAME_END = 3,     /* D stdin, M stdout: no byte follows offset */
	FRAME_ACK = 4,     /* D stdout, M stdin: all bytes before offset are taken */
	FRAME_CONSOLE = 5, /* M: offset = end of the console's or build's log; stream DEPLOY_ROS: of the ROS's console */
	FRAME_STATE = 6,   /* M: payload = one of DEPLOY_STATES as text */
	FRAME_EVENT = 7,   /* M: payload = a line for `events`, without newline */
	FRAME_COMMAND = 8, /* D: payload = a word and arguments as text; offset = a number that the answer repeats */
	FRAME_ANSWER = 9,  /* M: offset = the command's number; payload = int32 error (0 or -errno), then words */
	FRAME_EXIT = 10,   /* M: the machine has ended; payload = the text of `end` */
	FRAME_TEE = 12,    /* D: offset = 1: copy stdout to the console's log too; 0: do not */
	FRAME_BYE = 11,    /* D: the daemon needs nothing more: exit when the machine has ended; payload "keep"
	                    * : it is no orphan, let it run without a daemon */
};

struct deploy_hello {
	uint32_t rev;
	uint32_t pid;          /* of the sender */
	uint64_t console_end;  /* M: end of the log; D: 0 */
	uint64_t stdin_acked;  /* M: bytes of stdin taken by the machine; D: 0 */
	uint32_t stdin_ended;  /* M: 1 when END was received; D: 0 */
	uint32_t pad;
};
_Static_assert(sizeof(struct deploy_hello) == 32, "both ends of a socket rely on it");

/* FRAME_STATE of a mode:  launching -> running <-> paused -> exited | failed
 * and of a build:         building -> built | failed
 * "running" is said when the machine executes guest code (QMP says running), not before.
 * "failed" (could not launch, lost the machine) and "exited" come just before FRAME_EXIT. */
#define DEPLOY_STATES "launching", "running", "paused", "exited", "failed", "building", "built"

/* FRAME_COMMAND words, as users write them to ctl:
 *   stop     ask the guest (control port, then ACPI), kill after DEPLOY_STOP_MS
 *   kill     at once
 *   reset    as the button;  pause, resume
 *   resize COLUMNS ROWS      the terminal's size, told to the guest
 *   reset-hrt                split modes: the kernel begins anew under the ROS, which lives on
 *   policy                   split modes: DIR/delegate is another
 * Modes may take more; -EOPNOTSUPP says that this one does not. diverfs-build takes stop and kill. */

/* `plan`: keys of every mode. Paths are absolute. Sizes are plain bytes. */
#define PLAN_NAME    "name"    /* the instance's name, for messages */
#define PLAN_MODE    "mode"
#define PLAN_IMAGE   "image"   /* the boot image */
#define PLAN_INITRD  "initrd"  /* may be missing */
#define PLAN_CMDLINE "cmdline" /* the kernel's own parameters; may be missing */
#define PLAN_ARG     "arg"     /* an argument of the application; repeated, in order (guest.h joins them) */
#define PLAN_MEMORY  "memory"
#define PLAN_CPUS    "cpus"
#define PLAN_NET     "net"     /* none, user, or restricted (user, but nothing goes out); none if missing */
#define PLAN_FORWARD "forward" /* PROTOCOL:HOST:PORT->PORT (cache/base/forward.h); repeated; needs net */
#define PLAN_DISK    "disk"    /* a file or block device, taken as it is (raw); may be missing */
#define PLAN_DISK_WRITE "disk_write" /* yes or no; no if missing */
#define PLAN_MACHINE "machine" /* auto, microvm, pc */
#define PLAN_ACCEL   "accel"   /* kvm, tcg: the daemon has resolved auto */
#define PLAN_CONSOLE "console" /* serial */
#define PLAN_STREAMS "streams" /* ports (stdin and stdout ports exist) or console (stdout is the console) */
#define PLAN_TEE     "tee"     /* yes or no: see TEE above; no if missing */
#define PLAN_TIMEOUT "timeout" /* seconds; 0 none */
#define PLAN_QEMU    "qemu"    /* the QEMU program, absolute or found in PATH */
/* of split modes */
#define PLAN_ROS         "ros"         /* its NAME:TAG, for who reads the plan again */
#define PLAN_ROS_IMAGE   "ros_image"   /* the ROS's bzImage, initrd, command line (mem= and maxcpus= are added) */
#define PLAN_ROS_INITRD  "ros_initrd"
#define PLAN_ROS_CMDLINE "ros_cmdline"
#define PLAN_ROS_MEMORY  "ros_memory"  /* beside PLAN_MEMORY, which is the kernel's; likewise the CPUs */
#define PLAN_ROS_CPUS    "ros_cpus"
#define PLAN_EXEC        "exec"        /* path of a Linux program in the root; may be missing */
#define PLAN_ROOT        "root"        /* directory that becomes the program's root; may be missing */
#define PLAN_FILE        "file"        /* a file or tree of the host that the root has too; repeated */
#define PLAN_ROOTS       "roots"       /* directory in which packed roots are kept for the next time */
#define PLAN_ORPHAN  "orphan"  /* seconds to wait for a daemon; may be missing: DEPLOY_ORPHAN_MS */
/* `plan` of diverfs-build */
#define PLAN_BUILD   "build"   /* the command, for /bin/sh -c, run in the copy of the kernel's sources */
#define PLAN_KERNEL  "kernel"  /* directory: the kernel's sources; shown at /build/kernel, writable copy */
#define PLAN_APP     "app"     /* directory: the application; shown read-only at /build/app = $APP; in a root, at /src */
#define PLAN_OUT     "out"     /* directory, made empty: what it leaves in $OUT = /build/out comes here */
#define PLAN_TOOL    "tool"    /* a program that must exist before the build starts; repeated */
#define PLAN_BWRAP   "bwrap"   /* the bubblewrap program */
#define PLAN_LIMIT_MEMORY "limit_memory" /* bytes per process */
#define PLAN_LIMIT_DISK   "limit_disk"   /* bytes of what it may write */
#define PLAN_LIMIT_PROCS  "limit_procs"

/* `end` and FRAME_EXIT */
#define END_STATE  "state"  /* exited or failed */
#define END_STATUS "status" /* 0..255 as `wait` shows it; see below */
#define END_HOW    "how"    /* guest (it told its status), power-off, reset, panic, killed, timeout, lost, build; split modes: ros-panic, ros-power-off, ros-agent */
#define END_ERROR  "error"  /* words: what, why, what to do; missing when nothing went wrong */
#define END_ERRNO  "errno"  /* a positive errno that fits: ENOEXEC (unknown image), ENOENT (no QEMU), ECHILD ...; may be missing */
#define END_TIME   "time"   /* seconds since 1970, with fraction */
#define END_CPU    "cpu"    /* seconds of CPU time that the machine took */
#define END_MEMORY "memory" /* its largest resident size, bytes */
/* Statuses that the guest did not tell, after env(1), timeout(1) and sh(1):
 *   0 powered off   124 timeout   125 diverfs failed (launch, lost machine)   134 guest panic, or reset
 *   (triple fault) without a status   137 killed */

/* --probe prints these */
#define PROBE_AVAILABLE "available" /* yes or no */
#define PROBE_WITH      "with"      /* accelerators that work, best first: "kvm tcg" */
#define PROBE_VERSION   "version"   /* of the VMM */
#define PROBE_WHY       "why"       /* why not, and what to do; or why kvm is not used */

/* `timeline` marks: FRAME_EVENT payloads "mark <name> <realtime ns>" go there, not to `events`:
 * root (packed), launch (VMM started), ros (its agent is there), boot (guest runs), console (first byte), stdout (first byte), out
 * (unpacked), exit. */

#endif
