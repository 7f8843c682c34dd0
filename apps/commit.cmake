# Writes OUTPUT: which commit SOURCE is at, and whether its sources differ from it (0, 1, or -1 where
# nobody knows). Left alone where nothing changed, so that nothing is built again.
#   cmake -DGIT=git -DSOURCE=DIR -DOUTPUT=FILE -P commit.cmake
cmake_minimum_required(VERSION 3.25)
set(commit "unknown")
set(dirty -1)
if(GIT)
  execute_process(COMMAND ${GIT} rev-parse --short=12 HEAD WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  execute_process(COMMAND ${GIT} status --porcelain -- CMakeLists.txt kernels core models apps
    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE changes ERROR_QUIET RESULT_VARIABLE unreadable)
  if(failed EQUAL 0 AND unreadable EQUAL 0)
    set(commit ${hash})
    set(dirty 1)
    if(changes STREQUAL "")
      set(dirty 0)
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"#define MASQUE_COMMIT \"@commit@\"
#define MASQUE_DIRTY @dirty@
")
