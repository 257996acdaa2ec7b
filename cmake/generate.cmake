# Sources that the build makes: protobuf-c from proto/, for the tests, and the Lua files that the program embeds.
set(GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)
set(PROTO_SOURCES)
set(GENERATED_SOURCES)
file(MAKE_DIRECTORY ${GENERATED_DIR})

file(GLOB_RECURSE proto_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/proto/*.proto)
foreach(proto IN LISTS proto_files)
  file(RELATIVE_PATH rel ${PROJECT_SOURCE_DIR}/proto ${proto})
  string(REGEX REPLACE "\\.proto$" ".pb-c.c" out ${GENERATED_DIR}/${rel})
  add_custom_command(OUTPUT ${out}
    COMMAND protoc-c --proto_path=${PROJECT_SOURCE_DIR}/proto --c_out=${GENERATED_DIR} ${rel}
    DEPENDS ${proto} VERBATIM)
  list(APPEND PROTO_SOURCES ${out})
endforeach()

# Every lua/**.lua and config.lua becomes an entry of `embedded_files` (src/lua/embed.h).
file(GLOB_RECURSE lua_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lua/*.lua)
list(APPEND lua_files ${PROJECT_SOURCE_DIR}/config.lua)
set(embedded ${GENERATED_DIR}/embedded.c)
add_custom_command(OUTPUT ${embedded}
  COMMAND ${CMAKE_COMMAND} -DOUT=${embedded} -DROOT=${PROJECT_SOURCE_DIR} "-DFILES=${lua_files}"
          -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${lua_files} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
list(APPEND GENERATED_SOURCES ${embedded})
