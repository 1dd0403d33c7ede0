/* Waits for the pod's end, and reaps what its processes leave where they share a pid namespace. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
    struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGCHLD, &on_child, 0);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    for (;;) pause();
}
