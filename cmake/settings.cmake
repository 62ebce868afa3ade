# How every file of this repository is compiled.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # one set of objects serves the static and the shared library
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
# No NDEBUG: what a build checks is its own option, not a side effect of optimizing.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g")

add_compile_options(-Wall -Wextra -Wshadow -Wpedantic $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> -Wvla)
if(GRAPE_WERROR)
    add_compile_options(-Werror)
endif()
# __FILE__ starts at the top of the repository; the second form is what ccache makes of it under a base_dir.
add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= -fmacro-prefix-map=../=)
# Never -ffast-math. Contraction would make the bits depend on the compiler; a kernel that wants it says so (isa.cmake).
add_compile_options(-fno-math-errno -fno-trapping-math -ffp-contract=off)

if(GRAPE_SANITIZE)
    add_compile_options(-fsanitize=${GRAPE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${GRAPE_SANITIZE})
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # its instrumentation makes this warning see ghosts
        add_compile_options(-Wno-maybe-uninitialized)
    endif()
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER AND PROJECT_IS_TOP_LEVEL)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
