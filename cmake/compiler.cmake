# Warnings, hardening and sanitizers: one place for all targets.
add_library(warnings INTERFACE)
target_compile_options(warnings INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wformat=2 -Wundef -Wwrite-strings -Werror
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)

# The flags of the build types, so that a debug name never meets -O0 under a sanitizer.
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g1")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")

add_compile_options(-fno-omit-frame-pointer -fvisibility=hidden)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-g1 -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
                      -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    add_compile_options(-fcf-protection)
  endif()
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(MOONTAIL_SANITIZE)
  add_compile_options(-fsanitize=${MOONTAIL_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MOONTAIL_SANITIZE})
endif()
if(MOONTAIL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
