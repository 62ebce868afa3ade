#!/bin/sh
# Runs the tutorial on files, options and folders that are wrong: each time it says what is wrong, ends with an exit code
# that is not 0, and leaves nothing half-written.
# usage: tests/bad_input.sh MNIST_ROBUST FIXTURES_DIR
set -eu
example=$1
fixtures=$2
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
passed=0
failed=0
verdict() # verdict WHAT GOOD: and if not good, what was printed
{
    if $2; then
        echo "ok     $1"
        passed=$((passed + 1))
    else
        echo "FAILED $1"
        sed 's/^/       /' "$room/log" | tail -n 12
        failed=$((failed + 1))
    fi
}
run() # run DATA ARGUMENTS...: the exit code in $code, what was said in $room/log
{
    data=$1
    shift
    rm -rf "$room/out"
    code=0
    "$example" --data "$data" --epochs 2 --batch 64 --out "$room/out" "$@" >"$room/log" 2>&1 </dev/null || code=$?
}
refuses() # refuses WHAT SAYS DATA ARGUMENTS...
{
    what=$1
    says=$2
    shift 2
    run "$@"
    good=true
    [ "$code" -ne 0 ] && [ "$code" -lt 126 ] || good=false
    grep -Eq -e "$says" "$room/log" || good=false
    [ -z "$(ls -A "$room/out" 2>/dev/null)" ] || good=false
    verdict "$what" $good
}

# ---- a data set of 256 + 64 images --------------------------------------------------------------------------------
pixels() # pixels COUNT
{
    yes 'the pixels of a picture that shows nothing' | head -c $(($1 * 784))
}
labels() # labels COUNT
{
    yes "$(printf '\001\002\003\004\005\006\007\010\011')" | tr '\n' '\005' | head -c "$1"
}
images_head='\0\0\010\003\0\0\001\0\0\0\0\034\0\0\0\034'
set=$room/set
mkdir "$set"
{ printf "$images_head" && pixels 256; } >"$set/train-images-idx3-ubyte"
{ printf '\0\0\010\001\0\0\001\0' && labels 256; } >"$set/train-labels-idx1-ubyte"
{ printf '\0\0\010\003\0\0\0\100\0\0\0\034\0\0\0\034' && pixels 64; } >"$set/t10k-images-idx3-ubyte"
{ printf '\0\0\010\001\0\0\0\100' && labels 64; } >"$set/t10k-labels-idx1-ubyte"

spoil() # spoil FILE: a fresh copy of the data set in $room/bad, and in $bad the file to spoil
{
    rm -rf "$room/bad"
    cp -r "$set" "$room/bad"
    bad=$room/bad/$1
}
flip() # flip FILE OFFSET: another byte there
{
    old=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf "$(printf '\\%03o' $((old ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

run "$set" --json "$room/result.json"
fine=true
[ "$code" -eq 0 ] && [ -s "$room/out/model.safetensors" ] && grep -q weights_hash "$room/result.json" || fine=false
verdict "good data trains" $fine

# ---- data ----------------------------------------------------------------------------------------------------------
images=train-images-idx3-ubyte
refuses "a missing folder" "expected $images.*found none" "$room/nowhere"
spoil t10k-labels-idx1-ubyte
rm "$bad"
refuses "a missing file" "expected the file t10k-labels-idx1-ubyte.*found neither" "$room/bad"
spoil $images
truncate -s -100 "$bad"
refuses "a truncated file" "$images.*expected 200704 bytes of .*found 200604" "$room/bad"
spoil $images
printf x >>"$bad"
refuses "a file that is too long" "$images.*expected its end, found 1 more" "$room/bad"
spoil $images
truncate -s 10 "$bad"
refuses "a file cut in its head" "$images.*expected 4 bytes of its sizes" "$room/bad"
spoil $images
: >"$bad"
refuses "an empty file" "$images.*expected 4 bytes of its head, found 0" "$room/bad"
spoil $images
flip "$bad" 1
refuses "a flipped bit in the first bytes" "expected an IDX file" "$room/bad"
spoil $images
flip "$bad" 2
refuses "a flipped bit in the element type" "element type|expected .* bytes" "$room/bad"
spoil $images
flip "$bad" 7
refuses "a flipped bit in a size" "expected [0-9]+ bytes of|more bytes" "$room/bad"
spoil train-labels-idx1-ubyte
printf '\0\0\010\001\0\0\0\377' >"$bad"
labels 255 >>"$bad"
refuses "fewer labels than images" "expected uint8 images .n, h, w. and labels .n., found .256, 28, 28. and .255." "$room/bad"
spoil train-labels-idx1-ubyte
printf '\013' | dd of="$bad" bs=1 seek=20 conv=notrunc 2>/dev/null
refuses "a label out of range" "one_hot.*expected 0 .. 9, found 11|label.* 11" "$room/bad"
spoil $images
rm "$bad"
mkdir "$bad"
refuses "a folder where a file should be" "expected a plain file, found a folder" "$room/bad"

if command -v gzip >/dev/null; then
    spoil $images
    gzip "$bad"
    run "$room/bad"
    fine=true
    [ "$code" -eq 0 ] || fine=false
    verdict "good compressed data trains" $fine
    size=$(wc -c <"$bad.gz")
    cp "$bad.gz" "$room/packed"
    truncate -s $((size - 20)) "$bad.gz"
    refuses "a truncated gz" "end of its compressed data|is damaged" "$room/bad"
    cp "$room/packed" "$bad.gz"
    flip "$bad.gz" $((size / 2))
    refuses "a flipped bit in a gz" "is damaged|expected" "$room/bad"
    cp "$room/packed" "$bad.gz"
    flip "$bad.gz" $((size - 6))
    refuses "a flipped bit in a gz's checksum" "is damaged: incorrect (data|length) check" "$room/bad"
    cp "$room/packed" "$bad.gz"
    printf 'more' >>"$bad.gz"
    refuses "something after a gz" "nothing after its compressed data" "$room/bad"
fi

# ---- initial weights -----------------------------------------------------------------------------------------------
refuses "missing weights" "nowhere.npz: cannot be opened" "$set" --init "$room/nowhere.npz"
npz=$fixtures/optim.npz
refuses "weights of another model" "unknown name|expected 14 arrays" "$set" --init "$npz"
size=$(wc -c <"$npz")
cp "$npz" "$room/cut.npz"
truncate -s $((size / 2)) "$room/cut.npz"
refuses "a truncated npz" "cut.npz.*" "$set" --init "$room/cut.npz"
cp "$npz" "$room/flipped.npz"
flip "$room/flipped.npz" $((size / 2))
refuses "a flipped bit in an npz" "flipped.npz.*" "$set" --init "$room/flipped.npz"
printf 'not a zip' >"$room/text.npz"
refuses "weights that are no npz" "text.npz.*" "$set" --init "$room/text.npz"

# ---- options -------------------------------------------------------------------------------------------------------
refuses "a batch of 0" "--batch: expected a whole number of at least 1, found '0'" "$set" --batch 0
refuses "epochs that are no number" "--epochs: expected a whole number of at least 1, found '2x'" "$set" --epochs 2x
refuses "a negative clipnorm" "--clipnorm: expected a number of at least 0, found '-1'" "$set" --clipnorm -1
refuses "two ways to clip" "Adam: arguments clipvalue, clipnorm.*at most one" "$set" --clipnorm 1 --clipvalue 1
refuses "an unknown monitor" "'val_nonsense' is not known; it is of loss, accuracy" "$set" --monitor val_nonsense
refuses "an unknown option" "usage: mnist_robust" "$set" --nonsense
refuses "a seed that is no number" "mnist_robust: --seed: expected" "$set" --seed nan

# ---- where it writes -----------------------------------------------------------------------------------------------
: >"$room/file"
refuses "a file where the folder should be" "the folder .*/file cannot be written" "$set" --out "$room/file"
refuses "a folder in a folder that is missing" "the folder .*/no/where cannot be written" "$set" --out "$room/no/where"
refuses "a folder under a file" "the folder .*/file/below cannot be written" "$set" --out "$room/file/below"
refuses "a result where nothing can be" "no/result.json cannot be written" "$set" --json "$room/no/result.json"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then # root may write anywhere
    chmod 755 "$room"
    mkdir -m 755 "$room/theirs"
    code=0
    setpriv --reuid=65534 --clear-groups "$example" --data "$set" --epochs 1 --out "$room/theirs" >"$room/log" 2>&1 || code=$?
    fine=false
    if [ "$code" -eq 1 ] && grep -q "theirs cannot be written" "$room/log"; then fine=true; fi
    if [ "$code" -eq 126 ] || [ "$code" -eq 127 ]; then # the program itself lies where that user cannot reach
        echo "skip   a folder of another user: nobody may not run the example from here"
    else
        verdict "a folder of another user" $fine
    fi
fi

# ---- without the programs that draw --------------------------------------------------------------------------------
mkdir "$room/empty"
code=0
rm -rf "$room/out"
PATH=$room/empty "$example" --data "$set" --epochs 1 --out "$room/out" >"$room/log" 2>&1 || code=$?
fine=true
[ "$code" -eq 0 ] && grep -q gnuplot "$room/log" && grep -q 'dot -T' "$room/log" || fine=false
[ "$(ls "$room/out" | grep -Ec '\.(gp|dot|safetensors)$')" -eq 3 ] || fine=false
verdict "without gnuplot and dot the scripts stay, and a warning says how to use them" $fine

echo "bad_input: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
