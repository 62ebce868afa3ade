"""bench/driver.py WORKLOAD: Grape beside its peers, in one run.  Called by bench/run, which makes the environment.

All sides get the same weights and batches; the first five losses must agree to 1e-3, else no ratio is printed and the
exit status is 1. Then 15 rounds: one block of steps of each side in turn, all blocks about equally long, so that a slow
minute of the machine hits every side alike. Medians count. The multiply-add peak is measured before and after, in the
Grape program's own process if it runs.

first step: what the first training step takes after model and weights are there; compile: that less a later step's median.
growth: the resident set after all blocks less before the first step; peak: its highest between these.
predict: outputs of the first batch must agree to 1e-5; then calls of one batch each, in turn, as above.
startup: from the start of the process to the end of its first training step (imports, reading weights and one batch of 1.9
MB, compiling), median of 7 starts each, taken in turn; cold: the files that it maps were dropped from the file cache.
gemm, conv: the programs of that name: kernels beside the peak, each on the threads that it says.
"""
import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))

# name: script, variant, packages (as peers/requirements.txt pins them)
PEERS = {
    "jax": ("jax", "", ["jax", "jaxlib"]), "torch": ("torch", "", ["torch"]), "torch-fused": ("torch", "fused", ["torch"]),
    "torch-compile": ("torch", "compile", ["torch"]), "torch-channels-last": ("torch", "channels-last", ["torch"]),
    "keras-jax": ("keras", "jax", ["keras", "jax", "jaxlib"]),
    "keras-tf": ("keras", "tensorflow", ["keras", "tensorflow-cpu"]), "onnxruntime": ("onnx", "", ["onnx", "onnxruntime"])}
# the fastest ones of each workload, in what was measured so far
FASTEST = {"mlp": "jax,torch-compile", "cnn": "torch,torch-channels-last", "resnet20": "torch-compile,torch-channels-last",
           "gpt": "torch-compile,torch", "lstm": "torch-fused,torch-compile", "predict": "onnxruntime,torch,jax",
           "startup": "jax,torch"}
TRAINING = ["mlp", "cnn", "resnet20", "gpt", "lstm"]
PREDICTIONS = [("mlp", 1), ("mlp", 128), ("cnn", 1), ("cnn", 128)]
SIZES = ["784,512,128,10", "256,256,64,10", "784,1024,256,10", "1024,1024,1024,10", "300,40,7"]
SETTINGS = ["GRAPE_ISA", "GRAPE_PASSES", "GRAPE_BLAS", "XLA_FLAGS", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA",
            "TF_ENABLE_ONEDNN_OPTS"]
MIB = 1024.0  # in the kB of /proc


class Gone(Exception):
    pass


class Side:
    """A program that speaks the protocol of peers/protocol.py."""

    def __init__(self, name, argv, threads, variant=""):
        env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}  # it would favour one side
        env.update(OMP_NUM_THREADS=str(threads), KERAS_BACKEND=variant, JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
        self.name, self.blocks, self.cpu_s = name, [], 0.0
        self.log = tempfile.TemporaryFile("w+")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=env)

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] == "error":
            self.log.seek(0)
            raise Gone(" ".join(answer[1:]) or (self.log.read().strip().splitlines() or ["it ended without a word"])[-1])
        return answer[1:]

    def work(self, n):
        return float(self.ask(f"{self.verb} {n}")[0])

    def begin(self, path, verb):
        """Loads, does the first step or call, and keeps what is compared: five losses or the first output."""
        self.verb = verb
        self.ask("load " + path)
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
            f.write("5")  # the peak counts from here
        self.before = self.memory("VmRSS")
        start = time.perf_counter()
        if verb == "steps":
            seconds, *self.first = [float(v) for v in self.ask("losses 5")]
        else:
            self.ask(f"output {path}.npy")
            seconds = time.perf_counter() - start
            self.first = cases.np.load(path + ".npy").flatten().tolist()
        self.first_ms = 1e3 * seconds

    def calibrate(self, block_s, a_round):
        """How many steps fill a block; past a round of batches, and always for gr_fit, whole rounds. Gives the seconds."""
        fit = self.name == "grape" and self.verb == "steps"
        n = a_round if fit else 1
        while True:
            t = self.work(n)
            if t > 0.5 * block_s or n >= 1000000:
                break
            n *= 2
        n = max(1, round(n * block_s / t))
        self.n = max(1, round(n / a_round)) * a_round if fit or n >= a_round else n
        t = self.work(self.n)
        self.settle()
        return t

    def memory(self, which):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) / MIB for line in f if line.startswith(which + ":"))

    def cpu(self):
        """Processor seconds of all its threads so far: what a busy machine does not change, but for threads that wait by
        spinning."""
        try:
            with open(f"/proc/{self.process.pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return float("nan")

    def block(self):
        before = self.cpu()
        self.blocks.append(1e3 * self.work(self.n) / self.n)
        self.cpu_s += self.cpu() - before
        self.settle()

    def settle(self):
        """Waits until its threads sleep: some spin for a while after their work, which is another side's time."""
        for _ in range(40):
            before = self.cpu()
            time.sleep(0.03)
            if self.cpu() - before < 0.02:
                break

    def record(self):
        median = statistics.median(self.blocks)
        return dict(info=" ".join(self.ask("info")), median_ms=median, min_ms=min(self.blocks),
                    cpu_ms=1e3 * self.cpu_s / (self.n * len(self.blocks)), first_ms=self.first_ms,
                    compile_ms=max(0.0, self.first_ms - median), before_mib=self.before,
                    growth_mib=self.memory("VmRSS") - self.before, peak_growth_mib=self.memory("VmHWM") - self.before,
                    first=self.first[:5], gap=self.gap, blocks_ms=self.blocks, steps_per_block=self.n)

    def quit(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()


def sides_of(a, workload, peers, options):
    """Name, command and variant of each side that there is."""
    program = os.path.join(a.build, "bench", "step_" + workload)
    found = [("grape", [program] + options, "")] if os.path.exists(program) and not a.no_grape else []
    for p in peers:
        module, variant, _ = PEERS[p]
        argv = [sys.executable, os.path.join(HERE, "peers", f"{module}_nets.py"), "--workload", workload] + options
        found.append((p, argv + (["--variant", variant] if variant else []), variant))
    return found


def peak_of(a, grape):
    if grape:
        return float(grape.ask("peak")[0])
    program = os.path.join(a.build, "bench", "peak")
    if not os.path.exists(program):
        return None
    lines = subprocess.run([program, str(a.threads)], capture_output=True, text=True).stdout.splitlines()
    return float(lines[-1].split()[-2]) if lines else None


def gap_of(side, judge, verb):
    """Losses: the largest relative difference; outputs: the largest difference."""
    pairs = list(zip(side.first, judge.first))
    if len(side.first) != len(judge.first):
        return float("inf")
    gap = max(abs(v / w - 1) if verb == "steps" else abs(v - w) for v, w in pairs)
    return gap if gap == gap else float("inf")


def compare_results(sides, verb):
    """Every side's gap to the peer whose results lie in the middle of all."""
    judges = [s for s in sides if s.name != "grape"] or sides
    judge = min(judges, key=lambda j: max(gap_of(s, j, verb) for s in sides))
    for s in sides:
        s.gap = gap_of(s, judge, verb)


def started(a, workload, peers, options, path, verb):
    """The sides that could be started; a peer that cannot is told and left out."""
    sides, block_s = [], a.block
    for name, argv, variant in sides_of(a, workload, peers, options):
        side = Side(name, argv, a.threads, variant)
        try:
            side.begin(path, verb)
            block_s = max(block_s, side.calibrate(block_s, cases.ROUND[workload]))
            sides.append(side)
        except Gone as e:
            side.quit()
            print(f"bench: {workload}: {name} failed: {e}", file=sys.stderr)
            a.failed = True
    return sides


def compare(a, workload, batch, peers, rounds, widths=None, verb="steps"):
    """One table's record."""
    widths = widths or [int(w) for w in a.widths.split(",")]
    options = ["--batch", str(batch), "--threads", str(a.threads)]
    options += ["--widths", ",".join(map(str, widths))] if workload == "mlp" else []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.npz")
        cases.write(path, workload, widths, batch, trained=verb == "calls")
        sides = started(a, workload, peers, options, path, verb)
        try:
            grape = next((s for s in sides if s.name == "grape"), None)
            if not sides:
                raise Gone("nothing to measure")
            if not grape and not a.no_grape:
                print(f"grape is missing: {a.build}/bench has no step_{workload} that works", file=sys.stderr)
                a.failed = True
            compare_results(sides, verb)
            peaks = [peak_of(a, grape)]
            for r in range(rounds):
                for s in sides[r % len(sides):] + sides[:r % len(sides)]:
                    s.block()
            peaks.append(peak_of(a, grape))
            records = {s.name: s.record() for s in sides}
        finally:
            for s in sides:
                s.quit()
    peak = max((p for p in peaks if p), default=None)
    record = {"workload": workload, "kind": "train" if verb == "steps" else "predict", "batch": batch, "threads": a.threads,
              "flops": cases.flops(workload, widths, batch, verb == "steps"), "peak_gflops": peak, "peaks": peaks,
              "agree": all(s.gap <= (1e-3 if verb == "steps" else 1e-5) for s in sides), "load_average": os.getloadavg()[0],
              "sides": records}
    if workload == "mlp":
        record["widths"] = widths
    fastest = min((r["median_ms"] for n, r in records.items() if n != "grape"), default=None)
    for r in records.values():
        r["gflops"] = record["flops"] / r["median_ms"] * 1e-6
        r["ratio"] = r["median_ms"] / fastest if fastest and record["agree"] else None
    return record


def show(record):
    r, predict = record, record["kind"] == "predict"
    unit, scale = ("us", 1e3) if predict else ("ms", 1)
    peak = r["peak_gflops"]
    print(f"\n{'predict ' if predict else ''}{r['workload']} {','.join(map(str, r.get('widths', [])))}, batch {r['batch']}, "
          f"{r['threads']} threads; FMA peak "
          + (f"{peak:.0f} GF/s (before and after: {', '.join(f'{p:.0f}' for p in r['peaks'])})" if peak else "not measured"))
    print(f"{'side':19} {'median ' + unit:>9} {'min':>8} {'cpu':>8} {'GF/s':>6} {'peak':>5} {'ratio':>6} {'first ms':>9} "
          f"{'compile':>8} {'growth MiB':>10} {'highest':>7}  gap")
    for name, s in r["sides"].items():
        median, low, cpu = (scale * s[key] for key in ("median_ms", "min_ms", "cpu_ms"))
        part, ratio = f"{100 * s['gflops'] / peak:.0f}%" if peak else "-", f"{s['ratio']:.2f}" if s["ratio"] else "-"
        print(f"{name:19} {median:9.3f} {low:8.3f} {cpu:8.2f} {s['gflops']:6.0f} {part:>5} {ratio:>6} {s['first_ms']:9.1f} "
              f"{s['compile_ms']:8.1f} {s['growth_mib']:10.1f} {s['peak_growth_mib']:7.1f}  {s['gap']:.0e}")
    if not r["agree"]:
        print("outputs differ by more than 1e-5: no ratio" if predict else "losses disagree by more than 1e-3: no ratio")


def evict(files):
    """Drops files from the file cache, as far as nobody else maps them."""
    for name in files:
        try:
            fd = os.open(name, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
        except OSError:
            pass


def mapped(side):
    with open(f"/proc/{side.process.pid}/maps") as f:
        return {line.split()[-1] for line in f if "/" in line.split()[-1]}


def startup(a, peers, starts=7, cold_starts=3):
    widths, batch = [int(w) for w in SIZES[0].split(",")], cases.BATCH["mlp"]
    options = ["--batch", str(batch), "--threads", str(a.threads), "--widths", SIZES[0]]
    times, maps = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.npz")
        cases.write(path, "mlp", widths, batch, batches=1)
        for i in range(starts + cold_starts):
            for name, argv, variant in sides_of(a, "mlp", peers, options):
                if i >= starts:
                    evict(maps[name] | {path})
                begin = time.perf_counter()
                side = Side(name, argv, a.threads, variant)
                side.ask("load " + path)
                side.ask("losses 1")
                times.setdefault(name, []).append(1e3 * (time.perf_counter() - begin))
                maps[name] = mapped(side)
                side.quit()
    sides = {n: {"median_ms": statistics.median(t[:starts]), "min_ms": min(t), "cold_ms": statistics.median(t[starts:]),
                 "starts_ms": t} for n, t in times.items()}
    print(f"\nstartup: process start to the end of the first step, {a.threads} threads")
    print(f"{'side':19} {'median ms':>10} {'min':>8} {'cold':>8}")
    for name, s in sides.items():
        print(f"{name:19} {s['median_ms']:10.1f} {s['min_ms']:8.1f} {s['cold_ms']:8.1f}")
    return {"workload": "startup", "kind": "startup", "widths": widths, "batch": batch, "threads": a.threads, "agree": True,
            "load_average": os.getloadavg()[0], "sides": sides}


def kernels(a, workload):
    """Runs bench/gemm or bench/conv, shows what it prints and keeps its rows' numbers."""
    program = os.path.join(a.build, "bench", workload)
    if not os.path.exists(program):
        raise Gone(f"{program} is missing")
    print(f"\n{workload}")
    rows = []
    process = subprocess.Popen([program], stdout=subprocess.PIPE, text=True, env=dict(os.environ, GRAPE_BENCH_JSON="1"))
    for line in process.stdout:
        if line.startswith("{"):
            rows.append(json.loads(line))
        else:
            print(line, end="", flush=True)
    if process.wait() != 0:
        raise Gone(f"{program} failed")
    return {"workload": workload, "kind": "kernels", "agree": True, "load_average": os.getloadavg()[0], "rows": rows}


def first_line(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, cwd=HERE).stdout.splitlines()[0]
    except (OSError, IndexError):
        return None


def found(path, pattern):
    """The first group of the first match in a file, or None."""
    try:
        with open(path) as f:
            match = re.search(pattern, f.read(), re.M)
            return match and match.group(1)
    except OSError:
        return None


def machine(a):
    cache = os.path.join(a.build, "CMakeCache.txt")
    compiler = found(cache, r"^CMAKE_C_COMPILER:\w+=(.*)$")
    flags = [found(cache, rf"^{name}:\w+=(.*)$") or "" for name in ("CMAKE_C_FLAGS", "CMAKE_C_FLAGS_RELEASE")]
    return {"cpu": found("/proc/cpuinfo", r"^model name\s*: (.*)$") or platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "flags": " ".join(flags).strip(),
            "os": found("/etc/os-release", r'^PRETTY_NAME="(.*)"$'), "kernel": platform.release(),
            "compiler": compiler and first_line(compiler, "--version"), "python": platform.python_version(),
            "commit": first_line("git", "log", "-1", "--format=%h"), "date": datetime.date.today().isoformat(),
            "settings": {k: os.environ[k] for k in SETTINGS if k in os.environ}}


def install(peers):
    """Installs what the peers need and lacks, in the versions that are pinned; Grape alone needs a numpy, any one."""
    with open(os.path.join(HERE, "peers", "requirements.txt")) as f:
        pins = dict(line.strip().split("==") for line in f if "==" in line)
    missing = []
    for package in sorted({"numpy"}.union(*(PEERS[p][2] for p in peers))) if peers else []:
        try:
            there = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            there = None
        if there != pins[package]:
            missing.append(f"{package}=={pins[package]}")
    if missing:
        print("installing " + " ".join(missing), flush=True)
        subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet"] + missing)


def scaling(runs):
    print("\ntime against work (1 = as the first row):")
    base = runs[0]
    for r in runs:
        cells = [f"{n} {s['median_ms'] / base['sides'][n]['median_ms'] / (r['flops'] / base['flops']):.2f}"
                 for n, s in r["sides"].items()]
        print(f"  {','.join(map(str, r['widths'])):22} {r['flops'] * 1e-6:8.0f} MFLOP   " + "   ".join(cells))


def measure(a, workload, peers):
    """The records of one word of the command line."""
    if workload in ("gemm", "conv"):
        return [kernels(a, workload)]
    if workload == "startup":
        return [startup(a, peers)]
    runs = []
    if workload == "predict":
        for net, batch in PREDICTIONS:
            runs.append(compare(a, net, batch, peers, a.rounds, verb="calls"))
            show(runs[-1])
        return runs
    for widths in [a.widths] + ([s for s in SIZES if s != a.widths] if a.sizes and workload == "mlp" else []):
        rounds = a.rounds if not runs else max(3, a.rounds // 3)
        runs.append(compare(a, workload, a.batch or cases.BATCH[workload], peers, rounds, [int(w) for w in widths.split(",")]))
        show(runs[-1])
    if len(runs) > 1:
        scaling(runs)
    return runs


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload", nargs="?", default="mlp", choices=TRAINING + ["predict", "gemm", "conv", "startup", "all"])
    p.add_argument("--peers", help="default: the two or three that were fastest")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--batch", type=int, help="default: the workload's own")
    p.add_argument("--widths", default=SIZES[0])
    p.add_argument("--sizes", action="store_true", help="other widths too: time must follow the work")
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--block", type=float, default=0.5, help="seconds a block")
    p.add_argument("--json", help="write everything there")
    p.add_argument("--build", default="build-bench")
    p.add_argument("--no-grape", action="store_true")
    a = p.parse_args()
    unknown = [x for x in (a.peers or "").split(",") if x and x not in PEERS]
    if unknown or a.threads < 1 or a.rounds < 1:
        p.error(f"unknown peer {unknown[0]}, known: {', '.join(PEERS)}" if unknown else "threads and rounds must be positive")
    a.failed = False
    return a


def main():
    global cases
    a = options()
    workloads = TRAINING + ["predict", "gemm", "conv", "startup"] if a.workload == "all" else [a.workload]
    peers = {w: [p for p in (FASTEST.get(w, "") if a.peers is None else a.peers).split(",") if p] for w in workloads}
    for w in workloads:  # onnxruntime predicts only
        peers[w] = [p for p in peers[w] if p != "onnxruntime" or w == "predict"]
    install({p for w in workloads for p in peers[w]})
    cases = importlib.import_module("cases")
    runs = []
    for w in workloads:
        try:
            runs += measure(a, w, peers[w])
        except Gone as e:
            print(f"bench: {w}: {e}", file=sys.stderr)
            a.failed = True
    for info in sorted({s["info"] for r in runs for s in r.get("sides", {}).values() if "info" in s}):
        print("  " + info)
    if a.json:
        with open(a.json, "w") as f:
            json.dump({"machine": machine(a), "runs": runs}, f, indent=1)
    return 1 if a.failed or not all(r["agree"] for r in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
