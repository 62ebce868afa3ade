# Each tests/test_X.c is one program over the static library, where hidden symbols can be reached, and one ctest entry.
# The words "label: slow" in its first lines give it that label (ctest -LE slow leaves it out), "label: alone" keeps other
# tests from running beside it.
if(NOT CUNIT_FOUND)
    message(STATUS "no tests: CUnit is missing")
    return()
endif()
add_library(grape_harness OBJECT tests/harness.c)
target_include_directories(grape_harness PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(grape_harness PUBLIC PkgConfig::CUNIT)
target_compile_definitions(grape_harness PRIVATE GR_TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}" _GNU_SOURCE=)

set(grape_test_environment OMP_NUM_THREADS=2)
set(grape_test_timeout 300) # of a machine that is busy with other work
if(GRAPE_SANITIZE OR GRAPE_EMULATE_AVX512 OR CMAKE_CROSSCOMPILING_EMULATOR)
    set(grape_test_timeout 600) # several times slower
endif()
if(GRAPE_EMULATE_AVX512)
    list(APPEND grape_test_environment OPENBLAS_CORETYPE=Haswell) # core/blas.c would have it take AVX-512 on AMD
endif()
if(GRAPE_SANITIZE MATCHES "thread") # the OpenMP runtime itself is not instrumented
    list(APPEND grape_test_environment TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1)
    if(OpenMP_omp_LIBRARY) # where it finds Archer, which tells the sanitizer who waits for whom, from a shared library too
        cmake_path(GET OpenMP_omp_LIBRARY PARENT_PATH grape_omp_folder)
        list(APPEND grape_test_environment LD_LIBRARY_PATH=${grape_omp_folder})
    endif()
endif()

file(GLOB tests CONFIGURE_DEPENDS tests/test_*.c)
foreach(source ${tests})
    cmake_path(GET source STEM name)
    if(GRAPE_MINIMAL AND name MATCHES "^test_(fixture_|save$|dataset$)")
        continue() # files that this build cannot read; that it says so is tested with their readers
    endif()
    add_executable(${name} ${source})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    target_link_libraries(${name} PRIVATE grape_static grape_settings grape_harness m)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${grape_test_environment}" TIMEOUT ${grape_test_timeout})
    file(STRINGS ${source} opening LIMIT_COUNT 10)
    if(opening MATCHES "label: slow")
        set_tests_properties(${name} PROPERTIES LABELS slow TIMEOUT 600)
    endif()
    if(opening MATCHES "label: alone")
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endforeach()

# ---- what GRAPE_MINIMAL changes, in every build -------------------------------------------------------------------------
# The files that ask for it or for OpenMP are compiled for it and linked before the archive, which gives the rest, with
# none of the libraries that it goes without.
if(NOT GRAPE_MINIMAL AND NOT GRAPE_SANITIZE)
    set(minimal_sources "")
    foreach(source ${sources})
        file(STRINGS ${source} asks REGEX "GRAPE_MINIMAL|_OPENMP|omp_|pragma omp" LIMIT_COUNT 1)
        if(asks)
            list(APPEND minimal_sources ${source})
        endif()
    endforeach()
    add_library(grape_minimal OBJECT ${minimal_sources})
    target_include_directories(grape_minimal PUBLIC ${PROJECT_SOURCE_DIR})
    target_compile_definitions(grape_minimal
        PUBLIC GRAPE_MINIMAL $<TARGET_PROPERTY:grape_settings,INTERFACE_COMPILE_DEFINITIONS>)
    target_compile_options(grape_minimal PUBLIC -Wno-unknown-pragmas)
    foreach(name test_fit test_idx test_info test_io_memory test_npz test_out_of_memory test_profile test_safetensors
            test_team test_thread)
        add_executable(minimal_${name} tests/${name}.c)
        set_target_properties(minimal_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
        target_link_libraries(minimal_${name} PRIVATE grape_minimal grape_harness $<TARGET_FILE:grape_static>
            Threads::Threads ${CMAKE_DL_LIBS} m)
        add_dependencies(minimal_${name} grape_static)
        set(only $<$<STREQUAL:${name},test_out_of_memory>:readers_and_writers>) # the rest of it takes long
        add_test(NAME minimal_${name} COMMAND minimal_${name} ${only})
        set_tests_properties(minimal_${name} PROPERTIES ENVIRONMENT "${grape_test_environment}"
            TIMEOUT ${grape_test_timeout})
    endforeach()
endif()

# ---- tests of the house itself ---------------------------------------------------------------------------------------
add_test(NAME tidy COMMAND ${PROJECT_SOURCE_DIR}/tools/tidy)
add_test(NAME tidy_rules COMMAND ${PROJECT_SOURCE_DIR}/tests/tidy_rules.sh ${PROJECT_SOURCE_DIR}/tools/tidy)
if(NOT GRAPE_SANITIZE) # a sanitizer brings its own imports, and wants to be linked into every program
    add_test(NAME symbols COMMAND ${PROJECT_SOURCE_DIR}/tests/symbols.sh $<TARGET_FILE:grape> $<TARGET_FILE:grape_static>)
    file(GLOB examples CONFIGURE_DEPENDS examples/*.c)
    if(examples)
        add_test(NAME installed COMMAND ${PROJECT_SOURCE_DIR}/tests/installed.sh ${PROJECT_SOURCE_DIR}
            ${PROJECT_BINARY_DIR})
        set_tests_properties(installed PROPERTIES ENVIRONMENT "CC=${CMAKE_C_COMPILER};OMP_NUM_THREADS=2" TIMEOUT 300)
    endif()
endif()

if(EXISTS ${PROJECT_SOURCE_DIR}/README.md AND NOT GRAPE_SANITIZE)
    add_test(NAME readme COMMAND ${PROJECT_SOURCE_DIR}/tests/readme.sh ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
    set_tests_properties(readme PROPERTIES ENVIRONMENT "CC=${CMAKE_C_COMPILER};OMP_NUM_THREADS=2" TIMEOUT 600 LABELS slow)
endif()

if(TARGET mnist_robust AND NOT GRAPE_MINIMAL)
    add_test(NAME bad_input COMMAND ${PROJECT_SOURCE_DIR}/tests/bad_input.sh $<TARGET_FILE:mnist_robust>
        ${PROJECT_SOURCE_DIR}/tests/fixtures)
    set_tests_properties(bad_input PROPERTIES ENVIRONMENT "${grape_test_environment}" TIMEOUT 120)
endif()

find_program(PYTHON3 python3)
if(GRAPE_PROGRAMS AND PYTHON3 AND NOT GRAPE_SANITIZE AND NOT GRAPE_MINIMAL)
    add_test(NAME bench_page COMMAND ${PROJECT_SOURCE_DIR}/tests/bench_page.sh ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
    set_tests_properties(bench_page PROPERTIES TIMEOUT 120)
endif()

# The tutorial in C++17, where there is a C++ compiler.
if(EXISTS ${PROJECT_SOURCE_DIR}/tests/cxx_tutorial.cpp)
    include(CheckLanguage)
    check_language(CXX)
    if(CMAKE_CXX_COMPILER)
        enable_language(CXX)
        add_executable(cxx_tutorial tests/cxx_tutorial.cpp)
        set_target_properties(cxx_tutorial PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
            RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
        target_link_libraries(cxx_tutorial PRIVATE grape)
        add_test(NAME cxx_tutorial COMMAND cxx_tutorial)
        set_tests_properties(cxx_tutorial PROPERTIES ENVIRONMENT "${grape_test_environment}" TIMEOUT 120)
    else()
        message(STATUS "no C++ compiler: tests/cxx_tutorial.cpp is left out")
    endif()
endif()
