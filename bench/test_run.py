#!/usr/bin/env python3
"""bench/run and bench/plot.py: a run against all servers works, with Bun and without, and figures become the right rows. Run by CTest."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
import urllib.request
import xml.etree.ElementTree
from unittest import mock

BENCH = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(BENCH / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


run, plot = load("run"), load("plot.py")


def figures(per_second, cpu, busy=0.5):
    return {"per_second": per_second, "p99_us": 10.0, "server_cpu_us": cpu, "load_busy": busy}


RESULTS = {"echo1": {"convene": figures(300000, 5.0, 0.99), "reference": figures(100000, 20.0), "floor": figures(310000, 4.0)}}
WITH_BUN = {"echo1": {**RESULTS["echo1"], "bun": figures(150000, 2.5)}}


class Rows(unittest.TestCase):
    def row(self, field):
        return next(row for row in run.rows_of(RESULTS) if row["field"] == field)

    def test_better_is_above_one_either_way(self):
        self.assertEqual(self.row("per_second")["better"], 3)
        self.assertEqual(self.row("server_cpu_us")["better"], 4)
        self.assertEqual(self.row("p99_us")["better"], 1)

    def test_the_bound_load_generator_shows(self):
        line = run.lines_of(run.rows_of(RESULTS), False)[2]
        self.assertIn("≥ 300 000", line)
        self.assertNotIn("≥ 100 000", line)
        self.assertEqual(self.row("server_cpu_us")["bound"], [])

    def test_only_what_was_measured(self):
        self.assertEqual({row["measure"] for row in run.rows_of(RESULTS)}, {"echo1"})
        self.assertEqual(run.rows_of({}), [])

    def test_nothing_is_divided_by_nothing(self):
        idle = {name: {"bytes_a_connection": 0.0, "rss_bytes": 100} for name in run.SERVERS}
        rows = run.rows_of({"idle": idle})
        self.assertEqual([row["better"] for row in rows], [None, 1])
        self.assertEqual(len(run.lines_of(rows, True)), 4)

    def test_bun_has_its_own_ratio(self):
        rows = {row["field"]: row for row in run.rows_of(WITH_BUN)}
        self.assertEqual([rows["per_second"][field] for field in ("better", "bun", "better_than_bun")], [3, 150000, 2])
        self.assertEqual(rows["server_cpu_us"]["better_than_bun"], 0.5)
        head, _, line, *_ = run.lines_of(run.rows_of(WITH_BUN), False)
        self.assertRegex(head, r"Convene +Socket.IO on Node +better by +Socket.IO on Bun +better by +floor$")
        self.assertRegex(line, r"≥ 300 000 +100 000 +3\.0× +150 000 +2\.0× +310 000$")

    def test_without_bun_there_is_no_column(self):
        self.assertEqual([row["better_than_bun"] for row in run.rows_of(RESULTS)], [None] * 3)
        self.assertNotIn("Bun", "\n".join(run.lines_of(run.rows_of(RESULTS), True)))

    def test_a_measure_that_bun_failed(self):
        rows = run.rows_of({**WITH_BUN, "connect": RESULTS["echo1"]})
        line = next(line for line in run.lines_of(rows, True) if "connect and leave" in line)
        self.assertRegex(line, r"3\.0× \| +- \| +- \| +310 000 \|$")

    def test_memory_that_shrank_has_no_ratio(self):
        idle = {name: {"bytes_a_connection": -5.0, "rss_bytes": 100} for name in run.SERVERS}
        self.assertEqual(run.rows_of({"idle": {**idle, "convene": {"bytes_a_connection": 5.0}}})[0]["better"], None)

    def test_medians(self):
        self.assertEqual(run.medians([{"a": 1, "b": 1}, {"a": 5}, {"a": 2, "mode": "x"}]), {"a": 2})

    def test_floor(self):
        self.assertEqual(run.over_the_floor({}), "")
        self.assertIn("echo, 1 under way 1.25×", run.over_the_floor(RESULTS))

    def test_every_row_has_its_measure(self):
        self.assertLessEqual({row[0] for row in run.ROWS}, {measure[0] for measure in run.MEASURES})


class Docs(unittest.TestCase):
    def test_only_what_is_between_the_marks_changes(self):
        options = types.SimpleNamespace(rounds=3, seconds=2.0)
        with tempfile.TemporaryDirectory() as folder:
            run.ROOT = pathlib.Path(folder)
            (run.ROOT / "docs").mkdir()
            path = run.ROOT / "docs" / "benchmarks.md"
            real = (BENCH.parent / "docs" / "benchmarks.md").read_text()
            path.write_text(real)
            run.write_docs(RESULTS, run.rows_of(RESULTS), options, 0)
            first = path.read_text()
            run.write_docs(RESULTS, run.rows_of(RESULTS), options, 0)
            self.assertEqual(path.read_text(), first)
            for part in (0, -1):
                self.assertEqual(first.split("<!--")[part], real.split("<!--")[part])
            self.assertRegex(first, r"\| ≥ 300 000 +\| +100 000 +\| +3\.0× \| +310 000 \|")
            xml.etree.ElementTree.parse(run.ROOT / "docs" / "benchmarks.svg")
            with mock.patch.object(run, "BUN", "node"):
                run.write_docs(WITH_BUN, run.rows_of(WITH_BUN), options, 0)
            self.assertRegex(path.read_text(), r"\| +3\.0× \| +150 000 \| +2\.0× \| +310 000 \|")
            self.assertRegex(path.read_text(), r"; Bun \S+, @socket.io/bun-engine \d")
            self.assertIn("Socket.IO on Bun", (run.ROOT / "docs" / "benchmarks.svg").read_text())
            path.write_text("no marks")
            with self.assertRaises(SystemExit):
                run.write_docs(RESULTS, run.rows_of(RESULTS), options, 0)


class Plot(unittest.TestCase):
    def bars(self, rows):
        svg = xml.etree.ElementTree.fromstring(plot.draw(rows))
        bars = [bar for bar in svg.iter("{http://www.w3.org/2000/svg}rect")][1:]
        self.assertTrue(all(plot.LABELS - 1 <= float(bar.get("x")) <= plot.WIDTH - plot.RIGHT for bar in bars))
        return [bar.get("fill") for bar in bars], "".join(svg.itertext())

    def test_a_bar_for_each_row(self):
        rows = run.rows_of(RESULTS)
        rows[1] = {**rows[1], "what": "<its> & more", "better": 0.25}
        fills, words = self.bars(rows)
        self.assertEqual(len(fills), len(rows))
        self.assertEqual(fills.count(plot.WORSE), 1)
        self.assertNotIn("Bun", words)

    def test_two_bars_where_bun_has_figures(self):
        rows = run.rows_of({**WITH_BUN, "connect": RESULTS["echo1"]})
        fills, words = self.bars(rows)
        self.assertEqual(len(fills), len(rows) + 3)
        self.assertEqual(fills.count(plot.WORSE), 1)
        self.assertEqual(fills.count(plot.SERIES[1][3]), 2)
        self.assertIn("300 k / 100 k / 150 k messages/s", words)
        self.assertIn("300 k / 100 k / - connections/s", words)


class Bun(unittest.TestCase):
    """It is measured where it runs; where it does not, the run says so and does the rest."""

    def why(self, *command):
        with mock.patch.dict(run.SERVERS, bun=command), mock.patch.object(run, "BUN", command[0]), \
                mock.patch.object(run, "START_SECONDS", 0.2):
            return run.why_no_bun()

    def test_why_not(self):
        self.assertIn("not installed", self.why(None))
        self.assertIn("No such file", self.why("/nowhere/bun"))
        self.assertIn("ended with status 3", self.why("sh", "-c", "exit 3"))
        self.assertIn("ended by SIGILL", self.why("sh", "-c", "kill -ILL $$"))
        self.assertIn("ended with status 0", self.why("echo", "listening on 127.0.0.1:"))
        self.assertIn("is silent for 0.2 s", self.why("sleep", "60"))
        self.assertIn("is silent for 0.2 s", self.why("sh", "-c", "printf listening; exec sleep 60"))
        self.assertIn("does not say where", self.why("sh", "-c", "echo 'listening on 127.0.0.1:x'; exec sleep 60"))
        self.assertIsNone(self.why("sh", "-c", "echo listening on 127.0.0.1:1; exec sleep 60"))

    def test_a_run_without_it(self):
        done = subprocess.run([BENCH / "run", "--quick", "--only", "echo1"], capture_output=True, text=True, timeout=150,
                              env={**os.environ, "CONVENE_BUN": "/bin/false"})
        self.assertEqual((done.returncode, done.stderr),
                         (0, "bench/run: going on without Bun: the server 'bun' does not start: ended with status 1\n"))
        self.assertIn("echo with acknowledgement", done.stdout)
        self.assertNotIn("Bun", done.stdout)

    def results(self, failing, has_bun=True):
        """Of a run of two rounds in which the measure "connect" of the server `failing` fails in the second."""
        asked = []

        def measure(name, arguments, *_):
            asked.append((name, arguments))
            if (name, arguments) == (failing, "connect") and asked.count((name, arguments)) == 2:
                raise run.ServerFailed(f"'{arguments}' failed on the server '{name}'")
            return {"mode": arguments, **figures(asked.count((name, arguments)), 1.0)}

        options = types.SimpleNamespace(quick=True, only="", rounds=2, seconds=1, warmup=0)
        said = io.StringIO()
        with mock.patch.object(run, "measure", measure), contextlib.redirect_stderr(said):
            return run.run_all(options, has_bun), said.getvalue()

    def test_what_it_fails_is_left_out(self):
        results, said = self.results("bun")
        self.assertEqual(said, "bench/run: 'connect' failed on the server 'bun'; going on without this figure of it\n")
        self.assertEqual(list(results["connect"]), ["convene", "reference", "floor"])
        self.assertEqual(list(results["echo1"]), list(run.SERVERS))
        self.assertEqual(results["idle"]["bun"], figures(1.5, 1.0))

    def test_the_others_must_not_fail(self):
        for name in ("convene", "reference", "floor"):
            with self.assertRaises(run.ServerFailed):
                self.results(name)

    def test_it_is_not_asked_when_it_does_not_run(self):
        results, said = self.results("bun", has_bun=False)
        self.assertEqual(said, "")
        self.assertNotIn("bun", [name for runs in results.values() for name in runs])


class Contract(unittest.TestCase):
    """Every server that is measured does the work of every measure, in both namespaces. The load generator checks it."""

    LITTLE = ["--connections", "4", "--members", "4", "--rooms", "3", "--seconds", "0.1", "--warmup", "0.02"]

    def fulfils(self, name):
        with run.running(name) as (process, port):
            for arguments in sorted({arguments for _, arguments, _, _ in run.MEASURES}):
                arguments = arguments.replace("--publishers 8", "--publishers 4")
                done = subprocess.run([run.BUILD / "convene-load", *arguments.split(), *self.LITTLE, "--port", str(port)],
                                      capture_output=True, text=True, timeout=60)
                self.assertEqual((arguments, done.returncode, done.stderr), (arguments, 0, ""))
            url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
            sid = json.loads(self.fetch(url)[1:])["sid"]
            for packet, answer in [("40", "40{"), ("40/bench,", "40/bench,{"), ('42/bench,1["join","a"]', "43/bench,1[]"),
                                   ('42/bench,["pub","a","x"]', '42/bench,["msg","x"]')]:
                self.assertEqual(self.fetch(f"{url}&sid={sid}", packet), "ok")
                self.assertTrue(self.fetch(f"{url}&sid={sid}").startswith(answer), packet)

    @staticmethod
    def fetch(url, body=None):
        with urllib.request.urlopen(url, body and body.encode(), 30) as answer:
            return answer.read().decode()

    def test_convene(self):
        self.fulfils("convene")

    def test_reference(self):
        self.fulfils("reference")

    def test_bun(self):
        why = run.why_no_bun()
        if why is not None:
            self.skipTest(why)
        self.fulfils("bun")


class Whole(unittest.TestCase):
    def test_quick_run(self):
        done = subprocess.run([BENCH / "run", "--quick", "--only", "open1"], capture_output=True, text=True, timeout=150)
        why = run.why_no_bun()
        self.assertEqual((done.returncode, done.stderr), (0, f"bench/run: going on without Bun: {why}\n" if why else ""))
        self.assertEqual("Socket.IO on Bun" in done.stdout, why is None)
        self.assertIn("latency of 40 broadcasts/s", done.stdout)
        self.assertNotIn("echo", done.stdout)

    def test_missing_programs_are_named(self):
        done = subprocess.run([BENCH / "run", "--quick"], capture_output=True, text=True,
                              env={**os.environ, "CONVENE_BUILD_DIR": "/nowhere"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/convene-bench-server", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_a_failing_load_generator_fails_the_run(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("convene-bench-server", "convene-bench-floor"):
                (pathlib.Path(folder) / name).symlink_to(run.BUILD / name)
            (pathlib.Path(folder) / "convene-load").symlink_to("/bin/false")
            done = subprocess.run([BENCH / "run", "--quick", "--only", "echo1"], capture_output=True, text=True,
                                  env={**os.environ, "CONVENE_BUILD_DIR": folder})
        self.assertEqual(done.returncode, 1)
        self.assertIn("'echo' failed on the server 'convene'", done.stderr)

    def test_write_wants_all(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            sys.argv = ["run", "--write", "--quick"]
            run.main()


if __name__ == "__main__":
    unittest.main()
