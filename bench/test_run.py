#!/usr/bin/env python3
"""bench/run and bench/plot.py: a run against all three servers works, and figures become the right rows. Run by CTest."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree

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

    def test_floor(self):
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
            path.write_text("no marks")
            with self.assertRaises(SystemExit):
                run.write_docs(RESULTS, run.rows_of(RESULTS), options, 0)


class Plot(unittest.TestCase):
    def test_a_bar_for_each_row(self):
        rows = run.rows_of(RESULTS)
        rows[1] = {**rows[1], "what": "<its> & more", "better": 0.25}
        svg = xml.etree.ElementTree.fromstring(plot.draw(rows))
        bars = [bar for bar in svg.iter("{http://www.w3.org/2000/svg}rect")][1:]
        self.assertEqual(len(bars), len(rows))
        self.assertEqual([bar.get("fill") for bar in bars].count(plot.WORSE), 1)
        self.assertTrue(all(float(bar.get("x")) >= plot.LABELS - 1 for bar in bars))


class Whole(unittest.TestCase):
    def test_quick_run(self):
        done = subprocess.run([BENCH / "run", "--quick", "--only", "open1"], capture_output=True, text=True, timeout=150)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
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
