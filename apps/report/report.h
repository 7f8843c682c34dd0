// The pages of a comparison: report.html, report.md with plots/, report.pdf, from results.json
// (docs/compare-format.md).
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace masque {

// results.json. InputError where there is no such file, or no JSON in it.
nlohmann::json read_results(const std::filesystem::path& file);

// Writes report.html, report.md and plots/*.svg. InputError naming the key that results lack.
void write_report(const nlohmann::json& results, const std::filesystem::path& folder);

// Prints report.html to report.pdf with Chromium or Chrome. False where that cannot be, and then
// says why on stderr.
bool write_pdf(const std::filesystem::path& folder);

// All of them from folder/results.json; prints where they are. InputError as above, and where there
// is no such file.
void report_folder(const std::filesystem::path& folder);

// masque report: makes the pages again.
void add_report_command(CLI::App& app);

}  // namespace masque
