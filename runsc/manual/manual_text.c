/* SPDX-License-Identifier: Apache-2.0
 * runsc/manual/manual_text.c: the prose of the manual pages.
 */
#include <string.h>

#include "runsc/manual/manual.h"

static const struct manual_text g_texts[] = {
    {"",
     "runsc runs programs that are not trusted. The kernel that they see is an ordinary process, the sentry; "
     "the host's kernel hears of none of "
     "their system calls. It is an OCI runtime, so that docker, podman, containerd and buildah drive it in "
     "place of runc, and a command of its "
     "own: runsc do runs a program at once.\n\n"
     "Options stand before the command, those of the command after it. Each may be written --name value, "
     "--name=value or -name value; options "
     "of one letter may be joined.\n\n"
     "Where a wall of the sandbox cannot be put up, runsc fails; with --zero-privilege it runs with those "
     "that are left. runsc doctor tells "
     "which stand.",
     "0 for success, 1 for failure, 3 for an unknown command; see the pages of do, run and exec for theirs.",
     "sudo runsc do uname -a\nsudo runsc install && sudo systemctl reload docker\ndocker run --rm --runtime "
     "runsc debian uname -a"},
    {"do",
     "Runs a command in a sandbox whose root is the host's, read-only, under an overlay in memory: the "
     "command sees the host's files as its "
     "caller could read them, and what it writes is gone afterwards. Of the caller's environment it gets "
     "TERM, LANG and LC_*.",
     "That of the command; 128 and the signal's number if a signal ended it; 127 if it was not found, 126 if "
     "it could not be executed, 125 if "
     "the sandbox failed.",
     "runsc do --rootfs ./image -- sh -c 'rm -rf / || true'"},
    {"run",
     "Makes a container from a bundle (a directory with a config.json), starts it and, unless detached, "
     "stays until it ends, carrying its "
     "terminal and handing signals on; then the container is deleted.",
     "That of the container's process; 128 and the signal's number if a signal ended it; 1 if it could not "
     "be started.",
     "runsc run --bundle ./bundle one"},
    {"create",
     "Makes a container from a bundle: everything up to the program's first instruction. The program is "
     "looked up and loaded here, so that a "
     "missing one is found here. Standard input, output and error of this call become the container's, "
     "unless process.terminal is set: then "
     "a terminal is made, and its master is sent to the console socket.\n\n"
     "A process of the host stands for the container: its id goes to the pid file, it is in the container's "
     "control groups and namespaces, it "
     "ends as the container's process ends, and whoever kills it kills the container.\n\n"
     "A container that joins namespaces of another one of runsc's by path, or that a container manager's "
     "annotations put into a pod, runs in "
     "that one's sandbox.",
     NULL, "runsc create --bundle ./bundle --pid-file pid one\nrunsc start one"},
    {"start", "Lets a created container's process run.", NULL, NULL},
    {"state",
     "Prints a container's state as JSON: ociVersion, id, pid, status (creating, created, running, paused, "
     "stopped), bundle, annotations.",
     NULL, NULL},
    {"kill",
     "Sends a signal, by number or name, to a container's first process, as from outside of its process "
     "namespace: the container cannot be "
     "immune to it.",
     NULL, "runsc kill one TERM"},
    {"delete",
     "Removes a container that has ended or was never started, with all that belongs to it on the host.",
     NULL, NULL},
    {"exec",
     "Starts a further process in a container: as a process document says, or as the container's own with "
     "what the options change.",
     "That of the process, unless detached; 255 if it could not be started.",
     "runsc exec --user 1000:1000 --env A=b one id"},
    {"events",
     "Shows what a container uses, as its control groups on the host tell, one JSON object a line; and a "
     "line for each process that was killed "
     "for want of memory. Ends with the container.",
     NULL, "runsc events --stats one"},
    {"list", "Lists the containers below the root directory.", NULL, NULL},
    {"ps",
     "Shows the processes of the host that stand for a container and for what was started in it by exec, as "
     "ps(1) with the given options "
     "(default -ef) shows them.",
     NULL, NULL},
    {"pause", "Stops all processes of a container between two instructions.", NULL, NULL},
    {"resume", "Lets a paused container go on.", NULL, NULL},
    {"wait", "Waits until a container has ended and prints its exit status as JSON.", NULL, NULL},
    {"update",
     "Changes limits of a container's control groups on the host: from a LinuxResources document or from the "
     "options. What is zero or not given "
     "stays as it is.",
     NULL, "runsc update --memory 67108864 one"},
    {"spec", "Writes a config.json that runs sh, to begin with.", NULL, NULL},
    {"features", "Prints what this runtime supports, as JSON (runtime-spec features.md).", NULL, NULL},
    {"doctor",
     "Starts an empty sandbox on each platform and shows which walls stand on this host, which platforms "
     "work and which facilities of the host "
     "are there; for each that is not: why, and what would bring it.",
     "0 if all walls stand, else 1.", NULL},
    {"install",
     "Enters this program as a runtime into docker's daemon.json, into a file of its own below podman's "
     "containers.conf.d, and, as a marked block, "
     "into containerd's config.toml. What else is there stays. Arguments after -- are given with every call "
     "(docker only).",
     NULL, "runsc install --client docker -- --platform=ptrace"},
    {"uninstall", "Takes out what install has entered.", NULL, NULL},
    {"version", "Shows the version of runsc and of the OCI runtime specification.", NULL, NULL},
    {"help", "Shows the commands, or the options of one.", NULL, NULL},
};

const struct manual_text *manual_text(const char *command) {
    for (size_t i = 0; i < ARRAY_SIZE(g_texts); i++)
        if (strcmp(g_texts[i].command, command) == 0)
            return &g_texts[i];
    return NULL;
}
