#include "apps/sample/line_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>

#include "apps/sample/interrupt_handler.h"
#include "apps/terminal.h"

#if MASQUE_LIBEDIT
#include <histedit.h>
#endif

namespace masque {
namespace {

constexpr const char* kPrompt = "> ";

class PlainReader : public LineReader {
 public:
  PlainReader() = default;
  PlainReader(const PlainReader&) = delete;
  PlainReader& operator=(const PlainReader&) = delete;
  ~PlainReader() override { std::free(line_); }

  std::optional<std::string> read() override {
    if (isatty(STDIN_FILENO) == 0) return next();
    const InterruptHandler ends_reads([](int) {}, 0);
    for (;;) {
      write_to(STDERR_FILENO, kPrompt);
      errno = 0;
      std::optional<std::string> line = next();
      if (line || errno != EINTR) return line;
      std::clearerr(stdin);
      write_to(STDERR_FILENO, "\n");
    }
  }

 private:
  std::optional<std::string> next() {
    const ssize_t length = getline(&line_, &size_, stdin);
    if (length < 0) return std::nullopt;
    std::string line(line_, static_cast<std::size_t>(length));
    if (line.ends_with('\n')) line.pop_back();
    return line;
  }

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
    for (;;) {
      int count = 0;
      errno = 0;
      const char* const typed = el_gets(editor_, &count);
      if (typed == nullptr) {
        const bool given_up = errno == EINTR;  // by Ctrl-C
        write_to(STDOUT_FILENO, "\n");
        if (given_up) continue;
        return std::nullopt;
      }
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

  History* history_;
  EditLine* editor_;
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
