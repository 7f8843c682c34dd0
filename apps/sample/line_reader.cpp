#include "apps/sample/line_reader.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <utility>

#include "apps/sample/interrupt_handler.h"
#include "apps/terminal.h"

#if MASQUE_LIBEDIT
#include <histedit.h>
#endif

namespace masque {
namespace {

constexpr const char* kPrompt = "> ";

// Ctrl-C gives up the line that is typed, whenever it comes: a read that only a signal ends would
// miss one that comes just before it. One at a time.
class GivesUp {
 public:
  GivesUp() { given_up = eventfd(0, EFD_CLOEXEC); }
  GivesUp(const GivesUp&) = delete;
  GivesUp& operator=(const GivesUp&) = delete;
  ~GivesUp() { close(given_up); }

  // What SIGINT does while a line is read.
  static void note(int) {
    const int before = errno;
    eventfd_write(given_up, 1);
    errno = before;
  }
  // Waits for input, or its end; true where Ctrl-C came first.
  static bool before_input() {
    std::array<pollfd, 2> waits{{{given_up, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    while (poll(waits.data(), waits.size(), -1) < 0 && errno == EINTR) {
    }
    if ((waits[0].revents & POLLIN) == 0) return false;
    eventfd_t times = 0;
    eventfd_read(given_up, &times);
    return true;
  }

 private:
  static inline volatile std::sig_atomic_t given_up = -1;  // eventfd
};

class PlainReader : public LineReader {
 public:
  PlainReader() = default;
  PlainReader(const PlainReader&) = delete;
  PlainReader& operator=(const PlainReader&) = delete;
  ~PlainReader() override { std::free(line_); }

  std::optional<std::string> read() override {
    if (isatty(STDIN_FILENO) == 0) return next();
    const InterruptHandler handler(GivesUp::note, SA_RESTART);
    write_to(STDERR_FILENO, kPrompt);
    while (GivesUp::before_input()) write_to(STDERR_FILENO, fmt::format("\n{}", kPrompt));
    return next();
  }

 private:
  std::optional<std::string> next() {
    const ssize_t length = getline(&line_, &size_, stdin);
    if (length < 0) return std::nullopt;
    std::string line(line_, static_cast<std::size_t>(length));
    if (line.ends_with('\n')) line.pop_back();
    return line;
  }

  GivesUp gives_up_;
  char* line_ = nullptr;
  std::size_t size_ = 0;
};

#if MASQUE_LIBEDIT
class Editor : public LineReader {
 public:
  Editor() : history_(history_init()), editor_(el_init("masque", stdin, stdout, stderr)) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
    HistEvent event;
    history(history_, &event, H_SETSIZE, 1000);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(
        editor_, EL_PROMPT, +[](EditLine*) { return const_cast<char*>(kPrompt); });
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_SIGNAL, 1);
    el_set(editor_, EL_GETCFN, next_key);
    el_set(editor_, EL_CLIENTDATA, this);
    bind("^R", "em-inc-search-prev");
    bind("\033[3~", "ed-delete-next-char");
    bind("\033[1;5C", "em-next-word");
    bind("\033[1;5D", "ed-prev-word");
    el_source(editor_, nullptr);  // ~/.editrc
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;
  ~Editor() override {
    el_end(editor_);
    history_end(history_);
  }

  std::optional<std::string> read() override {
    const InterruptHandler handler(GivesUp::note, SA_RESTART);
    for (;;) {
      int count = 0;
      el_set(editor_, EL_PREP_TERM, 1);  // before the prompt, so that every key after it is seen
      const char* const typed = el_gets(editor_, &count);
      const bool given_up = std::exchange(given_up_, false);
      if (given_up || typed == nullptr) write_to(STDOUT_FILENO, "\n");
      if (given_up) continue;
      if (typed == nullptr) return std::nullopt;
      std::string line(typed);
      if (line.ends_with('\n')) line.pop_back();
      HistEvent event;
      // libedit takes a space from the end of what it brings back.
      if (!line.empty()) history(history_, &event, H_ENTER, fmt::format("{} ", line).c_str());
      return line;
    }
  }

 private:
  void bind(const char* key, const char* command) {
    el_set(editor_, EL_BIND, key, command, nullptr);
  }

  // A character as typed, in UTF-8. 0 at the end of input; −1 where the line is given up, or cannot
  // be read.
  static int next_key(EditLine* editor, wchar_t* key) {
    std::mbstate_t state{};
    for (;;) {
      if (GivesUp::before_input()) {
        Editor* self = nullptr;
        el_get(editor, EL_CLIENTDATA, &self);
        self->given_up_ = true;
        return -1;
      }
      char byte = 0;
      const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return static_cast<int>(count);
      const std::size_t length = std::mbrtowc(key, &byte, 1, &state);
      if (length == static_cast<std::size_t>(-2)) continue;  // more bytes to come
      if (length == static_cast<std::size_t>(-1)) *key = L'\uFFFD';
      return 1;
    }
  }

  GivesUp gives_up_;
  History* history_;
  EditLine* editor_;
  bool given_up_ = false;  // the line, by Ctrl-C
};
#endif

}  // namespace

std::unique_ptr<LineReader> make_line_reader() {
#if MASQUE_LIBEDIT
  if (is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO)) return std::make_unique<Editor>();
#endif
  return std::make_unique<PlainReader>();
}

}  // namespace masque
