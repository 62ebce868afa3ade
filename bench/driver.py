"""bench/driver.py WORKLOAD: Grape beside its peers, in one run.  Called by bench/run, which makes the environment.

All sides get the same weights and batches; the first five losses must agree to 1e-3, else no ratio is printed and the
exit status is 1. Then 15 rounds: one block of steps of each side in turn, all blocks about equally long, so that a slow
minute of the machine hits every side alike. Medians count. The multiply-add peak is measured before and after, in the
Grape program's own process if it runs.

startup: from the start of the process to the end of its first training step (imports, reading weights and one batch of 1.9
MB, compiling), median of 7 starts each, taken in turn.
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))
import cases
from cases import ROUND

PEERS = {"jax": ("jax", ""), "torch": ("torch", ""), "torch-fused": ("torch", "fused"), "torch-compile": ("torch", "compile"),
         "torch-channels-last": ("torch", "channels-last"),
         "keras-jax": ("keras", "jax")}
SIZES = ["784,512,128,10", "256,256,64,10", "784,1024,256,10", "1024,1024,1024,10", "300,40,7"]


class Gone(Exception):
    pass


class Side:
    """A program that speaks the protocol of peers/protocol.py."""

    def __init__(self, name, argv, threads):
        env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}  # it would favour one side
        env.update(OMP_NUM_THREADS=str(threads), KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
        self.name, self.blocks, self.cpu_s = name, [], 0.0
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=env)
        self.info = " ".join(self.ask("info"))

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

    def losses(self, k):
        return [float(v) for v in self.ask(f"losses {k}")]

    def steps(self, n):
        return float(self.ask(f"steps {n}")[0])

    def calibrate(self, block_s):
        """How many steps fill a block; always whole rounds over the 16 batches."""
        n = ROUND
        if self.steps(n) > 2 * block_s:
            self.n = n
            return
        while True:
            t = self.steps(n)
            if t > 0.2 * block_s or n >= 100000:
                break
            n *= 2
        self.n = ROUND * max(1, round(n * block_s / t / ROUND))
        self.steps(self.n)

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
        self.blocks.append(1e3 * self.steps(self.n) / self.n)
        self.cpu_s += self.cpu() - before

    def quit(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()


def cpu_name():
    try:
        with open("/proc/cpuinfo") as f:
            return next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def peak_of(a, grape):
    if grape:
        return float(grape.ask("peak")[0])
    program = os.path.join(a.build, "bench", "peak")
    if not os.path.exists(program):
        return None
    lines = subprocess.run([program, str(a.threads)], capture_output=True, text=True).stdout.splitlines()
    return float(lines[-1].split()[-2]) if lines else None


def compare(a, widths, peers, rounds, block_s):
    """One table. Gives its record, or raises Gone."""
    text = ",".join(map(str, widths))
    options = ["--batch", str(a.batch), "--threads", str(a.threads)] + (["--widths", text] if a.workload == "mlp" else [])
    text = text if a.workload == "mlp" else "as peers/cases.py has it"
    sides, record = [], {"workload": a.workload, "widths": widths, "batch": a.batch}
    grape = None
    try:
        for name, argv in sides_of(a, peers, options):
            sides.append(Side(name, argv, a.threads))
            grape = sides[-1] if name == "grape" else grape
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "case.npz")
            cases.write(path, a.workload, widths, a.batch)
            for s in sides:
                s.ask("load " + path)
                s.first = s.losses(5)
            judge = sides[-1] if len(sides) == 1 else next(s for s in sides if s is not grape)
            for s in sides:
                s.gap = max(abs(v / w - 1) for v, w in zip(s.first, judge.first))
            agree = all(s.gap <= 1e-3 for s in sides)
            for s in sides:
                s.ask("load " + path)
                s.calibrate(block_s)
        peaks = [peak_of(a, grape)]
        for r in range(rounds):
            for s in sides[r % len(sides):] + sides[:r % len(sides)]:
                s.block()
        peaks.append(peak_of(a, grape))
    finally:
        for s in sides:
            s.quit()
    peak = max((p for p in peaks if p), default=None)
    flops = cases.flops(a.workload, widths, a.batch)
    fastest = min((s for s in sides if s is not grape), key=lambda s: statistics.median(s.blocks), default=None)
    record.update(flops=flops, peak_gflops=peak, peaks=peaks, agree=agree, load_average=os.getloadavg()[0], sides={})
    print(f"\n{a.workload} {text}, batch {a.batch}, {a.threads} threads; FMA peak "
          + (f"{peak:.0f} GF/s (before and after: {', '.join(f'{p:.0f}' for p in peaks)})" if peak else "not measured"))
    print(f"{'side':14} {'median ms':>10} {'min ms':>8} {'GF/s':>7} {'of peak':>8} {'cpu ms':>8} {'to fastest peer':>16}  losses agree")
    for s in sides:
        median, low = statistics.median(s.blocks), min(s.blocks)
        rate = flops / median * 1e-6
        ratio = median / statistics.median(fastest.blocks) if fastest and agree else None
        cpu_ms = 1e3 * s.cpu_s / (s.n * len(s.blocks))
        record["sides"][s.name] = dict(info=s.info, median_ms=median, cpu_ms=cpu_ms, min_ms=low, gflops=rate, first_losses=s.first,
                                       loss_gap=s.gap, ratio=ratio, blocks_ms=s.blocks, steps_per_block=s.n)
        print(f"{s.name:14} {median:10.3f} {low:8.3f} {rate:7.0f} {f'{100 * rate / peak:.0f} %' if peak else '-':>8} {cpu_ms:8.2f} "
              f"{f'{ratio:.2f}' if ratio else '-':>16}  {s.gap:.0e}")
    if not agree:
        print("losses disagree by more than 1e-3: no ratio")
    return record


def sides_of(a, peers, options):
    """Name and command of each side that there is."""
    workload = "mlp" if a.workload == "startup" else a.workload
    program = os.path.join(a.build, "bench", "step_" + workload)
    found = [("grape", [program] + options)] if os.path.exists(program) and not a.no_grape else []
    for p in peers:
        module, variant = PEERS[p]
        script = f"{module}_mlp.py" if workload == "mlp" else f"{module}_nets.py"
        argv = [sys.executable, os.path.join(HERE, "peers", script)] + options
        argv += [] if workload == "mlp" else ["--workload", workload]
        found.append((p, argv + (["--variant", variant] if variant else [])))
    return found


def startup(a, widths, peers, starts=7):
    options = ["--batch", str(a.batch), "--threads", str(a.threads), "--widths", ",".join(map(str, widths))]
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.npz")
        cases.write(path, "mlp", widths, a.batch, batches=1)
        for _ in range(starts):
            for name, argv in sides_of(a, peers, options):
                begin = time.perf_counter()
                side = Side(name, argv, a.threads)
                side.ask("load " + path)
                side.losses(1)
                times.setdefault(name, []).append(1e3 * (time.perf_counter() - begin))
                side.quit()
    print(f"\nstartup: process start to the end of the first step, {a.threads} threads")
    print(f"{'side':14} {'median ms':>10} {'min ms':>8}")
    for name, t in times.items():
        print(f"{name:14} {statistics.median(t):10.1f} {min(t):8.1f}")
    return {"workload": "startup", "widths": widths, "batch": a.batch, "agree": True, "load_average": os.getloadavg()[0],
            "sides": {n: {"median_ms": statistics.median(t), "min_ms": min(t), "starts_ms": t} for n, t in times.items()}}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload", choices=["mlp", "cnn", "resnet20", "gpt", "lstm", "startup"])
    p.add_argument("--peers", default="jax,torch-fused")
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
    a.batch = a.batch or cases.BATCH.get(a.workload, 128)
    peers = [x for x in a.peers.split(",") if x]
    unknown = [x for x in peers if x not in PEERS]
    if unknown or a.threads < 1 or a.rounds < 1:
        p.error(f"unknown peer {unknown[0]}, known: {', '.join(PEERS)}" if unknown else "threads and rounds must be positive")
    runs, failed = [], False
    tables = [a.widths] + ([s for s in SIZES if s != a.widths] if a.sizes and a.workload == "mlp" else [])
    for i, widths in enumerate(tables):
        try:
            if a.workload == "startup":
                runs.append(startup(a, [int(w) for w in widths.split(",")], peers))
                continue
            runs.append(compare(a, [int(w) for w in widths.split(",")], peers, a.rounds if i == 0 else max(3, a.rounds // 3), a.block))
            failed |= not runs[-1]["agree"]
        except Gone as e:
            print(f"bench: {widths}: a side failed: {e}", file=sys.stderr)
            failed = True
    for s in (runs[0]["sides"].values() if runs else []):
        if "info" in s:
            print("  " + s["info"])
    if not os.path.exists(os.path.join(a.build, "bench", "step_" + ("mlp" if a.workload == "startup" else a.workload))) and not a.no_grape:
        print(f"grape is missing: {a.build}/bench has no program for {a.workload}", file=sys.stderr)
        failed = True
    if len(runs) > 1:
        print("\ntime against work (1 = as the first row):")
        base = runs[0]
        for r in runs:
            cells = [f"{n} {s['median_ms'] / base['sides'][n]['median_ms'] / (r['flops'] / base['flops']):.2f}"
                     for n, s in r["sides"].items()]
            print(f"  {','.join(map(str, r['widths'])):22} {r['flops'] * 1e-6:8.0f} MFLOP   " + "   ".join(cells))
    if a.json:
        machine = {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "date": datetime.date.today().isoformat(),
                   "kernel": platform.release()}
        with open(a.json, "w") as f:
            json.dump({"machine": machine, "python": platform.python_version(), "threads": a.threads, "runs": runs}, f, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
