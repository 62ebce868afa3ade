#!/bin/sh
# The results page from a small recorded run, and what Grape's side of the benchmarks tells; no peer is needed.
# usage: tests/bench_page.sh SOURCE_DIR BUILD_DIR
set -eu
source=$1
build=$2
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
passed=0
failed=0
skipped=0
check() # check WHAT COMMAND...
{
    what=$1
    shift
    if "$@" >"$room/log" 2>&1; then
        echo "ok     $what"
        passed=$((passed + 1))
    else
        echo "FAILED $what"
        sed 's/^/       /' "$room/log"
        failed=$((failed + 1))
    fi
}

page="$room/benchmarks.md"
check "a page is made of a recorded run" "$source/bench/page" "$source/tests/fixtures/bench.json" --out "$room"
check "it has the step's time, the fastest peer's and their ratio" \
    grep -F '| mlp | 2 | 1.74 | jax 2.37 | **0.73** | 63 % |' "$page"
check "one thread stands apart" grep -F '| mlp | 1 | 3.31 | jax 3.45 | **0.96** | 66 % |' "$page"
check "predictions are in microseconds, beside ONNX Runtime" \
    grep -F '| predict mlp, batch 1 | 2 | 19.3 | onnxruntime 27.1 | **0.71** | 21 % | 0.71 |' "$page"
check "a kernel's rate stands beside the peak" grep -F '| cnn 2 | 16x13x13x32 -> 64, 3x3 | 112 (95 %) |' "$page"
check "versions and the way to make it again are told" grep -E 'jax 0.10.2|bench/run all --json' "$page"
if command -v gnuplot >/dev/null; then
    check "the picture shows the ratios" grep -F '0.73' "$room/images/benchmarks.svg"
else
    skipped=$((skipped + 1))
fi

GRAPE_BENCH_JSON=1 "$build/bench/gemm" "mlp 3" | grep '^{' >"$room/gemm" || true
check "gemm tells a row's name, shape, rate and part of the peak" python3 - "$room/gemm" <<'END'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert {r["kind"] for r in rows} >= {"1 thread", "2 threads"}, rows
assert all(r["name"].startswith("mlp 3") and "x" in r["shape"] and r["gflops"] > 0 and r["of_peak"] > 0 for r in rows), rows
END

if python3 -c 'import numpy' 2>/dev/null; then
    check "Grape alone goes through a workload" python3 "$source/bench/driver.py" mlp --peers "" --rounds 1 --block 0.02 \
        --build "$build" --json "$room/run.json"
    check "and tells every field" python3 - "$room/run.json" <<'END'
import json, sys
data = json.load(open(sys.argv[1]))
assert {"cpu", "cores", "os", "kernel", "compiler", "flags", "date", "settings"} <= set(data["machine"]), data["machine"]
run, = data["runs"]
assert run["flops"] > 0 and run["peak_gflops"] > 0 and run["agree"] and run["batch"] == 128, run
side = run["sides"]["grape"]
for key in ("median_ms", "min_ms", "gflops", "first_ms", "growth_mib", "peak_growth_mib"):
    assert side[key] > 0, (key, side)
assert "compile_ms" in side and side["ratio"] is None and len(side["first"]) == 5 and "grape" in side["info"], side
END
    check "which are enough for a page" "$source/bench/page" "$room/run.json" --out "$room"
else
    skipped=$((skipped + 3))
fi
echo "bench_page: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
