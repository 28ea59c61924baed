# SPDX-License-Identifier: Apache-2.0
# Run at every build (target `version`): writes OUT/version.h from git, only if it changed, so that nothing else is rebuilt.
execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} describe --tags --match v* --dirty
  OUTPUT_VARIABLE describe OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} describe --always --abbrev=12 --dirty --exclude *
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
if(describe)
  string(REGEX REPLACE "^v" "" version ${describe})
else()
  set(version "0.0.0-g${commit}")
endif()
set(text "/* Generated from git by cmake/version.cmake. */
#pragma once
#define RUNSC_VERSION \"${version}\"
#define RUNSC_COMMIT \"${commit}\"
")
set(old "")
if(EXISTS ${OUT}/version.h)
  file(READ ${OUT}/version.h old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT}/version.h "${text}")
endif()
