// How a generation is shown while it goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "apps/sample/plan.h"
#include "apps/sample/recording.h"
#include "models/run.h"

namespace masque {

enum class Showing {
  in_texts,  // animated on stdout, which it leaves with the texts
  in_frame,  // animated on stderr, which it leaves with the last frame
  states,    // every state on stderr, one after another, with _ for the blanks
  bar  // a bar of the steps where stderr is a terminal; not on a GPU, which would wait for each
};
// watch: what --watch or --no-watch says; without either, texts are animated where stdout is a
// terminal. json: stdout is not for texts.
Showing choose_showing(std::optional<bool> watch, bool json);

// Thrown out of a generation that was to stop.
struct Stopped {
  std::int64_t step = 0;
};

// Generates, shows it, and leaves the texts on stdout unless `json`. recording: remembers the
// steps, or null. stop: asked after each step, or null.
Samples write_samples(const SamplePlan& plan, Run& run, Showing showing, bool json,
                      Recording* recording, const std::function<bool()>& stop = {});

}  // namespace masque
