// A process may end as soon as it has a team: this one many times, each time as a process of its own.
#include "../src/schedule.h"

#include <ATen/Parallel.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

extern char** environ;

int main(int count, char** arguments) {
  if (count > 1) {
    // Far beyond what this takes: a process that hangs is ended.
    alarm(60);
    at::set_num_threads(2);
    new detco::Team(2);
    // LibTorch takes down what members set up.
    std::exit(0);
  }
  constexpr int kProcesses = 20;
  int hung = 0;
  for (int i = 0; i < kProcesses; ++i) {
    char child[] = "child";
    char* const command[] = {arguments[0], child, nullptr};
    pid_t process = 0;
    int status = -1;
    if (posix_spawn(&process, arguments[0], nullptr, nullptr, command, environ) != 0) return 1;
    waitpid(process, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++hung;
  }
  std::printf("%s: of %d processes that end with a team just made %d did not end well\n", hung == 0 ? "ok" : "FAIL", kProcesses, hung);
  return hung == 0 ? 0 : 1;
}
