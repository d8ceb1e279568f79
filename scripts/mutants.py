"""Plant small mistakes in the code and see whether the tests notice: ``make mutants``.

    python scripts/mutants.py [--modules statistics,losses] [--files '*/fusion.py'] [--sample 30]
                              [--minutes 20] [--children 1] [--json FILE]

mutmut (the extra ``mutants``) makes the mistakes, one at a time: another operator, number, argument
or default, None for a value. Each module is run in a copy of the checkout with the tests that are
meant for it. A mutant that no test fails for survives; docs/reliability.md lists survivors with the
reason.

A mutant meets the quick tests that call its function, and if it survives those, the other quick
tests of the same files, since mutmut takes what a shared fixture or an import calls for called by
one test only.

What is known is kept in out/mutants/MODULE.json, and the next run tests only what is missing:
mutants of changed functions, survivors, and those that the time did not suffice for. ``--fresh``
forgets it.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGINE_TESTS = "test/inference/engines/test_engines.py"
# What is mutated, as globs below bisenet_ros/, and the tests that should notice.
MODULES = {
    "losses": (["training/losses.py"], ["test/training/test_losses.py"]),
    "statistics": (
        ["ros/segmentation/statistics.py", "ros/segmentation/diagnostics.py"],
        ["test/ros/segmentation/test_statistics.py"],
    ),
    "scheduler": (
        ["ros/segmentation/scheduler.py"],
        ["test/ros/segmentation/test_scheduler.py"],
    ),
    "messages": (["ros/messages.py"], ["test/ros/test_messages.py"]),
    "encodings": (
        ["inference/image_encodings.py"],
        ["test/inference/test_image_encodings.py", "test/inference/test_hostile_images.py"],
    ),
    "metrics": (["metrics/*.py"], ["test/metrics"]),
    "networks": (
        ["networks/*.py"],
        ["test/networks"],
    ),
    "inference": (
        ["inference/*.py", "inference/cpu/*.py", "inference/engines/*.py", "inference/export/*.py"],
        [
            "test/inference",
            "--ignore=test/inference/cuda",
            "--ignore=test/inference/test_hostile_images.py",
            "--ignore=test/inference/test_image_encodings.py",
            # What takes longest, so that timing the tests does not take longer than mutants do.
            "--ignore=test/inference/test_every_network.py",
            f"--deselect={ENGINE_TESTS}::test_masks_of_real_frames_differ_by_no_more_than_the_limit",
            f"--deselect={ENGINE_TESTS}::test_logits_equal_the_plain_network[compile-fp32]",
            f"--deselect={ENGINE_TESTS}::test_batches_and_sizes_that_are_not_multiples[compile]",
            "--deselect=test/inference/cpu/test_pipeline.py"
            "::test_memory_is_flat_over_five_hundred_frames",
        ],
    ),
}
ELSEWHERE = ("inference/image_encodings.py",)  # a module of its own
SETTINGS = """
[tool.mutmut]
source_paths = ["bisenet_ros"]
only_mutate = {only}
also_copy = {copied}
pytest_add_cli_args = [
    "-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "frozen", "--hypothesis-seed=0"
]
pytest_add_cli_args_test_selection = {tests}
process_isolation = "forkserver"
forkserver_warmup = "{warm_up}"
preload_modules_file = "preloaded.txt"
use_git_change_detection = false
timeout_constant = 5.0
timeout_multiplier = 3.0
"""
COPIED = ("config", "weights", "launch", "scripts", "setup.py", "package.xml", "resource", "docs")
# Imported once; our own modules and the tests in each mutant's process, where they may fail.
PRELOADED = """
cv2 hypothesis.extra.numpy numpy onnx onnxruntime openvino pytest safetensors.torch torch torch.fx
torch.onnx torch.utils.flop_counter torchmetrics.functional.classification yaml
diagnostic_msgs.msg rclpy sensor_msgs.msg std_msgs.msg
"""
# Half of a mutant's time would go into collecting the garbage of what was imported before it.
# Timing all tests runs hundreds in one process, whose networks and engines would fill the memory.
FROZEN = """
import gc, itertools

DONE = itertools.count(1)

def pytest_collection_finish():
    gc.freeze()
    gc.disable()

def pytest_runtest_teardown():
    if next(DONE) % 25 == 0:
        gc.collect()
"""
KILLED = (
    "killed",
    "timeout",
    "segfault",
    "caught by type check",
    "check was interrupted by user",  # what pytest's exit code means when an import fails
)
QUICK_S = 3.0  # slower tests are left out, unless a function has no other
FIRST_S, SECOND_S = 6.0, 20.0  # time of the tests in the first and the second round
# The names of a file's mutants, which mutmut itself tells only after it has run the tests.
LIST = """
import json, sys
from pathlib import Path
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name
made = {}
for path in map(Path, sys.argv[1:]):
    file = mutate_file_contents(str(path), path.read_text())
    hashes = file.hash_by_function_name
    made[str(path)] = {
        get_mutant_name(path, name): hashes.get(name.partition("__mutmut_")[0], "")
        for name in file.mutant_names
    }
print(json.dumps(made))
"""
# The tests have just passed when they were timed: no need to run them all again without a mutant.
RUN = """
from mutmut.__main__ import cli
from mutmut.workers.isolation import ForkServerRunner
ForkServerRunner.run_clean_tests = lambda self, tests: 0
cli()
"""
SHOW = """
import json, sys
from mutmut.mutation.diff_apply import find_mutant, get_diff_for_mutant
print(json.dumps({x: get_diff_for_mutant(x, path=find_mutant(x).path) for x in sys.argv[1:]}))
"""


def main() -> int:
    """Run the chosen modules; 1 if one is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", default=",".join(MODULES), help="comma-separated")
    parser.add_argument("--files", default="*", help="glob of the source files' paths")
    parser.add_argument("--sample", type=int, help="mutants per file, chosen with a fixed seed")
    parser.add_argument("--minutes", type=float, help="time for one module; the rest waits")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--state", type=Path, default=ROOT / "out" / "mutants")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    parser.add_argument("--json", type=Path, help="write counts and survivors")
    parser.add_argument("--bar", type=float, default=0.0, help="least share killed, 0 to 1")
    given = parser.parse_args()
    # A shell starts what is in the background with SIGINT ignored, which stops mutmut in time.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = {}
    for name in given.modules.split(","):
        found[name] = counts = Run(name, given).counts()
        print(
            f"{name}: {counts['killed']} of {counts['tested']} killed ({counts['share']:.0%}); "
            f"the module has {counts['mutants']}",
            flush=True,
        )
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(any(counts["share"] < given.bar for counts in found.values()))


class Run:
    """One module's mutants in a copy of the checkout.

    Args:
        module: a key of ``MODULES``.
        given: the command's options.
    """

    def __init__(self, module: str, given: argparse.Namespace) -> None:
        self.given = given
        self.sources, self.tests = MODULES[module]
        self.state = given.state / f"{module}.json"
        self.log = given.state / f"{module}.log"
        self.ends = time.monotonic() + 60 * (given.minutes or 1e6)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

    def counts(self) -> dict:
        """Test the mutants not known to be killed; counts per file and in all, and survivors."""
        with tempfile.TemporaryDirectory(prefix="bisenet_ros-mutants-") as folder:
            self.copy = Path(folder) / "checkout"
            self.environment["PYTHONPATH"] = folder
            _copy(self.copy)
            files = self._files()
            self._configure(files, "collect")
            (Path(folder) / "frozen.py").write_text(FROZEN)
            (self.copy / "preloaded.txt").write_text("\n".join(PRELOADED.split()))
            made = json.loads(self._python(["-c", LIST, *files]))
            known = self._known(made)
            wanted = [
                name
                for path in files
                for name in self._chosen(path, made[path])
                if known.get(name, {}).get("status") not in KILLED
            ]
            if wanted:
                self._test(wanted, known, made)
        return _summary(made, known)

    def _configure(self, files: list[str], warm_up: str) -> None:
        """Write mutmut's settings.

        Args:
            files: what is mutated.
            warm_up: ``collect`` to run each mutant in a copy of a process that has imported all,
                or ``import`` in one that has not: what runs on import is mutated there only.
        """
        settings = SETTINGS.format(
            only=json.dumps(files),
            copied=json.dumps(list(COPIED)),
            tests=json.dumps(self.tests),
            warm_up=warm_up,
        )
        (self.copy / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + settings)

    def _files(self) -> list[str]:
        paths = (path for glob in self.sources for path in self.copy.glob(f"bisenet_ros/{glob}"))
        names = sorted({path.relative_to(self.copy).as_posix() for path in paths})
        own = [name for name in names if name.removeprefix("bisenet_ros/") not in ELSEWHERE]
        return [name for name in own or names if fnmatch.fnmatch(name, self.given.files)]

    def _known(self, made: dict[str, dict[str, str]]) -> dict[str, dict]:
        """Results of earlier runs, for functions that are still the same."""
        if self.given.fresh or not self.state.is_file():
            return {}
        hashes = {name: hash for mutants in made.values() for name, hash in mutants.items()}
        earlier = json.loads(self.state.read_text())
        # Files that this run leaves out keep their results.
        return {
            name: result
            for name, result in earlier.items()
            if result["function"] == hashes.get(name, result["function"])
        }

    def _chosen(self, path: str, mutants: dict[str, str]) -> list[str]:
        """The file's mutants, or a sample that is the same every time."""
        names = sorted(mutants)
        random.Random(path).shuffle(names)  # a larger sample holds the smaller one
        return names[: self.given.sample]

    def _test(
        self, names: list[str], known: dict[str, dict], made: dict[str, dict[str, str]]
    ) -> None:
        """Run the mutants in two rounds; ``known`` takes their statuses."""
        files = list(made)
        hashes = {name: hash for mutants in made.values() for name, hash in mutants.items()}
        random.Random(0).shuffle(names)  # if the time runs out, it runs out for all files
        self._mutmut(names[:1])  # makes all mutants and times the tests
        stats = self.copy / "mutants" / "mutmut-stats.json"
        if not stats.is_file():
            print(f"the time was over before the tests were timed; see {self.log}")
            return
        timed = json.loads(stats.read_text())
        every = timed["tests_by_mangled_function_name"]
        durations = timed["duration_by_test"]
        for round_s in (FIRST_S, SECOND_S):
            if round_s == SECOND_S:
                self._configure(files, "import")
                every = {name: _same_files(tests, durations) for name, tests in every.items()}
            chosen = {name: _quick(tests, durations, round_s) for name, tests in every.items()}
            now = json.loads(stats.read_text())
            stats.write_text(json.dumps({**now, "tests_by_mangled_function_name": chosen}))
            self._mutmut(names)
            statuses = self._statuses()
            done = [name for name in names if statuses.get(name, "not checked") != "not checked"]
            changes = self._changes([name for name in done if statuses[name] not in KILLED])
            for name in done:
                known[name] = {"status": statuses[name], "function": hashes[name]}
                if name in changes:
                    known[name]["change"] = changes[name]
            self.state.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
            names = [name for name in names if statuses.get(name) == "survived"]
            if not names:
                break

    def _mutmut(self, names: list[str]) -> None:
        """Let mutmut test these mutants until the module's time is over."""
        line = [sys.executable, "-c", RUN, "run", "--max-children", str(self.given.children)]
        left = self.ends - time.monotonic()
        if left <= 0:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*line, *names], cwd=self.copy, env=self.environment, stdout=log, stderr=log
            )
        try:
            if process.wait(left):
                raise SystemExit(f"mutmut failed ({process.returncode}); see {self.log}")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it keeps the results it has
            process.wait()

    def _statuses(self) -> dict[str, str]:
        shown = self._python(["-m", "mutmut", "results", "--all", "true"])
        pairs = (line.strip().rsplit(": ", 1) for line in shown.splitlines() if ": " in line)
        return dict(pairs)

    def _changes(self, names: list[str]) -> dict[str, list[str]]:
        """The changed lines of mutants, as in a diff."""
        shown = json.loads(self._python(["-c", SHOW, *names]))
        return {
            name: [x for x in diff.splitlines() if x[:1] in "+-" and x[:3] not in ("+++", "---")]
            for name, diff in shown.items()
        }

    def _python(self, arguments: list[str]) -> str:
        line = [sys.executable, *arguments]
        done = subprocess.run(line, cwd=self.copy, env=self.environment, capture_output=True)
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        return done.stdout.decode()


def _same_files(tests: list[str], durations: dict[str, float]) -> list[str]:
    """All tests of the files that these tests are from."""
    files = {test.partition("::")[0] for test in tests}
    return [test for test in durations if test.partition("::")[0] in files]


def _quick(tests: list[str], durations: dict[str, float], most_s: float) -> list[str]:
    """The quickest tests, which together take no longer than ``most_s``; at least one."""
    ordered = sorted(tests, key=lambda test: (durations[test], test))
    chosen, total_s = ordered[:1], sum(durations[test] for test in ordered[:1])
    for test in ordered[1:]:
        total_s += durations[test]
        if durations[test] > QUICK_S or total_s > most_s:
            break
        chosen.append(test)
    return chosen


def _copy(target: Path) -> None:
    """The files of the checkout that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def _summary(made: dict[str, dict[str, str]], known: dict[str, dict]) -> dict:
    """Counts in all and per file, and the survivors' changes, of the files of this run."""
    files = {}
    for path, mutants in made.items():
        statuses = Counter(known[name]["status"] for name in mutants if name in known)
        killed = sum(statuses[status] for status in KILLED)
        tested = statuses.total() - statuses["skipped"]
        files[path] = {"mutants": len(mutants), "tested": tested, "killed": killed}
    sums = {key: sum(x[key] for x in files.values()) for key in ("mutants", "tested", "killed")}
    return {
        **sums,
        "share": sums["killed"] / max(1, sums["tested"]),
        "files": files,
        "survivors": {
            name: known[name]["change"]
            for mutants in made.values()
            for name in mutants
            if known.get(name, {}).get("status", "skipped") not in (*KILLED, "skipped")
        },
    }


if __name__ == "__main__":
    sys.exit(main())
