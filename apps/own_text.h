// The text that a command is given, read and told of.
#pragma once

#include <filesystem>
#include <string>

#include "models/corpus.h"

namespace masque {

// What --data and FILE say of themselves in --help.
inline constexpr const char* kDataHelp =
    "Text: a file, or a folder whose files are joined; as given, or in $MASQUE_DATA_DIR, ./data, "
    "../shared/data";

// As read_corpus; of a folder, stderr says what was read and what was left out.
Corpus read_data(const std::filesystem::path& path, const std::string& tokenizer);

// InputError where a new folder lies in the folder of its text, and so would become text itself.
void require_outside(const std::string& folder, const std::filesystem::path& data);

// SHA-256 of a file, or of a folder's files as they are joined. Error where there is no sha256sum.
std::string sha256_of_data(const std::filesystem::path& path, const std::string& tokenizer);

}  // namespace masque
