// masque data info: what a text is, and what a model will see of it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace masque {

struct InfoOptions {
  std::int64_t context = 128;
  double train_fraction = 0.8, val_fraction = 0.1;
  std::uint64_t seed = 1;  // of the masks
};

struct SplitInfo {
  std::string name;
  std::int64_t tokens = 0;
  std::int64_t sequences = 0;            // of `context`, an epoch; 0: shorter than one
  std::int64_t characters = 0;           // distinct
  std::int64_t characters_in_train = 0;  // of those
  std::int64_t tokens_in_train = 0;      // whose character the train split has
  std::string unseen;                    // characters that the train split lacks
};

struct MaskedPassage {
  double t = 0;
  std::string text;  // "░" where masked
};

struct DataInfo {
  std::string file;
  std::int64_t bytes = 0, characters = 0, lines = 0;
  std::vector<std::string> vocabulary;   // characters, ascending, without the special tokens
  std::vector<std::int64_t> counts;      // of each
  double unigram_nats = 0;               // −Σ p log p of the whole text
  std::array<SplitInfo, 3> splits;       // train, val, test
  std::vector<std::string> sample;       // the first characters …
  std::vector<std::int32_t> sample_ids;  // … and their ids
  std::vector<MaskedPassage> passages;   // the same passage at each t
};

// InputError as read_text and split_tokens, or for a context below 1.
DataInfo data_info(const std::filesystem::path& file, const InfoOptions& options);
// To stdout: for a reader, and as one JSON object.
void print_info(const DataInfo& info, const InfoOptions& options);
void print_info_json(const DataInfo& info, const InfoOptions& options);

}  // namespace masque
