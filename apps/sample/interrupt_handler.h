// Another meaning of Ctrl-C, until the end of a scope.
#pragma once

#include <csignal>

namespace masque {

class InterruptHandler {
 public:
  // flags: of sigaction; SA_RESTART lets reads that wait go on.
  InterruptHandler(void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(SIGINT, &action, &before_);
  }
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;
  ~InterruptHandler() { sigaction(SIGINT, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

}  // namespace masque
