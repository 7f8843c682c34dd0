// masque data fetch: a public text by the program curl, checked by its SHA-256.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace masque {

std::vector<std::string> public_texts();

// Writes folder/NAME.txt and says so; a file already there is checked, never overwritten.
// InputError: an unknown name, or another file in its place. Error: no network, a wrong download.
void fetch_data(const std::string& name, const std::filesystem::path& folder);

// By the program sha256sum, in hexadecimal. Error where that fails.
std::string sha256_of(const std::filesystem::path& file);
std::string sha256_of_text(const std::string& text);

}  // namespace masque
