#include "apps/own_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "apps/common.h"
#include "apps/data_fetch.h"
#include "kernels/backend.h"

namespace masque {

Corpus read_data(const std::filesystem::path& path, const std::string& tokenizer) {
  constexpr std::size_t kMostTold = 4;
  Corpus corpus = read_corpus(path, tokenizer);
  if (corpus.files.empty()) return corpus;
  const std::string folder = path.string();
  const std::size_t files = corpus.files.size(), left_out = corpus.left_out.size();
  fmt::print(stderr, "{}: {} file{}, {} bytes\n", folder, files, files == 1 ? "" : "s",
             grouped(static_cast<std::int64_t>(corpus.text.size())));
  const std::size_t told = left_out <= kMostTold ? left_out : kMostTold - 1;
  for (std::size_t i = 0; i < told; ++i) {
    fmt::print(stderr, "note: left out: {} {}\n", corpus.left_out[i].name, corpus.left_out[i].why);
  }
  if (told < left_out) {
    fmt::print(stderr, "note: left out: {} files more; masque data info {} lists them\n",
               left_out - told, folder);
  }
  return corpus;
}

void require_outside(const std::string& folder, const std::filesystem::path& data) {
  std::error_code unknown;
  if (!std::filesystem::is_directory(data, unknown)) return;
  const std::filesystem::path inside =
      std::filesystem::weakly_canonical(folder, unknown)
          .lexically_relative(std::filesystem::canonical(data, unknown));
  if (inside.empty() || *inside.begin() == "..") return;
  throw InputError(
      fmt::format("{} lies in the folder of its text, {}, and would become text: name another",
                  folder, data.string()));
}

std::string sha256_of_data(const std::filesystem::path& path, const std::string& tokenizer) {
  std::error_code unknown;
  if (!std::filesystem::is_directory(path, unknown)) return sha256_of(path);
  return sha256_of_text(read_corpus(path, tokenizer).text);
}

}  // namespace masque
