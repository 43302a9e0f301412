#!/usr/bin/python3
"""The checks must fail on what they are for: each runs on a tiny tree that keeps the rules, then on one that breaks one rule."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


class Tree(unittest.TestCase):
    """A project in a temporary folder; FILES is the one that keeps the rules."""

    FILES = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="convene-checks-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for path, text in self.FILES.items():
            self.write(path, text)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run_tool(self, name, *arguments):
        return subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True, timeout=60)

    def assert_passes(self, *command):
        done = self.run_tool(*command)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_fails(self, reason, *command):
        done = self.run_tool(*command)
        self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(reason, done.stdout + done.stderr)


class Layers(Tree):
    FILES = {
        "include/convene/convene.h": "#include <convene/types.h>\n",
        "include/convene/types.h": "#include <stddef.h>\n",
        "src/base/buf.h": "#include <convene/types.h>\n",
        "src/base/mem.h": "\n",
        "src/net/conn.h": '#include "base/buf.h"\n#include <uv.h>\n',
        "src/ws/ws_decode.c": '#include "ws/ws_frame.h"\n#include "base/buf.h"\n#include <string.h>\n',
        "src/ws/ws_frame.h": '#include "base/buf.h"\n',
        "src/ws/ws_conn.h": '#include "net/conn.h"\n#include "ws/ws_decode.h"\n',
        "src/ws/ws_decode.h": "\n",
        "src/convene_server.c": '#include "ws/ws_conn.h"\n',
        "daemon/main.c": '#include <convene/convene.h>\n#include "ops/settings.h"\n#include <stdio.h>\n',
        "daemon/ops/settings.h": "\n",
        "daemon/store/store.h": "\n",
        "daemon/observe/log.h": "\n",
        "daemon/observe/audit.h": '#include "store/store.h"\n',
        "bench/bench_server.c": "#include <convene/convene.h>\n",
        "examples/chat.c": "#include <convene/convene.h>\n",
    }

    def broken(self, path, line, reason):
        with self.subTest(path=path, line=line):
            before = self.FILES.get(path, "")
            self.write(path, before + line + "\n")
            self.assert_fails(f"{path}:{before.count(chr(10)) + 1}: ", "check-layers", self.root)
            self.assert_fails(reason, "check-layers", self.root)
            self.write(path, before)
            self.assert_passes("check-layers", self.root)

    def test_a_good_tree(self):
        self.assert_passes("check-layers", self.root)

    def test_an_empty_tree(self):
        self.assert_fails("no sources", "check-layers", self.root / "src/none")

    def test_layers(self):
        self.broken("src/base/buf.h", '#include "net/conn.h"', "above it")
        self.broken("src/net/conn.h", '#  include "ws/ws_frame.h"', "above it")
        self.broken("src/net/conn.h", "#include <ws/ws_frame.h>", "above it")
        self.broken("src/ws/ws_conn.h", '#include "../net/conn.h"', "not the path")
        self.broken("src/ws/ws_conn.h", "#include <uv.h>", "net/ only")

    def test_layers_of_the_daemon(self):
        self.broken("daemon/store/store.h", '#include "ops/settings.h"', "store may not know ops")
        self.broken("daemon/observe/log.h", '#include "store/store.h"', "observe may not know store")
        self.broken("daemon/observe/log.h", '#include "observe/audit.h"', "observe may not know audit")
        with self.subTest("a folder that is no layer"):
            self.write("daemon/misc/misc.h", "\n")
            self.assert_fails("daemon/misc/misc.h: in no layer", "check-layers", self.root)

    def test_pure_codecs(self):
        self.broken("src/ws/ws_decode.c", '#include "ws/ws_conn.h"', "other pure codecs")
        self.broken("src/ws/ws_decode.c", '#include "net/conn.h"', "other pure codecs")
        self.broken("src/ws/ws_decode.c", '#include "base/mem.h"', "what it is given")
        self.broken("src/ws/ws_frame.h", "#include <time.h>", "no clock")
        self.broken("src/ws/ws_frame.h", "#include <sys/socket.h>", "no I/O")

    def test_public_headers_only(self):
        for path in ("daemon/main.c", "examples/chat.c", "bench/bench_server.c"):
            self.broken(path, '#include "base/buf.h"', "nor public")
            self.broken(path, "#include <base/buf.h>", "public headers only")
            self.broken(path, '#include "../src/base/buf.h"', "nor public")

    def test_the_public_headers(self):
        self.broken("include/convene/types.h", "#include <sys/types.h>", "C's own")
        self.broken("include/convene/types.h", '#include "types.h"', "C's own")
        self.broken("include/convene/types.h", "#include <convene/none.h>", "C's own")


class Symbols(Tree):
    FILES = {
        "convene.h": """#define CVN_API __attribute__((visibility("default")))
#define CVN_MUST_CHECK __attribute__((warn_unused_result))
/* CVN_API int cvn_in_a_comment(void); */
CVN_API const char *cvn_one(int a);
CVN_API CVN_MUST_CHECK int
cvn_two(void (*callback)(void));
CVN_API extern const int cvn_three;
""",
    }
    SOURCE = """#include "convene.h"
const char *cvn_one(int a) { return a ? "a" : "b"; }
int cvn_two(void (*callback)(void)) { callback(); return 0; }
const int cvn_three = 3;
int hidden(void) { return 0; }
"""

    def library(self, source, soname="lib.so.1.2", versioned=True):
        self.write("lib.c", source)
        file = self.root / "lib.so"
        self.write("lib.map", "CONVENE_1.2 { global: *; };\n")
        options = [f"-Wl,-soname,{soname}", *([f"-Wl,--version-script={self.root}/lib.map"] if versioned else [])]
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", *options, "-o", file, self.root / "lib.c"], check=True)
        return file

    def archive(self, source):
        self.write("lib.c", source)
        subprocess.run(["cc", "-c", "-o", self.root / "lib.o", self.root / "lib.c"], check=True)
        subprocess.run(["ar", "rc", self.root / "lib.a", self.root / "lib.o"], check=True)
        return str(self.root / "lib.a")

    def test_a_good_library(self):
        self.assert_passes("check-symbols", self.library(self.SOURCE), self.root)

    def test_versions(self):
        self.assert_fails("no SONAME", "check-symbols", self.library(self.SOURCE, soname="lib.so"), self.root)
        self.assert_fails("does not end in @@CONVENE_1.3: cvn_one", "check-symbols", self.library(self.SOURCE, soname="lib.so.1.3"), self.root)
        self.assert_fails("does not end in @@CONVENE_1.2: cvn_two", "check-symbols", self.library(self.SOURCE, versioned=False), self.root)

    def test_an_archive(self):
        self.assert_fails("not ours to give: hidden", "check-symbols", self.archive(self.SOURCE), self.root)
        self.assert_passes("check-symbols", self.archive(self.SOURCE.replace("int hidden", "static inline int hidden")), self.root)

    def test_a_foreign_name(self):
        source = self.SOURCE.replace("int hidden", "CVN_API int shown")
        self.assert_fails("not ours to give: shown", "check-symbols", self.library(source), self.root)

    def test_a_missing_function(self):
        self.write("more.h", "CVN_API int cvn_four(void);\n")
        self.assert_fails("not exported: cvn_four", "check-symbols", self.library(self.SOURCE), self.root)

    def test_an_undeclared_function(self):
        source = self.SOURCE.replace("int hidden", "CVN_API int cvn_five")
        self.assert_fails("not in a public header: cvn_five", "check-symbols", self.library(source), self.root)

    def test_no_headers(self):
        self.assert_fails("nothing is declared", "check-symbols", self.library(self.SOURCE), self.root / "none")


class ApiDocs(Tree):
    GOOD = """/**
 * @file
 * Numbers.
 */
/** Public. */
#define CVN_API

/** Kinds. */
enum cvn_kind {
    CVN_EVEN, /**< divisible */
    CVN_ODD   /**< not */
};

/** A number. */
typedef struct cvn_number {
    int value; /**< what it is */
} cvn_number;

/** Its kind. */
CVN_API enum cvn_kind cvn_kind_of(cvn_number number);
"""
    FILES = {"include/convene/numbers.h": GOOD, "docs/embedding.md": "# Numbers\n"}

    def setUp(self):
        super().setUp()
        if shutil.which("doxygen") is None:
            self.skipTest("there is no doxygen")
        self.write("docs/Doxyfile", (TOOLS.parent / "docs/Doxyfile").read_text())

    def broken(self, old, new, reason):
        with self.subTest(old=old):
            self.assertIn(old, self.GOOD)
            self.write("include/convene/numbers.h", self.GOOD.replace(old, new))
            self.assert_fails(reason, "check-api-docs", self.root / "out", self.root)

    def test_a_documented_header(self):
        self.assert_passes("check-api-docs", self.root / "out", self.root)
        self.assertIn("Its kind.", (self.root / "out/html/numbers_8h.html").read_text())

    def test_what_is_missing(self):
        self.broken("/** Its kind. */", "", "cvn_kind_of")
        self.broken("/**< what it is */", "", "value")
        self.broken("/**< not */", "", "CVN_ODD is not documented")
        self.broken("/** Kinds. */", "", "cvn_kind")
        self.broken(" * @file\n", "", "numbers.h: begins without")
        self.broken("/** A number. */", "/** A number, see @ref nowhere. */", "nowhere")


class PacketJourney(Tree):
    PAGE = "docs/packet-journey.md"
    FILES = {
        PAGE: "`ws_decode()` of `src/ws/ws_decode.c`, then [main](../daemon/main.c): `main()`, in `daemon/`; `ws_decode.c`\n",
        "src/ws/ws_decode.c": "struct x;\nint ws_decode(int a,\n              int b)\n{\n    helper(a);\n}\n"
                              "/* int commented(void) { } */\nint declared(void);\n",
        "daemon/main.c": "int main(int argc, char **argv)\n{\n}\n",
    }

    def broken(self, text, reason):
        with self.subTest(text=text):
            self.write(self.PAGE, self.FILES[self.PAGE] + text + "\n")
            self.assert_fails(f"{self.PAGE}:2: {reason}", "check-packet-journey", self.root)

    def test_a_good_page(self):
        self.assert_passes("check-packet-journey", self.root)

    def test_wrong_names(self):
        self.broken("`ws_encode()`", "no function ws_encode")
        self.broken("`helper()`", "no function helper")
        self.broken("`commented()`", "no function commented")
        self.broken("`declared()`", "no function declared")
        self.broken("`src/ws/ws_encode.c`", "no file src/ws/ws_encode.c")
        self.broken("`ws_encode.c`", "no file ws_encode.c")
        self.broken("`src/http/`", "no file src/http/")
        self.broken("[x](../src/none.c)", "no file ../src/none.c")

    def test_an_empty_page(self):
        self.write(self.PAGE, "nothing\n")
        self.assert_fails("names no function", "check-packet-journey", self.root)

    def test_no_page(self):
        (self.root / self.PAGE).unlink()
        self.assert_fails("is missing", "check-packet-journey", self.root)


class ApiMap(Tree):
    PAGE = "docs/api-map.md"
    GOOD = """# Map
| `emit` | `cvn_emit` with `CVN_LOCAL`, see `cvn_options.path` |
## Options
| Node | C |
|---|---|
| `path`, `x` | `path`, not `cvn_emit` |
## More
| a | `b` |
"""
    FILES = {
        PAGE: GOOD,
        "include/convene/server.h": "typedef struct cvn_options { const char *path; } cvn_options;\nint cvn_emit(int a);\n"
                                    "enum { CVN_LOCAL = 8 }; /* cvn_gone */\n",
    }

    def broken(self, old, new, reason):
        with self.subTest(new=new):
            self.write(self.PAGE, self.GOOD.replace(old, new))
            self.assert_fails(reason, "check-api-map", self.root)

    def test_a_good_page(self):
        self.assert_passes("check-api-map", self.root)

    def test_wrong_names(self):
        self.broken("`cvn_emit` with", "`cvn_send` with", "docs/api-map.md:2: no cvn_send")
        self.broken("`cvn_emit` with", "`cvn_gone` with", "docs/api-map.md:2: no cvn_gone")
        self.broken("CVN_LOCAL", "CVN_NEAR", "docs/api-map.md:2: no CVN_NEAR")
        self.broken("cvn_options.path", "cvn_options.paths", "docs/api-map.md:2: no cvn_options.paths")
        self.broken("| `path`, not", "| `root`, not", "docs/api-map.md: no option root")

    def test_an_empty_page(self):
        self.write(self.PAGE, "nothing\n")
        self.assert_fails("names nothing of ours", "check-api-map", self.root)

    def test_no_page(self):
        (self.root / self.PAGE).unlink()
        self.assert_fails("is missing", "check-api-map", self.root)


class ConfigDocs(Tree):
    HEADER = """struct other { int x; };
struct config {
    bool dev; /* no; field */
    struct {
        const char *cert, *key; /* of TLS */
        struct config_list
            origins;
        uint32_t a_ms, b_ms;
    } server;
};
"""
    TABLE = "AT(dev), AT(server.cert), X(server.key, 1), AT(server.origins), AT(server.a_ms), AT(server.b_ms)\n"
    FILES = {
        "docs/configuration.md": "# Settings\n",
        "daemon/config/config.h": HEADER,
        "daemon/config/config_table.c": TABLE,
        "convened": "#!/bin/sh\ncase $1 in --print-man) echo '.TH X 8';; *) echo '# Settings';; esac\n",
    }

    def setUp(self):
        super().setUp()
        (self.root / "convened").chmod(0o755)
        self.command = "check-config-docs", self.root / "convened", self.root

    def broken(self, path, text, reason):
        with self.subTest(reason=reason):
            self.write(path, text)
            self.assert_fails(reason, *self.command)
            self.write(path, self.FILES[path])

    def test_documented_settings(self):
        self.assert_passes(*self.command)

    def test_what_is_missing(self):
        self.broken("docs/configuration.md", "# Setting\n", "docs/configuration.md:1: differs")
        self.broken("docs/configuration.md", "# Settings\nmore\n", "is not as long")
        for field in ["dev", "server.cert", "server.key", "server.origins", "server.a_ms", "server.b_ms"]:
            self.broken("daemon/config/config_table.c", self.TABLE.replace(field, f'"{field}"'), f"no row for {field}")
        self.broken("daemon/config/config.h", "struct config {\n};\n", "has no fields")
        self.broken("convened", "#!/bin/sh\nexit 3\n", "ended with 3")

    def test_a_wrong_manual_page(self):
        if shutil.which("groff") is None:
            self.skipTest("there is no groff")
        self.broken("convened", self.FILES["convened"].replace(".TH X 8", ".XYZ"), "--print-man")


if __name__ == "__main__":
    unittest.main()
