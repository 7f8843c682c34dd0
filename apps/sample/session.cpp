#include "apps/sample/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "apps/flags.h"
#include "apps/report/format.h"
#include "apps/sample/display.h"
#include "apps/sample/interrupt_handler.h"
#include "apps/sample/line_reader.h"
#include "apps/sample/page.h"
#include "models/spelling.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr const char* kHelp =
    "A line is a prompt to go on from; an empty line begins from nothing. In it \\n is a line "
    "break\n"
    "and \\\\ a backslash; // begins one with a slash.\n"
    "  /fill TEXT      fills the blanks (_) of a text; llada only\n"
    "  /again          writes once more, with the next seed\n"
    "  /set            the settings\n"
    "  /NAME VALUE     changes one: they are called as the flags, /temperature 0.8\n"
    "  /reset          the settings as they were at first\n"
    "  /watch on|off   whether to show each step\n"
    "  /html FILE      what was written last, as a page to step through\n"
    "  /quit           ends, as Ctrl-D does; Ctrl-C stops what is being written\n";
const std::vector<std::string> kCommands = {"/fill",  "/again", "/set",  "/reset",
                                            "/watch", "/html",  "/help", "/quit"};

volatile std::sig_atomic_t interrupted = 0;

std::string unescape(const std::string& line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char next = i + 1 < line.size() ? line[i + 1] : '\0';
    const bool escape = line[i] == '\\' && (next == 'n' || next == '\\');
    text += !escape ? line[i] : next == 'n' ? '\n' : '\\';
    if (escape) ++i;
  }
  return text;
}

// The first word, and what follows it without blanks at its ends.
std::pair<std::string, std::string> split(const std::string& text) {
  constexpr const char* kBlanks = " \t\r";
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::size_t begin = std::min(text.find_first_not_of(kBlanks, end), text.size());
  std::string rest = text.substr(begin);
  rest.erase(rest.find_last_not_of(kBlanks) + 1);
  return {text.substr(0, end), rest};
}

void require_argument(const std::string& command, const std::string& argument, const char* what) {
  if (argument.empty()) throw InputError(fmt::format("/{}: give {}", command, what));
}

}  // namespace

Session::Session(Run& run, SampleRequest request, std::optional<bool> watch)
    : run_(run),
      causal_(run.config.model.objective == ObjectiveKind::ar),
      typed_(isatty(STDIN_FILENO) == 1),
      at_first_(request),
      request_(std::move(request)),
      watch_(watch) {
  if (causal_) check_causal_request(request_, run.folder.path().string());
}

void Session::take_lines() {
  std::optional<InterruptHandler> stops_writing;
  if (typed_) {
    stops_writing.emplace([](int) { interrupted = 1; }, SA_RESTART);
    fmt::print(stderr, "{}: {}, context {}. Type a prompt, or /help; Ctrl-D ends.\n",
               run_.folder.path().string(),
               report::model_name(name_of(run_.config.model.objective)), run_.config.model.context);
  }
  const std::unique_ptr<LineReader> reader = make_line_reader();
  for (bool more = true; more;) {
    const std::optional<std::string> line = reader->read();
    if (!line) return;
    try {
      more = take(*line);
    } catch (const Stopped& stopped) {
      fmt::print(stderr, "stopped after step {}\n", stopped.step);
    } catch (const std::exception& error) {
      fmt::print(stderr, "{}\n", error.what());
    }
  }
}

bool Session::take(const std::string& line) {
  if (!line.starts_with('/') || line.starts_with("//")) {
    write(unescape(line.starts_with('/') ? line.substr(1) : line), "");
    return true;
  }
  const auto [command, argument] = split(line.substr(1));
  return obey(command, argument);
}

bool Session::obey(const std::string& command, const std::string& argument) {
  if (command == "quit") return false;
  if (command == "help") {
    fmt::print(stderr, "{}", kHelp);
  } else if (command == "fill") {
    require_argument(command, argument, "a text with blanks (_)");
    write("", unescape(argument));
  } else if (command == "again") {
    again();
  } else if (command == "reset") {
    const std::string prompt = request_.prompt, text_template = request_.text_template;
    request_ = at_first_;
    request_.prompt = prompt;
    request_.text_template = text_template;
    show_settings();
  } else if (command == "watch") {
    watch(argument);
  } else if (command == "html") {
    require_argument(command, argument, "a file");
    write_html(argument);
  } else if (command == "set") {
    const auto [name, value] = split(argument);
    if (argument.empty()) {
      show_settings();
    } else {
      set(name, value);
    }
  } else {
    set(command, argument);
  }
  return true;
}

void Session::set(const std::string& name, const std::string& value) {
  SampleRequest changed = request_;
  // Those of the strategy before.
  if (name == "strategy") changed.threshold = changed.remask_share = std::nullopt;
  CLI::App app;
  app.set_help_flag();
  add_settings(app, changed);
  app.add_option("--seed", changed.draw.seed);
  refuse_negatives(app);
  const std::string flag = fmt::format("--{}", name);
  const CLI::Option* const setting = app.get_option_no_throw(flag);
  if (setting == nullptr) {
    std::vector<std::string> names = kCommands;
    for (const CLI::Option* option : app.get_options())
      names.push_back("/" + option->get_name().substr(2));
    throw InputError(fmt::format("/{}: {}/help lists commands", name, guess("/" + name, names)));
  }
  require_argument(name, value, "a value");
  try {
    app.parse(std::vector<std::string>{value, flag});
  } catch (const CLI::ParseError&) {
    throw InputError(fmt::format("/{} {}: give {}", name, value, kind_of(*setting)));
  }
  check_request(changed);
  // And against the run, with a text that any has.
  SampleRequest trial = changed;
  trial.prompt = encode_utf8(std::u32string(1, run_.tokenizer.symbols().front()));
  trial.text_template.clear();
  make_plan(trial, run_);
  request_ = changed;
}

void Session::show_settings() const {
  for (const auto& [name, value] : settings_of(request_, causal_)) {
    fmt::print(stderr, "  {:<13} {}\n", name, value);
  }
}

void Session::watch(const std::string& value) {
  if (value != "on" && value != "off") {
    throw InputError(fmt::format("/watch {}: give on or off", value));
  }
  watch_ = value == "on";
}

void Session::again() {
  if (!any_) throw InputError("/again: nothing was written yet; give a prompt");
  ++request_.draw.seed;
  write(request_.prompt, request_.text_template);
}

void Session::write_html(const std::string& file) const {
  if (!last_)
    throw InputError(fmt::format("/html {}: nothing was written yet; give a prompt", file));
  check_page_file(file);
  write_page(file, run_, last_->request, last_->samples, last_->recording);
  fmt::print(stderr, "{}\n", file);
}

void Session::write(const std::string& prompt, const std::string& text_template) {
  SampleRequest request = request_;
  request.prompt = prompt;
  request.text_template = text_template;
  const SamplePlan plan = make_plan(request, run_);
  const std::string note = note_on(plan, run_);
  if (!note.empty() && plan.T != noted_length_) fmt::print(stderr, "{}\n", note);
  noted_length_ = plan.T;
  if (any_ && !typed_) fmt::print("{}\n", kRule);
  any_ = true;
  request_ = request;
  Recording recording(plan.start, plan.n);
  interrupted = 0;
  Samples samples = write_samples(plan, run_, choose_showing(watch_, false), false, &recording,
                                  [] { return interrupted != 0; });
  fmt::print(stderr, "seed {}, {}\n{}", request.draw.seed, samples.summary(), typed_ ? "\n" : "");
  last_ = Written{request, std::move(samples), std::move(recording)};
}

}  // namespace masque
