# Libraries, command, public headers, CMake package and grape.pc.
