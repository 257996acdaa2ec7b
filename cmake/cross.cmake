# For another processor, MOONTAIL_TRIPLET (aarch64-linux-gnu, x86_64-linux-gnu), with Debian's cross
# compiler and its libraries for that architecture; deploy/docker/build uses it.
set(triplet $ENV{MOONTAIL_TRIPLET})
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR ${triplet})
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_LIBRARY_ARCHITECTURE ${triplet})
set(CMAKE_C_COMPILER ${triplet}-gcc)
set(CMAKE_CXX_COMPILER ${triplet}-g++)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/${triplet}/pkgconfig:/usr/share/pkgconfig)
