# make install: the libraries, the grape command, the public headers, the CMake package and grape.pc.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/grape)

# Two export sets: who takes the shared library needs none of the development packages of the libraries below it.
target_include_directories(grape INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_include_directories(grape_static INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(TARGETS grape EXPORT grape_shared)
install(TARGETS grape_static grape_dependencies EXPORT grape_static)
install(EXPORT grape_shared FILE grapeShared.cmake NAMESPACE grape:: DESTINATION ${package_dir})
install(EXPORT grape_static FILE grapeStatic.cmake NAMESPACE grape:: DESTINATION ${package_dir})
configure_package_config_file(cmake/grapeConfig.cmake.in grapeConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(grapeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/grapeConfig.cmake ${PROJECT_BINARY_DIR}/grapeConfigVersion.cmake
    DESTINATION ${package_dir})

file(RELATIVE_PATH pc_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /) # from grape.pc to the prefix, wherever that is moved
set(pc_private "-lm -lpthread -ldl")
set(pc_requires "")
if(OpenMP_C_FOUND)
    string(APPEND pc_private " ${OpenMP_C_FLAGS}")
endif()
if(NOT GRAPE_MINIMAL)
    set(pc_requires "zlib libzip jansson")
endif()
configure_file(cmake/grape.pc.in grape.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/grape.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET grape_command)
    install(TARGETS grape_command)
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(CODE "set(source \"${PROJECT_SOURCE_DIR}\")\nset(include \"${CMAKE_INSTALL_INCLUDEDIR}\")")
install(SCRIPT cmake/install_headers.cmake)
