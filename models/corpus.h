// Text to train on and to measure: a file, or the files of a folder joined.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace masque {

// The file or folder as given, then in $MASQUE_DATA_DIR, ./data, ../shared/data. InputError listing
// where it looked.
std::filesystem::path find_data(const std::string& name);

// All of a file of UTF-8. InputError where missing, empty, a folder or not UTF-8, naming the byte.
std::string read_text(const std::filesystem::path& file);

// Between two files of a folder, whatever they end and begin with.
inline constexpr const char* kSeparator = "\n\n";

struct Corpus {
  std::string text;
  // Of a folder: its files and those of the folders in it, by their names relative to it, in order.
  struct File {
    std::string name;
    std::int64_t bytes = 0;
  };
  std::vector<File> files;
  struct LeftOut {
    std::string name, why;  // "is not UTF-8: byte 0 (0x89) cannot start a character"
  };
  std::vector<LeftOut> left_out;  // hidden files are no part of it and not listed
};

// tokenizer: char, which asks for UTF-8, or byte, which takes any file. Of a folder what cannot be
// read, is empty or, for char, not UTF-8 is left out. InputError where nothing is left, and for a
// file as read_text.
Corpus read_corpus(const std::filesystem::path& path, const std::string& tokenizer);

}  // namespace masque
