/* Holds a pod's namespaces open: collects orphans, ends when it is told to. */
#include <signal.h>
#include <sys/wait.h>

int main(void) {
  sigset_t set;
  int signal_number;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  /* Blocked and waited for: nothing runs in a handler, and no signal is lost. */
  sigprocmask(SIG_BLOCK, &set, 0);
  for (;;) {
    if (sigwait(&set, &signal_number) != 0) continue;
    if (signal_number != SIGCHLD) return 0;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
  }
}
