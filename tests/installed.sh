#!/bin/sh
# Installs into an empty folder, then builds the examples from there as a stranger would, through the CMake package and
# through pkg-config, against the shared and the static library, and runs the quick ones.
# usage: tests/installed.sh SOURCE_DIR BUILD_DIR
set -eu
source=$1
build=$2
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
passed=0
failed=0
try() # try WHAT COMMAND...
{
    what=$1
    shift
    if (cd "$room" && "$@") >"$room/log" 2>&1; then
        echo "ok     $what"
        passed=$((passed + 1))
    else
        echo "FAILED $what"
        sed 's/^/       /' "$room/log" | tail -n 40
        failed=$((failed + 1))
    fi
}

try "it installs into an empty folder" cmake --install "$build" --prefix "$room/prefix"
mkdir "$room/app"
cp "$source"/examples/*.c "$room/app"
cat >"$room/app/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(grape 0.1 REQUIRED)
file(GLOB programs *.c)
foreach(source ${programs})
    cmake_path(GET source STEM name)
    foreach(library grape grape_static)
        add_executable(${name}-${library} ${source})
        target_link_libraries(${name}-${library} PRIVATE grape::${library} m)
    endforeach()
endforeach()
END
try "the CMake package is found" cmake -S app -B app/build -DCMAKE_PREFIX_PATH="$room/prefix" -DCMAKE_C_COMPILER="${CC:-cc}"
try "every example builds with it" cmake --build app/build -j 2

PKG_CONFIG_PATH=$(dirname "$(find "$room/prefix" -name grape.pc)")
export PKG_CONFIG_PATH
pc_build() # pc_build EXAMPLE: with pkg-config, as strict C17
{
    # shellcheck disable=SC2046 # flags are words
    ${CC:-cc} -std=c17 -Wall -Wextra -Wpedantic -Werror "app/$1.c" -o "app/$1" $(pkg-config --cflags --libs grape) -lm \
        -Wl,-rpath,"$(pkg-config --variable=libdir grape)"
}
for file in "$room"/app/*.c; do
    name=$(basename "$file" .c)
    try "$name builds with pkg-config" pc_build "$name"
done
# Images in the format of MNIST, of any bytes, labelled in turn: the programs have to run, not to learn.
mkdir "$room/data"
images() # images FILE N 'N IN 4 BYTES'
{
    (printf '\0\0\10\3%b\0\0\0\34\0\0\0\34' "$3" && yes "any bytes" | head -c $((28 * 28 * $2))) \
        >"$room/data/$1-images-idx3-ubyte"
    (printf '\0\0\10\1%b' "$3" && yes 0123456789 | tr -d '\n' | tr 0-9 '\0-\11' | head -c "$2") \
        >"$room/data/$1-labels-idx1-ubyte"
}
images train 2000 '\0\0\07\0320'
images t10k 200 '\0\0\0\0310'
for file in "$room"/app/*.c; do
    name=$(basename "$file" .c)
    data=$room/data
    case $name in
    mnist_*) options="--epochs 1 --out $room/out" ;;
    cnn) options="--epochs 1 --images 2000" data=drawn ;; # or digits that the library draws
    *) options= ;;
    esac
    # shellcheck disable=SC2086 # options are words
    try "$name runs" env GRAPE_DATA="$data" "app/build/$name-grape" $options
done
try "one runs as pkg-config built it" app/custom_op
try "one runs with the static library" app/build/custom_op-grape_static
echo "installed: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
