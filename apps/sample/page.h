// A generation as a page that asks for nothing outside itself, with the viewer of reports.
#pragma once

#include <filesystem>
#include <string>

#include "apps/sample/plan.h"
#include "apps/sample/recording.h"
#include "models/run.h"

namespace masque {

// InputError where no file can be made there: found out before a generation, not after.
void check_page_file(const std::filesystem::path& file);
void write_page(const std::filesystem::path& file, const Run& run, const SampleRequest& request,
                const Samples& samples, const Recording& recording);

}  // namespace masque
