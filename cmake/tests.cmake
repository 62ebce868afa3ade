# Each tests/test_X.c is one program over the static library, where hidden symbols can be reached, and one ctest entry.
# The words "label: slow" in its first lines keep it out of the quick round.
if(NOT CUNIT_FOUND)
    message(STATUS "no tests: CUnit is missing")
    return()
endif()
add_library(grape_harness OBJECT tests/harness.c)
target_include_directories(grape_harness PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(grape_harness PUBLIC PkgConfig::CUNIT)
target_compile_definitions(grape_harness PRIVATE GR_TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}" _GNU_SOURCE=)

set(grape_test_environment OMP_NUM_THREADS=2)
if(GRAPE_SANITIZE MATCHES "thread") # the OpenMP runtime itself is not instrumented
    list(APPEND grape_test_environment TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1)
endif()

file(GLOB tests CONFIGURE_DEPENDS tests/test_*.c)
foreach(source ${tests})
    cmake_path(GET source STEM name)
    add_executable(${name} ${source})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    target_link_libraries(${name} PRIVATE grape_static grape_settings grape_harness m)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${grape_test_environment}" TIMEOUT 120)
    file(STRINGS ${source} opening LIMIT_COUNT 10)
    if(opening MATCHES "label: slow")
        set_tests_properties(${name} PROPERTIES LABELS slow TIMEOUT 600)
    endif()
endforeach()
