// masque data info: what a text is, and what a model will see of it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/corpus.h"
#include "models/tokenizer.h"

namespace masque {

struct InfoOptions {
  std::string tokenizer = "char";
  std::int64_t context = 128;
  double train_fraction = 0.8, val_fraction = 0.1;
  std::uint64_t seed = 1;  // of the masks
};

struct SplitInfo {
  std::string name;
  std::int64_t tokens = 0;
  std::int64_t sequences = 0;         // of `context`, an epoch; 0: shorter than one
  std::int64_t symbols = 0;           // distinct characters, or bytes
  std::int64_t symbols_in_train = 0;  // of those
  std::int64_t tokens_in_train = 0;   // whose symbol the train split has
  std::vector<std::int32_t> unseen;   // those that the train split lacks
};

struct MaskedPassage {
  double t = 0;
  std::string text;  // "░" where masked
};

struct DataInfo {
  std::string file;  // or folder
  std::vector<Corpus::File> files;
  std::vector<Corpus::LeftOut> left_out;
  Tokenizer tokenizer = Tokenizer::of_bytes();
  std::int64_t bytes = 0, tokens = 0, lines = 0;
  std::vector<std::int64_t> counts;      // of each symbol of the tokenizer
  double unigram_nats = 0;               // −Σ p log p of the whole text
  std::array<SplitInfo, 3> splits;       // train, val, test
  std::vector<std::int32_t> sample_ids;  // of the first tokens
  std::vector<MaskedPassage> passages;   // the same passage at each t
};

// file: or folder. InputError as read_corpus and split_tokens, or for a context below 1.
DataInfo data_info(const std::filesystem::path& file, const InfoOptions& options);
// To stdout: for a reader, and as one JSON object.
void print_info(const DataInfo& info, const InfoOptions& options);
void print_info_json(const DataInfo& info, const InfoOptions& options);

}  // namespace masque
