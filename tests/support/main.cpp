// The one main of masque-tests.
#define CATCH_CONFIG_RUNNER
#include <cstdlib>

#include "tests/support/catch.h"

int main(int argc, char** argv) {
  unsetenv("MASQUE_DATA_DIR");  // where a user keeps texts changes what programs say
  return Catch::Session().run(argc, argv);
}
